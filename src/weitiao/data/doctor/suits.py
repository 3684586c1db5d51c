"""Does fine-tuning suit at all?  Warnings with their evidence, never a verdict.

answers full of prices and "today"  ->  "fine-tuning may not suit, because the answers change; rather look them up"
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from weitiao.data.doctor.finding import Case, Diagnosis, Finding, Marked, Part, Row, finding, percent
from weitiao.data.shapes import first_question

FEW = {"labelled": 20, "pictured": 20}  # rows in all; below, examples in the prompt do as much
FEW_ELSE = 50
DAILY = 0.3  # share of answers that hold a date, a price or "today"
UNCLEAR = 0.1  # share of rows that contradict another
GAIN = 0.02  # accuracy above the most frequent label
PROMPTS, A_PROMPT = 600, 300  # prompts compared, characters of each
APART, BROAD_ROWS = (
    0.1,
    5_000,
)  # median cosine similarity to the nearest other prompt; rows that could cover it
MOVING = re.compile(
    r"\b(?:today|tomorrow|yesterday|tonight|currently|right now|as of|this (?:week|month|quarter)|latest)\b"
    r"|今天|今日|明天|昨天|目前|当前|截至|本周|本月|最新"
    r"|\b20[0-9]{2}[-/.][01]?[0-9][-/.][0-3]?[0-9]\b|20[0-9]{2}年[0-9]{1,2}月"
    r"|\b(?:January|February|March|April|May|June|July|August|September|October|November|December) [0-3]?[0-9](?:, 20[0-9]{2})?\b"
    r"|[$€£¥￥] ?[0-9][0-9,.]*|[0-9][0-9,.]* ?(?:元|美元|USD|EUR|CNY|RMB|dollars|euros)",
    re.IGNORECASE,
)


class Suits(Part):
    """Too few rows, answers that change daily, a task nobody can state, a task without bounds."""

    def __init__(self, case: Case):
        super().__init__(case)
        self.answers = 0
        self.moving = Marked()
        self.step = max(1, len(case.rows) // PROMPTS)
        self.prompts: list[str] = []

    def see(self, row: Row) -> None:
        """Its answer, and one prompt in several."""
        answer, prompt = _answer(row.record.values), _prompt(row.record.values)
        if answer:
            self.answers += 1
            if MOVING.search(answer):
                self.moving.add(row.index)
        if prompt and row.index % self.step == 0:
            self.prompts.append(prompt[:A_PROMPT])

    def tell(self, diagnosis: Diagnosis) -> Iterator[Finding]:
        """Each with what speaks for it, and what might do instead."""
        rows = diagnosis.rows
        if rows < FEW.get(diagnosis.shape, FEW_ELSE):
            yield finding("unsuited_few", "warning", count=rows, least=FEW.get(diagnosis.shape, FEW_ELSE))
        if self.answers >= 20 and self.moving.count >= DAILY * self.answers:
            share = percent(self.moving.count, self.answers)
            places = self.case.places(self.moving.first)
            yield finding("unsuited_daily", "warning", count=self.moving.count, places=places, share=share)
        yield from self._unclear(diagnosis)
        if len(self.prompts) >= 50 and rows < BROAD_ROWS:
            near = nearest(self.prompts)
            diagnosis.tables["prompts"] = {"compared": len(self.prompts), "nearest": round(near, 3)}
            if near < APART:
                compared = len(self.prompts)
                yield finding("unsuited_broad", "warning", count=rows, near=f"{near:.2f}", compared=compared)

    def _unclear(self, diagnosis: Diagnosis) -> Iterator[Finding]:
        unused, near = diagnosis.tables.get("unused", {}), diagnosis.tables.get("near", {})
        against = unused.get("contradictions", 0) + near.get("suspects", 0)
        total = max(1, unused.get("total", diagnosis.rows))
        judged = diagnosis.tables.get("wrong_labels")
        blind = judged is not None and judged["accuracy"] < judged["majority"] + GAIN
        if against >= UNCLEAR * total or (blind and against >= 0.03 * total):
            yield finding("unsuited_unclear", "warning", count=against, share=percent(against, total))
        elif judged and blind:
            right, most = percent(judged["accuracy"]), percent(judged["majority"])
            yield finding("unsuited_blind", "warning", accuracy=right, majority=most)


def nearest(prompts: Sequence[str]) -> float:
    """Median over prompts of the cosine similarity to the nearest other one, by their words or characters (TF-IDF)."""
    import numpy as np

    from weitiao.data.tfidf import fitted

    _, rows = fitted(prompts)
    similar = (rows @ rows.T).toarray()
    np.fill_diagonal(similar, 0)
    return float(np.median(similar.max(1)))


def _answer(values: Mapping[str, Any]) -> str:
    for column in ("messages", "completion", "chosen"):
        if isinstance(turns := values.get(column), list):
            return next(
                (turn.get("content") or "" for turn in reversed(turns) if turn["role"] == "assistant"), ""
            )
    return ""


def _prompt(values: Mapping[str, Any]) -> str:
    turns = values.get("messages") or values.get("prompt")
    return first_question(turns) if isinstance(turns, list) and turns else ""
