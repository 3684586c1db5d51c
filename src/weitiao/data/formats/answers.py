"""Questions with their answers, as SQuAD and its kin write them  ->  question, context, and answers with their places.

    {"context": "Ada lived in London.", "question": "Where?", "answers": {"text": ["London"], "answer_start": [13]}}
        ->  {"question": "Where?", "context": "Ada ...", "answers": [{"text": "London", "start": 13}]}

Places count code points.  One that does not say its answer is put right where only one place can be meant: by another
way of counting (UTF-16 units, bytes, line ends as one character), else because the answer stands in the context once.
A row that has a sound answer keeps it, whatever its other answers are; a question without any must say so.
"""

from __future__ import annotations

import json
import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, TypeAlias

from weitiao.core.why import reason
from weitiao.data.equal_text import UNSEEN, blank
from weitiao.data.formats.convert import Repairs, Row, Unusable, as_text, kind
from weitiao.data.formats.spelt_list import begins, spelt_list

Answer: TypeAlias = dict[str, Any]
SHOWN = 60
"""Characters of an answer that a reason shows."""
UNITS: dict[str, Callable[[str, str], int]] = {
    "utf16": lambda char, _: 1 + (char > "\uffff"),
    "bytes": lambda char, _: len(char.encode("utf-8", "surrogatepass")),
    "lines": lambda char, behind: int(char + behind != "\r\n"),
}
"""What places count instead of code points: how many each character is, beside the one behind it."""
TRUTHS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def squad(row: Row, repairs: Repairs) -> dict[str, Any]:
    """`answers`: a list of {text, answer_start}, texts alone, or {text: [...], answer_start: [...]}; none of them where
    the context does not answer."""
    said = row["answers"]
    found = [] if said is None else [*_pairs(said)]
    return _converted(row, found, repairs, unanswered=said is not None and not found)


def squad_table(row: Row, repairs: Repairs) -> dict[str, Any]:
    """`answer` and perhaps `answer_start`, one of each or a list; a question without an answer says `is_impossible`."""
    texts, starts = (_several(row[name]) for name in ("answer", "answer_start"))
    found = [*_beside([] if texts == [None] else texts, starts)]
    return _converted(row, found, repairs, unanswered=False)


def _converted(
    row: Row, said: Sequence[tuple[Any, Any]], repairs: Repairs, *, unanswered: bool
) -> dict[str, Any]:
    """The row in its shape's columns.

    Args:
        row: as it stands in the file.
        said: text and start of each answer.
        repairs: hears what was put right.
        unanswered: does the row itself say that there is none?
    """
    question, context = as_text(row["question"]), as_text(row["context"])
    values: dict[str, Any] = {"question": question, "context": context, "answers": []}
    if any(not isinstance(text, str) or blank(text) for text in (question, context)):
        return values  # the shape says what is wrong with it
    said = [(text, start) for text, start in said if not _nothing(text)]
    impossible = _truth(row.get("is_impossible"))
    if impossible and said:
        raise Unusable(reason("impossible_and_answered", answer=_shown(said[0][0])))
    if not said and not impossible and (impossible is False or not unanswered):
        raise Unusable(reason("question_unanswered"))
    faults = []
    for text, start in said:
        try:
            found, note = _placed(as_text(text), start, context)
        except Unusable as error:
            faults.append(str(error))
            continue
        repairs += [note] if note else []
        values["answers"] += [] if found in values["answers"] else [found]
    if faults and not values["answers"]:
        raise Unusable("; ".join(dict.fromkeys(faults)))
    repairs += [reason("answer_left_out", why=why) for why in dict.fromkeys(faults)]
    return values


# ------------------------------------------------------------------ what a file says


def _pairs(cell: Any) -> Iterator[tuple[Any, Any]]:
    """Text and start of each answer, however they are written."""
    if isinstance(cell, str) and cell.lstrip().startswith("{"):  # a table's cell
        try:
            cell = json.loads(cell)
        except (ValueError, RecursionError):
            raise Unusable(reason("answers_no_json")) from None
    if begins(cell) or (isinstance(cell, str) and cell.strip() == "[]"):
        cell = spelt_list(cell)
        if cell is None:
            raise Unusable(reason("text_of_no_list", column="answers"))
    if isinstance(cell, Mapping):  # Hugging Face's way
        texts, starts = (_several(_named(cell, names)) for names in (TEXTS, STARTS))
        yield from _beside(texts, starts)
        return
    for one in _several(cell):
        if isinstance(one, Mapping):
            yield _named(one, TEXTS), _named(one, STARTS)
        else:
            yield one, None


TEXTS, STARTS = ("text", "answer", "answer_text"), ("answer_start", "start", "start_char")


