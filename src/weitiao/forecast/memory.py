"""What every stage of a run holds at most, found on a model of shapes: no weight is loaded, nothing is computed.

    Forecast(recipe, task, method).stages(train=batch, evaluate=batch)  ->  {"load": Footprint(...), "train": ..., ...}

The figures are bytes of tensors on the device, in one process; the program itself comes on top.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from weitiao.core.contracts import Batch, Example, Method, Sampling, Task
from weitiao.core.errors import fault
from weitiao.core.recipe import Recipe, Train
from weitiao.core.why import reason
from weitiao.forecast import opening
from weitiao.forecast.sample import longest

if TYPE_CHECKING:
    from weitiao.forecast.asking import Phase, Rollout
    from weitiao.forecast.fake_model import FakeModel
    from weitiao.forecast.others import Other, Others
    from weitiao.forecast.step_memory import Footprint
    from weitiao.models.assets.fetch import Progress
    from weitiao.models.examine import Examined
    from weitiao.models.load import Loaded


@dataclass
class Forecast:
    """Asks a model of shapes what a recipe would hold."""

    recipe: Recipe
    """Resolved."""
    task: Task
    """With what the data taught it."""
    method: Method
    device: str = "cpu"
    processes: int = 1
    progress: Progress | None = None
    attention: str | None = None
    """The attention function that the loaded model has; None: as a small model of its kind was found to need, or the first
    that its code takes."""
    _rollouts: dict[tuple[int, int], Rollout] = field(default_factory=dict, init=False)

    @cached_property
    def examined(self) -> Examined | None:
        """How rows will lie, as a small model of its kind says; None where it cannot be made small.

        Raises:
            WeitiaoError: `not_causal`, `model_fails`, `fails_so`.
        """
        from weitiao.models import miniature
        from weitiao.train import memory

        settings = self.recipe.train
        found = miniature.examined(
            self.recipe.model,
            self.task,
            half=settings.half,
            recomputes=settings.activation_checkpointing,
            longest=self.recipe.data.max_length,
            device=self.device,
        )
        memory.trim()
        return found

    @property
    def notices(self) -> list[str]:
        """What of the files is left out, and how rows will lie, where it is not as the task has them, or not known."""
        from weitiao.models import examine, load, seeing

        ref, packs = self.recipe.model, seeing.packs(self._configuration, self.task)
        left_out = load.refuse_unsuitable(ref, self.task)
        if self.examined:
            said = self.examined.notices(ref, packs=packs)
        else:
            said = [examine.unknown(ref, packs=packs)]
        kept = self._kept
        whole = [reason("others_lie_whole", size=round(kept / 1e6))] if kept and self.processes > 1 else []
        return [*left_out, *said, *whole]

    @cached_property
    def fake(self) -> FakeModel:
        """The model as it is trained."""
        from weitiao.forecast import fake_model
        from weitiao.models import examine, store

        device = self.device.partition(":")[0]

        small = None if self.attention else self.examined

        def filled(attention: str) -> FakeModel:
            bare = self._skeleton(attention)
            if small:
                bare.layout = small.layout
            # Rows that vectors are put before share nothing; what else a method puts in is taken to change nothing there.
            bare.shares = (small is None or small.shares) and not self.method.positions
            store.prepare(bare, self.method, seed=self.recipe.seed, task=self.task)
            return fake_model.fill(bare, self.task, self.method, half=self.recipe.train.half, device=device)

        names = examine.attentions(self.task, device, self._configuration)
        known = [self.attention] if self.attention else names
        with self._gone_through():
            return examine.first([small.attention] if small else known, filled)

    @cached_property
    def _configuration(self) -> Any:
        from weitiao.models import folders, opening

        if not self.task.seeing_class:
            return None
        with opening.opened(self.recipe.model):
            return folders.configuration(opening.resolve(self.recipe.model), ref=self.recipe.model)

    def _skeleton(self, attention: str | None = None) -> Loaded:
        from weitiao.models import load

        return load.skeleton(
            self.recipe.model,
            self.task,
            dropout=self.recipe.train.dropout,
            attention=attention or self.attention,
            progress=self.progress,
        )

    def stages(self, *, train: Batch, evaluate: Batch, rows: Sequence[Example]) -> dict[str, Footprint]:
        """Stage -> what it holds, in the order of a run: load, reference (where one is asked before the first step), rollout
        (where answers are drawn), train, evaluate, save, merge (where methods fold).

        Args:
            train: the heaviest micro-batch of training.
            evaluate: the heaviest batch of rows that are only predicted.
            rows: those that train.
        """
        found = {"load": self.load()}
        if self.task.hears:
            found["reference"] = self.reference(longest(self.recipe, self.task, self.fake.loaded, rows))
        if isinstance(self.task, Sampling):
            found["rollout"] = self.rollout(rows)
        found |= {"train": self.train(train), "evaluate": self.evaluate(evaluate, rows)}
        found["save"] = replace(found["train"], gradients=0, activations=0, allocator=0)
        if self.method.foldable:
            merged = _plain(self._base_bytes[0], activations=opening.read(self.fake.loaded))
            found["merge"] = replace(merged, master=self.trained_bytes)
        return found

    def load(self) -> Footprint:
        """The base as it is read (`opening.held`)."""
        loaded, (whole, _) = self.fake.loaded, self._base_bytes
        half = self.recipe.train.half
        weights, beside = opening.held(loaded, self.method, half, whole=whole, trained=self.trained_bytes)
        return _plain(weights, activations=beside)

    def reference(self, batch: Batch) -> Footprint:
        """Before the first step: what a reference says of the rows is asked, of the model itself or of another one.

        Args:
            batch: the heaviest that it is asked.
        """
        with self._gone_through():
            asked = self.look(batch)
        others = self.others.once
        opened, kept = _one_after_another(others)
        most = max(opened - kept, asked.activations)
        trained = self.trained_bytes
        frozen = opening.size(self.fake.loaded.model) - trained
        return self._with_pieces(_plain(frozen, activations=most, master=trained, others=kept))

    def look(self, batch: Batch) -> Phase:
        """Of the reference, at a batch of rows that train."""
        from weitiao.forecast import asking

        other, half = next(iter(self.others.once), None), self.recipe.train.half
        return asking.look(other.fake if other else self.fake, self.task, batch, half)

    def rollout(self, rows: Sequence[Example], settings: Train | None = None) -> Footprint:
        """Answers are drawn, scored and rated, between two steps; or, in the first rollout, whoever is asked is opened.

        Args:
            rows: prompts.
            settings: instead of the recipe's.
        """
        with self._gone_through():
            most = max(phase.activations for phase in self.rollouts(rows, settings).phases)
        opened, kept = _one_after_another(self.others.kept)
        kept += self._copied
        between = self._dealt(replace(self._held, activations=most))
        later = self._with_pieces(replace(between, others=kept))
        first = replace(between, optimizer=0, others=kept, activations=opened + self._copied - kept)
        return max(first, later, key=lambda each: each.total)

    def rollouts(self, rows: Sequence[Example], settings: Train | None = None) -> Rollout:
        """What is asked in one of them; gone through when it is asked for."""
        from weitiao.forecast.asking import Rollout

        assert isinstance(self.task, Sampling)  # who asks saw to it
        settings = settings or self.recipe.train
        key = settings.per_device_train_batch_size, settings.per_device_eval_batch_size
        if key not in self._rollouts:
            self._rollouts[key] = Rollout(settings, self.task, self.fake, self.others, rows)
        return self._rollouts[key]

    @cached_property
    def others(self) -> Others:
        """Models beside the one that is tuned."""
        from weitiao.forecast.others import Others

        return Others(self.recipe, self.task, self.method, self.fake)

    def train(self, batch: Batch, settings: Train | None = None) -> Footprint:
        """A step whose micro-batches are all like `batch`; `settings` instead of the recipe's."""
        from weitiao.forecast import step_memory
        from weitiao.models.quiet import quiet

        settings, teacher = settings or self.recipe.train, self._teacher
        # Transformers would say that recomputation needs no cache.
        with quiet(), self._gone_through():
            found = step_memory.step(self.fake, self.method, self.task, settings, batch, teacher=teacher)
        return self._dealt(replace(found, others=self._kept))

    def evaluate(self, batch: Batch, rows: Sequence[Example], settings: Train | None = None) -> Footprint:
        """The validation rows between two steps, or the locked rows behind the last one: whichever holds more.

        Args:
            batch: the heaviest of rows that are only predicted.
            rows: prompts, where these are answered and rated instead.
            settings: instead of the recipe's.
        """
        from weitiao.forecast import step_memory
        from weitiao.models import store

        train = self.recipe.train
        with self._gone_through():
            found = step_memory.predicting(self.fake, self.task, train, batch, teacher=self._teacher)
            if isinstance(self.task, Sampling) and self.task.rewarded:
                asked = self.rollouts(rows, settings)
                most = max(phase.activations for phase in [asked.answering, *asked.rating])
                found = self._with_pieces(replace(found, activations=most))
        between = self._dealt(replace(found, others=self._kept))
        whole, used = self._base_bytes
        # A whole model is read back without the method's modules, and cast.
        tuned = used if self.method.layout == "pretrained" else opening.size(self.fake.loaded.model)
        opened, kept = _one_after_another(self.others.judging)
        asking = max(opened - kept, between.activations)
        judged = _plain(tuned, activations=asking, others=kept)
        # An adapter is turned off; here the tuned model is kept while the untuned one is loaded, whole, and then cast.
        twice = self.recipe.evaluate.untuned or (self.task.hears and not self.task.helper)
        if twice and self.method.layout == "pretrained":
            loading = whole + opening.read(self.fake.loaded)
            if store.reads_halves(self.fake.loaded.source, train.half):
                loading = used + opening.widest(self.fake.loaded)
            most = max(loading, used + kept + asking)
            judged = _plain(tuned + used, others=kept, activations=most - used - kept)
        return max(between, judged, key=lambda each: each.total)

    @cached_property
    def _held(self) -> Footprint:
        """What lies there between two steps, of the model that is tuned."""
        from weitiao.forecast.step_memory import kept_bytes

        trained, half = self.trained_bytes, self.recipe.train.half
        frozen = opening.size(self.fake.loaded.model) - trained
        moments = kept_bytes(self.fake.loaded, self.recipe.train) - trained
        weights, master = (frozen, trained) if half else (frozen + trained, 0)
        return _plain(weights, optimizer=moments, master=master)

    @property
    def _teacher(self) -> FakeModel | None:
        return self.others.teacher.fake if self.others.teacher else None

    @property
    def _copied(self) -> int:
        return self.trained_bytes if self.others.copies else 0

    @property
    def _kept(self) -> int:
        """Bytes of whoever is there as long as the training lasts."""
        return self._copied + sum(other.weights for other in self.others.kept)

    def _with_pieces(self, found: Footprint) -> Footprint:
        from weitiao.forecast.step_memory import pieces

        return replace(
            found, allocator=pieces(found.activations, self.recipe.train, self.device.partition(":")[0])
        )

    @property
    def kept_bytes(self) -> int:
        """A checkpoint."""
        from weitiao.forecast.step_memory import kept_bytes

        return kept_bytes(self.fake.loaded, self.recipe.train)

    @property
    def saved_bytes(self) -> int:
        """The tuned model in the run folder."""
        from weitiao.forecast.step_memory import tuned_bytes
        from weitiao.models import stored

        if self.method.layout != "pretrained":
            return tuned_bytes(self.fake.loaded)
        return self._base_bytes[0] // (1 if stored.precision(self.fake.loaded.source) == "float32" else 2)

    @property
    def trained_bytes(self) -> int:
        """All that trains, in float32."""
        from weitiao.forecast.step_memory import trained_bytes

        return trained_bytes(self.fake.loaded)

    @cached_property
    def _base_bytes(self) -> tuple[int, int]:
        """The base with the task's head: in float32, and as it is asked for predictions."""
        from weitiao.models.anatomy import cast_frozen

        model = self._skeleton().model.requires_grad_(False)
        whole = opening.size(model)
        if half := self.recipe.train.half:
            cast_frozen(model, half)
        return whole, opening.size(model)

    @contextmanager
    def _gone_through(self) -> Iterator[None]:
        """Some families decide by their numbers how large a tensor is (X-MOD), and here there are none.

        Raises:
            WeitiaoError: `no_forecast`.
        """
        try:
            yield
        except RuntimeError as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise fault("no_forecast", ref=self.recipe.model, why=lines[0]) from error

    def _dealt(self, found: Footprint) -> Footprint:
        """What one of several processes holds of it."""
        if self.processes == 1:
            return found
        if self.recipe.train.data_parallel == "ddp":
            # Gradients are summed in buckets beside them (torch's DistributedDataParallel).
            return replace(found, gradients=2 * found.gradients)
        shares = {
            name: -(-getattr(found, name) // self.processes)
            for name in ("weights", "master", "gradients", "optimizer")
        }
        return replace(found, **shares)


def _plain(
    weights: int, *, activations: int = 0, master: int = 0, optimizer: int = 0, others: int = 0
) -> Footprint:
    from weitiao.forecast.step_memory import Footprint

    return Footprint(weights, master, others, optimizer=optimizer, activations=activations)


def _one_after_another(others: Sequence[Other]) -> tuple[int, int]:
    """The most that other models take while one after the other is opened, and what they take then."""
    most = kept = 0
    for other in others:
        most = max(most, kept + other.opened)
        kept += other.weights
    return max(most, kept), kept
