"""BitFit: the biases train, the weights stay (Ben Zaken, Ravfogel & Goldberg 2021, arXiv 2106.10199)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from weitiao.core.contracts import Method, Tokenize
from weitiao.core.errors import fault
from weitiao.core.registry import register
from weitiao.core.why import because
from weitiao.models import anatomy

if TYPE_CHECKING:
    from torch import Tensor, nn


@register("method", "bitfit")
@dataclass(frozen=True)
class BitFit(Method):
    """Shifts alone: next to nothing is stored, and on small to medium data it comes near full tuning."""

    biases: Literal["all", "query_mlp"] = "all"
    """`all` takes those of norms too; `query_mlp` takes the queries' and the first feed-forward layer's, half as
    many, which the paper found nearly as good (its b_q and b_m2)."""

    summary: ClassVar[str] = "biases and the head"
    source: ClassVar[str] = "Ben Zaken et al. 2021, arXiv 2106.10199"
    foldable: ClassVar[bool] = True
    starts_as_base: ClassVar[bool] = True
    layout: ClassVar[Literal["pretrained", "peft", "adapter"]] = "pretrained"
    learning_rate: ClassVar[float] = 3e-3

    def attach(self, model: nn.Module, head: frozenset[str], tokenize: Tokenize) -> nn.Module:
        """Nothing is put in; which biases train is read off the model once."""
        chosen = {name for name, _ in model.named_parameters() if name.endswith("bias") and name not in head}
        if self.biases == "query_mlp":
            wanted = set()
            for block in anatomy.blocks(model):
                queries = [attention.projection(anatomy.QUERY) for attention in block.attentions]
                wanted |= {f"{name}.bias" for name in [*queries, *block.feed_forward(model)[0]] if name}
            chosen &= wanted
        if not chosen:
            raise fault("unfit_setting", key="biases", value=self.biases, **because("no_biases"))
        for name, weight in model.named_parameters():
            weight.requires_grad_(name in chosen or name in head)
        return model

    def trains(self, name: str, weight: Tensor, head: frozenset[str]) -> bool:
        """What `attach` chose."""
        return weight.requires_grad
