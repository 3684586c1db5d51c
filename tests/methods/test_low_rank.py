"""What LoRA, its starts and variants, and QLoRA promise beyond the table."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.methods.toys import Toy
from weitiao.core.errors import WeitiaoError
from weitiao.methods.lora import LoraLinear
from weitiao.models import linear
from weitiao.models.four_bit import PackedLinear

# --- LoRA


def test_settings_that_match_nothing_name_what_is_near(request):
    with pytest.raises(WeitiaoError, match='no_such_modules.*"quary"[^?]*Did you mean "query"') as caught:
        Toy(request, "lora", "bert", target_modules=["quary"])
    assert "dense" in str(caught.value)
    with pytest.raises(WeitiaoError, match=r'no_such_modules.*Did you mean "q_proj"'):
        Toy(request, "lora", "llama", target_modules=["q_prj"])


def test_a_regular_expression_picks_modules(request):
    toy = Toy(request, "lora", "bert", target_modules=r".*layer\.1\.attention\.self\.query")
    adapted = [name for name, _ in toy.model.named_parameters() if name.endswith("lora_A")]
    assert adapted == ["bert.encoder.layer.1.attention.self.query.lora_A"]
    with pytest.raises(WeitiaoError, match="unfit_setting.*not a regular expression"):
        Toy(request, "lora", "bert", target_modules="layer[")


@pytest.mark.parametrize(("name", "key"), [("lora", "r"), ("adalora", "init_r"), ("unipelt", "r")])
def test_a_rank_above_the_matrix_is_refused_with_the_largest_that_fits(request, name, key):
    with pytest.raises(WeitiaoError, match=rf"method\.{key}: 33 does not fit.*32 x 32[^0-9]*32 or less"):
        Toy(request, name, "bert", **{key: 33})
    assert Toy(request, name, "bert", **{key: 32}).count()


def test_dropout_of_lora_is_drawn_in_training_alone(request):
    toy = Toy(request, "lora", "bert", lora_dropout=0.5)
    toy.steps(2)
    torch.testing.assert_close(toy.logits(), toy.logits(), rtol=0, atol=0)
    batch = toy.batches.step(0)[0]
    toy.model.train()
    assert not torch.equal(toy.model(**batch.inputs).logits, toy.model(**batch.inputs).logits)


@pytest.mark.parametrize(("rslora", "scale"), [(False, 8 / 4), (True, 8 / 4**0.5)])
def test_alpha_scales_the_change(request, rslora, scale):
    toy = Toy(request, "lora", "bert", r=4, lora_alpha=8, use_rslora=rslora)
    toy.steps(2)
    layer = toy.model.bert.encoder.layer[0].attention.self.query
    x = torch.randn(3, 32)
    with torch.no_grad():
        by_hand = layer.base(x) + scale * (x @ layer.lora_A.T) @ layer.lora_B.T
        torch.testing.assert_close(layer(x), by_hand)


def test_b_learns_faster_under_lora_plus(request):
    toy = Toy(request, "lora", "bert", loraplus_lr_ratio=16)
    rates = {id(w): group["lr"] for group in toy.training.optimizer.param_groups for w in group["params"]}
    for name, weight in toy.loaded.trained.items():
        assert rates[id(weight)] == pytest.approx(0.16 if name.endswith("lora_B") else 0.01)
    toy.steps(1)
    assert toy.training.facts["learning_rate"] == pytest.approx(0.01), (
        "the log shows the rate that was asked for"
    )


def test_dora_begins_with_the_rows_lengths(request):
    toy = Toy(request, "lora", "bert", use_dora=True)
    layer = toy.model.bert.encoder.layer[0].attention.self.query
    torch.testing.assert_close(layer.lora_magnitude.data, layer.base.weight.norm(dim=1))


@pytest.mark.parametrize("init", ["pissa", "olora"])
def test_what_was_begun_with_is_taken_off_again(request, init):
    """The base's weight stays as it is, and A and B hold its best part: PiSSA's is that of the SVD."""
    toy = Toy(request, "lora", "bert", r=4, init_lora_weights=init)
    layer = toy.model.bert.encoder.layer[0].attention.self.query
    part = (layer.lora_B @ layer.lora_A * layer.scaling).detach()
    left, values, right = torch.linalg.svd(layer.base.weight)
    if init == "pissa":
        best = left[:, :4] @ torch.diag(values[:4]) @ right[:4]
        torch.testing.assert_close(part, best.detach(), rtol=1e-4, atol=1e-6)
    assert part.norm() > 0.01
    torch.testing.assert_close(layer.change(), torch.zeros(32, 32), rtol=0, atol=1e-6)


def test_eva_begins_with_the_directions_of_the_inputs(request):
    """Against the SVD of all inputs of a layer, gathered by hand from the same batches, padding left out."""
    toy = Toy(request, "lora", "bert", r=4, init_lora_weights="eva")
    layer, rows = toy.model.bert.encoder.layer[0].attention.self.query, []
    seen = []
    layer.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    toy.model.eval()
    with torch.no_grad():
        for step in range(4):
            batch = toy.batches.step(step)[0]
            toy.model(**batch.inputs)
            rows.append(seen.pop()[batch.inputs["attention_mask"].bool()])
    _, _, right = torch.linalg.svd(torch.cat(rows), full_matrices=False)
    overlap = (layer.lora_A @ right[:4].T).abs()
    torch.testing.assert_close(overlap, torch.eye(4), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("bias", [False, True])
def test_a_change_below_half_a_unit_in_the_last_place_is_not_rounded_away(bias):
    """Added to an output that is rounded already it vanishes; inside the product it is all there on average."""
    torch.manual_seed(0)
    base = nn.Linear(64, 512, bias=bias).requires_grad_(False).to(torch.bfloat16)
    layer = LoraLinear(base, r=4, scaling=1.0)
    nn.init.normal_(layer.lora_B, std=1e-4)
    x = torch.randn(2048, 64).bfloat16()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        low = linear.low_rank(x, layer.lora_A, layer.lora_B)
        rounded = base(x)
        once, twice = layer(x), rounded + low
        exact = nn.functional.linear(x.double(), base.weight.double())
        exact = exact + base.bias.double() if bias else exact
    # How much of the change is there, measured along itself: 1 is all of it.
    share = [
        (((y.double() - exact) * low.double()).sum() / low.double().square().sum()) for y in (once, twice)
    ]
    assert low.abs().max() < 2e-3
    assert share[0] == pytest.approx(1, abs=0.05)
    assert share[1] < 0.6, "what this guards against no longer happens: then `plus` is not needed"


# --- QLoRA


def test_the_base_of_qlora_lies_in_half_a_byte_a_weight_and_does_not_move(request):
    toy = Toy(request, "qlora", "llama", target_modules=["q_proj"])
    layers = [module for module in toy.model.modules() if isinstance(module, PackedLinear)]
    assert len(layers) == 2 * 7
    for layer in layers:
        assert (
            layer.packed.numel() * layer.packed.element_size() * 2 == layer.in_features * layer.out_features
        )
    before = [layer.packed.clone() for layer in layers]
    toy.steps(3)
    assert all(torch.equal(a, layer.packed) for a, layer in zip(before, layers, strict=True))


def test_a_packed_layer_computes_with_its_unpacked_weight(request):
    toy = Toy(request, "qlora", "bert")
    layer = toy.model.bert.encoder.layer[0].attention.self.query
    dense = layer.base.dense()
    plain = Toy(request, "lora", "bert").base.bert.encoder.layer[0].attention.self.query.weight
    # NF4's levels lie up to 0.304 of a block's largest number apart (Dettmers et al. 2023, appendix E); the scales
    # are rounded too.
    blocks = plain.flatten().view(-1, 64).abs().amax(1, keepdim=True)
    error = (dense - plain).flatten().view(-1, 64).abs() / blocks
    assert 0.05 < error.max() < 0.304 / 2 + 0.01
    x = torch.randn(3, 32, requires_grad=True)
    y = layer.base(x)
    torch.testing.assert_close(y, x @ dense.T + layer.base.bias)
    y.square().sum().backward()
    torch.testing.assert_close(x.grad, 2 * y.detach() @ dense)


def test_qlora_folds_every_packed_layer(request):
    toy = Toy(request, "qlora", "llama", target_modules=["q_proj"])
    toy.steps(2)
    tuned = toy.logits()
    folded = toy.method.fold(toy.model)
    assert not [m for m in folded.modules() if isinstance(m, PackedLinear)]
    torch.testing.assert_close(toy.logits(folded), tuned, rtol=1e-4, atol=1e-5)
