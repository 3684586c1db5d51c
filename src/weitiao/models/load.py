"""A pretrained model and its processor, ready to be tuned: by embedded name, folder or hub id.

    load(ref, task)  ->  Loaded(model, processor, head, source)

Weights are safetensors only (no pickle is opened), no code of a model's repository is run, dtype is float32.
"""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from weitiao.core.contracts import Library, Task
from weitiao.core.errors import fault
from weitiao.core.gc_pause import paused
from weitiao.core.why import because, reason
from weitiao.data.layout import Layout
from weitiao.data.pack import Collate
from weitiao.models import (
    anatomy,
    batch_norms,
    beside,
    dropouts,
    examine,
    finite,
    folders,
    four_bit,
    labels,
    marks,
    output_loss,
    positions,
    seeing,
    two_sides,
    unread,
)
from weitiao.models import halves as halving
from weitiao.models.halves import Halves
from weitiao.models.opening import opened, resolve
from weitiao.models.quiet import quiet

if TYPE_CHECKING:
    from weitiao.models.assets.fetch import Progress


@dataclass
class Loaded:
    """A model, its processor, and what is known of them."""

    model: Any
    """A Transformers model; any `nn.Module` to those who only train it."""
    processor: Any
    """Its tokenizer."""
    head: frozenset[str]
    """Names of the parameters of the task's new output layer."""
    source: str
    """The folder or hub id that it came from."""
    trained: dict[str, Any] = field(default_factory=dict)
    """Name -> parameter of all that trains, once a method is on it."""
    notices: list[str] = field(default_factory=list)
    """What was made otherwise than the base has it, and how its rows go; to be said once before training."""
    before: dict[str, Any] | None = None
    """What tuning has changed of the base and its head, as it was before (`Method.off`); None where that is not known."""
    layout: Layout = Layout.PADDED
    """How rows may lie beside each other, as it was measured (`models.examine`)."""
    auxiliary: frozenset[str] = frozenset()
    """Names of those of the head that the task only learns with (`Task.extend`): the tuned model has none of them."""
    shares: bool | None = None
    """May what rows begin with stand once in a pass (`models.sharing`)?  None: not measured yet."""

    @property
    def tuned(self) -> dict[str, Any]:
        """Those of `trained` that the tuned model has, too."""
        return {name: weight for name, weight in self.trained.items() if name not in self.auxiliary}

    def sharing(self, task: Task) -> bool:
        """Does what rows of a task begin with stand once?  Measured when it is first asked, with the method in the model."""
        if not task.shares or self.layout is not Layout.PACKED:
            return False
        if self.shares is None:
            from weitiao.models import sharing

            self.shares = sharing.fits(self.model, self.processor)
        return self.shares

    def collate(self, task: Task, *, shared: bool = True) -> Collate:
        """How rows of a task are stacked for this model; `shared`: what they begin with once, where that may be."""
        if shared and self.sharing(task):
            return partial(task.pack, shared=True)
        if self.layout is Layout.PACKED:
            return task.pack
        return lambda examples, rows: task.collate(examples, rows, self.processor)

    @property
    def limit(self) -> int:
        """Longest row in tokens that the model has positions for."""
        return positions.limit(self.model.config, self.processor)


def processor(ref: str, task: Task | None = None, *, progress: Progress | None = None) -> tuple[Any, int]:
    """The tokenizer of a model, or what `task` has for one, and the longest row that fits, without its weights.

    Raises:
        WeitiaoError: `no_such_model`, `hub_unreachable`, `unreadable_model`, and `resolve`'s.
    """
    source = resolve(ref, progress=progress)
    if task and task.library:
        return _of_library(ref, task, empty=True, progress=progress).processor, positions.UNLIMITED
    with opened(ref), quiet():
        config = folders.configuration(source, ref=ref)
        found = folders.processor(source, task) if task else folders.tokenizer(source)
        if task is None or task.reads_words:
            marks.agree(config, found)
    return found, positions.limit(config, found)


def load(
    ref: str,
    task: Task,
    *,
    seed: int = 0,
    device: Any = "cpu",
    bits: int = 16,
    halves: Halves | None = None,
    dropout: float | None = None,
    longest: int | None = None,
    progress: Progress | None = None,
) -> Loaded:
    """Load the base model with `task`'s head; a new head is drawn from `seed`.

    `dropout` sets all dropout probabilities that the model's configuration knows; None leaves them; `longest` is what `examine` asks for.  With `bits=4` the linear layers of the body are packed into NF4, doubly quantised, one after the other while
    they are read (QLoRA); `halves` says which are read in half precision.

    Raises:
        WeitiaoError: `no_such_model`, `hub_unreachable`, `unreadable_model`, `unknown_family`, `needs_code`, `no_such_head`,
            `unsuitable_model`, `lost_weights`, `head_reads_no_body`, `sizes_disagree`, `quantized_base`, `not_causal`, `model_fails`, `hears_beside`
            for a model that cannot read texts beside each other where the task needs it, and `resolve`'s.
    """
    if task.library:
        return _of_library(ref, task, device=device, progress=progress)
    with opened(ref):
        config = folders.configuration(resolve(ref, progress=progress), ref=ref)
    words = seed, device, bits, halves, dropout, longest, progress
    return examine.first(
        examine.attentions(task, device, config), lambda name: _load(ref, task, name, *words)
    )


