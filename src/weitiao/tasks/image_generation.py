"""Image generation: pictures out of noise, told by a prompt or a class what to draw.

{"image": "/toys/1.jpg", "text": "a photo of a red toy"}  ->  {"denoising_loss": 0.031}          the row as it stands
{"text": "a photo of a red toy"}                          ->  {"drawn": "data:image/png;..."}    without its picture

A pipeline of diffusers is tuned: its denoiser learns to tell the noise in a picture; all else stays as it is.  Noise and time are
drawn from (seed, epoch, row) where a row is learnt from, and from the picture's hash at fixed times where it judges.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from weitiao.core.contracts import Batch, Example, Library, Record, Shape
from weitiao.core.errors import fault
from weitiao.core.registry import register
from weitiao.core.section_values import Once
from weitiao.core.why import because, reason
from weitiao.data.captioned import TEXT
from weitiao.data.pictured import IMAGE
from weitiao.data.pictures import uri
from weitiao.data.shapes import CAPTIONED
from weitiao.models.pipelines import BODIES, DIFFUSERS, NAMES, Pipeline
from weitiao.tasks.parts import label_sets
from weitiao.tasks.parts.pictures import OfPictures

if TYPE_CHECKING:
    from torch import Tensor, nn

KEY, CLASS, STATES, MOMENTS = "key", "class", "states", "moments"
GUIDANCE = {"text": 7.5, "class": 4.0, "": 1.0}
"""As diffusers' pipelines have it: Stable Diffusion, DiT."""


