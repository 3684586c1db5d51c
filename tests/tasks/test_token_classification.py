"""Tags of words: what is read of a row, what is learnt of it, and what is told of a text."""

from __future__ import annotations

import csv
import io
import json
import re

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.conftest import tagged, write_jsonl
from weitiao import api
from weitiao.core import registry
from weitiao.core.contracts import Record
from weitiao.core.errors import WeitiaoError
from weitiao.core.files import read_lines
from weitiao.core.recipe import Data
from weitiao.data.overlong import as_read
from weitiao.data.tags import spans
from weitiao.data.view import view
from weitiao.evaluate.predict import predict
from weitiao.models import load
from weitiao.tasks.parts.pieces import NONE
from weitiao.tasks.parts.viterbi import likeliest, moves

pytestmark = pytest.mark.whole  # a training each


def record(tokens, tags, line=1):
    return Record("t.jsonl", line, {"tokens": tokens.split(), "tags": tags.split()})


def learnt(*rows, **settings):
    rows = [record(*row, line) for line, row in enumerate(rows, start=1)]
    return registry.build("task", {"name": "token_classification", **settings}).learn(rows)


# ------------------------------------------------------------------ what the data tell


def test_labels_are_all_that_can_be_written_of_the_types():
    task = learnt(("the plot", "O B-B"), ("great", "B-A"))
    assert task.labels == ("O", "B-A", "I-A", "B-B", "I-B")
    assert (task.scheme, task.words) == ("bio", "punctuation")
    assert task.classes() == ("A", "B")
    assert learnt(("a b c", "B-A E-A S-A")).labels == ("O", "B-A", "I-A", "E-A", "S-A")
    assert learnt(("a b", "NOUN VERB")).labels == ("NOUN", "VERB")
    assert learnt(("a b", "I-A B-A")).labels == ("O", "B-A", "I-A")  # IOB1 becomes BIO


def test_what_is_said_goes_before_what_is_seen():
    rows = ("a b", "I-A I-A")
    assert learnt(rows).labels == ("O", "I-A")
    assert learnt(rows, scheme="bio").labels == ("O", "B-A", "I-A")
    assert learnt(rows).record("a b.")["tokens"] == ["a", "b", "."]
    assert learnt(rows, words="whitespace").record("a b.")["tokens"] == ["a", "b."]
    assert learnt(rows, words="characters").record("ab.")["tokens"] == ["a", "b", "."]


@pytest.mark.parametrize(
    ("tags", "settings", "code", "said"),
    [
        ("O O", {}, "too_few_labels", "O"),
        ("0 3", {}, "numbered_tags", "0, 3"),
        ("B-A O", {"labels": ["O", "B-B"]}, "unknown_label", 't.jsonl line 1: label "B-A"'),
        ("B-A O", {"class_weights": {"B-a": 2}}, "unknown_class", 'Did you mean "B-A"'),
    ],
)
def test_tags_that_cannot_be_learnt_are_refused(tags, settings, code, said):
    with pytest.raises(WeitiaoError) as caught:
        learnt(("a b", tags), **settings)
    assert caught.value.code == code
    assert said in str(caught.value)


def test_the_labels_of_a_base_give_the_order():
    task = learnt(("the plot", "O B-A"))
    assert task.follow(("I-a", "o", "b-A")).labels == ("I-A", "O", "B-A")
    assert task.follow(("O", "B-A")).labels == task.labels
    given = learnt(("the plot", "O B-A"), labels=["B-A", "O"])
    assert given.labels == ("B-A", "O")


# ------------------------------------------------------------------ rows


@pytest.fixture(scope="module")
def toy(bert):
    rows = [Record("t.jsonl", line, row) for line, row in enumerate(tagged(12), start=1)]
    task = registry.build("task", {"name": "token_classification"}).learn(rows)
    loaded = load.load(bert, task)
    loaded.model.eval()
    return task, loaded, rows


def test_faulty_rows_are_read_as_scorers_read_them_and_said(toy):
    task, loaded, _ = toy
    (good, odd) = task.encode(
        [record("the great plot", "O B-GOOD O"), record("the great plot", "O I-GOOD I-BAD")],
        loaded.processor,
        limit=64,
    )
    assert not good.repaired
    assert [task.labels[label] for label in odd.target] == ["O", "B-GOOD", "B-BAD"]
    assert odd.repaired == "tag 2 I-GOOD read as B-GOOD; tag 3 I-BAD read as B-BAD"


