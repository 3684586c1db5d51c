"""Both sides of an encoder-decoder end to end: what rows say alone, by the formula, in every family that can; faults are found."""

from __future__ import annotations

import pytest
import torch
import transformers as T
from torch import nn

from tests.models.test_examine import _ours_again, planted  # noqa: F401 - a fixture
from tests.tasks import writers
from tests.tasks.test_seq2seq import batch_of, build, records
from weitiao.core import registry
from weitiao.core.contracts import BOUNDS, SEEN_BOUNDS
from weitiao.data.layout import Layout
from weitiao.models import anatomy, attention, load, store

pytestmark = pytest.mark.whole  # each family, end to end

MORE = {
    "mt5": lambda: T.MT5ForConditionalGeneration(T.MT5Config(**writers.T5)),
    "blenderbot": lambda: T.BlenderbotForConditionalGeneration(
        T.BlenderbotConfig(**writers.BOTH, decoder_start_token_id=1)
    ),
    "roberta2roberta": lambda: T.EncoderDecoderModel(
        encoder=T.RobertaModel(T.RobertaConfig(**writers.BERT)),
        decoder=T.RobertaForCausalLM(
            T.RobertaConfig(**writers.BERT, is_decoder=True, add_cross_attention=True)
        ),
    ),
}
OTHERS = {
    # A bias for all pairs of the whole sequence, in every block; attention by blocks of tokens.
    "umt5": lambda: T.UMT5ForConditionalGeneration(T.UMT5Config(**writers.T5)),
    "longt5": lambda: T.LongT5ForConditionalGeneration(T.LongT5Config(**writers.T5)),
}
FAMILIES = ["t5", "bart", "bert2bert", "mbart", "marian", "pegasus", *MORE]


def opened(family, place):
    make = MORE.get(family) or OTHERS.get(family)
    torch.manual_seed(0)
    folder = writers.saved(make() if make else writers.model(family), place)
    loaded = load.load(folder, build())
    loaded.model.eval()
    return build(), loaded


