"""Conversations: turns, order of speakers, answers that come again and again, refusals.

rows of messages  ->  turns a row, rows in which roles do not alternate, the commonest answers
"""

from __future__ import annotations

import hashlib
import re
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from weitiao.data.doctor.finding import Case, Diagnosis, Finding, Marked, Part, Row, finding, percent
from weitiao.data.doctor.lengths import quantiles
from weitiao.data.equal_text import normalised
from weitiao.data.personal import mask

OFTEN = 0.05  # of all rows
LEAST = 20  # rows below which nothing is "often"
REMEMBERED = 100_000  # answers: one of 5 % is met long before
REFUSAL = re.compile(
    r"\b(?:as an ai\b|i(?:'|’)?m sorry,? but|i (?:cannot|can(?:'|’)t|am unable to) (?:help|assist|provide|fulfil|comply))"
    r"|作为(?:一个|一名)?(?:人工智能|AI|语言模型)|(?:很)?抱歉，?我(?:无法|不能)",
    re.IGNORECASE,
)


class Conversations(Part):
    """What the turns of the rows look like."""

    shapes: ClassVar[tuple[str, ...]] = ("conversation",)

    def __init__(self, case: Case):
        super().__init__(case)
        self.turns = array("l")
        self.systems: Counter[bytes] = Counter()
        self.answers: Counter[bytes] = Counter()
        self.example: dict[bytes, int] = {}
        self.unordered, self.unanswered, self.refusing = Marked(), Marked(), Marked()

    def see(self, row: Row) -> None:
        """Its speakers and its last answer."""
        turns: Sequence[Mapping[str, Any]] = row.record.values["messages"]
        roles = [turn["role"] for turn in turns]
        self.turns.append(len(turns))
        spoken = [role for role in roles if role not in ("system", "developer")]
        twice = any(a == b and a in ("user", "assistant") for a, b in zip(spoken, spoken[1:], strict=False))
        if twice or (spoken and spoken[0] != "user") or "system" in roles[1:]:
            self.unordered.add(row.index)
        if roles and roles[-1] == "user":
            self.unanswered.add(row.index)
        if roles and roles[0] == "system":
            self.systems[_short(turns[0].get("content") or "")] += 1
        answer = next(
            (turn.get("content") or "" for turn in reversed(turns) if turn["role"] == "assistant"), ""
        )
        key = _short(answer)
        if answer and (key in self.answers or len(self.answers) < REMEMBERED):
            self.answers[key] += 1
            self.example.setdefault(key, row.index)
        if REFUSAL.search(answer[:200]):
            self.refusing.add(row.index)

    def tell(self, diagnosis: Diagnosis) -> Iterator[Finding]:
        """Turns, order, repetition, refusals."""
        rows = len(self.turns)
        if not rows:
            return
        diagnosis.tables["turns"] = {
            **quantiles(self.turns),
            "with_system": sum(self.systems.values()),
            "systems": len(self.systems),
        }
        for code, marked in (("roles", self.unordered), ("unanswered", self.unanswered)):
            if marked.count:
                yield finding(code, "warning", count=marked.count, places=self.case.places(marked.first))
        often = [
            (key, n) for key, n in self.answers.most_common(3) if n > max(OFTEN * rows, 2) and rows >= LEAST
        ]
        for key, count in often:
            index = self.example[key]
            turns = self.case.rows[index].values["messages"]
            answer = mask(next(turn["content"] for turn in reversed(turns) if turn["role"] == "assistant"))[0]
            yield finding(
                "same_answer",
                "warning",
                count=count,
                places=self.case.places([index]),
                answer=answer[:80] + ("…" if len(answer) > 80 else ""),
                share=percent(count, rows),
            )
        if self.refusing.count:
            places = self.case.places(self.refusing.first)
            share = percent(self.refusing.count, rows)
            yield finding("refusals", "note", count=self.refusing.count, places=places, share=share)


def _short(text: str) -> bytes:
    return hashlib.blake2b(normalised(text).encode("utf-8", "surrogatepass"), digest_size=8).digest()
