"""What rows that are written otherwise do to the score, perturbation by perturbation.

told of the rows as they stand, told of them written otherwise  ->  found(...)  ->  sections(found)
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from weitiao.core.contracts import Metric, Record, Section, both
from weitiao.core.contracts.section import Answer, Both, Column, Estimate, Fact, Row, Rows, Table, TableRow
from weitiao.evaluate import judge
from weitiao.evaluate.paired import holm
from weitiao.evaluate.stress.damaged import drawn
from weitiao.evaluate.stress.paired_change import Drawing, gain, outcome, shares
from weitiao.evaluate.stress.perturb import Perturbation
from weitiao.evaluate.words import words
from weitiao.evaluate.worst import TRUE, named

EXAMPLES = 3
"""Flips that are shown of each perturbation."""
FEWEST = 10
"""Of fewer rows nothing is said."""


@dataclass(frozen=True)
class Wording:
    """What the page calls rows that are asked again."""

    title: Both
    how: Both
    head: Both
    flips: Both
    right: Both


OF_TEXTS = Wording(
    both("Rows written otherwise", "改写后的测试行"),
    both("In brackets: the share of letters or words that is changed. ", "括号内为改动的字词比例。"),
    both("written with", "改写方式"),
    both("Predictions that a rewriting turns wrong", "因改写而出错的预测"),
    both("Right as the row stands, wrong as it is written below.", "原样预测正确，按下方写法则预测错误。"),
)
OF_PICTURES = Wording(
    both("Pictures from a worse camera", "画质变差的测试图片"),
    both(
        "How strong each change is stands fixed (docs/stress.md). ",
        "各项改动的强度是固定的（docs/stress.md）。",
    ),
    both("changed by", "改动"),
    both("Predictions that a change turns wrong", "因改动而出错的预测"),
    both("Right as the picture is, wrong as it is shown.", "原图预测正确，如图所示改动后预测错误。"),
)


@dataclass(frozen=True)
class Changed:
    """Rows that a perturbation, or a swap, has changed, and what is said of them."""

    rows: Sequence[int]
    """Which of all rows they are."""
    records: Sequence[Record]
    """As they are written now."""
    references: Sequence[Mapping[str, Any]]
    """What is expected of each."""
    told: Mapping[str, Sequence[Mapping[str, Any]]]
    """By system."""

    def only(self, rows: Container[int]) -> Changed:
        """Those of these rows."""
        keep = [place for place, row in enumerate(self.rows) if row in rows]
        return Changed(
            [self.rows[place] for place in keep],
            [self.records[place] for place in keep],
            [self.references[place] for place in keep],
            {system: [said[place] for place in keep] for system, said in self.told.items()},
        )


@dataclass(frozen=True)
class Standing:
    """All rows as they stand, and what is said of them."""

    records: Sequence[Record]
    references: Sequence[Mapping[str, Any]]
    told: Mapping[str, Sequence[Mapping[str, Any]]]
    """By system, the tuned model first."""
    groups: Sequence[int]
    """Which rows belong together."""
    labels: Sequence[str] = ()
    """The task's."""

    def of(self, rows: Sequence[int], system: str) -> list[Mapping[str, Any]]:
        """What a system said of some rows."""
        return [self.told[system][row] for row in rows]


