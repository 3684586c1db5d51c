"""The parts of any Transformers model, by one vocabulary.

    head(model)       names of the parameters of the task's new output layer
    linears(model)    name -> linear layer, of everything below that layer
    language(model)   of a model that reads pictures among words the part that reads words
    blocks(model)     the transformer blocks from bottom to top, each with its attentions and its feed-forward
    levels(model)     name of every parameter -> how far below the head it lies (0: the head, then block by block)

Known by structure and by the names that the families give their layers (BERT, RoBERTa, ELECTRA, ALBERT, DeBERTa,
DistilBERT, Llama, Mistral, Qwen, Gemma, Phi, GPT-2, GPT-NeoX, OPT, BLOOM, T5, BART, ViT ...).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import nn

from weitiao.core.errors import fault
from weitiao.core.why import reason
from weitiao.models import linear
from weitiao.models.four_bit import PackedLinear
from weitiao.models.precision import Half
from weitiao.models.wrap import base_modules, plain, under

# What families call the projections of their attention; a fused one holds query, key and value side by side.
QUERY = ("query", "q_proj", "q", "q_lin", "query_proj", "wq")
KEY = ("key", "k_proj", "k", "k_lin", "key_proj", "wk")
VALUE = ("value", "v_proj", "v", "v_lin", "value_proj", "wv")
FUSED = ("c_attn", "query_key_value", "qkv_proj", "Wqkv", "qkv", "in_proj")
# The projection behind attention, seen from the attention module; `..` is the module around it.
OUTPUT = ("o_proj", "out_proj", "o", "out_lin", "dense", "c_proj", "wo", "..output.dense")
# Norms that stand behind the feed-forward's residual (post-LN families), seen from the block.
LAST_NORM = ("output.LayerNorm", "output_layer_norm", "full_layer_layer_norm")
CROSS = re.compile(r"cross|encoder_attn|EncDec", re.IGNORECASE)


@dataclass(frozen=True)
class Attention:
    """One attention module."""

    name: str
    """Full name of the module that calls the attention function."""
    module: nn.Module
    cross: bool
    """Does it look at another stack's output?"""

    def projection(self, names: Sequence[str]) -> str | None:
        """Full name of the projection that is called one of `names`, if there is one of its own."""
        return next((f"{self.name}.{n}" for n in names if _child(self.module, n) is not None), None)

    @cached_property
    def head_size(self) -> int:
        """Width of one head."""
        known = ("head_dim", "attention_head_size", "key_value_proj_dim", "head_size")
        return next(int(getattr(self.module, name)) for name in known if hasattr(self.module, name))

    @cached_property
    def key_heads(self) -> int:
        """Heads of keys and values (fewer than of queries under grouped-query attention)."""
        key = self.projection(KEY)
        if key is not None:
            width = linear.sizes(self.module.get_submodule(key.rpartition(".")[2]))[1]
            return width // self.head_size
        config: Any = self.module.config
        return int(getattr(config, "num_key_value_heads", None) or config.num_attention_heads)


@dataclass(frozen=True)
class Block:
    """One transformer block."""

    name: str
    module: nn.Module
    stack: str
    """Name of the module that holds the blocks' list."""
    attentions: tuple[Attention, ...]
    causal: bool
    """Do its rows look backwards only?"""

    def attention_outputs(self, model: nn.Module) -> list[str]:
        """Full names of the projections behind its attentions.

        Raises:
            WeitiaoError: `unknown_anatomy`.
        """
        found = []
        for attention in self.attentions:
            around = attention.name.rpartition(".")[0]
            for name in OUTPUT:
                full = f"{around}.{name[2:]}" if name.startswith("..") else f"{attention.name}.{name}"
                if (module := _at(model, full)) is not None and linear.is_linear(under(module)):
                    found.append(full)
                    break
            else:
                raise fault("unknown_anatomy", what=reason("projection_behind", name=attention.name))
        return found

    def feed_forward(self, model: nn.Module) -> tuple[list[str], str]:
        """Full names of the first layers of the feed-forward (two when gated), and of its last.

        Raises:
            WeitiaoError: `unknown_anatomy`, when the linear layers beside attention are not two or three (experts).
        """
        beside = {*self.attention_outputs(model)}
        within = tuple(f"{attention.name}." for attention in self.attentions)
        names = [
            plain(name)
            for name, module in base_modules(self.module, prefix=self.name)
            if linear.is_linear(module)
        ]
        layers = [name for name in names if name not in beside and not name.startswith(within)]
        if len(layers) not in (2, 3):
            raise fault("unknown_anatomy", what=reason("feed_forward_of", name=self.name))
        return layers[:-1], layers[-1]

    def last_norm(self, model: nn.Module) -> str | None:
        """Full name of the norm that stands behind the feed-forward's residual; None in pre-LN blocks."""
        return next(
            (f"{self.name}.{n}" for n in LAST_NORM if _at(model, f"{self.name}.{n}") is not None), None
        )


