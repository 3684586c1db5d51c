"""Pipelines of diffusers by folders: what trains is the denoiser; all that stands around it makes rows ready and stays as it is.

DIFFUSERS.processor("base")         ->  Pipeline: scheduler, VAE, text encoder, tokenizer, names of classes
DIFFUSERS.model(pipeline, task)     ->  Denoiser, the parameters of classes that the base does not know
DIFFUSERS.save(folder, ...)         ->  model_index.json and a folder a part, as `DiffusionPipeline.from_pretrained` reads it
DIFFUSERS.save_beside(folder, ...)  ->  pytorch_lora_weights.safetensors, and PEFT's files for the denoiser alone
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weitiao.core.contracts import OURS, Learnt, Library
from weitiao.core.errors import fault, need
from weitiao.core.files import sha256, write_json
from weitiao.core.why import reason
from weitiao.models.folders import PIPELINE as INDEX
from weitiao.models.quiet import hushed, quiet

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image
    from torch import Tensor, nn

    from weitiao.models.denoiser import Denoiser

NAMES = "id2label.json"
"""What the classes of a pipeline are called, where its model_index.json does not say so (DiT's does): {"0": "sandal", ...}."""
LORA = "pytorch_lora_weights.safetensors"
BODIES = ("unet", "transformer")
KNOWN = ("UNet2DModel", "UNet2DConditionModel", "DiTTransformer2DModel", "Transformer2DModel")
READ = (*BODIES, "scheduler", "vae", "text_encoder", "tokenizer")
UNREAD = ("safety_checker", "feature_extractor", "image_encoder")
"""Parts that look at pictures that are done, or at pictures that are given; they are kept, and not asked."""
FLOW = "FlowMatchEulerDiscreteScheduler"


def body_name(folder: Path) -> str:
    """Which part of a pipeline's folder denoises; empty where it is no pipeline."""
    if not (folder / INDEX).is_file():
        return ""
    return next((name for name in BODIES if (folder / name / "config.json").is_file()), "")


def _diffusers() -> Any:
    """diffusers, without what bitsandbytes says, which it imports where that is installed."""
    with hushed("bitsandbytes"):
        import diffusers

        diffusers.UNet2DModel  # noqa: B018 - its parts are imported when they are first asked for
    return diffusers


@dataclass
class Pipeline:
    """What makes rows ready for a denoiser, and pictures of what it says."""

    source: str
    """The folder."""
    kind: str
    """The pipeline's class."""
    body: str
    """Name of the denoiser's part."""
    config: Mapping[str, Any]
    """The denoiser's own."""
    scheduler: Any
    vae: Any = None
    text_encoder: Any = None
    tokenizer: Any = None
    names: tuple[str, ...] = ()
    """Of its classes, in order; none where it has none, or does not say."""

    @property
    def conditions(self) -> str:
        """By what it is told what to draw: `text`, `class`, or nothing."""
        if self.text_encoder is not None:
            return "text"
        classes = self.config.get("num_class_embeds") or self.config.get("num_embeds_ada_norm")
        return "class" if classes else ""

    @cached_property
    def classes(self) -> int:
        """How many classes it has a place for."""
        if self.conditions != "class":
            return 0
        return int(self.config.get("num_class_embeds") or self.config["num_embeds_ada_norm"])

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of what is denoised."""
        size = self.config.get("sample_size") or 32
        height, width = size if isinstance(size, list | tuple) else (size, size)
        return int(self.config["in_channels"]), int(height), int(width)

    @property
    def pixels(self) -> tuple[int, int, int]:
        """Channels, height and width of a picture."""
        if self.vae is None:
            return self.shape
        smaller = 2 ** (len(self.vae.config.block_out_channels) - 1)
        _, height, width = self.shape
        return int(self.vae.config.in_channels), height * smaller, width * smaller

    def ready(self, picture: Image) -> np.ndarray:
        """A picture as numbers from -1 to 1 (C, H, W): its shorter side as long as the model's, cut to the middle."""
        import numpy as np
        from PIL import ImageOps
        from PIL.Image import Resampling

        channels, height, width = self.pixels
        found = picture.convert("L" if channels == 1 else "RGB")
        if found.size != (width, height):
            found = ImageOps.fit(found, (width, height), Resampling.BILINEAR)
        pixels = np.asarray(found, dtype=np.float32) / 127.5 - 1
        return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)

    def moments(self, picture: Image) -> np.ndarray:
        """Mean and logarithm of the variance of a picture's latents (2 C, H, W)."""
        import torch

        with torch.inference_mode():
            given = torch.from_numpy(self.ready(picture))[None].to(self.vae.device)
            found: np.ndarray = self.vae.encode(given).latent_dist.parameters[0].float().cpu().numpy()
        return found

    def latents(self, moments: np.ndarray, noise: np.ndarray | None) -> np.ndarray:
        """Latents as they are denoised (C, H, W): drawn where there is noise to draw by, else their mean."""
        import numpy as np

        mean, log = np.split(moments, 2)
        drawn = mean if noise is None else mean + np.exp(log.clip(-30, 20) / 2) * noise
        shift = self.vae.config.get("shift_factor") or 0.0
        return (drawn - shift) * self.vae.config.scaling_factor

    def states(self, prompt: str) -> np.ndarray:
        """A prompt as the denoiser hears it (T, D)."""
        import torch

        with torch.inference_mode():
            ids = self.tokenizer(
                prompt,
                padding="max_length",
                max_length=self.tokenizer.model_max_length,
                truncation=True,
                return_tensors="pt",
            ).input_ids
            found: np.ndarray = (
                self.text_encoder(ids.to(self.text_encoder.device))[0][0].float().cpu().numpy()
            )
        return found

    def pictures(self, samples: Tensor) -> list[Image]:
        """What was denoised (B, C, H, W) as pictures."""
        import numpy as np
        from PIL import Image as pillow

        if self.vae is not None:
            shift = self.vae.config.get("shift_factor") or 0.0
            samples = (
                self.vae.to(samples.device).decode(samples / self.vae.config.scaling_factor + shift).sample
            )
        shades = ((samples.float().clamp(-1, 1) + 1) * 127.5).round().byte().cpu().numpy()
        return [pillow.fromarray(np.squeeze(one.transpose(1, 2, 0))) for one in shades]

    def __call__(self, images: Sequence[Any], return_tensors: str = "pt") -> dict[str, Tensor]:
        """So many noisy samples, as the denoiser is called with them, to try whether it computes."""
        import torch

        count, chance = len(images), torch.Generator().manual_seed(0)
        found = {
            "sample": torch.randn((count, *self.shape), generator=chance),
            "timestep": torch.full((count,), self.scheduler.config.num_train_timesteps // 2),
        }
        if self.conditions == "text":
            found["encoder_hidden_states"] = torch.from_numpy(self.states(""))[None].repeat(count, 1, 1)
        elif self.conditions:
            found["class_labels"] = torch.zeros(count, dtype=torch.long)
        return found

    def save_pretrained(self, folder: str | Path) -> None:
        """All that decides what rows become, less the weights, which are named by their hash."""
        weights = {
            str(path.relative_to(self.source)): sha256(path)
            for part in ("vae", "text_encoder")
            for path in sorted(Path(self.source, part).glob("*.safetensors"))
        }
        self.scheduler.save_pretrained(Path(folder, "scheduler"))
        if self.tokenizer is not None:
            self.tokenizer.save_pretrained(Path(folder, "tokenizer"))
        said = {"class": self.kind, "denoiser": self.body, "pixels": self.pixels, "weights": weights}
        write_json(Path(folder, "pipeline.json"), said)


class Diffusers(Library):
    """Folders that `DiffusionPipeline.from_pretrained` opens, of a denoiser that is asked (sample, timestep, class or prompt)."""

    def refuse(self, source: str, *, ref: str) -> None:
        """Raises `no_pipeline`, `unfit_pipeline`, `no_weights`, `missing_extra`."""
        need("diffusers", extra="diffusion")
        folder = Path(source)
        name = body_name(folder)
        if not name:
            raise fault("no_pipeline", ref=ref)
        kind = _said(folder / name / "config.json").get("_class_name", "?")
        if kind not in KNOWN:
            raise fault(
                "unfit_pipeline", ref=ref, why=reason("unknown_denoiser", kind=kind, known=", ".join(KNOWN))
            )
        if _said(folder / name / "config.json").get("addition_embed_type"):
            raise fault("unfit_pipeline", ref=ref, why=reason("further_conditions", kind=kind))
        parts = {part for part, held in _said(folder / INDEX).items() if isinstance(held, list) and held[0]}
        if strange := sorted(parts - {*READ, *UNREAD}):
            raise fault("unfit_pipeline", ref=ref, why=reason("unknown_parts", names=", ".join(strange)))
        if not sorted((folder / name).glob("*.safetensors")):
            found = sorted(path.name for path in (folder / name).glob("*.bin"))
            raise fault("no_weights", path=folder / name, found=", ".join(found) or "-")

    def processor(self, source: str, *, ref: str) -> Pipeline:
        """All parts but the denoiser, frozen."""
        import transformers

        diffusers = _diffusers()
        folder, index = Path(source), _said(Path(source, INDEX))

        def part(name: str) -> Any:
            library, kind = index.get(name) or ("", "")
            if not kind:
                return None
            found = getattr({"diffusers": diffusers, "transformers": transformers}[library], kind)
            options = {"use_safetensors": True} if issubclass(found, _module()) else {}
            with quiet():
                made = found.from_pretrained(folder / name, **options)
            return made.eval().requires_grad_(False) if options else made

        body = body_name(folder)
        config = _said(folder / body / "config.json")
        known = index.get("id2label") or _said(folder / NAMES)
        names = tuple(str(known[key]) for key in sorted(known, key=int))
        held = {name: part(name) for name in ("scheduler", "vae", "text_encoder", "tokenizer")}
        return Pipeline(source, index["_class_name"], body, config, names=names, **held)

    def model(self, processor: Pipeline, task: Learnt, *, empty: bool) -> tuple[Denoiser, frozenset[str]]:
        """The denoiser, with a place for each of the task's classes: a new one begins as the mean of those that are there.

        Raises `unfit_pipeline` where classes of more layers than one would have to be added.
        """
        import torch

        from weitiao.models.denoiser import Denoiser

        kind: Any = getattr(_diffusers(), processor.config["_class_name"])
        if empty:
            body = kind.from_config(dict(processor.config))
        else:
            body = kind.from_pretrained(
                Path(processor.source, processor.body),
                torch_dtype=torch.float32,
                use_safetensors=True,
                low_cpu_mem_usage=False,
            )
        if processor.config.get("sample_size") != body.config.get("sample_size"):
            body.register_to_config(sample_size=processor.config["sample_size"])
        model, head = Denoiser(body, processor.body), frozenset[str]()
        if processor.conditions == "class" and task.classes():
            if len(task.classes()) > processor.classes:
                self._widen(body, len(task.classes()), ref=processor.source)
            new = set(task.classes()) - set(processor.names)
            if processor.names and new or len(task.classes()) > processor.classes:
                head = frozenset(
                    {f"{processor.body}.class_embedding.weight"} & {n for n, _ in model.named_parameters()}
                )
        return model, head

    def _widen(self, body: Any, count: int, *, ref: str) -> None:
        import torch
        from torch import nn

        known = getattr(body, "class_embedding", None)
        if not isinstance(known, nn.Embedding):
            kind = type(body).__name__
            raise fault("unfit_pipeline", ref=ref, why=reason("classes_fixed", kind=kind))
        wider = nn.Embedding(count, known.embedding_dim, device=known.weight.device)
        with torch.no_grad():
            wider.weight[: known.num_embeddings] = known.weight
            wider.weight[known.num_embeddings :] = known.weight.mean(0)
        body.class_embedding = wider
        body.register_to_config(num_class_embeds=count)

    def save(self, folder: Path, model: nn.Module, processor: Pipeline, task: Learnt) -> None:
        """The base's files with the denoiser's own in their place."""
        held: Any = model
        folder.mkdir(parents=True, exist_ok=True)
        for path in Path(processor.source).iterdir():
            if path.name == INDEX or (
                path.is_dir() and path.name in (*READ, *UNREAD) and path.name != processor.body
            ):
                (shutil.copytree if path.is_dir() else shutil.copyfile)(path, folder / path.name)
        with quiet():
            held.body.save_pretrained(folder / processor.body)
        if processor.conditions == "class" and task.classes():
            write_json(folder / NAMES, {str(place): name for place, name in enumerate(task.classes())})

    def save_beside(self, folder: Path, config: Mapping[str, Any], task: Learnt) -> None:
        """LoRA by diffusers' names for `load_lora_weights`; PEFT's folder for the denoiser alone, which also has new classes."""
        from safetensors.torch import load_file, save_file

        if config.get("peft_type") in (None, OURS):
            return
        state = load_file(folder / "adapter_model.safetensors")
        names = {name: name.removeprefix("base_model.model.") for name in state}
        body = next(iter(names.values())).partition(".")[0]

        def inner(held: Any) -> Any:
            return [one.removeprefix(f"{body}.") for one in held] if isinstance(held, list) else held

        place = folder / body
        place.mkdir()
        write_json(
            place / "adapter_config.json",
            {**config, **{key: inner(config.get(key)) for key in ("target_modules", "modules_to_save")}},
        )
        marks = {"format": "pt"}
        save_file(
            {name.replace(f".{body}.", ".", 1): each for name, each in state.items()},
            place / "adapter_model.safetensors",
            marks,
        )
        if config["peft_type"] == "LORA":
            # Such a file says no alpha: it stands in B.
            scale = config["lora_alpha"] / (math.sqrt(config["r"]) if config["use_rslora"] else config["r"])
            scaled = {name: each * scale if ".lora_B" in name else each for name, each in state.items()}
            theirs = {names[name]: each for name, each in scaled.items() if ".lora_" in name}
            save_file(theirs, folder / LORA, marks)
        if task.classes():
            write_json(folder / NAMES, {str(place): name for place, name in enumerate(task.classes())})

    def without_us(self, home: str, base: str, *, adapter: bool) -> str:
        """As Python."""
        opened = f'from diffusers import DiffusionPipeline\n\npipeline = DiffusionPipeline.from_pretrained("{base if adapter else home}")'
        if not adapter:
            return opened
        body = body_name(Path(base)) or BODIES[0]
        return (
            f"{opened}\n# or, of one that takes prompts: pipeline.load_lora_weights({home!r})\n"
            f'from peft import PeftModel\n\npipeline.{body} = PeftModel.from_pretrained(pipeline.{body}, "{home}/{body}")'
        )


def _module() -> Any:
    from torch.nn import Module

    return Module


def _said(path: Path) -> dict[str, Any]:
    """What a JSON file says; nothing where it is not there.

    Raises:
        WeitiaoError: `broken_file`.
    """
    if not path.is_file():
        return {}
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        found.keys()
    except (ValueError, AttributeError) as error:
        raise fault("broken_file", path=path, why=reason("config_is_no_json", why=error)) from error
    return found


DIFFUSERS = Diffusers()
