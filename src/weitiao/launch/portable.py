"""Runs that may be carried anywhere: what serving reads of them, and their bases beside them.

carry([Held(...)], Path("models"))  ->  models/reviews/{recipe.yaml, model/}  models/bases/0b7f.../

An adapter finds its base in the same place beside it, wherever both lie: its card and recipe say so in the copy.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from weitiao.core.files import write_json, write_text
from weitiao.models import stored
from weitiao.models.bases import remembered
from weitiao.models.opening import fingerprint, resolve
from weitiao.models.store import CARD, read_card
from weitiao.stages.run import Run

BASES = "bases"


@dataclass(frozen=True)
class Held:
    """A run that is to be served."""

    name: str
    """Under which it is asked."""
    folder: str
    """Under which it lies in the copy."""
    run: Run

    @property
    def served(self) -> str:
        """What `weitiao serve` is to be given, below the folder of models."""
        return f"{self.folder}/{self.run.variant}" if self.run.variant else self.folder

    @property
    def base(self) -> str:
        """The folder or hub id of its base; empty where the run holds a whole model.

        Raises:
            WeitiaoError: `base_gone`, `wrong_base`.
        """
        whole = self.run.variant or self.run.method.layout == "pretrained"
        return "" if whole else resolve(self.run.where_base_lies())

    @property
    def weights_mb(self) -> int:
        """What its weights take in memory, in float32."""
        own = self.run.path / self.run.variant if self.run.variant else self.run.folder.model
        numbers = sum(count for _, count in stored.kinds(str(own)).values())
        if base := self.base:
            numbers += sum(count for _, count in stored.kinds(base).values())
        return round(4 * numbers / 1e6)


def carry(held: list[Held], into: Path) -> None:
    """Copy them.

    Raises:
        WeitiaoError: `unfinished_run`, `broken_model`; `base_gone`, `wrong_base`.
    """
    for one in held:
        read_card(one.run.folder.model)
        own = into / one.folder
        (own / "served").mkdir(parents=True)  # where a volume is put over it
        shutil.copy(one.run.path / "recipe.yaml", own)
        if one.run.variant:
            shutil.copytree(one.run.path / one.run.variant, own / one.run.variant)
            (own / "model").mkdir()
            shutil.copy(one.run.folder.model / CARD, own / "model")
            continue
        shutil.copytree(one.run.folder.model, own / "model")
        if base := one.base:
            _with_base(own, base, into / BASES / fingerprint(base).replace("/", "--")[:40])


def _with_base(own: Path, base: str, beside: Path) -> None:
    folder = Path(base) if Path(base).is_dir() else stored.folder_of(base)
    if not beside.exists() and folder is not None:
        shutil.copytree(folder, beside, ignore=shutil.ignore_patterns(".*"))
    place = os.path.relpath(beside, own)
    card: dict[str, Any] = json.loads((own / "model" / CARD).read_text(encoding="utf-8"))
    card["base"] = {**remembered(str(beside), own), "source": place}
    write_json(own / "model" / CARD, card)
    recipe = yaml.safe_load((own / "recipe.yaml").read_text(encoding="utf-8"))
    recipe["model"] = place
    head = "# As the run has it, but for `model`: its base lies in this place beside it.\n"
    write_text(own / "recipe.yaml", head + yaml.safe_dump(recipe, allow_unicode=True, sort_keys=False))
