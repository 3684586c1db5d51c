"""Shelf 4: what a tuned model must beat.  One file a baseline; a task names its own, the strongest first.

    training records, shape  ->  baseline.fit  ->  (test records)  ->  predictions, in the keys of the task's own

A file here is on the shelf by being there.  A baseline must be cheap, honest (no test row is seen before it is asked) and
as strong as little effort makes it: a weak one flatters the model.
"""
