"""The optimisers of `train.optim`: which keys each reads, what it takes where the recipe is silent, how it is made.

resolved(settings, usual_rate=5e-4)  ->  {"learning_rate": 5e-4, "adam_beta1": 0.9, ...}
build(model, settings, learning_rate=...)  ->  torch.optim.Optimizer
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import nn

from weitiao.core.errors import fault
from weitiao.core.recipe import Train
from weitiao.core.why import because, reason
from weitiao.models.four_bit import ready
from weitiao.train.optim.adafactor import Adafactor
from weitiao.train.optim.groups import groups
from weitiao.train.optim.lion import Lion
from weitiao.train.optim.schedules import schedule

Groups: TypeAlias = list[dict[str, Any]]
# Keys that not every optimiser reads; the others (rate, decay, clipping) are read by all.
OWN_KEYS = ("adam_beta1", "adam_beta2", "adam_epsilon", "momentum")


def build(
    model: nn.Module,
    settings: Train,
    *,
    learning_rate: float,
    head: frozenset[str] = frozenset(),
    factors: Mapping[str, float] | None = None,
) -> torch.optim.Optimizer:
    """The optimiser of `settings.optim` over all that trains; see `groups` for the arguments.

    Raises:
        WeitiaoError: as `groups`; `missing_extra`, `no_optimizer`.
    """
    found = groups(model, settings, learning_rate=learning_rate, head=head, factors=factors)
    return KINDS[settings.optim].make(found, learning_rate, _read(settings))


def resolved(
    settings: Train, *, usual_rate: float, method_settings: Collection[str] = frozenset()
) -> dict[str, Any]:
    """What the `train` section leaves to the optimiser and the schedule, written out.

    Args:
        settings: the section as it was asked.
        usual_rate: the method's own learning rate, found with AdamW.
        method_settings: what the method has settings for.

    Raises:
        WeitiaoError: `unfit_training` for a key that the optimiser does not read, or the method has itself;
            `wrong_usage` when a rate must be given; `missing_extra`; as `schedule`.
    """
    kind = KINDS[settings.optim]
    for key in OWN_KEYS:
        readers = {name: other.reads[key] for name, other in KINDS.items() if key in other.reads}
        given = getattr(settings, key)
        # A usual value says nothing that would be lost: it stands in every recipe that another optimiser wrote.
        if settings.optim not in readers and given not in (None, *readers.values()):
            unread = because("optim_does_not_read", optim=settings.optim, known=", ".join(readers))
            raise fault("unfit_training", key=key, value=given, **unread)
    if settings.layerwise_lr_decay != 1 and "layerwise_lr_decay" in method_settings:
        decay, own = settings.layerwise_lr_decay, because("decay_of_its_own")
        raise fault("unfit_training", key="layerwise_lr_decay", value=decay, **own)
    if settings.data_parallel == "fsdp" and not kind.shards:
        able = ", ".join(name for name, other in KINDS.items() if other.shards)
        raise fault("wrong_usage", **because("optim_whole_weights", optim=settings.optim, known=able))
    if settings.learning_rate is None and kind.rate is None:
        raise fault("wrong_usage", **because("no_usual_rate", optim=settings.optim))
    if settings.optim == "adamw_8bit":
        ready()
    return {
        "learning_rate": settings.learning_rate or usual_rate * (kind.rate or 1.0),
        **dict.fromkeys(OWN_KEYS),
        **_read(settings),
        "lr_scheduler_kwargs": schedule(settings).settings(),
    }


def _read(settings: Train) -> dict[str, float]:
    """The keys of `OWN_KEYS` that the optimiser reads, with its own values where the recipe is silent."""
    given = {key: (getattr(settings, key), own) for key, own in KINDS[settings.optim].reads.items()}
    return {key: own if asked is None else asked for key, (asked, own) in given.items()}


def _betas(read: Mapping[str, float]) -> tuple[float, float]:
    return read["adam_beta1"], read["adam_beta2"]


def _adamw(found: Groups, lr: float, read: Mapping[str, float]) -> torch.optim.AdamW:
    return torch.optim.AdamW(found, lr=lr, betas=_betas(read), eps=read["adam_epsilon"], fused=True)


def _adam(found: Groups, lr: float, read: Mapping[str, float]) -> torch.optim.Adam:
    return torch.optim.Adam(found, lr=lr, betas=_betas(read), eps=read["adam_epsilon"], fused=True)


def _sgd(found: Groups, lr: float, read: Mapping[str, float]) -> torch.optim.SGD:
    return torch.optim.SGD(found, lr=lr, momentum=read["momentum"])  # torch's fused one knows no shares


def _lion(found: Groups, lr: float, read: Mapping[str, float]) -> Lion:
    return Lion(found, lr=lr, betas=_betas(read))


def _adafactor(found: Groups, lr: float, read: Mapping[str, float]) -> Adafactor:
    return Adafactor(found, lr=lr)


def _adamw_8bit(found: Groups, lr: float, read: Mapping[str, float]) -> torch.optim.Optimizer:
    ready()
    from bitsandbytes.optim import AdamW8bit

    device = found[0]["params"][0].device
    trial = nn.Parameter(torch.zeros(4096, device=device))  # the smallest that is kept in 8 bits
    trial.grad = torch.zeros_like(trial)
    try:
        AdamW8bit([trial]).step()
    except (NotImplementedError, RuntimeError, ValueError) as error:
        raise fault(
            "no_optimizer", name="adamw_8bit", what=reason("bits_on_device", device=device.type)
        ) from error
    return AdamW8bit(found, lr=lr, betas=_betas(read), eps=read["adam_epsilon"])


class MuonWithAdamW(torch.optim.Optimizer):
    """Muon for the hidden matrices, AdamW for all else, as Muon's author uses it; one optimiser to everyone outside.

    The groups and the state are shared with the two inside, so a schedule, a scaler or a checkpoint needs to know
    nothing of them.
    """

    def __init__(self, found: Groups, lr: float, read: Mapping[str, float]):
        super().__init__(found, {"lr": lr})
        matrices = [group for group in self.param_groups if group["matrix"]]
        others = [group for group in self.param_groups if not group["matrix"]]
        self.parts: list[torch.optim.Optimizer] = [
            # Updates as long as AdamW's (Liu et al. 2025, arXiv 2502.16982), so that one rate is right for both.
            torch.optim.Muon(matrices, lr=lr, momentum=read["momentum"], adjust_lr_fn="match_rms_adamw")
        ]
        if others:
            self.parts.append(_adamw(others, lr, read))
        for part in self.parts:
            part.state = self.state

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """A step of each."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part in self.parts:
            part.step()
        return loss


