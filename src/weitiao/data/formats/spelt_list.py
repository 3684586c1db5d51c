"""A list that was written into a table's cell.

spelt_list('["a", "b"]'), spelt_list("['a', 'b']")  ->  ["a", "b"]     as JSON, as Python prints one (and so pandas)
"""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize
from itertools import pairwise
from typing import Any

BEGINS = re.compile(r"""\s*\[\s*(["'\[\]{]|-?\d[\d.]*\s*[,\]])""")
"""How one begins.  `[urgent]` does not: it is a label in brackets, as some write it."""


def begins(cell: Any) -> bool:
    """Does a cell begin as a list does?"""
    return isinstance(cell, str) and BEGINS.match(cell) is not None


def spelt_list(cell: str) -> list[Any] | None:
    """The list that a cell spells; None where it cannot be read as one."""
    for read in (json.loads, _python):
        try:
            found = read(cell.strip())
        except (ValueError, SyntaxError, tokenize.TokenError, RecursionError, MemoryError):
            continue
        if isinstance(found, list):
            return found
    return None


def _python(text: str) -> Any:
    # Strings side by side are one to Python; NumPy prints its arrays so, without commas.
    kinds = [token.type for token in tokenize.generate_tokens(io.StringIO(text).readline)]
    kinds = [kind for kind in kinds if kind != tokenize.NL]
    if (tokenize.STRING, tokenize.STRING) in pairwise(kinds):
        raise ValueError
    return ast.literal_eval(text)
