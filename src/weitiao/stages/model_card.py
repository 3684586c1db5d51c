"""The card beside a tuned model: `model/README.md`, made of what lies in the run folder.

run  ->  write_model_card(run)  ->  model/README.md; of a variant the README.md in its folder

It is no part of what the model's seal (`weitiao.json`) covers: it says what was found since, and is written anew with that.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from weitiao.core.contracts import OURS
from weitiao.core.files import write_text
from weitiao.data.read import parted
from weitiao.data.read.hugging import PREFIX
from weitiao.evaluate.model_card import Facts, model_card
from weitiao.evaluate.verdict import retold
from weitiao.models import seeing
from weitiao.stages.run import Run

FILE = "README.md"
OWN = "\n- weitiao\n"
"""A line of the front matter of our cards."""
HUB = re.compile(r"[\w-][\w.-]*/[\w.-]+")


def write_model_card(run: Run) -> Path:
    """Write the card of a run's tuned model, judged or not, or of its variant; a README.md of somebody else's that lies with
    a variant stays as it is.

    Raises:
        WeitiaoError: `unfinished_run`, `broken_model`; what writing raises.
    """
    place = (run.path / run.variant if run.variant else run.folder.model) / FILE
    if run.variant and place.is_file() and OWN not in place.read_text(encoding="utf-8", errors="replace"):
        return place
    recipe, folder = run.recipe, run.folder
    base, licence = _base(run)
    known = folder.json("facts.json")
    names = [
        parted(name)[0]
        for side in (recipe.data.train, recipe.data.validation, recipe.data.test)
        for name in side
    ]
    files = list(dict.fromkeys(names))
    name = folder.path.resolve().name
    # Only of models that see pictures does the class not follow from the task, and opening one takes longer than its card.
    config = getattr(run.tuned.model, "config", None) if run.task.seeing_class else None
    facts = Facts(
        name=f"{name}/{run.variant}" if run.variant else name,
        variant=run.variant,
        auto_class=seeing.auto(config, run.task),
        task=recipe.task["name"],
        method=recipe.method["name"],
        library=_library(run),
        base=base,
        model=recipe.model,
        base_licence=licence,
        files=files,
        datasets=[name.removeprefix(PREFIX).partition(":")[0] for name in files if _of_hub(name)],
        results=_results(run),
        remarks=run.remarks,
        analysis=run.analysis,
        ledger=folder.json("data/ledger.json"),
        versions=known.get("versions", {}),
        seed=recipe.seed,
        confidence=recipe.evaluate.confidence,
        recipe=(folder.path / "recipe.yaml").read_text(encoding="utf-8"),
    )
    write_text(place, model_card(facts))
    return place


def _results(run: Run) -> dict[str, Any]:
    """Its results, with the verdict in the reader's language; empty where there are none."""
    results = run.results
    if not results:
        return {}
    said = retold(results, confidence=run.recipe.evaluate.confidence)
    return {**results, "verdict": {**results["verdict"], "sentence": said}}


def _base(run: Run) -> tuple[str, str]:
    """Its id on the hub, and its licence, where they are known."""
    from weitiao.models.assets.catalog import MODELS

    ref = run.recipe.model
    if ref in MODELS:
        return MODELS[ref].origin.partition(",")[0], MODELS[ref].licence
    here = Path(ref).exists() or Path(run.folder.json("facts.json").get("cwd", ""), ref).exists()
    return ("", "") if here or not HUB.fullmatch(ref) else (ref, "")


def _of_hub(name: str) -> bool:
    return name.startswith(PREFIX) and bool(HUB.fullmatch(name.removeprefix(PREFIX).partition(":")[0]))


def _library(run: Run) -> str:
    """What opens it; a variant is a plain model."""
    if run.variant:
        return "transformers"
    kind: Any = run.folder.json("model/adapter_config.json").get("peft_type")
    return "transformers" if kind is None else "weitiao" if kind == OURS else "peft"
