"""Rank base models and methods for a file, before anything is tuned.

choose("reviews.csv", costs=plans)  ->  Choice: a table, a page, and a recipe that `weitiao train` takes as it is
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from weitiao.core import registry
from weitiao.core.display import Sheet, Shown, either
from weitiao.core.errors import WeitiaoError, fault
from weitiao.core.figures import figure
from weitiao.core.files import refuse_unwritable, write_text
from weitiao.core.recipe import Recipe
from weitiao.core.run import facts
from weitiao.core.why import because, reason
from weitiao.stages.data import beside_texts, embedded, located, untaught
from weitiao.stages.events import Tell, listening
from weitiao.study.choice.look import Ground, asked, look
from weitiao.study.choice.ranked import methods_of, ranked, reasons, scored, warned

if TYPE_CHECKING:
    from weitiao.models.assets.fetch import Progress
    from weitiao.study.choice.asked import Seen

VERSION = 1

Costs: TypeAlias = Callable[..., Mapping[str, Any]]
"""(recipe, methods, progress=...) -> by method what it would take (`seconds`, `memory`, `disk`, `fits`), or the error that
stands against it."""


@dataclass(repr=False)
class Choice(Shown):
    """What was found: candidates in order, why, and what may be better than tuning."""

    results: dict[str, Any]
    recipe: Recipe | None
    """Of the first candidate; None where none fits."""
    unplanned: WeitiaoError | None = None
    """What stands against every method, where that is no want of room."""

    @property
    def instead(self) -> list[dict[str, str]]:
        """What speaks against tuning; nothing where nothing does."""
        return list(self.results["instead"])

    def sheet(self) -> Sheet:
        """The models and their scores."""
        found = self.results
        rows = [
            [
                one["model"],
                figure({**one["score"], "value": one["score"]["mean"]}) if one.get("score") else "-",
            ]
            for one in found["models"]
        ]
        head = [either("model", "模型"), found["metric"]]
        return Sheet(found["sentence"], head, rows, " ".join(found["why"]))

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return self.results

    def text(self) -> str:
        """The recipe, commented, with why it was chosen.

        Raises:
            WeitiaoError: as `refuse_none`.
        """
        self.refuse_none()
        assert self.recipe is not None
        first, *others = self.recipe.to_commented_yaml().split("\n")
        said = [*self.results["why"], *(one["text"] for one in self.instead)]
        return "\n".join([first, *(f"# {' '.join(text.split())}" for text in said), *others])

    def refuse_none(self) -> None:
        """Is there a candidate that fits?

        Raises:
            WeitiaoError: `nothing_fits`; what stands against every method, such as rows that are too few to split.
        """
        if self.recipe is None:
            raise self.unplanned or fault("nothing_fits", least=self.results["least"])

    def write(self, path: str | Path) -> Path:
        """Write the recipe.

        Raises:
            WeitiaoError: as `refuse_none`; `wrong_usage` where something lies there; `no_permission`.
        """
        refuse_taken(path)
        write_text(Path(path), self.text())
        return Path(path)

    def write_page(self, path: str | Path) -> Path:
        """Write the page."""
        from weitiao.study.choice.page import choice_page

        write_text(Path(path), choice_page(self.results))
        return Path(path)


def refuse_taken(path: str | Path) -> None:
    """May a recipe be written there?

    Raises:
        WeitiaoError: `wrong_usage`, `no_permission`.
    """
    if Path(path).exists():
        raise fault("wrong_usage", **because("output_there", path=path))
    refuse_unwritable(Path(path))


def choose(
    file: str | Path | Sequence[str | Path],
    *,
    costs: Costs,
    task: str = "",
    models: Sequence[str] = (),
    columns: Mapping[str, str] | None = None,
    overrides: Sequence[str] = (),
    minutes: float | None = None,
    memory_mb: float | None = None,
    rows: int | None = None,
    tell: Tell | None = None,
    progress: Progress | None = None,
) -> Choice:
    """Rank base models and methods for a file by a probe of what the models see in its rows, and by what tuning would take.

    Nothing is tuned.  A model that cannot be opened is told with its reason, and the others are ranked.  What is asked is told
    where it is asked (`api.choose`); `costs` forecasts what a run would take.

    Raises:
        WeitiaoError: what is wrong with the file; `unprobed_task`; what is wrong with the only model, or with the first where
            none can be opened.
    """
    files = [str(file)] if isinstance(file, str | Path) else [str(each) for each in file]
    with listening(tell, progress) as (tell, progress, _):
        recipe = asked(files, task=task, columns=columns or {}, overrides=list(overrides), progress=progress)
        if not task and (
            alone := beside_texts(located(recipe.data), registry.build("task", recipe.task).shape)
        ):
            tell("notice", text=alone)
        ground = look(recipe, rows=rows, progress=progress)
        refs = list(dict.fromkeys(models or embedded(ground.task)))
        found, sights, unplanned = _all(refs, ground, costs, tell=tell, progress=progress)
        known = [one for one in found if one["state"] == "asked"]
        _limited(known, minutes=minutes, memory_mb=memory_mb)
        baselines = _baselines(ground)
        candidates = ranked(known, ground)
        from weitiao.study.choice.blind import nothing
        from weitiao.study.choice.instead import instead
        from weitiao.study.choice.ranked import best_of

        best = best_of(known, ground)
        sight = sights.get(best["model"]) if best else None
        against = instead(ground, known, baselines, sight, nothing(ground, baselines, best, sight))
        first = next((one for one in candidates if one["fits"]), None)
        chosen = _recipe(ground, first) if first else None
        results = _results(", ".join(files), ground, found, candidates, baselines, against, first)
        results["recipe"] = (chosen or ground.recipe).model_dump(mode="json")
        planned = any(one["seconds"] is not None for one in candidates)
        if planned or not unplanned:
            return Choice(results, chosen)
        results |= {"sentence": reason("choice_not_planned"), "why": [unplanned[0].text()]}
        return Choice(results, None, unplanned[0])


def _all(
    refs: Sequence[str], ground: Ground, costs: Costs, *, tell: Tell, progress: Progress | None
) -> tuple[list[dict[str, Any]], dict[str, Seen | None], list[WeitiaoError]]:
    """What each model says, what it sees, and what stands against methods besides want of room."""
    from weitiao.study.choice.asked import ask

    found, sights, errors = list[dict[str, Any]](), dict[str, Any](), list[WeitiaoError]()
    unplanned = list[WeitiaoError]()
    for ref in refs:
        tell("loading", model=ref)
        try:
            said, sights[ref] = ask(ref, ground, progress=progress)
        except WeitiaoError as error:
            errors.append(error)
            found.append({"model": ref, "state": "failed", "code": error.code, "why": error.text()})
            continue
        own = _with(ground, ref, untaught_=said["about"]["untaught"])
        names = methods_of(
            said["about"],
            generates=bool(ground.task.headless) or ground.how == "untuned",
            rows=len(ground.checked.rows),
        )
        taken = costs(own, names, progress=progress)
        unplanned += [one for one in taken.values() if isinstance(one, WeitiaoError)]
        said["methods"] = [_method(name, taken[name]) for name in names]
        found.append({"model": ref, "state": "asked", **said, "score": scored(said["values"], ground)})
        found[-1]["warned"] = warned(found[-1], ground)
    if len(errors) == len(refs):
        raise errors[0]
    return found, sights, unplanned


def _with(ground: Ground, ref: str, *, untaught_: bool) -> Recipe:
    recipe = ground.recipe.model_copy(update={"model": ref})
    if not untaught_:
        return recipe
    given = recipe.train.model_fields_set
    usual = {key: value for key, value in untaught(len(ground.checked.rows)).items() if key not in given}
    return recipe.model_copy(update={"train": recipe.train.model_copy(update=usual)})


def _method(name: str, taken: Any) -> dict[str, Any]:
    if isinstance(taken, WeitiaoError):
        return {
            "method": name,
            "fits": False,
            "why": taken.text(),
            "seconds": None,
            "memory": None,
            "disk": None,
        }
    return {
        "method": name,
        "fits": bool(taken.fits),
        "why": "" if taken.fits else reason("choice_no_room", free=f"{(taken.free or 0) / 1e6:,.0f}"),
        "seconds": float(taken.seconds),
        "memory": int(taken.memory),
        "disk": int(taken.disk),
    }


def _limited(models: Sequence[dict[str, Any]], *, minutes: float | None, memory_mb: float | None) -> None:
    """What takes more than was allowed does not fit."""
    for one in (one for model in models for one in model["methods"] if one["seconds"] is not None):
        if minutes is not None and one["seconds"] > 60 * minutes:
            one |= {"fits": False, "why": reason("choice_too_slow", minutes=f"{minutes:g}")}
        if memory_mb is not None and one["memory"] > 1e6 * memory_mb:
            one |= {"fits": False, "why": reason("choice_too_large", size=f"{memory_mb:,.0f}")}


def _baselines(ground: Ground) -> dict[str, dict[str, Any]]:
    """What stands beside the probes, learnt on the same folds."""
    from weitiao.evaluate.chosen import baselines
    from weitiao.study.choice.probe import beside

    # What words say of such rows does not hang on which task's model is tuned: `dpo` has fewer of them than `reward`.
    tasks = [registry.build("task", {"name": name}) for name in registry.names("task")]
    alike = [
        ground.task,
        *(task for task in tasks if ground.how == "none" and task.shape == ground.task.shape),
    ]
    task = max(alike, key=lambda task: len(task.baselines))

    if not ground.folds:
        return {}
    kept = [row for row, fold in zip(ground.rows, ground.fold_N, strict=True) if fold >= 0]
    fold_N = ground.fold_N[ground.fold_N >= 0]
    found = {}
    for name, baseline in baselines(task, "auto").items():
        if baseline.sees:  # that is the probe itself
            continue
        values = beside(baseline, ground.task, ground.metric, kept, fold_N)
        if any(value is not None for value in values):
            found[name] = {"values": values, "score": scored(values, ground)}
    return found


def _recipe(ground: Ground, first: Mapping[str, Any]) -> Recipe:
    from weitiao.models.assets.catalog import MODELS

    ref = first["model"]
    recipe = _with(ground, ref, untaught_=ref in MODELS and MODELS[ref].untaught)
    method = registry.build("method", {"name": first["method"]})
    return recipe.model_copy(update={"method": registry.settings_of(first["method"], method)})


def _results(
    file: str,
    ground: Ground,
    found: Sequence[dict[str, Any]],
    candidates: Sequence[dict[str, Any]],
    baselines: Mapping[str, Any],
    against: Sequence[dict[str, str]],
    first: Mapping[str, Any] | None,
) -> dict[str, Any]:
    from weitiao.models.load import pick_device

    known = [one for one in found if one["state"] == "asked"]
    tables, told = ground.diagnosis.tables, ground.recipe.task["name"]
    least = min((one["memory"] for one in candidates if one["memory"]), default=0)
    if first is None:
        sentence, why = reason("choice_nothing_fits"), list[str]()
    else:
        words = {"model": first["model"], "method": first["method"]}
        sentence = reason("choice_rather" if against else "choice_begin", **words)
        why = reasons(first, known, ground, candidates)
    labels = tables.get("labels", {}).get("counts") or {}
    return {
        "version": VERSION,
        "sentence": sentence,
        "why": why,
        "instead": list(against),
        "file": file,
        "task": told,
        "metric": ground.name,
        "higher_is_better": ground.metric.higher_is_better,
        "data": {
            "rows": len(ground.checked.rows),
            "languages": tables.get("languages") or {},
            "labels": labels,
            "dates": ground.dates,
        },
        "probe": {
            "how": ground.how,
            "rows": int((ground.fold_N >= 0).sum()),
            "folds": ground.folds,
        },
        "models": [{key: value for key, value in one.items()} for one in found],
        "baselines": dict(baselines),
        "candidates": list(candidates),
        "least": f"{least / 1e6:,.0f}",
        "rule": reason("choice_rule"),
        "facts": facts(seed=ground.recipe.seed, device=pick_device(), fingerprints={}),
    }
