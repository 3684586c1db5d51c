"""Where the answers stand in a rendered conversation, found by rendering its prefixes.

    [user, assistant, user, assistant], draw  ->  locate(...)  ->  text, [(start, end), (start, end)]

For every answer that is trained, three texts say where it is: `before`, the turns up to it with the generation
prompt; `upto`, the turns up to and with it; and `text`, the conversation up to its last trained answer.  `before`
must open `upto`, and `upto` must open `text`; then what `upto` adds is the answer, and it stands in `text` at the
same place.  No `{% generation %}` marks are needed, and a template that rewrites earlier turns is found out.

This runs in the helper process of `sandbox`, and imports nothing heavy.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from weitiao.core.why import reason
from weitiao.data.formats import Unusable

Span: TypeAlias = tuple[int, int]
Turns: TypeAlias = Sequence[Mapping[str, Any]]
CHOICES = ("weight", "loss", "train")  # names that data sets use for "learn this turn or not"


class Draw(Protocol):
    """Render turns, with what makes the model answer next or without."""

    def __call__(self, turns: Turns, *, prompt: bool) -> str:
        """The text."""
        ...


def locate(
    messages: Turns, draw: Draw, *, marks: Sequence[str] = (), last_only: bool = False
) -> tuple[str, list[Span]]:
    """The conversation up to its last trained answer as the model sees it, and the answers' character spans.

    A span begins behind the generation prompt and ends behind the answer's end token; white space after that
    belongs to the next turn.  What stands after the last trained answer is left out: nothing would be learnt from
    it.  A row of one answer costs two renderings, and every further answer two more.

    Args:
        messages: turns as OpenAI has them; `weight` (0 or 1), `loss` or `train` of an assistant turn say whether
            it is trained (default: yes).
        draw: renders turns.
        marks: the tokenizer's special tokens as text.
        last_only: train on the last answer alone.

    Raises:
        Unusable: when nothing is to be trained, or an answer is written otherwise in `text` than where it is given.
    """
    answers = trained_turns(messages)
    answers = answers[-1:] if last_only else answers
    turns = [plain(turn) for turn in messages[: answers[-1] + 1]]
    text = draw(turns, prompt=False)
    spans: list[Span] = []
    for answer in answers:
        upto = text if answer == answers[-1] else draw(turns[: answer + 1], prompt=False)
        before = prompt(turns[:answer], draw, answer=turns[answer], upto=upto)
        end = _end(upto, turns[: answer + 1], draw, marks, start=len(before))
        if not upto.startswith(before):
            raise Unusable(reason("prompt_not_before", number=answer + 1))
        if not text.startswith(upto[:end]):
            raise Unusable(reason("written_otherwise", number=answer + 1))
        if end <= len(before):
            raise Unusable(reason("writes_nothing", number=answer + 1))
        spans.append((len(before), end))
    return text, spans


def prompt(
    turns: Turns, draw: Draw, *, answer: Mapping[str, Any] | None = None, upto: str | None = None
) -> str:
    """What stands before the next answer.

    That is the rendering with the generation prompt.  Where the template knows none, what it writes before any
    answer (`ASSISTANT:`) is the prompt too: it is found as the common beginning of two renderings that answer
    differently.  A space before the answer stays with the answer, since tokenizers join it to the next word.

    Args:
        turns: the turns before the answer.
        draw: renders turns.
        answer: the answer that follows, if it is known; spares renderings when it plainly starts at once.
        upto: the rendering that ends with that answer.
    """
    before = draw(turns, prompt=True)
    if answer is not None and upto is not None:
        said = _words(answer).strip()
        # Only an answer that repeats the header itself could look so and have a header before it.
        if said and upto.startswith(before) and upto[len(before) :].lstrip(" ").startswith(said):
            return before
    if draw(turns, prompt=False) != before:
        return before
    try:
        probes = [draw([*turns, {"role": "assistant", "content": word}], prompt=False) for word in "01"]
    except Unusable:  # the template takes no answer here; whoever needs one will hear it
        return before
    header = os.path.commonprefix(probes).rstrip(" ")
    return header if header.startswith(before) and (upto is None or upto.startswith(header)) else before


def _words(turn: Mapping[str, Any]) -> str:
    """What a turn says first."""
    content = turn.get("content") or ""
    return content if isinstance(content, str) else str(content[0].get("text", ""))


def trained_turns(messages: Turns) -> list[int]:
    """Numbers (from 0) of the assistant turns that are trained; an opening turn answers nothing, and is not.

    Raises:
        Unusable: when there are none, or one says neither yes nor no.
    """
    answers = [number for number, turn in enumerate(messages) if turn["role"] == "assistant" and number]
    if not answers:
        raise Unusable(reason("no_assistant_turn"))
    trained = [number for number in answers if _wanted(messages[number], number)]
    if not trained:
        raise Unusable(reason("all_weights_zero"))
    return trained


def _wanted(turn: Mapping[str, Any], number: int) -> bool:
    said = {name: turn[name] for name in CHOICES if turn.get(name) is not None}
    for name, value in said.items():
        if value not in (0, 1):  # True and False are 1 and 0
            raise Unusable(reason("turn_weight", number=number + 1, name=name, value=repr(value)))
    if len(set(map(bool, said.values()))) > 1:
        names = ", ".join(f"`{name}`" for name in said)
        raise Unusable(reason("turn_weights", number=number + 1, names=names))
    return all(said.values())


def plain(turn: Mapping[str, Any]) -> dict[str, Any]:
    """A turn as templates expect it: no empty fields, no training choices, arguments of tool calls as objects.

    OpenAI gives the arguments as JSON text; a template that writes them as JSON would quote that text again.
    """
    kept = {key: value for key, value in turn.items() if value is not None and key not in CHOICES}
    if kept.get("tool_calls"):
        kept["tool_calls"] = [_call(call) for call in kept["tool_calls"]]
    return kept


def _call(call: Any) -> Any:
    if isinstance(call, Mapping) and isinstance(call.get("function"), Mapping):
        return {**call, "function": _call(call["function"])}
    if isinstance(call, Mapping) and isinstance(call.get("arguments"), str):
        try:
            arguments = json.loads(call["arguments"])
        except ValueError:
            return call
        return {**call, "arguments": arguments} if isinstance(arguments, dict) else call
    return call


def _end(upto: str, turns: Turns, draw: Draw, marks: Sequence[str], *, start: int) -> int:
    """Where the last answer of `upto` ends.

    A template may close the whole conversation with a mark of its own (Phi-3's `<|endoftext|>` after `<|end|>`),
    which is no part of the answer.  It is what vanishes when the model is asked to go on.
    """
    end = len(upto.rstrip())
    if not marks or _closing(upto[start:end], tuple(marks)) < 2:
        return end
    try:
        going_on = draw(turns, prompt=True)
    except Unusable:
        return end
    if going_on.startswith(upto[:end]):
        return end
    common = len(os.path.commonprefix([upto, going_on]))
    words = "|".join(map(re.escape, sorted(marks, key=len, reverse=True)))
    ends = [match.end() for match in re.finditer(words, upto[start:common])]
    return start + ends[-1] if ends else len(upto[:common].rstrip())


def _closing(answer: str, marks: tuple[str, ...]) -> int:
    """How many marks an answer ends with, one after another."""
    count = 0
    while answer.endswith(marks):
        count += 1
        answer = answer[: -max(len(mark) for mark in marks if answer.endswith(mark))].rstrip()
    return count
