"""Several labels a text: each is a question of its own, and says from where on it is answered with yes."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from tests.conftest import many_labels, write_csv, write_jsonl
from weitiao import api
from weitiao.core import registry
from weitiao.core.contracts import Example, Record
from weitiao.core.errors import WeitiaoError
from weitiao.core.run import read_lines
from weitiao.evaluate.predict import predict
from weitiao.models import load
from weitiao.stages.kept_rows import kept
from weitiao.tasks.multi_label import best_threshold

pytestmark = pytest.mark.whole  # a training each

NAME = "multi_label_classification"


def built(**settings):
    return registry.build("task", {"name": NAME, **settings})


def records(*sets):
    return [Record("t.jsonl", line, {"text": "the plot", "label": own}) for line, own in enumerate(sets, 1)]


@pytest.fixture(scope="module")
def toy(bert):
    rows = [
        Record("t.jsonl", line, {"text": row["text"], "label": row["labels"]})
        for line, row in enumerate(many_labels(12), start=1)
    ]
    task = built().learn(rows)
    loaded = load.load(bert, task)
    loaded.model.eval()
    return task, loaded, rows, list(task.encode(rows, loaded.processor, limit=64))


# ------------------------------------------------------------------ the loss


def test_loss_and_gradient_are_those_of_transformers(toy):
    from transformers import AutoModelForSequenceClassification

    task, loaded, rows, examples = toy
    assert any(not row.values["label"] for row in rows)
    assert any(len(row.values["label"]) == 2 for row in rows)
    theirs = AutoModelForSequenceClassification.from_pretrained(loaded.source, **task.model_options())
    theirs.load_state_dict(loaded.model.state_dict())
    encoded = loaded.processor([r.values["text"] for r in rows], padding=True, return_tensors="pt")
    wanted = torch.tensor([[float(label in row.values["label"]) for label in task.labels] for row in rows])
    mean = theirs.eval()(**encoded, labels=wanted).loss
    mean.backward()
    loaded.model.zero_grad()
    batch = loaded.collate(task)(examples, list(range(len(rows))))
    ours = task.loss(loaded.model, batch) / batch.trained
    ours.backward()
    torch.testing.assert_close(ours, mean, rtol=1e-5, atol=1e-6)
    for (name, weight), (_, other) in zip(
        loaded.model.named_parameters(), theirs.named_parameters(), strict=True
    ):
        if other.grad is not None:
            torch.testing.assert_close(weight.grad, other.grad, rtol=1e-5, atol=1e-6, msg=name)
    loaded.model.zero_grad()


def test_class_weights_are_those_of_rows_that_carry_the_label(toy):
    task, loaded, rows, examples = toy
    settings = registry.settings_of(NAME, task)
    weighed = registry.build("task", {**settings, "class_weights": {"good": 3}})
    batch = loaded.collate(weighed)(examples, list(range(len(rows))))
    with torch.no_grad():
        logits = weighed.logits(loaded.model, batch)
        by_hand = torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor([1.0, 3.0]))(logits, batch.target)
        torch.testing.assert_close(weighed.loss(loaded.model, batch) / len(rows), by_hand)
    balanced = registry.build("task", {**settings, "class_weights": "balanced"})
    often = [float(n % 3) + 1 for n in range(len(rows))]
    for weights in (None, often):
        found = balanced.learn_training(examples, weights).class_weights
        for label in task.labels:
            each = weights or [1.0] * len(rows)
            own = sum(w for w, row in zip(each, rows, strict=True) if label in row.values["label"])
            assert found[label] == pytest.approx((sum(each) - own) / own)


# ------------------------------------------------------------------ labels and thresholds


@pytest.mark.parametrize(
    ("sets", "settings", "code", "said"),
    [
        ([["a"], ["a"]], {}, "too_few_labels", "a"),
        ([[], []], {}, "too_few_labels", "-"),
        ([["a"], ["postive"]], {"labels": ["a", "positive"]}, "unknown_label", "t.jsonl line 2"),
        ([["a"], []], {"class_weights": {"A": 2}}, "unknown_class", 'Did you mean "a"'),
        ([["a"], []], {"thresholds": {"A": 0.2}}, "unknown_class", 'Did you mean "a"'),
    ],
)
def test_sets_that_cannot_be_learnt_are_refused(sets, settings, code, said):
    with pytest.raises(WeitiaoError) as caught:
        built(**settings).learn(records(*sets))
    assert caught.value.code == code
    assert said in str(caught.value)


def test_one_label_or_none_is_learnt_and_labels_are_in_order():
    assert built().learn(records(["spam"], [])).labels == ("spam",)
    assert built().learn(records(["10", "2"], [], ["1"])).labels == ("1", "2", "10")
    assert built().learn(records(["a", "b"], [])).follow(("B", "A")).labels == ("b", "a")


def test_a_label_of_new_data_that_the_model_does_not_know_is_named(toy):
    task, loaded, *_ = toy
    strange, known = task.encode(records(["good", "odd"], ["good"]), loaded.processor, limit=64)
    assert strange.refused == 'the label "odd" is none that the model knows: bad, good'
    assert known.target.tolist() == [1]


def test_a_threshold_is_where_f1_is_best():
    rng = np.random.default_rng(0)
    for _ in range(60):
        rows = int(rng.integers(2, 30))
        scores = np.round(rng.random(rows), int(rng.integers(1, 4)))  # ties
        true = rng.random(rows) < rng.random()
        true[0] = True
        found = best_threshold(scores, true)
        brute = max(f1_score(true, scores >= at) for at in {*scores.tolist()})
        assert f1_score(true, scores >= found) == pytest.approx(brute)


def test_a_threshold_needs_rows_that_carry_the_label_and_rows_that_do_not():
    task = built(labels=["common", "rare", "always", "given"], thresholds={"given": 0.9})
    targets = [[0, 2, 3]] * 6 + [[1, 2]] * 4 + [[2]] * 6
    told = [{"scores": dict.fromkeys(task.labels, 0.4 if 0 in own else 0.1)} for own in targets]
    found = task.settle([Example({}, target=np.array(own)) for own in targets], told)
    assert found.thresholds == {"common": pytest.approx(0.25), "given": 0.9}
    assert found.unsettled().thresholds == {}


def test_what_is_said_goes_by_the_thresholds(toy):
    task, loaded, rows, examples = toy
    scores = [told["scores"] for told in predict(loaded, task, examples)]
    middle = sorted(each["good"] for each in scores)[6]
    strict = registry.build(
        "task", {**registry.settings_of(NAME, task), "thresholds": {"good": middle, "bad": 1.0}}
    )
    said = [told["labels"] for told in predict(loaded, strict, examples)]
    assert said == [["good"] if each["good"] >= middle else [] for each in scores]
    assert len({*map(tuple, said)}) == 2


# ------------------------------------------------------------------ the way through


def asked(bert, folder, files, **train):
    return {
        "model": bert,
        "task": NAME,
        "method": "full",
        "data": files,
        "train": {
            "learning_rate": 2e-3,
            "per_device_train_batch_size": 8,
            "warmup_steps": 0.1,
            "bf16": False,
            **train,
        },
        "evaluate": {"resamples": 100},
        "output_dir": str(folder / "run"),
    }


@pytest.fixture(scope="module")
def run(bert, tmp_path_factory):
    folder = tmp_path_factory.mktemp("several")
    file = write_jsonl(folder / "rows.jsonl", many_labels(300))
    return api.train(asked(bert, folder, {"train": str(file)}, num_train_epochs=10))


def test_a_run_learns_and_is_judged_beside_its_baselines(run):
    results = run.results
    found = results["metrics"]
    assert set(found) == {"tuned", "untuned", "tfidf_each", "majority_set"}
    assert results["primary"] == "f1_micro"
    # One of the two labels is enough: which of them so small a model finds first is chance.
    assert max(row["values"][2] for row in results["sections"]["per_class"]["rows"]) > 0.9
    assert found["tuned"]["f1_micro"]["value"] > found["untuned"]["f1_micro"]["value"] + 0.1
    assert found["tfidf_each"]["f1_micro"]["value"] > 0.9
    assert found["majority_set"]["f1_micro"]["value"] < 0.8
    assert {row["name"] for row in results["sections"]["per_class"]["rows"]} == {"good", "bad"}
    for line in read_lines(run.path / "predictions.jsonl"):
        scores, from_ = line["tuned"]["scores"], run.task.thresholds
        assert line["tuned"]["labels"] == [label for label in scores if scores[label] >= from_[label]]
        assert line["untuned"]["labels"] == [
            k for k, score in line["untuned"]["scores"].items() if score >= 0.5
        ]
    labels = run.folder.json("data/ledger.json")["labels"]
    assert {*labels["train"]} == {"good", "bad"}
    assert "F1 by row" in run.report.read_text(encoding="utf-8")


def test_the_f1_of_validation_rows_goes_by_thresholds_as_they_are_chosen_at_the_end(run):
    rows = [record.values for record, _ in kept(run.folder, "validation")]
    told = run.predict([row["text"] for row in rows])
    labels = run.task.labels
    true = np.array([[label in row["label"] for label in labels] for row in rows])
    scores = np.array([[one["scores"][label] for label in labels] for one in told])
    log = read_lines(run.path / "log.jsonl")
    best = log[-1]["best_step"]
    looks = {line["step"]: line["validation/f1_micro"] for line in log if line["event"] == "evaluate"}
    own = np.array([run.task.thresholds[label] for label in labels])
    assert looks[best] == pytest.approx(f1_score(true, scores >= own, average="micro"))
    # To say a label always is a threshold, too: by 0.5 the first looks say none.
    always = f1_score(true, np.ones_like(true), average="micro")
    assert all(look > always - 0.05 for look in looks.values())


def test_transformers_opens_it_and_the_page_says_how_labels_are_read(run):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(run.path / "model")
    assert model.config.problem_type == NAME
    (code,) = [way["code"] for way in run.results["usage"] if "Transformers" in way["title"]]
    lines = code.partition("\n\nthresholds")[2]
    names = {"model": model, "tokenizer": AutoTokenizer.from_pretrained(run.path / "model")}
    for text in ("the great film", "dull plot", "plot", "the great dull film"):
        exec("thresholds" + lines.replace('"..."', repr(text)), names)
        (told,) = run.predict([text])
        assert names["labels"] == told["labels"]
        assert names["scores"] == pytest.approx([*told["scores"].values()], rel=1e-4)


def test_changing_every_test_label_changes_no_threshold(bert, tmp_path):
    rows, found = many_labels(120), []
    for number, flips in enumerate((False, True)):
        folder = tmp_path / str(number)
        folder.mkdir()
        test = rows[80:]
        if flips:
            test = [{**row, "labels": [k for k in ("bad", "good") if k not in row["labels"]]} for row in test]
        train = write_jsonl(tmp_path / "train.jsonl", rows[:80])
        judge = write_jsonl(folder / "test.jsonl", test)
        files = {"train": str(train), "test": str(judge), "split": {"validation": 0.3}}
        found.append(api.train(asked(bert, folder, files, num_train_epochs=2)))
    first, second = (each.task.thresholds for each in found)
    assert first == second
    assert {*first} == {"bad", "good"}
    assert first != {"bad": 0.5, "good": 0.5}
    scores = [each.results["metrics"]["tuned"]["hamming_loss"]["value"] for each in found]
    assert scores[0] == pytest.approx(1 - scores[1])


def test_the_command_line_answers_and_writes_tables(run, tmp_path, capsys):
    from weitiao.cli import run as weitiao

    texts = ["the great film", "dull plot", "great dull film", "plot"]
    told = run.predict(texts)
    assert weitiao(["predict", str(run.path), *texts]) == 0
    for line, text, one in zip(capsys.readouterr().out.splitlines(), texts, told, strict=True):
        said = "; ".join(f"{label} ({one['scores'][label]:.2f})" for label in one["labels"]) or "-"
        assert line == f"{said}\t{text}"
    assert weitiao(["predict", str(run.path), "--json", "the dull film"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert {*said} == {"text", "labels", "scores"}
    file = write_csv(tmp_path / "new.csv", [{"id": 7, "text": "dull plot"}])
    assert weitiao(["predict", str(run.path), "--file", str(file), "-o", str(tmp_path / "out.csv")]) == 0
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as table:
        (row,) = csv.DictReader(table)
    assert json.loads(row["predicted_labels"]) == told[1]["labels"]


def test_a_table_says_several_labels_in_one_cell_and_one_label_points_here(bert, tmp_path):
    rows = [{**row, "labels": "; ".join(row["labels"])} for row in many_labels(40)]
    file = write_csv(tmp_path / "rows.csv", rows)
    tree = asked(bert, tmp_path, {"train": str(file)}, max_steps=1)
    found = api.train(tree)
    assert found.task.labels == ("bad", "good")
    with pytest.raises(WeitiaoError, match=f"missing_column.*{NAME}"):
        api.train({**tree, "task": "text_classification", "output_dir": str(tmp_path / "one")})
    lists = write_jsonl(tmp_path / "lists.jsonl", [{"text": "the plot", "label": ["good"]}])
    with pytest.raises(WeitiaoError, match=NAME):
        api.train(
            {
                **tree,
                "task": "text_classification",
                "data": {"train": str(lists)},
                "output_dir": str(tmp_path / "one"),
            }
        )
