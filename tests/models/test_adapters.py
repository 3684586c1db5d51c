"""Several adapters on one base: each answers as it does alone, the base comes back, and stacks are sums."""

from __future__ import annotations

import copy
import json

import pytest
import torch

from tests.methods.toys import Toy
from weitiao.core.contracts import Inserted
from weitiao.core.errors import WeitiaoError
from weitiao.models import load, store
from weitiao.models.adapters import Adapters

KINDS = ["lora", "adalora", "ia3", "prompt", "p_tuning", "prefix", "p_tuning_v2", "adapter", "mam", "unipelt"]


def saved(request, tmp_path, name: str, family: str = "bert", *, steps: int = 3, label: str = "", **settings):
    """A toy that was trained and saved: (folder, method, what it answers, its toy)."""
    toy = Toy(request, name, family, **settings)
    torch.manual_seed(steps)
    with torch.no_grad():
        for weight in toy.loaded.trained.values():
            weight.add_(0.1 * torch.randn_like(weight))
    folder = tmp_path / (label or f"{name}-{steps}")
    store.save_tuned(folder, toy.loaded, task=toy.task, method=toy.method, card={})
    return folder, toy.method, toy.logits(), toy


def base(toy: Toy) -> Adapters:
    return Adapters(load.load(toy.ref, toy.task))


@pytest.mark.parametrize("name", KINDS)
def test_two_of_a_kind_are_switched_and_turned_off(request, tmp_path, name):
    one, two = (saved(request, tmp_path, name, steps=n) for n in (3, 4))
    held = base(one[3])
    before = one[3].logits(held.loaded.model)
    held.add("one", one[0], one[1])
    held.add("two", two[0], two[1])
    assert (held.names, held.active) == (["one", "two"], ())
    torch.testing.assert_close(one[3].logits(held.loaded.model), before, rtol=0, atol=0)
    assert not torch.allclose(one[2], two[2], atol=1e-3)
    for chosen, (_, _, answer, toy) in {"one": one, "two": two}.items():
        held.use(chosen)
        torch.testing.assert_close(toy.logits(held.loaded.model), answer, rtol=1e-5, atol=1e-6)
    held.use()
    torch.testing.assert_close(one[3].logits(held.loaded.model), before, rtol=0, atol=0)


def test_every_kind_lies_beside_every_other(request, tmp_path):
    made = {name: saved(request, tmp_path, name) for name in KINDS}
    held = base(made["lora"][3])
    before = made["lora"][3].logits(held.loaded.model)
    for name, (folder, method, _, _) in made.items():
        held.add(name, folder, method)
    for name in reversed(KINDS):
        held.use(name)
        torch.testing.assert_close(
            made[name][3].logits(held.loaded.model), made[name][2], rtol=1e-5, atol=1e-6
        )
    for name in KINDS[::2]:
        held.remove(name)
    for name in KINDS[1::2]:
        held.use(name)
        torch.testing.assert_close(
            made[name][3].logits(held.loaded.model), made[name][2], rtol=1e-5, atol=1e-6
        )
    for name in KINDS[1::2]:
        held.remove(name)
    assert not [m for m in held.loaded.model.modules() if isinstance(m, Inserted)]
    torch.testing.assert_close(made["lora"][3].logits(held.loaded.model), before, rtol=0, atol=0)
    assert set(held.loaded.model.state_dict()) == set(made["lora"][3].base.state_dict())


def test_stacked_low_rank_changes_add_up(request, tmp_path):
    one, two = (saved(request, tmp_path, "lora", "llama", steps=n, r=4) for n in (3, 4))
    held = base(one[3])
    held.add("one", one[0], one[1])
    held.add("two", two[0], two[1])
    held.use("one", "two")
    by_hand = copy.deepcopy(one[3].base)
    with torch.no_grad():
        for _, method, _, toy in (one, two):
            folded = dict(method.fold(copy.deepcopy(toy.model)).named_parameters())
            start = dict(toy.base.named_parameters())
            for name, weight in by_hand.named_parameters():
                if name in folded and not name.startswith("lm_head"):
                    weight += folded[name] - start[name]
    torch.testing.assert_close(one[3].logits(held.loaded.model), one[3].logits(by_hand), rtol=1e-4, atol=1e-5)


