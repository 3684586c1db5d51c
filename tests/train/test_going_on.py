"""Going on: from a named checkpoint, with a change that was named, or with another run's weights."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

import weitiao as wt
from tests.conftest import rarely
from tests.train.test_loop import KillAt, Killed, events, same, steps
from weitiao.core import registry
from weitiao.core.errors import WeitiaoError
from weitiao.models import store
from weitiao.train.loop import Watcher

pytestmark = pytest.mark.whole  # several trainings each

PLAIN = {"eval_strategy": "no", "load_best_model_at_end": False, "save_total_limit": 9}


@pytest.fixture
def killed(classify, tmp_path):
    """A run killed at step 15, with checkpoints of steps 4, 8 and 12; and the whole run beside it."""
    recipe = classify(output_dir=str(tmp_path / "killed"), **PLAIN)
    with pytest.raises(Killed):
        wt.train(recipe, watchers=[KillAt(15)])
    wt.train({**recipe, "output_dir": str(tmp_path / "whole")})
    return recipe


@pytest.mark.parametrize("which", ["checkpoint-4", "checkpoint-8", "last"])
def test_a_run_goes_on_from_the_checkpoint_that_is_named(killed, tmp_path, which):
    folder, told = tmp_path / "killed", []
    resume = which if which == "last" else folder / which
    wt.train(killed, resume=resume, tell=lambda event, **facts: told.append((event, facts)))
    (resumed,) = [facts for event, facts in told if event == "resumed"]
    assert resumed["checkpoint"] == ("checkpoint-12" if which == "last" else which)
    assert steps(folder) == steps(tmp_path / "whole")
    assert same(folder, tmp_path / "whole")
    later = {p.name for p in folder.glob("later-*")}
    assert later == {
        f"later-checkpoint-{n}" for n in (8, 12) if which != "last" and n > int(which.rpartition("-")[2])
    }


def test_a_checkpoint_of_another_run_is_refused_by_name(killed, tmp_path):
    with pytest.raises(
        WeitiaoError, match=r"no_such_checkpoint[\s\S]*checkpoint-4, .*checkpoint-8, .*checkpoint-12"
    ):
        wt.train(killed, resume=tmp_path / "whole" / "checkpoint-4")


def test_only_what_was_named_may_change(killed, tmp_path):
    changed = {**killed, "train": {**killed["train"], "learning_rate": 1e-2, "max_grad_norm": 0.5}}
    with pytest.raises(WeitiaoError, match=r"other_recipe[\s\S]*max_grad_norm: 1.0 -> 0.5") as caught:
        wt.train(changed, resume=True, changes=["train.learning_rate"])
    assert "learning_rate" not in str(caught.value).partition("Way out")[0]
    run = wt.train(changed, resume=True, changes=["train.learning_rate", "train.max_grad_norm"])
    assert run.recipe.train.learning_rate == 1e-2
    assert steps(run.path)[:12] == steps(tmp_path / "whole")[:12]
    assert steps(run.path)[12:] != steps(tmp_path / "whole")[12:]
    (line,) = events(run.path, "changed")
    assert line["changes"] == ["train.learning_rate: 0.0005 -> 0.01", "train.max_grad_norm: 1.0 -> 0.5"]


def test_other_rows_must_be_allowed_too(killed, review_file, tmp_path):
    review_file.write_text(review_file.read_text() + "one more film,good\n")
    (tmp_path / "killed" / "data" / "dealt.jsonl.gz").unlink()  # as in a run of before it was kept
    with pytest.raises(WeitiaoError, match=r"other_data[\s\S]*--allow-change data.train"):
        wt.train(killed, resume=True)
    assert wt.train(killed, resume=True, changes=["data"]).results


# Its matrices are made of the data before the first step, where they are not another run's.
EVA = rarely({"name": "lora", "init_lora_weights": "eva"})


class Keep(Watcher):
    """The trained weights before the first step."""

    def around(self, training):
        self.first = {name: weight.detach().clone() for name, weight in training.weights.items()}
        self.step = training.state.step


@pytest.mark.parametrize("method", ["full", "lora", "head", "adalora", EVA])
def test_a_run_may_begin_with_the_weights_of_another(classify, tmp_path, method):
    first = wt.train(classify(output_dir=str(tmp_path / "first"), method=method, max_steps=4))
    keep = Keep()
    second = wt.train(
        {
            **classify(output_dir=str(tmp_path / "second"), method=method, max_steps=4),
            "start_from": str(first.path),
        },
        watchers=[keep],
    )
    assert keep.step == 0
    other = registry.build("method", first.recipe.method)
    saved = store.load_tuned(first.folder.model, ref=first.recipe.model, task=first.task, method=other)
    theirs = dict(saved.model.named_parameters())
    assert keep.first
    assert all(torch.equal(weight, theirs[name]) for name, weight in keep.first.items())
    assert not same(first.path, second.path)


def test_a_run_of_another_method_or_task_gives_no_weights(classify, tmp_path, review_file):
    first = wt.train(classify(output_dir=str(tmp_path / "first"), method="lora", max_steps=1))

    def begun(**words):
        return wt.train(
            {
                **classify(output_dir=str(tmp_path / "second"), max_steps=1, **words),
                "start_from": str(first.path),
            }
        )

    with pytest.raises(WeitiaoError, match="unfit_start.*its method was lora, not head"):
        begun(method="head")
    with pytest.raises(WeitiaoError, match="unfit_start.*does not fit"):
        begun(method={"name": "lora", "r": 2})
    with pytest.raises(WeitiaoError, match="unfit_start.*its task was"):
        begun(task={"name": "text_classification", "labels": ["good", "bad"]})
    first.path.rename(tmp_path / "gone")
    with pytest.raises(WeitiaoError, match="no_run"):
        begun()


def test_when_the_best_checkpoint_is_gone_it_is_looked_for_anew(classify, tmp_path):
    # A rate that ruins the model: the first evaluation stays the best.
    words = {"method": "full", "learning_rate": 0.5, "lr_scheduler_type": "constant", "num_train_epochs": 2}
    recipe = classify(eval_steps=4, **words)
    with pytest.raises(Killed):
        wt.train(recipe, watchers=[KillAt(15)])
    best = json.loads((tmp_path / "run" / "checkpoint-12" / "state.json").read_text())["best_step"]
    assert best < 12
    shutil.rmtree(tmp_path / "run" / f"checkpoint-{best}")
    notices = []
    wt.train(
        recipe, resume=True, tell=lambda e, **facts: notices.append(facts["text"]) if e == "notice" else None
    )
    assert any(f"checkpoint-{best}, the best so far, is gone" in text for text in notices)
    (end,) = events(tmp_path / "run", "end")
    assert end["best_step"] > 12
