"""A run's exported graph, asked by its own runner: onnxruntime and a tokenizer, and no torch.

graph = opened(run, "onnx");  rows = graph.read(records);  graph.told(rows)  ->  [{"label": "good", "score": 0.98, ...}, ...]

Rows of one length share a pass, so that nothing is padded; in int8, whose steps are set by all that is in a pass, each has its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from weitiao.core.contracts import Record, Task
from weitiao.core.errors import fault, need
from weitiao.core.files import sha256
from weitiao.core.read_yaml import read_yaml
from weitiao.core.recipe import Recipe
from weitiao.core.run import RunFolder
from weitiao.core.why import reason
from weitiao.stages.run import Run

SUMS = "SHA256SUMS"
WAYS = {"onnx": "--to onnx", "onnx-int8": "--to onnx --dtype int8"}
NEEDS = ("runner.py", "model.onnx", "config.json", "tokenizer.json")


@dataclass(frozen=True)
class Read:
    """A row as the graph reads it."""

    inputs: dict[str, Any]
    """Arrays of one row each, (1, T)."""
    refused: str = ""

    def __len__(self) -> int:
        """Its tokens."""
        return 0 if self.refused else int(next(iter(self.inputs.values())).shape[1])


@dataclass(frozen=True)
class Graph:
    """What answers."""

    task: Task
    runner: ModuleType
    content: str
    """A print of its files."""
    shares: bool
    """May rows share a pass, and each is answered as alone?"""

    def read(self, records: Sequence[Record]) -> list[Read]:
        """Each alone, cut where it was in training."""
        texts = [self.task.texts_read(record) for record in records]
        return [
            Read(self.runner.read(each)) if len(each) == 1 else Read({}, reason("graph_reads_one_text"))
            for each in texts
        ]

    def told(self, rows: Sequence[Read]) -> list[dict[str, Any]]:
        """What is said of each."""
        import numpy as np

        found: list[dict[str, Any]] = [{}] * len(rows)
        alike: dict[Any, list[int]] = {}
        for place, row in enumerate(rows):
            alike.setdefault(len(row) if self.shares else (place,), []).append(place)
        for places in alike.values():
            inputs = {
                name: np.concatenate([rows[place].inputs[name] for place in places])
                for name in rows[places[0]].inputs
            }
            said = self.runner.ask(inputs)
            for nth, place in enumerate(places):
                outputs = {name: each[nth] for name, each in said.items()}
                found[place] = self.runner.answer(outputs, inputs["attention_mask"][nth])
        return found


def plainly(folder: RunFolder) -> RunFolder:
    """A run folder with its recipe as it is now, less the settings of its method: to know them, torch would be imported."""
    tree = read_yaml(folder.path / "recipe.yaml")
    return replace(folder, held=Recipe.read({**tree, "method": {"name": tree["method"]["name"]}}))


def opened(run: Run, backend: str) -> Graph:
    """The graph in a run's `export/`, as it was sealed when it was verified.

    Raises:
        WeitiaoError: `no_such_backend` where the task is none of one text and its labels or number, `no_exported_graph`,
            `broken_export`, `missing_extra`.
    """
    task, folder = run.task, run.path / "export" / backend
    if task.generates or task.retrieves or task.shape.pictures or "passages" in task.shape.columns:
        name = run.recipe.task["name"]
        raise fault("no_such_backend", path=run.path, backend=backend, task=name)
    if not (folder / SUMS).is_file():
        raise fault("no_exported_graph", path=run.path, folder=folder, words=WAYS[backend])
    lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    known = {name: sealed for sealed, _, name in (line.partition("  ") for line in lines)}
    for name in {*NEEDS, *known}:
        if not (folder / name).is_file() or known.get(name) != sha256(folder / name):
            gone = "weight_file_changed" if (folder / name).is_file() else "weight_file_missing"
            why = reason(gone, name=name)
            raise fault("broken_export", path=folder, why=why, run=run.path, words=WAYS[backend])
    need("onnxruntime", extra="export")
    return Graph(task, _imported(folder / "runner.py"), sha256(folder / SUMS)[:16], backend != "onnx-int8")


def _imported(file: Path) -> ModuleType:
    """The module that a file is, of which nothing is left beside it."""
    module = ModuleType("runner")
    module.__file__ = str(file)
    exec(compile(file.read_bytes(), file, "exec"), vars(module))
    return module
