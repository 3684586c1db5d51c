"""Shelf 2: what is learnt, from which columns, judged by what.  One file a task; torch is imported where it is used.

To add one: a file here with a frozen dataclass under `@register("task", NAME)` that answers the questions of
`core.contracts.Task`.  `tests/tasks/test_every_task.py` tests its promises from then on.
"""
