"""`check`, `plan`, `train --dry-run` and `train` refuse the same things with the same code; `init --model` too."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.conftest import reviews, write_csv
from weitiao import api
from weitiao.cli import run as cli
from weitiao.core.errors import WeitiaoError

VERBS = (["check"], ["plan"], ["train", "--dry-run"], ["train"])
BAD = {
    "rows longer than the positions": ("wrong_value", {"data.max_length": 4000}),
    "an absent file": ("file_missing", {"data.train": ["gone.csv"]}),
    "an absent validation file": ("file_missing", {"data.validation": ["gone.csv"]}),
    "a model that is none": ("no_such_model", {"model": "no/such/folder"}),
    "a method that does not suit": (
        "no_such_modules",
        {"method": {"name": "lora", "target_modules": ["wq"]}},
    ),
    "a mistyped augmentation": ("unknown_key", {"data.augment": [{"name": "swap", "shares": 0.1}]}),
    "labels that are none of the task's": (
        "unknown_label",
        {"task": {"name": "text_classification", "labels": ["x", "y"]}},
    ),
    "a label that is listed twice": (
        "wrong_value",
        {"task": {"name": "text_classification", "labels": ["good", "bad", "good"]}},
    ),
    "a label that is read as another": (
        "wrong_value",
        {
            "task": {"name": "text_classification", "labels": ["good", "bad", "fine"]},
            "data.relabel": {"fine": "good"},
        },
    ),
    "two spellings of a label": (
        "wrong_value",
        {"task": {"name": "text_classification", "labels": ["good", "bad", 1, "1.0"]}},
    ),
    "an empty text and an empty label": ("lost_rows", {"data.train": ["holes.csv"]}),
    "half a character": ("lost_rows", {"data.train": ["half.jsonl"]}),
    "rows that are too long": ("lost_rows", {"data.max_length": 8, "data.overlong": "drop"}),
    "one label": ("too_few_labels", {"data.train": ["one.csv"]}),
    "a column that is not there": ("no_such_column", {"data.columns": {"text": "body"}}),
    "a rate beyond all measure": ("wrong_value", {"train.learning_rate": 1e30}),
    "a metric that nobody measures": ("wrong_metric", {"train.metric_for_best_model": "bleu"}),
    "a mistyped setting of the schedule": (
        "unknown_key",
        {"train.lr_scheduler_kwargs": {"nonsense": 1}},
    ),
    "a base with a weight that is no number": ("not_finite_weights", {"model": "nan"}),
    "a tokenizer with more words than the model": ("token_beyond_vocabulary", {"model": "few"}),
    "an output_dir that is a file": ("not_a_folder", {"output_dir": "one.csv"}),
    "an output_dir below a file": ("not_a_folder", {"output_dir": "one.csv/run"}),
    "an output_dir where nobody may write": ("no_permission", {"output_dir": "/proc/x/run"}),
    "an output_dir with files of another": ("folder_not_empty", {"output_dir": "nan"}),
    "an output_dir that no disk takes": ("impossible_path", {"output_dir": "x" * 300}),
    "a watcher that cannot be made": ("bad_watcher", {"train.watchers": ["watch.py:Fails"]}),
    "a watcher that is none": ("bad_watcher", {"train.watchers": ["watch.py:Other"]}),
    "a trunk that is not frozen": ("unfit_training", {"train.cache_frozen_trunk": True}),
    "a run to begin with that is none": ("no_run", {"start_from": "gone"}),
    "an absent translation model": (
        "no_such_model",
        {"data.augment": [{"name": "back_translation", "there": "./gone", "back": "./gone"}]},
    ),
    "an augmentation of pictures": ("augment_refuses", {"data.augment": ["flip"]}),
    "a base that fills in no words": ("no_masked_head", {"data.augment": ["masked"]}),
    "a sentence model that is to speak": ("unsuitable_model", {"task": "sft", "data.train": ["talk.jsonl"]}),
}


def _spoilt(base: str, folder: Path, ending: str, change) -> Path:
    """A copy of a model in which the weights of such names are changed."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(base, folder)
    weights = load_file(folder / "model.safetensors")
    found = {name: change(weight) if name.endswith(ending) else weight for name, weight in weights.items()}
    save_file(found, folder / "model.safetensors", {"format": "pt"})
    return folder


