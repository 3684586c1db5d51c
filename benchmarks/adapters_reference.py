"""Record what AdapterHub's `adapters` computes, once, so that ours is tested against it without it.

    FOLDER  ->  base-<architecture>.safetensors, <architecture>-<case>.safetensors, counts.json

    python -m venv adapters-env
    adapters-env/bin/pip install torch==2.13.0 adapters==1.3.0
    adapters-env/bin/python benchmarks/adapters_reference.py tests/methods/recorded

It knows nothing of weitiao and runs in that environment alone: on the CPU, in float32, on one thread, from
fixed seeds. A second run writes the same bytes. The library warns that no adapters are activated while it is
activating them; that means nothing.
"""

from __future__ import annotations

import copy
import json
import sys
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import adapters
import torch
from adapters import (
    AdapterConfig,
    ConfigUnion,
    DoubleSeqBnConfig,
    IA3Config,
    LoRAConfig,
    MAMConfig,
    ParBnConfig,
    PrefixTuningConfig,
    SeqBnConfig,
    UniPELTConfig,
)
from safetensors.torch import save as to_bytes
from torch import Tensor, nn
from transformers import BertConfig, BertModel, LlamaConfig, LlamaModel, PreTrainedModel, T5Config, T5Model

NAME = "toy"
"""The adapter's name, which the library puts into the names of its parameters."""

ROWS, TOKENS, DECODER_TOKENS, VOCABULARY = 3, 7, 5, 40


@dataclass(frozen=True)
class Architecture:
    """A toy base model."""

    config: type
    model: type[PreTrainedModel]
    settings: dict[str, Any]
    """Keyword arguments of the config."""
    padded: bool = False
    """Record a second batch too, the same ids with a mask that hides some of them at the end of a row."""
    decoder: bool = False
    """The model wants ids for its decoder."""

    def inputs(self, rng: torch.Generator) -> dict[str, Tensor]:
        """Ids (ROWS, TOKENS) without padding, mask of the padded batch, ids of the decoder."""
        inputs = {"input_ids": _ids(TOKENS, rng)}
        if self.padded:
            lengths_B1 = torch.tensor([[TOKENS], [TOKENS - 2], [TOKENS - 4]])
            inputs["attention_mask"] = (torch.arange(TOKENS) < lengths_B1).long()
        if self.decoder:
            inputs["decoder_input_ids"] = _ids(DECODER_TOKENS, rng)
        return inputs


_BERT = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 32,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "attn_implementation": "eager",
}
_LLAMA = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "intermediate_size": 32,
    "max_position_embeddings": 32,
    "attn_implementation": "eager",
}
_T5 = {
    "vocab_size": VOCABULARY,
    "d_model": 16,
    "d_kv": 8,
    "num_heads": 2,
    "num_layers": 2,
    "num_decoder_layers": 2,
    "d_ff": 32,
    "dropout_rate": 0.0,
    "attn_implementation": "eager",
}
ARCHITECTURES = {
    "bert": Architecture(BertConfig, BertModel, _BERT, padded=True),
    "llama": Architecture(LlamaConfig, LlamaModel, _LLAMA),
    "llama-gqa": Architecture(LlamaConfig, LlamaModel, {**_LLAMA, "num_key_value_heads": 2}),
    "t5": Architecture(T5Config, T5Model, _T5, decoder=True),
}

_PREFIX = PrefixTuningConfig(prefix_length=3, bottleneck_size=8)
_SEQ = SeqBnConfig(reduction_factor=4)
_DOUBLE = DoubleSeqBnConfig(reduction_factor=4)
_PAR = ParBnConfig(reduction_factor=4)
CASES: dict[str, dict[str, AdapterConfig]] = {
    "bert": {
        "seq_bn": _SEQ,
        "seq_bn-ln_before": SeqBnConfig(reduction_factor=4, ln_before=True),
        "seq_bn-ln_after": SeqBnConfig(reduction_factor=4, ln_after=True),
        "double_seq_bn": _DOUBLE,
        "double_seq_bn-gelu": DoubleSeqBnConfig(reduction_factor=4, non_linearity="gelu"),
        "par_bn": _PAR,
        "par_bn-scaling_learned": ParBnConfig(reduction_factor=4, scaling="learned"),
        "prefix_tuning": _PREFIX,
        "mam": MAMConfig(_PREFIX, _PAR),
        "unipelt": UniPELTConfig(_PREFIX, _SEQ, LoRAConfig(r=2, alpha=2)),
        # With alpha = r a LoRA scale of alpha / r could not be told from none.
        "unipelt-alpha8": UniPELTConfig(_PREFIX, _SEQ, LoRAConfig(r=2, alpha=8)),
    },
    "llama": {"seq_bn": _SEQ, "double_seq_bn": _DOUBLE, "par_bn": _PAR, "prefix_tuning": _PREFIX},
    "llama-gqa": {"prefix_tuning": _PREFIX},
    "t5": {"seq_bn": _SEQ, "double_seq_bn": _DOUBLE, "prefix_tuning": _PREFIX},
}

