"""Every method, on padded or on packed rows: killed in the middle of an accumulation, resumed, and nothing differs."""

from __future__ import annotations

import pytest

import weitiao as wt
from tests.train.test_loop import Killed, same, steps
from weitiao.core import registry
from weitiao.core.errors import WeitiaoError
from weitiao.train.loop import Watcher

KINDS = ("classify", "converse")
BOTH = ("lora", "full", "adalora", "gradual")
"""On both kinds of rows, and two of them with threads that work ahead; the others, which keep nothing between steps, on either."""


class KillInside(Watcher):
    """Ends the process between two micro-batches of a step, as kill -9 would."""

    def __init__(self, step: int):
        self.step = step

    def around(self, training):
        ask = training.objective.loss

        def loss(batch, trained, *, last):
            if training.state.step == self.step and last:
                raise Killed
            return ask(batch, trained, last=last)

        training.objective.loss = loss


def cases() -> list:
    found = [(name, kind, 2) for name, kind in zip(("lora", "full"), KINDS, strict=True)]
    for place, name in enumerate(registry.names("method")):
        # No method of the shelf has a head alone to train where there is none.
        own = KINDS if name in BOTH else KINDS[:1] if name in ("head", "bitfit") else KINDS[place % 2 :][:1]
        found += [(name, kind, 0) for kind in own]
    return found


@pytest.mark.whole
@pytest.mark.parametrize(("method", "kind", "workers"), cases())
def test_a_run_killed_inside_an_accumulation_resumes_bit_for_bit(request, method, kind, workers, tmp_path):
    if method == "prompt" or method.startswith("p_tuning"):
        method = {"name": method, "num_virtual_tokens": 4}
    recipe = request.getfixturevalue(kind)
    words = {"method": method, "gradient_accumulation_steps": 2, "num_train_epochs": 2, "save_steps": 3}
    words["dataloader_num_workers"] = workers
    judge = {"evaluate": {"untuned": False, "baseline": "none"}}
    try:
        wt.train(recipe(output_dir=str(tmp_path / "whole"), **words, **judge))
    except WeitiaoError as error:
        assert error.code in ("no_such_pair", "unfit_setting"), error  # noqa: PT017 - what is refused has nothing to resume
        pytest.skip(str(error))
    halved = recipe(output_dir=str(tmp_path / "halved"), **words, **judge)
    with pytest.raises(Killed):
        wt.train(halved, watchers=[KillInside(7)])
    wt.train(halved, resume=True)
    assert steps(tmp_path / "halved") == steps(tmp_path / "whole")
    assert same(tmp_path / "halved", tmp_path / "whole")