def found(
    standing: Standing,
    changed: Mapping[Perturbation, Changed],
    name: str,
    metric: Metric,
    drawing: Drawing,
) -> dict[str, Any]:
    """Every perturbation: on the rows that it changed the score before and after, the paired difference, and flips.

    Args:
        standing: the rows as they stand.
        changed: what became of them.
        name: of the metric.
        metric: that the task looks at first.
        drawing: of intervals and tests.

    Returns:
        `metric` and `perturbations`, each with `rate`, the rows `changed` and `unchanged`, and by system what `gain` says,
        `p_holm` (over all perturbations of that system) and `flips`.
    """
    each: list[dict[str, Any]] = []
    for one, own in changed.items():
        groups = [standing.groups[row] for row in own.rows]
        systems: dict[str, dict[str, Any]] = {}
        for system in standing.told if len(own.rows) >= FEWEST else ():
            before_NK, after_NK = (
                judge.read(expected, {system: told}, {name: metric}, standing.labels)[system][name]
                for expected, told in (
                    ([standing.references[row] for row in own.rows], standing.of(own.rows, system)),
                    (own.references, own.told[system]),
                )
            )
            systems[system] = gain(metric, before_NK, after_NK, groups, drawing)
            systems[system]["flips"] = _flips(standing, own, system, groups, drawing)
        counts = {"changed": len(own.rows), "unchanged": len(standing.records) - len(own.rows)}
        each.append({"name": one.name, "rate": one.rate, **counts, "systems": systems})
    for system in standing.told:
        corrected([one["systems"][system] for one in each if system in one["systems"]])
    return {"metric": name, "higher_is_better": metric.higher_is_better, "perturbations": each}


def corrected(found: Sequence[dict[str, Any]]) -> None:
    """Give each `p_holm`, its `p_value` corrected over all of them; None where there is none."""
    asked = [one for one in found if one["p_value"] is not None]
    for one in found:
        one["p_holm"] = None
    for one, p_value in zip(asked, holm([one["p_value"] for one in asked]), strict=True):
        one["p_holm"] = p_value


def _flips(
    standing: Standing, own: Changed, system: str, groups: Sequence[int], drawing: Drawing
) -> dict[str, Any] | None:
    pairs = list(zip(standing.of(own.rows, system), own.told[system], strict=True))
    if outcome(pairs[0][0]) is None:
        return None
    hits = [outcome(before) != outcome(after) for before, after in pairs]
    return shares({"flips": hits}, groups, drawing)["flips"]


def sections(
    said: Mapping[str, Any],
    standing: Standing,
    changed: Mapping[Perturbation, Changed],
    *,
    rows: int,
    picture: str = "",
) -> dict[str, Section]:
    """The table of all, and examples of predictions that were turned round.

    Args:
        said: what `found` gives.
        standing: the rows as they stand.
        changed: what became of them.
        rows: how many rows the run could be asked.
        picture: the column of their pictures, where they have one: then these were changed, and no text.
    """
    w = OF_PICTURES if picture else OF_TEXTS
    titles = {one.name: one.title for one in changed}
    called = both(*(words(language).get(said["metric"], said["metric"]) for language in ("en", "zh")))
    others = [system for system in standing.told if system != "tuned"]
    lines = said["perturbations"]
    made: dict[str, Section] = {
        "written_otherwise": Table(
            title=_said(f"{w.title.en}: {{}}", f"{w.title.zh}：{{}}", called),
            note=both(
                "Each line compares the same rows before and after, those alone that it could change. p is of the paired test "
                f"of the difference, corrected over all lines (Holm). {w.how.en}A flip is a prediction that is another one "
                "afterwards.",
                "每行只比较能被改动的同一批数据在改动前后的结果。p 来自差值的配对检验，并对所有行做了 Holm 校正。"
                f"{w.how.zh}翻转指改动前后预测不同。",
            ),
            foot=_foot(len(standing.records), rows),
            head=w.head,
            columns=_columns(
                ("before", "改写前"),
                ("after", "改写后"),
                ("difference", "差值"),
                ("p", "p"),
                ("flips", "翻转"),
            ),
            rows=[_line(one, titles[one["name"]]) for one in lines],
            brief=True,
        ),
        "written_otherwise_more": Table(
            title=both(
                f"{w.title.en}: how many, and beside the untuned model",
                f"{w.title.zh}：行数，以及与微调前对照",
            ),
            head=w.head,
            columns=[
                *_columns(("changed", "改动的行"), ("not changed", "未改动的行"), ("flips", "翻转")),
                *(
                    Column(
                        title=_said(
                            "difference, {}",
                            "差值（{}）",
                            both(*(words(one)[system] for one in ("en", "zh"))),
                        )
                    )
                    for system in others
                ),
            ],
            rows=[_more(one, titles[one["name"]], others) for one in lines],
        ),
    }
    shown = _examples(standing, changed, picture)
    if shown:
        made["written_otherwise_flips"] = Rows(title=w.flips, note=w.right, rows=shown)
    return made


