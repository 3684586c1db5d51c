"""Answers that were judged, one by one or beside another, as they are found  ->  a prompt and its answers.

{"prompt": ..., "chosen": ..., "rejected": ...}              ->  {"prompt": [user], "chosen": [assistant], "rejected": [...]}
{"chosen": "\\n\\nHuman: ...\\n\\nAssistant: ...", ...}          ->  the same: what both begin with is the prompt
{"instruction": ..., "completions": [{"response": ...}, ...]}  ->  the same: the best and the worst of them
{"prompt": ..., "completion": ..., "label": true}            ->  {"prompt": [user], "completion": [assistant], "label": true}
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from os.path import commonprefix
from typing import Any

from weitiao.core.why import reason
from weitiao.data.formats.convert import (
    Repairs,
    Row,
    Unusable,
    a_turn,
    as_turns,
    history_of,
    instruction_of,
    kind,
    system_of,
    text_of,
    turns_or_text,
)

Turns = list[dict[str, Any]]

SCORES = ("fine-grained_score", "overall_score")
"""What UltraFeedback says of an answer: the mean of four ratings, and one of the whole, which it also took down wrongly (10
for 1), so that the former counts where all answers have it."""
APART = 0x2E80
"""From here on scripts are written without spaces between words (Chinese, Japanese)."""


def preference(row: Row, repairs: Repairs) -> dict[str, Any]:
    """TRL's `chosen` and `rejected` behind a `prompt`, a conversation, an instruction, or a beginning that they share."""
    chosen, rejected = (turns_or_text(row, name, "assistant", repairs) for name in ("chosen", "rejected"))
    if row.get("prompt") is not None:
        prompt = turns_or_text(row, "prompt", "user", repairs)
    elif row.get("conversations") is not None:
        prompt = as_turns(row["conversations"], "conversations")
    elif row.get("instruction") is not None:
        prompt = [*history_of(row), a_turn("user", instruction_of(row))]
    elif row.get("input"):
        prompt = [*history_of(row), *turns_or_text(row, "input", "user", repairs)]
    else:
        shared = 0
        while shared < min(len(chosen), len(rejected)) and chosen[shared] == rejected[shared]:
            shared += 1
        prompt = chosen[:shared]
        if _alone(chosen) and _alone(rejected):
            prompt, chosen, rejected = _begun(chosen, rejected, repairs)
    # Some hold the prompt beside conversations that begin with it.
    if chosen[: len(prompt)] == prompt == rejected[: len(prompt)]:
        chosen, rejected = chosen[len(prompt) :], rejected[len(prompt) :]
    return {"prompt": [*system_of(row), *prompt], "chosen": chosen, "rejected": rejected, **_ahead(row)}


def ultrafeedback(row: Row, repairs: Repairs) -> dict[str, Any]:
    """UltraFeedback's answers of several models: the first of the best ones and the first of the worst ones.

    Raises:
        Unusable: where there are fewer than two, where they are not scored, and where all are worth the same.
    """
    given = row["completions"]
    if not isinstance(given, list):
        raise Unusable(reason("not_a_list", column="completions", kind=kind(given)))
    if len(given) < 2 or not all(isinstance(each, Mapping) for each in given):
        raise Unusable(reason("few_completions"))
    scores = next(filter(None, (_scores(given, name) for name in SCORES)), None)
    if scores is None:
        raise Unusable(reason("completions_unscored", known=", ".join(SCORES)))
    if min(scores) == max(scores):
        raise Unusable(reason("completions_alike", score=f"{scores[0]:g}"))
    best, worst = (text_of(given[scores.index(most(scores))], "response") for most in (max, min))
    prompt = [*system_of(row), a_turn("user", instruction_of(row))]
    return {
        "prompt": prompt,
        "chosen": [a_turn("assistant", best)],
        "rejected": [a_turn("assistant", worst)],
    }


def kto(row: Row, repairs: Repairs) -> dict[str, Any]:
    """TRL's unpaired preference: an answer and whether it was liked."""
    prompt = turns_or_text(row, "prompt", "user", repairs)
    answer = turns_or_text(row, "completion", "assistant", repairs)
    return {"prompt": prompt, "completion": answer, "label": _liked(row, "label")}


def kto_messages(row: Row, repairs: Repairs) -> dict[str, Any]:
    """The same as a conversation whose last turn is the answer."""
    turns = as_turns(row["messages"], "messages")
    return {"prompt": turns[:-1], "completion": turns[-1:], "label": _liked(row, "label")}


def kto_sharegpt(row: Row, repairs: Repairs) -> dict[str, Any]:
    """LLaMA-Factory's, in ShareGPT's spelling."""
    turns = [*system_of(row), *as_turns(row["conversations"], "conversations")]
    return {"prompt": turns[:-1], "completion": turns[-1:], "label": _liked(row, "kto_tag")}


def kto_alpaca(row: Row, repairs: Repairs) -> dict[str, Any]:
    """LLaMA-Factory's, in Alpaca's spelling."""
    prompt = [*system_of(row), *history_of(row), a_turn("user", instruction_of(row))]
    answer = [a_turn("assistant", text_of(row, "output"))]
    return {"prompt": prompt, "completion": answer, "label": _liked(row, "kto_tag")}


def _alone(turns: Turns) -> bool:
    return len(turns) == 1 and turns[0]["role"] == "assistant" and isinstance(turns[0]["content"], str)


def _begun(chosen: Turns, rejected: Turns, repairs: Repairs) -> tuple[Turns, Turns, Turns]:
    """TRL's prompt that is not told apart: the words with which two plain texts begin; never a part of a word."""
    texts = [side[0]["content"] for side in (chosen, rejected)]
    end = len(commonprefix(texts))
    while end and any(_in_word(text, end) for text in texts):
        end -= 1
    if not (asked := texts[0][:end].strip()):
        return [], chosen, rejected
    repairs.append(reason("prompt_is_beginning"))
    chosen, rejected = ([a_turn("assistant", text[end:].strip())] for text in texts)
    return [a_turn("user", asked)], chosen, rejected


def _in_word(text: str, place: int) -> bool:
    return all(
        each.isalnum() and ord(each) < APART for each in (text[place - 1], text[place : place + 1] or " ")
    )


def _ahead(row: Row) -> dict[str, Any]:
    """By how much the chosen answer is the better one: as it is said, or by the scores of both."""
    if row.get("margin") not in (None, ""):
        return {"margin": row["margin"]}
    scores = [row.get(name) for name in ("chosen_score", "rejected_score")]
    if all(score in (None, "") for score in scores):
        return {}
    chosen, rejected = map(_number, scores)
    if math.isnan(chosen - rejected):
        raise Unusable(
            reason("scores_no_numbers", chosen=repr(scores[0])[:40], rejected=repr(scores[1])[:40])
        )
    return {"margin": chosen - rejected}


def _scores(given: Sequence[Row], name: str) -> list[float] | None:
    found = [_number(each.get(name)) for each in given]
    return None if any(map(math.isnan, found)) else found


def _number(value: Any) -> float:
    """nan where it is none."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
    return number if math.isfinite(number) else math.nan


def _liked(row: Row, column: str) -> bool:
    value = row[column]
    word = str(int(value) if isinstance(value, float) and value.is_integer() else value).strip().lower()
    if not re.fullmatch("true|false|1|0|yes|no", word):
        raise Unusable(reason("not_true_or_false", label=repr(str(value)[:40])))
    return word in ("true", "1", "yes")
