"""Toys of four families with a method on them, and steps to train them by.

Toy(request, "lora", "t5", r=4).steps(3)  ->  three losses
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, ClassVar

import pytest
import torch
from torch.nn import functional as F

from tests.conftest import dialogues, reviews
from weitiao.core import registry
from weitiao.core.contracts import Batch, Example, Record, Task
from weitiao.core.recipe import Train
from weitiao.data.pack import Batches
from weitiao.data.shapes import LABELLED
from weitiao.models import anatomy, load, store
from weitiao.train import loop, optim

TASKS = {"bert": "text_classification", "llama": "sft", "t5": "translate", "vit": "pictures"}
# Embedded models stand for their family in the whole tier.
EMBEDDED = {"minilm-l6": "bert", "smollm2-135m": "llama"}
# Pairs that make no sense, or that the toy of that family cannot be loaded for; a test holds each to a coded error.
REFUSED = {
    ("head", "llama"): "no new head",
    ("head", "t5"): "no new head",
    ("bitfit", "llama"): "no biases",
    ("bitfit", "t5"): "no biases",
    ("prompt", "vit"): "does not read words",
    ("p_tuning", "vit"): "does not read words",
}
# Settings under which two steps show all that a method does.
QUICK: dict[str, dict[str, Any]] = {
    "gradual": {"until": 0.1},
    "prefix": {"num_virtual_tokens": 3, "encoder_hidden_size": 8},
    "p_tuning_v2": {"num_virtual_tokens": 3},
    "prompt": {"num_virtual_tokens": 3},
    "p_tuning": {"num_virtual_tokens": 3, "encoder_hidden_size": 8},
    # In so few units a ReLU may be silent for every row.
    "adapter": {"non_linearity": "gelu"},
    "mam": {"num_virtual_tokens": 3, "encoder_hidden_size": 8, "non_linearity": "gelu"},
    "unipelt": {"num_virtual_tokens": 3, "encoder_hidden_size": 8, "non_linearity": "gelu"},
    "top_layers": {"n": 1},
}
FAMILIES = tuple(TASKS)
PAIRS = [
    (method, family)
    for method in registry.names("method")
    for family in FAMILIES
    if (method, family) not in REFUSED
    # Transformers packs a model while it reads it, and the toy picture model is not read from a folder.
    and (method, family) != ("qlora", "vit")
]


def dealt(families: Sequence[str], *, each: int) -> list[Any]:
    """All pairs; each method with so many of these families, in turn, in the fast tier, and with the others in the whole one."""
    found = []
    for place, method in enumerate(registry.names("method")):
        own = [family for family in families if (method, family) in PAIRS]
        first = {own[(place + further) % len(own)] for further in range(each)}
        found += [
            pytest.param(*pair, marks=() if pair[1] in first else pytest.mark.whole)
            for pair in PAIRS
            if pair[0] == method
        ]
    return found


class _ToyTask(Task):
    """What the toy tasks leave out: they are trained and looked at, never judged."""

    shape = LABELLED
    summary = ""
    predicts = ("logits",)
    metrics = ("accuracy",)
    generates: ClassVar[bool] = False

    def encode(self, records: Iterable[Record], processor: Any, *, limit: int) -> Iterator[Example]:
        raise NotImplementedError

    def collate(self, examples: Sequence[Example], rows: Sequence[int], processor: Any) -> Batch:
        stacked = {
            name: torch.stack([torch.as_tensor(e.inputs[name]) for e in examples])
            for name in examples[0].inputs
        }
        target = torch.stack([torch.as_tensor(e.target) for e in examples])
        return Batch(stacked, target, target.numel(), list(rows), tokens=1, padding=0)

    def predict(self, model: Any, batch: Batch) -> list[dict[str, Any]]:
        return [{"logits": row} for row in self.logits(model, batch)]

    def reference(self, record: Record) -> dict[str, Any]:
        return {}

    def logits(self, model: Any, batch: Batch) -> torch.Tensor:
        return model(**batch.inputs).logits

    def loss(self, model: Any, batch: Batch) -> torch.Tensor:
        logits = self.logits(model, batch).float()
        return F.cross_entropy(logits.flatten(0, -2), batch.target.flatten(), reduction="sum")


@dataclass(frozen=True)
class Translate(_ToyTask):
    """Say the row backwards."""

    auto_class: ClassVar[str] = "AutoModelForSeq2SeqLM"
    peft_task_type: ClassVar[str] = "SEQ_2_SEQ_LM"
    generates: ClassVar[bool] = True

    def rows(self) -> list[Example]:
        drawn = torch.Generator().manual_seed(0)
        rows = []
        for _ in range(24):
            ids = torch.randint(5, 40, (7,), generator=drawn)
            mask = torch.ones(7, dtype=torch.long)
            mask[5 + int(ids[0]) % 3 :] = 0
            target = ids.flip(0)[:5]
            start = torch.cat([torch.zeros(1, dtype=torch.long), target[:-1]])
            rows.append(
                Example({"input_ids": ids, "attention_mask": mask, "decoder_input_ids": start}, target=target)
            )
        return rows


@dataclass(frozen=True)
class Pictures(_ToyTask):
    """Which half of the picture is brighter."""

    auto_class: ClassVar[str] = "AutoModelForImageClassification"
    peft_task_type: ClassVar[str] = "FEATURE_EXTRACTION"

    def rows(self) -> list[Example]:
        drawn = torch.Generator().manual_seed(0)
        pixels = [torch.rand(3, 8, 8, generator=drawn) for _ in range(24)]
        return [Example({"pixel_values": p}, target=int(p[:, :4].sum() > p[:, 4:].sum())) for p in pixels]


def build_task(family: str) -> Task:
    """The toy task of that family, without data."""
    own = {"t5": Translate, "vit": Pictures}
    return own[family]() if family in own else registry.build("task", {"name": TASKS[family]})


def learnt(family: str) -> Task:
    """The same with what its rows teach it."""
    task = build_task(family)
    return task.learn(records(family)) if family in ("bert", "llama") else task


def records(family: str) -> list[Record]:
    """Rows of the two families that have a task of the shelf."""
    if family == "llama":
        turns = [("user", "prompt"), ("assistant", "completion")]
        rows: list[Any] = [
            {"messages": [{"role": role, "content": d[key]} for role, key in turns]} for d in dialogues(24)
        ]
    else:
        rows = list(reviews(24))
    return [Record("toy", i, row) for i, row in enumerate(rows, start=1)]


@cache
def _loaded(family: str, ref: str, bits: int) -> load.Loaded:
    """A toy, read once in a process; a picture model has no tokenizer, so it does not go by `load`."""
    if family != "vit":
        return load.load(ref, learnt(family), bits=bits)
    from transformers import AutoModelForImageClassification

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForImageClassification.from_pretrained(ref, dtype=torch.float32)
    return load.Loaded(model, lambda *_, **__: {"input_ids": []}, anatomy.head(model), ref)


class Toy:
    """A loaded toy model with a method on it, and steps to train it by."""

    def __init__(self, request, name: str, family: str, *, bf16: bool = False, **settings):
        self.ref = family if family in EMBEDDED else request.getfixturevalue(family)
        quick = {} if family in EMBEDDED else QUICK.get(name, {})
        self.name, self.family = name, EMBEDDED.get(family, family)
        family = self.family
        self.method = registry.build("method", {"name": name, **quick, **settings})
        self.task = learnt(family)
        self.loaded = self.load()
        self.base = copy.deepcopy(self.loaded.model)
        store.prepare(self.loaded, self.method, seed=0)
        order = "random" if family == "vit" else "group_by_length"  # pictures have no length
        self.batches = Batches(
            self.examples(), self.collate, batch_size=6, strategy=order, layout=self.loaded.layout
        )
        settings = Train(num_train_epochs=2, learning_rate=1e-2, warmup_steps=0, bf16=bf16, weight_decay=0)
        factors = self.method.rates(self.loaded.model, self.loaded.head)
        self.training = loop.Training(
            model=self.loaded.model,
            method=self.method,
            task=self.task,
            batches=self.batches,
            settings=settings,
            optimizer=optim.build(self.loaded.model, settings, learning_rate=1e-2, factors=factors),
            weights=self.loaded.trained,
            half="bfloat16" if bf16 else None,
        )
        self.calibrate()

    def calibrate(self) -> None:
        training = self.training
        loop.calibrate(self.model, self.method, self.task, self.batches, device="cpu", half=training.half)

    def load(self) -> load.Loaded:
        """The family's base as it was loaded, in a copy of its own; embedded models are too large to be kept."""
        if self.ref not in EMBEDDED:
            found = _loaded(self.family, self.ref, self.method.base_bits)
            return replace(found, model=copy.deepcopy(found.model), trained={}, notices=[*found.notices])
        return load.load(self.ref, self.task, bits=self.method.base_bits)

    def examples(self) -> list[Example]:
        if self.family in ("t5", "vit"):
            return self.task.rows()
        return list(self.task.encode(records(self.family), self.loaded.processor, limit=64 - 20))

    def collate(self, part: Sequence[Example], indices: Sequence[int]) -> Batch:
        return self.loaded.collate(self.task)(part, indices)

    @property
    def model(self):
        return self.loaded.model

    def steps(self, count: int) -> list[float]:
        losses = []
        self.model.train()
        for _ in range(count):
            loop.step(self.training)
            losses.append(self.training.facts["loss"])
        return losses

    def logits(self, model=None) -> torch.Tensor:
        model = (self.model if model is None else model).eval()
        batch = self.batches.step(0)[0]
        with torch.no_grad():
            return model(
                **batch.inputs, **({"use_cache": False} if self.family in ("llama", "t5") else {})
            ).logits

    def count(self) -> int:
        """Parameters that train."""
        return anatomy.parameter_counts(self.model)[0]
