"""How a run's model holds when its locked test rows are written otherwise, or are about somebody else.

stress(run)  ->  Stress;  stress.json beside its results, and sections of its page

Nothing is trained and nothing chosen.  What could not be asked of this task, or of these rows, is said where its numbers would
stand, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weitiao.core.contracts import Example, Metric, Record, Section
from weitiao.core.display import Sheet, Shown
from weitiao.core.errors import fault
from weitiao.core.files import read_lines, refuse_unwritable, sha256, write_json
from weitiao.core.run import RunFolder
from weitiao.core.why import because, reason
from weitiao.evaluate.stress import counterfactual, diversity
from weitiao.evaluate.stress.counterfactual import Pair
from weitiao.evaluate.stress.damaged import damaged, damages
from weitiao.evaluate.stress.gaps import gaps, section
from weitiao.evaluate.stress.paired_change import Drawing
from weitiao.evaluate.stress.perturb import Perturbation, chance, chinese, perturbations, perturbed, spared
from weitiao.evaluate.stress.swaps import KINDS, NEUTRAL, answered, neutral, swap, swapped
from weitiao.evaluate.stress.written_otherwise import Changed, Standing, found, sections
from weitiao.stages.beside import Beside
from weitiao.stages.events import Tell, listening
from weitiao.stages.kept_rows import kept
from weitiao.stages.prepare import helpers
from weitiao.stages.row_columns import column_of, columns
from weitiao.stages.stressed import Stressed
from weitiao.stages.swapped_answers import swapped_answers

VERSION = 1
FILE = "stress.json"
ROWS = 1000
SWAPPED = "swapped"
TURNED = {"label", "labels", "tags", "spans", "number", "loss"}
"""What a prediction holds that a swap can turn round."""


@dataclass(frozen=True, repr=False)
class Stress(Shown):
    """What a stress test found."""

    path: Path
    """The folder that holds it: the run's, or that of the variant that was asked."""

    @property
    def results(self) -> dict[str, Any]:
        """`stress.json`."""
        return RunFolder(self.path).json(FILE)

    def sheet(self) -> Sheet:
        """Which rows were asked."""
        return Sheet(f"Stress {self.path}: {self.results.get('rows', '-')} rows")


def stress(
    run: Stressed,
    *,
    rows: int = ROWS,
    rate: float | None = None,
    untuned: bool = True,
    group_column: str = "",
    groups: str | Path = "",
    tell: Tell | None = None,
) -> Stress:
    """Ask the model its locked test rows again, written otherwise and with gender, names and origin swapped, and write what
    that changes.

    Every comparison is of the same rows before and after, by the first metric of the task that needs no generated words, with
    an interval and a paired test corrected for many looks (Holm).

    Args:
        run: that is trained.
        rows: at most so many test rows are asked, drawn by the run's seed.
        rate: share of the letters (or words) that typing errors, homophones and synonyms change; default: 0.05, and 0.1
            of synonyms.
        untuned: ask the model as it was before tuning, too.
        group_column: a column of the rows' files: gaps between its groups are looked at, too.
        groups: a file that has this column beside the texts of the rows, instead of theirs.
        tell: hears how it goes; without it a bar or lines on standard error say so.

    Returns:
        What was found, whose `results` lie in `stress.json` beside the run's results; the page is written anew and shows
        them, as long as the model is the one that was asked.

    Raises:
        WeitiaoError: `no_run`, `unfinished_run`, `stress_without_test` for a run without test rows, `wrong_usage` for a number
            out of its range, `no_such_by` for a group column that no file of the rows has; what loading raises.
    """
    from weitiao.evaluate.report import write_report

    _refuse_odd(rows=rows, rate=rate)
    if groups and not group_column:
        raise fault("wrong_usage", **because("groups_of_no_column", file=groups))
    run = run.judged("")
    if run.task.paints:
        raise fault("wrong_usage", **because("paints_pictures"))
    if rate is not None and run.task.shape.pictures:
        raise fault("wrong_usage", **because("rate_of_no_letters"))
    everything = list(kept(run.folder, "test"))
    if not everything:
        raise fault("stress_without_test", path=run.path)
    refuse_unwritable(run.place)
    with listening(tell) as (told, _, _):
        told("asked", recipe=run.recipe)
        named: list[Any] | None = None
        if groups:
            named = column_of(run, [record for record, _ in everything], Path(groups), group_column)
        elif group_column:
            named = columns(run, [{}] * len(everything), [group_column])[group_column]
        test = _Test(run, everything, rows=rows, groups=named, beside=Beside(told), tell=told)
        results = test.results(rate=rate, untuned=untuned, column=group_column)
        write_json(run.place / FILE, results)
        if (run.place / "results.json").is_file():
            with test.beside.may_fail("page"):
                write_report(run.path, run.place)
    return Stress(run.place)


def _refuse_odd(*, rows: int, rate: float | None) -> None:
    if rows < 1:
        raise fault("wrong_usage", **because("odd_number", name="rows", value=rows, meant=">= 1"))
    if rate is not None and not 0 < rate <= 1:
        raise fault("wrong_usage", **because("odd_number", name="rate", value=rate, meant="> 0, <= 1"))


