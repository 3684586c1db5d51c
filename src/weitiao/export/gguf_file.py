"""A plain model of Transformers as one file of llama.cpp: what it is, its words, its weights.

why_not(config)                              ->  why llama.cpp has no such model here; empty when it has
written(plain, file, "Q8_0", words, ...)     ->  model.gguf

Names of weights are those of the package `gguf` (`get_tensor_name_map`), keys those of llama.cpp's own converter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weitiao.core.why import reason

if TYPE_CHECKING:
    import numpy as np

BLOCK = 32
"""Weights that share a scale in Q8_0 and Q4_0: rows of another length stay as they are."""
FILE_TYPES = {"F32": 0, "F16": 1, "Q4_0": 2, "Q8_0": 7}
"""llama.cpp's numbers (`LlamaFileType`)."""


@dataclass(frozen=True)
class Family:
    """Models of one kind, as llama.cpp knows them."""

    name: str
    paired: bool = False
    """Does it turn neighbouring numbers of a head together?  Rows of queries and keys then stand in another order."""
    writes: bool = True
    """Does it go on with a text, or tell of one by vectors?"""
    prefix: str = ""
    """What stands before the names of its weights where it has a head."""
    only: Mapping[str, Any] | None = None
    """What of its configuration must be so."""


BERT = {"hidden_act": "gelu", "position_embedding_type": "absolute", "is_decoder": False}
LLAMA = {"hidden_act": "silu", "attention_bias": False, "mlp_bias": False, "sliding_window": None}
FAMILIES = {
    "bert": Family("bert", writes=False, prefix="bert.", only=BERT),
    "llama": Family("llama", paired=True, only=LLAMA),
    "mistral": Family("llama", paired=True, only=LLAMA),
    "qwen2": Family("qwen2", only={"hidden_act": "silu", "use_sliding_window": False}),
    "qwen3": Family(
        "qwen3", only={"hidden_act": "silu", "attention_bias": False, "use_sliding_window": False}
    ),
}
"""Kind of a configuration -> what it is there."""


POOLED = {"mean": "MEAN", "cls": "CLS", "last": "LAST", "head": "RANK"}
"""llama.cpp's names of how what is said of tokens becomes what is said of a text (`PoolingType`); by the last the model's
head speaks."""
HEAD = {"pooler.dense": "cls", "classifier": "cls.output"}
"""A head's layers by llama.cpp's names; its own converter leaves the first of them out."""
EXACT = ("position_embd", "token_types", "cls")
"""Weights that are read as they are."""


def why_not(config: Any, *, writes: bool) -> str:
    """Why a model of this configuration cannot be written; empty when it can.

    Args:
        config: of Transformers.
        writes: is it to go on with a text, or to tell of one?
    """
    family = FAMILIES.get(config.model_type)
    if family is None or family.writes != writes:
        known = ", ".join(kind for kind, each in FAMILIES.items() if each.writes == writes)
        return reason("form_no_family" if writes else "form_no_reader", kind=config.model_type, known=known)
    for name, wanted in (family.only or {}).items():
        if (found := getattr(config, name, wanted)) != wanted:
            return reason("form_other_family", name=name, value=found, kind=config.model_type)
    if (turned := _turns(config).get("rope_type", "default")) != "default":
        return reason("form_other_family", name="rope_type", value=turned, kind=config.model_type)
    return ""


def _turns(config: Any) -> Mapping[str, Any]:
    return getattr(config, "rope_parameters", None) or {}


