"""The shape of rows that ask something of a text.

{"question": "Where?", "context": "Ada lived in London.", "answers": [{"text": "London", "start": 13}]}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from weitiao.core.contracts import Shape
from weitiao.data.carried import carried
from weitiao.data.pairs import BETWEEN, text_fault


@dataclass(frozen=True)
class Questioned(Shape):
    """A question, a text, and where in the text it is answered, if it is."""

    name: ClassVar[str] = "questioned"
    target: ClassVar[str] = "answers"
    columns: ClassVar[Mapping[str, str]] = {
        "question": "the question",
        "context": "the text that answers it",
        "answers": "the answers, each with its text and where it begins in the context; none where there is none",
    }
    formats: ClassVar[tuple[str, ...]] = ("squad", "squad_table")

    def faults(self, values: Mapping[str, Any]) -> str:
        """A question and a text are needed."""
        return text_fault(values, "question") or text_fault(values, "context")

    def key(self, values: Mapping[str, Any]) -> str:
        """Question, text and answers: what one row leaves out another may say."""
        said = (f"{answer['start']} {answer['text']}" for answer in values.get("answers") or ())
        return BETWEEN.join((values["question"], values["context"], *said))

    def group(self, values: Mapping[str, Any]) -> str:
        """The text: what is asked of it stands on one side."""
        return str(values["context"])

    def stratum(self, values: Mapping[str, Any]) -> str:
        """That there is no answer."""
        return "" if values.get("answers") else "no_answer"

    def texts(self, values: Mapping[str, Any]) -> dict[str, str]:
        """`question` and `context`, of which the answers are parts."""
        return {"question": values["question"], "context": values["context"]}

    def with_texts(self, values: Mapping[str, Any], texts: Mapping[str, str]) -> dict[str, Any]:
        """A copy with other texts; answers go with the words that they stand at."""
        changed = super().with_texts(values, texts)
        before, after = values["context"], changed["context"]
        if before != after and changed.get("answers"):
            spans = [(answer["start"], answer["start"] + len(answer["text"])) for answer in values["answers"]]
            moved = [(start, after[start:end]) for start, end in carried(spans, before, after)]
            changed["answers"] = [{"text": text, "start": start} for start, text in moved if text.strip()]
        return changed
