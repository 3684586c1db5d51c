"""The two contracts, and the things that pass between rooms.

    Record --task.encode--> Example --collate--> Batch --task.loss--> a sum --engine--> a step
                                                 Batch --task.predict--> one dict a row --judge--> numbers

A `Method` says which parameters train, and how; a `Task` says what is learnt.  The training loop knows both only
by what is written here.  Torch is named in annotations alone, so that this room stays light.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor, nn

Off: TypeAlias = Callable[[], AbstractContextManager[None]]
Tokenize: TypeAlias = Callable[[str], list[int]]
OURS = "WEITIAO"  # `peft_type` of adapters that PEFT does not know, and cannot be taught from outside


@dataclass(frozen=True, slots=True)
class Record:
    """One row as read, which knows where it stands."""

    file: str
    line: int
    values: Mapping[str, Any]
    nth: int = 0
    """Which row of its line, counted from 0: a JSON list may stand on one line."""

    @property
    def place(self) -> str:
        """`reviews.csv line 218`, as errors say it."""
        return place(self.file, self.line, self.nth)

    @property
    def id(self) -> str:
        """`reviews.csv:218`, which no other row has."""
        return f"{self.file}:{self.line}" + (f".{self.nth}" if self.nth else "")


def place(file: str, line: int, nth: int = 0) -> str:
    """Where a row stands, as errors say it."""
    return f"{file} line {line}" + (f" (row {nth + 1} of it)" if nth else "")


@dataclass(frozen=True, slots=True)
class Example:
    """One encoded record."""

    inputs: Mapping[str, Any]
    """Sequences of whole numbers of one length, by the model's argument name, such as `input_ids`."""
    target: Any = None
    """What the row should give, where it is not a sequence (a class index)."""
    trained: int = 1
    """How many things of this row the loss counts: 1 label, or so many tokens."""
    tokens_lost: int = 0
    """Tokens that `max_length` cut off."""
    trained_lost: int = 0
    """How many of the lost tokens would have been trained."""
    refused: str = ""
    """Why the row cannot be encoded at all (its turns do not fit the chat template); it then holds nothing."""

    def __len__(self) -> int:
        return len(self.inputs["input_ids"]) if self.inputs else 0


@dataclass(slots=True)
class Batch:
    """Stacked examples: what the model is called with, and what is expected."""

    inputs: dict[str, Any]
    """Tensors by the model's argument name."""
    target: Any
    """Class indices (B,), or None."""
    trained: int
    """Sum of the examples' `trained`."""
    rows: list[int]
    """Which examples these are, by index."""
    tokens: int
    """Real tokens."""
    padding: int
    """Padding tokens."""
    extra: dict[str, Any] = field(default_factory=dict)
    """What the task keeps for itself (row boundaries, reference scores)."""

    def to(self, device: Any) -> Batch:
        """The same batch on `device`."""
        self.inputs = {name: tensor.to(device) for name, tensor in self.inputs.items()}
        self.target = self.target if self.target is None else self.target.to(device)
        return self


class Shape(ABC):
    """What a converted row holds, and how rows are told apart.  `data.shapes` has them all."""

    name: ClassVar[str]
    columns: ClassVar[Mapping[str, str]]
    """Column of a converted row -> what it holds."""
    formats: ClassVar[tuple[str, ...]]
    """Row formats (`data.formats`) that give it, the one that is written first."""

    @abstractmethod
    def faults(self, values: Mapping[str, Any]) -> str:
        """Why a row cannot be used; empty when it can."""

    @abstractmethod
    def key(self, values: Mapping[str, Any]) -> str:
        """The text by which two rows count as the same row."""

    def group(self, values: Mapping[str, Any]) -> str:
        """The text whose rows stay together on one side of the split."""
        return self.key(values)

    def stratum(self, values: Mapping[str, Any]) -> str:
        """The label whose share is kept equal over the splits; empty when there is none."""
        return ""

    @abstractmethod
    def texts(self, values: Mapping[str, Any]) -> dict[str, str]:
        """Everything that a person wrote, by its address in the row, such as `messages.0.content`."""

    def with_texts(self, values: Mapping[str, Any], texts: Mapping[str, str]) -> dict[str, Any]:
        """A copy of the row with the texts at some addresses replaced."""
        changed = dict(values)
        for address, text in texts.items():
            *path, last = address.split(".")
            node: Any = changed
            for step in path:
                place = int(step) if step.isdigit() else step
                node[place] = node[place].copy()
                node = node[place]
            node[int(last) if last.isdigit() else last] = text
        return changed


class Processor(Protocol):
    """A tokenizer as Transformers has it; only what the rooms use."""

    pad_token_id: int | None
    eos_token_id: int | None

    def __call__(self, text: Any, **options: Any) -> Any:
        """Encode one text or several."""
        ...


