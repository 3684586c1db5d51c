"""`check` and `plan` look at a small model of the kind before any weight is read, and find what training finds."""

from __future__ import annotations

import copy

import pytest
import torch
import transformers as T

from tests.models.families import BEHIND, BOTH, CLASSIFIERS, DECODERS, FEWER, MARKS, SIZES, built, saved
from weitiao import api
from weitiao.core import registry
from weitiao.core.errors import WeitiaoError
from weitiao.data.layout import Layout
from weitiao.forecast.looked import fitting
from weitiao.models import first_step, load, miniature, store

WORDS = registry.build("task", {"name": "language_modeling"})
LABELS = registry.build("task", {"name": "text_classification", "labels": ["bad", "good"]})
LABELLED = {"id2label": {0: "bad", 1: "good"}, "label2id": {"bad": 0, "good": 1}}
REFORMER = {
    **{
        "hidden_size": 32,
        "num_attention_heads": 4,
        "attention_head_size": 8,
        "feed_forward_size": 64,
        **MARKS,
    },
    **{"attn_layers": ["local", "lsh"], "local_attn_chunk_length": 8, "lsh_attn_chunk_length": 8},
    **{"axial_pos_shape": [8, 8], "axial_pos_embds_dim": [16, 16], "max_position_embeddings": 64},
}
XMOD = {**BEHIND, "languages": ["en_XX"], "default_language": "en_XX", **LABELLED}
LONG = {**BOTH, "max_encoder_position_embeddings": 64, "max_decoder_position_embeddings": 64}


def kept(model, folder) -> str:
    return saved(model, folder)


def small(folder: str, *, task=WORDS, **words):
    asked = {"half": None, "recomputes": False, "longest": None, "device": "cpu"} | words
    return miniature.examined(folder, task, **asked)


def wrong(verb, tree) -> str:
    with pytest.raises(WeitiaoError) as caught:
        verb(tree)
    return f"{caught.value.code}: {caught.value}"


VERBS = (fitting, api.plan, api.train)


@pytest.mark.whole
def test_what_fails_in_half_precision_is_refused_before_training_and_the_way_out_works(classify, tmp_path):
    torch.manual_seed(0)
    folder = kept(T.XmodForSequenceClassification(T.XmodConfig(**XMOD)), tmp_path / "base")
    for verb in VERBS:
        tree = classify(max_steps=1, bf16=True, save_strategy="no") | {"model": folder}
        said = wrong(verb, copy.deepcopy(tree))
        assert said.startswith("fails_so")
        assert "train.bf16=true: Index put requires" in said
        assert "train.bf16=false" in said
        fitting(tree, overrides=["train.bf16=false"])
    assert api.train(tree, overrides=["train.bf16=false"]).results


def test_what_reads_rows_of_any_length_and_learns_from_one_alone_is_refused(classify, tmp_path):
    torch.manual_seed(0)
    model = T.ReformerForSequenceClassification(T.ReformerConfig(**REFORMER, is_decoder=False, **LABELLED))
    tree = classify(max_steps=1) | {"model": kept(model, tmp_path / "base")}
    for verb in VERBS:
        said = wrong(verb, copy.deepcopy(tree))
        assert said.startswith("model_fails")
        assert "in training mode: If training, sequence length" in said


def test_a_fault_of_recomputation_alone_names_its_key(llama, monkeypatch):
    found = load.load(llama, WORDS)
    store.prepare(found, registry.build("method", {"name": "lora"}), seed=0)
    layer, forward = found.model.model.layers[0], found.model.model.layers[0].forward

    def fails(*words, **others):
        if layer.gradient_checkpointing and layer.training:
            raise IndexError("no room")
        return forward(*words, **others)

    monkeypatch.setattr(layer, "forward", fails)
    asked = {"half": None, "ref": "it", "room": 64}
    first_step.refuse_failing(found, WORDS, recomputes=False, **asked)
    with pytest.raises(WeitiaoError, match="it.*train.activation_checkpointing=true: no room") as caught:
        first_step.refuse_failing(found, WORDS, recomputes=True, **asked)
    assert caught.value.values["way"] == "train.activation_checkpointing=false"
    assert not layer.gradient_checkpointing


