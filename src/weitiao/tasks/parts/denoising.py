"""What a denoiser is asked, and what it should say: noisy pictures, at a time, and what its kind predicts of them.

    Noising.of(scheduler)                ->  how a base's scheduler makes pictures noisy
    noising.noisy(clean, noise, at)      ->  sample (B, C, H, W) and timestep (B,)
    noising.target(clean, noise, at)     ->  the noise; or the picture; or the velocity between them
    noising.weight(at, gamma)            ->  min-SNR weights (B,)

Ho et al. 2020 (arXiv 2006.11239): x_t = sqrt(a_t) x_0 + sqrt(1 - a_t) noise.  Velocity (Salimans and Ho 2022, arXiv 2202.00512):
v = sqrt(a_t) noise - sqrt(1 - a_t) x_0.  Flow matching (Lipman et al. 2022, arXiv 2210.02747): x_s = (1 - s) x_0 + s noise, v = noise - x_0.
Min-SNR-gamma (Hang et al. 2023, arXiv 2303.09556), SNR = a / (1 - a): min(SNR, gamma) / SNR of a loss of noise, / (SNR + 1) of velocity.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from weitiao.core.errors import fault
from weitiao.core.why import reason
from weitiao.models.pipelines import FLOW

KINDS = ("epsilon", "v_prediction", "sample")


class Noising(ABC):
    """How pictures become noisy."""

    steps: int
    """Places of the way from a picture to noise, counted from 0."""

    @staticmethod
    def of(scheduler: Any) -> Noising:
        """As a scheduler of diffusers says it.

        Raises:
            WeitiaoError: `unfit_pipeline` for a scheduler that says neither.
        """
        config = scheduler.config
        if type(scheduler).__name__ == FLOW:
            # The list of a scheduler that has not been asked for fewer steps, from noise to picture.
            return Flowing(len(scheduler.timesteps), scheduler.timesteps.float(), scheduler.sigmas.float())
        kind = config.get("prediction_type", "epsilon")
        if kind not in KINDS or not hasattr(scheduler, "alphas_cumprod"):
            why = reason("unknown_noise", kind=type(scheduler).__name__, predicts=kind)
            raise fault("unfit_pipeline", ref=type(scheduler).__name__, why=why)
        kept = scheduler.alphas_cumprod.float()
        return Diffusing(len(kept), kind, kept)

    @abstractmethod
    def noisy(self, clean: Tensor, noise: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
        """Noisy pictures, and their times as the model is told them."""

    @abstractmethod
    def target(self, clean: Tensor, noise: Tensor, at: Tensor) -> Tensor:
        """What should be said."""

    @abstractmethod
    def weight(self, at: Tensor, gamma: float | None) -> Tensor:
        """What each row counts for (B,)."""


@dataclass(frozen=True)
class Diffusing(Noising):
    """DDPM and its kin."""

    steps: int
    kind: str
    """What is predicted."""
    kept_T: Tensor
    """Share of the picture's variance that is left: the products of alphas."""

    def noisy(self, clean: Tensor, noise: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
        """As `add_noise`."""
        kept = _beside(self.kept_T[at], clean)
        return kept.sqrt() * clean + (1 - kept).sqrt() * noise, at

    def target(self, clean: Tensor, noise: Tensor, at: Tensor) -> Tensor:
        """Noise, velocity or picture."""
        if self.kind == "v_prediction":
            kept = _beside(self.kept_T[at], clean)
            return kept.sqrt() * noise - (1 - kept).sqrt() * clean
        return noise if self.kind == "epsilon" else clean

    def weight(self, at: Tensor, gamma: float | None) -> Tensor:
        """1 without gamma."""
        if gamma is None:
            return torch.ones(len(at))
        snr = self.kept_T[at] / (1 - self.kept_T[at])
        if self.kind == "sample":
            return snr.clamp(max=gamma)
        if self.kind == "v_prediction":
            return snr.clamp(max=gamma) / (snr + 1)
        # Of noise alone (SNR 0) the quotient is 1, as it is of all that is noisier than gamma.
        return torch.where(snr > gamma, gamma / snr, torch.ones_like(snr))


@dataclass(frozen=True)
class Flowing(Noising):
    """Flow matching on straight lines."""

    steps: int
    times_T: Tensor
    sigmas_T: Tensor

    def noisy(self, clean: Tensor, noise: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
        """As `scale_noise`."""
        sigma = _beside(self.sigmas_T[at], clean)
        return (1 - sigma) * clean + sigma * noise, self.times_T[at]

    def target(self, clean: Tensor, noise: Tensor, at: Tensor) -> Tensor:
        """From the picture to the noise."""
        return noise - clean

    def weight(self, at: Tensor, gamma: float | None) -> Tensor:
        """1: lines have no ratio of signal to noise that min-SNR was made for."""
        return torch.ones(len(at))


def _beside(values_B: Tensor, pictures: Tensor) -> Tensor:
    return values_B.view(-1, *(1 for _ in pictures.shape[1:]))