def _load(
    ref: str,
    task: Task,
    attention: str,
    seed: int,
    device: Any,
    bits: int,
    halves: Halves | None,
    dropout: float | None,
    longest: int | None,
    progress: Progress | None,
) -> Loaded:
    import torch
    import transformers

    source = resolve(ref, progress=progress)
    folders.refuse_weightless(source)
    packing = halving.reading(halves) if halves else _packing(ref, task, bits, device)
    with opened(ref), quiet(), paused(), torch.random.fork_rng():
        torch.manual_seed(seed)
        base = folders.configuration(source, ref=ref)
        processor = folders.processor(source, task)
        config = configured(ref, source, processor, task, dropout)
        model, report = getattr(transformers, seeing.auto(config, task)).from_pretrained(
            source,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # of the head alone, see below
            attn_implementation=attention,
            **{**_placed(task, device), **packing},
        )
        trimmed(model, task, report)
        torch.manual_seed(seed)  # what Transformers has drawn is no matter
        left_out = labels.fit(model, report, base, head=anatomy.head(model)) if task.model_options() else 0
    if halves:
        four_bit.forget_quantizer(model)
    elif packing:
        four_bit.take_over(model)
    head = _drawn(model, report, ref=ref, task=task)
    if task.reads_words:
        marks.settle(model, processor, task.ends(processor))
    batch_norms.hold(model)
    said = task.opened(model, processor, ref=ref, limit=positions.limit(model.config, processor))
    model = model if bits == 4 else model.to(device)
    with quiet():
        found = beside.examine(model, task, processor, ref=ref, longest=longest)
    if task.apart and found.layout in (Layout.ALIKE, Layout.ALONE):
        raise fault("hears_beside", ref=ref)
    if task.packs and not two_sides.writes(model):
        with examine.Exactly() if halves else nullcontext():
            output_loss.learn(model)
    packs = seeing.packs(model.config, task)
    padded = [reason("padded_for_pictures", ref=ref)] if task.packs and not packs else []
    notices = [*_unread(model, report, ref=ref), *said, *found.notices(ref, packs=packs), *padded]
    if dropped := dropouts.total(model.config):
        notices.append(reason("all_drops_out", ref=ref, names=", ".join(dropped)))
    if left_out:
        names = ", ".join(labels.named(base)[:6]) or "without names"
        notices.append(
            f"{ref} has {left_out} outputs of its own ({names}): new ones are drawn for these labels"
        )
    return Loaded(model, processor, head, source, notices=notices, layout=found.layout)


def _of_library(
    ref: str, task: Task, *, empty: bool = False, device: Any = "cpu", progress: Progress | None = None
) -> Loaded:
    """A model that the task opens itself (`Task.library`), with its weights or without."""
    import torch

    source, library = resolve(ref, progress=progress), cast(Library, task.library)
    library.refuse(source, ref=ref)
    with opened(ref), quiet(), paused(), torch.random.fork_rng():
        processor = task.ready(library.processor(source, ref=ref))
        with torch.device("meta") if empty else nullcontext():
            model, head = library.model(processor, task, empty=empty)
        task.trim(model)
    said = [] if empty else task.opened(model, processor, ref=ref, limit=positions.UNLIMITED)
    model = model if empty else model.to(device)
    return Loaded(model, processor, head, source, notices=said)


def trimmed(model: Any, task: Task, report: dict[str, Any] | None = None) -> None:
    """Take out what the task does not read; `report` then says nothing of it either."""
    before = {name for name, _ in model.named_parameters()}
    task.trim(model)
    gone = before - {name for name, _ in model.named_parameters()}
    if report and gone:
        report["missing_keys"] = [name for name in report["missing_keys"] if name not in gone]


def _drawn(model: Any, report: dict[str, Any], *, ref: str, task: Task) -> frozenset[str]:
    """Names of the weights that are drawn anew and must train: the head, and a pooler that was not saved."""
    unread.refuse_layers(model, report["unexpected_keys"], ref=ref)
    lacking = set(report["missing_keys"])
    # A pooler is often not saved with an encoder; drawn anew, it must train like the head.
    head = anatomy.head(model) | {name for name in lacking if ".pooler." in name}
    strangers = sorted(name for name in lacking - head if not name.endswith(".position_ids"))
    if any(name.startswith(f"{model.base_model_prefix}.") for name in strangers):
        raise unread.explain(model, strangers, report["unexpected_keys"], ref=ref)
    if strangers:
        raise fault("unsuitable_model", ref=ref, task=task.auto_class, names=", ".join(strangers[:4]))
    misfits = sorted(each for each in report["mismatched_keys"] if each[0] not in head)
    if misfits:
        name, theirs, ours = misfits[0]
        raise fault(
            "sizes_disagree",
            ref=ref,
            name=name,
            theirs=" x ".join(map(str, theirs)),
            ours=" x ".join(map(str, ours)),
            count=len(misfits),
        )
    return head


