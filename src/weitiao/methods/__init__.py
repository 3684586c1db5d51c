"""Shelf 1: which parameters train, and how.  One file a mechanism; a preset is a line.

To add one: a file here with a frozen dataclass under `@register("method", NAME)` that answers the questions of
`core.contracts.Method`.  `tests/methods/test_every_method.py` tests its promises from then on.
"""
