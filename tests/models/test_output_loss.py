"""Losses without logits against the plain way: values, gradients, and who must go the plain way."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from weitiao.models import output_loss


def language_model(family: str, **options):
    """A toy of that family with frozen random weights, large enough that a cap or scale is seen."""
    import transformers

    torch.manual_seed(0)
    sizes = {"vocab_size": 50, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    config = getattr(transformers, f"{family}Config")(
        **sizes, num_attention_heads=2, num_key_value_heads=1, head_dim=8, pad_token_id=0, **options
    )
    model = getattr(transformers, f"{family}ForCausalLM")(config).eval().requires_grad_(False)
    model.get_output_embeddings().weight.normal_()
    output_loss.learn(model)
    return model


INPUTS = {"input_ids": torch.arange(1, 41).view(1, 40), "logits_to_keep": torch.arange(3, 39)}
TARGET = torch.arange(36) % 50


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("part", [5, 36, 128])
def test_losses_and_gradients_are_those_of_the_logits(monkeypatch, dtype, part):
    monkeypatch.setattr(output_loss, "PART", part)
    model = language_model("Llama")
    scale = model.model.norm.weight.requires_grad_()
    weights_N = torch.linspace(-1, 2, 36)  # every token's loss has a gradient of its own
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        found = output_loss.token_losses(model, INPUTS, TARGET)
        known = F.cross_entropy(model(**INPUTS).logits[0].float(), TARGET, reduction="none")
    assert found is not None
    torch.testing.assert_close(found, known, rtol=1e-5, atol=1e-5)
    one, two = (torch.autograd.grad((losses * weights_N).sum(), scale)[0] for losses in (found, known))
    tolerance = 1e-5 if dtype == torch.float32 else 1e-2
    assert (one - two).norm() <= tolerance * two.norm()


@pytest.mark.parametrize(
    ("family", "options", "plain"),
    [
        ("Llama", {}, True),
        ("Qwen2", {}, True),
        ("Gemma2", {"final_logit_softcapping": 30.0}, False),
        ("Gemma2", {"final_logit_softcapping": None}, True),
        ("Granite", {"logits_scaling": 8.0}, False),
        ("Cohere", {"logit_scale": 0.0625}, False),
    ],
)
def test_a_model_that_changes_its_logits_goes_the_plain_way(family, options, plain):
    model = language_model(family, **options)
    assert output_loss.is_plain(model) == plain
    assert (output_loss.token_losses(model, INPUTS, TARGET) is not None) == plain


def test_an_output_layer_that_trains_goes_the_plain_way():
    model = language_model("Llama")
    model.get_output_embeddings().weight.requires_grad_()
    assert output_loss.token_losses(model, INPUTS, TARGET) is None
