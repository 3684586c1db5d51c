"""What helps with one thing that is the matter never is what made another."""

from __future__ import annotations

import re
from string import Formatter

import pytest

from weitiao.core.why import reasons
from weitiao.evaluate import findings
from weitiao.evaluate.findings import LESS, MORE, PARTS
from weitiao.evaluate.findings.evidence import Evidence

ASKS_MORE = r"(?<!not )(more|longer) (epochs|training)|train longer|(?<!nor )a larger (train\.)?learning"
ASKS_LESS = r"fewer (epochs|steps)|smaller (train\.)?learning"


def advice(monkeypatch, *names: str) -> dict[str, str]:
    """What is said where just these are found."""

    def numbers(name):
        fields = {field for _, field, _, _ in Formatter().parse(reasons()[name]["en"]["why"]) if field}
        return dict.fromkeys(fields, 1.0)

    for name in PARTS:
        monkeypatch.setitem(PARTS, name, lambda e, name=name: numbers(name) if name in names else None)
    found = findings.findings(Evidence({}, [], [], {}))
    return {one["name"]: one["advice"] for one in found}


@pytest.mark.parametrize("less", LESS)
@pytest.mark.parametrize("more", MORE)
def test_no_two_pull_apart(more, less, monkeypatch):
    found = advice(monkeypatch, more, less)
    asked = [bool(re.search(words, " ".join(found.values()))) for words in (ASKS_MORE, ASKS_LESS)]
    assert asked in ([True, False], [False, True], [False, False]), found


def test_alone_each_says_its_own(monkeypatch):
    assert all(re.search(ASKS_LESS, advice(monkeypatch, name)[name]) for name in LESS)
    said = [name for name in MORE if re.search(ASKS_MORE, advice(monkeypatch, name)[name])]
    assert {"still_falling", "untuned_level", "barely_moved"} <= set(said)
