"""The model card: what the hub's own library reads in it, that it breaks no seal, and that odd names do not break it."""

from __future__ import annotations

import pytest
from huggingface_hub import ModelCard

import weitiao as wt
from tests.conftest import asked, dialogues, rarely, rated, reviews, small_run, tagged, write_csv, write_jsonl
from weitiao.cli import run as cli
from weitiao.models.store import read_card

QUICK = {"max_steps": 2, "eval_strategy": "no", "load_best_model_at_end": False}
TASKS = {
    "text_classification": (reviews, "text-classification"),
    "token_classification": (tagged, "token-classification"),
    "text_regression": (rated, None),
    "question_answering": (asked, "question-answering"),
    "sft": (dialogues, "text-generation"),
}


@pytest.mark.parametrize("task", [rarely(task) if task != "text_classification" else task for task in TASKS])
@pytest.mark.parametrize("lang", [rarely("en"), "zh"])
def test_the_hub_reads_the_results_with_their_intervals(task, lang, bert, llama, tmp_path, monkeypatch):
    monkeypatch.setenv("WEITIAO_LANG", lang)
    rows, pipeline = TASKS[task]
    judge = {"max_new_tokens": 2, "samples": 1, "answers": 2} if task == "sft" else {}
    base = llama if task == "sft" else bert
    recipe = small_run(
        base, task, write_jsonl(tmp_path / "rows.jsonl", rows(80)), tmp_path / "run", batch=8, judge=judge
    )
    run = wt.train(recipe(**QUICK))
    card = ModelCard.load(run.path / "model" / "README.md", ignore_metadata_errors=False)
    found = {one.metric_type: one for one in card.data.eval_results}
    told = {name: one for name, one in run.results["metrics"]["tuned"].items() if one["value"] is not None}
    assert set(found) == set(told) == set(card.data.metrics)
    for name, one in told.items():
        assert found[name].metric_value == pytest.approx(one["value"])
        assert found[name].dataset_split == "test"
        if one["low"] is not None:
            assert found[name].metric_args["low"] == pytest.approx(one["low"])
            assert found[name].metric_args["high"] == pytest.approx(one["high"])
            assert found[name].metric_args["confidence"] == 0.95
    assert card.data.library_name == "peft"
    assert card.data.pipeline_tag == pipeline
    assert card.data.license == "unknown"
    assert "base_model" not in card.data.to_dict()  # a folder of this machine is nobody else's base
    assert {"weitiao", task, "lora"} <= set(card.data.tags)
    for title in (
        ("Use", "Training data", "Evaluation", "Limits", "How to reproduce")
        if lang == "en"
        else ("使用", "训练数据", "评估", "局限", "如何复现")
    ):
        assert f"\n## {title}\n" in card.text
    assert run.results["verdict"]["sentence"] in card.text
    assert "max_steps: 2" in card.text
    assert not run.results["missing"]
    read_card(run.folder.model)  # the seal holds
    assert wt.load(run.path).task.summary


@pytest.mark.whole
def test_the_card_follows_what_is_found_and_what_is_there(bert, tmp_path, capsys):
    odd = {"good": "go|od\n#x", "bad": "坏"}
    rows = [{**row, "label": odd[row["label"]], "shop": "ab"[n % 2]} for n, row in enumerate(reviews(80))]
    recipe = small_run(
        bert,
        "text_classification",
        write_csv(tmp_path / "rows.csv", rows),
        tmp_path / "run",
        batch=8,
        judge={},
    )
    run = wt.train(recipe(**QUICK, data={"split": {"test": 0.0}}))
    path = run.path / "model" / "README.md"
    card = ModelCard.load(path)
    assert "Not judged" in card.text
    assert "tuned" not in vars(run), "no model is opened for a card that says nothing of its answers"
    assert card.data.eval_results is None
    again = wt.train(recipe(**QUICK, output_dir=str(tmp_path / "judged"), data={"split": {"test": 0.4}}))
    path = again.path / "model" / "README.md"
    card = ModelCard.load(path)
    assert "Slices: " in card.text
    path.unlink()
    assert cli(["report", str(again.path), "--by", "shop"]) == 0
    assert "Slices: " in ModelCard.load(path).text
    assert cli(["predict", str(again.path), "a lovely film", "-q"]) == 0
    capsys.readouterr()


@pytest.mark.parametrize(
    ("model", "base"),
    [
        ("minilm-l6", "sentence-transformers/all-MiniLM-L6-v2"),
        ("someone/some-model", "someone/some-model"),
        ("folder", ""),
        ("/abs/folder", ""),
    ],
)
def test_a_base_is_named_where_the_hub_knows_it(model, base, tmp_path):
    from types import SimpleNamespace

    from weitiao.stages.model_card import _base

    folder = SimpleNamespace(json=lambda name: {"cwd": str(tmp_path)})
    assert _base(SimpleNamespace(recipe=SimpleNamespace(model=model), folder=folder))[0] == base