def _named(found: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((found[name] for name in names if name in found), None)


def _beside(texts: Sequence[Any], starts: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    """Texts with the starts that stand beside them."""
    starts = starts if starts != [None] else [None] * len(texts)
    if len(starts) != len(texts):
        raise Unusable(reason("answers_and_starts", answers=len(texts), starts=len(starts)))
    yield from zip(texts, starts, strict=True)


def _several(value: Any) -> list[Any]:
    """A list as it is, one that a cell spells, or one thing as a list of it."""
    if begins(value) and (found := spelt_list(value)) is not None:
        return found
    return list(value) if isinstance(value, list | tuple) else [value]


def _nothing(text: Any) -> bool:
    return text is None or text != text or (isinstance(text, str) and blank(text))


def _truth(value: Any) -> bool | None:
    """Whether a row says that its context does not answer; None where it does not say."""
    if value is None or value != value or (isinstance(value, str) and not value.strip()):
        return None
    word = str(int(value) if isinstance(value, float) and value.is_integer() else value).strip().lower()
    if word not in TRUTHS:
        raise Unusable(reason("not_true_or_false_named", column="is_impossible", value=_shown(value)))
    return TRUTHS[word]


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


# ------------------------------------------------------------------ where it stands


def _placed(text: Any, start: Any, context: str) -> tuple[Answer, str]:
    """An answer as it stands in its context, and what had to be put right.

    Raises:
        Unusable: when it stands nowhere, or nobody can say where.
    """
    if not isinstance(text, str):
        raise Unusable(reason("answer_no_text", kind=kind(text)))
    left = len(text) - len(text.lstrip())
    own, at = text.strip(), _whole(start)
    if at is not None:
        at += left
        if at >= 0 and context[at : at + len(own)] == own:
            return {"text": own, "start": at}, ""
    said = {"answer": _shown(own), "start": start}
    spans = [(found, found + len(own)) for found in _all(own, context)]
    for unit, meant in _otherwise(at, context) if at is not None else ():
        if (meant, meant + len(own)) in spans:
            return {"text": own, "start": meant}, reason(f"start_counts_{unit}", now=meant, **said)
    alike = spans or [*_alike(own, context)]
    apart = [span for span in alike if _stands_alone(context, *span)]
    one = apart if len(apart) == 1 else alike
    if len(one) == 1:
        ((begin, end),) = one
        there = {"text": context[begin:end], "start": begin}
        if not spans:
            return there, reason("answer_spelt", there=_shown(there["text"]), now=begin, **said)
        return there, "" if at is None else reason("start_moved", now=begin, **said)
    if not alike:
        raise Unusable(reason("answer_not_there", answer=_shown(own)))
    many = {"answer": _shown(own), "count": len(alike)}
    raise Unusable(
        reason("answer_often", **many) if at is None else reason("start_off_often", start=start, **many)
    )


def _whole(start: Any) -> int | None:
    """A start as a number; None where there is none."""
    if start is None or start != start or (isinstance(start, str) and not start.strip()):
        return None
    try:
        found = float(start)
        if isinstance(start, bool) or found != int(found):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise Unusable(reason("start_no_number", start=_shown(start))) from None
    return int(found)


def _all(own: str, context: str) -> Iterator[int]:
    at = context.find(own)
    while at >= 0:
        yield at
        at = context.find(own, at + 1)


def _otherwise(start: int, context: str) -> Iterator[tuple[str, int]]:
    """The code point that is meant where places count something else, and what that is."""
    for unit, width in UNITS.items():
        passed = [0, *accumulate(map(width, context, f"{context[1:]} "))]
        place = bisect_left(passed, start)
        if place < len(passed) and passed[place] == start and place != start:
            yield unit, place


def _alike(own: str, context: str) -> Iterator[tuple[int, int]]:
    """Where a text that reads the same stands: case, width, accents composed or not, and white space do not matter."""
    wanted, _ = _folded(own)
    there, places = _folded(context)
    for at in _all(wanted, there) if wanted else ():
        yield places[at], _end(context, places[at + len(wanted) - 1])


def _folded(text: str) -> tuple[str, list[int]]:
    """A text by how it reads, and of each of its characters the place that it is from."""
    found: list[str] = []
    places: list[int] = []
    for place, char in enumerate(text):
        if UNSEEN.fullmatch(char):
            continue
        plain = " " if char.isspace() else unicodedata.normalize("NFKD", char.casefold())
        if plain == " " and (not found or found[-1] == " "):
            continue
        found += plain
        places += [place] * len(plain)
    if found and found[-1] == " ":
        del found[-1], places[-1]
    return "".join(found), places


def _end(context: str, last: int) -> int:
    """Behind a character and the marks that belong to it."""
    end = last + 1
    while end < len(context) and unicodedata.combining(context[end]):
        end += 1
    return end


def _stands_alone(context: str, begin: int, end: int) -> bool:
    """Is it no part of a longer word?"""
    before, behind = context[max(0, begin - 1) : begin + 1], context[end - 1 : end + 1]
    return not any(len(pair) == 2 and all(map(_of_word, pair)) for pair in (before, behind))


def _of_word(char: str) -> bool:
    """A letter or digit of those that are written together into words."""
    return char.isalnum() and unicodedata.name(char, "").split(" ")[0] not in ("CJK", "HIRAGANA", "KATAKANA")
