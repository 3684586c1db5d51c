"""No key of the recipe is ignored: for each one, a small run that ends otherwise when the key is changed.

    base run, the same run with one key changed  ->  look(run)  ->  two things that differ

A new key needs a line in `ROWS` (or a test of its own, named with `@own`); until it has one, a test here fails.
"""

from __future__ import annotations

import importlib
import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import dialogues, rarely, reviews, write_csv, write_jsonl
from weitiao import api
from weitiao.core.errors import WeitiaoError
from weitiao.core.files import read_lines
from weitiao.core.recipe import known_keys

LEAVES = [key for key in known_keys() if not any(other.startswith(f"{key}.") for other in known_keys())]
STEPS = 4


@dataclass
class Lab:
    """Runs of a few steps on toy models; the same words give the same run, made once."""

    folder: Path
    models: dict[str, str]
    files: dict[str, str]
    made: dict[tuple, api.Run] = field(default_factory=dict)

    def run(self, *overrides: str, kind: str = "words") -> api.Run:
        key = (kind, *overrides)
        if key not in self.made:
            tree = {
                "model": self.models[kind],
                "task": {"words": "text_classification", "chat": "sft"}[kind],
                "method": {"words": "full", "chat": "lora"}[kind],
                "output_dir": str(self.folder / f"run-{len(self.made)}"),
                "data": {"train": self.files[kind]},
                "train": {
                    "num_train_epochs": 2,
                    "max_steps": STEPS,
                    "per_device_train_batch_size": 8,
                    "bf16": False,
                    "eval_strategy": "steps",
                    "eval_steps": 2,
                    "save_strategy": "steps",
                    "save_steps": 2,
                    "load_best_model_at_end": False,
                    "early_stopping_patience": None,
                },
                "evaluate": {
                    "untuned": False,
                    "baseline": "none",
                    "resamples": 100,
                    "samples": 1,
                    "max_new_tokens": 2,
                },
            }
            self.made[key] = api.train(tree, overrides=[word.format(**self.files) for word in overrides])
        return self.made[key]


@pytest.fixture(scope="module")
def lab(bert, llama, tmp_path_factory) -> Lab:
    folder = tmp_path_factory.mktemp("lab")
    rows, talk = reviews(80), dialogues(40)
    files = {
        "words": write_csv(folder / "words.csv", rows),
        "chat": write_jsonl(folder / "chat.jsonl", talk),
        "other_words": write_csv(folder / "other.csv", reviews(80, seed=1)),
        "two_texts": write_csv(
            folder / "two.csv", [{**row, "review": f"very {row['text']}"} for row in rows]
        ),
        "two_formats": write_jsonl(
            folder / "both.jsonl",
            [{"instruction": f"the {row['prompt']}", "output": "great", **row} for row in talk],
        ),
        "near": write_csv(
            folder / "near.csv",
            rows
            + [
                {"text": f"{row['text']} quite", "label": row["label"]}
                for row in rows
                if len(row["text"]) > 40
            ],
        ),
        "few_words": write_csv(folder / "few.csv", reviews(20, seed=5)),
        "marked": write_csv(
            folder / "marked.csv",
            [
                {
                    **row,
                    "user": f"u{i // 8}",
                    "day": f"2026-{1 + i % 9:02d}-01",
                    "part": ("train", "train", "val", "test")[i % 4],
                }
                for i, row in enumerate(rows)
            ],
        ),
        "spaced": write_csv(
            folder / "spaced.csv", [{**row, "text": f"{row['text']}  {row['text']}"} for row in rows]
        ),
        "misspelt": write_csv(
            folder / "misspelt.csv",
            [{**row, "label": "godo" if i == 1 else row["label"]} for i, row in enumerate(rows)],
        ),
        "repeated": write_csv(folder / "repeated.csv", rows + rows[:10]),
        "blank": write_csv(folder / "blank.csv", [*rows, {"text": " ", "label": "good"}]),
        "gbk": folder / "gbk.csv",
        "thousands": write_csv(
            folder / "thousands.csv",
            [{"text": row["text"], "label": f"{i}.500"} for i, row in enumerate(rows, 1)],
        ),
        "other_model": _other(bert, folder / "bert"),
    }
    chinese = "".join(f"{row['text']} 好坏,{row['label']}\n" for row in rows)
    files["gbk"].write_bytes(f"text,label\n{chinese}".encode("gbk"))
    return Lab(folder, {"words": bert, "chat": llama}, {name: str(path) for name, path in files.items()})