def test_faulty_rows_may_be_refused_and_foreign_tags_always_are(toy):
    task, loaded, _ = toy
    strict = registry.build(
        "task", {**registry.settings_of("token_classification", task), "faulty_tags": "refuse"}
    )
    rows = [record("the plot", "O I-GOOD"), record("the plot", "O GOOD"), record("the plot", "O B-GOOD")]
    odd, foreign, good = strict.encode(rows, loaded.processor, limit=64)
    assert odd.refused == "tag 2 is I-GOOD where B-GOOD was expected"
    assert "GOOD" in foreign.refused
    assert not good.refused
    assert [bool(each.refused) for each in task.encode(rows, loaded.processor, limit=64)] == [
        False,
        True,
        False,
    ]


def test_the_loss_is_transformers_own_over_the_first_tokens(toy):
    from transformers import AutoModelForTokenClassification

    task, loaded, rows = toy
    theirs = AutoModelForTokenClassification.from_pretrained(loaded.source, num_labels=len(task.labels))
    theirs.load_state_dict(loaded.model.state_dict())
    encoded = loaded.processor(
        [" ".join(row.values["tokens"]) for row in rows], padding=True, return_tensors="pt"
    )
    wanted = torch.full_like(encoded["input_ids"], -100)
    for place, row in enumerate(rows):  # a word is a token of this tokenizer, behind one special token
        own = [task.labels.index(tag) for tag in row.values["tags"]]
        wanted[place, 1 : 1 + len(own)] = torch.tensor(own)
    examples = list(task.encode(rows, loaded.processor, limit=64))
    batch = loaded.collate(task)(examples, list(range(len(rows))))
    with torch.no_grad():
        mean = theirs.eval()(**encoded, labels=wanted).loss
        torch.testing.assert_close(task.loss(loaded.model, batch) / batch.trained, mean)
    assert batch.trained == sum(len(row.values["tokens"]) for row in rows)


def test_weights_and_smoothing_are_those_of_torch(toy):
    task, loaded, rows = toy
    weights = {"O": 0.25, "B-BAD": 3.0}
    settings = registry.settings_of("token_classification", task)
    weighed = registry.build("task", {**settings, "class_weights": weights})
    examples = list(weighed.encode(rows, loaded.processor, limit=64))
    batch = loaded.collate(weighed)(examples, list(range(len(rows))))
    each = torch.tensor([weights.get(label, 1.0) for label in task.labels])
    with torch.no_grad():
        logits = weighed.logits(loaded.model, batch)
        wanted = F.cross_entropy(logits, batch.target, weight=each, label_smoothing=0.1, reduction="sum")
        torch.testing.assert_close(weighed.loss(loaded.model, batch, label_smoothing=0.1), wanted)
    assert batch.trained == pytest.approx(each[batch.target].sum().item())
    plain = registry.build("task", {**settings, "class_weights": "balanced"}).learn_training(examples, None)
    said = [tag for row in rows for tag in row.values["tags"]]
    carried = {label for label in said}
    for label in task.labels:
        wanted = len(said) / (len(carried) * said.count(label)) if label in carried else 1.0
        assert plain.class_weights[label] == pytest.approx(wanted)


def test_a_word_of_which_nothing_is_left_is_outside_and_counted(toy):
    task, loaded, _ = toy
    # This tokenizer parts words at spaces, and knows nothing else.
    (example,) = task.encode(
        [Record("t.jsonl", 1, {"tokens": ["great", " ", "plot"], "tags": ["B-GOOD", "B-BAD", "O"]})],
        loaded.processor,
        limit=64,
    )
    assert example.inputs["first"][1] == NONE
    assert example.trained == 2
    assert "words of which the tokenizer leaves nothing: 1" in example.repaired
    (told,) = predict(loaded, task, [example])
    assert told["tags"][1] == "O"
    assert len(told["tags"]) == 3
    # It is there to be found all the same: what the model cannot read counts as missed.
    assert task.expected(example)["tags"] == ["B-GOOD", "B-BAD", "O"]


# ------------------------------------------------------------------ rows that are too long


def long_row(words):
    tokens, tags = [], []
    seed = 0
    while len(tokens) < words:
        (row,) = tagged(1, seed=seed)
        tokens, tags, seed = [*tokens, *row["tokens"]], [*tags, *row["tags"]], seed + 1
    return Record("t.jsonl", 1, {"tokens": tokens[:words], "tags": tags[:words]})


