"""A share of the training rows: nested, of each label alike, groups whole, and nothing else moves."""

from __future__ import annotations

import pytest

from tests.data.test_split import dealt, marked, prints

SHARES = (0.125, 0.25, 0.5, 1.0)


@pytest.mark.parametrize("asked", [{}, {"stratify": False}, {"time": "t"}, {"test_folds": 4}])
def test_shares_are_nested_and_other_sides_stay(asked):
    label = ["a"] * 300 + ["b"] * 90 + ["c"] * 10
    checked = marked(prints(400), label=label, time=[float(i * 171 % 400) for i in range(400)])
    found = [dealt(checked, train_share=share, **asked) for share in SHARES]
    for small, large in zip(found, found[1:], strict=False):
        assert set(small["train"]) < set(large["train"])
        assert small["validation"] == large["validation"]
        assert small["test"] == large["test"]
    whole = found[-1]["train"]
    assert whole == dealt(checked, **asked)["train"]
    for share, sides in zip(SHARES, found, strict=True):
        assert abs(len(sides["train"]) - share * len(whole)) <= 2
        if asked.get("stratify", True):
            for name in "abc":
                every = sum(label[row] == name for row in whole)
                assert sum(label[row] == name for row in sides["train"]) == max(1, round(share * every))


def test_groups_stay_whole():
    by = [1 + i // 4 for i in range(400)]
    checked = marked(prints(400), by=by)
    whole, some = (set(dealt(checked, train_share=share)["train"]) for share in (1.0, 0.25))
    kept = {by[row] for row in some}
    assert some == {row for row in whole if by[row] in kept}
    assert abs(len(some) - 0.25 * len(whole)) <= 4