@pytest.mark.parametrize("recomputes", [False, True])
def test_nothing_of_the_first_step_stays(bert, recomputes):
    found = load.load(bert, LABELS, dropout=0.5)
    found.model.bert.register_buffer("seen", torch.zeros(()))
    found.model.bert.register_forward_hook(lambda module, *_: module.seen.add_(1) and None)
    store.prepare(found, registry.build("method", {"name": "full"}), seed=0)
    before, chance = copy.deepcopy(found.model.state_dict()), torch.random.get_rng_state()
    first_step.refuse_failing(found, LABELS, half="bfloat16", recomputes=recomputes, ref="it", room=64)
    assert torch.equal(torch.random.get_rng_state(), chance)
    assert not found.model.training
    assert not found.model.is_gradient_checkpointing
    assert all(weight.grad is None for weight in found.model.parameters())
    assert all(torch.equal(weight, before[name]) for name, weight in found.model.state_dict().items())


@pytest.mark.parametrize("name", ["mamba", "gemma2", "gpt_neo", "lfm2", "llama", "mixtral"])
def test_rows_lie_in_the_small_model_as_in_the_model_itself(name, tmp_path):
    found = small(kept(built(name, "CausalLM"), tmp_path / "base"))
    assert found.layout is DECODERS[name][1]
    opened = load.load(str(tmp_path / "base"), WORDS)
    assert found.attention == opened.model.config._attn_implementation


@pytest.mark.parametrize("name", ["convbert", "roformer", "xlnet", "bart"])
def test_so_it_is_with_classifiers(name, tmp_path):
    folder = kept(built(name, "SequenceClassification"), tmp_path / "base")
    assert small(folder, task=LABELS).layout is CLASSIFIERS[name][1]


def test_the_small_model_has_a_block_of_every_kind(tmp_path):
    kinds = ["full_attention"] * 4 + ["conv"] + ["full_attention"] * 3
    words = {**FEWER, "num_hidden_layers": 8, "layer_types": kinds, "vocab_size": 50_000}
    config = T.Lfm2Config(**words)
    whole = miniature._meta(config, WORDS)
    cut = miniature._cut(config, whole, WORDS, fewest=2)
    assert (cut.num_hidden_layers, cut.layer_types, cut.vocab_size) == (5, kinds[:5], miniature.WORDS)
    kept(T.Lfm2ForCausalLM(T.Lfm2Config(**{**words, "vocab_size": 64})), tmp_path / "base")
    assert small(str(tmp_path / "base")).layout is Layout.PADDED


@pytest.mark.whole
def test_what_is_too_large_to_be_tried_small_is_said(converse, monkeypatch):
    monkeypatch.setattr(miniature, "MOST", 10)
    monkeypatch.setenv("WEITIAO_LANG", "en")
    (said,) = api.plan(converse()).notices
    assert "is too large to be tried small: whether its rows may lie laid end to end" in said


@pytest.mark.whole
def test_a_plan_counts_the_padding_that_training_will_have(converse, tmp_path):
    tree = converse() | {"task": {"name": "language_modeling"}}
    tree["data"] = {"train": [str(tmp_path / "texts.jsonl")], "split": {"validation": 0.2, "test": 0.2}}
    rows = "".join(f'{{"text": "{"ab" * (1 + i % 9)} {i}"}}\n' for i in range(60))
    (tmp_path / "texts.jsonl").write_text(rows)
    for name, pads in (("mamba", True), ("llama", False)):
        tree["model"] = kept(built(name, "CausalLM"), tmp_path / name)
        tree["method"] = {"name": "lora", "r": 2}
        found = api.plan(tree, overrides=["train.bf16=false", "train.train_sampling_strategy=random"])
        assert (found.batch["padding"] > 0) is pads
        assert any("filled up to one length" in said for said in found.notices) is pads


@pytest.mark.whole
def test_a_model_that_cannot_be_gone_through_on_shapes_has_no_plan_and_trains(classify, tmp_path):
    config = T.LongformerConfig(**{**BEHIND, "attention_window": 4}, **LABELLED)
    folder = kept(T.LongformerForSequenceClassification(config), tmp_path / "base")
    tree = classify(max_steps=1, save_strategy="no") | {"model": folder}
    assert wrong(api.plan, copy.deepcopy(tree)).startswith("no_forecast")
    fitting(tree)
    assert api.train(tree).results


@pytest.mark.whole
def test_rows_picked_by_a_mask_are_counted_on_shapes(classify, tmp_path):
    torch.manual_seed(0)
    folder = kept(built("bart", "SequenceClassification"), tmp_path / "base")
    assert api.plan(classify() | {"model": folder}).batch["rows"] == 8


def test_a_model_that_reads_ahead_is_refused_before_its_weights_are_read(converse, tmp_path):
    torch.manual_seed(0)
    folder = kept(T.BertLMHeadModel(T.BertConfig(**SIZES)), tmp_path / "base")
    for verb in VERBS:
        assert wrong(verb, converse() | {"model": folder}).startswith("not_causal")
