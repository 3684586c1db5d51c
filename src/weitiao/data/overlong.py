"""Rows that are longer than the model reads: what `data.overlong` makes of them, the same for whoever reads them.

    as_read(task, rows, processor, data, limit=512)  ->  (tokens of the row as it came, Example), ...

truncate   the end is cut off
windows    the row stays one row, and is read in several passes whose scores become one
head_tail  its beginning and its end are read (Sun et al. 2019, arXiv 1905.05583)
split      it goes on in further rows; only training rows are (`Encoder`), one that judges stays one row, and is cut
drop, fail it is left out, or the run refuses it

What is judged must be what is used: validation, test and rows that are asked come through here as training rows do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from weitiao.core.contracts import Example, Record, Task
from weitiao.core.recipe import Data
from weitiao.core.why import reason

if TYPE_CHECKING:
    import numpy as np

    from weitiao.data.encoded import Encoded

ENDLESS = 1 << 40  # tokens
FITTED = ("windows", "head_tail")
"""What leaves a row one row and shows the model more of it than its beginning."""
MUCH, MANY = 0.25, 0.1
"""Rows that lose such a share of their tokens are cut much; such a share of all rows is many."""


def as_read(
    task: Task, records: Sequence[Record], processor: Any, data: Data, *, limit: int, trains: bool = False
) -> Iterator[tuple[int, Example]]:
    """One example a record, in order, and how many tokens it would have if nothing were cut.

    Args:
        task: what encodes.
        records: the rows.
        processor: the tokenizer.
        data: `overlong` and `max_windows` of the recipe.
        limit: tokens that the model reads at once.
        trains: are these training rows?  Those that are to go on in further rows (`split`) stay whole.
    """
    if data.overlong in FITTED:
        words: dict[str, Any] = {"overlong": data.overlong, "max_windows": data.max_windows}
        wholes = task.encode(records, processor, limit=ENDLESS)
        for record, whole in zip(records, wholes, strict=True):
            if whole.refused:
                yield 0, whole
            else:
                yield len(whole), task.fitted(record, whole, processor, limit=limit, **words)
    elif trains or not task.reads_whole:
        # What goes on in further rows must be there whole.
        most = ENDLESS if trains and data.overlong == "split" else limit
        for example in task.encode(records, processor, limit=most):
            yield len(example) + example.tokens_lost, example
    else:
        for example in task.encode(records, processor, limit=ENDLESS):
            length = len(example)
            yield length, task.in_windows(example, processor, limit=limit) if length > limit else example


def uncut(examples: Encoded) -> np.ndarray:
    """Tokens of each encoded row before it was cut (N,)."""
    return examples.lengths + examples.counts("tokens_lost")


def advice(lengths: np.ndarray, task: Task, data: Data, *, limit: int, most: int) -> dict[str, Any] | None:
    """What would help rows that are cut, and what it costs; None where few rows lose much, nothing would help, or the texts
    of a row are read apart, of which its length says too little.

    Args:
        lengths: tokens of each row before the cut (N,).
        task: whose rows they are.
        data: of the recipe.
        limit: tokens that are read at once.
        most: tokens that the model could read at once.

    Returns:
        `rows` that are cut much, of `all`; the share of all tokens that is `lost`; how many times the tokens `windows`
        would read; and a `max_length`, where the model has more positions, with how many times the tokens are `longer`.
    """
    import numpy as np

    lost_N = np.maximum(lengths - limit, 0)
    much = int((lost_N > MUCH * lengths).sum())
    if (
        task.apart
        or data.overlong != "truncate"
        or "windows" not in task.overlong
        or much < MANY * len(lengths)
    ):
        return None
    read, more = int(np.minimum(lengths, limit).sum()), min(2 * limit, most)
    # The windows of a row are full.
    windows_N = np.minimum(-(-lengths // limit), data.max_windows) * limit
    found = {
        "rows": much,
        "all": len(lengths),
        "lost": float(lost_N.sum() / lengths.sum()),
        "windows": float(np.where(lost_N > 0, windows_N, lengths).sum() / read),
    }
    if more > limit:
        found |= {"max_length": more, "longer": float(np.minimum(lengths, more).sum() / read)}
    return found


def advised(found: Mapping[str, Any]) -> str:
    """`advice` as a sentence."""
    more = (
        reason("longer_rows", more=found["max_length"], times=f"{found['longer']:.1f}")
        if "longer" in found
        else ""
    )
    return reason("read_whole", times=f"{found['windows']:.1f}", longer=more)
