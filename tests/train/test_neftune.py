"""Noise on the embeddings: its size for padded and packed rows, against Transformers' hook, and when there is none."""

from __future__ import annotations

import math

import pytest
import torch

from weitiao.core import registry
from weitiao.core.contracts import Record
from weitiao.methods.prompt import Prompt
from weitiao.models import inputs, load, store
from weitiao.train.neftune import Neftune

ALPHA = 5.0
CLASSES = "text_classification"


class Running:
    """All that the noise asks of a training."""

    def __init__(self, model):
        self.model = model


def loaded(request, family: str, method: str | None = None):
    task = registry.build("task", {"name": "sft" if family == "llama" else CLASSES})
    if family != "llama":
        task = registry.build("task", {"name": CLASSES, "labels": ["a", "b"]})
    found = load.load(request.getfixturevalue(family), task)
    if method:
        store.prepare(found, registry.build("method", {"name": method}), seed=0)
    return found.model.train()


class Seen:
    """What came out of the word embeddings, with the noise."""

    def __init__(self, model):
        self.embedding = inputs.text_model(model).get_input_embeddings()
        self.said: list[torch.Tensor] = []

    def noise(self, model, alpha: float = ALPHA, **words) -> torch.Tensor:
        self.said.clear()
        with Neftune(alpha).around(Running(model)):
            handle = self.embedding.register_forward_hook(lambda *given: self.said.append(given[2].detach()))
            model(**words)
            handle.remove()
        (out,) = self.said
        return out - self.embedding.weight[words["input_ids"]].detach()


def padded(lengths: list[int]) -> dict[str, torch.Tensor]:
    mask = torch.tensor([[1] * n + [0] * (max(lengths) - n) for n in lengths])
    return {"input_ids": torch.randint(4, 40, mask.shape), "attention_mask": mask}


def packed(lengths: list[int]) -> dict[str, torch.Tensor]:
    bounds = torch.tensor([0, *lengths]).cumsum(0)
    positions = torch.cat([torch.arange(n) for n in lengths])
    return {
        "input_ids": torch.randint(4, 40, (1, sum(lengths))),
        "position_ids": positions[None],
        "cu_seq_lens_q": bounds,
        "use_cache": False,
    }


def check_row(noise_TD: torch.Tensor, length: int) -> None:
    """Uniform on both sides of 0, up to alpha / sqrt(L d), and reaching near it."""
    bound = ALPHA / math.sqrt(length * noise_TD.shape[-1])
    # What is added to a vector and taken off again is off by a rounding.
    assert noise_TD.abs().max() <= bound * (1 + 1e-5) + 1e-6
    assert noise_TD.abs().max() > 0.9 * bound
    assert noise_TD.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.15)


def test_the_noise_of_a_padded_row_goes_by_its_own_tokens(bert, request):
    torch.manual_seed(0)
    model, lengths = loaded(request, "bert"), [4, 9, 30]
    noise_BTD = Seen(model).noise(model, **padded(lengths))
    for noise_TD, length in zip(noise_BTD, lengths, strict=True):
        check_row(noise_TD[:length], length)
        assert not noise_TD[length:].any(), "padding has none"


def test_the_noise_of_packed_rows_goes_by_each_row(llama, request):
    torch.manual_seed(0)
    model, lengths = loaded(request, "llama"), [4, 9, 30]
    noise_TD = Seen(model).noise(model, **packed(lengths))[0]
    for part, length in zip(noise_TD.split(lengths), lengths, strict=True):
        check_row(part, length)


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_without_padding_it_is_transformers_own_noise(request, family):
    from transformers.integrations.neftune import activate_neftune, deactivate_neftune

    model = loaded(request, family)
    words = padded([7, 7, 7])
    torch.manual_seed(3)
    ours = Seen(model).noise(model, **words)
    torch.manual_seed(3)
    handle = activate_neftune(model, ALPHA)
    embedding = model.get_input_embeddings()
    theirs = embedding(words["input_ids"]) - embedding.weight[words["input_ids"]]
    deactivate_neftune(model, handle)
    torch.testing.assert_close(ours, theirs.detach(), rtol=1e-4, atol=1e-6)
    assert ours.any()


def test_there_is_none_outside_of_training_nor_afterwards(bert, request):
    model, words = loaded(request, "bert"), padded([5, 8])
    seen = Seen(model)
    assert not seen.noise(model.eval(), **words).any()
    assert seen.noise(model.train(), **words).any()
    assert not seen.embedding._forward_hooks
    assert not inputs.text_model(model)._forward_pre_hooks


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_a_prompts_own_vectors_have_none_and_do_not_count(request, family):
    torch.manual_seed(0)
    model = loaded(request, family, "prompt")
    (prompt,) = (module for module in model.modules() if isinstance(module, Prompt))
    words = packed([6, 20]) if family == "llama" else padded([6, 20])
    noise = Seen(model).noise(model, **words)
    rows = noise[0].split([6, 20]) if family == "llama" else [noise[0][:6], noise[1]]
    for part, length in zip(rows, (6, 20), strict=True):
        check_row(part, length)
    assert noise.shape[:2] == words["input_ids"].shape, "of the words alone"
    assert prompt.enabled


def test_the_decoder_of_an_encoder_decoder_hears_none(t5):
    from transformers import AutoModelForSeq2SeqLM

    model = AutoModelForSeq2SeqLM.from_pretrained(t5).train()
    said, words = [], padded([5, 20])
    # The same weights, in one module or two.
    embeddings = {part.get_input_embeddings() for part in (model.get_encoder(), model.get_decoder())}
    with Neftune(ALPHA).around(Running(model)):
        for module in embeddings:
            module.register_forward_hook(lambda *given: said.append((given[1][0], given[2].detach())))
        model(**words, decoder_input_ids=words["input_ids"][:, :3])
    shared = model.get_input_embeddings()
    (read, of_encoder), (written, of_decoder) = said
    noise = of_encoder - shared.weight[read].detach()
    check_row(noise[0, :5], 5)
    check_row(noise[1], 20)
    assert torch.equal(of_decoder, shared.weight[written].detach())


def test_the_gradient_of_a_trained_embedding_goes_through(bert, request):
    model, words = loaded(request, "bert").eval(), padded([5])
    embedding = model.get_input_embeddings().train()
    with Neftune(1e-4).around(Running(model)):
        model(**words).logits[0, 0].backward()
    noisy, embedding.weight.grad = embedding.weight.grad, None
    model(**words).logits[0, 0].backward()
    torch.testing.assert_close(noisy, embedding.weight.grad, rtol=1e-2, atol=1e-4)
    assert noisy.any()


def test_rows_of_a_record_are_what_the_tasks_collate(bert):
    """What the size rests on: the tasks give the mask, or the bounds, by these names."""
    words = registry.build("task", {"name": CLASSES, "labels": ["a", "b"]})
    found = load.load(bert, words)
    rows = [Record("t", i, {"text": text, "label": "a"}) for i, text in enumerate(("great film", "dull"), 1)]
    batch = words.collate(list(words.encode(rows, found.processor, limit=64)), [0, 1], found.processor)
    assert batch.inputs["attention_mask"].sum(1).tolist() == [4, 3]
    scale_BT1 = Neftune(ALPHA).scale(batch.inputs)
    assert scale_BT1[:, 0, 0].tolist() == pytest.approx([ALPHA / 2, ALPHA / math.sqrt(3)])
    assert scale_BT1[1, 3, 0] == 0
