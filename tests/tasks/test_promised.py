"""A task has what it says it has; one that does not is told so by name, not by a traceback."""

from __future__ import annotations

import re

import pytest

from weitiao.core import registry
from weitiao.core.contracts import Task
from weitiao.core.errors import WeitiaoError

# What a task may promise, and what it must then have.
PROMISES = {
    "packs": ["pack"],
    "reads_whole": ["in_windows"],
    "retrieves": ["passage"],
    "paints": ["looked_at"],
    "generates": ["opening", "answer", "answered", "text_bytes"],
}
OVERLONG = {"split": "windows", "windows": "fitted", "head_tail": "fitted"}


class Bare(Task):
    """As little as a task may be."""

    def encode(self, *_, **__): ...
    def collate(self, *_): ...
    def loss(self, *_): ...
    def predict(self, *_): ...
    def reference(self, *_): ...


def test_what_the_tasks_of_the_shelf_promise_is_there():
    found = set()
    for name in registry.names("task"):
        kind = registry.entry("task", name).kind
        promised = [method for says, methods in PROMISES.items() if getattr(kind, says) for method in methods]
        promised += [OVERLONG[way] for way in kind.overlong]
        for method in promised:
            assert getattr(kind, method) is not getattr(Task, method), (name, method)
        found |= set(promised)
    assert found == {*OVERLONG.values(), *(method for methods in PROMISES.values() for method in methods)}


@pytest.mark.parametrize(
    ("method", "given", "says"),
    [
        ("windows", (None, None, None), "overlong"),
        ("fitted", (None, None, None), "overlong"),
        ("in_windows", (None, None), "reads_whole"),
        ("pack", ([], []), "packs"),
        ("passage", ("",), "retrieves"),
        ("looked_at", ([], []), "paints"),
        ("opening", ([], None), "generates"),
        ("answer", (None, []), "generates"),
        ("answered", (None, ""), "generates"),
        ("text_bytes", (None, None), "generates"),
    ],
)
def test_what_is_promised_and_not_there_is_named(method, given, says):
    words = {"limit": 8} if method in ("windows", "in_windows", "fitted") else {}
    words |= {"overlong": "windows", "max_windows": 2} if method == "fitted" else {}
    with pytest.raises(WeitiaoError, match="unfinished_task") as caught:
        getattr(Bare(), method)(*given, **words)
    for lang in ("en", "zh"):
        said = caught.value.text(lang)
        assert all(re.search(rf"\b{word}\b", said, re.ASCII) for word in ("Bare", method, says)), lang
