"""Packed rows on a device: the masked way by brute force, and what the kernel is asked, by stand-ins for it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
import transformers as T
from torch import nn

from tests.models import families
from weitiao.core import registry
from weitiao.core.contracts import BOUNDS, Example, Record
from weitiao.forecast import step_memory
from weitiao.models import attention, examine, load, varlen

SIZES = (5, 1, 9)
ENDS = torch.tensor([0, *SIZES]).cumsum(0)


def by_hand(query, key, value, bounds, scaling, window):
    """Every score on its own, in the order of the definition."""
    _, heads, tokens, width = query.shape
    groups = heads // key.shape[1]
    scaling = width**-0.5 if scaling is None else scaling
    rows = []
    for a, b in zip(bounds.tolist(), bounds.tolist()[1:], strict=False):
        for t in range(a, b):
            first = a if window is None else max(a, t - window + 1)
            told = []
            for head in range(heads):
                keys, values = key[0, head // groups, first : t + 1], value[0, head // groups, first : t + 1]
                shares = ((keys * query[0, head, t]).sum(1) * scaling).softmax(0)
                told.append((shares[:, None] * values).sum(0))
            rows.append(torch.stack(told))
    return torch.stack(rows)[None]


def drawn(heads=4, keys=2, width=8, dtype=torch.float64):
    chance = torch.Generator().manual_seed(1)
    shapes = ((count, sum(SIZES), width) for count in (heads, keys, keys))
    return [torch.randn(1, *shape, generator=chance, dtype=dtype).requires_grad_() for shape in shapes]


@pytest.mark.parametrize("window", [None, 3])
@pytest.mark.parametrize(("keys", "scaling"), [(4, None), (2, 0.3), (1, None)])
def test_the_masked_way_is_the_definition(keys, scaling, window):
    parts = drawn(keys=keys)
    ours = varlen.attend(*parts, ENDS, scaling=scaling, window=window)
    theirs = by_hand(*parts, ENDS, scaling, window)
    torch.testing.assert_close(ours, theirs)
    back = torch.randn_like(ours)
    for a, b in zip(
        torch.autograd.grad(ours, parts, back), torch.autograd.grad(theirs, parts, back), strict=True
    ):
        torch.testing.assert_close(a, b)


def stand_in(query, key, value, ends, _, most, __, *, scale, window_size, enable_gqa, fault=""):
    """What `varlen_attn` says that it does, by hand: (T, H, D), and a window of so many besides the token itself."""
    assert enable_gqa or query.shape[1] == key.shape[1]
    assert ends.dtype == torch.int32
    assert most == int(ends.diff().max())
    left, right = window_size
    assert right == 0
    if fault == "leak":
        ends = torch.tensor([0, len(query)])
    window = None if left < 0 else left + (2 if fault == "window" else 1)
    y = by_hand(*(part.transpose(0, 1)[None] for part in (query, key, value)), ends, scale, window)[0]
    return y * 1.1 if fault == "scale" else y


@pytest.mark.parametrize("window", [None, 3, 100])
def test_the_kernel_is_asked_for_the_same(window, monkeypatch):
    import torch.nn.attention.varlen as torchs

    monkeypatch.setattr(torchs, "varlen_attn", stand_in)
    parts = drawn()
    ours = varlen.varlen(*parts, ENDS, scaling=0.3, window=window)
    torch.testing.assert_close(ours, by_hand(*parts, ENDS, 0.3, window))


@pytest.mark.parametrize("window", [None, 3])
def test_torchs_kernel_takes_what_it_is_given(window):
    """Its shapes, types and gradients on `meta`, where nothing can be computed and nobody can be waited for."""
    parts = [part.to("meta", torch.bfloat16).detach().requires_grad_() for part in drawn()]
    y = varlen.varlen(*parts, ENDS, scaling=None, window=window)
    assert (y.shape, y.device.type, y.dtype) == ((1, sum(SIZES), 4, 8), "meta", torch.bfloat16)
    slopes = torch.autograd.grad(y, parts, torch.empty_like(y))
    assert [slope.shape for slope in slopes] == [part.shape for part in parts]


@pytest.mark.parametrize("fault", ["", "leak", "window", "scale", "raises"])
def test_a_kernel_that_does_something_else_is_not_used(fault, monkeypatch):
    import torch.nn.attention.varlen as torchs

    monkeypatch.setattr(varlen, "TRIED", (5, 1, 40))

    def kernel(*parts, **words):
        if fault == "raises":
            raise RuntimeError("no kernel image is available for execution on the device")
        return stand_in(*parts, fault=fault, **words)

    monkeypatch.setattr(torchs, "varlen_attn", kernel)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():  # what a pass is in does not reach a trial
        shape = (torch.device("cpu"), torch.bfloat16, 4, 2, 8, True)
        found = varlen._holds.__wrapped__(varlen.varlen, *shape)
    assert found is (fault == "")


def test_who_may_ask_the_kernel(monkeypatch):
    """All that torch is asked about lies on the CPU here, so it says no; nothing else may say yes."""
    whole = drawn(dtype=torch.float32)
    half = [part.to("meta", torch.bfloat16) for part in whole]
    monkeypatch.setattr(varlen, "_holds", lambda *_: True)
    monkeypatch.setattr(torch.backends.cuda, "can_use_flash_attention", lambda _: True)
    assert not varlen.able(*half, dropout=0.0, slides=False)

    class Cuda:
        type = "cuda"

    class OnCuda(torch.Tensor):
        device = Cuda()

    q, k, v = (part.detach().as_subclass(OnCuda) for part in whole)
    assert varlen.able(q, k, v, dropout=0.0, slides=True)
    assert not varlen.able(q, k, v, dropout=0.1, slides=False)
    assert not varlen.able(q, k, v[..., :4], dropout=0.0, slides=False)
    monkeypatch.setattr(varlen, "_holds", lambda *_: False)
    assert not varlen.able(q, k, v, dropout=0.0, slides=False)


# --- through a model


def packed(task, found):
    records = [Record("toy", i, {"text": text}) for i, text in enumerate(("abcdefghij", "Zyx", "mnOPqr"))]
    rows = list(task.encode(records, found.processor, limit=32))
    return task.pack(rows, [0, 1, 2])


@pytest.mark.parametrize("name", ["llama", "mistral"])
def test_a_model_gives_on_a_device_what_it_gives_on_a_cpu(name, tmp_path, monkeypatch):
    """With the way that devices go; a window of 3 words slides over longer rows."""
    task = registry.build("task", {"name": "language_modeling"})
    truth = families.built(name, "CausalLM")
    if name == "mistral":
        truth.config.sliding_window = 3
    found = load.load(families.saved(truth, tmp_path), task)
    batch = packed(task, found)
    before = task.losses(task.logits(found.model, batch), batch)
    asked = []

    def on_a_device(module, query, key, value, mask, *, cu_seq_lens_q=None, sliding_window=None, **words):
        asked.append(sliding_window)
        words = {"scaling": words.get("scaling"), "window": sliding_window}
        return varlen.attend(query, key, value, cu_seq_lens_q, **words), None

    T.AttentionInterface.register(attention.ROWS, on_a_device)
    try:
        found.model.set_attn_implementation(attention.ROWS)
        torch.testing.assert_close(task.losses(task.logits(found.model, batch), batch), before)
    finally:
        attention.register()
    assert set(asked) == {3 if name == "mistral" else None}


@pytest.mark.parametrize("kernel", [True, False])
def test_attention_waits_for_no_device(kernel, monkeypatch):
    """A device that holds no numbers: whatever would read one there, fails."""
    task = registry.build("task", {"name": "language_modeling"})
    rows = [Example({"input_ids": [1] * size, "labels": [1] * size}, trained=size) for size in SIZES]
    batch = task.pack(rows, [0, 1, 2]).to("meta")
    devices = {name: tensor.device.type for name, tensor in batch.inputs.items()}
    assert devices.pop(BOUNDS) == "cpu"
    assert set(devices.values()) == {"meta"}
    monkeypatch.setattr(varlen, "able", lambda *_, **__: kernel)
    monkeypatch.setattr(varlen, "half_of", lambda part: part.dtype)  # autocast does not know `meta`
    words = {BOUNDS: batch.inputs[BOUNDS], "sliding_window": 3}
    query = torch.empty(1, 4, sum(SIZES), 8, device="meta", dtype=torch.bfloat16, requires_grad=True)
    with pytest.raises(RuntimeError, match="meta"):
        query.max().item()
    y, _ = attention.rows_attention(nn.Module(), query, query[:, :2], query[:, :2], None, **words)
    assert (y.shape, y.device.type) == ((1, sum(SIZES), 4, 8), "meta")
    (slope,) = torch.autograd.grad(y, query, torch.empty_like(y))
    assert slope.shape == query.shape


def test_a_forecast_counts_its_products():
    """Two products of width D for every pair of tokens of a row, in every head; the kernel is no operation of aten."""
    import torch.nn.attention.varlen  # noqa: F401 - it makes the operation known

    query = torch.empty(sum(SIZES), 4, 8, device="meta")
    ends = ENDS.to(torch.int32)
    func = torch.ops.torch_attn._varlen_attn.default
    work = step_memory._work(func, (query, query, query, ends, ends, max(SIZES), max(SIZES)), {}, query)
    assert work.flops == 2 * 2 * 8 * 4 * sum(size**2 for size in SIZES)


def test_ours_is_the_first_that_a_model_on_cuda_is_tried_with():
    task = registry.build("task", {"name": "language_modeling"})
    labels = registry.build("task", {"name": "text_classification", "labels": ["a", "b"]})
    assert examine.attentions(task, "cuda:1") == examine.attentions(task, torch.device("cuda"))
    assert examine.attentions(task, "cuda:1")[0] == attention.ROWS
    assert examine.attentions(task, "mps")[0] == examine.attentions(labels, "cuda:0")[0] == "sdpa"
    tried = list(
        examine._orders(
            SimpleNamespace(config=None), [attention.ROWS, "sdpa", "eager"], packs=True, cpu=False
        )
    )
    assert [name for layout, name in tried if layout is examine.Layout.PACKED] == [attention.ROWS, "sdpa"]
