"""Read a run folder, decide what there is to show, and set it.

    run folder (recipe.yaml, facts.json, log.jsonl, data/ledger.json, results.json)
        ->  view(folder)  ->  what the template shows, absent sections empty
        ->  write_report(folder)  ->  report.html

Only results.json is required: a report says what was found, and a run without results has found nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import Any
from urllib.parse import quote as quote_path

from weitiao.core import registry
from weitiao.core.contracts.section import KINDS
from weitiao.core.errors import fault, language
from weitiao.core.files import read_lines, sha256, write_text
from weitiao.core.page import render
from weitiao.core.results import VERSION
from weitiao.core.run import RunFolder
from weitiao.evaluate.analysed import plain
from weitiao.evaluate.explain.page import kept, snippet
from weitiao.evaluate.report import drawn
from weitiao.evaluate.report.charts import as_sections, curves
from weitiao.evaluate.report.intervals import intervals
from weitiao.evaluate.report.numbers import clip, number, p_value, say, seconds, share, size
from weitiao.evaluate.report.road import road, verdicts
from weitiao.evaluate.report.side_by_side import side_by_side, systems, title
from weitiao.evaluate.report.signals import signals
from weitiao.evaluate.report.svg import NARROW
from weitiao.evaluate.report.told import again, cost, files, learnt
from weitiao.evaluate.verdict import remarks, retold
from weitiao.evaluate.words import words

SIGN, SIGNED = "weitiao 微调".encode(), 40_000  # what every page of ours has in its first bytes
CARD = "model/weitiao.json"
ROWS_SHOWN = 50  # of the rows that were not kept
TRAIN_SHOWN = (
    "optim",
    "learning_rate",
    "num_train_epochs",
    "max_steps",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "lr_scheduler_type",
    "warmup_steps",
    "weight_decay",
    "early_stopping_patience",
    "bf16",
)

# What may be absent from a file that is there.
RESULTS: dict[str, Any] = {
    **{"trainable": None, "comparisons": {}, "sections": {}, "seconds": {}, "usage": [], "given": None},
}
FACTS: dict[str, Any] = {"created": "", "seed": None, "machine": {}, "versions": {}, "fingerprints": {}}
LEDGER: dict[str, Any] = {"files": [], "counts": {}, "rows": [], "labels": {}, "split": {}, "tokens": None}


FILTERS = {
    "number": number,
    "share": share,
    "p": p_value,
    "seconds": seconds,
    "clip": clip,
    "say": say,
    "size": size,
}


def write_report(folder: Path, place: Path | None = None) -> Path:
    """Write `report.html` of the finished run in `folder`, whole or not at all, and return its path.

    Args:
        folder: of the run.
        place: where the results lie that it shows, and where it is written, if that is not the folder itself.

    Raises:
        WeitiaoError: `old_results` for a run that was judged by another version.
    """
    place = place or folder
    text = render(Path(__file__).parent, "page.html.j2", view(folder, place), filters=FILTERS)
    write_text(place / "report.html", text)
    return place / "report.html"


def write_side_by_side(folders: Sequence[RunFolder], page: Path) -> dict[str, Any]:
    """Write the page of several judged runs, and return its sections, as `results.json` holds those of one.

    Raises:
        WeitiaoError: `not_judged_yet`, `old_results`, `page_taken`.
    """
    sections = plain(side_by_side(folders))
    _write_together(page, sections, kicker="runs_beside", title=title(folders), folders=folders)
    return sections


def write_road(steps: Mapping[str, RunFolder], page: Path) -> None:
    """Write the page of runs of which each begins where others ended.

    Raises:
        WeitiaoError: `not_judged_yet`, `old_results`, `page_taken`.
    """
    words: dict[str, Any] = {"kicker": "steps_of_a_road", "title": " → ".join(steps), "said": verdicts(steps)}
    _write_together(page, road(steps), folders=[*steps.values()], **words)


def _write_together(
    page: Path,
    sections: Mapping[str, Any],
    *,
    kicker: str,
    title: str,
    folders: Sequence[RunFolder],
    said: Sequence[Sequence[str]] = (),
) -> None:
    """Sections alone, with links to the pages of these runs, and what is said of each."""
    if page.exists() and (page.is_dir() or SIGN not in page.read_bytes()[:SIGNED]):
        raise fault("page_taken", path=page)
    labels, here = words(language()), page.resolve().parent
    links = []
    for folder, own in zip(folders, said or [()] * len(folders), strict=True):
        report = folder.path.resolve() / "report.html"
        href = quote_path(os.path.relpath(report, here).replace(os.sep, "/"))
        links.append((report.parent.name, href if report.is_file() else "", own))
    values = {
        "lang": language(),
        "w": labels,
        "kicker": labels[kicker],
        "title": title,
        "links": links,
        "sections": sections,
        "drawn": curves_of(sections),
    }
    write_text(page, render(Path(__file__).parent, "sections.html.j2", values, filters=FILTERS))


def pictured(folder: Path, place: Path | None = None) -> dict[str, Any]:
    """The sections of a judged run that can be pictures: those of its results, its systems and its training.

    Args:
        folder: of the run.
        place: where its results lie, if that is not the folder itself.
    """
    results = RunFolder(place or folder).json("results.json")
    log = read_lines(folder / "log.jsonl")
    own = {"systems": systems(results), **as_sections(log, results["primary"]), **signals(log)}
    found = {**plain(own), **_sections(results, folder, place or folder)}
    curve = learnt(folder, RunFolder(folder).json("facts.json")).get("curve")
    return {**found, "learning_curve": curve} if curve and place in (None, folder) else found


def _sections(results: Mapping[str, Any], folder: Path, place: Path) -> dict[str, Any]:
    """Those of the results, those that an analysis has found, and those of a stress test of the same model; in the order of
    a page."""
    analysis = one(place / "analysis.json", blank={})
    stressed = _of_this_model(folder, place / "stress.json").get("sections", {})
    judged = {
        name: _with_columns(section, analysis.get("columns", {}))
        for name, section in results["sections"].items()
    }
    all_ = {**judged, **analysis.get("sections", {}), **stressed}
    return dict(sorted(all_.items(), key=lambda pair: KINDS.index(pair[1]["kind"])))


def _with_columns(section: Mapping[str, Any], columns: Mapping[str, Any]) -> Mapping[str, Any]:
    """A section whose rows say also what stands in the columns that the analysis was asked for (`--by`)."""
    if section["kind"] != "rows" or not columns:
        return section
    more = [
        [
            {"name": name, "value": value, "tone": ""}
            for name, value in columns.get(row.get("place"), {}).items()
        ]
        for row in section["rows"]
    ]
    rows = [{**row, "facts": [*row["facts"], *own]} for row, own in zip(section["rows"], more, strict=True)]
    return {**section, "rows": rows}


def _of_this_model(folder: Path, file: Path) -> dict[str, Any]:
    """What was found by asking the model, if it is still the one that lies in the folder; else nothing."""
    found, card = one(file, blank={}), folder / CARD
    same = bool(found) and card.is_file() and found["card"] == sha256(card)
    return found if same else {}


def _paints(task: str) -> bool:
    """Are its answers pictures, of which nothing is explained?"""
    return task in registry.names("task") and registry.entry("task", task).kind.paints


def curves_of(sections: Mapping[str, Any]) -> dict[str, str]:
    """The drawings of those that are curves."""
    return {name: drawn.curve(one) for name, one in sections.items() if one["kind"] == "curve"}


def view(folder: Path, place: Path | None = None) -> dict[str, Any]:
    """Everything the template shows; a section whose data is absent is empty here and vanishes there."""
    import yaml

    place = place or folder
    results = RESULTS | RunFolder(place).json("results.json")
    if results.get("version") != VERSION:
        raise fault("old_results", run=folder, version=results.get("version", "-"))
    recipe_file = folder / "recipe.yaml"
    recipe_text = recipe_file.read_text(encoding="utf-8") if recipe_file.is_file() else ""
    # On libyaml, several times faster where PyYAML has it.
    load = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    recipe = yaml.load(recipe_text, Loader=load) or {}  # noqa: S506
    results["sections"] = _sections(results, folder, place)
    confidence = (recipe.get("evaluate") or {}).get("confidence")
    if confidence:
        results["verdict"] = {**results["verdict"], "sentence": retold(results, confidence=confidence)}
    facts = one(folder / "facts.json", blank=FACTS)
    # Of rows that were given there is a ledger of their own; a variant is judged by the run's.
    own = place / "data" / "ledger.json"
    ledger = one(own if own.is_file() else folder / "data" / "ledger.json", blank=LEDGER)
    metrics = {
        name: {key: span(value) for key, value in row.items()} for name, row in results["metrics"].items()
    }
    labels, log = words(language()), read_lines(folder / "log.jsonl")
    told_besides = plain(signals(log))
    explained = kept(_of_this_model(folder, place / "explanations.json"))
    if results.get("given"):
        labels = {**labels, "test_rows": labels["given_rows"]}
    return {
        "lang": language(),
        "w": labels,
        "name": lambda key: labels.get(key, key.replace("_", " ")),
        "over_classes": lambda key: labels.get(f"macro_{key}", labels.get(key, key.replace("_", " "))),
        "confidence": confidence,
        "results": results,
        "metrics": metrics,
        "remarks": remarks(results),
        "forest": intervals(metrics, results["primary"]),
        "charts": curves(log, results["primary"]),
        "signals": told_besides,
        "signals_drawn": {key: drawn.curve(section, size=NARROW) for key, section in told_besides.items()},
        "recipe_text": recipe_text,
        "settings": settings(recipe),
        "facts": facts,
        "ledger": ledger,
        "lost": [row for row in ledger.get("rows", ()) if row["status"] != "kept"],
        "rows_shown": ROWS_SHOWN,
        "drawn": curves_of(results["sections"]),
        "cost": cost(log),
        "learnt": learnt(folder, facts) if place == folder else {},
        "deployed": files(
            place if place != folder and (place / "config.json").is_file() else folder / "model"
        ),
        "again": again(folder, facts),
        "run": quote(str(place)),
        "pictured": any(one.image for one in explained),
        "explained": snippet(explained) if explained else "",
        "explain": f"weitiao explain {quote(str(place))} --errors 5"
        * ((folder / CARD).is_file() and not _paints(results["task"])),
    }


def one(file: Path, *, blank: dict[str, Any]) -> dict[str, Any]:
    """The object in a JSON file over its blank form; empty when there is no file."""
    return blank | RunFolder(file.parent).json(file.name) if file.is_file() else {}


def span(value: Any) -> dict[str, float | None]:
    """A metric as {value, low, high}, also when it was given as a bare number."""
    return {"value": None, "low": None, "high": None} | (
        value if isinstance(value, dict) else {"value": value}
    )


def settings(recipe: dict[str, Any]) -> list[tuple[str, Any]]:
    """The settings worth a glance, under the names they have in the recipe."""
    method = recipe.get("method")
    train = recipe.get("train") or {}
    chosen = list(method.items()) if isinstance(method, dict) else []
    chosen = [pair for pair in chosen if pair[0] != "name"]
    chosen += [(name, train[name]) for name in TRAIN_SHOWN if name in train]
    chosen += [("seed", recipe["seed"])] if "seed" in recipe else []
    return [
        (name, ", ".join(map(str, value)) if isinstance(value, list) else value)
        for name, value in chosen
        if value is not None and not isinstance(value, dict)
    ]
