"""The training rows that a run's model sees as most like a row; what it sees in them is kept in the run folder.

    rows = TrainingRows(run)                     computed once: similar/vectors.npy (float16), similar/rows.json
    rows.nearest(example, count=3)               ->  [SimilarRow("A great film.", "positive", "a.csv line 3", 0.97), ...]

Of more than `MOST` rows so many are drawn, and that is said.
"""

from __future__ import annotations

import hashlib
import json
from random import Random
from typing import Any

import numpy as np

from weitiao.core.contracts import Example
from weitiao.core.errors import fault
from weitiao.core.files import write_json
from weitiao.core.why import reason
from weitiao.evaluate.explain.explanation import SimilarRow
from weitiao.evaluate.explain.similar import hidden, nearest
from weitiao.evaluate.features import features
from weitiao.evaluate.worst import named
from weitiao.stages.events import labelling
from weitiao.stages.explained import Explained
from weitiao.stages.kept_rows import kept

FOLDER = "similar"
MOST = 5000
"""Rows that are looked at."""


class TrainingRows:
    """A run's training rows as its model sees them.

    Args:
        run: of which.

    Raises:
        WeitiaoError: `broken_rows`; `no_similar_rows` for a run that keeps none.
    """

    def __init__(self, run: Explained):
        self._run = run
        records = [record for record, _ in kept(run.folder, "train")]
        if not records:
            raise fault("no_similar_rows", run=run.folder.path)
        self._total = len(records)
        places = list(range(len(records)))
        if len(places) > MOST:
            places = sorted(Random(run.recipe.seed).sample(places, MOST))
        self._records = [records[place] for place in places]
        self._vectors_ND = self._kept(len(places))

    @property
    def notice(self) -> str:
        """That not all rows were looked at; empty where all were."""
        drawn = len(self._records)
        return reason("similar_drawn", drawn=drawn, total=self._total) if drawn < self._total else ""

    def nearest(self, example: Example, *, count: int) -> list[SimilarRow]:
        """The rows that are most like one, the most alike first."""
        (one_D,) = self._hidden([example])
        found = nearest(self._vectors_ND, one_D, count=count)
        return [self._row(self._records[place], cosine) for place, cosine in found]

    def _row(self, record: Any, cosine: float) -> SimilarRow:
        task = self._run.task
        texts = task.shape.texts(task.shape.asks(record.values))
        label = record.values.get(task.shape.target) if task.shape.target else None
        text = " ".join(texts.values()) or named(record.values)
        return SimilarRow(text, label, record.place, cosine)

    def _hidden(self, examples: list[Example], progress: Any = None) -> Any:
        run, train = self._run, self._run.recipe.train
        words: dict[str, Any] = {"longest": run.limit, "device": run.device, "half": train.half}
        words["batch_size"] = train.per_device_eval_batch_size
        if run.task.reads_words:
            return hidden(run.tuned, run.task, examples, progress=progress, **words)
        found_ND = features(run.tuned, run.task, examples, progress=progress, **words)
        return found_ND / np.maximum(np.linalg.norm(found_ND, axis=1, keepdims=True), 1e-12)

    def _kept(self, rows: int) -> Any:
        """What was computed before for this very model and these rows, or is now."""
        place, key = self._run.folder.path / FOLDER, self._key(rows)
        told = place / "rows.json"
        if told.is_file() and json.loads(told.read_text(encoding="utf-8")).get("key") == key:
            return np.load(place / "vectors.npy")
        run = self._run
        run.tuned  # noqa: B018 - decides the device
        examples = [example for _, example in run.read(self._records)]
        good = [place for place, example in enumerate(examples) if not example.refused]
        with labelling(run.recipe) as heard:
            found_ND = self._hidden([examples[place] for place in good], heard)
        vectors_ND = np.zeros((len(examples), found_ND.shape[1]), dtype=np.float16)
        vectors_ND[good] = found_ND.astype(np.float16)
        place.mkdir(exist_ok=True)
        told.unlink(missing_ok=True)
        np.save(place / "vectors.npy", vectors_ND)
        write_json(told, {"key": key, "rows": rows, "of": self._total})
        return vectors_ND

    def _key(self, rows: int) -> str:
        """Another model, or other rows, have another one."""
        folder = self._run.folder
        files = sorted(path for path in folder.model.iterdir() if path.is_file())
        known = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
        dealt = folder.json("facts.json")["fingerprints"].get("train")
        return hashlib.sha256(repr((known, dealt, rows)).encode()).hexdigest()
