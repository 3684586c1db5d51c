"""The sections of the recipe and what each key means; what a key may hold stands in its type.

Section  ->  Split, Data, Train, Evaluate: frozen, no unknown keys, each key's meaning under it
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, model_validator

from weitiao.core.function import NAMED
from weitiao.core.renamed import OPTIMIZERS, SCHEDULES
from weitiao.core.row_format import RowFormat
from weitiao.core.section_values import (
    FASTEST,
    MOST_ROWS,
    MOST_SEEDS,
    MULTIPLE,
    AtHome,
    Named,
    Once,
    Period,
    Section,
    Share,
    file_names,
    known_elsewhere,
    listed,
    no_is_a_word,
    reported,
    where_rows_go,
)
from weitiao.core.why import unfit

HOW = Literal["auto", "grid", "random", "tpe", "gp", "cmaes", "evolution", "asha", "hyperband", "pbt"]
"""Ways to search."""


class Split(Section):
    """How rows are dealt into train, validation and test; equal and nearly equal texts go to the same side."""

    validation: Share = 0.15
    """Share of the rows that choose (early stopping, best checkpoint)."""
    test: Share = 0.15
    """Share of the rows that judge at the end and are seen by nothing before."""
    stratify: bool = True
    """Keep every label's share the same in all three."""
    group_by: str | None = None
    """A column of the file whose equal values stay on one side, such as a user or a conversation."""
    time: str | None = None
    """A column with a date or a number: the latest rows are the test rows, those before them the validation rows."""
    column: str | None = None
    """A column that says train, validation or test for every row; shares are then not looked at."""
    seed: Annotated[int, Field(ge=0, le=MOST_SEEDS)] | None = None
    """Deals the rows, and draws samples (`#500`); default: the recipe's `seed`.  Runs that differ in that seed alone have
    the same rows on every side where this one is given."""
    folds: Annotated[int, Field(ge=2)] | None = None
    """Deal the rows that are not test rows into so many folds, one of which validates; `validation` is then not
    looked at."""
    fold: Annotated[int, Field(ge=0)] = 0
    """Which of the `folds` validates, counted from 0."""
    train_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Train on so large a share of the training rows, of each label alike; a smaller share's rows are among a larger
    one's.  Validation and test rows stay (`weitiao learning-curve`)."""
    test_folds: Annotated[int, Field(ge=2)] | None = None
    """Deal all rows into so many folds, one of which is the test rows; `test` is then not looked at.  In order of `time`
    a fold trains on what came before its test rows alone.  `weitiao cv` goes through all of them
    (docs/cross-validation.md)."""
    test_fold: Annotated[int, Field(ge=0)] = 0
    """Which of the `test_folds` tests, counted from 0."""

    @model_validator(mode="after")
    def _leaves_something(self) -> Split:
        test = (0.5 if self.time else 1 / self.test_folds) if self.test_folds else self.test
        if self.validation + test >= 1:
            raise unfit("nothing_left")
        if self.fold >= (self.folds or 1):
            raise unfit("no_such_fold", fold=self.fold, folds=self.folds or 1)
        if self.test_fold >= (self.test_folds or 1):
            raise unfit("no_such_fold", fold=self.test_fold, folds=self.test_folds or 1)
        if self.column and (self.time or self.group_by or self.folds or self.test_folds):
            raise unfit("column_decides")
        if self.folds and self.test_folds:
            raise unfit("folds_twice")
        if self.time and self.folds:
            raise unfit("time_or_folds")
        return self


class Masks(Section):
    """What masks say, where rows hold a picture and its mask (`semantic_segmentation`)."""

    classes: dict[str, int | tuple[int, int, int]] | AtHome | None = None
    """Label -> its value in masks, or its colour, such as `{road: [128, 64, 128]}`; or a file that says so (docs/semantic-segmentation.md).
    Default: the file that lies beside the masks, else each value is a label of its own."""
    ignore_index: list[int] = [255]
    """Values of masks that say nothing: such pixels are neither learnt from nor judged."""
    reduce_labels: bool = False
    """0 says nothing, and every other value counts as one less, as in ADE20K (`do_reduce_labels` of Transformers)."""
    background: Annotated[str, Field(pattern=r"\S")] = "background"
    """The label of pixels that no outline holds, where masks are outlines (COCO)."""


