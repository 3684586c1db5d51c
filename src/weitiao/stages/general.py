"""General texts are asked of a model that writes, before and after it was tuned: what has it forgotten?

general = General.of(run)  ->  general.ask("tuned", run); general.ask("untuned", before)  ->  general.compared()
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from weitiao.core import registry
from weitiao.core.contracts import Record, Task
from weitiao.core.errors import fault
from weitiao.core.why import reason
from weitiao.data.equal_text import blank
from weitiao.data.read import read_file
from weitiao.evaluate import general
from weitiao.evaluate.predict import predict
from weitiao.stages.run import Run

COLUMN = "text"
LANGUAGE = {"name": "language_modeling"}
"""Reads texts as such, whatever the run's own task is."""
AT_ONCE = 8
"""Texts in a pass: no more memory than training took."""


def read_texts(asked: str) -> list[str]:
    """The texts that `evaluate.general_text` names: those that travel with weitiao, or the first of a file.

    Raises:
        WeitiaoError: what reading a file raises; `wrong_value` where no row has a column `text`.
    """
    if asked == general.AUTO:
        return general.texts()
    source = read_file(asked)
    rows = (row.values.get(COLUMN) for row in source.rows() if isinstance(row, Record))
    found = [text for text in islice(rows, general.MOST) if isinstance(text, str) and not blank(text)]
    if not found:
        columns = ", ".join(source.columns)
        why = reason("no_general_text", column=COLUMN, columns=columns)
        raise fault("wrong_value", key="evaluate.general_text", value=asked, why=why)
    return found


@dataclass
class General:
    """General texts, and what each model says of them."""

    texts: list[str]
    language: Task
    said: dict[str, general.Losses] = field(default_factory=dict)
    unknown: list[float] = field(default_factory=list)
    vocabulary: int = 0

    @classmethod
    def none(cls) -> General:
        """Nothing is asked."""
        return cls([], registry.build("task", LANGUAGE))

    @classmethod
    def of(cls, run: Run) -> General:
        """What is to be asked; no texts where the model does not go on with texts, or they are not wanted."""
        language, asked = registry.build("task", LANGUAGE), run.recipe.evaluate.general_text
        suits = run.task.generates and run.task.auto_class == language.auto_class
        return cls(read_texts(asked) if suits and asked != general.NONE else [], language)

    def ask(self, name: str, run: Run) -> None:
        """Ask a model, in one pass over the texts."""
        if not self.texts:
            return
        loaded, train = run.tuned, run.recipe.train
        records = [Record("", line, {COLUMN: text}) for line, text in enumerate(self.texts, start=1)]
        limit = min(run.most, general.LONGEST)
        examples = list(self.language.encode(records, loaded.processor, limit=limit))
        strange = getattr(loaded.processor, "unk_token_id", None)
        ids = [list(example.inputs["input_ids"]) for example in examples]
        self.unknown = [each.count(strange) / max(1, len(each)) for each in ids]
        self.vocabulary = loaded.model.config.get_text_config().vocab_size
        told = predict(
            loaded,
            self.language,
            examples,
            batch_size=min(AT_ONCE, train.per_device_eval_batch_size),
            device=run.device,
            half=train.half,
        )
        self.said[name] = [(one["loss"], one["tokens"]) for one in told]

    def compared(self, *, confidence: float) -> dict[str, Any] | None:
        """Before and after; None where one of them was not asked."""
        if not {"tuned", "untuned"} <= self.said.keys():
            return None
        return general.compared(
            self.texts,
            self.said["untuned"],
            self.said["tuned"],
            unknown=self.unknown,
            vocabulary=self.vocabulary,
            confidence=confidence,
        )