def _other(bert: str, folder: Path) -> Path:
    """The same model with other weights."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertModel

    torch.manual_seed(1)
    BertModel(BertConfig.from_pretrained(bert)).save_pretrained(folder)
    AutoTokenizer.from_pretrained(bert).save_pretrained(folder)
    return folder


# --- where to look


def log(run: api.Run, event: str, name: str) -> list[Any]:
    return [line[name] for line in read_lines(run.path / "log.jsonl") if line["event"] == event]


def losses(run: api.Run) -> list[float]:
    return log(run, "step", "loss")


def rates(run: api.Run) -> list[float]:
    return log(run, "step", "learning_rate")


def steps(event: str) -> Callable[[api.Run], list[int]]:
    return lambda run: log(run, event, "step")


def ledger(name: str) -> Callable[[api.Run], Any]:
    return lambda run: run.folder.json("data/ledger.json")[name]


def locked_rows(run: api.Run) -> list[Any]:
    return [line.get("text") or line["messages"] for line in read_lines(run.path / "data" / "test.jsonl")]


def kept(run: api.Run) -> list[str]:
    return [folder.name for folder in run.folder.checkpoints()]


def state(run: api.Run) -> dict[str, Any]:
    return json.loads((run.folder.checkpoints()[0] / "state.json").read_text())


def best(run: api.Run) -> float:
    return state(run)["best"]


def intervals(run: api.Run) -> list[tuple[float, float]]:
    found = run.results["metrics"]["tuned"].values()
    return [(metric["low"], metric["high"]) for metric in found if metric["low"] is not None]


def systems(run: api.Run) -> set[str]:
    return set(run.results["metrics"])


@dataclass
class Row:
    """A changed value, where to look, and what must stand there; `also` holds for both runs."""

    value: str
    look: Callable[[api.Run], Any]
    before: Any = ...
    after: Any = ...
    also: tuple[str, ...] = ()
    kind: str = "words"


FAST = ("train.learning_rate=0.01", "train.warmup_steps=0")
WILD = ("train.learning_rate=3", "train.eval_steps=1", "train.max_steps=6")
ROWS = {
    "model": Row("{other_model}", losses),
    "task": Row(
        "{{name: text_classification, labels: [good, bad]}}",
        lambda run: run.results["sections"]["confusion"]["rows"],
        ["bad", "good"],
        ["good", "bad"],
    ),
    "method": Row("head", lambda run: run.results["trainable"]["trained"]),
    "data.train": Row("{other_words}", locked_rows),
    "data.columns": Row("{{text: review}}", locked_rows, also=("data.train={two_texts}",)),
    "data.format": Row("prompt_completion", locked_rows, also=("data.train={two_formats}",), kind="chat"),
    "data.encoding": Row("latin-1", locked_rows, also=("data.train={gbk}",)),
    "data.duplicates": Row(
        "keep", ledger("counts"), {"kept": 80, "duplicate": 10}, {"kept": 90}, also=("data.train={repeated}",)
    ),
    "data.validation": Row("{few_words}", lambda run: ledger("split")(run)["validation"], 12, 20),
    "data.test": Row("{few_words}", lambda run: ledger("split")(run)["test"], 12, 20),
    "data.weights": Row("[2, 0.5]", lambda run: len(losses(run)), 18, 23, ("data.train=[{words}, {other_words}]", "train.num_train_epochs=1", "train.max_steps=null", "data.split={{validation: 0.1, test: 0.0}}", "data.near_duplicates=keep")),
    "data.bad_rows": Row("drop", lambda run: set(ledger("counts")(run)), {"kept", "quarantined"}, {"kept", "dropped"}, ("data.train={blank}", "data.max_dropped_fraction=0.1")),
    "data.near_duplicates": Row("drop", lambda run: set(ledger("counts")(run)), {"kept"}, {"kept", "duplicate"}, ("data.train={near}",)),
    "data.near_duplicate_threshold": Row("1.0", lambda run: ledger("leaks")(run)["groups"], also=("data.train={near}",)),
    "data.clean": Row("[whitespace]", ledger("counts"), {"kept": 80}, {"kept": 0, "repaired": 80}, ("data.train={spaced}",)),
    "data.decimal": Row("comma", lambda run: max(line["number"] for line in read_lines(run.path / "predictions.jsonl")) > 1000, False, True, ("data.train={thousands}", "task=text_regression")),
    "data.relabel": Row("{{godo: good}}", lambda run: len(ledger("labels")(run)["train"]), 3, 2, ("data.train={misspelt}", "data.split={{test: 0, validation: 0, stratify: false}}", "train.eval_strategy=no")),
    "data.augment": Row("[delete]", lambda run: ledger("made")(run).get("delete", {}).get("made", 0) > 0, False, True),
    "data.split.group_by": Row("user", locked_rows, also=("data.train={marked}",)),
    "data.split.time": Row("day", lambda run: sorted(locked_rows(run)), also=("data.train={marked}",)),
    "data.split.column": Row("part", ledger("split"), {"train": 56, "validation": 12, "test": 12}, {"train": 40, "validation": 20, "test": 20}, ("data.train={marked}",)),
    "data.split.folds": Row("5", lambda run: ledger("split")(run)["validation"], 12, 14),
    "data.split.fold": Row("1", lambda run: run.folder.json("data/split.json")["validation"], also=("data.split.folds=4",)),
    "data.split.train_share": Row("0.5", lambda run: ledger("split")(run)["train"], 56, 28),
    "data.split.test_folds": Row("4", lambda run: ledger("split")(run)["test"], 12, 20),
    "data.split.test_fold": Row("1", lambda run: sorted(locked_rows(run)), also=("data.split.test_folds=4",)),
    "train.max_batch_tokens": Row("40", lambda run: max(a + b for a, b in zip(log(run, "step", "tokens"), log(run, "step", "padding"), strict=True)) <= 40, False, True),
    "data.max_length": Row("8", lambda run: max((a + b) / rows for a, b, rows in zip(*(log(run, "step", name) for name in ("tokens", "padding", "rows")), strict=True)), after=8),
    "data.overlong": Row("drop", lambda run: set(ledger("counts")(run)), {"kept", "truncated"}, {"kept", "dropped"}, ("data.max_length=8", "data.max_dropped_fraction=1")),
    "data.max_windows": Row("1", lambda run: set(ledger("counts")(run)), {"kept"}, {"kept", "truncated"}, ("data.overlong=windows", "data.max_length=8")),
    "data.split.validation": Row("0.3", lambda run: ledger("split")(run)["validation"], 12, 24),
    "data.split.test": Row("0.3", lambda run: ledger("split")(run)["test"], 12, 24),
    "data.split.stratify": Row("false", ledger("labels"), also=("seed=3",)),
    "data.split.seed": Row("1", locked_rows),
    "train.num_train_epochs": Row("1", lambda run: len(losses(run)), 14, 7, ("train.max_steps=null",)),
    "train.max_steps": Row("2", lambda run: len(losses(run)), STEPS, 2),
    "train.per_device_train_batch_size": Row("4", lambda run: log(run, "step", "rows")[0], 8, 4),
    "train.gradient_accumulation_steps": Row("2", lambda run: log(run, "step", "rows")[0], 8, 16),
    "train.learning_rate": Row("0.5", lambda run: max(rates(run)), after=0.5),
    "train.lr_scheduler_type": Row("constant", rates),
    "train.lr_scheduler_kwargs": Row("{{min_lr_ratio: 0.5}}", lambda run: min(rates(run)[1:]), also=("train.lr_scheduler_type=cosine",)),
    "train.optim": Row("lion", losses, also=FAST),
    "train.momentum": Row("0.5", losses, also=("train.optim=sgd", *FAST)),
    "train.head_learning_rate_ratio": Row("5", losses, also=FAST),
    "train.layerwise_lr_decay": Row("0.5", losses, also=FAST),
    "train.warmup_steps": Row("3", lambda run: rates(run)[:2], also=("train.learning_rate=0.3",), after=[pytest.approx(0.1), pytest.approx(0.2)]),
    "train.weight_decay": Row("0.9", losses, also=FAST),
    "train.adam_beta1": Row("0.5", losses, also=FAST),
    "train.adam_beta2": Row("0.5", losses, also=FAST),
    "train.adam_epsilon": Row("1", losses, also=FAST),
    "train.max_grad_norm": Row("1e-9", losses, also=FAST),
    "train.label_smoothing_factor": Row("0.2", losses),
    "train.r_drop_alpha": Row("2", losses),
    "train.neftune_noise_alpha": Row("5", losses, kind="chat"),
    "train.dropout": Row("0.0", losses),
    "train.ema_decay": Row("0.5", lambda run: log(run, "evaluate", "validation/loss")),
    "train.bf16": Row("true", losses),
    "train.fp16": Row("true", losses),
    "train.log_gradient_norms": Row("true", lambda run: len(log(run, "gradients", "norms")), 0, STEPS),
    "train.cache_frozen_trunk": Row("true", lambda run: log(run, "frozen_trunk", "kept"), [False], [True], ("method=head",)),
    "train.train_sampling_strategy": Row("random", lambda run: log(run, "step", "padding")),
    "train.eval_strategy": Row("epoch", steps("evaluate"), [2, 4, 6, 8], [7, 8], ("train.max_steps=8",)),
    "train.eval_steps": Row("3", steps("evaluate"), [2, 4], [3, 4]),
    "train.eval_on_start": Row("true", steps("evaluate"), [2, 4], [0, 2, 4]),
    "train.save_strategy": Row("epoch", steps("save"), [2, 4, 6, 8], [7, 8], ("train.max_steps=8",)),
    "train.save_steps": Row("3", steps("save"), [2, 4], [3, 4]),
    "train.save_total_limit": Row("1", kept, ["checkpoint-4", "checkpoint-2"], ["checkpoint-4"]),
    "train.load_best_model_at_end": Row("true", lambda run: run.folder.json("model/weitiao.json")["step"], before=6, also=WILD),
    "train.metric_for_best_model": Row("accuracy", best),
    "train.early_stopping_patience": Row("1", lambda run: log(run, "end", "reason"), ["done"], ["early_stop"], WILD),
    "evaluate.untuned": Row("true", systems, {"tuned"}, {"tuned", "untuned"}),
    "evaluate.metrics": Row("[mcc]", lambda run: list(run.results["metrics"]["tuned"])[4:], [], ["mcc"]),
    "evaluate.baseline": Row("majority", systems, {"tuned"}, {"tuned", "majority"}),
    "evaluate.general_text": Row("none", lambda run: run.results["general"] is None, False, True, ("evaluate.untuned=true", "evaluate.answers=0"), kind="chat"),
    "evaluate.noise_runs": Row("1", lambda run: (run.results["noise"] or {}).get("seeds"), None, [0, 1]),
    "evaluate.resamples": Row("500", intervals, kind="chat"),
    "seed": Row("1", lambda run: (losses(run), locked_rows(run))),
}  # fmt: skip
OWN: dict[str, Callable] = {}


def own(key: str) -> Callable[[Callable], Callable]:
    def put(test: Callable) -> Callable:
        OWN[key] = test
        return test

    return put


# Two runs a key: every second key in the fast tier, all of them in the whole one.
@pytest.mark.whole
@pytest.mark.parametrize("key", [rarely(key) if place % 2 else key for place, key in enumerate(ROWS)])
def test_the_key_is_heeded(key, lab):
    row = ROWS[key]
    before = row.look(lab.run(*row.also, kind=row.kind))
    after = row.look(lab.run(*row.also, f"{key}={row.value}", kind=row.kind))
    assert before != after
    assert row.before in (..., before)
    assert row.after in (..., after)


def test_the_seed_decides_order_split_and_start(lab):
    one, other = lab.run(), lab.run("seed=1")
    assert locked_rows(one) != locked_rows(other)
    assert losses(one)[0] != losses(other)[0]


def test_no_run_is_told_apart_by_chance(lab):
    """What these tests rest on: with nothing changed, nothing differs."""
    assert losses(lab.run()) == losses(lab.run("train.max_steps=4"))
    assert locked_rows(lab.run()) == locked_rows(lab.run("train.max_steps=4"))


@own("data.max_dropped_fraction")
def test_how_many_rows_may_be_lost(lab):
    with pytest.raises(WeitiaoError, match="lost_rows") as caught:
        lab.run("data.train={blank}")
    (accepts,) = re.findall(r"data.max_dropped_fraction=([0-9.]+)", caught.value.text("en"))
    run = lab.run("data.train={blank}", f"data.max_dropped_fraction={accepts}")
    assert ledger("counts")(run) == {"kept": 80, "quarantined": 1}
    (row,) = read_lines(run.path / "data" / "quarantine.jsonl")
    assert (row["line"], row["row"]["text"], row["reason"]) == (82, " ", "the text is empty")


@own("data.cache")
def test_the_cache_of_encoded_rows(lab, monkeypatch, tmp_path):
    monkeypatch.setenv("WEITIAO_CACHE", str(tmp_path))
    lab.run("data.cache=false")
    assert not (tmp_path / "encoded").exists()
    lab.run("data.cache=true")
    assert len(list((tmp_path / "encoded").iterdir())) == 3


@own("train.check_memory")
def test_a_run_without_room_is_refused_or_tried(lab, monkeypatch):
    from weitiao.train import memory

    monkeypatch.setattr(memory, "free", lambda device: -(1 << 40))
    with pytest.raises(WeitiaoError, match="will_never_fit"):
        lab.run("seed=21")
    assert lab.run("seed=21", "train.check_memory=false").results


@own("train.per_device_eval_batch_size")
def test_the_evaluation_batch(lab, monkeypatch):
    from weitiao.evaluate import predict

    sizes, in_order = set(), predict.in_order

    def spy(*args, batch_size, **more):
        sizes.add(batch_size)
        return in_order(*args, batch_size=batch_size, **more)

    monkeypatch.setattr(predict, "in_order", spy)
    lab.run("train.per_device_eval_batch_size=5")
    assert sizes == {5}, "in validation and in the judgement"


@own("train.data_parallel")
@pytest.mark.parametrize(("kind", "around"), [("ddp", "Replicas"), ("fsdp", "Shards")])
def test_what_several_processes_hold(kind, around, monkeypatch):
    """What each does is tested in tests/train/test_several_processes.py; here, that the recipe is asked."""
    from weitiao.train import parallel
    from weitiao.train.distributed import World

    monkeypatch.setattr(parallel, "Replicas", lambda *_: "Replicas")
    monkeypatch.setattr(parallel, "Shards", lambda *_: "Shards")
    asked = api.recipes.Recipe.read(
        {"model": "m", "task": "sft", "output_dir": "o", "train": {"data_parallel": kind}}
    )
    shards = asked.train.data_parallel == "fsdp"
    assert parallel.parallel(None, World(0, 2), shards=shards) == around


@own("start_from")
def test_weights_to_begin_with(lab):
    first = lab.run()
    assert losses(lab.run(f"start_from={first.path}"))[0] != losses(first)[0]


@own("train.report_to")
def test_where_curves_go(lab):
    assert not (lab.run().path / "tensorboard").exists()
    assert list((lab.run("train.report_to=tensorboard").path / "tensorboard").iterdir())


@own("train.profile_steps")
def test_the_profile(lab):
    assert not (lab.run().path / "profile").exists()
    assert (lab.run("train.profile_steps=1").path / "profile" / "trace.json").stat().st_size > 1000


@own("train.watchers")
def test_a_watcher_of_ones_own(lab, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "import weitiao as wt\n\n\nclass Mine(wt.Watcher):\n    def on_step(self, training):\n"
        "        training.stop = 'mine'\n"
    )
    run = lab.run(f"train.watchers={file}:Mine")
    assert log(run, "end", "reason") == ["mine"]
    assert len(losses(run)) == 1
    with pytest.raises(WeitiaoError, match="no_such_function.*train.watchers"):
        lab.run(f"train.watchers={file}:Other", f"output_dir={tmp_path}/run")


@own("train.activation_checkpointing")
def test_recomputed_activations(lab, monkeypatch):
    """Every block runs once more in backward, and nothing else changes."""
    from transformers.models.bert.modeling_bert import BertIntermediate

    def calls(*words: str) -> tuple[int, list[float]]:
        count, forward = [], BertIntermediate.forward
        with monkeypatch.context() as patched:
            spy = lambda self, x: count.append(self.training) or forward(self, x)  # noqa: E731
            patched.setattr(BertIntermediate, "forward", spy)
            found = losses(lab.run("train.max_steps=3", "train.eval_steps=3", *words))
        return sum(count), found

    (kept, before), (again, after) = calls(), calls("train.activation_checkpointing=true")
    assert again == 2 * kept
    assert before == after


@pytest.mark.whole
@own("train.torch_compile")
def test_the_compiled_model(lab, monkeypatch):
    from torch import nn

    compiled = []
    monkeypatch.setattr(nn.Module, "compile", lambda self, *a, **k: compiled.append(type(self).__name__))
    lab.run("train.torch_compile=false", "seed=7")
    assert not compiled
    lab.run("train.torch_compile=true")
    assert compiled == ["BertForSequenceClassification"]


@own("train.dataloader_num_workers")
def test_batches_made_ahead(lab):
    import threading

    from weitiao.data.pack import Batches

    made, make = set(), Batches._make

    def spy(self, index, parts=1):
        made.add(threading.current_thread().name.partition("_")[0])
        return make(self, index, parts)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Batches, "_make", spy)
        run = lab.run("train.dataloader_num_workers=2")
    assert made == {"batches"}
    assert losses(run) == losses(lab.run())


@own("train.skip_nonfinite_steps")
def test_steps_that_are_left_out(lab, monkeypatch, tmp_path):
    """A loss that is no number at step 2 ends the run, or is left out and noted."""
    from weitiao.tasks.classification import TextClassification

    loss, calls = TextClassification.loss, []

    def spoilt(self, model, batch):
        calls.append(1)
        return loss(self, model, batch) * (float("nan") if len(calls) == 2 else 1)

    monkeypatch.setattr(TextClassification, "loss", spoilt)
    with pytest.raises(WeitiaoError, match=r"not_finite\] step 2: the loss \(nan\)"):
        lab.run("train.skip_nonfinite_steps=0", f"output_dir={tmp_path}/run")
    calls.clear()
    run = lab.run("train.skip_nonfinite_steps=1", "seed=11")
    steps = [line for line in read_lines(run.path / "log.jsonl") if line["event"] == "step"]
    assert [line.get("skipped") for line in steps] == [None, "the loss (nan)", None, None]
    assert state(run)["skipped"] == 1


@own("train.early_stopping_threshold")
def test_a_small_gain_is_none_for_patience(lab, monkeypatch):
    """Validation losses that fall by less and less; the best step is the best by any margin."""
    room = importlib.import_module("weitiao.stages.assemble")  # `api.train` is the function
    words = ("train.early_stopping_patience=2", "train.eval_steps=1", "train.max_steps=6")
    found = []
    for threshold in (0.0, 0.06):
        falling = iter([1.0, 0.9, 0.85, 0.84, 0.83, 0.82])
        monkeypatch.setattr(room, "_measure", lambda *_, values=falling: {"loss": next(values)})
        run = lab.run(*words, f"train.early_stopping_threshold={threshold}", "seed=5")
        found.append((log(run, "end", "step"), log(run, "end", "reason"), state(run)["best_step"]))
    assert found == [([6], ["done"], 6), ([4], ["early_stop"], 4)]


@own("train.logging_steps")
def test_lines_without_a_terminal(lab, capsys, tmp_path):
    """When they come is tested in tests/cli/test_meter.py; here, that the recipe is asked, from Python too."""
    tree = lab.run().recipe.model_dump()
    capsys.readouterr()
    for every, times in ((1, STEPS), (3, 3)):  # the first is always said
        words = [f"train.logging_steps={every}", f"output_dir={tmp_path}/{every}"]
        api.train(tree, overrides=words)
        assert capsys.readouterr().err.count("tokens/s") == times


@pytest.mark.whole
@own("train.disable_tqdm")
def test_a_bar_that_is_turned_off(lab, monkeypatch, tmp_path):
    """In a terminal lines stand in its place, for Python as on the command line; the run is the same."""
    from rich.console import Console

    from weitiao.cli import run as cli
    from weitiao.terminal import screen

    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(lab.run().recipe.to_yaml(), encoding="utf-8")

    def said(face: str, *words: str) -> str:
        heard = io.StringIO()
        terminal = Console(file=heard, force_terminal=True, width=100, color_system=None)
        monkeypatch.setattr(screen, "err", terminal)
        words = (f"output_dir={tmp_path}/{face}{len(words)}", *words)
        if face == "python":
            api.train(recipe, overrides=words)
        else:
            assert cli(["train", str(recipe), *words]) == 0
        return heard.getvalue()

    for face in ("python", "command"):
        bar, lines = said(face), said(face, "train.disable_tqdm=true")
        assert "train ━" in bar
        assert f"step {STEPS}/{STEPS}: loss" not in bar
        assert "━" not in lines
        assert f"step {STEPS}/{STEPS}: loss" in lines
        assert losses(api.load(tmp_path / f"{face}1")) == losses(lab.run())


@pytest.mark.whole
@own("evaluate.samples")
@own("evaluate.answers")
@own("evaluate.max_new_tokens")
def test_what_is_answered_and_how_long_answers_are(lab, monkeypatch):
    from weitiao.core.run import read_lines
    from weitiao.models import decoding

    asked, decode = set(), decoding.decode

    def spy(model, prompts, settings, **options):
        asked.add(settings.max_new_tokens)
        return decode(model, prompts, settings, **options)

    monkeypatch.setattr(decoding, "decode", spy)

    def told(*words: str) -> tuple[int, int]:
        run = lab.run(*words, kind="chat")
        rows = [line["tuned"] for line in read_lines(run.path / "predictions.jsonl")]
        return sum("answer" in row for row in rows), len(
            run.results["sections"].get("samples", {"rows": []})["rows"]
        )

    assert told("evaluate.max_new_tokens=3", "evaluate.answers=2", "evaluate.samples=1") == (2, 1)
    assert asked == {3}
    assert told("evaluate.answers=0", "evaluate.samples=3") == (0, 0)
    most, two = told("evaluate.answers=null", "evaluate.samples=2")
    assert two == 2 < most


@pytest.mark.whole
@own("evaluate.confidence")
def test_every_interval_is_narrower_when_less_is_asked_of_it(lab):
    for kind in ("words", "chat"):
        wide, narrow = (
            [high - low for low, high in intervals(lab.run(f"evaluate.confidence={share}", kind=kind))]
            for share in (0.95, 0.5)
        )
        assert all(b < a for a, b in zip(wide, narrow, strict=True) if a)
        assert sum(a > 0 for a in wide) > 1


@own("output_dir")
def test_the_run_folder(lab, tmp_path):
    run = lab.run(f"output_dir={tmp_path}/deep/er")
    assert run.path == tmp_path / "deep" / "er"
    assert (run.path / "model" / "weitiao.json").exists()
    assert run.report.exists()


def test_every_key_is_in_the_table():
    assert sorted({*ROWS, *OWN}) == sorted(LEAVES)
    assert not set(ROWS) & set(OWN)
    assert len(LEAVES) == len(set(LEAVES)) > 40
