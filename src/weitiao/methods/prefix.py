"""Prefix tuning: learnt keys and values in every layer (Li & Liang 2021, arXiv 2101.00190).

attention(q, [P_k; K], [P_v; V])       [P_k, P_v of all layers] = MLP(E), or a table of their own:
                                       P-tuning v2 (Liu et al. 2022, arXiv 2110.07602)

Encoder-decoders have prefixes of their own in the encoder, in the decoder and in its look at the encoder.  Where a
model counts positions, the row's begin behind the prefix, as in PEFT, whose files these are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from weitiao.core.contracts import Inserted, Method, Tokenize
from weitiao.core.errors import fault
from weitiao.core.registry import register
from weitiao.core.why import because
from weitiao.methods.prompt import fill_head, saved_head, sizes
from weitiao.models import anatomy, attention, examine, inputs
from weitiao.models.wrap import hang, inserted, plain

NAME = "prefix"  # what the modules are called inside the model


class Bank(Inserted, nn.Module):
    """Keys and values for every attention of one kind, made anew in each forward pass."""

    def __init__(
        self,
        places: list[str],
        *,
        count: int,
        heads: int,
        head_size: int,
        hidden: int,
        width: int,
        shift: int,
    ):
        super().__init__()
        self.places = places
        """Names of the attention modules, seen from the stack that holds the bank."""
        self.shift = shift
        """How far the row's positions are moved on."""
        self.shape = (count, len(places), 2, heads, head_size)
        flat = 2 * len(places) * heads * head_size
        # Without an MLP a tenth of PEFT's noise; which of the two made no difference beyond chance (notes/LOG.md).
        self.embedding = nn.Parameter(
            torch.randn(count, width if hidden else flat) * (1.0 if hidden else 0.1)
        )
        self.transform = (
            nn.Sequential(nn.Linear(width, hidden), nn.Tanh(), nn.Linear(hidden, flat)) if hidden else None
        )

    def flat(self) -> Tensor:
        """(P, 2 L K D), always in float32: rounding would be the same in every row."""
        with torch.autocast(self.embedding.device.type, enabled=False):
            return self.embedding if self.transform is None else self.transform(self.embedding)

    def forward(self) -> Tensor:
        """(L, 2, K, P, D): keys and values of each place."""
        return self.flat().view(self.shape).permute(1, 2, 3, 0, 4)

    def settle(self, flat: Tensor) -> None:
        """Be these numbers from now on; the MLP has done its work (PEFT saves no more than them either).

        Raises:
            KeyError: when they are of another shape.
        """
        if flat.shape != (self.shape[0], math.prod(self.shape[1:])):
            raise KeyError(f"a prefix of shape {tuple(flat.shape)}")
        self.transform = None
        self.embedding.data = flat.to(self.embedding)


def put_in(model: nn.Module, *, count: int, hidden: int, shifts: bool) -> None:
    """Hang banks into the stacks of blocks, one for each kind of attention.

    Args:
        model: any model whose attention goes by Transformers' interface.
        count: length of the prefix.
        hidden: width of the MLP inside; 0 for none.
        shifts: do the row's positions begin behind the prefix?

    Raises:
        WeitiaoError: `unfit_setting` when the model's attention cannot be reached.
    """
    supports = ("_supports_attention_backend", "_supports_sdpa")
    # Code that takes our function may still make other use of it than ours is meant for.
    if not any(getattr(model, word, False) for word in supports) or not examine.attends_alike(
        model, attention.register()
    ):
        raise fault("unfit_setting", key="name", value=NAME, **because("attention_unreached"))
    kinds: dict[str, list[anatomy.Attention]] = {}
    for block in anatomy.blocks(model):
        for found in block.attentions:
            owner = f"{block.stack}.{'cross_' if found.cross else ''}{NAME}".lstrip(".")
            kinds.setdefault(owner, []).append(found)
    body = inputs.text_model(model)
    config = inputs.config(model)
    counts = not config.is_encoder_decoder and inputs.takes(body, "position_ids")
    if counts and not any(inserted(body, Bank)):
        body.register_forward_pre_hook(_shift, with_kwargs=True)
    wide = getattr(config.get_text_config(), "hidden_size", None)
    where = next(model.parameters()).device
    for name, places in kinds.items():
        owner, _, leaf = name.rpartition(".")
        stack = model.get_submodule(owner)
        if not any(isinstance(child, Bank) for child in stack.children()):
            stack.register_forward_pre_hook(_fill_slots)
        if len({(place.key_heads, place.head_size) for place in places}) > 1:
            raise fault("unfit_setting", key="name", value=NAME, **because("attention_unreached"))
        bank = Bank(
            [plain(place.name).removeprefix(f"{owner}.") for place in places],
            count=count,
            heads=places[0].key_heads,
            head_size=places[0].head_size,
            hidden=hidden,
            # Where stages are of unlike width, the model has no width of its own.
            width=int(wide or places[0].key_heads * places[0].head_size),
            shift=count if shifts and counts else 0,
        )
        hang(stack, leaf, bank.to(where))
        for place in places:
            setattr(place.module, attention.SLOT, attention.Slot())


def _fill_slots(stack: nn.Module, args: Any) -> None:
    for module in stack.modules():  # of banks that have been taken off, too
        if slot := getattr(module, attention.SLOT, None):
            slot.held = None
    for bank in stack.children():
        if isinstance(bank, Bank) and bank.enabled:
            for place, held in zip(bank.places, bank(), strict=True):
                slot = getattr(stack.get_submodule(place), attention.SLOT)
                if slot.held is not None:  # of several the later ones stand nearer to the row
                    held = tuple(torch.cat(parts, dim=1) for parts in zip(slot.held, held, strict=True))
                slot.held = held


