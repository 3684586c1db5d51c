"""What a model does with rows beside each other is measured when it is opened; planted faults are found."""

from __future__ import annotations

import copy

import pytest
import torch
import transformers as T
from torch.nn import functional as F

from tests.conftest import dialogues
from tests.tasks.test_every_task import chat_records
from weitiao.core import registry
from weitiao.core.errors import WeitiaoError
from weitiao.data.layout import Layout
from weitiao.models import anatomy, attention, examine, load

CHAT = registry.build("task", {"name": "sft"})
LABELS = registry.build("task", {"name": "text_classification", "labels": ["bad", "good"]})


def opened(ref: str, *, task=CHAT) -> load.Loaded:
    """With weights large enough that a leak is one."""
    found = load.load(ref, task)
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in found.model.parameters():
            weight += 0.1 * torch.randn_like(weight)
    return found


def asked(found: load.Loaded, *, task=CHAT) -> examine.Examined:
    return examine.examine(found.model, task, found.processor, ref="it")


# --- layouts


def test_which_rows_share_a_pass():
    rows, lengths = [3, 1, 4, 0], [9, 7, 9, 5]
    assert Layout.PACKED.parts(rows, lengths) == Layout.PADDED.parts(rows, lengths) == [rows]
    assert Layout.ALIKE.parts(rows, lengths) == [[3, 4], [1], [0]]
    assert Layout.ALONE.parts(rows, lengths) == [[3], [1], [4], [0]]


def test_padded_rows_have_the_losses_and_gradients_of_packed_ones(llama):
    found = opened(llama)
    examples = list(CHAT.encode(chat_records(dialogues(5)), found.processor, limit=64))
    weights = list(found.model.parameters())
    for weight in weights:
        weight.requires_grad_()  # an output layer that learns goes the other way through `heads`
    packed, padded = CHAT.pack(examples, range(5)), CHAT.collate(examples, range(5), found.processor)
    assert padded.inputs["input_ids"].shape == (5, max(map(len, examples)))
    assert padded.padding == 5 * max(map(len, examples)) - packed.tokens
    for frozen in (False, True):
        found.model.get_output_embeddings().weight.requires_grad_(not frozen)
        learning = [weight for weight in weights if weight.requires_grad]
        one, two = (CHAT.losses(CHAT.logits(found.model, b), b) for b in (packed, padded))
        torch.testing.assert_close(one, two)
        one, two = (torch.autograd.grad(CHAT.loss(found.model, b), learning) for b in (packed, padded))
        for a, b in zip(one, two, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)
    assert CHAT.predict(found.model, packed) == [
        {"loss": pytest.approx(row["loss"], rel=1e-5), "tokens": row["tokens"]}
        for row in CHAT.predict(found.model, padded)
    ]


# --- faults


def without_a_mask(module, query, key, value, mask, **words):
    words = {name: words.get(name) for name in ("scaling",)}
    y = F.scaled_dot_product_attention(query, key, value, scale=words["scaling"], enable_gqa=True)
    return y.transpose(1, 2).contiguous(), None


def over_the_edge(module, query, key, value, mask, *, cu_seq_lens_q=None, **others):
    edge = None if cu_seq_lens_q is None else torch.tensor([0, query.shape[2]])
    return attention.rows_attention(module, query, key, value, mask, cu_seq_lens_q=edge, **others)


def without_a_window(module, query, key, value, mask, **others):
    return attention.rows_attention(module, query, key, value, mask, **{**others, "sliding_window": None})


def planted(monkeypatch, function) -> None:
    """That function stands where ours stood."""
    T.AttentionInterface.register(attention.ROWS, function)
    monkeypatch.setattr(attention, "register", lambda: attention.ROWS)


@pytest.fixture(autouse=True)
def _ours_again():
    yield
    attention.register()


@pytest.mark.parametrize("fault", [without_a_mask, over_the_edge])
def test_an_attention_that_lets_words_hear_what_they_must_not_is_left(llama, monkeypatch, fault):
    planted(monkeypatch, fault)
    found = load.load(llama, CHAT)
    assert (found.layout, found.model.config._attn_implementation) == (Layout.PADDED, "sdpa")
    (notice,) = found.notices
    assert llama in notice
    assert "laid end to end give other scores than alone" in notice
    assert "now filled up to one length" in notice


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("fault", [None, without_a_mask, over_the_edge])
def test_in_half_precision_rounding_is_no_leak_and_a_leak_no_rounding(llama, monkeypatch, half, fault):
    found = opened(llama)
    found.model.to(half)
    if fault:
        planted(monkeypatch, fault)
    assert asked(found).layout is (Layout.PADDED if fault else Layout.PACKED)


