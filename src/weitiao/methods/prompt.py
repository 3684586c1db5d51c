"""Prompt tuning: learnt vectors stand before every row (Lester et al. 2021, arXiv 2104.08691).

[p_1 ... p_P, e(x_1) ... e(x_T)]  ->  the model          P-tuning: p = MLP(LSTM(v)), or MLP(v) (Liu et al. 2021, 2103.10385)

The vectors take P of the model's positions.  What comes out at them is cut off again, so that heads, losses and
generation see the row alone; they stand before each row of a packed sequence.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from weitiao.core.contracts import Inserted, Method, Tokenize, fill_weights
from weitiao.core.errors import fault
from weitiao.core.registry import register
from weitiao.models import anatomy, inputs
from weitiao.models.wrap import hang, inserted, plain

NAME = "prompt"  # what the module is called inside the model


class Prompt(Inserted, nn.Module):
    """The learnt vectors, and the encoder that makes them, if there is one."""

    def __init__(self, first: Tensor, encoder: nn.Module | None, *, stays: bool):
        super().__init__()
        self.embedding = nn.Parameter(first)
        self.encoder = encoder
        self.stays = stays

    def forward(self) -> Tensor:
        """(P, D), always in float32: rounding would be the same in every row."""
        with torch.autocast(self.embedding.device.type, enabled=False):
            return self.embedding if self.encoder is None else self.encoder(self.embedding)

    def settle(self, vectors: Tensor) -> None:
        """Be these vectors from now on; the encoder has done its work (PEFT saves no more than them either).

        Raises:
            KeyError: when they are of another shape.
        """
        if vectors.shape != self.embedding.shape:
            raise KeyError(f"prompt_embeddings of shape {tuple(vectors.shape)}")
        self.encoder = None
        self.embedding.data = vectors.to(self.embedding)


class LstmEncoder(nn.Module):
    """P-tuning's: a bidirectional LSTM over the vectors, then two layers (named as in PEFT)."""

    def __init__(self, width: int, hidden: int, layers: int, dropout: float):
        super().__init__()
        self.lstm_head = nn.LSTM(width, hidden, layers, dropout=dropout, bidirectional=True, batch_first=True)
        self.mlp_head = nn.Sequential(
            nn.Linear(2 * hidden, 2 * hidden), nn.ReLU(), nn.Linear(2 * hidden, width)
        )

    def forward(self, vectors_PD: Tensor) -> Tensor:
        """(P, D) -> (P, D)."""
        return self.mlp_head(self.lstm_head(vectors_PD[None])[0])[0]


