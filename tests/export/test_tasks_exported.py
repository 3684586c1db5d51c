"""What a task makes of outputs it makes of an exported model's, too: tasks of one pass."""

from __future__ import annotations

import json

import pytest

import weitiao as wt
from tests.compared import asked, paired, preferred, queries
from tests.conftest import many_labels, rarely, rated, tagged, write_jsonl
from tests.export import exports
from weitiao.core.contracts import Record
from weitiao.serve.models import Models

pytestmark = pytest.mark.whole


def ranked(rows):
    """Passages with labels, as they stand in files."""
    return [{**row, "labels": row.pop("scores")} for row in queries(rows)]


TASKS = {
    "multi_label_classification": ("bert", many_labels),
    "text_regression": ("bert", rated),
    "token_classification": ("bert", tagged),
    "question_answering": ("bert", asked),
    "embedding": ("bert", paired),
    "reranking": ("bert", ranked),
    "reward": ("llama", preferred),
}


@pytest.mark.parametrize("name", [name if name == "embedding" else rarely(name) for name in TASKS])
def test_a_task_is_exported_and_answers_alike(name, request, tmp_path):
    pytest.importorskip("onnxruntime")
    model, rows = TASKS[name]
    file = write_jsonl(tmp_path / "rows.jsonl", rows(60))
    run = exports.trained(request.getfixturevalue(model), name, file, tmp_path / "run")
    run.export("onnx")
    told = json.loads((run.path / "export/onnx/parity.json").read_text())
    assert told["apart"] < 1e-4
    assert told["told_alike"] == 1
    assert told["metric"]["tuned"]["value"] == pytest.approx(
        told["metric"]["exported"]["value"], rel=1e-5, abs=5e-3
    )  # vectors of a toy lie so near each other that ranks change
    texts = {"embedding", "reranking", "multi_label_classification", "text_regression"}
    assert (told["answers_alike"] > 0) == (name in texts)
    assert (told["read_alike"] > 0) == (name in texts)


def test_a_real_classifier_is_exported_in_bytes_and_its_score_is_kept(tmp_path):
    run = wt.train(
        {
            "model": "minilm-l6",
            "task": "text_classification",
            "data": {"train": "film-reviews#1300", "max_length": 128, "split": {"validation": 0.41}},
            "evaluate": {"resamples": 100, "untuned": False, "baseline": "none"},
            "train": {
                "num_train_epochs": 1,
                "learning_rate": 1e-3,
                "eval_strategy": "no",
                "load_best_model_at_end": False,
                "early_stopping_patience": None,
            },
            "output_dir": str(tmp_path / "run"),
        }
    )
    told = run.export("onnx", dtype="int8").parity
    assert told["rows"] > 500
    assert told["metric"]["exported"]["value"] > 0.7
    assert told["size_mb"] < 0.3 * 91, "of float32"
    assert abs(told["moved"]) <= 0.005
    # Served, each row is answered as it is alone, and labelled as the judged model labels it.
    lines = (run.path / "predictions.jsonl").read_text().splitlines()[:40]
    texts = [json.loads(line)["text"] for line in lines]
    served = Models("onnx-int8").add(run.path, now=0)
    rows = served.read([Record("", line, {"text": text}) for line, text in enumerate(texts, start=1)])
    told_together = served.told(rows)
    assert told_together == [one for row in rows for one in served.told([row])]
    judged = [one["label"] for one in run.predict(texts)]
    assert sum(one["label"] == label for one, label in zip(told_together, judged, strict=True)) >= 39
