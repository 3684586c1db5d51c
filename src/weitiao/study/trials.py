"""The trials of a search as they stand: what each was asked, how far it has come, what is to be done next.

    trials.next(busy)      ->  (entry, until)     one to go on with, or a new one; None: nothing to begin
    trials.note(entry, outcome)                   how a process of it ended

A trial is an ordinary run folder, with no test rows in it.  Where it stands is read from there, and what it was asked lies
in Optuna's journal: whatever is killed, and when, no trial is lost and none is trained twice.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from weitiao.core.errors import did_you_mean, fault
from weitiao.core.files import read_lines, write_text
from weitiao.core.recipe import Recipe, Search
from weitiao.core.run import RunFolder
from weitiao.stages.noise import LIGHT
from weitiao.study import population
from weitiao.study.child_process import Outcome
from weitiao.study.halving import Climber, bracket, promoted
from weitiao.study.proposals import Proposals
from weitiao.study.space import set_to

TRIALS = "trials"
SHARED = "shared"
"""Folder where trials keep for each other what comes out of a frozen trunk, until the search has ended."""
COSTS = ("seconds", "megabytes", "memory", "parameters")
"""Goals that are no metric; less is better."""
KILLS = 5
"""So often a trial is gone on with after it was killed from outside, before it counts as failed."""
TIE = 1e-7
"""So much of a score at most is its loss worth, which decides between trials of the same score."""
Entry = dict[str, Any]


@dataclass(frozen=True)
class Goal:
    """What is wanted of a trial."""

    name: str
    """A metric of the validation rows, or what a run costs."""
    higher: bool

    def better(self, value: float) -> float:
        """The value so that more is better."""
        return value if self.higher else -value


@dataclass
class Trials:
    """All of them, and what decides."""

    asked: Recipe
    """What is searched around."""
    folder: Path
    proposals: Proposals
    own: Mapping[str, Any]
    """Key -> the recipe's own value."""
    goals: Sequence[Goal]
    metric: str
    """The first goal's, of the validation rows."""
    keeps: tuple[str, bool]
    """The metric that decides which step of a run is kept, and whether more of it is better."""
    rungs: Sequence[float]
    brackets: int
    """How many of Hyperband's there are; 1: all trials begin at the first rung."""
    steady: bool
    """A population, whose members wait for each other at each rung."""
    hand_on: Callable[[RunFolder, Recipe], None]
    """Gives a run its rows."""
    count: int
    entries: list[Entry] = field(default_factory=list)
    _tidied: set[int] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        # An older search knew of none.
        self.entries = [{"birth": None, "loss": None, **entry} for entry in self.entries]
        known = {entry["number"] for entry in self.entries}
        # Asked by a process that was killed before it could write that down.
        for number, values in sorted(self.proposals.begun(self.own, known).items()):
            self._add(number, values)
        for entry in self.entries:
            if not entry["end"]:
                self._look(entry)

    def next(self, busy: Collection[int]) -> Entry | None:
        """The trial that is to be trained now, with `until` as far as it goes.

        Args:
            busy: numbers of those that are being trained.
        """
        open_ = [entry for entry in self.entries if not entry["end"] and entry["number"] not in busy]
        begun = next((entry for entry in open_ if entry["rung"] < 0), None)
        if begun is not None:
            return begun
        if self.steady:
            return self._member(busy)
        if self.rungs and (number := promoted(self._climbers(), len(self.rungs))) is not None:
            entry = next(one for one in open_ if one["number"] == number)
            entry["until"] = next((rung for rung in self.rungs if rung > entry["until"]), None)
            entry["rung"] = -1
            return entry
        while len(self.entries) < self.count:
            entry = self._add(*self.proposals.ask(self.own))
            if not entry["end"]:
                return entry
        return None if busy else self._finalist(open_)

    def _member(self, busy: Collection[int]) -> Entry | None:
        """Of a population: a new member, until there are enough; then all wait for each other at each rung."""
        if sum(not one["birth"] for one in self.entries) < self.count:
            return self._add(*self.proposals.ask(self.own))
        waiting = [one for one in self.entries if not one["end"]]
        if busy or not waiting:
            return None
        rung = min(one["rung"] for one in waiting)
        self._turn(rung, [one for one in waiting if one["rung"] == rung])
        return next(one for one in self.entries if not one["end"] and one["rung"] < 0)

    def _turn(self, rung: int, waiting: Sequence[Entry]) -> None:
        """The worst that wait there go, and copies of the best take their place; then all go on.

        Whoever is killed in the middle of it finds the same members waiting, and makes the same copies.
        """
        sign, own = self.goals[0], {one["number"]: one for one in waiting}
        ranked = sorted(own, key=lambda number: (-sign.better(own[number]["at"][str(rung)]), number))
        members = [one for one in self.entries if one["end"] not in ("failed", "stopped")]
        parents, going = population.replaced(ranked, self.count)
        # Whoever has failed left a place, too.
        for place in range(max(0, self.count - len(members)) + len(going)):
            parent = own[parents[place % len(parents)]]
            rng = Random(f"{self.proposals.seed}/{rung}/{place}")
            values = population.changed(self.proposals.dimensions, parent["values"], rng)
            birth = [parent["number"], rung, place]
            child = self._add(self.proposals.bear(values, birth=birth), values, birth=birth)
            population.inherit(self.run(parent), self.run(child), values)
            child["at"], child["until"] = dict(parent["at"]), parent["until"]
            own[child["number"]] = child
        for number in going:
            self._end(own.pop(number), "stopped")
        for one in own.values():
            one["until"] = next((each for each in self.rungs if each > one["until"]), None)
            one["rung"] = -1

    def _finalist(self, open_: Sequence[Entry]) -> Entry | None:
        """Of few trials none may be among a best third to the end: the best goes there all the same."""
        if not open_ or any(one["number"] and one["end"] == "complete" for one in self.entries):
            return None
        sign = self.goals[0]
        best = max(
            open_, key=lambda one: (one["rung"], sign.better(one["at"][str(one["rung"])]), -one["number"])
        )
        best["until"], best["rung"] = None, -1
        return best

    def begin(self, entry: Entry) -> Path:
        """Its folder, with recipe and rows; the recipe."""
        run = self.run(entry)
        if not run.begun:
            recipe = self.recipe(entry)
            write_text(run.path / "recipe.yaml", recipe.to_yaml())
            self.hand_on(run, recipe)
        return run.path / "recipe.yaml"

    def run(self, entry: Mapping[str, Any]) -> RunFolder:
        """Its run folder."""
        return RunFolder(self.folder / entry["folder"])

    def recipe(self, entry: Mapping[str, Any]) -> Recipe:
        """What it is asked: the recipe with its own values."""
        tree = set_to(self.asked, entry["values"]) if entry["number"] else self.asked.model_dump(mode="json")
        asked = Recipe.read(tree)
        return asked.model_copy(
            update={
                "output_dir": str(self.folder / entry["folder"]),
                "evaluate": asked.evaluate.model_copy(update=LIGHT),
                "train": asked.train.model_copy(update={"report_to": []}),
                "search": Search(),
            }
        )

    def note(self, entry: Entry, outcome: Outcome) -> None:
        """How a process of it ended."""
        entry["seconds"] = (entry["seconds"] or 0.0) + outcome.seconds
        entry["failure"] = outcome.failure
        if outcome.failure is None or outcome.goes_on:
            self._look(entry)  # it may be killed when all is written
        if outcome.failure is None or entry["end"] or entry["rung"] >= 0:
            return
        entry["killed"] += outcome.goes_on and outcome.failure["error"] == "method_killed"
        if not outcome.goes_on or entry["killed"] > KILLS:
            self._end(entry, "failed")

    def close(self) -> None:
        """No more will be trained: who waits at a rung was stopped there."""
        for entry in self.entries:
            if not entry["end"] and entry["rung"] >= 0:
                self._end(entry, "stopped")

    def complete(self) -> list[Entry]:
        """Those that came to their end and have a score, the best first."""
        found = [entry for entry in self.entries if entry["end"] == "complete" and entry["goals"]]
        return sorted(found, key=lambda one: standing(one, higher=self.goals[0].higher))

    def _add(self, number: int, values: Mapping[str, Any], *, birth: list[int] | None = None) -> Entry:
        entry: Entry = {
            "label": f"trial {number}",
            "folder": f"{TRIALS}/{number:04d}",
            "number": number,
            "values": dict(values),
            "until": self._until(number),
            "bracket": bracket(number, self.brackets),
            "rung": -1,
            "at": {},
            "end": None,
            "same_as": None,
            "birth": birth,
            "goals": None,
            "loss": None,
            "failure": None,
            "killed": 0,
            "seconds": None,
        }
        # Members of a population that begin alike end otherwise.
        others = self.entries if number and not self.steady else ()
        twin = next((one for one in others if one["values"] == entry["values"]), None)
        self.entries.append(entry)
        if twin:
            entry["same_as"] = twin["number"]
            entry["goals"], entry["loss"] = twin["goals"], twin["loss"]
            self.proposals.tell(number, self._told(entry))
            entry["end"] = "same"
        return entry

    def _until(self, number: int) -> float | None:
        """Where a new trial pauses first; trial 0, beside which all others are set, goes to its end at once."""
        ahead = self.rungs[bracket(number, self.brackets) :]
        return ahead[0] if ahead and (number or self.steady) else None

    def _look(self, entry: Entry) -> None:
        """Where its run folder stands."""
        run, log = self.run(entry), read_lines(self.run(entry).path / "log.jsonl")
        looks = [fact for fact in log if fact["event"] == "evaluate" and fact["step"] > 0]
        for rung, epochs in enumerate(self.rungs):
            if run.finished or any(fact["epoch"] >= epochs - 1e-9 for fact in looks):
                value = self.score(looks, epochs)
                if value is not None and str(rung) not in entry["at"]:
                    entry["at"][str(rung)] = value
                    self.proposals.report(entry["number"], rung, value)
        if run.finished:
            self._end(entry, "complete")
        elif entry["until"] is not None and self.score(looks, entry["until"]) is not None:
            there = any(fact["epoch"] >= entry["until"] - 1e-9 for fact in looks)
            # The look is logged before the checkpoint is whole.
            saved = {int(path.name.rpartition("-")[2]) for path in run.checkpoints()}
            if there and max((fact["step"] for fact in looks), default=-1) in saved:
                entry["rung"] = list(self.rungs).index(entry["until"])

    def score(self, looks: Sequence[Mapping[str, Any]], epochs: float = math.inf) -> float | None:
        """The first goal's metric at the step that would be kept after so many epochs."""
        seen = []
        for fact in looks:
            seen.append(fact)
            if fact["epoch"] >= epochs - 1e-9:
                break
        name, higher = self.keeps
        keep_best = self.asked.train.load_best_model_at_end
        known = [fact for fact in seen if math.isfinite(fact.get(f"validation/{name}", math.nan))]
        if not known:
            return None
        sign = 1 if higher else -1

        def worth(fact: Mapping[str, Any]) -> tuple[float, float]:
            return sign * fact[f"validation/{name}"], -fact.get("validation/loss", math.inf)

        kept = max(known, key=worth) if keep_best else known[-1]
        value = kept.get(f"validation/{self.metric}")
        return None if value is None or not math.isfinite(value) else float(value)

    def _end(self, entry: Entry, how: str) -> None:
        if how == "complete":
            entry["goals"], entry["loss"] = self._reached(entry)
        self.proposals.tell(entry["number"], self._told(entry), stopped=how == "stopped")
        entry["end"] = how

    def _told(self, entry: Mapping[str, Any]) -> list[float] | None:
        """What Optuna hears of its end: scores that are the same are as good as their losses are small."""
        if not entry["goals"]:
            return None
        first, *others = entry["goals"]
        loss, sign = entry["loss"], 1 if self.goals[0].higher else -1
        # No score of rows that can be counted differs by so little from another one.
        return [first - (sign * TIE * loss / (1 + abs(loss)) if loss is not None else 0.0), *others]

    def tidy(self) -> None:
        """Checkpoints that nobody goes on from any more are deleted; once it is written down that they are none."""
        for entry in self.entries:
            if entry["end"] in ("complete", "stopped") and entry["number"] not in self._tidied:
                self._tidied.add(entry["number"])
                for checkpoint in self.run(entry).checkpoints():
                    shutil.rmtree(checkpoint, ignore_errors=True)

    def _reached(self, entry: Mapping[str, Any]) -> tuple[list[float] | None, float | None]:
        """What a finished trial is worth by each goal, None where a number is missing; and its loss."""
        run = self.run(entry)
        log, card = read_lines(run.path / "log.jsonl"), run.json("model/weitiao.json")
        at = [fact for fact in log if fact["event"] == "evaluate" and fact["step"] == card["step"]]
        end = next(fact for fact in reversed(log) if fact["event"] == "end")
        weights = sum(path.stat().st_size for path in run.model.rglob("*.safetensors"))
        costs = {
            "seconds": card["seconds"],
            "megabytes": weights / 1e6,
            "memory": end.get("peak_memory_mb"),
            "parameters": card["trained"],
        }
        seen = at[-1] if at else {}
        found = [costs.get(goal.name, seen.get(f"validation/{goal.name}")) for goal in self.goals]
        usable = [float(one) for one in found if one is not None and math.isfinite(one)]
        loss = seen.get("validation/loss", math.nan)
        return usable if len(usable) == len(found) else None, loss if math.isfinite(loss) else None

    def _climbers(self) -> list[Climber]:
        sign = self.goals[0]
        return [
            Climber(
                entry["number"],
                {
                    int(rung): sign.better(value)
                    for rung, value in entry["at"].items()
                    if int(rung) >= entry["bracket"]
                },
                entry["rung"] if not entry["end"] else -1,
                entry["bracket"],
            )
            for entry in self.entries
            if entry["at"] and entry["number"]  # trial 0 goes to its end anyway, and takes nobody's place
        ]


def standing(row: Mapping[str, Any], *, higher: bool) -> tuple[float, float, int]:
    """By which finished trials are ranked, the best first: their score, of the same score their loss, and who was first."""
    score, loss = row["goals"][0], row.get("loss")
    return -score if higher else score, math.inf if loss is None else loss, row["number"]


def goals_of(names: Sequence[str], metric: str, watched: Mapping[str, bool]) -> list[Goal]:
    """Goals by their names.

    Args:
        names: of `search.goals`.
        metric: that `score` stands for.
        watched: metric of the validation rows -> is more of it better?

    Raises:
        WeitiaoError: `unknown_goal`.
    """
    found = []
    for name in names:
        meant = metric if name == "score" else name
        if meant not in watched and meant not in COSTS:
            known = ["score", *COSTS, *watched]
            raise fault("unknown_goal", name=name, hint=did_you_mean(name, known), known=", ".join(known))
        found.append(Goal(meant, watched.get(meant, False)))
    if found[0].name in COSTS:
        raise fault("unknown_goal", name=names[0], hint="", known=", ".join(["score", *watched]))
    return found
