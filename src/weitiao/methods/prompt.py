"""Prompt tuning: learnt vectors stand before every row (Lester et al. 2021, arXiv 2104.08691).

[p_1 ... p_P, e(x_1) ... e(x_T)]  ->  the model          P-tuning: p = MLP(LSTM(v)), or MLP(v) (Liu et al. 2021, 2103.10385)

The vectors take P of the model's positions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from weitiao.core.contracts import Method, Tokenize, fill_weights
from weitiao.core.errors import fault
from weitiao.core.registry import register
from weitiao.core.why import because, reason
from weitiao.methods.chance import drawn
from weitiao.methods.vectors import NAME, Prompt, put_before
from weitiao.models import anatomy, inputs
from weitiao.models.wrap import inserted, plain


@dataclass(frozen=True)
class _Prompted(Method):
    """What prompt tuning and P-tuning share."""

    num_virtual_tokens: Annotated[int, Field(ge=1)] = 20
    """Learnt vectors before every row; they take so many of the model's positions."""

    space: ClassVar[Mapping[str, Any]] = {"num_virtual_tokens": {"low": 5, "high": 50}}

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
    config = inputs.config(model).get_text_config()
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

    prompt_tuning_init: Literal["random", "sample_vocab", "text"] = "sample_vocab"
    """What they begin as: normal noise, the embeddings of random words, or those of a text (said over and over until
    it is long enough); the paper found words better than noise."""
    prompt_tuning_init_text: str = ""
    """The text for `text`, such as "Is this review positive or negative?"."""

    summary: ClassVar[str] = "vectors before the input, and the head"
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
            why = reason("text_init_together")
            value = self.prompt_tuning_init_text
            raise fault("wrong_value", key="method.prompt_tuning_init_text", value=value, why=why)
        words = word_embeddings(model, method="prompt")
        if self.prompt_tuning_init == "random":
            size = self.num_virtual_tokens, words.weight.shape[1]
            first = drawn(nn.init.normal_, *size, device=words.weight.device)
        else:
            ids = self._ids(len(words.weight), tokenize)
            with torch.no_grad():
                first = words(torch.tensor(ids, device=words.weight.device)).float().clone()
        put_before(model, Prompt(first, None, stays=inputs.config(model).is_encoder_decoder))
        return model

    def _ids(self, vocabulary: int, tokenize: Tokenize) -> list[int]:
        if self.prompt_tuning_init == "sample_vocab":
            return torch.randint(0, vocabulary, (self.num_virtual_tokens,)).tolist()
        ids = tokenize(self.prompt_tuning_init_text)
        return (ids * math.ceil(self.num_virtual_tokens / len(ids)))[: self.num_virtual_tokens]

    def saved_config(self, model: nn.Module, head: frozenset[str]) -> dict[str, Any]:
        """As for every prompt; how it began does not matter to a reader."""
        return super().saved_config(model, head) | {"prompt_tuning_init": "RANDOM"}


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


@register("method", "p_tuning")
@dataclass(frozen=True)
class PTuning(_Prompted):
    """Vectors before every row that an LSTM or MLP makes from others: learns more steadily than bare vectors."""

    encoder_reparameterization_type: Literal["LSTM", "MLP"] = "LSTM"
    """What makes the vectors: the paper's bidirectional LSTM and two layers, or three layers."""
    encoder_hidden_size: Annotated[int, Field(ge=1)] = 128
    """Width inside."""
    encoder_num_layers: Annotated[int, Field(ge=1)] = 2
    """Layers of the LSTM; the MLP always has three."""
    encoder_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout between the LSTM's layers."""

    summary: ClassVar[str] = "vectors before the input, made by an LSTM or MLP, and the head"
    source: ClassVar[str] = "Liu et al. 2021, arXiv 2103.10385"
    learning_rate: ClassVar[float] = 1e-2
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
        first = drawn(nn.init.normal_, self.num_virtual_tokens, width, device=weight.device)
        stays = inputs.config(model).is_encoder_decoder
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
    try:
        words: nn.Module | None = inputs.embeddings(model)
    except NotImplementedError:  # as Transformers' models say it that have none
        words = None
    if not isinstance(words, nn.Embedding):
        raise fault("unfit_setting", key="name", value=method, **because("reads_no_words"))
    return words
