"""What rows begin with is computed once, exactly: log-probabilities and gradients are those of rows that lie whole."""

from __future__ import annotations

import pytest
import torch

from tests.models.families import built
from weitiao.core import registry
from weitiao.core.contracts import Example
from weitiao.models import attention, load, sharing, store, varlen
from weitiao.models.attention import rows_attention
from weitiao.tasks.parts import packed

FIT = ("llama", "gpt2", "qwen3", "gemma", "opt", "gpt_neox", "phi3", "deepseek_v3")
UNFIT = ("mistral", "gemma3_text")
"""Their windows slide."""
BEGIN = [5, 9, 20, 33, 41, 12, 8, 50, 27, 13]


def made(name):
    model = built(name, "CausalLM")
    model.set_attn_implementation(attention.register())
    return model


def example(ids, learnt):
    return Example({"input_ids": ids, "labels": [-100] * (len(ids) - learnt) + ids[-learnt:]}, trained=learnt)


def rows():
    """Two pairs behind prompts that begin alike; two sides share scored words, too, one is another's beginning."""
    first, second = [*BEGIN, 30, 31, 32, 33, 34, 35, 36, 37], [*BEGIN, 40, 41, 42, 43, 44, 45, 46, 47]
    sides = [
        [*first, 50, 51, 52],
        [*first, 51, 53],
        [*second, *range(20, 32), 7],
        [*second, *range(20, 32), 9, 11],
    ]
    learnt = (3, 2, 13, 14)
    return [example(ids, n) for ids, n in zip(sides, learnt, strict=True)] + [
        example([*second, *range(20, 32)], 12)
    ]


def losses(model, batch):
    return packed.token_losses(model, batch)


def both(examples):
    return [packed.pack(examples, range(len(examples)), shared=shared) for shared in (False, True)]


def test_a_batch_by_hand():
    flat, tree = both([example([*BEGIN, 1, 2], 2), example([*BEGIN, 1, 3, 4], 3)])
    assert tree.inputs["input_ids"].tolist() == [[*BEGIN, 1, 2, 3, 4]]
    assert tree.inputs["position_ids"].tolist() == [[*range(11), 11, 11, 12]]
    assert tree.inputs["cu_seq_lens_q"].tolist() == [0, 11, 12, 14]
    assert tree.inputs["pieces_go_on_from"].tolist() == [-1, 0, 0]
    # The word 1 is scored for both rows.
    assert tree.inputs["logits_to_keep"].tolist() == [9, 10, 9, 10, 12]
    assert tree.target.tolist() == flat.target.tolist() == [1, 2, 1, 3, 4]
    assert tree.extra["owner"].tolist() == [0, 0, 1, 1, 1]
    assert (tree.tokens, tree.shared, tree.padding) == (25, 11, 0)
    assert (flat.tokens, flat.shared) == (25, 0)
    alone = packed.pack([example([1, 2], 1), example([3, 4], 1)], range(2), shared=True)
    assert "pieces_go_on_from" not in alone.inputs


@pytest.mark.parametrize("name", FIT)
def test_losses_and_gradients_are_those_of_whole_rows(name):
    model = made(name)
    assert sharing.fits(model, None)
    flat, tree = both(rows())
    assert tree.inputs["input_ids"].numel() == flat.tokens - tree.shared < 0.6 * flat.tokens
    one, two = losses(model, flat), losses(model, tree)
    torch.testing.assert_close(two, one, rtol=1e-5, atol=1e-5)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    found = [torch.autograd.grad(each.square().sum(), weights, allow_unused=True) for each in (one, two)]
    # Of a key's bias the gradient is 0 but for what is rounded.
    most = max(float(each.abs().max()) for each in found[0] if each is not None)
    for a, b in zip(*found, strict=True):
        if a is not None:
            torch.testing.assert_close(b, a, rtol=1e-5, atol=1e-5 * most)


@pytest.mark.parametrize("way", ["long", "dropout"])
def test_long_rows_and_dropped_weights_go_the_other_way_and_are_the_same(way, monkeypatch):
    model = made("qwen3")
    flat, tree = both(rows())
    one = losses(model, flat)
    if way == "long":
        monkeypatch.setattr(attention, "LONGEST", 4)
        torch.testing.assert_close(losses(model, tree), one, rtol=1e-5, atol=1e-5)
    else:  # of the weights of attention so few drop out that none does here
        monkeypatch.setattr(model.config, "attention_dropout", 1e-9)
        for module in model.modules():
            if hasattr(module, "attention_dropout"):
                module.attention_dropout = 1e-9
        torch.testing.assert_close(losses(model.train(), tree), one, rtol=1e-5, atol=1e-5)


def test_a_changed_row_changes_no_bit_of_its_siblings():
    model, examples = made("llama"), rows()
    other = [*examples]
    other[2] = example([*examples[2].inputs["input_ids"][:-1], 60], 13)
    one, two = (packed.pack(each, range(5), shared=True) for each in (examples, other))
    owner = one.extra["owner"]
    before, after = losses(model, one), losses(model, two)
    assert torch.equal(before[owner != 2], after[owner != 2])
    assert not torch.equal(before[owner == 2], after[owner == 2])


