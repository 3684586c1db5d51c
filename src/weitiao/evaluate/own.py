"""A metric of the user's: one decorated function in a file of his.

    @weitiao.metric(higher_is_better=False)
    def far_off(references, predictions):                      # one dict a row each
        return sum(abs(a["number"] - b["number"]) for a, b in zip(references, predictions)) / len(references)

    evaluate.metrics: [my_metrics.py:far_off]  ->  opened("my_metrics.py:far_off")  ->  Own

What returns one number is asked anew for every draw of rows.  With `rows=True` it returns a number a row, whose mean is
the value, and is asked once: far quicker.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from weitiao.core import function
from weitiao.core.contracts import Metric, Summed, Told
from weitiao.core.errors import fault
from weitiao.core.why import reason
from weitiao.evaluate.arrays import ratio

Function = Callable[..., Any]
MARK = "weitiao_metric"
KEY = "evaluate.metrics"


def metric(
    given: Function | None = None,
    *,
    higher_is_better: bool = True,
    needs: Sequence[str] = (),
    rows: bool = False,
) -> Any:
    """Marks a function `name(references, predictions)` as a metric for `evaluate.metrics: [file.py:name]`.

    Args:
        given: the function, where the decorator stands without brackets.
        higher_is_better: whether more of it is better.
        needs: what a prediction must hold for it (`label`, `scores`, `answer` ...); systems that do not are left out.
        rows: it returns one number a row, not one of all; the metric is their mean.
    """

    def put(wanted: Function) -> Function:
        setattr(wanted, MARK, {"higher_is_better": higher_is_better, "needs": tuple(needs), "rows": rows})
        return wanted

    return put if given is None else put(given)


def opened(named: str) -> Metric:
    """The metric that a recipe names as `path/to/file.py:name`.

    Raises:
        WeitiaoError: `no_such_function`, or `bad_metric` for a function without the decorator.
    """
    found = function.opened(named, key=KEY)
    marked = getattr(found, MARK, None)
    if marked is None:
        raise fault("bad_metric", metric=named, why=reason("metric_unmarked"))
    kind = _Mean if marked["rows"] else _Whole
    return kind(named, found, marked["higher_is_better"], marked["needs"])


@dataclass(frozen=True)
class _Own:
    """What both kinds know of the function."""

    named: str
    function: Function = field(repr=False)
    higher_is_better: bool
    needs: tuple[str, ...]

    summary: ClassVar[str] = "a function of your own"
    source: ClassVar[str] = "your file"
    undefined: ClassVar[tuple[str, str]] = (
        "the function gave no finite number",
        "该函数没有给出有限数",
    )

    def ask(self, references: Sequence[Any], predictions: Sequence[Any]) -> Any:
        """What the function says, whatever it does.

        Raises:
            WeitiaoError: `bad_metric`.
        """
        try:
            return self.function(list(references), list(predictions))
        except Exception as error:  # the user's own code
            why = reason("error_of_kind", type=type(error).__name__, error=error)
            raise fault("bad_metric", metric=self.named, why=why) from error

    def wrong(self, found: Any, wanted: str) -> Exception:
        """The error for an answer of another kind."""
        return fault(
            "bad_metric",
            metric=self.named,
            why=reason("metric_returned", found=f"{found!r:.60}", wanted=wanted),
        )


@dataclass(frozen=True)
class _Whole(_Own, Metric):
    """One number of any rows."""

    effort: ClassVar[int] = 4_000_000  # Python is slow

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """The pairs themselves (N, 2)."""
        pairs = np.empty((len(references), 2), dtype=object)
        pairs[:, 0], pairs[:, 1] = list(references), list(predictions)
        return pairs

    def over(self, rows_NK: Any, weights_RN: Any) -> Any:
        """The function of each draw; a row that is drawn twice is there twice."""
        return np.array(
            [self._of(rows_NK[np.repeat(np.arange(len(rows_NK)), w.astype(int))]) for w in weights_RN]
        )

    def _of(self, drawn: Any) -> float:
        found = self.ask(drawn[:, 0], drawn[:, 1])
        try:
            return float(found)
        except (TypeError, ValueError):
            raise self.wrong(found, reason("a_number")) from None


@dataclass(frozen=True)
class _Mean(_Own, Summed):
    """The mean of one number a row."""

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """The number, and 1: (N, 2)."""
        found = self.ask(references, predictions)
        try:
            values = np.asarray(found, dtype=float)
        except (TypeError, ValueError):
            values = np.empty(0)
        if values.shape != (len(references),):
            raise self.wrong(found, reason("a_number_each", rows=len(references)))
        return np.stack([values, np.ones(len(values))], axis=1)

    def value(self, sums_K: Any) -> Any:
        """The mean."""
        return ratio(sums_K[..., 0], sums_K[..., 1])
