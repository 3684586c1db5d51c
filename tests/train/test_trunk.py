"""The frozen trunk computed once: the same run as when it is computed in every step, and never what is stale."""

from __future__ import annotations

import pytest
import torch

import weitiao as wt
from tests.train.test_loop import KillAt, Killed, events, same, steps, weights
from weitiao.core.errors import WeitiaoError
from weitiao.train.loop import Watcher

JUDGE = {"evaluate": {"untuned": False, "baseline": "none"}}
TOP = {"name": "top_layers", "n": 1}
LONG = {"num_train_epochs": 2, **JUDGE}


def run(recipe, folder, **words):
    return wt.train(recipe(output_dir=str(folder), **{**LONG, **words}))


def losses(path) -> list[float]:
    return [line["loss"] for line in events(path, "step")]


def trunk(path) -> dict:
    return events(path, "frozen_trunk")[-1]


def left(path) -> list:
    return list(path.glob(".frozen*"))


class Seen(Watcher):
    """The gradients of every step."""

    def __init__(self):
        self.gradients: list[dict[str, torch.Tensor]] = []

    def on_gradients(self, training):
        self.gradients.append({name: weight.grad.clone() for name, weight in training.weights.items()})


@pytest.mark.whole
@pytest.mark.parametrize(
    ("kind", "method", "accumulation"),
    [
        ("classify", "head", 3),
        ("classify", TOP, 1),
        ("converse", TOP, 3),
        ("classify", "head", 1),
        ("classify", TOP, 3),
        ("converse", TOP, 1),
    ],
)
def test_what_is_kept_gives_the_losses_and_gradients_of_the_whole_model(
    request, kind, method, accumulation, tmp_path
):
    """With `dropout=0` for both, since a kept trunk does not drop anything out."""
    recipe, seen = request.getfixturevalue(kind), {}
    for name, cached in (("kept", True), ("again", False)):
        seen[name] = Seen()
        words = {"method": method, "gradient_accumulation_steps": accumulation, "dropout": 0.0, **LONG}
        made = recipe(output_dir=str(tmp_path / name), cache_frozen_trunk=cached, **words)
        wt.train(made, watchers=[seen[name]])
    assert trunk(tmp_path / "kept")["kept"] is True
    assert trunk(tmp_path / "kept")["blocks"] == (2 if method == "head" else 1)
    assert trunk(tmp_path / "again")["kept"] is False
    assert losses(tmp_path / "kept") == pytest.approx(losses(tmp_path / "again"), rel=1e-5)
    first = zip(seen["kept"].gradients[:3], seen["again"].gradients[:3], strict=True)
    for kept, again in first:
        assert set(kept) == set(again)
        for name in kept:
            torch.testing.assert_close(kept[name], again[name], rtol=1e-4, atol=1e-5)
    a, b = (
        [line["validation/loss"] for line in events(tmp_path / name, "evaluate")]
        for name in ("kept", "again")
    )
    assert a == pytest.approx(b, rel=1e-4)
    assert not left(tmp_path / "kept")


@pytest.mark.whole
@pytest.mark.parametrize(("kind", "method"), [("classify", "head"), ("classify", TOP), ("converse", TOP)])
def test_a_killed_and_resumed_run_equals_the_whole_one_bit_for_bit(request, kind, method, tmp_path):
    recipe = request.getfixturevalue(kind)
    run(recipe, tmp_path / "whole", method=method)
    halved = recipe(output_dir=str(tmp_path / "halved"), method=method, **LONG)
    with pytest.raises(Killed):
        wt.train(halved, watchers=[KillAt(7)])
    assert not left(tmp_path / "halved")
    wt.train(halved, resume=True)
    assert [line["kept"] for line in events(tmp_path / "halved", "frozen_trunk")] == [True, True]
    assert steps(tmp_path / "halved") == steps(tmp_path / "whole")
    assert same(tmp_path / "halved", tmp_path / "whole")


@pytest.mark.whole
def test_a_file_that_a_killed_run_left_is_not_used(classify, tmp_path):
    """Planted: states of other rows and weights, under the names that the run gives its own."""
    run(classify, tmp_path / "clean", method="head")
    (tmp_path / "planted").mkdir()
    for name in ("train", "validation"):
        torch.save(torch.full((9000, 32), 5.0), tmp_path / "planted" / f".frozen-trunk-{name}.tmp")
    run(classify, tmp_path / "planted", method="head")
    assert losses(tmp_path / "planted") == losses(tmp_path / "clean")
    assert not left(tmp_path / "planted")