def test_half_precision_is_as_near_as_whole_rows_are():
    model = made("llama").to(torch.bfloat16)
    flat, tree = both(rows())
    with torch.no_grad():
        exact = losses(made("llama"), flat)
        off = [(losses(model, each).float() - exact).norm() / exact.norm() for each in (flat, tree)]
    assert off[1] < max(1.5 * off[0], 0.02)


def test_recomputed_activations_change_nothing():
    model = made("llama").train()
    _, tree = both(rows())
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    kept = torch.autograd.grad(losses(model, tree).sum(), weights)
    model.gradient_checkpointing_enable({"use_reentrant": False})
    again = torch.autograd.grad(losses(model, tree).sum(), weights)
    for a, b in zip(kept, again, strict=True):
        assert torch.equal(a, b)


# --- measured


@pytest.mark.parametrize("name", UNFIT)
def test_windows_that_slide_are_found_and_their_rows_lie_whole(name):
    assert not sharing.fits(made(name), None)


def sees_siblings(module, query, key, value, mask, *, pieces_go_on_from=None, **words):
    """Every piece goes on from the one that lies before it."""
    chain = None if pieces_go_on_from is None else torch.arange(len(pieces_go_on_from)) - 1
    return rows_attention(module, query, key, value, mask, pieces_go_on_from=chain, **words)


def forgets(module, query, key, value, mask, *, pieces_go_on_from=None, **words):
    """No piece goes on from any."""
    return rows_attention(module, query, key, value, mask, **words)


@pytest.mark.parametrize("fault", [sees_siblings, forgets])
def test_a_planted_fault_is_found(fault):
    from transformers import AttentionInterface

    model = made("llama")
    AttentionInterface.register(attention.ROWS, fault)
    try:
        assert not sharing.fits(model, None)
    finally:
        attention.register()
    assert sharing.fits(model, None)


@pytest.mark.parametrize(
    ("method", "shares"),
    [("lora", True), ("ia3", True), ("adapter", True), ("p_tuning_v2", True), ("prompt", False)],
)
def test_it_is_measured_with_the_method_in_the_model(llama, method, shares):
    task = registry.build("task", {"name": "dpo"})
    loaded = load.load(llama, task)
    store.prepare(loaded, registry.build("method", {"name": method}), seed=0)
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in loaded.trained.values():
            weight.copy_(torch.randn(weight.shape, generator=rng) * 0.3)
    assert loaded.sharing(task) is shares
    words = [[3 + place % 20 for place in row] for row in ([*range(12), 1, 2], [*range(12), 5, 7, 9])]
    found = []
    for together in (False, True):
        collate = loaded.collate(task, shared=together)
        one = Example({"input_ids": sum(words, []), "labels": [-100] * 12 + words[0][12:] + [-100] * 12 + words[1][12:],
                       "texts": [14, 15]})  # fmt: skip
        batch = collate([one], [0])
        assert bool(batch.shared) is (together and shares)
        loss = losses(loaded.model, batch)
        found.append([loss, *torch.autograd.grad(loss.sum(), [*loaded.trained.values()], allow_unused=True)])
    for a, b in zip(*found, strict=True):
        if a is not None:
            torch.testing.assert_close(b, a, rtol=1e-4, atol=1e-5)


# --- on a device


@pytest.mark.parametrize("window", [None, 7])
def test_copied_keys_give_on_a_device_what_pieces_give_here(window):
    """Through the call that has all rows in one, on the CPU; beside one dense mask, by hand."""
    chance = torch.Generator().manual_seed(0)
    bounds, parents = torch.tensor([0, 6, 9, 14, 16]), torch.tensor([-1, 0, 0, 2])
    query, key, value = (torch.randn(1, heads, 16, 8, generator=chance) for heads in (4, 2, 2))
    pieces = attention._pieces(bounds, bounds, parents)
    copies = varlen.copied(key, value, pieces)
    y = varlen.attend(query, *copies[:2], bounds, keys=copies[2], window=window)
    chains = {0: [0], 1: [0, 1], 2: [0, 2], 3: [0, 2, 3]}
    for piece, chain in chains.items():
        places = torch.cat([torch.arange(int(bounds[n]), int(bounds[n + 1])) for n in chain])
        q, k, v = (part[0][:, places].double() for part in (query, key, value))
        scores = q @ k.repeat_interleave(2, 0).transpose(1, 2) / 8**0.5
        back = torch.arange(len(places))[:, None] - torch.arange(len(places))
        scores = scores.masked_fill((back < 0) | (back >= (window or 99)), -torch.inf)
        truth = (scores.softmax(-1) @ v.repeat_interleave(2, 0)).transpose(0, 1).float()
        a, b = int(bounds[piece]), int(bounds[piece + 1])
        torch.testing.assert_close(y[0, a:b], truth[-(b - a) :], rtol=1e-5, atol=1e-5)
