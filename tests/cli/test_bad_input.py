"""Whatever is wrong with what comes in: one coded message with the way out, an exit code, and nothing broken."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import dialogues, reviews, write_csv, write_jsonl
from weitiao.cli import run
from weitiao.core.errors import messages
from weitiao.core.recipe import Recipe
from weitiao.core.run import claim

RECIPE = """\
model: {model}
task: text_classification
method: head
output_dir: run
data: {{train: reviews.csv}}
train: {{max_steps: 2, bf16: false, per_device_train_batch_size: 8, save_strategy: steps, save_steps: 1}}
evaluate: {{resamples: 100, untuned: false, baseline: none}}
"""


@dataclass
class Said:
    """What a command left behind."""

    exit: int
    out: str
    err: str


@pytest.fixture
def weitiao(bert, tmp_path, monkeypatch, capsys) -> Callable[..., Said]:
    """`weitiao("train", "recipe.yaml")` in a folder with a good recipe and a good table."""
    monkeypatch.chdir(tmp_path)
    write_csv(tmp_path / "reviews.csv", reviews(60))
    (tmp_path / "recipe.yaml").write_text(RECIPE.format(model=bert))

    def call(*words: str) -> Said:
        code = run(list(words))
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return call


def refused(said: Said, code: str, *words: str) -> None:
    """Exactly one coded message, with what it must name, the way out, the exit code, and no traceback."""
    assert re.findall(r"^\[(\w+)\]", said.err, re.MULTILINE) == [code], said.err
    assert said.exit == messages()[code]["exit"] != 0
    assert said.err.count("\nWay out: ") == 1
    assert "Traceback" not in said.err
    assert said.out == "", "results alone go to standard output"
    message = said.err[said.err.index(f"[{code}]") :]
    for word in words:
        assert word in message, (word, message)


def listing(path: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file() and p.name != ".lock"
    }


def usable(path: str = "run") -> None:
    """A refused run leaves its folder to the next one."""
    with claim(Recipe.read("recipe.yaml", [f"output_dir={path}"]), resume=False):
        pass


# --- files of data: (name, content, code, what is named)

DATA = {
    "missing": (None, "file_missing", "reviews.csv does not exist"),
    "empty": ("", "empty_file", "reviews.csv", "the file is empty"),
    "header only": ("text,label\n", "empty_file", "reviews.csv", "header and nothing below"),
    "one row": ("text,label\na,b\n", "too_few_labels", "(b) in 1 rows"),
    "two rows": ("text,label\na,b\nc,d\n", "too_few_rows", "2 rows", "validation, test"),
    "one class": ("text,label\n" + "".join(f"t {i},b\n" for i in range(30)), "too_few_labels", "(b) in 30 rows"),
    "unknown column": ("review,label\na,b\n", "missing_column", '"text"', 'Did you mean "review"?', "data.columns.text="),
    "no known column": ("x,y\na,b\n", "missing_column", "x, y"),
    "column twice": ("text,text\na,b\n", "bad_header", "reviews.csv", "twice"),
    "Russian": ("text,label\nfine,1\nхороший отзыв,0\n".encode("cp1251"), "bad_encoding", "reviews.csv line 3", "big5 or cp1252"),
    "binary": (b"PK\x03\x04\0\0\xff\xfe", "zero_bytes", "reviews.csv line 1"),
    "mixed labels": ("text,label\na,pos\nb,neg\nc,1\nd,pos\n", "mixed_labels", "(1)", "(pos, neg)", "line 4"),
    "extra comma": ("text,label\na,1\nb, c,0\nd,1\n", "lost_rows", "1 of 3", "line 3: 3 cells", "data.max_dropped_fraction=0.3334"),
    "missing label": ("text,label\na,1\nb,\nc,0\n", "lost_rows", "line 3: the label is missing"),
    "empty text": ("text,label\na,1\n ,1\nc,0\n", "lost_rows", "line 3: the text is empty"),
    "two labels for a text": ("text,label\na,1\nA,0\nb,0\n", "lost_rows", "line 2", 'labelled "1" here and "0"'),
    "open quote": ('text,label\na,1\n"b,0\nc,1\n', "lost_rows", "line 3: this row cannot be taken apart"),
    "open quote above": ('"text,label\na,1\n', "open_quote", "reviews.csv line 1"),
}  # fmt: skip


@pytest.mark.parametrize("case", DATA)
def test_a_table_that_cannot_be_learnt_from(case, weitiao):
    content, code, *words = DATA[case]
    Path("reviews.csv").unlink()
    if content is not None:
        Path("reviews.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    refused(weitiao("train", "recipe.yaml"), code, *words)
    assert set(listing(Path("run"))) <= {"recipe.yaml"}
    usable()


JSONL = {
    "corrupt line": ('{"prompt": "a", "completion": "b"}\n{"prompt"\n', "lost_rows", "line 2: not JSON"),
    "cut line": ('{"prompt": "a", "completion": "b"}\n{"prompt": "a", "comp', "lost_rows", "line 2: not JSON"),
    "content null": ('{"messages": [{"role": "assistant", "content": null}]}', "bad_rows", "turn 1 is missing, not text"),
    "no answer": ('{"messages": [{"role": "user", "content": "hi"}]}', "bad_rows", "no assistant turn"),
    "no known column": ('{"q": "a", "a": "b"}', "unknown_row_format", "q, a"),
}  # fmt: skip


@pytest.mark.parametrize("case", JSONL)
def test_conversations_that_cannot_be_learnt_from(case, weitiao, llama):
    content, code, *words = JSONL[case]
    Path("talk.jsonl").write_text(content)
    said = weitiao(
        "train", "recipe.yaml", f"model={llama}", "task=sft", "method=lora", "data.train=talk.jsonl"
    )
    refused(said, code, *words)
    usable()


def test_correcting_the_table_is_all_that_is_needed(weitiao):
    """The way out of `lost_rows`, pasted: the same folder, another recipe."""
    with Path("reviews.csv").open("a") as file:
        file.write("one, comma too many,good\n")
    refused(
        weitiao("train", "recipe.yaml"), "lost_rows", "1 of 61", "line 62", "data.max_dropped_fraction=0.0164"
    )
    said = weitiao("train", "recipe.yaml", "data.max_dropped_fraction=0.0164", "--json")
    assert said.exit == 0
    assert json.loads(said.out)["run"] == "run"


# --- the recipe and its words

WORDS = {
    "unknown key": (["train.learning_rat=1"], "unknown_key", '"train.learning_rat"', 'Did you mean "learning_rate"?'),
    "another tool's key": (["train.lr=1"], "unknown_key", "-> train.learning_rate"),
    "wrong type": (["train.max_steps=many"], "wrong_value", "train.max_steps: 'many'"),
    "no such method": (["method=loar"], "unknown_name", 'Did you mean "lora"?'),
    "no such task": (["task=classify"], "unknown_name", "text_classification"),
    "no such setting": (["method={name: lora, rank: 4}"], "unknown_key", '"method.rank"', "-> method.r"),
    "wrong setting": (["method={name: lora, r: 0}"], "wrong_value", "method.r: 0"),
    "no such module": (["method={name: lora, target_modules: [qury]}"], "no_such_modules", 'Did you mean "query"?'),
    "no key": (["seed"], "bad_override", '"seed"'),
    "a pair that makes no sense": (["task=sft"], "no_such_pair", "head", "sft"),
    "nothing to choose by": (["data.split.validation=0"], "needs_validation", "early_stopping_patience"),
    "no data": (["data.train=[]"], "missing_key", '"data.train"'),
    "no such encoding": (["data.encoding=utf8000"], "unknown_encoding", "utf8000"),
    "longer than the model": (["data.max_length=100"], "wrong_value", "data.max_length: 100", "64 positions: write 64 or less"),
    "too long rows": (["data.overlong=fail", "data.max_length=6"], "overlong_rows", "longer than 6 tokens", "reviews.csv line"),
    "no such format": (["data.format=messages"], "wrong_usage", "data.format=messages"),
    "no such column": (["data.columns.text=txt"], "no_such_column", '"txt"', 'Did you mean "text"?'),
}  # fmt: skip


@pytest.mark.parametrize("case", WORDS)
def test_a_recipe_that_cannot_be_followed(case, weitiao):
    words, code, *named = WORDS[case]
    refused(weitiao("train", "recipe.yaml", *words), code, *named)
    usable()


def test_a_metric_that_the_validation_does_not_have(weitiao):
    said = weitiao("train", "recipe.yaml", "train.metric_for_best_model=f2")
    refused(said, "wrong_metric", '"f2"', "loss, accuracy")


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        (None, "recipe_missing", ["recipe.yaml", "weitiao init"]),
        ("", "bad_yaml", ["line 1"]),
        ("model: [1\n", "bad_yaml", ["recipe.yaml line 2"]),
        ("model: a\nmodel: b\n", "bad_yaml", ["line 2", '"model" stands twice']),
        ("task: sft\noutput_dir: x\n", "missing_key", ['"model"']),
        ("modle: a\ntask: sft\noutput_dir: x\n", "unknown_key", ['Did you mean "model"?']),
    ],
)
def test_a_recipe_file_that_is_none(text, code, words, weitiao):
    Path("recipe.yaml").unlink()
    if text is not None:
        Path("recipe.yaml").write_text(text)
    refused(weitiao("train", "recipe.yaml"), code, *words)
    assert not Path("run").exists()


# --- the model


def model_folder(source: str, **config) -> Path:
    """A copy of the toy under `model/`, with other words in its config."""
    shutil.copytree(source, "model")
    path = Path("model/config.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **config}))
    return path.parent


def test_models_that_are_not_there(weitiao):
    refused(
        weitiao("train", "recipe.yaml", "model=minilm"),
        "no_such_model",
        '"minilm"',
        'Did you mean "minilm-l6"?',
    )
    refused(weitiao("train", "recipe.yaml", "model=./nowhere"), "no_such_model", "./nowhere")
    refused(
        weitiao("train", "recipe.yaml", "model=some-one/some-model"), "hub_unreachable", "some-one/some-model"
    )
    Path("model").mkdir()
    refused(weitiao("train", "recipe.yaml", "model=model"), "no_such_model", "no config.json")
    usable()


def test_pickled_weights_are_not_opened(weitiao, bert):
    import torch

    folder = model_folder(bert)
    (folder / "model.safetensors").unlink()
    torch.save(Bomb(), folder / "pytorch_model.bin")
    refused(weitiao("train", "recipe.yaml", "model=model"), "no_weights", "pytorch_model.bin")
    assert not Path("ran").exists()
    usable()


class Bomb:
    """Unpickling it leaves a trace."""

    def __reduce__(self):
        return (os.mkdir, ("ran",))


CODE = "import os\nos.mkdir('ran')\nfrom transformers import BertConfig as C, BertForSequenceClassification as M\n"


@pytest.mark.parametrize("model_type", ["bert", "their-own"])
def test_code_in_a_model_folder_is_not_run_nor_asked_about(model_type, weitiao, bert, monkeypatch):
    auto_map = {"AutoConfig": "code.C", "AutoModelForSequenceClassification": "code.M"}
    folder = model_folder(bert, model_type=model_type, auto_map=auto_map)
    (folder / "code.py").write_text(CODE)

    def asked(*args):
        raise AssertionError("it asked")

    monkeypatch.setattr("builtins.input", asked)
    said = weitiao("train", "recipe.yaml", "model=model")
    if model_type == "bert":  # the model that Transformers has itself
        assert said.exit == 0
    else:
        refused(said, "needs_code", "model")
        usable()
    assert not Path("ran").exists()


@pytest.mark.parametrize("harm", ["cut", "garbage", "empty"])
def test_corrupted_weights_are_refused(harm, weitiao, bert):
    weights = model_folder(bert) / "model.safetensors"
    raw = weights.read_bytes()
    weights.write_bytes({"cut": raw[: len(raw) // 2], "garbage": b"\xff" * 1000, "empty": b""}[harm])
    refused(weitiao("train", "recipe.yaml", "model=model"), "broken_file", "model.safetensors")
    usable()


def test_a_model_of_another_kind_is_refused(weitiao, bert):
    write_jsonl(Path("talk.jsonl"), dialogues(40))
    words = ["task=sft", "method=lora", "data.train=talk.jsonl"]
    refused(weitiao("train", "recipe.yaml", *words), "unsuitable_model", "AutoModelForCausalLM")
    usable()


def trained(weitiao) -> Path:
    assert weitiao("train", "recipe.yaml").exit == 0
    return Path("run")


# --- other verbs


def test_predict_needs_texts(weitiao, monkeypatch):
    trained(weitiao)
    stdin = io.TextIOWrapper(io.BytesIO(b"\n \n"))
    monkeypatch.setattr(sys, "stdin", stdin)
    refused(weitiao("predict", "run"), "wrong_usage", "there is no text")
    refused(weitiao("predict", "run", " "), "bad_given", "1: the text is empty")
    refused(weitiao("predict", "run", "--file", "nowhere.csv"), "file_missing", "nowhere.csv")
    refused(weitiao("predict", "run", "--file", "nowhere.txt"), "file_missing", "nowhere.txt")
    Path("new.csv").write_text("review\nfine\n")
    refused(
        weitiao("predict", "run", "--file", "new.csv"),
        "no_asked_column",
        'Did you mean "review"?',
        "--columns text=",
    )
    Path("new.csv").write_text("text\n \n")
    refused(weitiao("predict", "run", "--file", "new.csv"), "bad_rows", "line 2: the text is empty")
    Path("new.txt").write_bytes("fine\nхороший отзыв\n".encode("cp1251"))
    refused(weitiao("predict", "run", "--file", "new.txt"), "bad_encoding", "new.txt line 2")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("fine\nхороший отзыв\n".encode("cp1251"))))
    refused(weitiao("predict", "run"), "bad_encoding", "standard input line 2")
    refused(weitiao("chat", "run"), "wrong_usage", "weitiao predict run")


def test_init_and_data_check(weitiao):
    for verb in (["init"], ["data", "check"]):
        refused(weitiao(*verb, "nowhere.csv"), "file_missing", "nowhere.csv")
        Path("odd.csv").write_text("x,y\n1,2\n")
        refused(weitiao(*verb, "odd.csv"), "unknown_row_format", "x, y")
        Path("odd.xls").write_text("x,y\n1,2\n")
        refused(weitiao(*verb, "odd.xls"), "unknown_format", ".xls")
    refused(weitiao("init", "reviews.csv", "-o", "recipe.yaml"), "wrong_usage", "recipe.yaml exists already")
    refused(weitiao("data", "check", "reviews.csv", "--columns", "text"), "bad_columns", '"text"')
    refused(
        weitiao("data", "check", "reviews.csv", "--task", "classify"), "unknown_name", "text_classification"
    )


def test_names_of_nothing(weitiao):
    refused(weitiao("fetch", "minilm"), "unknown_name", 'Did you mean "minilm-l6"?')
    refused(
        weitiao("demo", "reveiws"),
        "unknown_name",
        'there is no demo called "reveiws"',
        'Did you mean "reviews"?',
    )
    refused(weitiao("chat", "smollm2"), "no_such_model", 'Did you mean "smollm2-135m"?')


# --- how it is said


def test_verbose_shows_the_traceback_and_the_message(weitiao):
    said = weitiao("train", "recipe.yaml", "train.lr=1", "--verbose")
    assert said.exit == 2
    assert "Traceback (most recent call last)" in said.err
    assert "[unknown_key]" in said.err.splitlines()[-2]
    assert said.out == ""


def test_json_errors_are_for_scripts(weitiao):
    said = weitiao("train", "recipe.yaml", "train.lr=1", "--json")
    facts = json.loads(said.err)
    assert (facts["error"], facts["exit"], said.exit, said.out) == ("unknown_key", 2, 2, "")
    assert "train.learning_rate" in facts["message"]


def test_the_reader_s_language(weitiao, monkeypatch):
    monkeypatch.setenv("WEITIAO_LANG", "zh")
    said = weitiao("train", "nowhere.yaml")
    assert "[recipe_missing] 没有配方文件 nowhere.yaml。\n解决办法: " in said.err


def test_words_that_are_no_command(weitiao):
    for words in (["trian"], ["train"], ["train", "recipe.yaml", "--resmue"], ["runs", "--folder"]):
        said = weitiao(*words)
        assert said.exit == 2
        assert said.err.startswith("[wrong_usage] ")
        assert "Traceback" not in said.err
        assert said.out == ""
