"""What is wrong with a model's files, before anything is made of them: files that are not there, or not what they seem.

    refuse_strange(folder)      configuration and tokenizer: a Git LFS pointer, a saved web page, an empty file
    configuration(source)       a family that this Transformers knows
    refuse_weightless(folder)   weights: the same, shards that are missing, pickled ones, broken ones
    tokenizer(source)           a tokenizer that knows words

Transformers opens a folder without a tokenizer's files, or with half of them, with a tokenizer that knows its special
tokens and nothing else: every word becomes unknown, and training runs to its end all the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from weitiao.core import registry
from weitiao.core.contracts import Task
from weitiao.core.errors import WeitiaoError, fault
from weitiao.core.why import reason
from weitiao.data.chat.labels import special_tokens
from weitiao.models import seeing

POINTER = b"version https://git-lfs"
PAGES = (b"<!doctype", b"<html", b"<?xml")
READ = (".json", ".txt", ".model", ".jinja")  # what configuration and tokenizer are read from
WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
OTHERS = ("pytorch_model*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack", "*.gguf", "*.onnx")
OLDER = {"tf_model.h5": ("tensorflow", "from_tf=True"), "flax_model.msgpack": ("flax", "from_flax=True")}
"""Weights of libraries that Transformers opened before its version 5: which one, and how it was told so."""
PIPELINE = "model_index.json"
"""What diffusers writes into a folder of models that belong together."""
MARKS = ("config.json", PIPELINE)
"""By which a folder is known for one of a model."""
HEADS = (
    "AutoModelForCausalLM",
    "AutoModelForSequenceClassification",
    "AutoModelForSeq2SeqLM",
    "AutoModelForMaskedLM",
)
"""What a family may be there for, for those whom it is not what they asked for."""
FEWEST = 3  # words; T5's tokenizer of nothing has "▁" beside its special tokens


def refuse_strange(folder: Path) -> None:
    """Look at the files of configuration and tokenizer.

    Raises:
        WeitiaoError: `lfs_pointer`, `web_page`, `broken_file`, `no_permission`.
    """
    _refuse_strange(path for path in sorted(folder.iterdir()) if path.suffix in READ and path.is_file())


def _refuse_strange(paths: Iterable[Path]) -> None:
    for path in paths:
        try:
            with path.open("rb") as file:
                start = file.read(64)
        except PermissionError as error:
            raise fault("no_permission", action="read", path=path) from error
        if start.startswith(POINTER):
            raise fault("lfs_pointer", path=path, folder=path.parent)
        if start.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(PAGES):
            raise fault("web_page", path=path)
        if not start.strip() and path.suffix != ".txt":
            raise fault("broken_file", path=path, why=reason("model_file_empty"))


def models_inside(folder: Path) -> list[Path]:
    """Folders below this one that hold a model: what sentence-transformers, a hub's cache and a training leave.

    A configuration names its kind; that of a pooling layer does not.
    """
    found = [path for depth in ("*", "*/*") for path in folder.glob(f"{depth}/config.json")]
    return sorted(path.parent for path in found if _said(path, "model_type"))


def quantized(source: str) -> str:
    """How a folder's weights were quantised (`gptq`); empty when they were not."""
    said = _said(Path(source, "config.json"), "quantization_config")
    return str(said.get("quant_method", "?")) if isinstance(said, dict) else ""


def _said(path: Path, key: str) -> Any:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return known.get(key) if isinstance(known, dict) else None


def configuration(source: str, *, ref: str, **options: Any) -> Any:
    """The configuration of a folder or hub id; `options` are written into it.

    Raises:
        WeitiaoError: `is_pipeline`, `unknown_family` for a model that this release of Transformers does not know,
            `needs_code` for one whose code lies beside its weights, `broken_file`.
    """
    import transformers

    _refuse_pipeline(Path(source), ref=ref)
    path = Path(source, "config.json")
    if path.is_file():
        try:
            json.loads(path.read_text(encoding="utf-8")).keys()  # without a kind it is asked for below
        except (ValueError, AttributeError) as error:
            raise fault("broken_file", path=path, why=reason("config_is_no_json", why=error)) from error
    known, _ = transformers.PretrainedConfig.get_config_dict(source)
    kind = known.get("model_type", "")
    if str(kind) not in transformers.CONFIG_MAPPING:
        if known.get("auto_map"):
            raise fault("needs_code", ref=ref, kind=kind or "?")
        made = known.get("transformers_version", "?")
        raise fault("unknown_family", ref=ref, kind=kind or "-", made=made, ours=transformers.__version__)
    return transformers.AutoConfig.from_pretrained(source, trust_remote_code=False, **options)


def _refuse_pipeline(folder: Path, *, ref: str) -> None:
    """A configuration beside the pipeline's own list may be one of diffusers, which names no family."""
    if (folder / PIPELINE).is_file() and not _said(folder / "config.json", "model_type"):
        raise fault("is_pipeline", ref=ref)


def refuse_headless(config: Any, auto: str, *, ref: str) -> None:
    """Has Transformers a model of that kind for this family?

    Args:
        config: of the base.
        auto: an Auto class.
        ref: the model's name in errors.

    Raises:
        WeitiaoError: `no_such_head`.
    """
    if _has(config, auto):
        return
    kinds = {name: registry.entry("task", name).kind for name in registry.names("task")}
    wanted = {name: kind.auto_class for name, kind in kinds.items() if not kind.library}
    suits = ", ".join(name for name, its in wanted.items() if _suits(config, its)) or "-"
    has = ", ".join(name for name in HEADS if _has(config, name)) or "-"
    raise fault("no_such_head", ref=ref, kind=config.model_type, auto=auto, has=has, suits=suits)


