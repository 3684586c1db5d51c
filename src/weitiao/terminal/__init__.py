"""The listener that both faces share: what a stage says, as bars and lines on standard error.

Nothing is computed here, and the rooms below print nothing.  The command line always listens with it; the Python words
do when their caller does not listen himself, and import it only then.
"""