@register("task", "image_generation")
@dataclass(frozen=True)
class ImageGeneration(OfPictures):
    """What noise lies over a picture?"""

    labels: Annotated[tuple[str, ...], Once] = ()
    """The classes of a base that is told classes, in the order of its table; default: those that it names, then new ones of the
    data, sorted."""
    snr_gamma: Annotated[float, Field(gt=0)] | None = None
    """Min-SNR weights (Hang et al. 2023): no time counts for more than this ratio of signal to noise; 5 is usual. Default: all
    times count alike."""
    prior: str = ""
    """Rows with just these words keep what the base knows (DreamBooth's prior preservation), such as `a photo of a dog`."""
    prior_weight: Annotated[float, Field(gt=0)] = 1.0
    """What such a row counts for in the loss, where others count 1."""
    judged_times: Annotated[int, Field(ge=1)] = 8
    """Times at which each row that judges is asked, evenly spread, with noise of its own."""
    steps: Annotated[int, Field(ge=1)] = 25
    """Steps from noise to picture, where one is drawn."""
    guidance_scale: Annotated[float, Field(ge=1)] | None = None
    """How far a drawn picture goes by its words; default: 7.5 by prompts, 4 by classes of a base that also knows none, else 1."""

    encoder: str = "efficientnet-lite0"
    """The model of pictures in whose features drawn pictures are judged; empty: they are not."""

    summary: ClassVar[str] = "pictures drawn from noise, by prompts or classes (diffusers)"
    shape: ClassVar[Shape] = CAPTIONED
    library: ClassVar[Library | None] = DIFFUSERS
    paints: ClassVar[bool] = True
    auto_class: ClassVar[str] = "DiffusionPipeline"
    peft_task_type: ClassVar[str] = ""
    predicts: ClassVar[tuple[str, ...]] = ("denoising_loss",)
    metrics: ClassVar[tuple[str, ...]] = ("denoising_loss", "frechet_distance")
    loss_metric: ClassVar[str] = "denoising_loss"
    training_only: ClassVar[tuple[str, ...]] = (
        "augment",
        "snr_gamma",
        "judged_times",
        "steps",
        "guidance_scale",
        "encoder",
    )

    @property
    def varies(self) -> bool:
        """Always: noise and time are drawn each time a row comes."""
        return True

    @property
    def headless(self) -> str:
        """Its base is all that there is."""
        return reason("denoiser_has_no_head")

    # ------------------------------------------------------------------ what is learnt from

    def learn(self, records: Sequence[Record]) -> ImageGeneration:
        """With all that pictures show, until `of_base` says which of it are classes.

        Raises:
            WeitiaoError: `unknown_label`; `wrong_value` for a `prior` that no row shows.
        """
        shown = Counter(record.values[TEXT] for record in records)
        if self.prior and self.prior not in shown:
            why = reason("prior_unseen", rows=len(records))
            raise fault("wrong_value", key="task.prior", value=self.prior, why=why)
        if not self.labels:
            return replace(self, labels=label_sets.ordered(shown))
        for record in records:
            label_sets.refuse_unknown(record, [record.values[TEXT]], self.labels)
        return self

    def of_base(self, file: Callable[[str], Any], *, ref: str) -> ImageGeneration:
        """With the classes that the base names before new ones; with none where it is told prompts, or nothing."""
        index = file("model_index.json") or {}
        config: Mapping[str, Any] = next(
            (found for body in BODIES if (found := file(f"{body}/config.json"))), {}
        )
        classes = config.get("num_class_embeds") or config.get("num_embeds_ada_norm")
        if (index.get("text_encoder") or [None])[0] or not classes:
            return replace(self, labels=())
        known = index.get("id2label") or file(NAMES) or {}
        names = tuple(str(known[key]) for key in sorted(known, key=int))
        return replace(self, labels=(*names, *(label for label in self.labels if label not in names)))

    def classes(self) -> tuple[str, ...]:
        """What a base of classes can be told; none of one of prompts."""
        return self.labels

    @cached_property
    def _index(self) -> dict[str, int]:
        return {label: place for place, label in enumerate(self.labels)}

    def ready(self, processor: Any) -> Any:
        """The pipeline with `image_size`.

        Raises:
            WeitiaoError: `unfit_training` for what it cannot do: changed pictures behind an encoder, another size of a transformer.
        """
        pipeline: Pipeline = processor
        if self.augment and pipeline.vae is not None:
            raise fault(
                "unfit_training", key="task.augment", value=list(self.augment), **because("latents_once")
            )
        if self.image_size is None:
            return pipeline
        smaller = pipeline.pixels[1] // pipeline.shape[1]
        if pipeline.body != "unet" or self.image_size % smaller:
            raise fault(
                "unfit_training",
                key="task.image_size",
                value=self.image_size,
                **because("size_of_base", of=smaller),
            )
        return replace(pipeline, config={**pipeline.config, "sample_size": self.image_size // smaller})

    # ------------------------------------------------------------------ from a row to a batch

    def answer_of(self, record: Record) -> Any:
        """What the row counts for in the loss: what it should give is drawn each time anew."""
        return self.prior_weight if self.prior and record.values[TEXT] == self.prior else 1.0

    def stacked(self, targets: Sequence[Any]) -> Tensor:
        """The same of several (B,)."""
        import torch

        return torch.tensor([float(target) for target in targets])

    def encode(self, records: Iterable[Record], processor: Any, *, limit: int) -> Iterator[Example]:
        """Where each picture lies (or its latents, computed once), what the model is told, and whence its noise comes when it
        judges: of a row without a picture from its words, and which of their kind it is."""
        pipeline: Pipeline = processor
        met: Counter[str] = Counter()
        heard: dict[str, np.ndarray] = {}
        for record in records:
            text, inputs = record.values[TEXT], {}
            if pipeline.conditions == "class":
                if text not in self._index:
                    yield Example({}, refused=label_sets.unknown([text], self._index))
                    continue
                inputs[CLASS] = np.array([self._index[text]])
            elif pipeline.conditions == "text":
                if text not in heard:
                    heard[text] = pipeline.states(text)
                inputs[STATES] = heard[text]
            said = record.values.get("sha256") or f"{text}\0{met[text]}"
            met[text] += 1
            inputs[KEY] = np.frombuffer(hashlib.sha256(str(said).encode()).digest()[:16], np.uint32).astype(
                np.int64
            )
            if record.values.get(IMAGE):
                (example,) = super().encode([record], processor, limit=limit)
                held = dict(example.inputs)
                if pipeline.vae is not None:
                    held = {MOMENTS: pipeline.moments(self.read([example])[0].picture)}
                inputs = {**held, **inputs}
            yield Example(inputs, target=self.answer_of(record), size=1)

    def collate(self, examples: Sequence[Example], rows: Sequence[int], processor: Any) -> Batch:
        """Noisy samples, their times, and what the model is told; of rows that judge each time one behind the other.  Of rows
        without a picture the noise alone, to draw them from."""
        import torch

        from weitiao.tasks.parts.denoising import Noising

        pipeline: Pipeline = processor
        worth_B = self.stacked([example.target for example in examples])
        learnt = all(example.chance is not None for example in examples)
        times = 1 if learnt else self.judged_times
        asked = not any(name in examples[0].inputs for name in (IMAGE, MOMENTS))
        told = {
            name: each.repeat(1 if asked else times, *(1 for _ in each.shape[1:]))
            for name, each in _told(examples).items()
        }
        words: dict[str, Any] = {
            "rows": list(rows),
            "tokens": len(examples),
            "padding": 0,
            "extra": {"pipeline": pipeline},
        }
        if asked:
            noise = np.stack(
                [
                    _chance(example, 0).standard_normal(pipeline.shape, dtype=np.float32)
                    for example in examples
                ]
            )
            return Batch(
                {"sample": torch.from_numpy(noise), **told}, None, trained=float(worth_B.sum()), **words
            )
        noising = Noising.of(pipeline.scheduler)
        drawn = [
            self._drawn(example, place, noising.steps, pipeline)
            for place in range(times)
            for example in examples
        ]
        at = torch.tensor([place for place, _, _ in drawn])
        noise_BCHW = torch.from_numpy(np.stack([noise for _, noise, _ in drawn]))
        clean_BCHW = torch.from_numpy(self._clean(examples, pipeline, [latent for _, _, latent in drawn]))
        sample, when = noising.noisy(clean_BCHW, noise_BCHW, at)
        weights = noising.weight(at, self.snr_gamma) * worth_B.repeat(times) / times
        target = noising.target(clean_BCHW, noise_BCHW, at)
        return Batch(
            {"sample": sample, "timestep": when, **told},
            target,
            trained=float(worth_B.sum()),
            weights=weights,
            **words,
        )

    def _drawn(
        self, example: Example, place: int, steps: int, pipeline: Pipeline
    ) -> tuple[int, np.ndarray, np.ndarray | None]:
        """Of an example a time, its noise, and noise for its latent."""
        rng = _chance(example, place)
        learnt = example.chance is not None
        at = int(rng.integers(steps)) if learnt else int((place + 0.5) * steps / self.judged_times)
        noise = rng.standard_normal(pipeline.shape, dtype=np.float32)
        latent = rng.standard_normal(pipeline.shape, dtype=np.float32) if learnt else None
        return at, noise, latent

    def _clean(
        self, examples: Sequence[Example], pipeline: Pipeline, latents: Sequence[np.ndarray | None]
    ) -> np.ndarray:
        """Pictures, or latents, one for each of `latents`."""
        if pipeline.vae is None:
            found = [pipeline.ready(moved.picture) for moved in self.read(examples)]
        else:
            held = [np.asarray(example.inputs[MOMENTS]) for example in examples]
            if latents[0] is not None:
                drawn = zip(held, latents, strict=True)
                return np.stack([pipeline.latents(*one) for one in drawn]).astype(np.float32)
            found = [pipeline.latents(one, None) for one in held]
        return np.stack(found * (len(latents) // len(examples))).astype(np.float32)

    # ------------------------------------------------------------------ what is learnt, and said

    def losses(self, model: nn.Module, batch: Batch) -> Tensor:
        """Mean square of what is wrong in each sample, weighted (N,)."""
        said: Any = model(**batch.inputs)
        return (said.sample.float() - batch.target.float()).square().flatten(1).mean(1) * batch.weights

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Over all rows."""
        return self.losses(model, batch).sum()

    def predict(self, model: nn.Module, batch: Batch) -> list[dict[str, Any]]:
        """The loss of each row, a mean over its times; of rows without a picture one that is drawn."""
        import torch

        if batch.target is None:
            return self._pictures(model, batch)
        count = len(batch.rows) or len(batch.target) // self.judged_times
        parts = []
        # As many at once as there are rows: each comes at every time.
        for start in range(0, len(batch.target), max(1, count)):
            cut = slice(start, start + count)
            inputs = {name: each[cut] for name, each in batch.inputs.items()}
            part = replace(batch, inputs=inputs, target=batch.target[cut], weights=batch.weights[cut])
            parts.append(self.losses(model, part))
        return [{"denoising_loss": loss} for loss in torch.stack(parts).sum(0).tolist()]

    def _pictures(self, model: nn.Module, batch: Batch) -> list[dict[str, Any]]:
        import torch

        from weitiao.tasks.parts import drawing

        pipeline: Pipeline = batch.extra["pipeline"]
        told = {name: each for name, each in batch.inputs.items() if name != "sample"}
        without, noise = None, batch.inputs["sample"]
        if pipeline.conditions == "text":
            states = torch.from_numpy(pipeline.states("")).to(noise.device)
            without = {"encoder_hidden_states": states[None].repeat(len(noise), 1, 1)}
        elif pipeline.conditions and pipeline.body == "transformer":
            without = {"class_labels": torch.full_like(told["class_labels"], pipeline.classes)}
        guidance = self.guidance_scale or (1.0 if without is None else GUIDANCE[pipeline.conditions])
        words: dict[str, Any] = {"steps": self.steps, "guidance": guidance, "without": without}
        found = drawing.draw(model, pipeline, noise, told, **words)
        return [{"drawn": uri.written(picture)} for picture in pipeline.pictures(found)]

    def looked_at(self, records: Sequence[Record], told: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """With features of the drawn picture and of the row's own, made as large as the model draws."""
        from PIL import ImageOps

        from weitiao.data.pictures.opening import opened
        from weitiao.tasks.parts import beholding

        if not self.encoder:
            return [dict(one) for one in told]
        drawn = [uri.read(one["drawn"]) for one in told]
        true = [
            ImageOps.fit(opened(record.values[IMAGE]), picture.size).convert(picture.mode)
            for record, picture in zip(records, drawn, strict=True)
        ]
        seen = [beholding.seen(self.encoder, pictures).tolist() for pictures in (drawn, true)]
        return [
            {**one, "seen_drawn": ours, "seen_true": theirs}
            for one, ours, theirs in zip(told, *seen, strict=True)
        ]

    def reference(self, record: Record) -> dict[str, Any]:
        """Where the picture lies, and what it shows."""
        return {IMAGE: record.values.get(IMAGE), TEXT: record.values[TEXT]}

    def record(self, text: str) -> dict[str, Any]:
        """The columns of some words of which nothing else is known."""
        return {TEXT: text, IMAGE: None}


def _chance(example: Example, place: int) -> np.random.Generator:
    """Of a row that is learnt from its own in this epoch, else that of its picture."""
    if example.chance is not None:
        return np.random.default_rng([*example.chance, 1])
    return np.random.default_rng([*(int(part) for part in example.inputs[KEY]), place])


def _told(examples: Sequence[Example]) -> Mapping[str, Tensor]:
    """What the model is told to draw, by its arguments."""
    import torch

    found: dict[str, Tensor] = {}
    if CLASS in examples[0].inputs:
        found["class_labels"] = torch.tensor([int(example.inputs[CLASS][0]) for example in examples])
    if STATES in examples[0].inputs:
        states = np.stack([np.asarray(example.inputs[STATES]) for example in examples])
        found["encoder_hidden_states"] = torch.from_numpy(states)
    return found