def _group(value: Any) -> str | None:
    """The name of a group; none where the cell is empty."""
    return None if value is None or not str(value).strip() else str(value)


class _Test:
    """A run's rows, and who is asked."""

    def __init__(
        self,
        run: Stressed,
        everything: Sequence[tuple[Record, int]],
        *,
        rows: int,
        groups: Sequence[Any] | None,
        beside: Beside,
        tell: Tell,
    ):
        from weitiao.evaluate.answered import chosen

        seed, settings = run.recipe.seed, run.recipe.evaluate
        asked = chosen(len(everything), rows, seed=seed)
        some = [everything[row] for row in asked]
        self.values = [_group(groups[row]) for row in asked] if groups is not None else []
        self.run, self.beside, self.tell, self.all = run, beside, tell, len(everything)
        self.records, self.groups = [record for record, _ in some], [group for _, group in some]
        self.drawing = Drawing(settings.confidence, settings.resamples, seed)

    def results(self, *, rate: float | None, untuned: bool, column: str) -> dict[str, Any]:
        """`stress.json`."""
        from weitiao.evaluate.analysed import plain

        recipe, task = self.run.recipe, self.run.task
        name, metric = self._metric()
        results: dict[str, Any] = {
            "version": VERSION,
            "card": sha256(self.run.folder.model / "weitiao.json"),
            "task": recipe.task["name"],
            "model": recipe.model,
            "rows": len(self.records),
            "of": self.all,
            "seed": recipe.seed,
            "confidence": self.drawing.confidence,
        }
        why, pictured = spared(task.shape, self.records), bool(damages(task.shape))
        rewritten = {} if why and not pictured else self._rewritten(rate)
        turns = bool(TURNED & {*task.predicts})
        pairs, left = self._swapped() if not why and (turns or task.generates) else ({}, {})
        made: dict[str, Section] = {}
        if rewritten or not why or column:
            standing, changed = self._asked(rewritten, pairs, untuned=untuned)
        if why and not rewritten:
            results["written_otherwise"] = {"why": why}
        else:
            written = {one: changed[one] for one in rewritten}
            results["written_otherwise"] = said = found(standing, written, name, metric, self.drawing)
            column_of_pictures = next(iter(task.shape.pictures), "")
            made |= sections(said, standing, written, rows=self.all, picture=column_of_pictures)
        both = {kind: Pair.of(changed[kind, SWAPPED], changed[kind, NEUTRAL], **left[kind]) for kind in left}
        if both and turns:
            results["swaps"] = counterfactual.found(standing, both, self.drawing)
            made |= counterfactual.sections(results["swaps"], standing, both)
        else:
            results["swaps"] = {"why": why or reason("swaps_turn_nothing")}
        if task.generates:
            with self.beside.may_fail("answers"):
                results["swapped_answers"], shown = (
                    ({"why": why}, {})
                    if why
                    else swapped_answers(self.run, standing, both, self.drawing, tell=self.tell)
                )
                made |= shown
            results["diversity"] = said = diversity.found(*self._answers(), self.drawing)
            if "why" not in said:
                made["diversity"] = diversity.section(said)
        if column:
            results["gaps"] = gaps(standing, self.values, column, name, metric, self.drawing)
            if "why" not in results["gaps"]:
                made["gaps"] = section(results["gaps"], self.drawing)
        return {**results, "missing": self.beside.missing, "sections": plain(made)}

    def _answers(self) -> tuple[dict[str, list[dict[str, Any]]], list[int]]:
        """What was answered when the run was judged, tuned and not, to the same rows, and their groups."""
        path, rows = self.run.place / "predictions.jsonl", list(kept(self.run.folder, "test"))
        lines = read_lines(path) if path.is_file() else []
        places = [(record.file, record.line) for record, _ in rows]
        if [(line.get("file"), line.get("line")) for line in lines] != places:
            return {}, []
        said = [
            (line, group)
            for line, (_, group) in zip(lines, rows, strict=True)
            if all("answer" in (line.get(system) or {}) for system in diversity.SYSTEMS)
        ]
        told = {system: [line[system] for line, _ in said] for system in diversity.SYSTEMS}
        return told, [group for _, group in said]

    def _metric(self) -> tuple[str, Metric]:
        """The task's first that needs no generated words."""
        from weitiao.evaluate.chosen import judged

        task = self.run.task
        metrics = judged(task, self.run.recipe.evaluate.metrics)
        return next((name, one) for name, one in metrics.items() if not one.lacks(task.predicts))

    def _rewritten(self, rate: float | None) -> dict[Perturbation, dict[int, Record]]:
        """By perturbation the rows that it changed; one whose dictionary cannot be had fails alone."""
        recipe, shape = self.run.recipe, self.run.task.shape
        if shape.pictures:
            with self.beside.may_fail("damaged"):
                return damaged(self.records, shape, seed=recipe.seed)
            return {}
        handed, han = helpers(recipe, device="cpu"), chinese(shape, self.records)
        made: dict[Perturbation, dict[int, Record]] = {}
        for one in perturbations(rate):
            if one.chinese and not han:  # its dictionary need not be fetched
                made[one] = {}
                continue
            with self.beside.may_fail(one.name):
                change = one.ready(shape, handed)
                rows = perturbed(change, self.records, shape, seed=recipe.seed, name=one.name)
                made[one] = {row: record for row, record in enumerate(rows) if record is not None}
        return made

    def _swapped(self) -> tuple[dict[tuple[str, str], dict[int, Record]], dict[str, dict[str, int]]]:
        """By kind the rows with its words swapped, the same rows with as many neutral words swapped, and what is left out."""
        task, seed = self.run.task, self.run.recipe.seed
        made: dict[tuple[str, str], dict[int, Record]] = {}
        left: dict[str, dict[str, int]] = {}
        for kind in KINDS:
            words, counts = swap(kind), dict.fromkeys(("without", "ambiguous", "too_few", "answered"), 0)
            rows, controls = dict[int, Record](), dict[int, Record]()
            for row, record in enumerate(self.records):
                other = swapped(record, task.shape, words)
                if other.record is None:
                    counts["ambiguous" if other.words else "without"] += 1
                    continue
                if answered(record, task.shape, words):
                    counts["answered"] += 1
                    continue
                control = neutral(record, task.shape, other.words, chance(record, task.shape, seed, kind))
                if control is None:
                    counts["too_few"] += 1
                else:
                    rows[row], controls[row] = other.record, control
            made[kind, SWAPPED], made[kind, NEUTRAL], left[kind] = rows, controls, counts
        return made, left

    def _asked(
        self,
        rewritten: Mapping[Perturbation, Mapping[int, Record]],
        pairs: Mapping[tuple[str, str], Mapping[int, Record]],
        *,
        untuned: bool,
    ) -> tuple[Standing, dict[Any, Changed]]:
        """What is said of the rows as they stand, and of all that were made of them: one pass a model.  The untuned one is
        not asked the swaps."""
        task, count = self.run.task, len(self.records)
        made: dict[Any, Mapping[int, Record]] = {**rewritten, **pairs}
        each = [(one, row, record) for one, rows in made.items() for row, record in rows.items()]
        records = [*self.records, *(record for *_, record in each)]
        examples = [example for _, example in self.run.read(records)]
        # A template may refuse a turn that it took before; such a row counts as one that could not be changed.
        fine = [place for place, example in enumerate(examples) if not example.refused]
        examples, records = [examples[place] for place in fine], [records[place] for place in fine]
        references = [task.reference(record) for record in records]
        places: dict[Any, list[tuple[int, int]]] = {one: [] for one in made}
        for place, old in enumerate(fine[count:], start=count):
            one, row, _ = each[old - count]
            places[one].append((row, place))
        most = count + sum(map(len, rewritten.values()))
        first = sum(place < most for place in fine)
        asked = _Asked(count, records, examples, places)
        told = {"tuned": self._said(self.run, asked, len(fine), "tuned")}
        if untuned and self.run.recipe.evaluate.untuned:
            with self.beside.may_fail("untuned"), self.run.untuned() as before:
                told["untuned"] = self._said(before, asked, first, "untuned")
        stood = {system: said[:count] for system, said in told.items()}
        standing = Standing(self.records, references[:count], stood, self.groups, task.classes())
        changed = {
            one: Changed(
                [row for row, _ in own],
                [records[place] for _, place in own],
                [references[place] for _, place in own],
                {
                    system: [said[place] for _, place in own]
                    for system, said in told.items()
                    if one in rewritten or system == "tuned"
                },
            )
            for one, own in places.items()
        }
        return standing, changed

    def _said(self, model: Stressed, asked: _Asked, first: int, name: str) -> list[dict[str, Any]]:
        """One prediction for each of the first rows that are asked.

        What was made of a row stands in its place among the others as they are: rows may be each other's candidates, and a
        row is none of its own copies.
        """
        examples, records = asked.examples[:first], asked.records[:first]
        alone = model.alone(examples, lambda done, all: self.tell("judged", what=name, done=done, all=all))
        standing = [*range(asked.count)]
        said = model.task.together(alone[: asked.count], examples[: asked.count]) + alone[asked.count :]
        for own in asked.places.values():
            if own and own[-1][1] < first:
                among = [*standing]
                for row, place in own:
                    among[row] = place
                told = model.task.together(
                    [alone[place] for place in among], [examples[place] for place in among]
                )
                for row, place in own:
                    said[place] = told[row]
        return [model.task.shown(record, one) for record, one in zip(records, said, strict=True)]


@dataclass(frozen=True)
class _Asked:
    """All rows that are asked in one pass: those that stand, and behind them what was made of them."""

    count: int
    """How many stand."""
    records: Sequence[Record]
    examples: Sequence[Example]
    places: Mapping[Any, Sequence[tuple[int, int]]]
    """By what was done to them: which row, and where what was made of it stands."""