def _shift(body: nn.Module, args: Any, words: dict[str, Any]) -> Any:
    shift = sum(bank.shift for _, bank in inserted(body, Bank) if bank.enabled)
    if not shift:
        return None
    words = inputs.named(body, args, words)
    words["position_ids"] = inputs.positions(body, words, shift=shift)
    return (), words


@dataclass(frozen=True)
class _Prefixed(Method):
    """What prefix tuning and P-tuning v2 share."""

    num_virtual_tokens: Annotated[int, Field(ge=1)] = 20
    """Length of the prefix; it takes so many of the model's positions."""

    space: ClassVar[Mapping[str, Any]] = {"num_virtual_tokens": {"low": 5, "high": 50}}

    foldable: ClassVar[bool] = False
    starts_as_base: ClassVar[bool] = False
    layout: ClassVar[Literal["pretrained", "peft", "adapter"]] = "peft"

    @property
    def hidden(self) -> int:
        """Width of the MLP inside; 0 for none."""
        return 0

    @property
    def positions(self) -> int:
        """The row's positions begin behind the prefix."""
        return self.num_virtual_tokens

    def attach(self, model: nn.Module, head: frozenset[str], tokenize: Tokenize) -> nn.Module:
        """Put keys and values before those of every layer.

        Raises:
            WeitiaoError: `unfit_setting` when the model's attention cannot be reached; `unknown_anatomy`.
        """
        put_in(model, count=self.num_virtual_tokens, hidden=self.hidden, shifts=True)
        return model

    def trains(self, name: str, weight: Tensor, head: frozenset[str]) -> bool:
        """The prefixes, their MLP, and the head."""
        return is_prefix(name) or name in head

    def saved_config(self, model: nn.Module, head: frozenset[str]) -> dict[str, Any]:
        """What PEFT needs to put the same prefix before its rows; it knows one stack of text alone."""
        banks = dict(inserted(model, Bank))
        if len(banks) > 1 or not inputs.takes(inputs.text_model(model), "past_key_values"):
            return super().saved_config(model, head) | {"num_virtual_tokens": self.num_virtual_tokens}
        (bank,) = banks.values()
        _, _, _, heads, head_size = bank.shape
        return sizes(model, head) | {
            "peft_type": "PREFIX_TUNING",
            "num_virtual_tokens": self.num_virtual_tokens,
            "num_attention_heads": heads,
            "token_dim": heads * head_size,
            "prefix_projection": bool(self.hidden),
            "encoder_hidden_size": self.hidden or None,
        }

    def saved_state(
        self, model: nn.Module, head: frozenset[str], trained: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Keys and values as they reach the layers, and the head, by PEFT's names."""
        return saved_banks(model, trained) | saved_head(trained, head)

    def fill(
        self,
        model: nn.Module,
        head: frozenset[str],
        trained: Mapping[str, Tensor],
        state: Mapping[str, Tensor],
    ) -> None:
        """The numbers back; the MLP is not needed any more."""
        fill_head(head, trained, settle_banks(model, trained, state))


def is_prefix(name: str) -> bool:
    """Is it a parameter of a bank?"""
    return f".{NAME}." in f".{plain(name)}" or f".cross_{NAME}." in f".{plain(name)}"


def own_banks(model: nn.Module, trained: Mapping[str, Tensor]) -> dict[str, Bank]:
    """Plain name -> bank, of those whose numbers are among `trained`."""
    return {plain(name): bank for name, bank in inserted(model, Bank) if f"{name}.embedding" in trained}


def saved_banks(model: nn.Module, trained: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Every bank's numbers; PEFT's name for them where there is only one."""
    with torch.no_grad():
        flat = {name: bank.flat().detach().clone() for name, bank in own_banks(model, trained).items()}
    return {"prompt_embeddings" if len(flat) == 1 else name: numbers for name, numbers in flat.items()}


def settle_banks(
    model: nn.Module, trained: Mapping[str, Tensor], state: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Put saved numbers into the banks; returns what of the state is left."""
    banks, left = own_banks(model, trained), dict(state)
    for name, bank in banks.items():
        bank.settle(left.pop("prompt_embeddings" if len(banks) == 1 else name))
    return left


@register("method", "prefix")
@dataclass(frozen=True)
class PrefixTuning(_Prefixed):
    """Learnt keys and values in every layer, made by an MLP while training: for generation, the base untouched."""

    encoder_hidden_size: Annotated[int, Field(ge=1)] = 512
    """Width of the MLP that makes the prefix while training; it is not needed afterwards."""

    summary: ClassVar[str] = "keys and values in every layer, made by an MLP, and the head"
    source: ClassVar[str] = "Li & Liang 2021, arXiv 2101.00190"
    learning_rate: ClassVar[float] = 5e-4

    @property
    def hidden(self) -> int:
        """As set."""
        return self.encoder_hidden_size


@register("method", "p_tuning_v2")
@dataclass(frozen=True)
class PTuningV2(_Prefixed):
    """Learnt keys and values in every layer, trained directly: deep prompts for understanding tasks."""

    summary: ClassVar[str] = "keys and values in every layer, and the head"
    source: ClassVar[str] = "Liu et al. 2022, arXiv 2110.07602"
    learning_rate: ClassVar[float] = 3e-2
