"""Which settings suit these rows?  Trials of one recipe, the best of which is judged once.

    search("recipe.yaml", trials=20)  ->  SearchStudy

    output_dir/  search.json  search.html  trials.csv  optuna.journal  trials/0000/ ...  best/

A part of the validation rows chooses: which step of a trial is kept, which trial goes on, which is best.  The others have
no say in that, and tell what the winner is worth: the first number is the best of many draws, and so too good (the winner's
curse; Cawley & Talbot 2010, JMLR 11, 2079-2107).  The test rows lie in no trial's folder, and judge the winner alone.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from signal import Signals
from typing import TYPE_CHECKING, Any

from weitiao.core import registry
from weitiao.core.contracts import Task
from weitiao.core.display import Sheet, either
from weitiao.core.errors import fault, need
from weitiao.core.files import write_json, write_text
from weitiao.core.recipe import Recipe
from weitiao.core.run import RunFolder
from weitiao.core.why import reason
from weitiao.stages.events import Tell, listening
from weitiao.stages.run import Run
from weitiao.stages.runs import load
from weitiao.study import architecture
from weitiao.study import space as spaces
from weitiao.study.halving import rungs
from weitiao.study.population import steady
from weitiao.study.proposals import Proposals
from weitiao.study.schedule import Kind, Study, claimed
from weitiao.study.search_rows import SearchRows
from weitiao.study.trials import SHARED, Goal, Trials, goals_of

if TYPE_CHECKING:
    from weitiao.models.assets.fetch import Progress

KIND = Kind(
    file="search.json",
    page="search.html",
    parts="trials",
    exists="search_exists",
    stopped="search_stopped",
)
BEST = "best"
HALVES = ("asha", "hyperband", "pbt")
"""Ways that stop trials early, and so compare them before their end."""


@dataclass(frozen=True, repr=False)
class SearchStudy(Study):
    """A search's folder and what can be done with it."""

    kind = KIND

    def sheet(self) -> Sheet:
        """The trials and what they are worth, the best first."""
        found = self.results
        done = [row for row in found.get("trials", ()) if row["goals"]]
        rows = [
            [row["label"], *(f"{value:.4g}" for value in row["goals"]), _said(row["values"])] for row in done
        ]
        names = [goal["name"] for goal in found.get("goals", ())]
        head = [either("trial", "试验"), *names, either("settings", "设置")]
        return Sheet(f"Search {self.path}", head, rows, found.get("sentence", ""))

    @property
    def failed(self) -> list[str]:
        """Labels of the trials that have failed, if none has come to its end: that some settings fail is what is found out."""
        rows = self.results["trials"]
        return [] if any(row["goals"] for row in rows) else [row["label"] for row in rows if row["failure"]]

    @property
    def best(self) -> Run:
        """The winner, judged on the locked test rows.

        Raises:
            WeitiaoError: `no_run` before there is one.
        """
        return load(self.path / BEST)

    @property
    def recipe(self) -> Recipe:
        """That of the winner."""
        return self.best.recipe


