"""What rows hold once they are converted: one class a shape, whatever file or format they came from.

    {"text": "Great film.", "label": "positive"}  ->  LABELLED.key(...), .faults(...), .stratum(...), .texts(...)

A task names the shape that it learns from; the check, the split and the doctor know rows by their shape alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from weitiao.core.contracts import Shape
from weitiao.core.why import reason
from weitiao.data.boxed import Boxed
from weitiao.data.captioned import Captioned
from weitiao.data.equal_text import blank
from weitiao.data.masked import Masked
from weitiao.data.pairs import BETWEEN, Pair, ScoredPair, text_fault
from weitiao.data.pictured import Pictured
from weitiao.data.questioned import Questioned
from weitiao.data.ranked import Ranked


def _turns_fault(turns: Sequence[Mapping[str, Any]], *, column: str = "") -> str:
    empty = "turn_of_empty" if column else "turn_empty"
    for number, turn in enumerate(turns, start=1):
        if blank(turn.get("content") or "") and not turn.get("tool_calls"):
            facts = {"column": column, "number": number, "role": turn["role"]}
            return reason(empty, **facts)
    return ""


def _turns_texts(turns: Sequence[Mapping[str, Any]], *, column: str) -> dict[str, str]:
    return {f"{column}.{i}.content": turn["content"] for i, turn in enumerate(turns) if turn.get("content")}


def _columns_texts(values: Mapping[str, Any], columns: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for column in columns:
        found |= _turns_texts(values.get(column, ()), column=column)
    return found


def _turns_key(turns: Sequence[Mapping[str, Any]]) -> str:
    called = [f" {json.dumps(turn['tool_calls'])}" if turn.get("tool_calls") else "" for turn in turns]
    return BETWEEN.join(
        f"{t['role']}: {t.get('content') or ''}{c}" for t, c in zip(turns, called, strict=True)
    )


def _stripped(turns: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [
        {**turn, "content": turn["content"].strip()} if isinstance(turn.get("content"), str) else turn
        for turn in turns
    ]


def _answer_fault(turns: Sequence[Mapping[str, Any]], *, column: str) -> str:
    return "" if turns[-1]["role"] == "assistant" else reason("no_answer_at_end", column=column)


def _nothing_asked(turns: Sequence[Mapping[str, Any]]) -> str:
    """A system message alone asks nothing: the question may stand in a column that nobody named."""
    return (
        reason("prompt_asks_nothing")
        if all(turn["role"] in ("system", "developer") for turn in turns)
        else ""
    )


def first_question(turns: Sequence[Mapping[str, Any]]) -> str:
    """What the user asks first; all turns when the user asks nothing."""
    asked = (turn["content"] for turn in turns if turn["role"] == "user" and turn["content"])
    return next(asked, _turns_key(turns))


@dataclass(frozen=True)
class Labelled(Shape):
    """A text, or two, and what it is: one label, several, or a number."""

    label: Literal["one", "many", "number"] = "one"

    name: ClassVar[str] = "labelled"
    target: ClassVar[str] = "label"
    columns: ClassVar[Mapping[str, str]] = {
        "text": "the text",
        "text_pair": "a second text, if any",
        "label": "its label",
    }

    @property
    def formats(self) -> tuple[str, ...]:  # type: ignore[override]  # other shapes' classes say it
        """One format for each kind of label."""
        return ({"one": "table", "many": "multi_label", "number": "regression"}[self.label],)

    @property
    def several(self) -> bool:
        """With many labels."""
        return self.label == "many"

    def faults(self, values: Mapping[str, Any]) -> str:
        """A text and a label are needed; that there is none of several is one."""
        found = text_fault(values, "text")
        if not found and "text_pair" in values:
            found = text_fault(values, "text_pair")
        return found or (reason("label_missing") if values.get("label") is None else "")

    def key(self, values: Mapping[str, Any]) -> str:
        """The text, or both; with the number, since one text may be measured twice."""
        number = f"{BETWEEN}{values['label']}" if self.label == "number" else ""
        return self.group(values) + number

    def group(self, values: Mapping[str, Any]) -> str:
        """The text, or both."""
        return BETWEEN.join(self.texts(values).values())

    def stratum(self, values: Mapping[str, Any]) -> str:
        """The label; several as one word, a number as none."""
        label = values.get("label")
        if label is None or self.label == "number":
            return ""
        return " + ".join(sorted(label)) if self.label == "many" else str(label)

    def texts(self, values: Mapping[str, Any]) -> dict[str, str]:
        """`text`, and `text_pair` if there is one."""
        return {name: values[name] for name in ("text", "text_pair") if isinstance(values.get(name), str)}


@dataclass(frozen=True)
class Conversation(Shape):
    """Turns of system, user, assistant and tools, which may show pictures; the assistant's are learnt."""

    name: ClassVar[str] = "conversation"
    turns: ClassVar[bool] = True
    columns: ClassVar[Mapping[str, str]] = {
        "messages": "the turns of a conversation",
        "tools": "JSON schemas of the tools that may be called, if any",
    }
    formats: ClassVar[tuple[str, ...]] = ("messages", "sharegpt", "alpaca", "prompt_completion")

    def faults(self, values: Mapping[str, Any]) -> str:
        """There must be an answer, and no turn may be empty."""
        turns = values["messages"]
        if not any(turn["role"] == "assistant" for turn in turns):
            return reason("no_assistant_turn")
        return _turns_fault(turns)

    def key(self, values: Mapping[str, Any]) -> str:
        """All turns, with the content of their pictures: rows that ask alike and answer otherwise are different rows."""
        return BETWEEN.join(
            [_turns_key(values["messages"]), *(each["sha256"] for each in self.shown(values))]
        )

    def group(self, values: Mapping[str, Any]) -> str:
        """What is asked first; of rows that show pictures the first of these, of which one thing is asked as well as another."""
        shown = self.shown(values)
        return str(shown[0]["sha256"]) if shown else first_question(values["messages"])

    def shown(self, values: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """What was seen of every picture in its turns."""
        return [each for turn in values["messages"] for each in turn.get("images") or ()]

    def texts(self, values: Mapping[str, Any]) -> dict[str, str]:
        """The content of every turn."""
        return _turns_texts(values["messages"], column="messages")


@dataclass(frozen=True)
class Plain(Shape):
    """A text to go on with, all of it learnt."""

    name: ClassVar[str] = "plain"
    columns: ClassVar[Mapping[str, str]] = {"text": "the text"}
    formats: ClassVar[tuple[str, ...]] = ("text",)

    def faults(self, values: Mapping[str, Any]) -> str:
        """A text is needed."""
        return text_fault(values, "text")

    def key(self, values: Mapping[str, Any]) -> str:
        """The text."""
        return str(values["text"])

    def texts(self, values: Mapping[str, Any]) -> dict[str, str]:
        """`text`."""
        return {"text": values["text"]}


@dataclass(frozen=True)
class Preference(Shape):
    """A prompt with an answer that was preferred and one that was not (DPO and its kin, reward models)."""

    name: ClassVar[str] = "preference"
    turns: ClassVar[bool] = True
    columns: ClassVar[Mapping[str, str]] = {
        "prompt": "the turns before the answer",
        "chosen": "the turns that were preferred",
        "rejected": "the turns that were not",
        "margin": "by how much the chosen answer is the better one, if that is known",
    }
    formats: ClassVar[tuple[str, ...]] = ("preference", "ultrafeedback")

    def faults(self, values: Mapping[str, Any]) -> str:
        """No turn may be empty, both must end with an answer, and the two must differ."""
        for column in ("prompt", "chosen", "rejected"):
            if not values[column]:
                return reason("no_turn", column=column)
            if found := _turns_fault(values[column], column=column):
                return found
            if column == "prompt" and (found := _nothing_asked(values[column])):
                return found
            if column != "prompt" and (found := _answer_fault(values[column], column=column)):
                return found
        # White space around an answer is nothing that anybody preferred.
        chosen, rejected = (_turns_key(_stripped(values[column])) for column in ("chosen", "rejected"))
        return reason("chosen_is_rejected") if chosen == rejected else ""

    def key(self, values: Mapping[str, Any]) -> str:
        """All three."""
        return BETWEEN.join(_turns_key(values[column]) for column in ("prompt", "chosen", "rejected"))

    def group(self, values: Mapping[str, Any]) -> str:
        """What is asked first."""
        return first_question(values["prompt"])

    def texts(self, values: Mapping[str, Any]) -> dict[str, str]:
        """The content of every turn; one that is asked, or explained, is a conversation (`messages`)."""
        return _columns_texts(values, ("messages", "prompt", "chosen", "rejected"))


@dataclass(frozen=True)
class Unpaired(Shape):
    """A prompt, an answer, and whether it was liked (KTO)."""

    name: ClassVar[str] = "unpaired"
    turns: ClassVar[bool] = True
    columns: ClassVar[Mapping[str, str]] = {
        "prompt": "the turns before the answer",
        "completion": "the turns of the answer",
        "label": "true when it was liked",
    }
    formats: ClassVar[tuple[str, ...]] = ("kto", "kto_messages", "kto_sharegpt", "kto_alpaca")

    def faults(self, values: Mapping[str, Any]) -> str:
        """Prompt and answer are needed, and no turn may be empty."""
        for column in ("prompt", "completion"):
            if not values[column]:
                return reason("no_turn", column=column)
            if found := _turns_fault(values[column], column=column):
                return found
        asked = _nothing_asked(values["prompt"])
        return asked or _answer_fault(values["completion"], column="completion")

    def key(self, values: Mapping[str, Any]) -> str:
        """Prompt and answer."""
        return _turns_key([*values["prompt"], *values["completion"]])

    def group(self, values: Mapping[str, Any]) -> str:
        """What is asked first."""
        return first_question(values["prompt"])

    def stratum(self, values: Mapping[str, Any]) -> str:
        """Liked or not."""
        return "true" if values["label"] else "false"

    def texts(self, values: Mapping[str, Any]) -> dict[str, str]:
        """The content of every turn; one that is asked, or explained, is a conversation (`messages`)."""
        return _columns_texts(values, ("messages", "prompt", "completion"))


@dataclass(frozen=True)
class Prompted(Shape):
    """A prompt that a model answers itself, and what else its row holds (GRPO, RLOO, PPO)."""

    name: ClassVar[str] = "prompted"
    turns: ClassVar[bool] = True
    columns: ClassVar[Mapping[str, str]] = {
        "prompt": "the turns before the answer",
        "row": "the other columns, for rewards",
    }
    formats: ClassVar[tuple[str, ...]] = (
        "prompt_only",
        "prompt_messages",
        "prompt_sharegpt",
        "prompt_alpaca",
    )

    def faults(self, values: Mapping[str, Any]) -> str:
        """A prompt is needed, and no turn may be empty."""
        if not values["prompt"]:
            return reason("no_turn", column="prompt")
        return _turns_fault(values["prompt"], column="prompt")

    def key(self, values: Mapping[str, Any]) -> str:
        """All turns, and what is known of them: the same question may have several right answers."""
        return BETWEEN.join(
            [_turns_key(values["prompt"]), json.dumps(values["row"], sort_keys=True, default=str)]
        )

    def group(self, values: Mapping[str, Any]) -> str:
        """What is asked first."""
        return first_question(values["prompt"])

    def texts(self, values: Mapping[str, Any]) -> dict[str, str]:
        """The content of every turn; one that is asked, or explained, is a conversation (`messages`)."""
        column = "messages" if "messages" in values else "prompt"
        return _turns_texts(values[column], column=column)


@dataclass(frozen=True)
class Tagged(Shape):
    """Words with a tag each (named entities, parts of speech)."""

    name: ClassVar[str] = "tagged"
    target: ClassVar[str] = "tags"
    columns: ClassVar[Mapping[str, str]] = {"tokens": "the words", "tags": "a tag for each of them"}
    formats: ClassVar[tuple[str, ...]] = ("tags",)

    def faults(self, values: Mapping[str, Any]) -> str:
        """As many tags as words, and no word empty."""
        tokens, tags = values["tokens"], values["tags"]
        if not tokens:
            return reason("no_tokens")
        if len(tokens) != len(tags):
            return reason("tokens_and_tags", tokens=len(tokens), tags=len(tags))
        empty = [i for i, token in enumerate(tokens, start=1) if blank(token)]
        return reason("token_empty", number=empty[0]) if empty else ""

    def key(self, values: Mapping[str, Any]) -> str:
        """Words and tags."""
        return " ".join((*values["tokens"], BETWEEN, *values["tags"]))

    def group(self, values: Mapping[str, Any]) -> str:
        """The words."""
        return " ".join(values["tokens"])

    def texts(self, values: Mapping[str, Any]) -> dict[str, str]:
        """Every word."""
        return {f"tokens.{i}": token for i, token in enumerate(values["tokens"])}


@dataclass(frozen=True)
class Translation(Shape):
    """A text and what it should become (translation, summary)."""

    name: ClassVar[str] = "translation"
    target: ClassVar[str] = "target"
    columns: ClassVar[Mapping[str, str]] = {"source": "the text", "target": "what it should become"}
    formats: ClassVar[tuple[str, ...]] = ("source_target",)

    def faults(self, values: Mapping[str, Any]) -> str:
        """Both texts are needed."""
        return text_fault(values, "source") or text_fault(values, "target")

    def key(self, values: Mapping[str, Any]) -> str:
        """Both."""
        return f"{values['source']}{BETWEEN}{values['target']}"

    def group(self, values: Mapping[str, Any]) -> str:
        """The source."""
        return str(values["source"])

    def texts(self, values: Mapping[str, Any]) -> dict[str, str]:
        """Both; the source of a row without an answer."""
        return {name: values[name] for name in ("source", "target") if isinstance(values.get(name), str)}


LABELLED, MULTI_LABELLED, NUMBERED = Labelled("one"), Labelled("many"), Labelled("number")
CONVERSATION, PLAIN, PREFERENCE, UNPAIRED = Conversation(), Plain(), Preference(), Unpaired()
PROMPTED = Prompted()
PAIR, SCORED_PAIR, RANKED = Pair(), ScoredPair(), Ranked()
TAGGED, TRANSLATION, QUESTIONED = Tagged(), Translation(), Questioned()
PICTURED, BOXED, MASKED, CAPTIONED = Pictured(), Boxed(), Masked(), Captioned()
SHAPES = (
    CONVERSATION,
    PREFERENCE,
    UNPAIRED,
    PROMPTED,
    TAGGED,
    TRANSLATION,
    PICTURED,
    BOXED,
    CAPTIONED,
    MASKED,
    QUESTIONED,
    MULTI_LABELLED,
    LABELLED,
    NUMBERED,
    PAIR,
    SCORED_PAIR,
    RANKED,
    PLAIN,
)