class Inserted:
    """Marks a module that a method put into a model, beside `nn.Module`: it can be turned off."""

    enabled: bool = True
    """Off, the model computes as if the module were not there."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Where in the training a step stands."""

    step: int
    """Optimiser steps taken before this one."""
    total: int
    """Optimiser steps of the whole run."""
    epoch: float
    """Passes over the rows before this step."""

    @property
    def progress(self) -> float:
        """From 0 to 1."""
        return self.step / self.total


def fill_weights(weights: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
    """Copy a saved state into weights of the same names and shapes.

    Raises:
        KeyError: with the name, when one is missing, left over, or of another shape.
    """
    if odd := sorted(set(state) ^ set(weights)):
        raise KeyError(odd[0])
    for name, weight in weights.items():
        if weight.shape != state[name].shape:
            raise KeyError(f"{name} of shape {tuple(state[name].shape)}, not {tuple(weight.shape)}")
    for name, weight in weights.items():
        weight.data.copy_(state[name])


class Method(ABC):
    """How a model is tuned.  Final subclasses are frozen dataclasses; their fields are their settings.

    A parameter of a module that the method put in is trained because `trains` says so, like any other: `trains`
    is asked about every parameter of the model after `attach`.  What a method must remember between two steps lies
    in the model (buffers that `state` names), never in the method: a method is a value.
    """

    summary: ClassVar[str]
    """One line for `weitiao methods`."""
    source: ClassVar[str]
    """The paper."""
    foldable: ClassVar[bool]
    """Can the change be folded into the base weights without changing the output?"""
    starts_as_base: ClassVar[bool]
    """Before the first step, is the output the base model's?"""
    layout: ClassVar[Literal["pretrained", "peft", "adapter"]]
    """How the tuned model is saved: the whole of it, PEFT's adapter files beside a base, or ours in the same form."""
    learning_rate: ClassVar[float]
    """The peak learning rate when the recipe gives none."""
    base_bits: ClassVar[int] = 16
    """4: the base is loaded in 4-bit NF4 (QLoRA)."""
    alone: ClassVar[bool] = False
    """Can its modules not work at the same time as another adapter's on one base?"""

    @property
    def positions(self) -> int:
        """How many of the model's positions the method takes from every row (prompts, prefixes)."""
        return 0

    @abstractmethod
    def trains(self, name: str, weight: Tensor, head: frozenset[str]) -> bool:
        """Does this parameter train?  `head` holds the names of the task's new output layer, which has no base."""

    def refuses(self, task: Task) -> str:
        """Why this method makes no sense with `task`; empty when it does."""
        return ""

    def attach(self, model: nn.Module, head: frozenset[str], tokenize: Tokenize) -> nn.Module:
        """Put new modules in; the base weights stay as they are.

        `tokenize` gives the ids of a text, for prompts that begin as one.  Also asked of a model without weights (on the `meta` device), to find settings that do not fit the model
        before anything is loaded.

        Raises:
            WeitiaoError: when the settings do not fit the model, with the way out.
        """
        return model

    def calibrate(self, model: nn.Module, passes: Iterator[None]) -> None:
        """Once, before the first step of a new run: look at the data (EVA).

        Args:
            model: with its modules attached, in evaluation mode, no gradients.
            passes: each `next` sends one training batch through the model.
        """
        return

    def rates(self, model: nn.Module, head: frozenset[str]) -> dict[str, float]:
        """Name of a trained parameter -> factor on its learning rate; names left out have 1."""
        return {}

    def before_step(self, model: nn.Module, moment: Moment) -> None:
        """Before the forward pass of every optimiser step (gradual unfreezing)."""
        return

    def after_step(self, model: nn.Module, moment: Moment) -> None:
        """After every optimiser step, the gradients still in place (AdaLoRA's budget)."""
        return

    def after_evaluation(self, model: nn.Module, *, gain: bool) -> None:
        """After the validation rows have been asked; `gain`: they did better than ever before."""
        return

    def state(self, model: nn.Module) -> dict[str, Tensor]:
        """Tensors besides trained weights on which the next step depends; kept in checkpoints and filled in place."""
        return {}

    def penalty(self, model: nn.Module) -> Tensor | float:
        """Added to the mean loss of a step (AdaLoRA's orthogonality)."""
        return 0.0

    def fold(self, model: nn.Module) -> nn.Module:
        """Undo `attach`, keep the effect: plain base modules again.  Only when `foldable`."""
        return model

    def switch(self, model: nn.Module, *, on: bool) -> None:
        """Turn the modules that `attach` put in on or off."""
        for module in model.modules():
            if isinstance(module, Inserted):
                module.enabled = on

    def snapshot(self, model: nn.Module) -> dict[str, Tensor]:
        """Copies of the base weights that are going to train: what `off` needs to give the base back."""
        return {
            name: weight.detach().clone() for name, weight in model.named_parameters() if weight.requires_grad
        }

    @contextmanager
    def off(self, model: nn.Module, snapshot: Mapping[str, Tensor]) -> Iterator[None]:
        """The model as it was before training (the reference of DPO); swaps weights in place and back."""
        weights = dict(model.named_parameters())
        tuned = {name: weights[name].data for name in snapshot}
        self.switch(model, on=False)
        for name, before in snapshot.items():
            weights[name].data = before
        try:
            yield
        finally:
            for name, after in tuned.items():
                weights[name].data = after
            self.switch(model, on=True)

    def saved_config(self, model: nn.Module, head: frozenset[str]) -> dict[str, Any]:
        """PEFT's `adapter_config.json`, less the base and task, when `layout` is `peft`."""
        return {}

    def saved_state(
        self, model: nn.Module, head: frozenset[str], trained: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """What `adapter_model.safetensors` holds, by PEFT's names.

        Args:
            model: the tuned model.
            head: names of the task's new output layer.
            trained: all that trains, by name.
        """
        return {f"base_model.model.{self.peft_name(name)}": weight for name, weight in trained.items()}

    def fill(
        self,
        model: nn.Module,
        head: frozenset[str],
        trained: Mapping[str, Tensor],
        state: Mapping[str, Tensor],
    ) -> None:
        """The way back: put a saved state into the modules that `attach` has made.

        Raises:
            KeyError: with the name, when one is missing or left over.
        """
        fill_weights(self.saved_state(model, head, trained), state)

    def peft_name(self, name: str) -> str:
        """PEFT's name of the trained parameter `name`, less its `base_model.model.` prefix."""
        return name


class Task(ABC):
    """What is learnt: columns in, loss and predictions out.  Final subclasses are frozen dataclasses."""

    summary: ClassVar[str]
    """One line for `weitiao tasks`."""
    shape: ClassVar[Shape]
    """What its rows hold."""
    auto_class: ClassVar[str]
    """Which Transformers Auto class is loaded."""
    peft_task_type: ClassVar[str]
    """PEFT's name of this kind of model."""
    measures: ClassVar[tuple[str, ...]]
    """What `measure` gives, `loss` among it."""
    primary: ClassVar[str]
    """The metric that a reader looks at first."""
    higher_is_better: ClassVar[bool]
    """Whether more of `primary` is better."""
    judge: ClassVar[str]
    """Which judge of `evaluate` turns predictions into results."""
    needs_base: ClassVar[bool] = False
    """Does `look` ask the model as it was (the reference of DPO)?  Then copies of the base weights are kept."""
    packs: ClassVar[bool] = False
    """Do its batches hold rows end to end, so that rows of unlike length cost no padding?"""
    splits: ClassVar[bool] = False
    """Can a row that is too long go on in further rows (`data.overlong: split`)?"""
    generates: ClassVar[bool] = False
    """Can it answer in words (`weitiao chat`)?"""

    def learn(self, records: Sequence[Record]) -> Task:
        """This task with what only the data can tell (the label set).

        Raises:
            WeitiaoError: when the records as a whole cannot teach it.
        """
        return self

    def model_options(self) -> dict[str, Any]:
        """Keywords for `from_pretrained` (number and names of labels)."""
        return {}

    @abstractmethod
    def encode(self, records: Iterable[Record], processor: Any, *, limit: int) -> Iterator[Example]:
        """One example a record, in order, each at most `limit` tokens long."""

    def windows(self, record: Record, whole: Example, processor: Any, *, limit: int) -> list[Example]:
        """A row that is too long as several examples that lose nothing; only when `splits`.

        Args:
            record: the row.
            whole: all of it encoded.
        """
        raise NotImplementedError(f"{type(self).__name__} says that it does not split")

    @abstractmethod
    def collate(self, examples: Sequence[Example], rows: Sequence[int], processor: Any) -> Batch:
        """Stack examples; `rows` are their indices."""

    def look(self, model: nn.Module, batch: Batch, off: Off) -> Batch:
        """Without gradient, before the loss: sample, score, ask the model as it was (`with off(): ...`)."""
        return batch

    @abstractmethod
    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The loss *summed* over what is trained; the engine divides by the count of the whole step."""

    @abstractmethod
    def predict(self, model: nn.Module, batch: Batch) -> list[dict[str, Any]]:
        """One prediction a row, in the batch's order, plain Python values."""

    @abstractmethod
    def measure(
        self, predictions: Sequence[Mapping[str, Any]], examples: Sequence[Example]
    ) -> dict[str, float]:
        """Cheap metrics for choosing during training, `loss` among them."""

    @abstractmethod
    def reference(self, record: Record) -> dict[str, Any]:
        """What a reader of `predictions.jsonl` compares a prediction with; the judge reads it too."""

    def opening(self, turns: Sequence[Mapping[str, Any]], processor: Any) -> str:
        """Turns as the text that the model goes on from, as in training; only when `generates`."""
        raise NotImplementedError(f"{type(self).__name__} does not generate")

    def record(self, text: str) -> dict[str, Any]:
        """The columns of a text of which nothing else is known (`weitiao predict`)."""
        return {}