def search(
    recipe: str | Path | Mapping[str, Any] | Recipe,
    *,
    space: Mapping[str, Any] | Sequence[str] = (),
    how: str = "",
    trials: int | None = None,
    minutes: float | None = None,
    goals: Sequence[str] = (),
    workers: int = 1,
    overrides: Iterable[str] = (),
    resume: bool = False,
    tell: Tell | None = None,
    progress: Progress | None = None,
) -> SearchStudy:
    """Try settings of a recipe, its own first, and judge the best of them once on the locked test rows.

    Args:
        recipe: a YAML file, a mapping or a `Recipe`; its section `search` says what is not said here.
        space: key of the recipe -> values (`{"train.learning_rate": {"low": 1e-5, "high": 1e-3, "log": True}}`), or words
            (`"train.learning_rate=1e-5..1e-3:log"`, `"method=lora,head"`, `"architecture"`); default: what suits the method.
        how: `auto`, `grid`, `random`, `tpe`, `gp`, `cmaes`, `evolution`, `asha`, `hyperband` or `pbt`.
        trials: settings that are tried, the recipe's own among them.
        minutes: no trial is begun or gone on with afterwards.
        goals: `score`, a metric of the validation rows, and costs: `seconds`, `megabytes`, `memory`, `parameters`.
        workers: trials that are trained side by side.
        overrides: `key=value` words on top, such as `"train.num_train_epochs=1"`.
        resume: go on with the search in `output_dir`: what has ended stays, what was interrupted goes on, and there may be
            more trials than before.
        tell: hears what happens.
        progress: hears (bytes, all bytes) of what is fetched.  Without both, standard error says how it goes.

    Returns:
        The search; `best` is the winner.

    Raises:
        WeitiaoError: whatever is wrong for all, before the first trial: `missing_extra`, `bad_space`, `unknown_key`,
            `space_key_fixed`, `unknown_goal`, `needs_validation`; `search_exists`, `other_study`, `search_stopped` after
            SIGINT or SIGTERM.
    """
    need("optuna", extra="study")
    tree = recipe.model_dump() if isinstance(recipe, Recipe) else recipe
    asked = _asked(tree, list(overrides), space, how, trials, minutes, goals)
    folder = RunFolder(Path(asked.output_dir))
    with ExitStack() as held_open:
        tell, progress, _ = held_open.enter_context(listening(tell, progress))
        tell("asked", recipe=asked)
        plan = _planned(asked, progress=progress)
        common = asked.model_dump(mode="json")
        before = held_open.enter_context(claimed(KIND, folder, common, resume=resume))
        _same_space(folder, plan)
        plan.winner = folder.json(KIND.file).get("winner")
        architecture.make(plan.bases, asked.model, plan.task)
        rows = SearchRows.dealt(folder, asked, plan.task, tell=tell, progress=progress)
        rows.alike = plan.bases
        settled = asked.search
        words: dict[str, Any] = {"how": plan.how, "seed": asked.seed, "trials": plan.count}
        words["maximize"] = [goal.higher for goal in plan.goals]
        proposals = Proposals.opened(folder.path, plan.dimensions, **words)
        tried = Trials(
            asked=asked,
            folder=folder.path,
            proposals=proposals,
            own=plan.own,
            goals=plan.goals,
            metric=plan.goals[0].name,
            keeps=plan.keeps,
            rungs=plan.rungs,
            steady=plan.how == "pbt",
            brackets=len(plan.rungs) + 1 if plan.how == "hyperband" else 1,
            hand_on=rows.hand_on,
            count=plan.count,
            entries=[dict(row) for row in before],
        )
        keep = partial(_write, folder, plan, tried, common)
        keep()
        tell("searching", how=plan.how, trials=plan.count, dimensions=plan.dimensions, rows=rows.counts)
        from weitiao.study.lanes import go

        caught = go(tried, workers=workers, minutes=settled.minutes, write=keep, tell=tell)
        if caught:
            keep()
            done = sum(bool(entry["end"]) for entry in tried.entries)
            name = Signals(caught).name
            error = fault("search_stopped", path=folder.path, done=done, count=plan.count, signal=name)
            error.exit_code = 128 + caught
            raise error
        keep()
        shutil.rmtree(folder.path / SHARED, ignore_errors=True)
        _crown(folder, plan, tried, rows, keep, tell)
    return SearchStudy(folder.path)


@dataclass
class Plan:
    """What is searched, and how."""

    asked: Recipe
    task: Task
    dimensions: Sequence[spaces.Dimension]
    how: str
    goals: Sequence[Goal]
    keeps: tuple[str, bool]
    own: Mapping[str, Any]
    rungs: Sequence[float]
    count: int
    bases: Mapping[str, int]
    """Folder -> blocks, of bases that are cut from the recipe's own."""
    winner: dict[str, Any] | None = field(default=None)
    """What is said of the best trial, once it is known."""


def _asked(
    tree: Any,
    words: list[str],
    space: Mapping[str, Any] | Sequence[str],
    how: str,
    trials: int | None,
    minutes: float | None,
    goals: Sequence[str],
) -> Recipe:
    """The recipe with all that was said besides."""
    read = Recipe.read(tree, words)
    given: dict[str, Any] = {"how": how, "trials": trials, "minutes": minutes, "goals": list(goals)}
    given["space"] = dict(space) if isinstance(space, Mapping) else spaces.spelt(space)
    section = {**read.search.model_dump(), **{key: value for key, value in given.items() if value}}
    return Recipe.read({**read.model_dump(mode="json"), "search": section})


