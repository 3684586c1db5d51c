"""How much of a row's words no training row has: what a model has never met in its task.

unseen(run, lines)  ->  [12, 0, None, ...], per cent of the different words of each row
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from weitiao.data.tfidf import CHINESE
from weitiao.evaluate.worst import text
from weitiao.stages.kept_rows import kept
from weitiao.stages.run import Run

WORD = re.compile(
    rf"[{chr(CHINESE.start)}-{chr(CHINESE.stop - 1)}]|[^\W\d_{chr(CHINESE.start)}-{chr(CHINESE.stop - 1)}]+"
)
"""Letters that stand together; of Chinese each character.  A number that was not met is no new word."""


def unseen(run: Run, lines: Sequence[Mapping[str, Any]]) -> list[float | None]:
    """Of each row the share, in per cent, of its different words that stand in no training row; None where it has no words.

    Args:
        run: by whose training rows it goes.
        lines: of its `predictions.jsonl`.

    Raises:
        WeitiaoError: `broken_rows` where the training rows are not what was dealt.
    """
    shape, known = run.task.shape, set[str]()
    for record, _ in kept(run.folder, "train"):
        for said in shape.texts(shape.asks(record.values)).values():
            known.update(WORD.findall(said.lower()))
    found: list[float | None] = []
    for line in lines:
        words = {*WORD.findall(text(line).lower())}
        found.append(round(100 * len(words - known) / len(words)) if words and known else None)
    return found
