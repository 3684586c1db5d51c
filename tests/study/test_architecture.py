"""How a model is built is searched like any setting: blocks kept, where changes go, of what rank."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from transformers import AutoModel

import weitiao as wt
from tests.conftest import reviews, small_run, write_csv
from weitiao.core import registry
from weitiao.core.errors import WeitiaoError
from weitiao.core.recipe import Recipe
from weitiao.core.run import RunFolder
from weitiao.methods.targets import ranks
from weitiao.models import fewer_blocks, load
from weitiao.stages.preflight import resolve
from weitiao.study import architecture
from weitiao.study import space as spaces

pytestmark = pytest.mark.whole
TASKS = {
    "bert": registry.build("task", {"name": "text_classification", "labels": ["a", "b"]}),
    "llama": registry.build("task", {"name": "sft"}),
}


@pytest.fixture
def asked(bert, tmp_path) -> dict:
    made = small_run(
        bert,
        "text_classification",
        write_csv(tmp_path / "reviews.csv", reviews(60)),
        tmp_path / "run",
        batch=8,
        judge={"samples": 0, "untuned": False, "baseline": "none"},
    )
    tree = made(method="lora", num_train_epochs=1, eval_strategy="epoch", save_strategy="no")
    tree["data"]["split"] = {"validation": 0.3}
    return tree


def resolved(tree: dict) -> Recipe:
    recipe = Recipe.read(tree)
    task, method = registry.build("task", recipe.task), registry.build("method", recipe.method)
    return resolve(recipe, task, method)


@pytest.mark.parametrize("family", TASKS)
def test_the_lowest_blocks_say_what_they_said_in_the_whole_model(request, family, tmp_path):
    """By Transformers alone: hidden states behind a block are those of the whole model, bit for bit."""
    base, task = request.getfixturevalue(family), TASKS[family]
    assert fewer_blocks.depth(base, task) == 2
    fewer_blocks.cut(base, 1, tmp_path / "one", task)
    whole, one = (AutoModel.from_pretrained(path).eval() for path in (base, tmp_path / "one"))
    assert one.config.num_hidden_layers == 1
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        told = whole(input_ids=ids, output_hidden_states=True).hidden_states
        # The last one has a norm behind it in a decoder, so that only what enters the block is compared there.
        ours = one(input_ids=ids, output_hidden_states=True).hidden_states
    assert torch.equal(ours[0], told[0])
    if family == "bert":
        assert torch.equal(ours[1], told[1])
    else:
        assert torch.equal(ours[1], whole.norm(told[1]))


def test_a_model_without_one_list_of_blocks_is_not_cut(t5, asked):
    """And it is told before the first trial."""
    assert fewer_blocks.depth(t5, registry.build("task", {"name": "seq2seq"})) == 0


def test_the_usual_space_changes_attention_or_feed_forward_and_ranks_of_a_half(asked):
    recipe = resolved(asked)
    task = registry.build("task", recipe.task)
    space, bases = architecture.settled(spaces.spelt(["architecture"]), recipe, task)
    assert bases == {}, "of two blocks none is left out"
    every, attention, words = space["method.target_modules"]
    layers = {
        name
        for name, module in load.skeleton(recipe.model, task).model.named_modules()
        if isinstance(module, torch.nn.Linear) and "encoder" in name
    }
    first, second = ({name for name in layers if re.fullmatch(way, name)} for way in (attention, words))
    assert every == "all-linear"
    assert first | second == layers
    assert not first & second
    assert {name for name in layers if "attention" in name} == first
    alike, *halves = space["method.rank_pattern"]
    assert alike == {}
    targets = dict.fromkeys(layers, torch.nn.Linear(1, 1))
    low, high = ({name for name, r in ranks(targets, 4, half).items() if r != 4} for half in halves)
    assert low == {name for name in layers if ".layer.0." in name}
    assert high == layers - low
    assert "train.head_learning_rate_ratio" in space
    assert [one.key for one in spaces.asked(space, recipe, whole=True)]


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ({"model.num_hidden_layers": [0, 2]}, "from 1 to the blocks"),
        ({"model.num_hidden_layers": [1, 3]}, r"cut off \(2\)"),
        ({"model.num_hidden_layers": {"low": 1.5, "high": 2}}, "whole numbers"),
        ({"model.num_hidden_layers": [1], "model": ["a", "b"]}, "one by one"),
        ({"architecture": "other"}, "architecture: usual"),
        ({"architecture": "usual", "method": ["lora", "head"]}, "one by one"),
    ],
)
def test_what_cannot_be_built_is_told_before_the_first_trial(asked, word, says):
    with pytest.raises(WeitiaoError, match=says) as told:
        wt.search(asked, space=word, trials=2, tell=lambda *_, **__: None)
    assert told.value.code == "bad_space"
    assert not Path(asked["output_dir"]).exists()


def test_depth_is_searched_and_the_winner_lies_on_a_base_that_others_open(asked):
    space = {"model.num_hidden_layers": [1, 2]}
    found = wt.search(asked, how="grid", space=space, tell=lambda *_, **__: None)
    rows = found.results["trials"]
    assert [row["state"] for row in rows] == ["complete", "complete", "repeated"], (
        "all blocks: the recipe itself"
    )
    one = next(row for row in rows if row["values"]["model"].endswith("-1-layers"))
    run = RunFolder(found.path / one["folder"])
    assert found.path / "bases" in Path(run.recipe.model).parents
    adapter = json.loads((run.model / "adapter_config.json").read_text())
    assert not [name for name in adapter["target_modules"] if "layer.1" in name]
    assert [name for name in adapter["target_modules"] if "layer.0" in name]
    assert found.best.predict(["a wonderful film"])