class Data(Section):
    """Which rows, and what becomes of the odd ones."""

    train: Annotated[list[AtHome], BeforeValidator(file_names)] = Field(default_factory=list)
    """One file or several, a folder of images, the name of an embedded data set, or a Hugging Face data set as
    `hf:owner/name`; `#500` takes a sample."""
    weights: list[Annotated[float, Field(gt=0, le=1000)]] | None = None
    """How often the rows of each file of `train` come in one epoch: 2 is twice, 0.5 every other one, drawn anew
    each epoch; default: once."""
    validation: Annotated[list[AtHome], BeforeValidator(file_names)] = Field(default_factory=list)
    """Files that choose, where they are given apart; `split.validation` is then not looked at."""
    test: Annotated[list[AtHome], BeforeValidator(file_names)] = Field(default_factory=list)
    """Files that judge, where they are given apart; `split.test` is then not looked at."""
    columns: dict[str, str] = {}
    """Our column name -> the file's, such as `{text: review, label: stars}`."""
    format: RowFormat = "auto"
    """How the columns are to be understood; `auto` goes by their names."""
    pictures: AtHome | None = None
    """The folder that pictures lie below, and are named from; default: that of the file that names them.  What lies elsewhere,
    links followed, is not read."""
    masks: Masks = Masks()
    encoding: str = "auto"
    """Character encoding of text files; `auto` takes UTF-8 if it is that, else the likeliest of GB18030, Big5 and
    Latin-1, and says which."""
    bad_rows: Annotated[Literal["quarantine", "drop"], BeforeValidator(where_rows_go)] = "quarantine"
    """Where rows go that cannot be used: `data/quarantine.jsonl` of the run, to be mended, or the ledger alone."""
    max_dropped_fraction: Annotated[float, Field(ge=0, le=1)] = 0.0
    """The run refuses to start when a larger share of the rows than this would be lost (quarantined or dropped)."""
    duplicates: Literal["drop", "keep"] = "drop"
    """Rows that repeat an earlier one: leave out, counted, or keep (always on one side of the split)."""
    near_duplicates: Literal["group", "drop", "keep"] = "group"
    """Rows nearly like another: keep them together on one side of the split, leave them out, or do not look."""
    near_duplicate_threshold: Annotated[float, Field(gt=0, le=1)] = 0.8
    """From which Jaccard similarity of their character sequences two texts count as nearly the same; 0.8 stands for a correlation
    of 0.98 of small grey copies of two pictures, 0.9 for 0.99."""
    clean: Annotated[
        list[Literal["control", "whitespace", "unicode", "html", "mojibake", "personal"]], Once
    ] = []
    """Repairs made on every text, each counted in the ledger (`weitiao data check` says which would help)."""
    decimal: Literal["point", "comma"] = "point"
    """The mark before the fraction in a table's numbers to be learnt: `1,234.50` or `1.234,50`."""
    relabel: dict[str, Annotated[str, Field(pattern=r"\S")]] = {}
    """Labels to be read as others, such as `{postive: positive, 是: "yes"}`; each change is counted."""
    max_length: Annotated[int, Field(ge=2)] | None = None
    """Longest row in tokens; default: as many positions as the model has."""
    overlong: Literal["truncate", "windows", "head_tail", "split", "drop", "fail"] = "truncate"
    """What to do with longer rows: cut the end off; read them whole, in windows whose scores become one; read their
    beginning and end; let them go on in further rows; leave out; or stop; each is counted (docs/long-texts.md)."""
    max_windows: Annotated[int, Field(ge=1)] = 16
    """Windows of a row, at most, when they are read in windows; what is cut behind the last is counted."""
    augment: Annotated[list[Named], BeforeValidator(listed)] = []
    """Rows made from the training rows, such as `[{name: synonyms, copies: 1}, balance]` (docs/augmentation.md)."""
    cache: bool = True
    """Keep encoded rows in the user's cache folder, so that the same rows are not encoded twice."""
    split: Split = Split()

    @model_validator(mode="after")
    def _one_test(self) -> Data:
        if self.test and self.split.test_folds:
            raise unfit("test_given_and_dealt")
        return self


