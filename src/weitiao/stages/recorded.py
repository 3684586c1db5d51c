"""What a run folder says of a run: what was asked, how it is judged, which forms its model has.  No model is loaded."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from weitiao.core.display import Sheet, Shown
from weitiao.core.errors import did_you_mean, fault
from weitiao.core.figures import around, figure
from weitiao.core.recipe import Recipe
from weitiao.core.run import RunFolder


@dataclass(repr=False)
class Recorded(Shown):
    """A run folder, to be looked at."""

    folder: RunFolder
    variant: str = ""
    """The folder in it that holds its model in another form, such as `merged`; empty: the model as it was tuned."""
    judged_in: str = ""
    """Where, in there, its results are looked for: those of its locked test rows lie in the folder itself."""

    @property
    def path(self) -> Path:
        """The run folder."""
        return self.folder.path

    @property
    def recipe(self) -> Recipe:
        """What was asked, every default written out."""
        return self.folder.recipe

    @property
    def began_with(self) -> str:
        """The print of another run's tuned weights that it began with (`start_from`); empty where it began with its base."""
        prints = self.folder.json("facts.json").get("fingerprints", {})
        return str(prints.get("start_from", "")) if self.recipe.start_from else ""

    @property
    def place(self) -> Path:
        """Where its results lie: the run folder, its variant's, or the evaluation of other rows in there."""
        return self.path / self.variant / self.judged_in

    def as_variant(self, name: str) -> Self:
        """The same run with its model in another form, which lies in its folder.

        Raises:
            WeitiaoError: `no_variant`.
        """
        known = variants(self.path)
        name = Path(name).as_posix()
        if name not in known:
            said = ", ".join(known) or "-"
            raise fault("no_variant", path=self.path, name=name, known=said, hint=did_you_mean(name, known))
        return replace(self, variant=name)

    @property
    def results(self) -> dict[str, Any]:
        """`results.json`: metrics with intervals, comparisons and the verdict."""
        return RunFolder(self.place).json("results.json")

    @property
    def analysis(self) -> dict[str, Any]:
        """`analysis.json`: where it fails, and how surely; empty before it is judged."""
        return RunFolder(self.place).json("analysis.json")

    @property
    def remarks(self) -> list[str]:
        """What a reader of the results must know besides: rows that were cut, what is missing and why."""
        from weitiao.evaluate.verdict import remarks

        return remarks(self.results) if self.results else []

    @property
    def report(self) -> Path:
        """The page."""
        return self.place / "report.html"

    def sheet(self) -> Sheet:
        """Its folder, state and scores."""
        title, results = f"Run {self.place}: {self.folder.state}", self.results
        if not results:
            return Sheet(title)
        metrics, primary = results["metrics"], results["primary"]
        names = list(metrics["tuned"])
        rows = [
            [system, *(_interval(found[name]) if name in found else "-" for name in names)]
            for system, found in metrics.items()
        ]
        title += f", {primary} {figure(metrics['tuned'][primary])}"
        return Sheet(title, ["", *names], rows, results["verdict"]["sentence"])


def _interval(metric: Mapping[str, Any]) -> str:
    return f"{figure(metric)} ({around(metric)})" if around(metric) else figure(metric)


def run_around(path: Path) -> tuple[Path, str]:
    """The run folder that a path names, and which variant in it; empty for the run itself."""
    if not (path / "recipe.yaml").is_file():
        for depth in (1, 2):
            above = Path(os.path.normpath(path / Path(*[".."] * depth)))
            name = Path(os.path.relpath(path, above)).as_posix() if path.is_dir() else ""
            if name and name in variants(above):
                return above, name
    return path, ""


def variants(run: Path) -> list[str]:
    """The folders of a run that hold its model in another form, as a plain model of Transformers."""
    if not (run / "recipe.yaml").is_file():
        return []
    found = [path.parent for depth in ("*", "*/*") for path in run.glob(f"{depth}/config.json")]
    own = ("model", "checkpoint-", "later-checkpoint-", ".")
    return sorted(
        name
        for name, path in ((path.relative_to(run).as_posix(), path) for path in found)
        # An exported graph has a configuration and no weights; what is being written is hidden.
        if name != own[0]
        and not name.startswith(own[1:])
        and not path.name.startswith(".")
        and any(path.glob("*.safetensors"))
    )
