"""Two hundred trials whose search and trainings are killed at random: none is lost, none is trained twice, none is left.

The trainings are made up (they write the files of a run, and nothing learns); what is killed is what schedules them, at
whichever of its writings chance says, and what is there afterwards is what lies on the disk.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from weitiao.core.files import read_lines, write_json
from weitiao.core.recipe import Recipe
from weitiao.core.run import RunFolder
from weitiao.study.child_process import Outcome
from weitiao.study.proposals import FILE, Proposals
from weitiao.study.space import Dimension
from weitiao.study.trials import Goal, Trials

pytestmark = pytest.mark.whole
EPOCHS = 9
SPACE = [
    Dimension("train.learning_rate", "float", 1e-5, 1e-1, log=True),
    Dimension("train.weight_decay", "float", 0.0, 0.1),
]


class Killed(BaseException):
    """By whoever kills."""


@dataclass
class Chance:
    """Kills now and then."""

    rng: random.Random
    often: float
    kills: int = 0

    def look(self) -> None:
        if self.rng.random() < self.often:
            self.kills += 1
            raise Killed


@dataclass
class Mortal(Proposals):
    """What is written into the journal may be the last that is."""

    chance: Chance = field(default_factory=lambda: Chance(random.Random(0), 0.0))

    def ask(self, own: Any) -> Any:
        found = super().ask(own)
        self.chance.look()
        return found

    def bear(self, values: Any, *, birth: Any) -> int:
        found = super().bear(values, birth=birth)
        self.chance.look()
        return found

    def tell(self, number: int, values: Any, *, stopped: bool = False) -> None:
        super().tell(number, values, stopped=stopped)
        self.chance.look()


def opened(folder: Path, chance: Chance, *, how: str, count: int) -> Trials:
    """As a search that is begun, or gone on with, opens them."""
    path = folder / "search.json"
    rungs = {"asha": (1.0, 3.0), "pbt": (1.0, 2.0, 3.0), "random": ()}[how]
    kept = Proposals.opened(
        folder, SPACE, how="pbt" if how == "pbt" else "random", maximize=[True], seed=0, trials=count
    )
    asked = Recipe.read(
        {
            "model": "m",
            "task": "text_classification",
            "data": {"train": "t.csv"},
            "output_dir": "unused",
            "train": {"num_train_epochs": EPOCHS},
        }
    )
    return Trials(
        asked=asked,
        folder=folder,
        proposals=Mortal(**vars(kept), chance=chance),
        own={"train.learning_rate": 1e-3, "train.weight_decay": 0.01},
        goals=[Goal("accuracy", True)],
        metric="accuracy",
        keeps=("loss", False),
        rungs=rungs,
        brackets=1,
        steady=how == "pbt",
        hand_on=lambda run, recipe: None,
        count=count,
        entries=json.loads(path.read_text()) if path.exists() else [],
    )


def trained(trials: Trials, entry: dict[str, Any], chance: Chance, ended: Counter[int]) -> Outcome:
    """The files of a run, from its newest checkpoint on, an epoch a step; killed somewhere, perhaps."""
    trials.begin(entry)
    run, until = trials.run(entry), entry["until"]
    assert not run.finished, "it has come to its end already"
    there = run.checkpoints()
    start = int(there[0].name.rpartition("-")[2]) if there else 0
    run.forget_after(start)
    rate = trials.recipe(entry).train.learning_rate or 1.0
    try:
        for step in range(start + 1, EPOCHS + 1):
            run.log(event="step", step=step, epoch=float(step))
            chance.look()
            score = 1 - abs(rate - 1e-3) - 0.1 / step
            run.log(
                event="evaluate",
                step=step,
                epoch=float(step),
                **{"validation/loss": 1 / step, "validation/accuracy": score},
            )
            chance.look()
            (run.path / f"checkpoint-{step}").mkdir(exist_ok=True)
            if until is not None and step >= until:
                return Outcome(1.0, None)
        run.log(event="end", step=EPOCHS, epoch=float(EPOCHS), peak_memory_mb=1.0)
        chance.look()
        write_json(run.model / "weitiao.json", {"step": EPOCHS, "seconds": 1.0, "trained": 1})
        ended[entry["number"]] += 1
        chance.look()
    except Killed:
        return Outcome(1.0, {"error": "method_killed", "message": "", "exit": 5}, goes_on=True)
    return Outcome(1.0, None)


def searched(
    trials: Trials, write: Callable[[Trials], None], chance: Chance, trainings: Chance, ended: Counter[int]
) -> None:
    """The order of `lanes.go`, one after another."""
    while (entry := trials.next(())) is not None:
        chance.look()
        write(trials)
        outcome = trained(trials, entry, trainings, ended)
        chance.look()
        trials.note(entry, outcome)
        write(trials)
    trials.close()
    write(trials)


@pytest.mark.parametrize(("how", "count", "often"), [("asha", 200, 0.012), ("pbt", 16, 0.05)])
def test_however_often_it_is_killed_each_trial_comes_to_one_end(tmp_path, how, count, often):
    chance, trainings = Chance(random.Random(1), often), Chance(random.Random(2), often)
    ended: Counter[int] = Counter()

    def write(trials: Trials) -> None:
        chance.look()
        write_json(tmp_path / "search.json", trials.entries)
        chance.look()
        trials.tidy()

    while True:
        try:
            searched(opened(tmp_path, chance, how=how, count=count), write, chance, trainings, ended)
            break
        except Killed:
            continue
    entries = json.loads((tmp_path / "search.json").read_text())
    assert chance.kills > 10
    assert trainings.kills > 3
    assert [one["number"] for one in entries] == list(range(len(entries)))
    assert sum(not one["birth"] for one in entries) == count
    assert {one["end"] for one in entries} <= {"complete", "stopped", "same"}
    assert set(ended) == {one["number"] for one in entries if one["end"] == "complete"}
    assert set(ended.values()) == {1}, "none twice"
    for one in entries:
        log = read_lines(RunFolder(tmp_path / one["folder"]).path / "log.jsonl")
        steps = [fact["step"] for fact in log if fact["event"] == "step"]
        assert steps == list(range(1, len(steps) + 1))
        assert not list((tmp_path / one["folder"]).glob("checkpoint-*"))
    states = {
        one.number: one.state.name
        for one in opened(tmp_path, Chance(chance.rng, 0.0), how=how, count=count).proposals.study.get_trials(
            deepcopy=False
        )
    }
    assert set(states.values()) <= {"COMPLETE", "PRUNED"}
    assert len(states) == len(entries)
    assert (tmp_path / FILE).exists()


@pytest.mark.parametrize("how", ["asha", "pbt"])
def test_kills_change_no_trial(tmp_path, how):
    """The same settings, copies and ends as of a search that nobody has disturbed."""
    told = []
    for often in (0.0, 0.05):
        folder = tmp_path / str(often)
        folder.mkdir()
        chance = Chance(random.Random(3), often)

        def write(trials: Trials, folder: Path = folder) -> None:
            write_json(folder / "search.json", trials.entries)

        while True:
            try:
                searched(
                    opened(folder, chance, how=how, count=8),
                    write,
                    chance,
                    Chance(chance.rng, 0.0),
                    Counter(),
                )
                break
            except Killed:
                continue
        entries = json.loads((folder / "search.json").read_text())
        told.append([(one["number"], one["values"], one["birth"], one["end"], one["at"]) for one in entries])
    assert told[0] == told[1]