class MlpEncoder(nn.Module):
    """PEFT's other one: three layers, each vector by itself."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.mlp_head = nn.Sequential(
            nn.Linear(width, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, width),
        )

    def forward(self, vectors_PD: Tensor) -> Tensor:
        """(P, D) -> (P, D)."""
        return self.mlp_head(vectors_PD)


def put_before(model: nn.Module, prompt: Prompt) -> None:
    """Hang the prompt into the model."""
    body = inputs.text_model(model)
    before = set(body._modules)
    hang(body, NAME, prompt)
    (name,) = set(body._modules) - before
    # Hooks find the prompt by its name in the model that calls them, so that a copy of the model has its own.
    body.register_forward_pre_hook(partial(_before, name), with_kwargs=True)
    body.register_forward_hook(partial(_after, name), with_kwargs=True)
    if prompt.stays:
        decoder = model.get_decoder()  # type: ignore[operator]
        decoder.register_forward_pre_hook(_lengthen_cross_mask, with_kwargs=True)


def _prompt(body: nn.Module, name: str) -> Prompt | None:
    prompt = body._modules.get(name)  # none once it has been taken off again
    return prompt if isinstance(prompt, Prompt) and prompt.enabled else None


def _before(
    name: str, body: nn.Module, args: Any, words: dict[str, Any]
) -> tuple[tuple[()], dict[str, Any]] | None:
    prompt, words = _prompt(body, name), inputs.named(body, args, words)
    if prompt is None:
        return None
    vectors_PD = prompt()
    count = len(vectors_PD)
    rows = inputs.bounds(words)
    past = words.get("past_key_values")
    if past is not None and past.get_seq_length():  # the vectors lie in the cache already
        words["position_ids"] = inputs.positions(
            body, words, shift=0 if "position_ids" not in words else count
        )
        words["attention_mask"] = _longer(words.get("attention_mask"), count)
        return (), words
    embed = body.get_input_embeddings()  # type: ignore[operator]
    ids = words.pop("input_ids", None)
    rows_BTD = words.get("inputs_embeds") if ids is None else embed(ids)
    assert rows_BTD is not None
    vectors_PD = vectors_PD.to(rows_BTD.dtype)
    if rows is not None:
        words |= _packed(rows_BTD, rows, vectors_PD)
        return (), words
    batch = rows_BTD.shape[0]
    words["inputs_embeds"] = torch.cat([vectors_PD.expand(batch, -1, -1), rows_BTD], dim=1)
    words["attention_mask"] = _longer(words.get("attention_mask"), count)
    if words.get("token_type_ids") is not None:
        words["token_type_ids"] = nn.functional.pad(words["token_type_ids"], (count, 0))
    if words.get("position_ids") is not None:
        own = torch.arange(count, device=rows_BTD.device).expand(len(words["position_ids"]), -1)
        words["position_ids"] = torch.cat([own, words["position_ids"] + count], dim=1)
    return (), words


def _packed(rows_1TD: Tensor, bounds: Tensor, vectors_PD: Tensor) -> dict[str, Any]:
    """The same vectors before each row of a sequence of many."""
    count, rows = len(vectors_PD), len(bounds) - 1
    place = _places(bounds, count)
    long = rows_1TD.new_empty(1, rows_1TD.shape[1] + rows * count, rows_1TD.shape[2])
    starts = bounds[:-1] + count * torch.arange(rows, device=bounds.device)
    heads = (starts[:, None] + torch.arange(count, device=bounds.device)).flatten()
    long = long.index_copy(1, place, rows_1TD).index_copy(1, heads, vectors_PD.repeat(rows, 1)[None])
    moved = bounds + count * torch.arange(rows + 1, device=bounds.device)
    sizes = moved[1:] - moved[:-1]
    position = torch.arange(int(moved[-1]), device=bounds.device) - moved[:-1].repeat_interleave(sizes)
    return {"inputs_embeds": long, "cu_seq_lens_q": moved, "position_ids": position[None]}


def _places(bounds: Tensor, count: int) -> Tensor:
    """Where each token of the packed rows stands once `count` vectors stand before every row."""
    sizes = bounds[1:] - bounds[:-1]
    row = torch.arange(len(sizes), device=bounds.device).repeat_interleave(sizes)
    return torch.arange(int(bounds[-1]), device=bounds.device) + count * (row + 1)


def _after(name: str, body: nn.Module, args: Any, words: dict[str, Any], output: Any) -> Any:
    prompt, words = _prompt(body, name), inputs.named(body, args, words)
    # `_before` gives embeddings wherever it has put the vectors in.
    if prompt is None or prompt.stays or words.get("inputs_embeds") is None:
        return output
    count, hidden_BTD, rows = len(prompt.embedding), output.last_hidden_state, inputs.bounds(words)
    if rows is None:
        output.last_hidden_state = hidden_BTD[:, count:]
    else:
        own = rows - count * torch.arange(len(rows), device=rows.device)
        output.last_hidden_state = hidden_BTD.index_select(1, _places(own, count))
    return output


def _lengthen_cross_mask(decoder: nn.Module, args: Any, words: dict[str, Any]) -> Any:
    """The decoder looks at the vectors' states too, so its mask over the encoder's states must cover them."""
    words = inputs.named(decoder, args, words)
    mask, states = words.get("encoder_attention_mask"), words.get("encoder_hidden_states")
    if mask is None or states is None:
        return None
    words["encoder_attention_mask"] = _longer(mask, states.shape[1] - mask.shape[1])
    return (), words


def _longer(mask: Tensor | None, count: int) -> Tensor | None:
    return mask if mask is None else nn.functional.pad(mask, (count, 0), value=1)


class _Prompted(Method):
    """What prompt tuning and P-tuning share; `num_virtual_tokens` is theirs."""

    num_virtual_tokens: int

    foldable: ClassVar[bool] = False
    starts_as_base: ClassVar[bool] = False
    layout: ClassVar[Literal["pretrained", "peft", "adapter"]] = "peft"
    alone: ClassVar[bool] = True
    peft_type: ClassVar[str]

    @property
    def positions(self) -> int:
        """One for each vector."""
        return self.num_virtual_tokens

    def trains(self, name: str, weight: Tensor, head: frozenset[str]) -> bool:
        """The vectors, their encoder, and the head."""
        return f".{NAME}." in f".{plain(name)}" or name in head

    def saved_config(self, model: nn.Module, head: frozenset[str]) -> dict[str, Any]:
        """What PEFT needs to put the same vectors before its rows."""
        return {"peft_type": self.peft_type, "num_virtual_tokens": self.num_virtual_tokens} | sizes(
            model, head
        )

    def saved_state(
        self, model: nn.Module, head: frozenset[str], trained: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """The vectors as they reach the model, and the head, by PEFT's names."""
        with torch.no_grad():
            vectors = _own(model, trained)().detach().clone()
        return {"prompt_embeddings": vectors} | saved_head(trained, head)

    def fill(
        self,
        model: nn.Module,
        head: frozenset[str],
        trained: Mapping[str, Tensor],
        state: Mapping[str, Tensor],
    ) -> None:
        """The vectors back; an encoder is not needed any more."""
        _own(model, trained).settle(state["prompt_embeddings"])
        fill_head(head, trained, {n: w for n, w in state.items() if n != "prompt_embeddings"})