REAL = BertConfig(hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072)
"""BERT-base, for counts only."""
REAL_CASES: dict[str, AdapterConfig] = {
    "seq_bn": SeqBnConfig(),
    "double_seq_bn": DoubleSeqBnConfig(),
    "par_bn": ParBnConfig(reduction_factor=2),
    "prefix_tuning": PrefixTuningConfig(),
    "mam": MAMConfig(),
    "unipelt": UniPELTConfig(),
    "lora": LoRAConfig(r=8, attn_matrices=["q", "v"]),
    "ia3": IA3Config(),
}


def main(folder: str) -> None:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    counts: dict[str, Any] = {
        "versions": {name: version(name) for name in ("adapters", "transformers", "torch")},
        "bert-base": {},
        "toy-bert": {},
    }
    for name, config in REAL_CASES.items():
        # Nothing is computed with the real size, so it needs no memory either.
        with torch.device("meta"):
            counts["bert-base"][name] = count(with_adapter(BertModel(REAL), config))
    for name, architecture in ARCHITECTURES.items():
        base, inputs, output = record_base(name, architecture, target)
        for case, config in CASES[name].items():
            file = target / f"{name}-{case}.safetensors"
            tuned = record_case(architecture, base, inputs, config, file=file, base_output=output)
            if name == "bert":
                counts["toy-bert"][case] = count(tuned)
    (target / "counts.json").write_text(json.dumps(counts, indent=1) + "\n", encoding="utf-8")


def record_base(
    name: str, architecture: Architecture, folder: Path
) -> tuple[PreTrainedModel, dict[str, Tensor], Tensor]:
    """Random weights, inputs and the output without adapters, as plain Transformers has them."""
    rng = _rng(name)
    base = architecture.model(architecture.config(**architecture.settings)).eval()
    randomise(base.named_parameters(), rng)
    inputs = architecture.inputs(rng)
    tensors = {f"base/{key}": value for key, value in base.state_dict().items()}
    tensors |= {f"input/{key}": value for key, value in inputs.items()}
    with torch.no_grad():
        tensors["output/base"] = forward(base, inputs, padded=False)
        if architecture.padded:
            tensors["output/base_padded"] = forward(base, inputs, padded=True)
    save(tensors, folder / f"base-{name}.safetensors", config=_described(architecture))
    return base, inputs, tensors["output/base"]


def record_case(
    architecture: Architecture,
    base: PreTrainedModel,
    inputs: dict[str, Tensor],
    config: AdapterConfig,
    *,
    file: Path,
    base_output: Tensor,
) -> PreTrainedModel:
    """Random adapter weights, the output with them, and the gradients of the sum of its squares."""
    tuned = with_adapter(copy.deepcopy(base), config)
    named = adapter_parameters(tuned)
    randomise(named.items(), _rng(file.stem))
    output = forward(tuned, inputs, padded=False)
    output.square().sum().backward()
    _check(file.stem, base, tuned, output, base_output)

    tensors = {f"adapter/{name}": weight for name, weight in named.items()}
    tensors |= {f"grad/{name}": weight.grad for name, weight in named.items()}
    tensors["input/input_ids"] = inputs["input_ids"]
    if architecture.decoder:
        tensors["input/decoder_input_ids"] = inputs["decoder_input_ids"]
    tensors["output/plain"] = output
    # A gate is a mean over all tokens, those of the padding too: nothing to hold ours to.
    if architecture.padded and not _gated(config):
        tensors["input/attention_mask"] = inputs["attention_mask"]
        with torch.no_grad():
            tensors["output/padded"] = forward(tuned, inputs, padded=True)
    save(tensors, file, config=_described(architecture), adapter=described(config))
    return tuned


def with_adapter(model: PreTrainedModel, config: AdapterConfig) -> PreTrainedModel:
    """The model with the adapter in it, switched on and trainable, in eval mode."""
    adapters.init(model)
    model.add_adapter(NAME, config=config)
    model.train_adapter(NAME)
    return model.eval()


