"""The Python words, whole runs on toys, and what they leave behind."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from sklearn import metrics

import weitiao as wt
from tests.conftest import reviews, write_csv
from weitiao.core.errors import WeitiaoError
from weitiao.core.files import read_lines
from weitiao.stages.in_memory import rows_to_file


def no_weitiao(code: str, *words: str) -> str:
    """Run code in a process of its own in which weitiao cannot be imported."""
    blocked = "import sys; sys.modules['weitiao'] = None\n" + textwrap.dedent(code)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", blocked, *words], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_run_holds_everything_and_speaks_python(classify, tmp_path):
    run = wt.train(classify(num_train_epochs=6, learning_rate=5e-3, method="full"))
    names = {path.name for path in run.path.iterdir()}
    assert {
        "recipe.yaml",
        "facts.json",
        "log.jsonl",
        "data",
        "model",
        "results.json",
        "predictions.jsonl",
    } <= names
    assert run.report.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert run.results["metrics"]["tuned"]["accuracy"]["value"] > 0.9
    assert run.results["verdict"]["learned"] is True
    again = wt.load(run.path)
    answers = again.predict(["a brilliant film", "a dreadful plot"])
    assert [answer["label"] for answer in answers] == ["good", "bad"]
    assert sum(answers[0]["scores"].values()) == pytest.approx(1)
    assert [str(found.path) for found in wt.runs(tmp_path)] == [str(run.path)]


def test_results_are_those_of_scikit_learn_on_the_predictions(classify):
    run = wt.train(classify(max_steps=8))
    lines = read_lines(run.path / "predictions.jsonl")
    truth, guess = [line["label"] for line in lines], [line["tuned"]["label"] for line in lines]
    found = run.results["metrics"]["tuned"]
    assert found["accuracy"]["value"] == metrics.accuracy_score(truth, guess)
    assert found["f1"]["value"] == pytest.approx(metrics.f1_score(truth, guess, average="macro"))
    for metric in found.values():
        # Where every row is right, an interval of no width would promise too much: there is none, and why.
        if metric["low"] is None:
            assert metric["why"]
        else:
            assert metric["low"] <= metric["value"] <= metric["high"]
    assert run.results["sections"]["confusion"]["values"] == metrics.confusion_matrix(truth, guess).tolist()
    assert run.results["rows"] == len(lines) == 30


def test_the_test_rows_are_those_of_the_split_and_were_not_trained(classify):
    run = wt.train(classify(max_steps=1))
    split = json.loads((run.path / "data" / "split.json").read_text())
    judged = {f"{line['file']}:{line['line']}" for line in read_lines(run.path / "predictions.jsonl")}
    assert judged == set(split["test"])
    assert not judged & {*split["train"], *split["validation"]}
    assert sum(map(len, split.values())) == 200


def test_the_groups_of_the_test_rows_are_kept(classify, review_file, tmp_path):
    rows = [
        {"text": f"{word} film no {i} {i * 7} {i * 11}", "label": word, "user": f"u{i % 17}"}
        for i in range(60)
        for word in ("good", "bad")
    ]
    write_csv(review_file, rows)
    run = wt.train(
        classify(max_steps=1, data={"split": {"group_by": "user", "test": 0.3}, "near_duplicates": "keep"})
    )
    kept, told = read_lines(run.path / "data" / "test.jsonl"), read_lines(run.path / "predictions.jsonl")
    users = [rows[line["line"] - 2]["user"] for line in kept]
    first = list(dict.fromkeys(users))
    assert 3 < len(first) < len(users) / 2
    assert (
        [line["group"] for line in kept]
        == [line["group"] for line in told]
        == [first.index(u) for u in users]
    )


@pytest.mark.whole
def test_recipe_words_and_rows_in_memory_give_the_same_run_as_a_file(classify, tmp_path, review_file):
    pandas = pytest.importorskip("pandas")
    recipe = classify(max_steps=3)
    by_file = wt.train(recipe)
    words = {**recipe, "output_dir": str(tmp_path / "table")}
    table = pandas.read_csv(review_file)
    by_table = wt.train(**{**words, "data": table})
    by_list = wt.train(**{**words, "output_dir": str(tmp_path / "list"), "data": {"train": reviews(200)}})
    assert by_file.results["metrics"] == by_table.results["metrics"] == by_list.results["metrics"]


@pytest.mark.whole
def test_evaluating_again_gives_the_same_numbers(classify):
    run = wt.train(classify(max_steps=4))
    before = run.results
    assert wt.evaluate(run.path).results["metrics"] == before["metrics"]


@pytest.mark.whole
def test_the_written_recipe_gives_the_same_run_again(classify, tmp_path):
    run = wt.train(classify(max_steps=4))
    again = wt.train(run.path / "recipe.yaml", overrides=[f"output_dir={tmp_path / 'again'}"])
    assert again.results["metrics"] == run.results["metrics"]


@pytest.mark.whole
def test_a_generative_run_answers(converse):
    run = wt.train(converse(max_steps=4))
    assert list(run.results["metrics"]["tuned"])[:3] == ["perplexity", "loss", "bits_per_byte"]
    assert {"tuned", "reference"} <= {
        one["system"] for one in run.results["sections"]["samples"]["rows"][0]["answers"]
    }
    assert isinstance(run.answer([{"role": "user", "content": "the film"}], max_new_tokens=3), str)
    assert set(run.predict("the film", max_new_tokens=3)[0]) == {"answer", "ending"}


@pytest.mark.whole
def test_a_run_in_bf16_answers_and_labels_from_its_folder(classify, converse, tmp_path):
    talks = wt.train(converse(max_steps=2, bf16=True, output_dir=str(tmp_path / "talks")))
    assert isinstance(
        wt.load(talks.path).answer([{"role": "user", "content": "the film"}], max_new_tokens=2), str
    )
    labels = wt.train(classify(max_steps=2, bf16=True, output_dir=str(tmp_path / "labels")))
    assert wt.load(labels.path).predict(["the film"])[0]["label"] in ("good", "bad")


PEFT = """
    import json, sys, torch
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    base, folder, text = sys.argv[1:]
    plain = AutoModelForSequenceClassification.from_pretrained(base, num_labels=2)
    model = PeftModel.from_pretrained(plain, folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        print(json.dumps(model(**tokenizer(text, return_tensors="pt")).logits.softmax(-1)[0].tolist()))
"""
PEFT_LM = """
    import json, sys, torch
    from peft import AutoPeftModelForCausalLM
    from transformers import AutoTokenizer
    base, folder, text = sys.argv[1:]
    model = AutoPeftModelForCausalLM.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer.apply_chat_template([{"role": "user", "content": text}], add_generation_prompt=True, return_tensors="pt", return_dict=True)
    out = model.generate(**ids, max_new_tokens=4, do_sample=False)
    print(json.dumps(tokenizer.decode(out[0, ids["input_ids"].shape[1]:], skip_special_tokens=True).strip()))
"""
WHOLE = """
    import json, sys, torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    base, folder, text = sys.argv[1:]
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        scores = model(**tokenizer(text, return_tensors="pt")).logits.softmax(-1)[0].tolist()
    print(json.dumps({model.config.id2label[i]: score for i, score in enumerate(scores)}))
"""


@pytest.mark.whole
def test_a_saved_lora_opens_in_peft_without_weitiao(classify, bert):
    pytest.importorskip("peft")
    run = wt.train(classify(max_steps=8, learning_rate=1e-2))
    theirs = json.loads(no_weitiao(PEFT, bert, str(run.folder.model), "a lovely story"))
    (ours,) = run.predict(["a lovely story"])
    assert theirs == pytest.approx(list(ours["scores"].values()), abs=1e-6)


@pytest.mark.whole
def test_a_saved_chat_lora_opens_in_peft_without_weitiao(converse, llama):
    pytest.importorskip("peft")
    run = wt.train(converse(max_steps=8, learning_rate=1e-2))
    theirs = json.loads(no_weitiao(PEFT_LM, llama, str(run.folder.model), "the film"))
    assert theirs == run.answer([{"role": "user", "content": "the film"}], max_new_tokens=4)


@pytest.mark.whole
def test_a_saved_whole_model_opens_in_transformers_without_weitiao(classify, bert):
    run = wt.train(classify(method="full", max_steps=8, learning_rate=1e-2))
    theirs = json.loads(no_weitiao(WHOLE, bert, str(run.folder.model), "a lovely story"))
    (ours,) = run.predict(["a lovely story"])
    assert theirs == pytest.approx(ours["scores"], abs=1e-6)


@pytest.mark.whole
def test_a_tuned_model_is_a_base_for_the_next_run(classify, tmp_path, review_file):
    first = wt.train(classify(method="full", max_steps=8, learning_rate=1e-2))
    recipe = {**classify(max_steps=1, output_dir=str(tmp_path / "next")), "model": str(first.folder.model)}
    second = wt.train(recipe)
    before = second.results["metrics"]["untuned"]["accuracy"]["value"]
    assert before == pytest.approx(first.results["metrics"]["tuned"]["accuracy"]["value"], abs=0.05)


def test_a_changed_base_or_a_changed_weight_is_refused(classify, bert, tmp_path):
    import shutil

    base = tmp_path / "base"
    shutil.copytree(bert, base)
    run = wt.train({**classify(max_steps=2), "model": str(base)})
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**config, "layer_norm_eps": 0.5}))
    with pytest.raises(WeitiaoError, match="wrong_base"):
        wt.load(run.path).predict(["a film"])
    weights = run.folder.model / "adapter_model.safetensors"
    raw = bytearray(weights.read_bytes())
    raw[-1] ^= 1
    weights.write_bytes(raw)
    with pytest.raises(WeitiaoError, match=r"broken_model.*adapter_model.safetensors is changed"):
        wt.load(run.path).predict(["a film"])


@pytest.mark.whole
def test_rows_that_are_cut_or_dropped_stand_in_the_ledger(classify, tmp_path, review_file):
    run = wt.train(classify(max_steps=1, data={"max_length": 8}))
    ledger = json.loads((run.path / "data" / "ledger.json").read_text())
    assert ledger["counts"]["truncated"] > 0
    assert sum(ledger["counts"].values()) == ledger["total"] == 200
    dropped = wt.train(
        classify(
            max_steps=1,
            data={"max_length": 8, "overlong": "drop", "max_dropped_fraction": 0.9},
            output_dir=str(tmp_path / "d"),
        )
    )
    counts = json.loads((dropped.path / "data" / "ledger.json").read_text())["counts"]
    assert counts["dropped"] == ledger["counts"]["truncated"]


def test_test_rows_that_went_missing_are_noticed(classify):
    run = wt.train(classify(max_steps=1))
    file = run.path / "data" / "test.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    file.write_text("".join(lines[:15]), encoding="utf-8")
    with pytest.raises(WeitiaoError, match=r"broken_rows.*15 rows are there, 30"):
        wt.evaluate(run)


def test_a_test_row_that_was_edited_is_noticed(classify):
    run = wt.train(classify(max_steps=1))
    file = run.path / "data" / "test.jsonl"
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    rows[3]["label"] = {"good": "bad", "bad": "good"}[rows[3]["label"]]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with pytest.raises(WeitiaoError, match=r"broken_rows.*a row is not as it was"):
        wt.evaluate(run)


def test_what_training_is_given_holds_no_test_rows(classify, monkeypatch):
    """Whatever chooses (early stopping, the best checkpoint, a user's watcher) has nothing to look at them by."""
    training = importlib.import_module("weitiao.stages.train")
    given, make_ready = [], training._make_ready

    def spy(way):
        given.append(make_ready(way))
        return given[-1]

    monkeypatch.setattr(training, "_make_ready", spy)
    run = wt.train(classify(max_steps=1))
    locked = set(run.folder.json("data/split.json")["test"])
    (prepared,) = given
    assert set(prepared.splits) == set(prepared.examples) == {"train", "validation"}
    assert locked
    assert not locked & {row.id for rows in prepared.splits.values() for row in rows}


def test_a_metric_that_nobody_measures_is_refused_before_the_first_step(classify, tmp_path):
    with pytest.raises(WeitiaoError, match=r'wrong_metric.*"f2"[\s\S]*loss, accuracy'):
        wt.train(classify(metric_for_best_model="f2"))
    assert not (tmp_path / "run").exists()


def test_a_run_with_no_test_rows_says_so_instead_of_judging(classify):
    run = wt.train(classify(max_steps=2, data={"split": {"test": 0}}))
    assert run.results == {}
    assert run.predict(["a film"])[0]["label"] in ("good", "bad")


def test_importing_weitiao_and_the_core_brings_no_heavy_package():
    code = (
        "import sys, weitiao, weitiao.core.contracts, weitiao.core.recipe, weitiao.core.registry, weitiao.core.run;"
        "print([m for m in ('torch', 'transformers', 'numpy', 'peft', 'sklearn') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


@pytest.mark.whole
def test_a_wheel_carries_recipes_messages_and_the_page(tmp_path):
    """The built wheel, unpacked outside the repository, runs and finds what it needs."""
    import zipfile

    root = Path(__file__).parents[2]
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        str(tmp_path),
        str(root),
    ]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("weitiao-*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    packed = {path for path in zipfile.ZipFile(wheel).namelist() if path.startswith("weitiao/")}
    ours = (
        path.relative_to(root / "src") for path in (root / "src" / "weitiao").rglob("*") if path.is_file()
    )
    assert {path.as_posix() for path in ours if path.suffix != ".pyc"} <= packed
    table = write_csv(tmp_path / "mine.csv", reviews(20))
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r}); import weitiao; assert 'site' in weitiao.__file__;"
        "from weitiao import api; from weitiao.cli import run;"
        "assert api.ready_recipe('demo-reviews')['model'] == 'minilm-l6';"
        f"sys.exit(run(['data', 'check', {str(table)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "20  kept" in done.stdout


@pytest.mark.whole
def test_a_run_is_judged_again_where_its_rows_are_gone(classify, review_file, tmp_path, monkeypatch):
    run = wt.train(classify(max_steps=2))
    before = run.results["metrics"]
    review_file.unlink()
    monkeypatch.chdir(tmp_path)
    assert wt.evaluate("run").results["metrics"] == before


def test_one_text_is_one_text_and_a_path_is_a_file(classify, review_file):
    recipe = classify(max_steps=1)
    del recipe["data"]
    run = wt.train(**recipe, data=review_file)
    assert len(run.predict("a lovely film")) == 1


def test_going_on_with_nothing_is_said(classify):
    notices = []
    wt.train(
        classify(max_steps=1), resume=True, tell=lambda event, **facts: notices.append(facts.get("text", ""))
    )
    assert any("no checkpoint to go on from" in text for text in notices)


def test_errors_name_the_table_that_was_given_and_its_row(classify, tmp_path):
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame([*reviews(20), {"text": " ", "label": "good"}])
    words = {**classify(max_steps=1), "data": table}
    with pytest.raises(WeitiaoError, match=r"lost_rows(?s:.)*row 21 of the DataFrame: ") as caught:
        wt.train(**words)
    assert "rows-" not in str(caught.value)
    with pytest.raises(WeitiaoError, match=r'the DataFrame has no column "body"'):
        wt.train(**{**words, "data": {"train": table, "columns": {"text": "body"}}})


def test_a_mistyped_keyword_leaves_no_folder_behind(classify, tmp_path):
    with pytest.raises(WeitiaoError, match="unknown_key"):
        wt.train(**{**classify(max_steps=1), "data": reviews(20), "lr": 1})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("data", "code", "says"),
    [([], "empty_file", "no rows"), ({"text": ["a"], "label": ["b"]}, "wrong_usage", "a list of dicts")],
)
def test_what_is_no_table_is_told_what_one_is(data, code, says, tmp_path):
    words = {"model": "m", "task": "text_classification", "data": data, "output_dir": str(tmp_path / "run")}
    with pytest.raises(WeitiaoError, match=code) as caught:
        rows_to_file(words)
    assert says in str(caught.value)
    assert not (tmp_path / "run").exists()
