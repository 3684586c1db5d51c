"""Retrieval by a tuned model: the passages whose vectors are nearest to that of a question.

retrieve(run, "reset password", "faq.csv", column="answer", k=3)  ->  [[Found(score=0.83, passage="Click on ...", row={...}), ...]]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weitiao.core.contracts import Record
from weitiao.core.errors import did_you_mean, fault
from weitiao.core.why import reason
from weitiao.data.equal_text import blank
from weitiao.stages import asking
from weitiao.stages.kept_rows import kept
from weitiao.stages.run import Run
from weitiao.stages.runs import load

CALLED = ("positive", "passage", "answer", "text")
"""What a column of passages is called, where nobody says."""


@dataclass(frozen=True)
class Found:
    """A passage that was found."""

    score: float
    """The cosine of question and passage."""
    passage: str
    row: Mapping[str, Any]
    """All columns of the row that it stands in; none where it is one of the run's own."""


def retrieve(
    run: Run | str | Path,
    questions: str | Sequence[str],
    passages: Any = None,
    *,
    column: str = "",
    k: int = 5,
    progress: Callable[[int, int], None] | None = None,
) -> list[list[Found]]:
    """The `k` nearest passages of each question, the nearest first; of equal ones the first.

    Args:
        run: of `embedding`, or its folder.
        questions: one, or several.
        passages: texts, rows, a table or the path of a file, as `Run.predict` takes them; default: those of the run's own rows.
        column: of the passages; default: the one called `positive`, `passage`, `answer` or `text`, or the only one.
        k: how many, at most.
        progress: hears (texts done, texts).

    Raises:
        WeitiaoError: `no_retrieval` for a run of another task; `no_passage_column`; `not_texts` where there is no passage;
            `bad_given` for an empty question; what reading a file raises.
    """
    import numpy as np

    run = run if isinstance(run, Run) else load(run)
    if not run.task.retrieves:
        raise fault("no_retrieval", path=run.path, task=run.recipe.task["name"])
    asked = [questions] if isinstance(questions, str) else list(questions)
    if bad := [number for number, text in enumerate(asked, start=1) if blank(text)]:
        raise fault("bad_given", count=len(bad), total=len(asked), rows="\n".join(f"  {one}" for one in bad))
    rows = list(_own(run) if passages is None else _given(run, passages, column))
    if not rows:
        raise fault("not_texts", kind=type(passages).__name__, why=reason("no_passages"))
    texts = [run.task.passage(text) for text, _ in rows] + [run.task.record(text) for text in asked]
    examples = run.read([Record("", number, values) for number, values in enumerate(texts)])
    vectors = np.stack(
        [told["vectors"][0] for told in run._predict([each for _, each in examples], progress)]
    )
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    scores_QP = vectors[len(rows) :] @ vectors[: len(rows)].T
    best_QK = np.argsort(-scores_QP, axis=1, kind="stable")[:, :k]
    return [
        [Found(float(scores_P[place]), *rows[place]) for place in best_K]
        for scores_P, best_K in zip(scores_QP, best_QK, strict=True)
    ]


def _own(run: Run) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every passage of the rows that the run was made of, once."""
    met: dict[str, None] = {}
    for side in ("train", "validation", "test"):
        for record, _ in kept(run.folder, side):
            met.setdefault(record.values[run.task.shape.target])
    return ((text, {}) for text in met)


def _given(run: Run, passages: Any, column: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every text of the column that says something, once, with the first row that it stands in: several questions may have
    one answer, and who asks wants other passages beside it."""
    given = asking.given_rows(passages, run, None, items_of=asking.items_of)
    named = column or next((name for name in CALLED if name in given.columns), "")
    if not named and len(given.columns) == 1:
        (named,) = given.columns
    if named not in given.columns:
        known = ", ".join(given.columns)
        hint = did_you_mean(named, given.columns)
        where, wanted = given.file or "-", named or CALLED[0]
        raise fault("no_passage_column", path=where, column=wanted, found=known, hint=hint)
    met: dict[str, Mapping[str, Any]] = {}
    for row in given.rows():
        if isinstance(row, Record) and isinstance(text := row.values.get(named), str) and not blank(text):
            met.setdefault(text, {} if given.bare else row.values)
    return iter(met.items())