def _planned(asked: Recipe, *, progress: Progress | None) -> Plan:
    """Everything that can be known before rows are read.

    Raises:
        WeitiaoError: as `search`.
    """
    from weitiao.evaluate.chosen import watched
    from weitiao.stages.preflight import preflight, resolve

    task, method = registry.build("task", asked.task), registry.build("method", asked.method)
    if not asked.data.train:
        raise fault("missing_key", key="data.train")
    resolved = resolve(asked, task, method)
    if resolved.train.eval_strategy == "no":
        raise fault("needs_validation", why="search")
    preflight(asked, task, method, progress=progress)
    known = watched(task, asked.evaluate.metrics)
    keeps = resolved.train.metric_for_best_model
    metric = task.primary if task.primary in known else keeps
    goals = goals_of(asked.search.goals, metric, {name: one.higher_is_better for name, one in known.items()})
    how = asked.search.how
    levels = _rungs(resolved, even=how == "pbt")
    if how == "auto":
        # Half a dozen looks tell trials apart too late to stop them early: measured in notes/LOG.md.
        long = len(levels) > 1
        how = "asha" if long and len(goals) == 1 and not _lengths(asked) else "tpe"
    halves = how in HALVES
    if halves and len(goals) > 1:
        raise fault("unknown_goal", name=", ".join(asked.search.goals), hint="", known="score")
    moving = how == "pbt"
    if moving and not levels:
        raise fault("wrong_value", key="search.how", value=how, why=reason("pbt_looks"))
    given = asked.search.space or spaces.usual(resolved, whole=halves, moving=moving)
    given, bases = architecture.settled(given, resolved, task)
    dimensions = spaces.asked(given, asked, whole=halves, moving=moving)
    own = {one.key: spaces.of(asked if one.key == "method" else resolved, one.key) for one in dimensions}
    count = asked.search.trials
    if how == "grid":
        count = 1 + sum(1 for _ in spaces.grid(dimensions))
    better = (keeps, known[keeps].higher_is_better)
    return Plan(asked, task, dimensions, how, goals, better, own, levels if halves else (), count, bases)


def _rungs(resolved: Recipe, *, even: bool) -> tuple[float, ...]:
    """Epochs after which trials can be compared before their end; of a population, evenly."""
    train = resolved.train
    if train.max_steps is not None:
        return ()
    epochs = train.num_train_epochs
    # Looks by steps may come several times in an epoch: the first of three rungs is a ninth of the way.
    least = 1.0 if train.eval_strategy == "epoch" else epochs / 9
    return steady(epochs, every=least) if even else rungs(epochs, least=least)


def _lengths(asked: Recipe) -> bool:
    return any(key in asked.search.space for key in spaces.LENGTH)


def _same_space(folder: RunFolder, plan: Plan) -> None:
    """A search that goes on proposes from the same values, and wants the same.

    Raises:
        WeitiaoError: `other_study`.
    """
    before = folder.json(KIND.file)
    if not before:
        return
    now = _told(plan)
    keys = ("how", "space", "goals")
    changed = [f"  search.{key}: {before[key]} -> {now[key]}" for key in keys if before[key] != now[key]]
    if changed:
        raise fault("other_study", path=folder.path, changes="\n".join(changed))


def _told(plan: Plan) -> dict[str, Any]:
    return {
        "how": plan.how,
        "space": [one.told for one in plan.dimensions],
        "goals": [{"name": goal.name, "higher_is_better": goal.higher} for goal in plan.goals],
        "rungs": list(plan.rungs),
        "count": plan.count,
    }


def _write(folder: RunFolder, plan: Plan, tried: Trials, common: Mapping[str, Any]) -> None:
    """The study's JSON, its page, and the trials as a table."""
    from weitiao.study.search_page import search_page
    from weitiao.study.search_table import csv, gather

    results = gather(folder.path, tried, _told(plan), plan.task, common, plan.winner)
    write_json(folder.path / KIND.file, results)
    write_text(folder.path / KIND.page, search_page(results))
    write_text(folder.path / "trials.csv", csv(results))
    tried.tidy()


def _crown(folder: RunFolder, plan: Plan, tried: Trials, rows: SearchRows, keep: Any, tell: Tell) -> None:
    """Score the best anew, by rows that had no say, and judge it once by the test rows."""
    from weitiao.study.rescored import judged_once, rescored

    found = tried.complete()
    if not found:
        return
    best, own = found[0], tried.entries[0]
    before = plan.winner or {}
    plan.winner = {"number": best["number"], "label": best["label"], "judged": before.get("judged", [])}
    words: dict[str, Any] = {"metric": plan.goals[0].name, "recipe": plan.asked}
    plan.winner |= rescored(tried.run(best), tried.run(own) if own["goals"] else None, rows, **words)
    plan.winner |= judged_once(
        tried.run(best), folder.path / BEST, plan.winner, rows, recipe=plan.asked, tell=tell
    )
    keep()


def _said(values: Mapping[str, Any]) -> str:
    return " ".join(f"{key.rpartition('.')[2]}={value}" for key, value in values.items())