@pytest.mark.whole
def test_rows_whose_tokens_are_others_go_through_the_whole_model(classify, tmp_path):
    """Planted: the ids in a batch are changed, as a task that masks words anew in every epoch would do."""

    class Change(Watcher):
        def around(self, training):
            training.model.eval()
            (row,) = (training.batches.step(0)[0].rows[0],)
            for ids in ([0, 5, 6, 2], None):
                batch = training.batches.collate([training.batches.examples[row]], [row])
                if ids:
                    batch.inputs["input_ids"] = torch.tensor([ids])
                    batch.inputs["attention_mask"] = torch.ones_like(batch.inputs["input_ids"])
                asked = training.objective
                found = asked.loss(batch, 1.0, last=True), asked.inner.loss(batch, 1.0, last=True)
                assert (asked.train.of(batch, dtype=torch.float32) is None) == bool(ids)
                torch.testing.assert_close(*found)
                done.append(ids)

    done: list = []
    wt.train(classify(output_dir=str(tmp_path / "run"), method="head", **LONG), watchers=[Change()])
    assert len(done) == 2


@pytest.mark.whole
def test_without_validation_rows(classify, tmp_path):
    split = {"data": {"split": {"validation": 0}}}
    none = {"eval_strategy": "no", "load_best_model_at_end": False}
    run(classify, tmp_path / "run", method="head", **split, **none)
    assert trunk(tmp_path / "run")["kept"] is True


def test_outside_of_losses_the_model_is_whole(classify, tmp_path):
    """Names of all parameters while training, and a failed run."""

    class Fail(Watcher):
        def on_step(self, training):
            self.model = training.model
            self.names = [name for name, _ in training.model.named_parameters()]
            raise ValueError("planted")

    fail = Fail()
    with pytest.raises(ValueError, match="planted"):
        wt.train(classify(output_dir=str(tmp_path / "run"), method="head", **LONG), watchers=[fail])
    assert sum("encoder.layer.0" in name for name in fail.names) > 10
    assert not any("StandIn" in type(module).__name__ for module in fail.model.modules())
    assert not left(tmp_path / "run")


@pytest.mark.whole
@pytest.mark.parametrize(
    ("kind", "words", "why"),
    [
        ("classify", {"method": "head", "num_train_epochs": 1}, "one epoch"),
        ("classify", {"method": "full"}, "lowest block trains"),
        ("classify", {"method": "lora"}, "lowest block trains"),
        ("classify", {"method": "bitfit"}, "lowest block trains"),
        ("converse", {"method": {"name": "prompt", "num_virtual_tokens": 4}}, "enters it"),
        ("converse", {"method": {"name": "prefix", "num_virtual_tokens": 4}}, "trains in the lowest block"),
        ("classify", {"method": "gradual"}, "between steps"),
        ("classify", {"method": "head", "neftune_noise_alpha": 5}, "neftune"),
        ("classify", {"method": TOP, "r_drop_alpha": 1}, "r_drop"),
        ("classify", {"method": "head", "dropout": 0.2}, "train.dropout"),
    ],
)
def test_why_nothing_is_kept(request, kind, words, why, tmp_path):
    run(request.getfixturevalue(kind), tmp_path / "run", per_device_train_batch_size=64, **words)
    assert trunk(tmp_path / "run")["kept"] is False
    assert why in trunk(tmp_path / "run")["why"]


def test_a_recipe_that_insists_on_what_cannot_be_is_refused(classify, tmp_path):
    with pytest.raises(WeitiaoError, match="unfit_training.*lowest block trains"):
        run(classify, tmp_path / "run", method="full", cache_frozen_trunk=True)


@pytest.mark.whole
def test_lora_on_the_upper_block_alone_keeps_what_lies_below(converse, tmp_path):
    """Parameters and modules that were put in are asked, not the method's name."""
    method = {"name": "lora", "target_modules": ["layers.1.mlp.down_proj"]}
    for name, cached in (("kept", "auto"), ("again", False)):
        run(converse, tmp_path / name, method=method, cache_frozen_trunk=cached)
    assert trunk(tmp_path / "kept")["blocks"] == 1
    assert losses(tmp_path / "kept") == pytest.approx(losses(tmp_path / "again"), rel=1e-5)


@pytest.mark.whole
def test_in_half_precision_what_is_kept_is_rounded_once(classify, tmp_path):
    for name, cached in (("kept", True), ("again", False)):
        run(classify, tmp_path / name, method=TOP, cache_frozen_trunk=cached, bf16=True, dropout=0.0)
    assert losses(tmp_path / "kept") == pytest.approx(losses(tmp_path / "again"), rel=0.02)
    assert losses(tmp_path / "kept") != losses(tmp_path / "again")
    tokens = trunk(tmp_path / "kept")["mb"] * 1e6 / 32 / 2
    assert tokens == int(tokens) > 1000
    assert weights(tmp_path / "kept").keys() == weights(tmp_path / "again").keys()