def test_a_long_row_is_judged_whole_as_its_windows_alone(toy):
    task, loaded, rows = toy
    long, limit = long_row(50), 18
    ((_, whole),) = as_read(task, [long], loaded.processor, Data(), limit=limit)
    assert whole.trained == 50
    assert not whole.tokens_lost
    among = [*task.encode(rows[:5], loaded.processor, limit=limit), whole]
    *_, told = predict(loaded, task, among, batch_size=6)
    # By hand: every window as a row of its own, and of each word the score where both edges are farthest.
    ids = list(whole.inputs["input_ids"])
    sizes = list(whole.inputs["windows"])
    assert max(sizes) <= limit
    assert len(sizes) > 3
    ends = np.cumsum(sizes)
    with torch.no_grad():
        shares = torch.cat(
            [
                loaded.model(input_ids=torch.tensor([ids[end - size : end]])).logits[0].softmax(-1)
                for end, size in zip(ends, sizes, strict=True)
            ]
        )
    words = loaded.processor.convert_ids_to_tokens(ids)
    places = whole.inputs["first"]
    assert [words[place] for place in places] == long.values["tokens"]
    path = likeliest(shares[places].double().log().numpy(), moves(task.labels, "bio"))
    assert told["tags"] == [task.labels[label] for label in path]
    assert told["scores"] == pytest.approx(shares[places, path].tolist(), rel=1e-4)


def test_a_long_row_is_learnt_whole_and_each_word_once(toy):
    task, loaded, _ = toy
    long = long_row(50)
    (whole,) = task.encode([long], loaded.processor, limit=1000)
    parts = task.windows(long, whole, loaded.processor, limit=18)
    assert max(map(len, parts)) <= 18
    assert sum(part.trained for part in parts) == 50
    said = [task.labels[label] for part in parts for label in part.target]
    assert said == long.values["tags"]


def test_before_the_data_are_learnt_rows_are_read_as_they_would_be(toy):
    _, loaded, _ = toy
    unlearnt = registry.build("task", {"name": "token_classification"})
    rows = [Record("t.jsonl", 1, {"tokens": list("好坏好")}), Record("t.jsonl", 2, {"tokens": ["好"]})]
    found = list(unlearnt.encode(rows, loaded.processor, limit=64))
    assert [len(each) for each in found] == [5, 3]
    shown = view(
        Record("t.jsonl", 1, {"tokens": ["great", "plot"], "tags": ["B-GOOD", "O"]}),
        unlearnt,
        loaded.processor,
        Data(),
        limit=64,
    )
    assert shown.trained == 2
    assert [piece.state for piece in shown.pieces] == ["seen", "trained", "trained", "seen"]


# ------------------------------------------------------------------ the way through


