"""Optimisers beside a formula or another library; parameter groups beside hand-made ones."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoModelForSequenceClassification

from tests.methods.toys import Toy
from weitiao.core.errors import WeitiaoError
from weitiao.core.recipe import Train
from weitiao.models import anatomy
from weitiao.train import optim
from weitiao.train.optim.groups import hidden_matrices
from weitiao.train.optim.lion import Lion
from weitiao.train.optim.optimizers import KINDS

SHAPES = {"weight": (6, 5), "tall": (9, 3), "bias": (6,), "large": (80, 70)}


class Bag(nn.Module):
    """Weights whose gradients a test makes up; `tall` stands for a hidden matrix."""

    def __init__(self, dtype: torch.dtype = torch.float32):
        super().__init__()
        drawn = torch.Generator().manual_seed(0)
        for name, shape in SHAPES.items():
            self.register_parameter(name, nn.Parameter(torch.randn(shape, generator=drawn).to(dtype)))


def walk(optimizer: torch.optim.Optimizer, model: nn.Module, steps: int = 12, *, rate=None) -> dict:
    """Steps by gradients that are drawn anew; the weights at the end."""
    drawn = torch.Generator().manual_seed(1)
    for step in range(steps):
        for weight in model.parameters():
            weight.grad = (torch.randn(weight.shape, generator=drawn) + 0.2).to(weight.dtype)
        for group in optimizer.param_groups:
            group["lr"] = (rate or (lambda _: 0.01))(step)
        optimizer.step()
    return {name: weight.detach().clone() for name, weight in model.named_parameters()}


def ours(model: nn.Module, **settings) -> torch.optim.Optimizer:
    return optim.build(model, Train(**{"weight_decay": 0.1, **settings}), learning_rate=0.01)


def split(model: nn.Module) -> list[dict]:
    """Groups by hand: the bias does not decay."""
    return [
        {"params": [w for n, w in model.named_parameters() if n != "bias"], "weight_decay": 0.1},
        {"params": [model.bias], "weight_decay": 0.0},
    ]


@pytest.mark.parametrize(
    ("name", "settings", "theirs"),
    [
        ("adamw", {}, lambda g: torch.optim.AdamW(g, fused=True)),
        (
            "adamw",
            {"adam_beta1": 0.5, "adam_beta2": 0.7, "adam_epsilon": 0.1},
            lambda g: torch.optim.AdamW(g, betas=(0.5, 0.7), eps=0.1, fused=True),
        ),
        ("adam", {"adam_beta2": 0.9}, lambda g: torch.optim.Adam(g, betas=(0.9, 0.9), fused=True)),
        ("sgd", {}, lambda g: torch.optim.SGD(g, momentum=0.9)),
        ("sgd", {"momentum": 0.0}, lambda g: torch.optim.SGD(g)),
    ],
)
def test_optimisers_of_torch_are_torch_s_bit_for_bit(name, settings, theirs):
    a, b = Bag(), Bag()
    found, expected = walk(ours(a, optim=name, **settings), a), walk(theirs(split(b)), b)
    assert all(torch.equal(found[name], expected[name]) for name in SHAPES)


def test_lion_is_its_paper_s_algorithm():
    model = Bag(torch.float64)
    weights = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    averages = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    found = walk(ours(model, optim="lion"), model, rate=lambda step: 0.01 / (step + 1))
    drawn = torch.Generator().manual_seed(1)
    for step in range(12):
        lr = 0.01 / (step + 1)
        for name in SHAPES:
            gradient = torch.randn(SHAPES[name], generator=drawn) + 0.2
            decay = 0.0 if name == "bias" else 0.1
            direction = torch.sign(0.9 * averages[name] + 0.1 * gradient)
            weights[name] = weights[name] - lr * (direction + decay * weights[name])
            averages[name] = 0.99 * averages[name] + 0.01 * gradient
    for name in SHAPES:
        torch.testing.assert_close(found[name], weights[name])


def test_lion_equals_bitsandbytes():
    from bitsandbytes.optim import Lion32bit

    a, b = Bag(), Bag()
    expected = walk(Lion32bit(split(b), lr=0.01, betas=(0.8, 0.95)), b)
    found = walk(ours(a, optim="lion", adam_beta1=0.8, adam_beta2=0.95), a)
    for name in SHAPES:
        torch.testing.assert_close(found[name], expected[name])


def test_lion_asks_a_closure_and_rests_where_there_is_no_gradient():
    model = Bag()
    before = model.bias.detach().clone()

    def closure():
        loss = (model.weight**2).sum()
        loss.backward()
        return loss

    assert Lion(model.parameters()).step(closure) > 0
    assert torch.equal(model.bias, before)


def test_adafactor_is_its_paper_s_algorithm_at_the_recipe_s_rate():
    """Shazeer & Stern 2018, algorithms 4 and 5, without the scale of the weight: computed by the definition."""
    model = Bag(torch.float64)
    weights = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    found = walk(ours(model, optim="adafactor"), model)
    drawn = torch.Generator().manual_seed(1)
    rows, columns, whole = {}, {}, {}
    for t in range(1, 13):
        beta = 1 - t**-0.8
        for name in SHAPES:
            gradient = (torch.randn(SHAPES[name], generator=drawn) + 0.2).double()
            squared, decay = gradient**2 + 1e-30, 0.1
            if gradient.ndim == 2:
                rows[name] = beta * rows.get(name, 0) + (1 - beta) * squared.sum(1)
                columns[name] = beta * columns.get(name, 0) + (1 - beta) * squared.sum(0)
                second = torch.outer(rows[name], columns[name]) / rows[name].sum()
            else:
                second, decay = beta * whole.get(name, 0) + (1 - beta) * squared, 0.0
                whole[name] = second
            update = gradient / second.sqrt()
            update = update / max(1.0, update.square().mean().sqrt().item())
            weights[name] = weights[name] - 0.01 * update - 0.01 * decay * weights[name]
    for name in SHAPES:
        torch.testing.assert_close(found[name], weights[name], rtol=1e-5, atol=1e-6)


def test_adafactor_equals_transformers_at_a_rate_of_the_user():
    from transformers.optimization import Adafactor

    a, b = Bag(), Bag()
    theirs = Adafactor(split(b), lr=0.01, scale_parameter=False, relative_step=False)
    expected, found = walk(theirs, b), walk(ours(a, optim="adafactor"), a)
    for name in SHAPES:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-6, atol=1e-7)


def test_adafactor_equals_torch_s_where_the_weights_are_small():
    """Theirs multiplies the rate by the root mean square of the weight, or by `eps[1]` if that is more."""
    a, b = Bag(), Bag()
    for weight in (*a.parameters(), *b.parameters()):
        weight.data *= 0.3
    expected = walk(torch.optim.Adafactor(split(b), eps=(1e-15, 1.0)), b)
    found = walk(ours(a, optim="adafactor"), a)
    for name in SHAPES:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-5, atol=1e-6)


def test_8_bit_adamw_stays_near_32_bit_and_keeps_bytes():
    a, b = Bag(), Bag()
    optimizer = ours(a, optim="adamw_8bit", adam_beta2=0.99)
    found = walk(optimizer, a)
    expected = walk(ours(b, optim="adamw", adam_beta2=0.99), b)
    start = Bag()
    for name in SHAPES:
        moved = (expected[name] - getattr(start, name)).abs().mean()
        apart = (found[name] - expected[name]).abs().mean()
        # Below 4096 numbers the moments are kept in 32 bits.
        assert apart < (0.05 if name == "large" else 1e-5) * moved
    assert optimizer.state[a.large]["state1"].dtype == torch.uint8
    assert not torch.equal(found["large"], expected["large"])


def test_a_device_without_8_bit_kernels_is_told(monkeypatch):
    from bitsandbytes.optim import AdamW8bit

    def step(self):
        raise NotImplementedError("no kernel for this backend")

    monkeypatch.setattr(AdamW8bit, "step", step)
    with pytest.raises(WeitiaoError, match=r"no_optimizer\] train.optim=adamw_8bit: bitsandbytes on cpu"):
        ours(Bag(), optim="adamw_8bit")


@pytest.mark.parametrize("name", KINDS)
def test_the_page_tells_how_many_bytes_are_kept_for_a_parameter(name):
    """Of a matrix of 128 x 128 numbers, in a block: the second column of docs/optimisers.md."""
    page = (Path(__file__).parents[2] / "docs" / "optimisers.md").read_text(encoding="utf-8")
    (told,) = re.findall(rf"^\| `{name}` \| ([0-9.]+)", page, flags=re.MULTILINE)
    model = nn.Module()
    weight = model.weight = nn.Parameter(torch.zeros(128, 128))
    groups = [{"params": [weight], "lr": 0.1, "peak_lr": 0.1, "weight_decay": 0.0, "matrix": True}]
    optimizer = KINDS[name].make(groups, 0.1, KINDS[name].reads)
    weight.grad = torch.ones_like(weight)
    optimizer.step()
    # Adam's step counters and the 8-bit table of values do not grow with the weight.
    kept = [
        v
        for k, v in optimizer.state[weight].items()
        if torch.is_tensor(v) and k not in ("step", "qmap1", "qmap2")
    ]
    measured = sum(tensor.numel() * tensor.element_size() for tensor in kept) / weight.numel()
    assert float(told) == pytest.approx(measured, abs=0.005)


# ------------------------------------------------------------------ Muon


@pytest.fixture
def classifier(bert):
    torch.manual_seed(0)
    return AutoModelForSequenceClassification.from_pretrained(bert, num_labels=2)


def make_gradients(model: nn.Module, step: int) -> None:
    drawn = torch.Generator().manual_seed(step)
    for weight in model.parameters():
        weight.grad = torch.randn(weight.shape, generator=drawn) if weight.requires_grad else None


def test_muon_takes_the_matrices_of_the_blocks_and_adamw_the_rest(classifier):
    model, head = classifier, anatomy.head(classifier)
    other = copy.deepcopy(model)
    inside = [n for n, w in other.named_parameters() if "encoder.layer." in n and w.ndim == 2]
    assert len(inside) == 2 * 6  # q, k, v, output and the two of the feed-forward, in two layers
    matrices = [w for n, w in other.named_parameters() if n in inside]
    tables = [w for n, w in other.named_parameters() if n not in inside and w.ndim == 2]
    vectors = [w for n, w in other.named_parameters() if w.ndim < 2]
    muon = torch.optim.Muon(matrices, lr=0.02, weight_decay=0.1, momentum=0.9, adjust_lr_fn="match_rms_adamw")
    groups = [{"params": tables, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    adamw = torch.optim.AdamW(groups, lr=0.02, betas=(0.8, 0.999), fused=True)
    settings = Train(optim="muon", momentum=0.9, adam_beta1=0.8, weight_decay=0.1)
    optimizer = optim.build(model, settings, learning_rate=0.02, head=head)
    for step in range(4):
        make_gradients(model, step)
        make_gradients(other, step)
        for each in (muon, adamw, optimizer):
            each.step()
    for (name, found), expected in zip(model.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(found, expected), name
    assert len(optimizer.state) == sum(w.requires_grad for w in model.parameters())


def test_the_rates_of_a_schedule_reach_both_halves(classifier):
    settings = Train(optim="muon", lr_scheduler_type="constant", warmup_steps=2)
    optimizer = optim.build(classifier, settings, learning_rate=0.02)
    before = copy.deepcopy(classifier.state_dict())
    moved = []
    for step in (
        0,
        1,
    ):  # at half of the rate, and at the whole of it; without decay a step goes as far as its rate
        classifier.load_state_dict(before)
        optimizer.state.clear()
        optim.schedule(settings).apply(optimizer, step, total=10)
        make_gradients(classifier, 0)
        optimizer.step()
        moved.append({name: weight - before[name] for name, weight in classifier.state_dict().items()})
    for name, half in moved[0].items():
        assert torch.allclose(2 * half, moved[1][name], atol=1e-6), name
    assert any(half.any() for half in moved[0].values())


def test_an_embedding_inside_a_block_is_no_hidden_matrix(t5):
    model = AutoModelForSeq2SeqLM.from_pretrained(t5)
    found = hidden_matrices(model, dict(model.named_parameters()))
    assert found
    assert not any("relative_attention_bias" in n or "shared" in n or "lm_head" in n for n in found)


def test_muon_without_a_matrix_is_refused(classifier):
    for name, weight in classifier.named_parameters():
        weight.requires_grad_(name.startswith("classifier"))
    with pytest.raises(WeitiaoError, match=r"unfit_training\] train.optim: 'muon'"):
        optim.build(classifier, Train(optim="muon"), learning_rate=0.1)


def test_muon_is_asked_of_a_torch_that_has_it(classifier, monkeypatch):
    monkeypatch.delattr(torch.optim, "Muon")
    with pytest.raises(WeitiaoError, match=r"no_optimizer\] train.optim=muon: torch"):
        optim.build(classifier, Train(optim="muon"), learning_rate=0.1)


# ------------------------------------------------------------------ groups


def rates(model: nn.Module, groups: list[dict]) -> dict[str, float]:
    names = {id(weight): name for name, weight in model.named_parameters()}
    return {names[id(weight)]: group["peak_lr"] for group in groups for weight in group["params"]}


def test_biases_and_norms_do_not_decay(classifier):
    decayed, level = optim.groups(classifier, Train(weight_decay=0.1), learning_rate=1e-3)
    names = {id(weight): name for name, weight in classifier.named_parameters()}
    assert all("bias" not in names[id(w)] and "LayerNorm" not in names[id(w)] for w in decayed["params"])
    assert all("bias" in names[id(w)] or "LayerNorm" in names[id(w)] for w in level["params"])
    assert (decayed["weight_decay"], level["weight_decay"]) == (0.1, 0.0)
    assert decayed["lr"] == level["lr"] == 1e-3


def test_ratios_and_the_method_s_factors_multiply(classifier):
    settings = Train(head_learning_rate_ratio=10, layerwise_lr_decay=0.5)
    factors = {"bert.encoder.layer.1.output.dense.weight": 16.0}
    groups = optim.groups(
        classifier, settings, learning_rate=1.0, head=anatomy.head(classifier), factors=factors
    )
    found = rates(classifier, groups)
    assert set(found) == {name for name, _ in classifier.named_parameters()}
    assert found["classifier.weight"] == found["classifier.bias"] == 10
    assert found["bert.encoder.layer.1.output.dense.weight"] == 0.5 * 16
    expected = {
        "bert.encoder.layer.1.": 0.5,
        "bert.pooler.": 0.5,
        "bert.encoder.layer.0.": 0.25,
        "bert.embeddings.": 0.125,
    }
    for name, rate in found.items():
        if name not in factors and not name.startswith("classifier"):
            assert rate == next(share for prefix, share in expected.items() if name.startswith(prefix)), name


def test_without_a_head_the_top_block_learns_at_the_full_rate(llama):
    model = AutoModelForCausalLM.from_pretrained(llama)
    found = rates(model, optim.groups(model, Train(layerwise_lr_decay=0.5), learning_rate=1.0))
    assert {rate for name, rate in found.items() if ".layers.1." in name} == {1.0}
    assert {rate for name, rate in found.items() if ".layers.0." in name} == {0.5}
    assert found["model.embed_tokens.weight"] == 0.25


def test_only_what_trains_counts(classifier):
    for name, weight in classifier.named_parameters():
        weight.requires_grad_("layer.0" in name)
    found = rates(classifier, optim.groups(classifier, Train(layerwise_lr_decay=0.5), learning_rate=1.0))
    assert set(found.values()) == {1.0}
    assert all("layer.0" in name for name in found)


def test_ratios_that_would_be_ignored_are_refused(classifier, llama):
    model = AutoModelForCausalLM.from_pretrained(llama)
    with pytest.raises(WeitiaoError, match=r"unfit_training\] train.head_learning_rate_ratio: 2.0"):
        optim.groups(model, Train(head_learning_rate_ratio=2), learning_rate=1.0)
    with pytest.raises(
        WeitiaoError, match=r"unfit_training\] train.layerwise_lr_decay: 0.9.*decay of its own"
    ):
        optim.resolved(
            Train(layerwise_lr_decay=0.9), usual_rate=1e-3, method_settings=["layerwise_lr_decay", "until"]
        )
    with pytest.raises(WeitiaoError, match="unknown_anatomy"):
        optim.groups(Bag(), Train(layerwise_lr_decay=0.9), learning_rate=1.0)


# ------------------------------------------------------------------ at work


@pytest.mark.parametrize("name", KINDS)
def test_every_optimiser_learns_with_lora_whose_b_begins_at_zero(name, request):
    """At the rate that it takes by itself: one for AdamW, times the optimiser's own."""
    toy = Toy(request, "lora", "llama", r=4)
    rate = 1e-2 * (KINDS[name].rate or 30)
    settings = toy.training.settings.model_copy(update={"optim": name, "lr_scheduler_type": "constant"})
    toy.training.settings = settings
    toy.training.optimizer = optim.build(toy.model, settings, learning_rate=rate, head=toy.loaded.head)
    batches = toy.training.batches

    def evaluated() -> float:
        toy.model.eval()
        with torch.no_grad():
            rows = [batch for step in range(batches.steps_per_epoch) for batch in batches.step(step)]
            return sum(toy.task.loss(toy.model, batch).item() for batch in rows)

    first = evaluated()
    toy.steps(toy.training.total)
    assert evaluated() < 0.97 * first