def _suits(config: Any, auto: str) -> bool:
    """Is it worth a try?  Of a family that fills gaps (BERT) a model reads from left to right only where its files say so."""
    if auto == "AutoModelForCausalLM" and _has(config, "AutoModelForMaskedLM"):
        return bool(getattr(config, "is_decoder", False))
    return _has(config, auto) and _reads(config, auto)


def _has(config: Any, auto: str) -> bool:
    import transformers

    # The body of an encoder-decoder is two: a text alone goes through neither.
    halved = auto == "AutoModel" and config.is_encoder_decoder
    return not halved and type(config) in getattr(transformers, auto)._model_mapping


def _reads(config: Any, auto: str) -> bool:
    """Does the head call the body as the family's files do?"""
    import transformers

    bodies = transformers.AutoModel._model_mapping
    if type(config) not in bodies:
        return True
    head, body = getattr(transformers, auto)._model_mapping[type(config)], bodies[type(config)]
    several = body if isinstance(body, (tuple, list)) else [body]
    return any(head.base_model_prefix == one.base_model_prefix for one in several if one)


def refuse_weightless(source: str) -> None:
    """Look at the weights, of which no more than the headers is read.

    Raises:
        WeitiaoError: `is_pipeline`, `no_weights` for a folder without safetensors, `missing_shards`, `lfs_pointer`,
            `web_page`, `broken_file`, `no_permission`; `older_weights` for those of TensorFlow or Flax alone.
    """
    from safetensors import SafetensorError, safe_open

    folder = Path(source)
    if not folder.is_dir():
        return  # a hub has its own way of saying what it lacks
    _refuse_pipeline(folder, ref=source)
    files = weight_files(source)
    if not files:
        found = sorted({path.name for kind in OTHERS for path in folder.glob(kind)})
        if (older := [name for name in OLDER if name in found]) and "pytorch_model.bin" not in found:
            package, word = OLDER[older[0]]
            raise fault("older_weights", path=folder, found=", ".join(older), package=package, word=word)
        raise fault("no_weights", path=folder, found=", ".join(found[:4]) or "-")
    if missing := [path.name for path in files if not path.is_file()]:
        named = ", ".join(missing[:3]) + (" ..." if len(missing) > 3 else "")
        raise fault("missing_shards", path=folder, count=len(missing), total=len(files), names=named)
    _refuse_strange(files)
    for path in files:
        try:
            with safe_open(path, "pt") as file:
                if not list(file.keys()):
                    raise fault("broken_file", path=path, why=reason("no_weights"))
        except SafetensorError as error:
            raise fault("broken_file", path=path, why=reason("no_safetensors", error=error)) from error


def weight_files(source: str) -> list[Path]:
    """The safetensors of a folder that Transformers reads, there or not; none of a folder without any, or of a hub id.

    Raises:
        WeitiaoError: `broken_file`, `lfs_pointer` or `web_page` for the list of shards.
    """
    folder = Path(source)
    if (folder / WHOLE).is_file():
        return [folder / WHOLE]
    return [folder / name for name in _shards(folder / INDEX)] if (folder / INDEX).is_file() else []


def _shards(index: Path) -> list[str]:
    _refuse_strange([index])
    try:
        return sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise fault("broken_file", path=index, why=reason("no_shards")) from error


def processor(source: str, task: Task) -> Any:
    """What makes rows ready for the model of a folder or hub id, as a task has it.

    Args:
        source: the folder, or the id.
        task: whose rows these are.

    Raises:
        WeitiaoError: `no_tokenizer`; `no_processor` where its folder says nothing of how pictures are read.
    """
    import transformers

    sees = task.seeing_class and seeing.sees(transformers.AutoConfig.from_pretrained(source))
    if task.processor_class == "AutoTokenizer" and not sees:
        return task.ready(tokenizer(source))
    try:
        if sees:
            return task.ready(seeing.reader(source))
        found = getattr(transformers, task.processor_class).from_pretrained(source, trust_remote_code=False)
    except WeitiaoError:
        raise
    except Exception as error:  # as below
        if not Path(source).is_dir():
            raise
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise fault("no_processor", ref=source, why=line) from error
    return task.ready(found)


def tokenizer(source: str) -> Any:
    """The tokenizer of a folder or hub id.

    Raises:
        WeitiaoError: `no_tokenizer`, when there is none, or one that knows no words.
    """
    import transformers

    try:
        found = transformers.AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    except Exception as error:  # whatever it is: tokenizers raise bare ones
        if not Path(source).is_dir():
            raise
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise fault("no_tokenizer", ref=source, why=reason("tokenizer_files", error=line)) from error
    words = found.get_vocab().keys() - special_tokens(found).keys()
    if len(words) < FEWEST:
        raise fault("no_tokenizer", ref=source, why=reason("specials_alone"))
    if _without_merges(found, words):
        raise fault(
            "no_tokenizer",
            ref=source,
            why=reason("no_merges"),
        )
    return found


def _without_merges(processor: Any, words: Iterable[str]) -> bool:
    """Half a tokenizer: `vocab.json` without `merges.txt`."""
    model = getattr(getattr(processor, "backend_tokenizer", None), "model", None)
    if type(model).__name__ != "BPE" or all(len(word) == 1 for word in words):
        return False
    tree = json.loads(processor.backend_tokenizer.to_str())["model"]
    return not tree["merges"] and not tree.get("ignore_merges")