class Train(Section):
    """How the optimiser goes."""

    num_train_epochs: Annotated[float, Field(gt=0)] = 3.0
    """Passes over the training rows."""
    max_steps: Annotated[int, Field(ge=1)] | None = None
    """Stop after so many optimiser steps, whatever the epochs say."""
    per_device_train_batch_size: Annotated[int, Field(ge=1, le=MOST_ROWS)] = 16
    """Rows in one forward pass of training."""
    per_device_eval_batch_size: Annotated[int, Field(ge=1, le=MOST_ROWS)] = 64
    """Rows in one forward pass of evaluation."""
    gradient_accumulation_steps: Annotated[int, Field(ge=1)] = 1
    """Forward passes per optimiser step; the loss is normalised over all of them together."""
    optim: Annotated[
        Literal["adamw", "adam", "sgd", "adafactor", "lion", "adamw_8bit", "muon"],
        known_elsewhere(OPTIMIZERS),
    ] = "adamw"
    """The optimiser (docs/optimisers.md)."""
    learning_rate: Annotated[float, Field(gt=0, le=FASTEST)] | None = None
    """Peak learning rate; default: the method's own (a third of it for lion; sgd has none and must be told)."""
    head_learning_rate_ratio: Annotated[float, Field(gt=0, le=MULTIPLE)] = 1.0
    """The task's new output layer learns so many times faster than the rest."""
    layerwise_lr_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Each level learns at this times the rate of the one above it: the head (if there is one), the blocks from the
    top, the embeddings."""
    lr_scheduler_type: Annotated[
        Literal[
            "constant",
            "linear",
            "cosine",
            "cosine_with_restarts",
            "polynomial",
            "step",
            "inverse_sqrt",
            "warmup_stable_decay",
            "reduce_lr_on_plateau",
        ],
        known_elsewhere(SCHEDULES),
    ] = "linear"
    """How the rate goes after the warm-up."""
    lr_scheduler_kwargs: dict[str, Any] = {}
    """Settings of that, such as `{num_cycles: 2}` (docs/optimisers.md)."""
    warmup_steps: Annotated[float, Field(ge=0)] = 0.06
    """Steps of linear warm-up; below 1 it is a share of all steps."""
    weight_decay: Annotated[float, Field(ge=0, le=FASTEST)] = 0.01
    """Decay of weight matrices (of adam and sgd: added to the gradient); biases and norms have none."""
    adam_beta1: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Memory of the gradient (adam and its kin, lion); default: 0.9."""
    adam_beta2: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Memory of the squared gradient (adam and its kin), or of the gradient (lion); default: 0.999, lion 0.99."""
    adam_epsilon: Annotated[float, Field(gt=0)] | None = None
    """Added to the root of the squared gradient, against division by zero; default: 1e-8."""
    momentum: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Memory of the gradient (sgd, muon); default: 0.9, muon 0.95."""
    max_grad_norm: Annotated[float, Field(ge=0)] = 1.0
    """Gradients are scaled down to this norm; 0 leaves them."""
    label_smoothing_factor: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the target that is spread evenly over all classes, in training."""
    r_drop_alpha: Annotated[float, Field(ge=0, le=MULTIPLE)] = 0.0
    """R-Drop: weight of the divergence between two passes with other dropout masks; 0: one pass."""
    neftune_noise_alpha: Annotated[float, Field(ge=0, le=MULTIPLE)] = 0.0
    """NEFTune: scale of the noise on the word embeddings, in training."""
    dropout: Annotated[float, Field(ge=0, lt=1)] | None = None
    """All dropout probabilities that the model's configuration knows; null leaves them as they are."""
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay of an average of the weights over the steps, which is validated and kept in the end; 0: no average."""
    bf16: bool | Literal["auto"] = "auto"
    """bfloat16 arithmetic with float32 trained weights; `auto`: where the processor multiplies bfloat16 itself."""
    fp16: bool = False
    """float16 arithmetic with float32 trained weights and a loss scaled so that small gradients survive, for GPUs
    without bfloat16."""
    activation_checkpointing: bool = False
    """Compute the activations of each block again in backward instead of keeping them: less memory, about a third
    more time, the same gradients (Chen et al. 2016, arXiv 1604.06174)."""
    torch_compile: bool = False
    """Let `torch.compile` fuse the model's operations; pays for long runs alone, and needs a C++ compiler on CPUs."""
    cache_frozen_trunk: bool | Literal["auto"] = "auto"
    """Compute the blocks below everything that trains once and keep their output on disk while training lasts; nothing
    drops out in them then (docs/frozen-trunk.md).  `auto`: with more than one epoch, where it can be; true: or refuse."""
    dataloader_num_workers: Annotated[int, Field(ge=0, le=1024)] = 0
    """Threads that make the next steps' batches while the model is busy; 0 makes each when it is needed."""
    data_parallel: Literal["ddp", "fsdp"] = "ddp"
    """What each of several processes holds (`--nproc`, torchrun): the whole model (DDP), or a share of every weight,
    gradient and moment (FSDP2), which needs less memory and sends more; alone it is not looked at."""
    check_memory: bool = True
    """Refuse a run whose heaviest step would not fit into the memory that is free, or its checkpoints on the disk, before
    it begins (`weitiao plan` shows what takes how much); false: try."""
    skip_nonfinite_steps: Annotated[int, Field(ge=0)] = 0
    """So many steps whose loss or gradient is not finite are left out, each noted in the log, before the run stops."""
    max_batch_tokens: Annotated[int, Field(ge=1)] | None = None
    """A forward pass of training holds at most so many tokens, padding included, besides being at most
    `per_device_train_batch_size` rows; a longer single row has one of its own."""
    train_sampling_strategy: Literal["auto", "group_by_length", "random"] = "auto"
    """Rows of like length together (hardly any padding), or plainly shuffled; `auto`: shuffled in tasks whose rows can lie end
    to end, whatever a model makes of that, so that all models meet the same batches; by length in the others."""
    eval_strategy: Annotated[Literal["epoch", "steps", "no"], BeforeValidator(no_is_a_word)] = "epoch"
    """When the validation rows are looked at."""
    eval_steps: Period = 100
    """Steps between two evaluations when `eval_strategy` is `steps`; below 1 it is a share of all steps."""
    eval_on_start: bool = False
    """Look at the validation rows before the first step too; it counts for no patience and no best."""
    save_strategy: Annotated[Literal["epoch", "steps", "best", "no"], BeforeValidator(no_is_a_word)] = "epoch"
    """When a checkpoint is written; the best one is always written when `load_best_model_at_end` asks for it."""
    save_steps: Period = 100
    """Steps between two checkpoints when `save_strategy` is `steps`; below 1 it is a share of all steps."""
    save_total_limit: Annotated[int, Field(ge=1, le=MOST_ROWS)] = 2
    """Checkpoints kept; the best is never deleted."""
    load_best_model_at_end: bool = True
    """End with the weights that did best on the validation rows, not with the last ones."""
    metric_for_best_model: str = "loss"
    """The validation metric that decides what is best; of equal values the one with the smaller validation loss is."""
    early_stopping_patience: Annotated[int, Field(ge=1)] | None = 3
    """Evaluations without a gain before stopping; null never stops early."""
    early_stopping_threshold: Annotated[float, Field(ge=0)] = 0.0
    """By how much the best value must be beaten to count as a gain for `early_stopping_patience`."""
    logging_steps: Period = 10
    """Steps between two lines on standard error where no bar moves (in a terminal or a notebook one does); below 1 it is
    a share of all steps.  `log.jsonl` has a line for every step."""
    disable_tqdm: bool = False
    """No bar, in a terminal or a notebook: what stands on standard error elsewhere stands there too (and nothing with
    `--quiet`).  It changes nothing of the run, and may differ when one goes on."""
    report_to: Annotated[
        list[Literal["tensorboard", "wandb", "mlflow"]], BeforeValidator(reported), Once
    ] = []
    """Where curves are written besides `log.jsonl`: into the run folder, and nowhere else unless these tools' own
    environment variables say so (extras `tensorboard`, `wandb`, `mlflow`)."""
    log_gradient_norms: bool = False
    """Write the norms of the gradients by block into `log.jsonl`, before they are clipped."""
    profile_steps: Annotated[int, Field(ge=0)] = 0
    """Profile so many steps behind two that warm up: a trace and a table of operators in `profile/` of the run."""
    watchers: Annotated[list[Annotated[str, Field(pattern=NAMED)]], BeforeValidator(listed), Once] = []
    """Watchers of your own, such as `my_watcher.py:MyWatcher` (docs/watchers.md); asked after all others."""

    @model_validator(mode="after")
    def _one_half(self) -> Train:
        if self.fp16 and self.bf16 is True:
            raise unfit("one_half")
        return self

    @property
    def half(self) -> Literal["bfloat16", "float16"] | None:
        """What products are computed in, where it is not float32; `auto` is resolved by then."""
        return "float16" if self.fp16 else "bfloat16" if self.bf16 is True else None


