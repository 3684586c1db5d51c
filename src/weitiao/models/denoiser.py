"""A denoiser of diffusers as a model of Transformers': with a configuration, a body by name, and one way to be called.

    Denoiser(unet, "unet")(sample=(B, C, H, W), timestep=(B,), class_labels=(B,))  ->  what it says of the noise (B, C, H, W)

Its parameters are called `unet.conv_in.weight` or `transformer.pos_embed.proj.weight`, as diffusers calls them in files of LoRA.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.utils import ModelOutput

KIND = "diffusers"


class DenoiserConfig(PretrainedConfig):
    """What Transformers' side asks of a model; all else stands in the denoiser's own configuration."""

    model_type = KIND


@dataclass
class Denoised(ModelOutput):
    """What was said."""

    sample: Tensor | None = None


class Denoiser(PreTrainedModel):
    """A UNet or transformer of diffusers, called by one set of names."""

    config_class = DenoiserConfig
    main_input_name = "sample"
    _supports_sdpa = True

    def __init__(self, body: nn.Module, name: str):
        super().__init__(DenoiserConfig(id2label={}))
        self.base_model_prefix = name
        self.add_module(name, body)
        known: Any = body
        self.supports_gradient_checkpointing = bool(known._supports_gradient_checkpointing)

    @property
    def body(self) -> Any:
        """The model of diffusers, with whatever a method put into it."""
        return getattr(self, self.base_model_prefix)

    def get_input_embeddings(self) -> nn.Module:
        """What pixels go through first; there are no words."""
        found: nn.Module = self.body.conv_in if hasattr(self.body, "conv_in") else self.body.pos_embed
        return found

    def get_output_embeddings(self) -> None:
        """None: nothing is said in words."""
        return

    def activation_checkpointing_enable(self, *args: Any, **words: Any) -> None:
        """As diffusers does it."""
        self.body.enable_gradient_checkpointing()

    def activation_checkpointing_disable(self) -> None:
        """As diffusers does it."""
        self.body.disable_gradient_checkpointing()

    def disable_input_require_grads(self) -> None:
        """Nothing asks for them: only the re-entrant kind of recomputation would."""

    def forward(
        self,
        sample: Tensor,
        timestep: Tensor,
        class_labels: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
    ) -> Denoised:
        """What is said of the noise in each picture.

        Args:
            sample: noisy pictures, or latents (B, C, H, W).
            timestep: how noisy each is (B,).
            class_labels: what is drawn, as a class (B,).
            encoder_hidden_states: what is drawn, as the states of a prompt (B, T, D).
        """
        conditions = {"class_labels": class_labels, "encoder_hidden_states": encoder_hidden_states}
        given = {name: each for name, each in conditions.items() if each is not None}
        said = self.body(sample, timestep=timestep, return_dict=False, **given)[0]
        # Some also say how sure they are (a learned variance), which the loss of the noise does not train.
        return Denoised(said[:, : sample.shape[1]] if said.shape[1] > sample.shape[1] else said)
