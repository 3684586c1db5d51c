"""Other forms of a run's model lie in its folder, and are judged and used by the same words."""

from __future__ import annotations

import json

import pytest

import weitiao as wt
from tests.conftest import reviews, small_run, write_csv
from weitiao.cli import run as cli
from weitiao.core.errors import WeitiaoError
from weitiao.core.files import read_lines

pytestmark = pytest.mark.whole  # a training each


@pytest.fixture(scope="module")
def run(bert, tmp_path_factory) -> wt.Run:
    """A run with its model merged beside the adapter."""
    folder = tmp_path_factory.mktemp("merged")
    recipe = small_run(
        bert,
        "text_classification",
        write_csv(folder / "r.csv", reviews(60)),
        folder / "run",
        batch=8,
        judge={},
    )
    words = {"max_steps": 3, "eval_strategy": "no", "load_best_model_at_end": False, "method": "lora"}
    made = wt.train(recipe(learning_rate=1e-2, **words))
    made.merge(made.path / "merged")
    return made


def test_a_merged_model_is_judged_beside_itself(run, capsys):
    before = {path: path.read_bytes() for path in run.path.glob("*.*") if path.is_file()}
    assert cli(["evaluate", str(run.path), "--variant", "merged"]) == 0
    assert "locked test rows" in capsys.readouterr().out
    merged = run.path / "merged"
    own, its = run.results, json.loads((merged / "results.json").read_text())
    assert its["rows"] == own["rows"]
    assert its["metrics"] == own["metrics"]  # folding changes no label of these rows
    told = [
        [row["tuned"]["score"] for row in read_lines(place / "predictions.jsonl")]
        for place in (run.path, merged)
    ]
    assert told[1] == pytest.approx(told[0], abs=1e-5)
    assert any(str(merged) in way["code"] for way in its["usage"])
    assert not any("peft" in way["code"] for way in its["usage"])
    assert (merged / "report.html").is_file()
    assert {path: path.read_bytes() for path in run.path.glob("*.*") if path.is_file()} == before


def test_it_has_a_card_of_its_own_and_a_page_anew(run, capsys):
    from huggingface_hub import ModelCard

    found = wt.evaluate(run, variant="merged")
    card = ModelCard.load(run.path / "merged" / "README.md", ignore_metadata_errors=False)
    assert card.data.library_name == "transformers"
    assert card.data.eval_results[0].metric_value == found.results["metrics"]["tuned"]["accuracy"]["value"]
    assert "`merged`" in card.text
    assert ModelCard.load(run.path / "model" / "README.md").data.library_name == "peft"
    page = run.path / "merged" / "report.html"
    page.unlink()
    assert cli(["report", str(run.path / "merged"), "--wished", "recall=0.5"]) == 0
    assert page.is_file()
    assert capsys.readouterr().out.strip() == str(page)
    shown = page.read_text(encoding="utf-8")
    assert "model.safetensors" in shown
    assert "adapter_model.safetensors" not in shown
    # Whatever somebody else has written there stays.
    (run.path / "merged" / "README.md").write_text("# Mine\n", encoding="utf-8")
    wt.report(found, wished=[("recall", 0.6)])
    assert (run.path / "merged" / "README.md").read_text(encoding="utf-8") == "# Mine\n"
    (run.path / "merged" / "README.md").unlink()
    with pytest.raises(WeitiaoError) as caught:
        wt.report(run, found, output=run.path.parent / "both.html")
    assert caught.value.code == "wrong_usage"


def test_it_is_the_variant_that_is_judged(run, tmp_path):
    """Its weights decide, not those of the adapter."""
    from safetensors.torch import load_file, save_file

    file = run.path / "merged" / "model.safetensors"
    held = file.read_bytes()
    weights = load_file(file)
    name = next(name for name in weights if name.endswith("classifier.bias"))
    weights[name] = weights[name] + weights[name].new_tensor([100.0, 0.0])
    try:
        save_file(weights, file, {"format": "pt"})
        found = wt.evaluate(run, variant="merged")
        assert {row["tuned"]["label"] for row in read_lines(found.place / "predictions.jsonl")} == {"bad"}
        assert run.results["metrics"] != found.results["metrics"]
    finally:
        file.write_bytes(held)


def test_it_predicts_by_the_run_around_it(run, capsys):
    texts = [row["text"] for row in reviews(5, seed=3)]
    assert cli(["predict", str(run.path / "merged"), *texts, "--json"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    wanted = run.predict(texts)
    assert [row["label"] for row in told] == [row["label"] for row in wanted]
    assert [row["score"] for row in told] == pytest.approx([row["score"] for row in wanted], abs=1e-5)


def test_it_is_judged_by_other_rows_in_its_own_folder(run, tmp_path):
    found = wt.evaluate(run.path / "merged", write_csv(tmp_path / "new.csv", reviews(10, seed=4)))
    assert found.place == run.path / "merged/evaluations/new"
    assert found.results["given"]["total"] == 10


def test_what_is_no_variant_is_named(run, capsys):
    for name in ("merge", "model", "checkpoint-3", "../run", "data"):
        assert cli(["evaluate", str(run.path), "--variant", name]) == 5
        assert "(there are: merged)" in capsys.readouterr().err
    for place in ("model", "data", "checkpoint-3"):
        with pytest.raises(WeitiaoError) as error:
            wt.load(run.path / place)
        assert error.value.code == "inside_run"
