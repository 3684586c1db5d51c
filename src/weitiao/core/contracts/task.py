"""What is learnt: the contract of every task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from weitiao.core.contracts.answering import Answering
from weitiao.core.contracts.library import Library
from weitiao.core.contracts.rows import Batch, Example, Record, Shape
from weitiao.core.contracts.target import Target, chosen_targets
from weitiao.core.why import reason

if TYPE_CHECKING:
    from torch import Tensor, nn


class Task(Answering, ABC):
    """What is learnt: columns in, loss and predictions out.  Final subclasses are frozen dataclasses."""

    summary: ClassVar[str]
    """One line for `weitiao tasks`."""
    shape: ClassVar[Shape]
    """What its rows hold."""
    auto_class: ClassVar[str]
    """Which Transformers Auto class is loaded."""
    seeing_class: ClassVar[str] = ""
    """Which Auto class is loaded instead where the base reads pictures among words (`models.seeing`); empty where none is."""
    processor_class: ClassVar[str] = "AutoTokenizer"
    """Which Transformers Auto class opens what makes a row ready for the model."""
    library: ClassVar[Library | None] = None
    """How its models are opened and saved, where they are none of a Transformers Auto class."""
    paints: ClassVar[bool] = False
    """Is a row without its answer answered by a picture, which takes many passes?  Some of the rows that judge are then asked for
    one (`evaluate.answers`), and it is looked at (`looked_at`)."""
    peft_task_type: ClassVar[str]
    """PEFT's name of this kind of model; empty where it has none."""
    predicts: ClassVar[tuple[str, ...]]
    """What a prediction holds that metrics may go by: `label`, `scores`, `number`, `loss`, `tokens` ..."""
    metrics: ClassVar[tuple[str, ...]]
    """What its answers are judged by, names of the shelf `evaluate/metrics`; a reader looks at the first first."""
    loss_metric: ClassVar[str] = "loss"
    """The metric that is called `loss` on the validation rows, and is looked at there whatever else is."""
    baselines: ClassVar[tuple[str, ...]] = ()
    """What it must beat, names of the shelf `evaluate/baselines`, the strongest first."""
    packs: ClassVar[bool] = False
    """Can it lay rows end to end (`pack`), for models that do not mix them up?"""
    shares: ClassVar[bool] = False
    """Can it lay what several rows begin with once (`pack(..., shared=True)`), for models that are measured to allow it?"""
    overlong: ClassVar[tuple[str, ...]] = ()
    """What may become of rows that are too long (`data.overlong`) where cutting, leaving out and refusing is not all: `split`
    (`windows` makes further rows of them), `windows` and `head_tail` (`fitted` leaves them one row)."""
    reads_whole: ClassVar[bool] = False
    """Are rows that judge, or are asked, read whole (`in_windows`), however long they are?"""
    settles: ClassVar[bool] = False
    """Is something chosen on the validation rows once the model is trained (`settle`)?"""
    apart: ClassVar[bool] = False
    """Are the texts of a row read apart (a question, its answer; or pairs of them), each within the limit, one behind the other
    in `input_ids`?"""
    couples: ClassVar[bool] = False
    """Does the loss set the rows of a batch against each other (in-batch negatives)?  Then no batch is cut into parts, and
    the batch is what decides how much a step learns."""
    retrieves: ClassVar[bool] = False
    """Are texts found by its predictions, which are vectors (`weitiao retrieve`)?"""
    taught: ClassVar[bool] = False
    """Is its `helper` a teacher, who is asked for every word in the loss itself?  Then batches that are learnt from, and those
    that judge, hold it in `extra["teacher"]`: a `models.load.Loaded`, in evaluation mode."""
    helper_key: ClassVar[str] = "ref_model"
    """The setting that names its `helper`."""
    training_only: ClassVar[tuple[str, ...]] = ()
    """Settings that decide what its loss is, not what rows are encoded to or what the tuned model answers."""

    @property
    def primary(self) -> str:
        """The metric that a reader looks at first."""
        return self.metrics[0]

    def ready(self, processor: Any) -> Any:
        """What makes rows ready for the model, as this task has it (of another size of pictures); it is saved with the model.

        Args:
            processor: as it was opened.
        """
        return processor

    @property
    def reads_words(self) -> bool:
        """Does its model read words, which a tokenizer counts?  Else a row is as long as any other."""
        return self.processor_class == "AutoTokenizer"

    @property
    def varies(self) -> bool:
        """Are training rows changed each time they come (`Example.chance`)?"""
        return False

    @property
    def mixes(self) -> bool:
        """Does a training row that comes bring another one with it (`Example.beside`)?"""
        return False

    @property
    def headless(self) -> str:
        """Why there is no output layer of the task's own on the base, which `head` could train; empty where there is one."""
        return reason("no_head_to_train") if self.generates else ""

    @property
    def hears(self) -> tuple[str, ...]:
        """Keys of a prediction that it needs as a *reference* says them of the same rows: its batches then hold these numbers
        in `extra["reference"]` (B, K).  They are asked for once, before the first step."""
        return ()

    @property
    def tallies(self) -> bool:
        """Does its loss need sums over all rows of its optimiser step (`tally`)?"""
        return False

    @property
    def helper(self) -> str:
        """Which model is its reference: a folder, name or hub id; empty: the model as it was before training."""
        return ""

    @property
    def needs_base(self) -> bool:
        """Is the model as it was before training asked on the way?  Then copies of the base weights are kept."""
        return False

    def classes(self) -> tuple[str, ...]:
        """The labels that metrics tell apart, in order; none where it has none."""
        return ()

    def learn(self, records: Sequence[Record]) -> Task:
        """This task with what only the data can tell (the label set).

        Raises:
            WeitiaoError: when the records as a whole cannot teach it.
        """
        return self

    def gathered(
        self, records: Sequence[Record], *, trains: bool, seed: int
    ) -> Iterator[tuple[int, Record]] | None:
        """The rows of one side as they are learnt from (`trains`) or judged, where some become one (passages of one query) or get
        something drawn from the others of their side: each with the place of the row that it is known by, which no other has;
        None where all stay as they are."""
        return None

    def learn_training(self, examples: Sequence[Example], weights: Sequence[float] | None) -> Task:
        """This task with what only the rows that train may tell it (class weights).

        Args:
            examples: the encoded training rows.
            weights: how often each of them comes in an epoch; None for once.
        """
        return self

    def settle(self, examples: Sequence[Example], predictions: Sequence[Mapping[str, Any]]) -> Task:
        """This task with what is chosen on the validation rows for the trained model (thresholds, widths of intervals);
        only when `settles`.

        Args:
            examples: the encoded validation rows.
            predictions: what the trained model says of them.
        """
        return self

    def restated(self, predictions: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """What it says where another of its kind has predicted: scores stay, what is said of them goes by its own settings.

        Args:
            predictions: of the same task before `settle`.
        """
        return list(predictions)

    def unsettled(self) -> Task:
        """This task as it was before `settle`: what was chosen for one model says nothing of another."""
        return self

    def of_base(self, file: Callable[[str], Any], *, ref: str) -> Task:
        """This task with what the base's folder says of it, where the recipe says nothing else (how vectors are pooled).

        Args:
            file: the name of a JSON file of the base -> what it says; None where it is not there.
            ref: the base's name in errors.

        Raises:
            WeitiaoError: where what the base says cannot be followed.
        """
        return self

    def follow(self, outputs: Sequence[str]) -> Task:
        """This task with its labels in the order in which a base has outputs of their names.

        Args:
            outputs: names of the base's outputs; none when it has no head of its own.
        """
        return self

    def refuses(self, key: str) -> str:
        """Why the loss cannot take a key of the recipe's `train` (`label_smoothing_factor`, `r_drop_alpha`); empty
        when it can."""
        return reason("loss_not_over_classes")

    def known(self, record: Record) -> tuple[Record, tuple[str, ...]]:
        """A row as it can be encoded, less what its answer says that the model has no output for, and the labels of that
        as metrics have them; none where the model knows all of it.

        Args:
            record: of new data: those that were learnt from were looked at by `learn`.
        """
        return record, ()

    def model_options(self) -> dict[str, Any]:
        """Keywords for `from_pretrained` (number and names of labels)."""
        return {}

    def trim(self, model: nn.Module) -> None:  # noqa: B027 - most tasks read all of a model
        """Take out of a base that was just opened what the task does not read (a pooler): it would never get a gradient."""

    def extend(self, model: nn.Module) -> frozenset[str]:
        """Put beside a base what the task learns with and no answer needs (a value head), as modules of the model itself.  They
        train with every method, like a new output layer, lie in checkpoints, and are no part of the tuned model.

        Args:
            model: that is going to train, before the method's modules are in; also one without weights.

        Returns:
            Names of their parameters.
        """
        return frozenset()

    def files(self, model: nn.Module, *, limit: int) -> dict[str, Any]:
        """Files beside the tuned model by which other libraries open it, as this task does: name -> what lies in it, JSON.

        Args:
            model: as it is saved.
            limit: tokens of a row that are read at once.
        """
        return {}

    def of_logits(self) -> str:
        """How a user of plain Transformers gets from `logits` to what `predict` says, as Python; empty where everybody
        knows."""
        return ""

    def texts_read(self, record: Record) -> list[tuple[str, ...]]:
        """What a tokenizer is asked for a row, a text or a pair of them for each pass of the model; none where its ids are more
        than what that call gives.  Of a picture it is where that lies."""
        return []

    def answer_code(self) -> str:
        """The body of `answer(said, mask)`, by which whoever has no weitiao gets from the outputs of one text to what `predict`
        says of it: Python that knows `np` and the model's `CONFIG`."""
        return "return {name: each.tolist() for name, each in said.items()}"

    def opened(self, model: Any, processor: Any, *, ref: str, limit: int) -> list[str]:
        """Settle on a model that was opened what is this task's to say (how it generates); what a user should know.

        Args:
            model: with its weights, before anything is put into it.
            processor: its tokenizer.
            ref: the model's name in errors.
            limit: tokens of a row that it has positions for.

        Raises:
            WeitiaoError: where a setting does not suit the model.
        """
        return []

    @abstractmethod
    def encode(self, records: Iterable[Record], processor: Any, *, limit: int) -> Iterator[Example]:
        """One example a record, in order, each at most `limit` tokens long."""

    def windows(self, record: Record, whole: Example, processor: Any, *, limit: int) -> list[Example]:
        """A row that is too long as several examples that lose nothing; only for `split`.

        Args:
            record: the row.
            whole: all of it encoded.
        """
        raise self._unfinished("windows", says="overlong")

    def in_windows(self, whole: Example, processor: Any, *, limit: int) -> Example:
        """A row that is too long as one example of several passes, each at most `limit` tokens long; only when
        `reads_whole`.

        Args:
            whole: all of it encoded.
        """
        raise self._unfinished("in_windows", says="reads_whole")

    def fitted(
        self, record: Record, whole: Example, processor: Any, *, limit: int, overlong: str, max_windows: int
    ) -> Example:
        """A row, however long, as one example: of several passes, or of its beginning and end; only for `windows` and
        `head_tail`.

        Args:
            record: the row.
            whole: all of it encoded.
            processor: the tokenizer that did.
            limit: tokens of a pass, at most.
            overlong: `windows` or `head_tail`; in `windows` every example says the length of each pass, one too.
            max_windows: passes, at most.
        """
        raise self._unfinished("fitted", says="overlong")

    @abstractmethod
    def collate(self, examples: Sequence[Example], rows: Sequence[int], processor: Any) -> Batch:
        """Stack examples, filled up on the right to the longest; `rows` are their indices."""

    def pack(self, examples: Sequence[Example], rows: Sequence[int], *, shared: bool = False) -> Batch:
        """The same end to end, so that rows of unlike length cost no padding; only when `packs`.  With `shared` what rows begin
        with stands once, which is asked only when `shares`."""
        raise self._unfinished("pack", says="packs")

    def tally(self, model: nn.Module, batch: Batch) -> tuple[float, ...]:
        """Sums over the rows of a batch, without gradient or dropout; only when `tallies`.  Before the first loss of a step they
        are asked of every micro-batch, and `batch.extra["step"]` then has the sums of all of these, in all processes: so
        that a batch that is cut in any way has one gradient."""
        raise self._unfinished("tally", says="tallies")

    @abstractmethod
    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The loss *summed* over what is trained; the engine divides by the count of the whole step."""

    @abstractmethod
    def predict(self, model: nn.Module, batch: Batch) -> list[dict[str, Any]]:
        """One prediction a row, in the batch's order, plain Python values."""

    def together(
        self, predictions: Sequence[dict[str, Any]], examples: Sequence[Example]
    ) -> list[dict[str, Any]]:
        """What is said of rows once all of them have been asked, where they are each other's candidates (the rank of a passage
        among all): whoever judges asks it of all rows, one prediction each, in order.

        Args:
            predictions: what `predict` said of each row.
            examples: the rows.
        """
        return list(predictions)

    def looked_at(self, records: Sequence[Record], told: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """What was drawn for some rows, with what metrics see in it and in the rows' own pictures; only when `paints`.

        Args:
            records: the rows, whole.
            told: what `predict` said of them without their pictures.
        """
        raise self._unfinished("looked_at", says="paints")

    @abstractmethod
    def reference(self, record: Record) -> dict[str, Any]:
        """What a reader of `predictions.jsonl` compares a prediction with; metrics read it too."""

    def expected(self, example: Example) -> dict[str, Any]:
        """What metrics compare a prediction with on validation rows, which are kept encoded only."""
        return {}

    def explains(
        self, record: Record, prediction: Mapping[str, Any], *, asked: Sequence[str] = ()
    ) -> list[Target]:
        """Of a prediction the numbers that are explained (`weitiao explain`); default: how likely what stands in the row is.

        Args:
            record: the row.
            prediction: what `predict` says of it.
            asked: which of them, by name; none: what was predicted.

        Raises:
            WeitiaoError: `no_such_target` for a name that is none.
        """
        return chosen_targets([Target(self.loss_metric, "log_probability")], asked)

    def target_scores(self, model: nn.Module, batch: Batch, target: Target) -> Tensor:
        """That number of every row (B,), with a gradient; default: less the loss, of one row alone.

        Args:
            model: says it.
            batch: rows; where one number comes back for several, whoever asks does so row by row.
            target: one of `explains`.
        """
        return -self.loss(model, batch).reshape(1)

    def shown(self, record: Record, prediction: Mapping[str, Any]) -> dict[str, Any]:
        """A prediction as whoever asked meets it, beside the row that it is of."""
        return dict(prediction)

    def sure(self, shown: Mapping[str, Any]) -> dict[str, Any]:
        """What of it is sure enough to be told to whoever asks about new rows; who judges looks at all of it."""
        return dict(shown)

    def passage(self, text: str) -> dict[str, Any]:
        """The columns of a text that is to be found by another; only when `retrieves`."""
        raise self._unfinished("passage", says="retrieves")
