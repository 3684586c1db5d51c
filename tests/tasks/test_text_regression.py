"""Numbers of texts: what is learnt, in whose units it is said, and how sure one may be of it."""

from __future__ import annotations

import csv
import json
import math
import re

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.conftest import rated, write_csv
from weitiao import api
from weitiao.core import registry
from weitiao.core.contracts import Example, Record
from weitiao.core.errors import WeitiaoError
from weitiao.core.run import read_lines
from weitiao.evaluate.predict import predict
from weitiao.models import load

pytestmark = pytest.mark.whole  # a training each


def built(**settings):
    return registry.build("task", {"name": "text_regression", **settings})


def records(rows):
    return [Record("t.csv", line, row) for line, row in enumerate(rows, start=2)]


@pytest.fixture(scope="module")
def toy(bert):
    rows = records(rated(12))
    loaded = load.load(bert, built())
    loaded.model.eval()
    examples = list(built().encode(rows, loaded.processor, limit=64))
    return loaded, rows, examples


# ------------------------------------------------------------------ the loss


def test_loss_and_gradient_are_those_of_transformers_on_standardised_numbers(toy):
    from transformers import AutoModelForSequenceClassification

    loaded, rows, examples = toy
    task = built().learn(rows).learn_training(examples, None)
    theirs = AutoModelForSequenceClassification.from_pretrained(loaded.source, **task.model_options())
    theirs.load_state_dict(loaded.model.state_dict())
    encoded = loaded.processor([r.values["text"] for r in rows], padding=True, return_tensors="pt")
    numbers = np.array([row.values["label"] for row in rows])
    wanted = torch.tensor((numbers - numbers.mean()) / numbers.std()).float()
    theirs.eval()(**encoded, labels=wanted).loss.backward()
    loaded.model.zero_grad()
    batch = loaded.collate(task)(examples, list(range(len(rows))))
    loss = task.loss(loaded.model, batch) / batch.trained
    loss.backward()
    with torch.no_grad():
        torch.testing.assert_close(loss, theirs(**encoded, labels=wanted).loss, rtol=1e-5, atol=1e-6)
    for (name, ours), (_, other) in zip(
        loaded.model.named_parameters(), theirs.named_parameters(), strict=True
    ):
        if other.grad is not None:
            torch.testing.assert_close(ours.grad, other.grad, rtol=1e-5, atol=1e-6, msg=name)
    loaded.model.zero_grad()


def test_the_huber_loss_is_its_formula(toy):
    loaded, rows, examples = toy
    task = built(loss_type="huber", huber_delta=0.3).learn_training(examples, None)
    batch = loaded.collate(task)(examples, list(range(len(rows))))
    with torch.no_grad():
        apart = (task.logits(loaded.model, batch)[:, 0] - batch.target).abs()
        by_hand = torch.where(apart <= 0.3, apart**2 / 2, 0.3 * (apart - 0.15)).sum()
        assert (apart > 0.3).any()
        torch.testing.assert_close(task.loss(loaded.model, batch), by_hand)
        assert not torch.isclose(by_hand, F.mse_loss(apart, torch.zeros(12), reduction="sum"))


def test_mean_and_spread_are_those_of_the_rows_that_train_as_often_as_they_come():
    examples = [Example({}, target=float(number)) for number in (1, 2, 6)]
    once = built().learn_training(examples, None)
    assert (once.mean, once.spread) == (pytest.approx(3), pytest.approx(np.std([1, 2, 6])))
    often = built().learn_training(examples, [2.0, 1.0, 1.0])
    assert (often.mean, often.spread) == (pytest.approx(2.5), pytest.approx(np.std([1, 1, 2, 6])))
    given = built(mean=10, spread=4).learn_training(examples, None)
    assert (given.mean, given.spread) == (10, 4)


def test_what_is_said_is_in_the_units_of_the_file(toy):
    loaded, _, examples = toy
    plain = [told["number"] for told in predict(loaded, built(), examples)]
    told = predict(loaded, built(mean=1e6, spread=2.5, margin=7.0), examples)
    for logit, one in zip(plain, told, strict=True):
        assert one["number"] == pytest.approx(1e6 + 2.5 * logit, rel=1e-12)
        assert (one["low"], one["high"]) == (one["number"] - 7, one["number"] + 7)


def test_the_margin_is_the_conformal_rank_of_what_validation_rows_are_off():
    examples = [Example({}, target=0.0)] * 9
    told = [{"number": number} for number in (1, -2, 3, -4, 5, 6, 7, -8, 9)]
    assert built(coverage=0.9).settle(examples, told).margin == 9  # rank ceil(10 * 0.9)
    assert built(coverage=0.5).settle(examples, told).margin == 5
    assert built(coverage=0.95).settle(examples, told).margin is None  # would need 19 rows
    assert built(coverage=0.5, margin=2).settle(examples, told).margin == 2
    assert built(coverage=0.5).settle(examples, told).unsettled() == built(coverage=0.5)


# ------------------------------------------------------------------ odd numbers


def run_on(rows, bert, folder, **settings):
    file = write_csv(folder / "rows.csv", rows)
    task = {"name": "text_regression", **settings}
    return api.train(
        {
            "model": bert,
            "task": task,
            "data": {"train": str(file)},
            "train": {"max_steps": 1, "bf16": False},
            "evaluate": {"resamples": 100},
            "output_dir": str(folder / "run"),
        }
    )