def _own(model: nn.Module, trained: Mapping[str, Tensor]) -> Prompt:
    return next(prompt for name, prompt in inserted(model, Prompt) if f"{name}.embedding" in trained)


def sizes(model: nn.Module, head: frozenset[str]) -> dict[str, Any]:
    """What every prompt configuration of PEFT says of the model."""
    config = model.config.get_text_config()  # type: ignore[union-attr, operator]
    return {
        "num_transformer_submodules": 1,
        "num_layers": config.num_hidden_layers,
        "num_attention_heads": config.num_attention_heads,
        "token_dim": config.hidden_size,
        "modules_to_save": anatomy.head_modules(model, head) or None,
    }


def saved_head(trained: Mapping[str, Tensor], head: frozenset[str]) -> dict[str, Tensor]:
    """The head by the names that PEFT has for it beside prompts."""
    return {f"base_model.{name}": weight for name, weight in trained.items() if name in head}


def fill_head(head: frozenset[str], trained: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
    """The way back.

    Raises:
        KeyError: as `fill_weights`.
    """
    fill_weights(saved_head(trained, head), state)


@register("method", "prompt")
@dataclass(frozen=True)
class PromptTuning(_Prompted):
    """Learnt vectors before every row and nothing else: tiny, slow to learn, at its best on very large models."""

    num_virtual_tokens: Annotated[int, Field(ge=1)] = 20
    """Learnt vectors before every row; they take so many of the model's positions."""
    prompt_tuning_init: Literal["random", "sample_vocab", "text"] = "sample_vocab"
    """What they begin as: normal noise, the embeddings of random words, or those of a text (said over and over until
    it is long enough); the paper found words better than noise."""
    prompt_tuning_init_text: str = ""
    """The text for `text`, such as "Is this review positive or negative?"."""

    summary: ClassVar[str] = "vectors before the input, and the head; below 0.1 %"
    source: ClassVar[str] = "Lester et al. 2021, arXiv 2104.08691"
    learning_rate: ClassVar[float] = 3e-2
    peft_type: ClassVar[str] = "PROMPT_TUNING"

    def attach(self, model: nn.Module, head: frozenset[str], tokenize: Tokenize) -> nn.Module:
        """Put the vectors before every row.

        Raises:
            WeitiaoError: `unfit_setting` when the model reads no words, or the text is missing.
        """
        asked = self.prompt_tuning_init == "text"
        if asked != bool(self.prompt_tuning_init_text.strip()):
            why = "`text` and `prompt_tuning_init_text` go together"
            way = "give both, or neither"
            value = self.prompt_tuning_init
            raise fault("unfit_setting", key="prompt_tuning_init", value=value, why=why, way=way)
        words = word_embeddings(model, method="prompt")
        if self.prompt_tuning_init == "random":
            first = torch.randn(self.num_virtual_tokens, words.weight.shape[1], device=words.weight.device)
        else:
            ids = self._ids(len(words.weight), tokenize)
            with torch.no_grad():
                first = words(torch.tensor(ids, device=words.weight.device)).float().clone()
        put_before(model, Prompt(first, None, stays=model.config.is_encoder_decoder))  # type: ignore[union-attr, arg-type]
        return model

    def _ids(self, vocabulary: int, tokenize: Tokenize) -> list[int]:
        if self.prompt_tuning_init == "sample_vocab":
            return torch.randint(0, vocabulary, (self.num_virtual_tokens,)).tolist()
        ids = tokenize(self.prompt_tuning_init_text)
        return (ids * math.ceil(self.num_virtual_tokens / len(ids)))[: self.num_virtual_tokens]

    def saved_config(self, model: nn.Module, head: frozenset[str]) -> dict[str, Any]:
        """As for every prompt; how it began does not matter to a reader."""
        return super().saved_config(model, head) | {"prompt_tuning_init": "RANDOM"}


@register("method", "p_tuning")
@dataclass(frozen=True)
class PTuning(_Prompted):
    """Vectors before every row that an LSTM or MLP makes from others: learns more steadily than bare vectors."""

    num_virtual_tokens: Annotated[int, Field(ge=1)] = 20
    """Learnt vectors before every row; they take so many of the model's positions."""
    encoder_reparameterization_type: Literal["LSTM", "MLP"] = "LSTM"
    """What makes the vectors: the paper's bidirectional LSTM and two layers, or three layers."""
    encoder_hidden_size: Annotated[int, Field(ge=1)] = 128
    """Width inside."""
    encoder_num_layers: Annotated[int, Field(ge=1)] = 2
    """Layers of the LSTM; the MLP always has three."""
    encoder_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout between the LSTM's layers."""

    summary: ClassVar[str] = "vectors before the input, made by an LSTM or MLP, and the head; 0.1 to 2 %"
    source: ClassVar[str] = "Liu et al. 2021, arXiv 2103.10385"
    learning_rate: ClassVar[float] = 3e-3
    peft_type: ClassVar[str] = "P_TUNING"

    def attach(self, model: nn.Module, head: frozenset[str], tokenize: Tokenize) -> nn.Module:
        """Put the vectors and what makes them before every row.

        Raises:
            WeitiaoError: `unfit_setting` when the model reads no words.
        """
        weight = word_embeddings(model, method="p_tuning").weight
        width, hidden = weight.shape[1], self.encoder_hidden_size
        encoder = (
            LstmEncoder(width, hidden, self.encoder_num_layers, self.encoder_dropout)
            if self.encoder_reparameterization_type == "LSTM"
            else MlpEncoder(width, hidden)
        )
        first = torch.randn(self.num_virtual_tokens, width, device=weight.device)
        stays = bool(model.config.is_encoder_decoder)  # type: ignore[union-attr]
        put_before(model, Prompt(first, encoder.to(weight.device), stays=stays))
        return model

    def saved_config(self, model: nn.Module, head: frozenset[str]) -> dict[str, Any]:
        """As for every prompt, and how the vectors were made."""
        return super().saved_config(model, head) | {
            "encoder_reparameterization_type": self.encoder_reparameterization_type,
            "encoder_hidden_size": self.encoder_hidden_size,
            "encoder_num_layers": self.encoder_num_layers,
            "encoder_dropout": self.encoder_dropout,
        }


def word_embeddings(model: nn.Module, *, method: str) -> nn.Embedding:
    """The table of word embeddings.

    Raises:
        WeitiaoError: `unfit_setting` when the model reads no words.
    """
    words = model.get_input_embeddings()  # type: ignore[operator]
    if not isinstance(words, nn.Embedding):
        way = "take prefix, lora or adapter"
        raise fault("unfit_setting", key="name", value=method, why="it does not read words", way=way)
    return words
