"""A language model that answers, tuned or not.

run.speaker.answer([{"role": "user", "content": "2 + 2?"}])   ->  "4"
run.speaker.answers([[...], [...]])                           ->  [{"answer": "4", "ending": "end"}, ...]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from weitiao.core.contracts import Record, Task
from weitiao.core.errors import fault
from weitiao.core.why import because, reason
from weitiao.data import formats
from weitiao.data.formats.pictured import ANYWHERE
from weitiao.data.formats.turned import IMAGES

if TYPE_CHECKING:
    from weitiao.models.load import Loaded
    from weitiao.models.precision import Half

Turns: TypeAlias = Sequence[Mapping[str, Any]]
KEPT_PER_TRAINED = 4
"""Tokens that are kept at once for each that a pass of training held: what is kept of a token, its keys and values, is at
most 2 numbers a unit of width in each layer, where training keeps about 17 (Korthikanti et al. 2022, arXiv 2205.05198,
section 4.1, without the scores of attention)."""


@dataclass(frozen=True)
class Speaker:
    """A language model that answers, on its device and in its precision."""

    loaded: Loaded
    task: Task
    device: str
    half: Half | None
    limit: int
    """Longest row in tokens, prompt and answer."""
    rows: int = 16
    """Answers that are made at once, at most."""
    tokens: int = 4096
    """Tokens that are kept at once, at most."""

    def answer(
        self,
        messages: str | Turns,
        *,
        max_new_tokens: int = 200,
        tools: Any = None,
        streamer: Any = None,
        sample: bool = False,
        temperature: float = 0.7,
        top_k: int | None = 50,
        top_p: float | None = None,
        seed: int | None = None,
    ) -> str:
        """The next turn: the likeliest words, unless `sample`.

        Args:
            messages: turns, or the user's words alone.
            max_new_tokens: longest answer.
            tools: JSON schemas of what may be called, for templates that show them.
            streamer: hears the tokens as they come (Transformers' `TextStreamer`).
            sample: draw words instead.
            temperature: of the draw; lower is more certain.
            top_k: only so many of the likeliest words take part; None: all.
            top_p: only the likeliest words that together have this probability take part; None: all.
            seed: of the draw, which depends on it and on the row's place alone; None: another one each time.

        Raises:
            WeitiaoError: `wrong_usage` for a number out of its range; `chat_template` when the turns do not fit.
        """
        drawn = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "seed": seed}
        choice: dict[str, Any] = drawn if sample else {}
        (found,) = self.answers(
            [messages],
            max_new_tokens=max_new_tokens,
            tools=[tools],
            streamer=streamer,
            sample=sample,
            **choice,
        )
        return str(found["answer"])

    def answers(
        self,
        conversations: Sequence[str | Turns],
        *,
        max_new_tokens: int = 200,
        tools: Sequence[Any] | None = None,
        progress: Callable[[int, int], None] | None = None,
        **options: Any,
    ) -> list[dict[str, Any]]:
        """The next turn of each conversation, many at a time: `answer`, and why it ends there, `ending` (`end`, an end
        token; `length`, `max_new_tokens`; `full`, the model has no more positions).

        Args:
            conversations: turns of each, or the user's words alone.
            max_new_tokens: longest answer.
            tools: those of each conversation.
            progress: hears (answers done, answers).
            options: as `answer`; and `notice`, who hears what a user should know.

        Raises:
            WeitiaoError: as `answer`.
        """
        from weitiao.evaluate.predict import answers

        _refuse_odd(max_new_tokens=max_new_tokens, **options)
        processor, each = self.loaded.processor, tools or [None] * len(conversations)
        prompts = [
            self.task.opening(turns_of(asked), processor, tools=shown)
            for asked, shown in zip(conversations, each, strict=True)
        ]
        words: dict[str, Any] = {"rows": self.rows, "tokens": self.tokens, "limit": self.limit, **options}
        return answers(
            self.loaded,
            self.task,
            prompts,
            device=self.device,
            half=self.half,
            progress=progress,
            max_new_tokens=max_new_tokens,
            **words,
        )


def turns_of(asked: str | Turns) -> Turns:
    """Turns, the user's words as one; pictures that they show are looked at.

    Raises:
        WeitiaoError: `chat_template` where one of these cannot be used.
    """
    if isinstance(asked, str):
        return [{"role": "user", "content": asked}]
    if not any(isinstance(turn.get("content"), list) or turn.get(IMAGES) for turn in asked):
        return asked
    given = Record("", 1, {"messages": [*asked]})
    try:
        found = formats.convert(given, format="messages", columns={}, pictures=ANYWHERE)
    except formats.Unusable as error:
        raise fault("chat_template", place=reason("the_prompt"), why=error) from None
    turns: Turns = found.values["messages"]
    return turns


def _refuse_odd(**options: Any) -> None:
    """Numbers that make no sense."""
    ranges: dict[str, tuple[Callable[[Any], bool], str]] = {
        "max_new_tokens": (lambda value: value >= 1, ">= 1"),
        "temperature": (lambda value: value > 0, "> 0"),
        "top_k": (lambda value: value is None or value >= 1, ">= 1"),
        "top_p": (lambda value: value is None or 0 < value <= 1, "> 0, <= 1"),
    }
    for name, (holds, meant) in ranges.items():
        if name in options and not holds(options[name]):
            raise fault("wrong_usage", **because("odd_number", name=name, value=options[name], meant=meant))