@pytest.mark.parametrize(
    ("labels", "code", "said"),
    [
        (["good", "bad"], "bad_rows", "the label 'good' is not a finite number"),
        (["1", "nan"], "lost_rows", "'nan' is not a finite number"),
        (["1", "inf"], "lost_rows", "'inf' is not a finite number"),
        (["3", "3.0"], "constant_target", "all 40 rows have the same number, 3"),
        (["1e308", "-1e308"], "wide_target", "from -1e+308 to 1e+308"),
    ],
)
def test_numbers_that_cannot_be_learnt_are_refused(bert, tmp_path, labels, code, said):
    rows = [{**row, "label": labels[place % 2]} for place, row in enumerate(rated(40))]
    with pytest.raises(WeitiaoError) as caught:
        run_on(rows, bert, tmp_path)
    assert caught.value.code == code, str(caught.value)
    assert said in str(caught.value)


def test_one_row_is_refused_in_words(bert, tmp_path):
    with pytest.raises(WeitiaoError) as caught:
        run_on(rated(1), bert, tmp_path)
    assert caught.value.code in ("constant_target", "too_few_rows")


# ------------------------------------------------------------------ the way through


@pytest.fixture(scope="module")
def run(bert, tmp_path_factory):
    folder = tmp_path_factory.mktemp("regression")
    file = write_csv(folder / "rated.csv", rated(300))
    train = {"num_train_epochs": 8, "learning_rate": 3e-3, "per_device_train_batch_size": 8, "bf16": False}
    return api.train(
        {
            "model": bert,
            "task": {"name": "text_regression", "coverage": 0.8},
            "method": "full",
            "data": {"train": str(file)},
            "train": train,
            "evaluate": {"resamples": 100},
            "output_dir": str(folder / "run"),
        }
    )


def test_a_run_learns_and_is_judged_beside_mean_and_ridge(run):
    results = run.results
    assert (results["primary"], results["higher_is_better"]) == ("mae", False)
    found = results["metrics"]
    assert set(found) == {"tuned", "untuned", "ridge", "mean"}
    assert found["tuned"]["mae"]["value"] < 0.5 * found["mean"]["mae"]["value"]
    assert found["tuned"]["r2"]["value"] > 0.7
    assert found["mean"]["pearson"]["value"] is None
    assert results["verdict"]["learned"] is True
    lines = read_lines(run.path / "predictions.jsonl")
    apart = [abs(line["number"] - line["tuned"]["number"]) for line in lines]
    assert found["tuned"]["mae"]["value"] == pytest.approx(np.mean(apart))
    trained = [json.loads(line)["label"] for line in _kept(run, "train")]
    assert lines[0]["mean"]["number"] == pytest.approx(np.mean(trained))
    assert "text regression" in run.report.read_text(encoding="utf-8")
    # What was chosen for the tuned model says nothing of the untuned one.
    assert "low" in lines[0]["tuned"]
    assert "low" not in lines[0]["untuned"]


def _kept(run, side):
    from weitiao.stages.kept_rows import kept

    return [json.dumps(dict(record.values)) for record, _ in kept(run.folder, side)]


def test_intervals_hold_and_come_from_the_validation_rows_alone(run):
    rows = [json.loads(line) for line in _kept(run, "validation")]
    told = run.predict([row["text"] for row in rows])
    apart = sorted(abs(row["label"] - one["number"]) for row, one in zip(rows, told, strict=True))
    assert run.task.margin == pytest.approx(apart[math.ceil((len(rows) + 1) * 0.8) - 1], rel=1e-4)
    held = [line["tuned"]["low"] <= line["number"] <= line["tuned"]["high"] for line in _lines(run)]
    assert np.mean(held) > 0.6  # 45 rows, 0.8 wanted: less would be three standard errors off


def _lines(run):
    return read_lines(run.path / "predictions.jsonl")


def test_transformers_opens_it_and_the_page_says_how_its_number_is_read(run):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(run.path / "model")
    assert (model.config.num_labels, model.config.problem_type) == (1, "regression")
    (code,) = [way["code"] for way in run.results["usage"] if "Transformers" in way["title"]]
    said = code.splitlines()[-1].replace('"..."', '"the great film"')
    assert said.startswith("number = ")
    names = {"model": model, "tokenizer": AutoTokenizer.from_pretrained(run.path / "model")}
    exec(said, names)
    (told,) = run.predict(["the great film"])
    assert names["number"] == pytest.approx(told["number"], rel=1e-5)


def test_the_command_line_answers_and_writes_tables(run, tmp_path, capsys):
    from weitiao.cli import run as weitiao

    assert weitiao(["predict", str(run.path), "the great film"]) == 0
    assert re.fullmatch(
        r"[\d.e+]+ \[[\d.e+]+, [\d.e+]+\]\tthe great film", capsys.readouterr().out.rstrip("\n")
    )
    assert weitiao(["predict", str(run.path), "--json", "plot"]) == 0
    assert {"text", "number", "low", "high"} == {*json.loads(capsys.readouterr().out)}
    file = write_csv(tmp_path / "new.csv", [{"id": 7, "text": "the dull film"}])
    assert weitiao(["predict", str(run.path), "--file", str(file), "-o", str(tmp_path / "out.csv")]) == 0
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as table:
        (row,) = csv.DictReader(table)
    assert float(row["predicted_low"]) < float(row["predicted_number"]) < float(row["predicted_high"])


def test_pairs_have_numbers_too(bert, tmp_path):
    rows = [{"text": "the film", "text_pair": row["text"], "label": row["label"]} for row in rated(40)]
    found = run_on(rows, bert, tmp_path, coverage=0.99)
    (told,) = found.predict([{"text": "the film", "text_pair": "great"}])
    assert {*told} == {"number"}  # six validation rows cannot tell 99 %
