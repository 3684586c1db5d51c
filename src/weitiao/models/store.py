"""The tuned model on disk: whole, or as PEFT's adapter files beside a base; and the way back, checked.

    save_tuned(folder, ...)  ->  model/{weitiao.json, adapter_*|model.safetensors, tokenizer...}  ->  load_tuned(folder)

Either layout opens without weitiao: `PeftModel.from_pretrained` or `AutoModelFor...from_pretrained`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weitiao.core.contracts import Method, Task, Tokenize
from weitiao.core.errors import fault
from weitiao.core.files import disk, sha256, share, write_json
from weitiao.core.why import because, reason
from weitiao.models import bases, stored
from weitiao.models.cards import CARD, read_card
from weitiao.models.halves import frozen
from weitiao.models.load import Loaded, load, skeleton
from weitiao.models.opening import opened, resolve
from weitiao.models.precision import Half
from weitiao.models.quiet import quiet

if TYPE_CHECKING:
    from torch import Tensor, nn

PREFIX = "base_model.model."  # PEFT's wrapper around the model


def open_base(
    ref: str,
    task: Task,
    method: Method | None = None,
    *,
    half: Half | None = None,
    bits: int = 16,
    dropout: float | None = None,
    **words: Any,
) -> Loaded:
    """Load a base (`load.load`) of which `method` will train something, or nobody anything.

    Where the run computes in the very precision that the base's files hold, the layers of which nothing trains are read
    as they are; `anatomy.cast_frozen` would make the same of them.

    Raises:
        WeitiaoError: as `load.load`.
    """
    halves = None
    if half and bits != 4 and not task.library and reads_halves(resolve(ref), half, method):
        bare = skeleton(ref, task)
        bare.model.requires_grad_(False)
        if method:
            prepare(bare, method, seed=0)
        if not hasattr(bare.model.config, "quantization_config"):
            halves = frozen(bare.model, bare.head, half)
    return load(ref, task, bits=bits, halves=halves, dropout=dropout, **words)


def reads_halves(source: str, half: Half | None, method: Method | None = None) -> bool:
    """Is what does not train read in half precision?  Not where all of a model is saved from memory afterwards."""
    whole = method is not None and method.layout == "pretrained"
    return half is not None and not whole and stored.precision(source) == half


def prepare(loaded: Loaded, method: Method, *, seed: int, task: Task | None = None) -> None:
    """Put the method's modules in and say to every parameter whether it trains.

    Args:
        loaded: the base.
        method: what trains.
        seed: from which new modules are drawn.
        task: what is going to be learnt, which may add something to learn with; None: the model is only to be asked.

    Raises:
        WeitiaoError: what `attach` raises (`no_such_modules`).
    """
    import torch

    if task:
        loaded.auxiliary = task.extend(loaded.model)
        loaded.head |= loaded.auxiliary
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        loaded.model = method.attach(loaded.model, loaded.head, tokenizer(loaded.processor))
    for name, weight in loaded.model.named_parameters():
        if weight.is_floating_point():  # a packed 4-bit weight cannot train
            weight.requires_grad_(method.trains(name, weight, loaded.head))
    loaded.trained = trained(loaded.model)


def tokenizer(processor: Any) -> Tokenize:
    """A text as ids, nothing put around it."""
    return lambda text: list(processor(text, add_special_tokens=False)["input_ids"])


def trained(model: nn.Module) -> dict[str, nn.Parameter]:
    """Name -> parameter, of all that train; the parameters themselves, not copies."""
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


def save_tuned(
    folder: Path,
    loaded: Loaded,
    *,
    task: Task,
    method: Method,
    card: Mapping[str, Any],
    files: Mapping[str, Any] | None = None,
) -> None:
    """Write the tuned model, whole or not at all; `card` goes into `weitiao.json` with a hash of every file, and beside it
    lie `files` (`Task.files`)."""
    with replacing(folder) as temporary, _asked_for(loaded) as loaded:
        if method.layout == "pretrained":
            _save_model(temporary, loaded, task, precision=None)
        else:
            config = _save_adapter(temporary, loaded, task, method)
            if task.library:
                task.library.save_beside(temporary, config, task)
            if task.generates:  # whoever puts the adapter on the base reads here where to stop
                loaded.model.generation_config.save_pretrained(temporary)
        if not task.library:
            loaded.processor.save_pretrained(temporary)
        _write(temporary, files or {})
        prints = {str(path.relative_to(temporary)): sha256(path) for path in _files(temporary)}
        base = bases.remembered(loaded.source, folder.parent)
        write_json(temporary / CARD, {**card, "layout": method.layout, "base": base, "files": prints})


@contextmanager
def _asked_for(loaded: Loaded) -> Iterator[Loaded]:
    """The model without what the task learnt with (`Task.extend`); afterwards it is there again."""
    model, gone = loaded.model, {name.partition(".")[0] for name in loaded.auxiliary}
    held = {name: getattr(model, name) for name in gone}
    try:
        for name in gone:
            delattr(model, name)
        yield replace(loaded, head=loaded.head - loaded.auxiliary, trained=loaded.tuned)
    finally:
        for name, module in held.items():
            model.add_module(name, module)


def save_plain(
    folder: Path,
    loaded: Loaded,
    task: Task,
    *,
    precision: str | None = None,
    files: Mapping[str, Any] | None = None,
) -> None:
    """Write model and tokenizer as `from_pretrained` reads them, whole or not at all, and `files` (`Task.files`) beside them;
    as its base is stored by default.

    Raises:
        WeitiaoError: `wrong_usage` when a number is too large for float16.
    """
    with replacing(folder) as temporary:
        _save_model(temporary, loaded, task, precision=precision)
        if not task.library:
            loaded.processor.save_pretrained(temporary)
        _write(temporary, files or {})


def _write(folder: Path, files: Mapping[str, Any]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        write_json(folder / name, content)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _save_model(folder: Path, loaded: Loaded, task: Task, *, precision: str | None) -> None:
    """All weights; in memory they are then what was written, in float32."""
    import torch

    known, usual = stored.kinds(loaded.source), stored.precision(loaded.source)
    prefix = f"{loaded.model.base_model_prefix}."
    for name, weight in loaded.model.named_parameters():
        # A base may hold a few weights more exactly than the others; a new head is stored like most.
        kind = (known.get(name) or known.get(name.removeprefix(prefix)) or ("", 0))[0]
        wanted = precision or stored.KNOWN.get(kind, usual)
        made = weight.data.to(getattr(torch, wanted))
        if wanted == "float16" and not torch.isfinite(made).all():
            if precision:
                raise fault("wrong_usage", **because("too_large_for_half", name=name))
            made = weight.data
        weight.data = made
    with quiet():
        if task.library:
            task.library.save(folder, loaded.model, loaded.processor, task)
        else:
            loaded.model.save_pretrained(folder)
    for weight in loaded.model.parameters():
        weight.data = weight.data.float()


def _save_adapter(folder: Path, loaded: Loaded, task: Task, method: Method) -> dict[str, Any]:
    from safetensors.torch import save_file

    config = {
        "base_model_name_or_path": loaded.source,
        "task_type": task.peft_task_type or None,
        "inference_mode": True,
        **method.saved_config(loaded.model, loaded.head),
    }
    write_json(folder / "adapter_config.json", config)
    state = method.saved_state(loaded.model, loaded.head, loaded.trained)
    save_file(
        {name: weight.detach().cpu().contiguous() for name, weight in state.items()},
        folder / "adapter_model.safetensors",
        {"format": "pt"},
    )
    return config


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """A temporary folder that becomes `folder` at the end, and vanishes if anything fails before."""
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        with disk(folder):
            temporary.mkdir(parents=True)
            yield temporary
            share(temporary)
            for path in _files(temporary):
                with path.open("rb") as file:
                    os.fsync(file.fileno())
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def load_tuned(
    folder: Path,
    *,
    ref: str,
    task: Task,
    method: Method,
    base: str | Path = "",
    half: Half | None = None,
    seed: int = 0,
    device: Any = "cpu",
    longest: int | None = None,
) -> Loaded:
    """The model that `save_tuned` wrote, as it was, and of an adapter what it was before.

    Args:
        folder: the model.
        ref: the recipe's base.
        task: what it has learnt.
        method: how.
        base: where the base is said to lie now.
        half: what will be computed in; what does not train may be read in it.
        seed: from which its new head was drawn.
        device: where it is to lie.
        longest: tokens of the longest row that it will read, where that is less than it has positions for.

    Raises:
        WeitiaoError: `unfinished_run`, `broken_model`; `base_gone`, `wrong_base` when the base is not there or not the
            one that was tuned; and what `load` raises.
    """
    card = read_card(folder)
    if method.layout == "pretrained":
        return open_base(str(folder), task, half=half, device=device, longest=longest)
    place = bases.found(folder.parent, card["base"], ref=ref, said=base)
    words: dict[str, Any] = {
        "half": half,
        "seed": seed,
        "device": device,
        "bits": method.base_bits,
        "longest": longest,
    }
    loaded = open_base(place, task, method, **words)
    own = {id(weight) for weight in loaded.model.parameters()}
    prepare(loaded, method, seed=seed)
    loaded.before = {
        name: weight.detach().clone() for name, weight in loaded.trained.items() if id(weight) in own
    }
    fill(folder, loaded, method)
    return loaded


def fill(
    folder: Path, loaded: Loaded, method: Method, *, trained: Mapping[str, Tensor] | None = None
) -> None:
    """Put saved adapter weights into the modules that `attach` has put in.

    Args:
        folder: of the adapter's files.
        loaded: the base with the modules in it.
        method: whose modules they are.
        trained: what to fill, by name; default: all that trains.

    Raises:
        WeitiaoError: `broken_model` when a weight is missing, left over, or of another shape.
    """
    from safetensors.torch import load_file

    with opened(str(folder)):
        state = load_file(folder / "adapter_model.safetensors")
    try:
        method.fill(loaded.model, loaded.head, loaded.trained if trained is None else trained, state)
    except KeyError as error:
        why = reason("weights_of_another", name=error.args[0])
        raise fault("broken_model", path=folder, why=why) from None