def adapter_parameters(model: PreTrainedModel) -> dict[str, nn.Parameter]:
    """The trainable parameters, each once.

    Every layer holds the prefix pool of the model as a child, so a prefix has a name for each of them; the model's
    own is kept. The layer norm of `ln_before` is `adapter_norm_before` and `adapter_down.0`; the first is kept.
    """
    named: dict[str, nn.Parameter] = {}
    for name, weight in model.named_parameters(remove_duplicate=False):
        if (
            weight.requires_grad
            and ".pool." not in name
            and all(weight is not other for other in named.values())
        ):
            named[name] = weight
    return named


def count(model: PreTrainedModel) -> int:
    """How many parameters the library says the adapter has; all of them, and nothing else, train."""
    (row,) = (row for row in model.adapter_summary(as_dict=True) if row["name"] == NAME)
    trainable = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    if row["#param"] != trainable:
        raise ValueError(f"the library reports {row['#param']} parameters, but {trainable} train")
    return trainable


def randomise(named: Iterable[tuple[str, Tensor]], rng: torch.Generator, *, std: float = 0.3) -> None:
    """Normal numbers around 0, or around 1 for what multiplies: zeros would prove nothing."""
    with torch.no_grad():
        for name, weight in named:
            multiplies = name.endswith("scaling") or ("norm" in name.lower() and name.endswith("weight"))
            weight.copy_(float(multiplies) + std * torch.randn(weight.shape, generator=rng))


def forward(model: PreTrainedModel, inputs: dict[str, Tensor], *, padded: bool) -> Tensor:
    """The last hidden state, (ROWS, TOKENS, hidden); of the decoder where there is one."""
    given = {name: value for name, value in inputs.items() if padded or name != "attention_mask"}
    if not isinstance(model, BertModel):
        given["use_cache"] = False
    return model(**given).last_hidden_state


def save(tensors: dict[str, Tensor], file: Path, **about: dict[str, Any]) -> None:
    """Tensors and, as JSON in the metadata, what they are of."""
    # Cloned because safetensors refuses tied weights, which T5 has.
    tensors = {name: value.detach().clone().contiguous() for name, value in tensors.items()}
    whole = to_bytes(tensors, metadata={key: json.dumps(value) for key, value in about.items()})
    # Safetensors writes the metadata in any order; sorted, and padded to 8 bytes, the file is always the same.
    end = 8 + int.from_bytes(whole[:8], "little")
    header = json.dumps(json.loads(whole[8:end]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    file.write_bytes(len(header).to_bytes(8, "little") + header + whole[end:])


def described(config: AdapterConfig) -> dict[str, Any]:
    """Class name and every setting, the defaults too; for a union those of its parts."""
    if isinstance(config, ConfigUnion):
        return {"class": type(config).__name__, "configs": [described(part) for part in config.configs]}
    return {"class": type(config).__name__, "settings": config.to_dict()}


def _described(architecture: Architecture) -> dict[str, Any]:
    return {"class": architecture.config.__name__, "settings": architecture.settings}


def _gated(config: AdapterConfig) -> bool:
    parts = config.configs if isinstance(config, ConfigUnion) else [config]
    return any(part["use_gating"] for part in parts)


def _check(
    case: str, base: PreTrainedModel, tuned: PreTrainedModel, output: Tensor, base_output: Tensor
) -> None:
    """Raises when the recording would prove less than it seems to."""
    weights = dict(tuned.named_parameters(remove_duplicate=False))
    for name, weight in base.named_parameters():
        if name not in weights or not torch.equal(weights[name], weight):
            raise ValueError(f"{case}: the library renamed or changed the base weight {name}")
    for name, weight in adapter_parameters(tuned).items():
        if weight.grad is None or not weight.grad.any():
            raise ValueError(f"{case}: {name} has no gradient; another seed may help")
    if torch.allclose(output, base_output, atol=0.1):
        raise ValueError(f"{case}: the adapter changes next to nothing; another seed may help")


def _rng(name: str) -> torch.Generator:
    """A seed of its own for every file, so that a new case leaves the others as they are."""
    return torch.Generator().manual_seed(zlib.crc32(name.encode()))


def _ids(tokens: int, rng: torch.Generator) -> Tensor:
    # From 1: 0 is the padding of all three architectures.
    return torch.randint(1, VOCABULARY, (ROWS, tokens), generator=rng)


if __name__ == "__main__":
    main(*sys.argv[1:])