def _unread(model: Any, report: dict[str, Any], *, ref: str) -> list[str]:
    names = unread.left_over(model, report["unexpected_keys"])
    some = ", ".join(names[:4]) + (" ..." if len(names) > 4 else "")
    return [reason("weights_left_out", ref=ref, count=len(names), names=some)] if names else []


def refuse_unsuitable(ref: str, task: Task, *, numbers: bool = False) -> list[str]:
    """Are all weights there that the task needs, and of their sizes?  Their names are looked at, and no weight is read
    unless `numbers` asks whether they are numbers; of a model that lies on the hub nothing is fetched for it.  What is
    left out of it is told.

    Raises:
        WeitiaoError: `unsuitable_model`, `lost_weights`, `head_reads_no_body`, `sizes_disagree`, `not_finite_weights`, and what opening raises.
    """
    import transformers

    source = resolve(ref)
    if not os.path.isdir(source):
        return []
    if task.library:
        task.library.refuse(source, ref=ref)
        return []
    with opened(ref), quiet(), paused():
        folders.configuration(source, ref=ref)
        config = configured(ref, source, folders.processor(source, task), task, None)
        model, report = getattr(transformers, seeing.auto(config, task)).from_pretrained(
            source,
            config=config,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            device_map={"": "meta"},
        )
        trimmed(model, task, report)
        _drawn(model, report, ref=ref, task=task)
        if numbers:
            finite.refuse_unfinite(source, model, ref=ref, unread=report["unexpected_keys"])
    return _unread(model, report, ref=ref)


def skeleton(
    ref: str,
    task: Task,
    *,
    dropout: float | None = None,
    attention: str | None = None,
    progress: Progress | None = None,
) -> Loaded:
    """The model without its weights (on the `meta` device): what a method can be tried on before anything is loaded.

    Without weights nothing can be measured: unless `attention` says what was found, rows are taken to lie as the first
    attention function that the model's code takes lets them.

    Raises:
        WeitiaoError: as `load`.
    """
    import torch
    import transformers

    if task.library:
        return _of_library(ref, task, empty=True, progress=progress)
    source = resolve(ref, progress=progress)
    folders.refuse_weightless(source)
    with opened(ref), quiet(), paused(), torch.device("meta"):
        folders.configuration(source, ref=ref)  # what is wrong is told before the tokenizer trips over it
        processor = folders.processor(source, task)
        config = configured(ref, source, processor, task, dropout)

        def made(name: str) -> Loaded:
            words = {"dtype": torch.float32, "trust_remote_code": False, "attn_implementation": name}
            model = getattr(transformers, seeing.auto(config, task)).from_config(config, **words)
            trimmed(model, task)
            batch_norms.hold(model)
            layout = examine.expected(task, config, name)
            return Loaded(model, processor, anatomy.head(model), source, layout=layout)

        names = [attention] if attention else examine.attentions(task, pick_device(), config)
        return examine.first(names, made)


def configured(ref: str, source: str, processor: Any, task: Task, dropout: float | None) -> Any:
    """The configuration with the task's outputs, the tokenizer's special tokens, and all of its dropout set to `dropout`."""
    config = folders.configuration(source, ref=ref, **task.model_options())
    folders.refuse_headless(config, seeing.auto(config, task), ref=ref)
    if task.reads_words:
        marks.agree(config, processor)
    if dropout is not None:
        if not dropouts.names(config):
            none = because("no_dropout", model=config.model_type)
            raise fault("unfit_training", key="dropout", value=dropout, **none)
        dropouts.put(config, dropout)
    return config


def _placed(task: Task, device: Any) -> dict[str, Any]:
    """Keywords that read weights straight onto a GPU; unmeasured.

    A head is drawn where the model lies, and one seed is to give one head: such models are moved when it has been drawn.
    """
    straight = str(device).startswith("cuda") and not task.model_options()
    return {"device_map": {"": device}} if straight else {}


def _packing(ref: str, task: Task, bits: int, device: Any) -> dict[str, Any]:
    if bits != 4:
        return {}
    bare = skeleton(ref, task)
    output = anatomy.output_layer(bare.model)
    # What is new must train, and a pooler may be new: packed layers cannot.
    spared = {*anatomy.head_modules(bare.model, bare.head), "pooler", *([output] if output else [])}
    return four_bit.packing(device, skip=sorted(spared))


def pick_device() -> str:
    """`cuda` where there is one (the one of this process under torchrun), Apple's `mps`, else `cpu`."""
    import torch

    if torch.cuda.is_available():
        return f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def fast_bf16(device: str) -> bool:
    """Does the machine multiply bfloat16 itself, and so faster than float32?"""
    import torch

    if device.startswith("cuda"):
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return device == "cpu" and bool(capabilities.get("amx_tile") or capabilities.get("avx512_bf16"))
