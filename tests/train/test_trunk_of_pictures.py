"""The body of a picture model computed once, where nothing in it trains: the same run as when it is computed in every step."""

from __future__ import annotations

import pytest
import torch

import weitiao as wt
from tests.pictures import class_folders, toy
from tests.train.test_loop import KillAt, Killed, events, same, steps
from weitiao.core.contracts import Batch
from weitiao.core.errors import WeitiaoError
from weitiao.train.loop import Watcher
from weitiao.train.trunk import _ids


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A recipe of a family, for 40 pictures."""
    home = tmp_path_factory.mktemp("trunk")
    own = str(class_folders(home / "own", 40))

    def recipe(family, folder, *, method="head", task=(), **train):
        words = {"num_train_epochs": 3, "learning_rate": 0.01, "bf16": False, **train}
        return {
            "model": toy(family),
            "task": {"name": "image_classification", **dict(task)},
            "data": {"train": own, "near_duplicates": "keep"},
            "method": method,
            "output_dir": str(folder),
            "train": {"per_device_train_batch_size": 8, **words},
            "evaluate": {"untuned": False, "baseline": "none"},
        }

    return recipe


class Seen(Watcher):
    """The gradients of every step, and how often the body was asked for them."""

    def __init__(self):
        self.gradients, self.asked, self.before = [], 0, 0

    def on_start(self, training):
        def count(*_):
            self.asked += 1

        training.model.base_model.register_forward_hook(count)

    def on_gradients(self, training):
        self.before = self.asked
        self.gradients.append({name: weight.grad.clone() for name, weight in training.weights.items()})


@pytest.mark.whole
@pytest.mark.parametrize("family", ["resnet", "vit"])
def test_what_is_kept_gives_the_losses_and_gradients_of_the_whole_model(made, family, tmp_path):
    seen, lines = {}, {}
    for name, cached in (("kept", "auto"), ("again", False)):
        seen[name] = Seen()
        wt.train(made(family, tmp_path / name, cache_frozen_trunk=cached), watchers=[seen[name]])
        lines[name] = {kind: events(tmp_path / name, kind) for kind in ("step", "evaluate", "frozen_trunk")}
    kept, again = lines["kept"], lines["again"]
    assert kept["frozen_trunk"][-1]["kept"] is True, kept["frozen_trunk"]
    assert again["frozen_trunk"][-1]["kept"] is False
    assert seen["kept"].before == 0 < seen["again"].before
    assert len(kept["step"]) == len(again["step"]) > 6
    for key, event in (("loss", "step"), ("validation/loss", "evaluate")):
        assert [line[key] for line in kept[event]] == pytest.approx(
            [line[key] for line in again[event]], rel=1e-5
        )
    for a, b in zip(seen["kept"].gradients, seen["again"].gradients, strict=True):
        assert set(a) == set(b)
        for name in a:
            torch.testing.assert_close(a[name], b[name], rtol=1e-4, atol=1e-6)
    assert not list((tmp_path / "kept").glob(".frozen*"))


@pytest.mark.whole
def test_a_killed_and_resumed_run_equals_the_whole_one_bit_for_bit(made, tmp_path):
    wt.train(made("resnet", tmp_path / "whole"))
    halved = made("resnet", tmp_path / "halved")
    with pytest.raises(Killed):
        wt.train(halved, watchers=[KillAt(7)])
    wt.train(halved, resume=True)
    assert [line["kept"] for line in events(tmp_path / "halved", "frozen_trunk")] == [True, True]
    assert steps(tmp_path / "halved") == steps(tmp_path / "whole")
    assert same(tmp_path / "halved", tmp_path / "whole")


@pytest.mark.whole
@pytest.mark.parametrize(
    ("method", "task", "why"),
    [
        ("full", {}, "below the head trains"),
        ("lora", {}, "below the head trains"),
        ("head", {"augment": ["flip"]}, "changed each time"),
    ],
)
def test_where_it_cannot_be_kept_the_reason_is_said(made, method, task, why, tmp_path):
    words = {"method": method, "task": task}
    with pytest.raises(WeitiaoError, match=f"unfit_training.*{why}"):
        wt.train(made("resnet", tmp_path / "asked", cache_frozen_trunk=True, **words))
    wt.train(made("resnet", tmp_path / "auto", **words))
    fact = events(tmp_path / "auto", "frozen_trunk")[-1]
    assert fact["kept"] is False
    assert why in fact["why"]


def test_another_picture_is_known_as_another_whoever_stands_beside_it():
    torch.manual_seed(0)
    pixels = torch.randn(5, 3, 8, 8)
    ids = _ids(Batch({"pixel_values": pixels}, None, 5, range(5), tokens=5, padding=0))
    others = torch.cat([pixels.flip(-1), pixels + 1e-6, pixels[[3]]])
    found = _ids(Batch({"pixel_values": others}, None, 11, range(11), tokens=11, padding=0))
    assert ids.shape == (5, 1)
    assert torch.equal(found[-1], ids[3])
    assert not set(found[:-1].flatten().tolist()) & set(ids.flatten().tolist())
