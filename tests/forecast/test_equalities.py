"""`weitiao check --numerics`: it says that the equalities hold, and finds planted faults."""

from __future__ import annotations

import pytest
import torch
import yaml

import weitiao as wt
from weitiao.cli import run as weitiao
from weitiao.forecast import equalities
from weitiao.tasks.classification import TextClassification
from weitiao.train import checkpoint


@pytest.mark.whole
@pytest.mark.parametrize("kind", ["classify", "converse"])
@pytest.mark.parametrize("method", ["lora", "full", "prefix"])
def test_all_equalities_hold(request, kind, method, monkeypatch):
    """Two processes with two of the six: each imports torch, and the other pairs of tasks and methods are trained by two
    in `train/test_several_processes.py`."""
    if (kind, method) not in (("classify", "lora"), ("converse", "full")):
        alone = tuple(check for check in equalities.CHECKS if check is not equalities.processes)
        monkeypatch.setattr(equalities, "CHECKS", alone)
    recipe = request.getfixturevalue(kind)(method=method, bf16=True, num_train_epochs=2)
    found = wt.numerics(recipe)
    assert len(found) == len(equalities.CHECKS)
    assert all(each.holds for each in found), found
    noted = {each.name: each.note for each in found if each.note}
    assert set(noted) <= {"folded into the weights = beside them"}


def look(recipe: dict, *checks, monkeypatch) -> list[equalities.Equality]:
    monkeypatch.setattr(equalities, "CHECKS", checks)
    return wt.numerics(recipe)


def test_a_loss_that_is_averaged_is_found(classify, monkeypatch):
    loss = TextClassification.loss

    def averaged(self, model, batch, **words):
        return loss(self, model, batch, **words) / len(batch.rows)

    monkeypatch.setattr(TextClassification, "loss", averaged)
    (found,) = look(classify(), equalities.micro_batches, monkeypatch=monkeypatch)
    assert not found.holds


def test_rows_that_see_one_another_are_found(converse, monkeypatch):
    from weitiao.models import attention, examine

    def one_row(module, query, key, value, mask, *, cu_seq_lens_q=None, **others):
        bounds = torch.tensor([0, query.shape[2]])
        return rows(module, query, key, value, mask, cu_seq_lens_q=bounds, **others)

    rows = attention.rows_attention
    monkeypatch.setattr(attention, "rows_attention", one_row)
    # As it is opened, the model would be found to mix rows up, and get them filled up.
    packed = examine.Examined(examine.Layout.PACKED, attention.ROWS)
    monkeypatch.setattr(examine, "examine", lambda *_, **__: packed)
    (found,) = look(converse(), equalities.alone, monkeypatch=monkeypatch)
    assert not found.holds


def test_a_resume_that_forgets_its_moments_is_found(classify, monkeypatch):
    def forgetful(folder, training):
        checkpoint.load_weights(folder, training)
        training.state.step = int(folder.name.rpartition("-")[2])

    monkeypatch.setattr(checkpoint, "load", forgetful)
    (found,) = look(classify(), equalities.resumed, monkeypatch=monkeypatch)
    assert not found.holds


def test_a_method_that_does_not_fold_what_it_computes_is_found(classify, monkeypatch):
    from weitiao.methods.lora import LoraLinear

    monkeypatch.setattr(LoraLinear, "folded", lambda self: self.base)
    (found,) = look(classify(learning_rate=0.1), equalities.folded, monkeypatch=monkeypatch)
    assert not found.holds


@pytest.mark.whole
def test_what_does_not_hold_ends_with_code_5(classify, tmp_path, monkeypatch, capsys):
    file = tmp_path / "recipe.yaml"
    file.write_text(yaml.safe_dump(classify()), encoding="utf-8")
    monkeypatch.setattr(equalities, "CHECKS", (equalities.one_seed,))
    assert weitiao(["check", str(file), "--numerics"]) == 0
    assert "holds" in capsys.readouterr().out
    monkeypatch.setattr(equalities, "_equal", lambda *_: False)
    assert weitiao(["check", str(file), "--numerics"]) == 5
    assert "does not hold" in capsys.readouterr().out
    assert weitiao(["check", str(file)]) == 0
    assert not (tmp_path / "run").exists()