def blocks(model: nn.Module) -> list[Block]:
    """All blocks from bottom to top; of an encoder-decoder the encoder's, then the decoder's; of a model that reads pictures
    among words those that read the words.

    Raises:
        WeitiaoError: `unknown_anatomy`, when no list of modules with attention is found.
    """
    attentions = [(plain(n), m) for n, m in model.named_modules() if _is_attention(m)]
    found: list[Block] = []
    lists: list[str] = []
    words = language(model)
    for name, module in model.named_modules():
        inner = any(name.startswith(f"{outer}.") for outer in lists)
        outside = inner or not name.startswith(words)
        if not isinstance(module, nn.ModuleList) or outside or _of_stages(module):
            continue
        held = []
        for i, child in enumerate(module):
            own = f"{name}.{i}"
            within = tuple(
                Attention(n, m, cross=bool(CROSS.search(n[len(own) :])))
                for n, m in attentions
                if n.startswith(f"{own}.")
            )
            if within:
                causal = any(getattr(a.module, "is_causal", False) for a in within if not a.cross)
                held.append(Block(own, child, name.rpartition(".")[0], within, causal))
        if held:
            lists.append(name)
            found += held
    if not found:
        raise fault("unknown_anatomy", what=reason("transformer_blocks"))
    return found


def _of_stages(several: nn.ModuleList) -> bool:
    return len(several) > 1 and all(map(_is_stage, several))


def _is_stage(module: nn.Module) -> bool:
    """Does it hold blocks of its own, as the stages of Swin and SegFormer do?  The parts of one block (T5 has them in a list) have
    their linear layers within their attention."""
    for several in module.modules():
        if not isinstance(several, nn.ModuleList):
            continue
        for child in several:
            inner = [layer for part in child.modules() if _is_attention(part) for layer in part.modules()]
            layers = [layer for _, layer in base_modules(child) if linear.is_linear(layer)]
            if inner and any(layer not in inner for layer in layers):
                return True
    return False


def levels(model: nn.Module, head: frozenset[str]) -> dict[str, int]:
    """Name of every parameter -> 0 for the head, 1 for the top block, ... n, and n + 1 for the embeddings.

    What stands behind a block (a final norm, a pooler, an output layer that is not shared with the embeddings)
    counts with that block.
    """
    names = [block.name for block in blocks(model)]
    level, found = len(names) + 1, {}
    words = language(model)
    for name, _ in model.named_parameters():
        if words and name.startswith(words.partition(".")[0] + ".") and not name.startswith(words):
            found[name] = len(names) + 1  # what reads pictures lies below all that reads words
            continue
        within = next((i for i, block in enumerate(names) if name.startswith(f"{block}.")), None)
        if within is not None:
            level = len(names) - within
        found[name] = 0 if name in head else level
    return found


def language(model: nn.Module) -> str:
    """What the names of the part begin with that reads words, of a model that reads pictures among them, too; else empty."""
    config: Any = getattr(model, "config", None)
    if getattr(config, "image_token_id", None) is None or config.get_text_config() is config:
        return ""
    decoder = getattr(model, "get_decoder", lambda: None)()
    name = next((plain(name) for name, module in model.named_modules() if module is decoder), "")
    return f"{name}." if name else ""


def head(model: nn.Module) -> frozenset[str]:
    """Names of the parameters that lie outside the pretrained body, such as `classifier.weight`.

    A language model's output layer is pretrained (and often tied to the embeddings), so it is no head.
    """
    prefix = getattr(model, "base_model_prefix", "")
    # What stands on another model's body has it under this name (UPerNet).
    prefix = "backbone" if not hasattr(model, prefix or "\0") and hasattr(model, "backbone") else prefix
    output = _output_layer(model)
    pretrained = {id(weight) for weight in output.parameters()} if output is not None else set()
    if not prefix or not hasattr(model, prefix):
        # An encoder-decoder whose stacks lie bare: where it is for generation nothing is new, else a layer beside them.
        beside = [name for name, child in model.named_children() if linear.is_linear(child)]
        bare = (
            (f"{name}.{n}", weight)
            for name in beside
            for n, weight in getattr(model, name).named_parameters()
        )
        return frozenset(name for name, weight in bare if id(weight) not in pretrained)
    names = (
        n
        for n, weight in model.named_parameters()
        if not n.startswith(f"{prefix}.") and id(weight) not in pretrained
    )
    return frozenset(names) or (_of_labels(model) if output is None else frozenset())