def _columns(*titles: tuple[str, str]) -> list[Column]:
    return [Column(title=both(*title)) for title in titles]


def _titled(one: Mapping[str, Any], title: Both) -> Both:
    if one["rate"] is None:
        return title
    return both(f"{title.en} ({one['rate']:.0%})", f"{title.zh}（{one['rate']:.0%}）")


def _line(one: Mapping[str, Any], title: Both) -> TableRow:
    own = one["systems"].get("tuned")
    if own is None:
        return TableRow(name=_titled(one, title), values=[None] * 5)
    flips = own["flips"] and own["flips"]["value"]
    values = [own["before"], own["after"], estimate(own, "difference"), own["p_holm"], flips]
    return TableRow(name=_titled(one, title), values=values)


def _more(one: Mapping[str, Any], title: Both, others: Sequence[str]) -> TableRow:
    flips = one["systems"].get("tuned", {}).get("flips")
    beside = [one["systems"].get(system) for system in others]
    values = [
        one["changed"],
        one["unchanged"],
        flips and estimate(flips),
        *(each and estimate(each, "difference") for each in beside),
    ]
    return TableRow(name=_titled(one, title), values=values)


def estimate(value: Mapping[str, Any], key: str = "value") -> Estimate | None:
    """A number with its interval as a cell; none where there is no number."""
    return None if value[key] is None else Estimate(value=value[key], low=value["low"], high=value["high"])


def _said(english: str, chinese: str, word: Both) -> Both:
    return both(english.format(word.en), chinese.format(word.zh))


def _foot(asked: int, rows: int) -> Both | str:
    if asked == rows:
        return ""
    return both(
        f"{asked:,} of {rows:,} test rows, drawn by the seed.",
        f"测试集 {rows:,} 行中按种子抽取 {asked:,} 行。",
    )


def _examples(standing: Standing, changed: Mapping[Perturbation, Changed], picture: str) -> list[Row]:
    found = []
    for one, own in changed.items():
        shown = 0
        for place, row in enumerate(own.rows):
            before, after = standing.told["tuned"][row], own.told["tuned"][place]
            right = outcome(standing.references[row])
            if shown == EXAMPLES or outcome(before) in (None, outcome(after)) or outcome(before) != right:
                continue
            shown += 1
            record = standing.records[row]
            facts = [
                Fact(name=TRUE, value=spelt(right), tone="want"),
                Fact(name=both("then", "改写后"), value=spelt(outcome(after)), tone="got"),
            ]
            seen: dict[str, Any] = {
                "text": text(standing.references[row]),
                "answers": [Answer(name=one.title, text=text(own.references[place]))],
            }
            if picture:
                facts.insert(0, Fact(name=OF_PICTURES.head, value=one.title))
                seen = {"text": named(record.values), "picture": drawn(own.records[place], picture)}
            found.append(Row(**seen, facts=facts, place=f"{record.file}:{record.line}"))
    return found


def spelt(said: Any) -> str:
    """What `outcome` gives, as a word."""
    return said if isinstance(said, str) else " ".join(said) or "–"


def text(row: Mapping[str, Any]) -> str:
    """What a reader sees of a row."""
    if "tokens" in row:
        return " ".join(row["tokens"])
    prompt = row.get("prompt")
    if isinstance(prompt, list):
        return "\n".join(turn.get("content") or "" for turn in prompt)
    return "\n".join(row[name] for name in ("text", "text_pair") if row.get(name))
