"""Pictures out of noise, step after step.

draw(model, pipeline, noise, conditions, steps=25, guidance=7.5)  ->  samples (B, C, H, W) as the denoiser's pipeline has them
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from weitiao.models.pipelines import Pipeline

STOCHASTIC = "DDPMScheduler"
"""Draws noise in every step; DDIM (Song et al. 2020, arXiv 2010.02502) goes the same way without, and in fewer steps."""


def draw(
    model: nn.Module,
    pipeline: Pipeline,
    noise: Tensor,
    conditions: Mapping[str, Tensor],
    *,
    steps: int,
    guidance: float = 1.0,
    without: Mapping[str, Tensor] | None = None,
) -> Tensor:
    """What the model makes of noise.

    Args:
        model: a denoiser.
        pipeline: whose scheduler says how; where that draws noise, DDIM with its settings.
        noise: (B, C, H, W), from which alone the picture hangs.
        conditions: what is drawn, as the model is told it.
        steps: of the way.
        guidance: how far beyond what is said without `without` (Ho and Salimans 2022, arXiv 2207.12598); 1: not at all.
        without: what the model is told where it is to draw anything.
    """
    import diffusers

    kind = type(pipeline.scheduler)
    way: Any = (diffusers.DDIMScheduler if kind.__name__ == STOCHASTIC else kind).from_config(
        pipeline.scheduler.config
    )
    way.set_timesteps(min(steps, way.config.num_train_timesteps), device=noise.device)
    drawn = noise * getattr(way, "init_noise_sigma", 1.0)
    for time in way.timesteps:
        given = way.scale_model_input(drawn, time) if hasattr(way, "scale_model_input") else drawn
        times = time.expand(len(drawn))
        said = model(sample=given, timestep=times, **conditions).sample
        if without is not None and guidance != 1:
            anything = model(sample=given, timestep=times, **without).sample
            said = anything + guidance * (said - anything)
        drawn = way.step(said.float(), time, drawn).prev_sample
    return drawn