@pytest.fixture
def code(bert, classify, tmp_path, monkeypatch, capsys):
    """The code with which a verb refuses a recipe; empty when it does not."""
    monkeypatch.chdir(tmp_path)
    write_csv(Path("one.csv"), [row for row in reviews(60) if row["label"] == "good"])
    write_csv(Path("holes.csv"), [*reviews(60), {"text": "", "label": "bad"}, {"text": "dull", "label": ""}])
    half = [*reviews(60), {"text": "dull \ud83d", "label": "bad"}]
    Path("half.jsonl").write_text("".join(json.dumps(row) + "\n" for row in half))
    talk = [{"prompt": row["text"], "completion": row["label"]} for row in reviews(60)]
    Path("talk.jsonl").write_text("".join(json.dumps(row) + "\n" for row in talk))

    _spoilt(bert, Path("nan"), "query.weight", lambda weight: weight.fill_(float("nan")))
    few = _spoilt(bert, Path("few"), "word_embeddings.weight", lambda weight: weight[:16].clone())
    known = json.loads((few / "config.json").read_text())
    (few / "config.json").write_text(json.dumps({**known, "vocab_size": 16}))
    Path("watch.py").write_text("class Other: ...\nclass Fails:\n    def __init__(self): raise ValueError\n")

    def refused(verb: list[str], changes: dict) -> str:
        tree = classify(max_steps=1, output_dir=str(tmp_path / "-".join(verb)))
        for key, value in changes.items():
            *sections, last = key.split(".")
            (tree[sections[0]] if sections else tree)[last] = value
        Path("recipe.yaml").write_text(json.dumps(tree))
        status = cli([verb[0], "recipe.yaml", *verb[1:], "--json"])
        said = capsys.readouterr().err
        return json.loads(said.splitlines()[-1])["error"] if status else ""

    return refused


@pytest.mark.whole
@pytest.mark.parametrize("what", BAD)
def test_all_verbs_refuse_it_with_the_same_code(what, code):
    expected, changes = BAD[what]
    found = {" ".join(verb): code(verb, changes) for verb in VERBS}
    assert len(set(found.values())) == 1, found
    assert found["train"] == expected


@pytest.mark.whole
def test_a_sound_recipe_passes(code):
    assert [code(verb, {}) for verb in VERBS[:2]] == ["", ""]
    accepted = {"data.train": ["holes.csv"], "data.max_dropped_fraction": 0.1}
    assert [code(verb, accepted) for verb in VERBS[:2]] == ["", ""]


@pytest.mark.whole
def test_what_would_be_lost_is_said_of_all_rows_and_its_way_out_works(code, capsys):
    """Of few rows among many a sample has none, or far too large a share."""
    rows = reviews(2400)
    for place, hole in ((7, "text"), (1300, "label"), (2390, "text")):
        rows[place][hole] = ""
    write_csv(Path("many.csv"), rows)
    same = {"data.train": ["many.csv"], "data.near_duplicates": "keep", "data.duplicates": "keep"}
    for verb in VERBS[:3]:
        assert code(verb, same) == "lost_rows", verb
        assert cli([verb[0], "recipe.yaml", *verb[1:]]) == 3
        said = capsys.readouterr().err
        assert "3 of 2400 rows" in said
        assert said.rstrip().endswith("data.max_dropped_fraction=0.0013"), verb
        assert code(verb, {**same, "data.max_dropped_fraction": 0.0013}) == "", verb


@pytest.mark.whole
def test_all_verbs_say_what_could_go_wrong(code, capsys):
    changes = {"train.warmup_steps": 500, "train.max_steps": 5}
    assert code(VERBS[0], changes) == ""
    for verb in VERBS:
        assert cli([verb[0], "recipe.yaml", *verb[1:], "output_dir=again"]) == 0
        said = capsys.readouterr().err
        assert said.count("warmup_steps is 500 and the run has 5 steps") == 1, verb


@pytest.mark.whole
def test_all_verbs_say_that_a_run_is_there_already(code, capsys, tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "log.jsonl").write_text('{"event": "step", "step": 1}\n')
    assert code(VERBS[3], {"output_dir": "taken"}) == "run_exists"
    for verb in VERBS[:3]:
        assert cli([verb[0], "recipe.yaml", *verb[1:]]) == 0
        assert "output_dir=taken holds a run already (unfinished)" in capsys.readouterr().err, verb
    assert [path.name for path in (tmp_path / "taken").iterdir() if path.name[0] != "."] == ["log.jsonl"]


@pytest.mark.parametrize("model", ["no/such/folder", "minilm-l7"])
def test_init_refuses_a_model_that_train_would_refuse(model, code, review_file):
    with pytest.raises(WeitiaoError) as caught:
        api.init(review_file, model=model)
    assert caught.value.code == code(["train"], {"model": model})