@pytest.mark.parametrize("window", [4, 40])
def test_a_window_is_looked_through_however_long_it_is(llama, monkeypatch, window):
    words = copy.deepcopy(T.AutoConfig.from_pretrained(llama)).to_dict()
    words.pop("model_type")
    torch.manual_seed(0)
    model = T.MistralForCausalLM(T.MistralConfig(**{**words, "sliding_window": window})).eval()
    found = load.Loaded(model, load.processor(llama)[0], frozenset(), llama)
    assert asked(found).layout is Layout.PACKED
    planted(monkeypatch, without_a_window)
    assert asked(found).layout is Layout.PADDED
    assert model.config.sliding_window == window


def test_a_long_rope_lets_rows_of_one_length_alone_share_a_pass(llama, monkeypatch):
    monkeypatch.setenv("WEITIAO_LANG", "en")
    torch.manual_seed(0)
    rope = {"rope_type": "longrope", "rope_theta": 1e4, "factor": 2.0}
    rope |= {"short_factor": [1.0] * 4, "long_factor": [4.0, 3.0, 2.0, 8.0]}
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    marks = {
        "vocab_size": len(load.processor(llama)[0]),
        "pad_token_id": 0,
        "num_key_value_heads": 4,
        "eos_token_id": 1,
    }
    places = {"max_position_embeddings": 128, "original_max_position_embeddings": 16}
    config = T.Phi3Config(**sizes, **marks, **places, rope_parameters=rope)
    model = T.Phi3ForCausalLM(config).eval()
    words, buffers = model.config.to_dict(), {name: each.clone() for name, each in model.named_buffers()}
    own = set(vars(model.model.rotary_emb))
    processor = load.processor(llama)[0]
    found = examine.examine(model, CHAT, processor, ref="it")
    assert (found.layout, found.bend) == (Layout.ALIKE, 16)
    assert "16" in found.notices("it", packs=True)[0]
    assert examine.examine(model, CHAT, processor, ref="it", longest=17).layout is Layout.ALIKE
    assert model.config.to_dict() == words
    assert all(torch.equal(each, buffers[name]) for name, each in model.named_buffers())
    assert set(vars(model.model.rotary_emb)) == own
    assert examine.examine(model, CHAT, processor, ref="it", longest=16).layout is Layout.PACKED


def test_a_window_that_layers_keep_themselves_is_looked_through(llama):
    torch.manual_seed(0)
    words = copy.deepcopy(T.AutoConfig.from_pretrained(llama)).to_dict()
    words.pop("model_type")
    model = T.DogeForCausalLM(T.DogeConfig(**{**words, "keep_window_size": 40})).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.1 * torch.randn_like(weight)
    found = examine.examine(model, CHAT, load.processor(llama)[0], ref="it")
    assert found.layout is not Layout.PACKED
    assert (found.apart or 0) > 0.1
    assert {layer.self_attn.keep_window_size for layer in model.model.layers} == {40}


def test_a_model_that_reads_ahead_is_no_language_model(bert, llama, tmp_path):
    torch.manual_seed(0)
    config = T.AutoConfig.from_pretrained(bert)
    for told in (False, True):
        config.is_decoder = told
        T.BertLMHeadModel(config).save_pretrained(tmp_path / str(told))
        load.processor(llama)[0].save_pretrained(tmp_path / str(told))
    with pytest.raises(WeitiaoError, match="bert") as caught:
        load.load(str(tmp_path / "False"), CHAT)
    assert (caught.value.code, caught.value.exit_code) == ("not_causal", 4)
    assert load.load(str(tmp_path / "True"), CHAT).layout is Layout.PACKED, "the way out"