class Search(Section):
    """What `weitiao search` tries (docs/search.md); of a single run it changes nothing."""

    space: dict[str, Any] = {}
    """Key of the recipe -> values that are tried, as in `{train.learning_rate: {low: 1e-5, high: 1e-3, log: true}, method: [lora, head]}`;
    default: what suits the recipe's method."""
    how: HOW = "auto"
    """Who proposes settings, and which trials are stopped early; `auto`: `asha` where a trial has nine epochs or more, or looks
    at the validation rows by steps, else `tpe`."""
    trials: Annotated[int, Field(ge=1, le=100_000)] = 20
    """Settings that are tried, the recipe's own being the first; `grid` tries all that there are, and with `pbt` these are
    the members of the population."""
    minutes: Annotated[float, Field(gt=0)] | None = None
    """No trial is begun or gone on with after so many minutes; default: as long as it takes."""
    goals: Annotated[list[str], BeforeValidator(listed), Field(min_length=1), Once] = ["score"]
    """What is better: `score` (the task's first metric on the validation rows) or a metric of these by its name, and
    `seconds` of training, `megabytes` of the saved weights, `memory` (peak) or `parameters` that train.  Of several the
    first chooses the winner, and the page shows which trials nobody beats in all."""


class Evaluate(Section):
    """How the locked test rows judge."""

    untuned: bool = True
    """Judge the model before tuning on the same rows."""
    baseline: str = "auto"
    """What stands beside it in the same table, learnt from the same training rows: `auto` for all baselines of the task
    (docs/tasks.md), the strongest one that is wanted (`majority` leaves `tfidf` out), or `none`."""
    metrics: Annotated[list[Named], BeforeValidator(listed)] = []
    """Metrics besides the task's own: names of the shelf, with settings as in `{name: f1_binary, positive: spam}`, and
    functions of your own, such as `my_metrics.py:far_off` (docs/metrics.md)."""
    confidence: Annotated[float, Field(gt=0, le=0.9999)] = 0.95
    """Coverage of the intervals."""
    resamples: Annotated[int, Field(ge=100, le=1_000_000)] = 1000
    """Bootstrap resamples behind the intervals."""
    answers: Annotated[int, Field(ge=0)] | None = 100
    """So many test rows, drawn by the seed, are answered in words (or by a picture) and judged by their answers besides
    (tasks that generate); null: all of them."""
    max_new_tokens: Annotated[int, Field(ge=1)] = 128
    """Longest of these answers, in tokens."""
    samples: Annotated[int, Field(ge=0)] = 4
    """Answers that the page shows, before and after tuning."""
    general_text: str = "auto"
    """Texts by whose perplexity before and after tuning it is seen what a model that writes has forgotten: `auto` for twenty
    short ones in English and Chinese that travel with weitiao, `none`, or a file of your own (a text a line, or a column
    `text`), of which the first 200 are read, at most 512 tokens each (docs/verdict.md)."""
    noise_runs: Annotated[int, Field(ge=0, le=100)] = 0
    """So many repetitions with other seeds on the same rows are trained behind the run, to measure how far its score moves
    with the seed alone; each takes as long as the run did.  Runs of the same recipe and rows that lie beside this one
    count besides, asked or not (docs/verdict.md)."""


def keys_of(model: type[BaseModel], prefix: str = "") -> list[str]:
    """Every key of a section and those below it, with its path, such as `train.learning_rate`."""
    keys = []
    for name, field in model.model_fields.items():
        keys.append(prefix + name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            keys += keys_of(field.annotation, f"{prefix}{name}.")
    return keys
