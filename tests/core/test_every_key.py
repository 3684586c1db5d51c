"""No key of the recipe is ignored: for each one, a small run that ends otherwise when the key is changed.

    base run, the same run with one key changed  ->  look(run)  ->  two things that differ

A new key needs a line in `ROWS` (or a test of its own in `test_keys_of_their_own.py`, named with `@own`); until it has one, a test here fails.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.core.conftest import (
    STEPS,
    best,
    intervals,
    kept,
    ledger,
    locked_rows,
    log,
    losses,
    rates,
    steps,
    systems,
)
from tests.core.test_keys_of_their_own import OWN
from weitiao import api
from weitiao.core.files import read_lines
from weitiao.core.recipe import known_keys

LEAVES = [key for key in known_keys() if not any(other.startswith(f"{key}.") for other in known_keys())]


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
    # Of a few rows no interval is drawn.
    "evaluate.resamples": Row("500", intervals, also=("data.split.test=0.3",), kind="chat"),
    "seed": Row("1", lambda run: (losses(run), locked_rows(run))),
}  # fmt: skip


@pytest.mark.whole
@pytest.mark.parametrize("key", ROWS)
def test_the_key_is_heeded(key, lab):
    row = ROWS[key]
    before = row.look(lab.run(*row.also, kind=row.kind))
    after = row.look(lab.run(*row.also, f"{key}={row.value}", kind=row.kind))
    assert before != after
    assert row.before in (..., before)
    assert row.after in (..., after)


def test_every_key_is_in_the_table():
    assert sorted({*ROWS, *OWN}) == sorted(LEAVES)
    assert not set(ROWS) & set(OWN)
    assert len(LEAVES) == len(set(LEAVES)) > 40
