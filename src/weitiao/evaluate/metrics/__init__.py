"""Shelf 3: what an answer is worth.  One file a metric, or a family of them.

    references, predictions  ->  metric.rows  ->  sums over rows  ->  metric.value

A file here is on the shelf by being there; a preset is a line (`@register("metric", "f1_micro", average="micro")`).
No file here knows how intervals and tests are made: `evaluate.judge` makes them all from the same rows.
"""
