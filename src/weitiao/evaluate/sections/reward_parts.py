"""Where several rewards were asked: what each alone says of the answers, also one without weight, that was only watched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from weitiao.core import registry
from weitiao.core.contracts import Analysis, Judged, both
from weitiao.core.contracts.section import Column, Estimate, Table, TableRow, estimated
from weitiao.core.registry import register

METRICS = ("reward", "win_rate")


@register("section", "reward_parts")
@dataclass(frozen=True)
class RewardParts(Analysis):
    """Each reward by itself: before, after, and how often the answer is worth more than the untuned one."""

    summary: ClassVar[str] = "each of several rewards by itself, before and after, with its win rate"
    needs: ClassVar[tuple[str, ...]] = ("answer", "rewards")

    def section(self, judged: Judged) -> Table | None:
        """A row a reward; none where there is one, or no untuned answers."""
        tuned, untuned = (judged.systems.get(system) or [] for system in ("tuned", "untuned"))
        pairs = [
            (after["rewards"], before["rewards"])
            for after, before in zip(tuned, untuned, strict=False)
            if "rewards" in after and "rewards" in before
        ]
        names = list(pairs[0][0]) if pairs else []
        if len(names) < 2:
            return None
        rows = [TableRow(name=name, values=_of(name, pairs, judged)) for name in names]
        return Table(
            title=both("Reward by reward", "逐项奖励"),
            note=both(
                "Each reward alone, whatever its weight. Wins: the share of prompts whose answer is worth more than the "
                "untuned one's; of equal ones a half.",
                "单看每项奖励，不计权重。胜率：回答得分高于微调前的提示所占比例，平局各计一半。",
            ),
            head=both("reward", "奖励"),
            columns=[
                Column(title=both("tuned", "微调后")),
                Column(title=both("untuned", "微调前")),
                Column(title=both("wins", "胜率")),
            ],
            rows=rows,
            brief=True,
        )


def _of(name: str, pairs: list[tuple[Mapping[str, float], Mapping[str, float]]], judged: Judged) -> list[Any]:
    """After, before, and how often it is more, each with its interval."""
    from weitiao.evaluate.judge import around

    after = [{"answer": "", "reward": one[name]} for one, _ in pairs]
    before = [{"answer": "", "reward": one[name]} for _, one in pairs]
    won = [{"answer": "", "won": (1 + (a[name] > b[name]) - (a[name] < b[name])) / 2} for a, b in pairs]
    reward, wins = (registry.build("metric", {"name": metric}) for metric in METRICS)
    references: list[dict[str, Any]] = [{} for _ in pairs]
    found: list[Estimate | None] = []
    for metric, told in ((reward, after), (reward, before), (wins, won)):
        rows_NK = metric.rows(references, told, [])
        found.append(estimated(around(metric, rows_NK, confidence=judged.confidence, seed=judged.seed)))
    return found
