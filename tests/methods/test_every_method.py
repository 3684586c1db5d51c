"""The promises that every method on the shelf keeps, on a BERT-, a Llama-, a T5- and a ViT-like toy."""

from __future__ import annotations

import copy
import json
from dataclasses import replace

import pytest
import torch

from tests.methods.toys import FAMILIES, PAIRS, QUICK, REFUSED, Toy, build_task, dealt
from weitiao.core import registry
from weitiao.core.errors import WeitiaoError
from weitiao.models import anatomy, store
from weitiao.train import checkpoint

every_pair = pytest.mark.parametrize(("name", "family"), dealt(FAMILIES, each=1))
# What trains, rounds and resumes is the same code in the other families.
dear_pair = pytest.mark.parametrize(("name", "family"), dealt(("bert", "llama"), each=1))


def test_the_table_holds_every_method():
    assert {name for name, _ in PAIRS} == set(registry.names("method"))


@pytest.mark.parametrize(("name", "family"), REFUSED)
def test_a_pair_that_makes_no_sense_is_refused_with_the_reason(request, name, family):
    why = registry.build("method", {"name": name}).refuses(build_task(family))
    if not why:
        with pytest.raises(WeitiaoError, match="unfit_setting") as caught:
            Toy(request, name, family)
        why = str(caught.value)
    assert REFUSED[name, family] in why


@every_pair
def test_it_starts_as_the_base_if_it_says_so(request, name, family):
    toy = Toy(request, name, family)
    if toy.method.starts_as_base:
        torch.testing.assert_close(toy.logits(), toy.logits(toy.base), rtol=0, atol=0)
    elif toy.method.layout != "pretrained":
        assert not torch.equal(toy.logits(), toy.logits(toy.base))


@every_pair
def test_only_what_trains_names_moves_and_all_of_it_gets_a_gradient(request, name, family):
    toy = Toy(request, name, family)
    before = {n: w.detach().clone() for n, w in toy.model.named_parameters()}
    toy.steps(2)
    moved = {n for n, w in toy.model.named_parameters() if not torch.equal(w, before[n])}
    # Rows of an embedding that no token of the batches asks for, and position rows behind the longest, stay: the
    # weight as a whole still moves.
    assert moved == set(toy.loaded.trained)
    assert moved == {n for n, w in toy.model.named_parameters() if toy.method.trains(n, w, toy.loaded.head)}


@every_pair
def test_off_gives_the_base_back_and_ends(request, name, family):
    toy = Toy(request, name, family)
    snapshot = toy.method.snapshot(toy.model)
    toy.steps(2)
    tuned = toy.logits()
    assert not torch.equal(tuned, toy.logits(toy.base))
    with toy.method.off(toy.model, snapshot):
        torch.testing.assert_close(toy.logits(), toy.logits(toy.base), rtol=0, atol=0)
    torch.testing.assert_close(toy.logits(), tuned, rtol=0, atol=0)


@every_pair
def test_fold_keeps_the_output_and_leaves_a_plain_model(request, name, family):
    toy = Toy(request, name, family)
    if toy.method.foldable:
        toy.steps(2)
        tuned = toy.logits()
        folded = toy.method.fold(toy.model)
        torch.testing.assert_close(toy.logits(folded), tuned, rtol=1e-4, atol=1e-5)
        plain = type(toy.base)(toy.base.config).state_dict()
        assert set(folded.state_dict()) == set(plain)
        assert {n: w.shape for n, w in folded.state_dict().items()} == {n: w.shape for n, w in plain.items()}


@every_pair
def test_save_and_load_keep_the_output(request, name, family, tmp_path):
    toy = Toy(request, name, family)
    toy.steps(2)
    tuned = toy.logits()
    if family == "vit":
        if toy.method.layout == "pretrained":
            toy.model.save_pretrained(tmp_path)
            fresh = type(toy.model).from_pretrained(tmp_path)
            torch.testing.assert_close(toy.logits(fresh), tuned, rtol=0, atol=0)
        else:
            store._save_adapter(tmp_path, toy.loaded, toy.task, toy.method)
            back = toy.load()
            store.prepare(back, toy.method, seed=1)
            store.fill(tmp_path, back, toy.method)
            torch.testing.assert_close(toy.logits(back.model), tuned, rtol=0, atol=0)
        return
    store.save_tuned(tmp_path / "model", toy.loaded, task=toy.task, method=toy.method, card={})
    back = store.load_tuned(tmp_path / "model", ref=toy.ref, task=toy.task, method=toy.method)
    torch.testing.assert_close(toy.logits(back.model), tuned, rtol=0, atol=0)


@every_pair
def test_settings_go_to_a_file_and_back(request, name, family):
    method = registry.build("method", {"name": name, **QUICK.get(name, {})})
    settings = json.loads(json.dumps(registry.settings_of(name, method)))
    assert registry.build("method", settings) == method
    assert replace(method) == method


@dear_pair
def test_it_works_in_bf16_and_follows_float32(request, name, family):
    exact = Toy(request, name, family).steps(6)
    coarse = Toy(request, name, family, bf16=True).steps(6)
    assert coarse == pytest.approx(exact, rel=0.08)
    assert coarse != exact


@dear_pair
def test_frozen_weights_cast_once_give_the_same_losses_bit_for_bit(request, name, family):
    plain = Toy(request, name, family, bf16=True)
    cast = Toy(request, name, family, bf16=True)
    anatomy.cast_frozen(cast.model)
    if plain.method.layout != "pretrained":
        assert cast.steps(4) == plain.steps(4)


@dear_pair
def test_in_use_it_says_in_bf16_what_it_says_in_float32(request, name, family):
    """As a finished run is loaded: nothing trains any more, and what is frozen is cast once."""
    toy = Toy(request, name, family)
    toy.steps(2)
    exact = toy.logits()
    toy.model.requires_grad_(False)
    anatomy.cast_frozen(toy.model)
    with torch.autocast("cpu", torch.bfloat16):
        coarse = toy.logits().float()
    scale = float(exact.abs().max())
    torch.testing.assert_close(coarse, exact, rtol=0.05, atol=0.05 * scale)


@dear_pair
def test_recomputed_activations_give_the_same_losses(request, name, family):
    kept = Toy(request, name, family)
    again = Toy(request, name, family)
    again.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    assert again.steps(3) == pytest.approx(kept.steps(3), rel=1e-6)


@dear_pair
def test_six_steps_are_three_and_a_resume_of_three(request, name, family, tmp_path):
    from weitiao.core.run import RunFolder

    whole = Toy(request, name, family)
    losses = whole.steps(6)
    first = Toy(request, name, family)
    first.steps(3)
    folder = checkpoint.save(RunFolder(tmp_path), first.training)
    second = Toy(request, name, family)
    checkpoint.load(folder, second.training)
    assert second.steps(3) == losses[3:]
    for name_, weight in whole.model.named_parameters():
        assert torch.equal(weight, dict(second.model.named_parameters())[name_])
    for name_, kept in whole.method.state(whole.model).items():
        assert torch.equal(kept, second.method.state(second.model)[name_])


@every_pair
def test_a_copy_of_the_model_is_a_model_of_its_own(request, name, family):
    toy = Toy(request, name, family)
    toy.steps(1)
    before, twin = toy.logits(), copy.deepcopy(toy.model)
    toy.steps(1)
    torch.testing.assert_close(toy.logits(twin), before, rtol=0, atol=0)


def test_every_family_is_met_by_most_methods():
    for family in FAMILIES:
        assert sum(f == family for _, f in PAIRS) >= 12