@pytest.fixture(scope="module")
def run(bert, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tagging")
    rows = tagged(160)
    rows[7]["tags"] = [tag.replace("B-", "I-") for tag in rows[7]["tags"]]
    file = write_jsonl(folder / "tagged.jsonl", rows)
    train = {"num_train_epochs": 6, "learning_rate": 3e-3, "per_device_train_batch_size": 8, "bf16": False}
    recipe = {"model": bert, "task": "token_classification", "data": {"train": str(file)}}
    judge = {"resamples": 100}
    return api.train(
        {**recipe, "method": "full", "train": train, "evaluate": judge, "output_dir": str(folder / "run")}
    )


def test_a_run_learns_and_is_judged_beside_a_dictionary(run):
    results = run.results
    assert results["primary"] == "span_f1"
    found = results["metrics"]
    assert found["tuned"]["span_f1"]["value"] > 0.9
    assert found["untuned"]["span_f1"]["value"] < 0.3
    assert found["dictionary"]["token_accuracy"]["value"] > 0.5
    assert {row["name"] for row in results["sections"]["per_class"]["rows"]} == {"GOOD", "BAD"}
    ledger = run.folder.json("data/ledger.json")
    assert ledger["counts"]["repaired"] == 1
    assert "read as B-" in next(row["reason"] for row in ledger["rows"] if row["status"] == "repaired")
    for line in read_lines(run.path / "predictions.jsonl"):
        for side in (line, line["tuned"], line["dictionary"]):
            for span in side["spans"]:
                assert line["text"][span["start"] : span["end"]] == span["text"]
    assert "span F1" in run.report.read_text(encoding="utf-8")


ODD = "the great film\r\n👩🏽‍🚀 dull  e\u0301 awful, plot"


def test_a_text_gives_spans_with_its_own_characters(run):
    (told,) = run.predict([ODD])
    assert told["tokens"] == ["the", "great", "film", "👩🏽‍🚀", "dull", "e\u0301", "awful", ",", "plot"]
    assert [ODD[span["start"] : span["end"]] for span in told["spans"]] == [s["text"] for s in told["spans"]]
    assert {"great": "GOOD", "dull": "BAD", "awful": "BAD"}.items() <= {
        span["text"]: span["type"] for span in told["spans"]
    }.items()
    assert all(0 < span["score"] <= 1 for span in told["spans"])


def test_words_texts_and_files_are_asked_alike(run, tmp_path):
    words = ["the", "great", "film", "was", "dull"]
    (by_text,) = run.predict(" ".join(words))
    (by_words,) = run.predict([{"tokens": words}])
    assert by_text == by_words
    file = write_jsonl(tmp_path / "new.jsonl", [{"id": 7, "tokens": words}])
    assert run.predict(file) == [by_words]
    file = write_jsonl(tmp_path / "texts.jsonl", [{"body": " ".join(words)}])
    assert run.predict(file, columns={"text": "body"}) == [by_text]
    with pytest.raises(WeitiaoError, match=r"tokens\[2\]"):
        run.predict([{"tokens": ["the", ""]}])
    with pytest.raises(WeitiaoError, match="the tokens is empty"):
        run.predict([{"tokens": []}])
    with pytest.raises(WeitiaoError, match="no_asked_column"):
        run.predict([{"words": ["the"]}])


def test_the_command_line_answers_and_writes_tables(run, tmp_path, capsys, monkeypatch):
    from weitiao.cli import run as weitiao

    assert weitiao(["predict", str(run.path), "the great film", "plot"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"GOOD: great \(\d\.\d\d\)\tthe great film", first)
    assert second == "-\tplot"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"the great film\nthe dull plot\n")))
    assert weitiao(["predict", str(run.path), "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["spans"][0]["text"] for line in lines] == ["great", "dull"]
    file = tmp_path / "new.csv"
    file.write_text("id,text\n1,the great film\n2,plot\n", encoding="utf-8")
    assert weitiao(["predict", str(run.path), "--file", str(file), "-o", str(tmp_path / "out.csv")]) == 0
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table))
    assert [row["id"] for row in rows] == ["1", "2"]
    assert [json.loads(row["predicted_spans"]) == [] for row in rows] == [False, True]
    assert json.loads(rows[1]["predicted_tags"]) == ["O"]


def test_a_row_longer_than_the_model_is_answered_whole(run):
    long = long_row(150)
    (told,) = run.predict([{"tokens": long.values["tokens"]}])
    assert len(told["tags"]) == 150
    right = {(s["type"], s["text"]) for s in told["spans"]}
    assert (
        len(
            right
            & {(k, " ".join(long.values["tokens"][a:b])) for a, b, k in spans(long.values["tags"], "bio")}
        )
        > 5
    )


def test_a_base_with_these_outputs_keeps_its_head(run, tagged_file, tmp_path):
    from safetensors.torch import load_file, save_file

    base = tmp_path / "base"
    base.mkdir()
    for file in (run.path / "model").iterdir():
        (base / file.name).write_bytes(file.read_bytes())
    config = json.loads((base / "config.json").read_text())
    order = ["I-BAD", "B-GOOD", "O", "B-BAD", "I-GOOD"]
    place = {label: int(number) for number, label in config["id2label"].items()}
    weights = load_file(base / "model.safetensors")
    for name in ("classifier.weight", "classifier.bias"):
        weights[name] = weights[name][[place[label] for label in order]].contiguous()
    save_file(weights, base / "model.safetensors", metadata={"format": "pt"})
    config["id2label"] = {str(i): label.lower() for i, label in enumerate(order)}
    config["label2id"] = {label.lower(): i for i, label in enumerate(order)}
    (base / "config.json").write_text(json.dumps(config))
    found = api.train(
        {
            "model": str(base),
            "task": "token_classification",
            "data": {"train": str(tagged_file)},
            "train": {"max_steps": 1, "learning_rate": 1e-6, "bf16": False},
            "evaluate": {"resamples": 100},
            "output_dir": str(tmp_path / "again"),
        }
    )
    assert list(found.task.labels) == order
    assert found.results["metrics"]["untuned"]["span_f1"]["value"] > 0.9
