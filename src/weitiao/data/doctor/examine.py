"""The examination: rows pass the parts once, then each part tells.

rows, LABELLED, ledger  ->  examine(rows, shape, ledger=...)  ->  Diagnosis
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from weitiao.core.contracts import Record, Shape
from weitiao.data.doctor.amount import Amount
from weitiao.data.doctor.contents import Contents
from weitiao.data.doctor.conversations import Conversations
from weitiao.data.doctor.finding import SEVERITIES, Case, Diagnosis, Finding, Part, Row, words
from weitiao.data.doctor.labels import Labels
from weitiao.data.doctor.leak import Leak
from weitiao.data.doctor.ledger import Unused
from weitiao.data.doctor.lengths import Lengths
from weitiao.data.doctor.personal import Personal
from weitiao.data.doctor.pictured import Boxes, Sizes
from weitiao.data.doctor.preferences import Preferences
from weitiao.data.doctor.rankings import Rankings
from weitiao.data.doctor.scripts import Scripts
from weitiao.data.doctor.similar import Similar
from weitiao.data.doctor.spelt import Spelt
from weitiao.data.doctor.suits import Suits
from weitiao.data.doctor.tags import Tags
from weitiao.data.doctor.wrong_labels import WrongLabels

if TYPE_CHECKING:
    from numpy.typing import NDArray

LONGEST_COMMAND = 120  # characters of file names in a way out
# Suits comes last: it reads the tables of the others.
PARTS: tuple[type[Part], ...] = (
    Unused,
    Labels,
    Similar,
    Lengths,
    Spelt,
    Leak,
    Conversations,
    Tags,
    Sizes,
    Boxes,
    Preferences,
    Rankings,
    Contents,
    Scripts,
    Personal,
    Amount,
)


def examine(
    rows: Sequence[Record],
    shape: Shape,
    *,
    ledger: Mapping[str, Any],
    splits: Mapping[str, Sequence[int]] | None = None,
    groups: NDArray[Any] | None = None,
    near_threshold: float = 0.8,
    lengths: Sequence[int] | None = None,
    limit: int | None = None,
    marks: Sequence[str] = (),
    unknown: float | None = None,
    written_lost: Sequence[int] = (),
    labels: bool = False,
    read_as: str = "",
    seed: int = 0,
) -> Diagnosis:
    """Examine converted rows; bad and repeated ones are known from the ledger already.

    Args:
        rows: Read once in order, and a few again by their place.
        shape: What they hold.
        ledger: As `Ledger.to_dict()` gives it.
        splits: Indices of the rows of `train`, `validation`, `test`.
        groups: What `near_groups` gives for the rows, by the texts that stay on one side of the split.
        near_threshold: By which similarity it did.
        lengths: Tokens of each row.
        limit: How many tokens the model reads.
        marks: Special tokens of its tokenizer, as text.
        unknown: Share of the rows' tokens that it does not know.
        written_lost: Tokens of each row that are lost of what is written, where that is a side of its own.
        labels: Look for wrong labels too; this trains (TF-IDF and logistic regression, five folds) and holds all
            texts at once.
        read_as: Options by which `weitiao data check` reads the files as they were read, for the ways out.
        seed: Of the folds and of samples.
    """
    case = Case(
        rows,
        shape,
        ledger,
        splits or {},
        groups,
        lengths,
        limit,
        seed,
        marks,
        unknown,
        written_lost,
        near_threshold,
    )
    kinds: list[type[Part]] = [*PARTS, *([WrongLabels] if labels else []), Suits]
    parts = [kind(case) for kind in kinds if not kind.shapes or shape.name in kind.shapes]
    for index, record in enumerate(rows):
        row = Row(index, record, shape.texts(record.values), shape.stratum(record.values))
        for part in parts:
            part.see(row)
    diagnosis = Diagnosis(shape.name, len(rows))
    for part in parts:
        # What cannot be used is counted among all that was read, everything else among what can.
        whole = int(ledger.get("total", len(rows))) if isinstance(part, Unused) else len(rows)
        diagnosis.findings += [_every(one, whole) for one in part.tell(diagnosis)]
    files = " ".join(
        " ".join([*([f"--{file['side']}"] if "side" in file else []), shlex.quote(str(file["path"]))])
        for file in ledger.get("files", ())
    )
    named = (files if files and len(files) < LONGEST_COMMAND else "FILE") + read_as
    diagnosis.findings = [replace(one, fix=one.fix.replace("FILE", named)) for one in diagnosis.findings]
    diagnosis.findings.sort(
        key=lambda found: SEVERITIES.index(found.severity)
    )  # stable: parts keep their order
    return diagnosis


def _every(found: Finding, rows: int) -> Finding:
    """A finding about every single row says so, and names none of them."""
    if not found.places or found.count < rows or rows == 1:
        return found
    return replace(found, text=f"{found.text} {words()['every']}", places=[])