def test_stacked_kinds_differ_from_each_alone_and_the_last_has_the_head(request, tmp_path):
    lora, adapter = saved(request, tmp_path, "lora"), saved(request, tmp_path, "adapter")
    held = base(lora[3])
    held.add("lora", lora[0], lora[1])
    held.add("adapter", adapter[0], adapter[1])
    held.use("lora", "adapter")
    both = lora[3].logits(held.loaded.model)
    assert not torch.allclose(both, lora[2], atol=1e-3)
    assert not torch.allclose(both, adapter[2], atol=1e-3)
    head = held.loaded.model.classifier.weight
    torch.testing.assert_close(head, adapter[3].model.classifier.weight.detach(), rtol=0, atol=0)
    held.use("adapter", "lora")
    torch.testing.assert_close(head, lora[3].model.classifier.weight.detach(), rtol=0, atol=0)


def test_norms_that_an_adapter_trained_come_and_go_with_it(request, tmp_path):
    folder, method, answer, toy = saved(request, tmp_path, "adapter", train_layer_norms=True)
    held = base(toy)
    before = toy.logits(held.loaded.model)
    held.add("a", folder, method)
    held.use("a")
    torch.testing.assert_close(toy.logits(held.loaded.model), answer, rtol=1e-5, atol=1e-6)
    held.use()
    torch.testing.assert_close(toy.logits(held.loaded.model), before, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["prompt", "unipelt"])
def test_what_works_only_alone_is_not_stacked(request, tmp_path, name):
    lora, other = saved(request, tmp_path, "lora"), saved(request, tmp_path, name)
    held = base(lora[3])
    held.add("lora", lora[0], lora[1])
    held.add("other", other[0], other[1])
    with pytest.raises(WeitiaoError, match='wrong_usage(.|\n)*"other" cannot work together'):
        held.use("lora", "other")


def test_a_strange_base_name_or_file_is_refused(request, tmp_path, tmp_path_factory):
    folder, method, _, toy = saved(request, tmp_path, "lora")
    held = base(toy)
    held.add("reviews", folder, method)
    with pytest.raises(WeitiaoError, match='unknown_name(.|\n)*Did you mean "reviews"'):
        held.use("review")
    with pytest.raises(WeitiaoError, match="wrong_usage(.|\n)*named twice"):
        held.use("reviews", "reviews")
    with pytest.raises(WeitiaoError, match="wrong_usage(.|\n)*already"):
        held.add("reviews", folder, method)
    full = saved(request, tmp_path, "full")
    with pytest.raises(WeitiaoError, match="wrong_usage(.|\n)*whole model"):
        held.add("full", full[0], full[1])
    other = tmp_path_factory.mktemp("other")
    toy.base.base_model.save_pretrained(other)
    toy.loaded.processor.save_pretrained(other)
    (other / "config.json").write_text((other / "config.json").read_text() + "\n")
    strange = Adapters(load.load(str(other), toy.task))
    with pytest.raises(WeitiaoError, match="wrong_base") as caught:
        strange.add("reviews", folder, method)
    assert str(other) in str(caught.value)
    assert f"tuned on {toy.ref} " in str(caught.value), "both are named"
    assert strange.names == []


@pytest.mark.parametrize("name", ["lora", "prefix", "adapter", "unipelt"])
def test_a_weight_that_is_missing_or_left_over_is_an_error_by_name(request, tmp_path, name):
    from safetensors.torch import load_file, save_file

    from weitiao.core.files import sha256, write_json

    folder, method, _, toy = saved(request, tmp_path, name)
    path = folder / "adapter_model.safetensors"
    whole = load_file(path)
    missing = sorted(whole)[0]
    for state, odd in (
        ({n: w for n, w in whole.items() if n != missing}, missing),
        (whole | {"base_model.model.stranger": torch.zeros(1)}, "stranger"),
        (whole | {missing: torch.zeros(3, 3, 3)}, missing),
    ):
        save_file(state, path)
        card = json.loads((folder / store.CARD).read_text())
        card["files"][path.name] = sha256(path)
        write_json(folder / store.CARD, card)
        with pytest.raises(WeitiaoError, match="broken_model") as caught:
            store.load_tuned(folder, ref=toy.ref, task=toy.task, method=method)
        assert odd.rpartition(".")[2] in str(caught.value)