def filled(task, loaded, examples):
    return task.collate(examples, list(range(len(examples))), loaded.processor)


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_end_to_end_say_and_learn_what_padded_rows_do(family, tmp_path):
    """Computed again in backward, too, as long runs do."""
    task, loaded = opened(family, tmp_path)
    assert loaded.layout is Layout.PACKED
    assert not any("laid end to end" in notice for notice in loaded.notices)
    examples, batch = batch_of(task, loaded, records())
    assert BOUNDS in batch.inputs
    learning = [weight for weight in loaded.model.parameters() if weight.requires_grad]

    def learnt(asked):
        loss = task.loss(loaded.model, asked)
        return loss, *torch.autograd.grad(loss, learning, allow_unused=True, materialize_grads=True)

    truth = learnt(filled(task, loaded, examples))
    once = learnt(batch)
    loaded.model.train()
    for module in loaded.model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        for name in ("dropout", "attention_dropout", "activation_dropout"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)
    anatomy.recompute(loaded.model)
    for found in (once, learnt(batch)):
        for a, b in zip(found, truth, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", ["t5", "bart"])
def test_another_row_beside_it_changes_nothing_in_a_row(family, tmp_path):
    task, loaded = opened(family, tmp_path)
    rows = records(3)
    others = [records(8)[-1], *rows[1:]]
    with torch.no_grad():
        one, two = (batch_of(task, loaded, asked)[1] for asked in (rows, others))
        found = [task.logits(loaded.model, batch) for batch in (one, two)]
    first, behind = (int((batch.target[0] >= 0).sum()) for batch in (one, two))
    torch.testing.assert_close(found[0][first:], found[1][behind:])
    assert not torch.equal(found[0][:1], found[1][:1])


@pytest.mark.parametrize("family", [*OTHERS])
def test_models_that_mix_rows_up_or_pay_for_all_pairs_get_them_filled_up_and_say_so(family, tmp_path):
    task, loaded = opened(family, tmp_path)
    assert loaded.layout is Layout.PADDED
    assert any("laid end to end" in notice for notice in loaded.notices)
    _, batch = batch_of(task, loaded, records())
    assert batch.inputs["attention_mask"].shape == batch.inputs["input_ids"].shape


def sees_all_that_was_read(module, query, key, value, mask, **others):
    """The written rows see every row that was read."""
    if others.get(SEEN_BOUNDS) is not None and not module.is_causal:
        others[BOUNDS] = torch.tensor([0, query.shape[2]])
        others[SEEN_BOUNDS] = torch.tensor([0, key.shape[2]])
    return attention.rows_attention(module, query, key, value, mask, **others)


def sees_the_row_before(module, query, key, value, mask, **others):
    """Rows that are read run into the next one by a token."""
    if others.get(SEEN_BOUNDS) is None and others.get(BOUNDS) is not None:
        others[BOUNDS] = others[BOUNDS].clone()
        others[BOUNDS][1:-1] += 1
    return attention.rows_attention(module, query, key, value, mask, **others)


@pytest.mark.parametrize("fault", [sees_all_that_was_read, sees_the_row_before])
def test_an_attention_over_the_edge_of_either_side_is_found(fault, tmp_path, monkeypatch):
    planted(monkeypatch, fault)
    _, loaded = opened("bart", tmp_path)
    assert loaded.layout is Layout.PADDED
    assert any("laid end to end give other scores" in notice for notice in loaded.notices)


@pytest.mark.parametrize("name", ["prompt", "prefix", "unipelt"])
def test_what_methods_put_before_rows_stands_before_each_of_them(name, tmp_path):
    """Prompts before what is read, prefixes in every attention, gates that mean over a row."""
    task, loaded = opened("t5", tmp_path)
    store.prepare(loaded, registry.build("method", {"name": name}), seed=0)
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in loaded.trained.values():
            weight += 0.1 * torch.randn_like(weight)
        loaded.model.eval()
        examples, batch = batch_of(task, loaded, records())
        truth = filled(task, loaded, examples)
        one, two = (task.losses(task.logits(loaded.model, asked), asked) for asked in (batch, truth))
    torch.testing.assert_close(one, two)


def test_a_compiled_model_is_asked_with_rows_filled_up(tmp_path):
    task, loaded = opened("t5", tmp_path)
    _, batch = batch_of(task, loaded, records())
    with torch.no_grad():
        before = task.losses(task.logits(loaded.model, batch), batch)
        heard = []
        call = loaded.model.register_forward_pre_hook(
            lambda m, a, words: heard.append({*words}), with_kwargs=True
        )
        loaded.model._compiled_call_impl = loaded.model._call_impl  # as after `compile()`
        torch.testing.assert_close(task.losses(task.logits(loaded.model, batch), batch), before)
        call.remove()
    assert ["attention_mask" in words for words in heard] == [True]


# --- attention, by the definition

ENDS, SEEN = torch.tensor([0, 4, 5, 12]), torch.tensor([0, 2, 9, 10])


@pytest.mark.parametrize("short", [True, False])
@pytest.mark.parametrize(
    ("causal", "seen", "biased"), [(True, ENDS, True), (False, SEEN, False), (False, ENDS, True)]
)
def test_attention_inside_rows_is_the_definition(causal, seen, biased, short, monkeypatch):
    """With a bias by distance, and over other rows than one's own; as batched products and as torch's own attention."""
    if not short:
        monkeypatch.setattr(attention, "LONGEST", 0)
    torch.manual_seed(0)
    longest = (int(ENDS.diff().max()), int(seen.diff().max()))
    sizes = [(1, 4, 12, 8), (1, 2, int(seen[-1]), 8), (1, 2, int(seen[-1]), 8), (1, 4, *longest)]
    parts = [torch.randn(size, dtype=torch.double, requires_grad=True) for size in sizes]
    query, key, value, bias = parts
    module = nn.Module()
    module.is_causal = causal
    # A causal module sees its own rows, whatever else is read.
    words = {"scaling": 0.5, BOUNDS: ENDS, SEEN_BOUNDS: SEEN if causal else seen}
    words |= {"position_bias": bias} if biased else {}
    y, _ = attention.rows_attention(module, query.float(), key.float(), value.float(), None, **words)
    rows = []
    for a, b, c, d in zip(ENDS[:-1], ENDS[1:], seen[:-1], seen[1:], strict=True):
        keys, values = (part[0, :, c:d].repeat_interleave(2, 0) for part in (key, value))
        scores = query[0, :, a:b] @ keys.transpose(1, 2) * 0.5
        scores = scores + bias[0, :, : b - a, : d - c] if biased else scores
        if causal:
            later = torch.ones(scores.shape[1:], dtype=torch.bool).triu(1)
            scores = scores.masked_fill(later, -torch.inf)
        rows.append(scores.softmax(-1) @ values)
    truth = torch.cat(rows, 1).transpose(0, 1)[None]
    torch.testing.assert_close(y.double(), truth, rtol=1e-4, atol=1e-5)
    asked = parts if biased else parts[:3]
    back = torch.randn_like(truth)
    found = torch.autograd.grad(y, asked, back.float())
    for a, b in zip(found, torch.autograd.grad(truth, asked, back), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