def written(
    plain: Path, file: Path, kind: str, *, name: str, words: Callable[[Any, int], None], pooled: str = ""
) -> None:
    """Write a folder of Transformers into one file, a weight at a time.

    Args:
        plain: config.json and weights in float32.
        file: where it goes.
        kind: of `FILE_TYPES`, of the large weights; norms and biases stay F32.
        name: by which the file calls its model.
        words: writes the tokenizer, given the writer and how many words the model has.
        pooled: of `POOLED`, of a model that tells of texts.
    """
    from gguf import GGMLQuantizationType, GGUFWriter, get_tensor_name_map
    from gguf.constants import MODEL_ARCH_NAMES
    from gguf.quants import quantize
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(plain)
    family = FAMILIES[config.model_type]
    writer = GGUFWriter(file, family.name)
    writer.add_name(name)
    writer.add_file_type(FILE_TYPES[kind])
    writer.add_quantization_version(2)
    _facts(writer, config, pooled)
    words(writer, config.vocab_size)
    arch = next(arch for arch, said in MODEL_ARCH_NAMES.items() if said == family.name)
    names = get_tensor_name_map(arch, config.num_hidden_layers)
    kinds = {}
    for own, weight in _weights(plain, config, family):
        layer, _, part = own.rpartition(".")
        said = f"{HEAD[layer]}.{part}" if layer in HEAD else names.get_name(own, (".weight", ".bias"))
        assert said is not None, own
        kinds[own] = said, GGMLQuantizationType[_kind(said, weight, kind)]
        made = quantize(weight, kinds[own][1])
        writer.add_tensor_info(said, made.shape, made.dtype, made.nbytes, raw_dtype=kinds[own][1])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for own, weight in _weights(plain, config, family):
        writer.write_tensor_data(quantize(weight, kinds[own][1]))
    writer.close()


def _facts(writer: Any, config: Any, pooled: str) -> None:
    from gguf import PoolingType

    heads = config.num_attention_heads
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(heads)
    writer.add_vocab_size(config.vocab_size)
    if pooled:
        writer.add_layer_norm_eps(config.layer_norm_eps)
        writer.add_causal_attention(False)
        writer.add_token_type_count(config.type_vocab_size)
        writer.add_pooling_type(PoolingType[POOLED[pooled]])
        if (
            pooled == "head" and config.num_labels > 1
        ):  # how many outputs there are is told by their names alone
            writer.add_classifier_output_labels([config.id2label[at] for at in range(config.num_labels)])
        return
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    writer.add_head_count_kv(getattr(config, "num_key_value_heads", None) or heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(float(_turns(config).get("rope_theta", 10000.0)))
    writer.add_rope_dimension_count(width)
    writer.add_key_length(width)
    writer.add_value_length(width)


def _weights(plain: Path, config: Any, family: Family) -> Iterator[tuple[str, np.ndarray]]:
    """Name and values of each weight, in llama.cpp's order of rows."""
    from safetensors import safe_open

    from weitiao.models.stored import weight_files

    heads = config.num_attention_heads
    counts = {"q_proj": heads, "k_proj": getattr(config, "num_key_value_heads", None) or heads}
    for path in weight_files(str(plain)):
        with safe_open(path, "np") as opened:
            for name in opened.keys():  # noqa: SIM118  (not a mapping)
                if name == "lm_head.weight" and config.tie_word_embeddings:
                    continue
                weight = opened.get_tensor(name)
                name = name.removeprefix(family.prefix)
                count = counts.get(name.split(".")[-2]) if family.paired else None
                yield name, paired(weight, count) if count else weight


def paired(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows of queries or keys from Transformers' order to llama.cpp's: it turns neighbours together, Transformers row i with
    row i + half."""
    half = weight.shape[0] // heads // 2
    return weight.reshape(heads, 2, half, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


def _kind(name: str, weight: np.ndarray, kind: str) -> str:
    """What a weight is written in: vectors exactly, and what `EXACT` names; words and outputs of a model of 4 bits in 8, as llama.cpp keeps them more
    exactly, too."""
    if weight.ndim < 2 or name.startswith(EXACT) or (kind.startswith("Q") and weight.shape[-1] % BLOCK):
        return "F32"
    outer = name.startswith(("token_embd", "output."))
    return "Q8_0" if kind == "Q4_0" and outer else kind
