"""Conversations by the hundred: rendered in the helper process, tokenised together, labelled.

encode(records, processor)  ->  (ids, labels), (ids, labels), ...
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from typing import Any

from weitiao.core.contracts import Record
from weitiao.core.errors import WeitiaoError, fault
from weitiao.core.why import reason
from weitiao.data.chat import sandbox
from weitiao.data.chat.labels import IGNORE, Labels, special_tokens
from weitiao.data.chat.seeing import Prompt, Seeing, Shown, expanded, parts, pictures
from weitiao.data.chat.spans import Span, Turns, trained_turns
from weitiao.data.formats import Unusable
from weitiao.data.pictured import IMAGE
from weitiao.data.plain import NONCHARACTERS
from weitiao.data.plain import plain as as_characters

ROWS = 64  # rendered and tokenised at a time: enough to share the way there, little to hold


class Conversations:
    """A tokenizer with its template, ready for rows.

    Args:
        processor: a fast tokenizer with a chat template.
        plain: what somebody wrote is characters, also where it spells a special token; replies come as `twin` spells.
    """

    def __init__(self, processor: Any, *, plain: bool) -> None:
        self.processor = processor
        self.twin = as_characters(processor).twin if plain else None
        self.seeing = processor if isinstance(processor, Seeing) else None
        self._specials = tuple(special_tokens(processor))
        self._templates: dict[bool, tuple[str, list[str]]] = {}

    def render(self, jobs: Sequence[tuple[str, Turns, Any]], *, places: Sequence[str]) -> list[Any]:
        """What `worker` answers to (kind, messages, tools), in order: its reply, or `Unusable` for a row at fault.

        Raises:
            WeitiaoError: `chat_template` when there is none, or it fails whatever the row is; `no_helper`.
        """
        found: list[Any] = []
        for tools, together in groupby(jobs, key=lambda job: bool(job[2])):
            template, marks = self._template(tools=tools, place=places[len(found)])
            tokens = dict(self.processor.special_tokens_map)
            batch = [(kind, messages, given or None) for kind, messages, given in together]
            unshown = [
                _unshown(template, messages, given) or self._unseen(messages) for _, messages, given in batch
            ]
            if self.seeing:
                batch = [(kind, parts(messages), given) for kind, messages, given in batch]
            if self.twin:
                unshown = [why or _strange(job) for why, job in zip(unshown, batch, strict=True)]
                batch = [(kind, *self.twin.hide(turns)) for kind, *turns in batch]
            asked = [job for job, why in zip(batch, unshown, strict=True) if not why]
            request = {"template": template, "tokens": tokens, "marks": marks, "jobs": asked}
            replies = iter(sandbox.ask(request) if asked else ())
            for why in unshown:
                reply = {"unusable": why} if why else next(replies)
                if "fault" in reply:
                    raise fault("chat_template", place=places[len(found)], why=reply["fault"])
                if self.twin and "text" in reply:
                    reply = {**reply, "text": self.twin.spelt(reply["text"])}
                found.append(Unusable(reply["unusable"]) if "unusable" in reply else reply)
        return found

    def _unseen(self, messages: Turns) -> str:
        return reason("pictures_unread") if not self.seeing and pictures(messages) else ""

    def shown(self, reply: Any, messages: Turns, *, kind: str) -> Any:
        """A reply with what stands for each picture in its text: `places` says where, `pictures` which; `Unusable` where that
        cannot be told."""
        if self.seeing is None or isinstance(reply, Unusable):
            return reply
        try:
            # What stands behind the last trained answer is left out.
            last = len(messages) if kind == "prompt" else trained_turns(messages)[-1] + 1
            seen = pictures(messages[:last])
            found = expanded(reply["text"], reply.get("spans", ()), seen, self.seeing, self.twin)
        except Unusable as error:
            return error
        text, spans, places = found
        return {"text": text, "spans": spans, "places": places, "pictures": [each[IMAGE] for each in seen]}

    def read(self, reply: Mapping[str, Any]) -> str:
        """The text of a reply as people read it."""
        return self.twin.read(reply["text"]) if self.twin else reply["text"]

    def _template(self, *, tools: bool, place: str) -> tuple[str, list[str]]:
        """The template for rows with or without tools, and the special tokens that may close an answer in it."""
        if tools not in self._templates:
            if not self.processor.chat_template:
                raise fault("chat_template", place=place, why=reason("template_none"))
            try:
                template = self.processor.get_chat_template(tools=[{}] if tools else None)
            except ValueError as error:  # several templates, and none of them the default
                raise fault("chat_template", place=place, why=error) from None
            marks = [mark for mark in self._specials if mark in template]
            eos = getattr(self.processor, "eos_token", None)
            self._templates[tools] = template, list(dict.fromkeys([*marks, *([eos] if eos else [])]))
        return self._templates[tools]


def _unshown(template: str, messages: Turns, tools: Any) -> str:
    """What of a row the template never looks at, so that it would vanish without a word; empty when nothing."""
    if tools and "tools" not in template:
        return reason("tools_unshown")
    if "tool_calls" not in template and any(turn.get("tool_calls") for turn in messages):
        return reason("calls_unshown")
    return ""


def _strange(job: tuple[Any, ...]) -> str:
    """Why a row cannot be told apart from how special tokens are spelt; empty when it can."""
    if not NONCHARACTERS.search(json.dumps(job, ensure_ascii=False, default=str)):
        return ""
    return reason("no_code_point")


def encode(
    records: Iterable[Record], processor: Any, *, last_only: bool = False, plain: bool = True
) -> Iterator[tuple[list[int], list[int]]]:
    """Token ids of each conversation and, beside each id, itself where it is trained and IGNORE where not.

    The iterator raises `Unusable` in the place of a row that cannot be used, and can be asked on after that.

    Args:
        records: rows with `messages`, and `tools` if there are any.
        processor: a fast tokenizer with a chat template.
        last_only: train on the last answer of each conversation alone.
        plain: read what somebody wrote as characters, also where it spells a special token.

    Raises:
        Unusable: by the iterator, for a row's own fault.
        WeitiaoError: by the iterator, `chat_template`, `slow_tokenizer` or `no_helper` when no row can be encoded.
    """
    return map(_pair, _encoded(records, processor, kind="last" if last_only else "all", plain=plain))


def _pair(row: Any) -> tuple[list[int], list[int]]:
    found: Shown = _given(row)
    return found.ids, found.labels


def encode_shown(
    records: Iterable[Record], processor: Seeing, *, last_only: bool = False, plain: bool = True
) -> Iterator[Shown | Unusable]:
    """The same of conversations that may show pictures, and where their tokens stand; what cannot be used in its place."""
    return _encoded(records, processor, kind="last" if last_only else "all", plain=plain)


def _encoded(records: Iterable[Record], processor: Any, *, kind: str, plain: bool) -> Iterator[Any]:
    conversations = Conversations(processor, plain=plain)
    labels = Labels(processor, conversations.twin)
    waiting = iter(records)
    while batch := list(islice(waiting, ROWS)):
        replies = [
            conversations.shown(reply, record.values["messages"], kind=kind)
            for reply, record in zip(_rendered(batch, conversations, kind=kind), batch, strict=True)
        ]
        good = [reply for reply in replies if not isinstance(reply, Unusable)]
        texts, spans, places = ([r.get(name, ()) for r in good] for name in ("text", "spans", "places"))
        rows = iter(labels(texts, spans, places) if good else ())
        for reply in replies:
            row = reply if isinstance(reply, Unusable) else next(rows)
            yield row if isinstance(row, Unusable) else Shown(*row, reply.get("pictures", []))


def _rendered(records: Sequence[Record], conversations: Conversations, *, kind: str) -> list[Any]:
    jobs = [(kind, record.values["messages"], record.values.get("tools")) for record in records]
    return conversations.render(jobs, places=[record.place for record in records])


def _given(row: Any) -> Any:
    if isinstance(row, Unusable):
        raise row
    return row


def asked_or_answered(
    records: Iterable[Record], processor: Any, *, plain: bool = True
) -> Iterator[tuple[list[int], list[int]] | Unusable]:
    """Of rows with a `prompt` its token ids, up to where the answer begins, none of them trained; of rows with `messages` what
    `encode` gives.  A row at fault is `Unusable` in its place.

    Args:
        records: rows of either kind.
        processor: a fast tokenizer with a chat template.
        plain: as of `encode`.
    """
    conversations = Conversations(processor, plain=plain)
    read = conversations.twin.processor if conversations.twin else processor
    waiting = iter(records)
    while batch := list(islice(waiting, ROWS)):
        if any("messages" in record.values for record in batch):
            yield from (
                found if isinstance(found, Unusable) else (found.ids, found.labels)
                for record in batch
                for found in _encoded([record], processor, kind="all", plain=plain)
            )
            continue
        jobs = [("prompt", record.values["prompt"], None) for record in batch]
        for reply in conversations.render(jobs, places=[record.place for record in batch]):
            if isinstance(reply, Unusable):
                yield reply
                continue
            ids = list(read(reply["text"], add_special_tokens=False, verbose=False)["input_ids"])
            yield ids, [IGNORE] * len(ids)


def render(record: Record, processor: Any, *, last_only: bool = False) -> tuple[str, list[Span]]:
    """The conversation as the model sees it, and the character spans of the answers that are trained.

    For many rows use `encode`, which asks the helper process for many at once.

    Raises:
        Unusable: for the row's own fault; see `spans.locate`.
        WeitiaoError: `chat_template` when no row can be rendered.
    """
    conversations = Conversations(processor, plain=True)
    (reply,) = _rendered([record], conversations, kind="last" if last_only else "all")
    reply = _given(reply)
    return conversations.read(reply), [(start, end) for start, end in reply["spans"]]


def token_labels(processor: Any, text: str, spans: Sequence[Span]) -> tuple[list[int], list[int]]:
    """Token ids of a rendered text and, beside each, itself where it is trained and IGNORE where not.

    Raises:
        Unusable: what `labels` finds wrong with the row.
    """
    found = _given(Labels(processor)([text], [spans])[0])
    return found.ids, found.labels


def prompt_text(
    messages: Sequence[Mapping[str, Any]], processor: Any, *, tools: Any = None, place: str = ""
) -> str:
    """Turns up to a question, rendered so that the model answers next; as in training, so in use.

    Raises:
        WeitiaoError: `chat_template` when there is none, or it refuses the turns.
    """
    conversations = Conversations(processor, plain=True)
    return conversations.read(_prompt(conversations, messages, tools, place))


def prompt_ids(
    messages: Sequence[Mapping[str, Any]],
    processor: Any,
    *,
    tools: Any = None,
    place: str = "",
    plain: bool = True,
) -> list[int]:
    """The same as tokens, in which what somebody wrote is characters if it is `plain`.

    Raises:
        WeitiaoError: as `prompt_text`.
    """
    conversations = Conversations(processor, plain=plain)
    reply = _prompt(conversations, messages, tools, place)
    read = conversations.twin.processor if conversations.twin else processor
    ids = list(read(reply["text"], add_special_tokens=False, verbose=False)["input_ids"])
    return Prompt(ids, reply["pictures"]) if reply.get("pictures") else ids


def _prompt(conversations: Conversations, messages: Turns, tools: Any, place: str) -> dict[str, Any]:
    place = place or reason("the_prompt")
    (reply,) = conversations.render([("prompt", messages, tools)], places=[place])
    reply = conversations.shown(reply, messages, kind="prompt")
    if isinstance(reply, Unusable):
        raise fault("chat_template", place=place, why=reply)
    return dict(reply)


def _first_look(processor: Any) -> tuple[str, list[str]] | None:
    """A question and an answer as the template writes them, and the special tokens that end the answer."""
    turns = [{"role": "user", "content": "0"}, {"role": "assistant", "content": "1"}]
    conversations = Conversations(processor, plain=False)  # nobody's words are looked at
    (reply,) = conversations.render([("all", turns, None)], places=["a first look"])
    if isinstance(reply, Unusable):
        return None
    text, (start, end) = reply["text"], reply["spans"][-1]
    return text, [mark for mark in special_tokens(processor) if text.endswith(mark, start, end)]


def ends(processor: Any) -> list[int]:
    """The token that the template writes behind an answer, at which generation must stop; none where it writes none."""
    if not getattr(processor, "chat_template", None):
        return []
    try:
        look = _first_look(processor)
    except WeitiaoError:  # rows say it, with their place
        return []
    return [special_tokens(processor)[max(look[1], key=len)]] if look and look[1] else []


def closing(processor: Any) -> int | None:
    """The special token that a conversation ends with as it is written; None where it ends otherwise."""
    if not getattr(processor, "chat_template", None):
        return None
    try:
        look = _first_look(processor)
    except WeitiaoError:  # rows say it, with their place
        return None
    known = special_tokens(processor)
    return (
        known[max(mark, key=len)]
        if look and (mark := [one for one in known if look[0].endswith(one)])
        else None
    )


def notices(processor: Any) -> list[str]:
    """What is odd about a tokenizer's template, to be said once before training; empty when nothing is."""
    if not getattr(processor, "chat_template", None):
        return []  # whoever needs one says it, with the row
    if (look := _first_look(processor)) is None:
        return []
    text, ending = look
    found = []
    eos, bos = getattr(processor, "eos_token", None), getattr(processor, "bos_token", None)
    if not ending:
        found.append(reason("no_end_written"))
    elif eos not in ending:
        found.append(reason("another_end_written", written=max(ending, key=len), eos=eos))
    if "strftime_now" in (processor.get_chat_template() or ""):
        found.append(reason("today_written"))
    # Ids, not text: only the tokenizer knows what it puts first when nobody says otherwise.
    if bos and not text.startswith(bos) and processor("0")["input_ids"][:1] == [processor.bos_token_id]:
        found.append(reason("begin_left_out", bos=bos))
    return found