def _of_labels(model: Any) -> frozenset[str]:
    """Names of parameters whose size goes with the number of labels: the outputs of a model that has them within its body, as
    the RT-DETR family has."""
    if not getattr(model.config, "num_labels", 0):
        return frozenset()
    # A copy: a change of this number renames the outputs.
    wider = deepcopy(model.config)
    wider.num_labels = model.config.num_labels + 1
    with torch.device("meta"):
        other = dict(type(model)(wider).named_parameters())
    return frozenset(
        name
        for name, weight in model.named_parameters()
        if name in other and other[name].shape != weight.shape
    )


def linears(model: nn.Module, head: frozenset[str]) -> dict[str, nn.Module]:
    """Every linear layer of the pretrained body by its full name (what PEFT calls `all-linear`); what reads the pictures of a
    model that reads words, too, among them.

    Args:
        model: any Transformers model.
        head: names of parameters that are new, whose layers are left out.
    """
    new = {name.rpartition(".")[0] for name in head}
    output = _output_layer(model)
    return {
        name: module
        for name, module in base_modules(model)
        if linear.is_linear(module) and module is not output and plain(name) not in new
    }


def _output_layer(model: nn.Module) -> nn.Module | None:
    # Only language models have one; other Transformers models answer None, plain torch modules have no such method.
    return getattr(model, "get_output_embeddings", lambda: None)()


def output_layer(model: nn.Module) -> str | None:
    """Full name of a language model's output layer."""
    layer = _output_layer(model)
    return next((name for name, module in model.named_modules() if module is layer), None) if layer else None


def head_modules(model: nn.Module, head: frozenset[str]) -> list[str]:
    """The modules that hold the new parameters: `classifier` as a whole, `bert.pooler.dense` inside the body."""
    body = f"{getattr(model, 'base_model_prefix', '')}."
    inside = {name.rpartition(".")[0] for name in head if name.startswith(body)}
    return sorted(inside | {name.partition(".")[0] for name in head if not name.startswith(body)})


def norm_weights(model: nn.Module) -> set[int]:
    """`id` of every parameter that belongs to a normalisation layer."""
    kinds = (nn.LayerNorm, nn.RMSNorm, nn.GroupNorm)
    return {
        id(weight)
        for module in model.modules()
        if isinstance(module, kinds) or "norm" in type(module).__name__.lower()
        for weight in module.parameters(recurse=False)
    }


def parameter_counts(model: nn.Module) -> tuple[int, int]:
    """(trained, all) numbers of parameters; a shared weight counts once, a packed one by what it stands for."""
    weights = list(model.parameters())
    packed = sum(m.in_features * m.out_features for m in model.modules() if isinstance(m, PackedLinear))
    return sum(w.numel() for w in weights if w.requires_grad), sum(w.numel() for w in weights) + packed


def recompute(model: Any) -> None:
    """Let each block's activations be computed again in backward; `activation_checkpointing_disable` ends it."""
    model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    # It makes embeddings ask for gradients, which only the re-entrant kind needs.
    model.disable_input_require_grads()


def cast_frozen(model: nn.Module, half: Half = "bfloat16") -> None:
    """Store the base's frozen linear weights in half precision, once, instead of casting them in every call under autocast.

    The products are the same bit for bit.  A weight that an embedding shares is copied, because autocast would not
    have cast the embedding.  What a method put in stays as it is: gates and prompts compute in float32.  Not for
    models whose base is saved from memory afterwards.
    """
    embeddings = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    for _, module in list(base_modules(model)):
        if not linear.is_linear(module) or isinstance(module, PackedLinear):
            continue
        if all(not weight.requires_grad for weight in module.parameters()):
            weight: Any = module.weight
            if id(weight) in embeddings:
                module.weight = nn.Parameter(weight.detach().clone(), requires_grad=False)
            module.to(getattr(torch, half))


def _is_attention(module: nn.Module) -> bool:
    separate = all(any(_child(module, n) is not None for n in names) for names in (QUERY, KEY, VALUE))
    return separate or any(_child(module, name) is not None for name in FUSED)


def _child(module: nn.Module, name: str) -> nn.Module | None:
    return module._modules.get(name)


def _at(model: nn.Module, name: str) -> nn.Module | None:
    """The module of that plain name, wrapped or not."""
    node: nn.Module | None = model
    for part in name.split("."):
        node = None if node is None else _child(under(node), part) or _child(node, part)
    return node