def _muon(found: Groups, lr: float, read: Mapping[str, float]) -> torch.optim.Optimizer:
    if not hasattr(torch.optim, "Muon"):
        raise fault("no_optimizer", name="muon", what=reason("torch_too_old", version=torch.__version__))
    return MuonWithAdamW(found, lr, read)


@dataclass(frozen=True)
class Kind:
    """One value of `train.optim`."""

    reads: Mapping[str, float]
    """The keys of `OWN_KEYS` that it reads -> what it takes when they are not given."""
    make: Callable[[Groups, float, Mapping[str, float]], torch.optim.Optimizer]
    """(groups, learning rate, what it reads) -> the optimiser."""
    rate: float | None = 1.0
    """Its usual rate, as a multiple of AdamW's; None when there is no such thing."""
    shards: bool = True
    """Does it treat every number by itself, so that a share of a weight (FSDP) is moved as the whole would be?"""


ADAM = {"adam_beta1": 0.9, "adam_beta2": 0.999, "adam_epsilon": 1e-8}
KINDS = {
    "adamw": Kind(ADAM, _adamw),
    "adam": Kind(ADAM, _adam),
    "sgd": Kind({"momentum": 0.9}, _sgd, rate=None),
    "adafactor": Kind({}, _adafactor, shards=False),
    # "3-10x smaller than that for AdamW" (section 5 of the paper).  A third: the runs of fine-tuning are short, and on
    # 420 reviews a fifth had hardly begun to learn when they ended (notes/LOG.md).
    "lion": Kind({"adam_beta1": 0.9, "adam_beta2": 0.99}, _lion, rate=1 / 3),
    "adamw_8bit": Kind(ADAM, _adamw_8bit, shards=False),
    "muon": Kind({**ADAM, "momentum": 0.95}, _muon, shards=False),
}