def test_a_model_that_cannot_read_is_refused_by_name(llama, monkeypatch):
    found = opened(llama)
    monkeypatch.setattr(type(found.model.model), "forward", lambda *_, **__: [][0])
    with pytest.raises(WeitiaoError, match="it.*list index out of range") as caught:
        asked(found)
    assert (caught.value.code, caught.value.exit_code) == ("model_fails", 4)
    monkeypatch.undo()
    with torch.no_grad():
        found.model.lm_head.weight.fill_(float("nan"))
    with pytest.raises(WeitiaoError, match="no numbers"):
        asked(found)


def test_memory_that_ran_out_says_nothing_of_the_layout(llama):
    found = opened(llama)

    def full(module, args, kwargs):
        if kwargs["input_ids"].numel() > examine.LONG:  # more than one row
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes")

    found.model.register_forward_pre_hook(full, with_kwargs=True)
    with pytest.raises(RuntimeError, match="allocate"):
        asked(found)


def test_scores_that_hang_on_chance_are_none(llama):
    found = opened(llama)
    found.model.lm_head.register_forward_hook(lambda module, args, y: y + torch.randn_like(y))
    with pytest.raises(WeitiaoError, match="the same row does not give the same scores twice"):
        asked(found)


def test_a_classifier_that_hears_its_padding_meets_rows_of_one_length_alone(bert):
    found = opened(bert, task=LABELS)
    assert asked(found, task=LABELS).layout is Layout.PADDED

    # What a convolution or a mean over all positions does.
    def mean(module, args, y):
        y.pooler_output = y.pooler_output + y.last_hidden_state.mean(1)

    found.model.bert.register_forward_hook(mean)
    assert asked(found, task=LABELS).layout is Layout.ALIKE
    # What a norm over the batch does.
    found.model.classifier.register_forward_hook(lambda module, args, y: y - y.mean(0) * (len(y) > 1))
    assert asked(found, task=LABELS).layout is Layout.ALONE


def test_nothing_of_the_examination_stays(llama):
    found = load.load(llama, CHAT)
    found.model.train()
    before, chance = copy.deepcopy(found.model.state_dict()), torch.random.get_rng_state()
    words = found.model.config.to_dict()
    asked(found)
    assert found.model.training
    assert torch.equal(torch.random.get_rng_state(), chance)
    assert found.model.config.to_dict() == words
    assert all(torch.equal(weight, before[name]) for name, weight in found.model.state_dict().items())


def test_a_prefix_is_refused_where_the_model_would_lose_something_with_our_attention(llama, monkeypatch):
    from weitiao.models import store

    prefix = registry.build("method", {"name": "p_tuning_v2", "num_virtual_tokens": 3})
    store.prepare(opened(llama), prefix, seed=0)
    found = opened(llama)
    found.model.set_attn_implementation("eager")
    planted(monkeypatch, without_a_mask)
    with pytest.raises(WeitiaoError, match="takes no keys from outside"):
        store.prepare(found, prefix, seed=0)


def test_notices_are_said_in_chinese(monkeypatch):
    monkeypatch.setenv("WEITIAO_LANG", "zh")
    (notice,) = examine.Examined(Layout.ALONE, "eager", 0.5).notices("mine", packs=False)
    assert notice == "mine：各行补齐到同一长度时与单独计算的结果不同（实测相差 50.00%）；改为：每行单独计算"
    assert not examine.Examined(Layout.PADDED, "eager").notices("mine", packs=False)


@pytest.mark.parametrize("kind", ["bert", "t5"])
def test_scores_of_where_answers_begin_and_end_are_compared_token_by_token(kind, request):
    """Of a model that names no `logits`; a leak into the row beside is found in either of its scores."""
    ref = request.getfixturevalue(kind)
    model = T.AutoModelForQuestionAnswering.from_pretrained(ref).eval()
    tokenizer = T.AutoTokenizer.from_pretrained(ref)
    assert anatomy.head(model) == {"qa_outputs.weight", "qa_outputs.bias"}
    found = examine.examine(model, LABELS, tokenizer, ref="it")
    assert (found.layout, found.apart < 1e-4) == (Layout.PADDED, True)
    said = model(torch.tensor([[1, 5, 2]]))
    assert torch.equal(examine.scored(said)[..., 1], said.end_logits)

    whole = model.forward

    def leaky(**words):
        told = whole(**words)
        told["end_logits"] = told["end_logits"] + told["end_logits"].mean(dim=0)
        return told

    model.forward = leaky
    assert examine.examine(model, LABELS, tokenizer, ref="it").layout is not Layout.PADDED
