"""The data of a recipe: what they are, who learns from them, where they lie, how many rows can be read."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weitiao.core import registry
from weitiao.core.contracts import Record, Shape, Task
from weitiao.core.errors import fault
from weitiao.core.recipe import Data
from weitiao.core.why import reason
from weitiao.data import check as checking
from weitiao.data import formats
from weitiao.data.formats.numbers import decimal_of
from weitiao.data.ledger import Ledger, named_rows
from weitiao.data.read import BadRow, read
from weitiao.data.read_as import read_as
from weitiao.data.unknown import UNKNOWN, Met

if TYPE_CHECKING:
    from weitiao.models.assets.fetch import Progress


LOOKED_AT = 100
"""Rows of a file that say what its columns hold."""
READERS = ("minilm-l6", "e5-small")
"""Embedded models that read: a vocabulary of English, and one of a hundred languages."""
WRITERS = {"AutoModelForCausalLM": ("smollm2-135m",), "AutoModelForSeq2SeqLM": ("minilm-pair", "e5-pair")}
"""Those that write, by Transformers' class; the first pair writes lower case alone."""
LOOKERS = {
    "AutoModelForObjectDetection": "rtdetr-small",
    "AutoModelForSemanticSegmentation": "upernet-small",
}
"""Those that look at pictures for more than what they show."""
LOOKER = "efficientnet-lite0"
HARDER = 1.2
"""So many times the tokens show that a vocabulary was made for another language: English texts took 0.55 to 1.12 times as
many, Latin and 14 living languages in Latin script 1.25 to 1.92 (notes/LOG.md)."""
FOREIGN = 1 / 40
"""Share of letters beyond A to Z above which texts count as not English."""
SEEN, FAST = 12_000, 1e-3
"""Of a base that was never taught what it is for: so many rows are seen in all, and so fast is learnt (notes/LOG.md)."""
LONG_ENOUGH = 2000
"""Characters of a text that tell its language."""


def guess(data: Data, shape: Shape | None = None) -> tuple[Shape, dict[str, Any]]:
    """What the first file's columns and rows suggest: the shape of its rows, and keys of the section: `columns`, `decimal`.

    Args:
        data: the recipe's section.
        shape: that of its rows, where it is known what is to be learnt.

    Raises:
        WeitiaoError: `unknown_row_format` when they say nothing; `bad_rows` when no row can be read.
    """
    source = read(data.train[:1], encoding=data.encoding, format=data.format)[0]
    rows = list(islice((item.values for item in source.rows() if isinstance(item, Record)), LOOKED_AT))
    known = None if shape is None else shape.formats
    found = formats.guess(source.columns, columns=data.columns, asked=data.format, rows=rows, known=known)
    if found is None and not rows:
        # Not one row can be read: what is wrong with them says more than that they have no columns.
        bad = [vars(row) for row in source.rows() if isinstance(row, BadRow)]
        if bad:
            raise fault("bad_rows", count=len(bad), total=len(bad), rows=named_rows(bad))
    if found is None:
        raise formats.unknown(source.file, source.columns, rows, known=known)
    shape, name, columns = found
    number = formats.FORMATS[name].number
    keys: dict[str, Any] = {"columns": columns}
    if number and "decimal" not in data.model_fields_set:
        keys["decimal"] = decimal_of([row.get(columns.get(number, number)) for row in rows])
    return shape, keys


def beside_texts(data: Data, shape: Shape) -> str:
    """What is to be said of a table that is read for its texts alone, when it has other columns; empty when it has none."""
    source = read(data.train[:1], encoding=data.encoding, format=data.format)[0]
    words: dict[str, Any] = {"asked": data.format, "columns": data.columns}
    if formats.recognise(source.file, source.columns, known=shape.formats, **words) != "text":
        return ""
    text = data.columns.get("text", "text")
    others = [name for name in source.columns if name != text]
    if not others:
        return ""
    rows = list(islice((item.values for item in source.rows() if isinstance(item, Record)), LOOKED_AT))
    kinds = {name: len({str(row.get(name)) for row in rows}) for name in others}
    # Labels are few and come again; a number of the row never does, and what is always the same says nothing.
    likely = min(others, key=lambda name: kinds[name] if kinds[name] > 1 else len(rows) + 1)
    return reason("texts_alone", text=text, others=", ".join(others), options=f"text={text},label={likely}")


def task_of(shape: Shape) -> str:
    """The task that learns from rows of this shape.

    Raises:
        WeitiaoError: `no_task` when none on the shelf does.
    """
    if name := learner(shape):
        return name
    raise fault("no_task", shape=shape.name, known=", ".join(registry.names("task")))


def learner(shape: Shape) -> str:
    """The task that learns from rows of this shape; empty when none on the shelf does."""
    # A table is for classification, whatever else might read its text; and who is to teach nobody can guess.
    tasks = ((name, registry.build("task", {"name": name})) for name in registry.names("task"))
    return next((name for name, task in tasks if task.shape == shape and not task.taught), "")


def untaught(rows: int) -> dict[str, Any]:
    """Keys of `train` for a base that was never taught what it is for, and so many rows."""
    return {"learning_rate": FAST, "dropout": 0.0, "num_train_epochs": max(1, math.ceil(SEEN / max(1, rows)))}


def embedded(task: Task) -> tuple[str, ...]:
    """The embedded models that could suit a task, the smaller first."""
    if not task.reads_words:
        return (LOOKERS.get(task.auto_class, LOOKER),)
    return WRITERS.get(task.auto_class, READERS)


def suiting(task: Task, checked: checking.Checked) -> str:
    """The embedded model that suits rows of this kind: of two the smaller where its vocabulary was made for such texts.

    No letter and no frequent word speaks against English; and where both models lie in the cache, it is measured that the
    smaller knows the texts and needs hardly more tokens for them than the one with the vocabulary of a hundred languages.
    What is to be written decides, too: a capital letter is not to be had of a vocabulary without one.
    """
    from weitiao.models.assets import catalog

    models = embedded(task)
    small, large = models[0], models[-1]
    if small == large:
        return small
    texts = sample(checked)
    suits = _looks_english(texts) and not (task.generates and _capitals(checked))
    if suits and catalog.lies_here(small) and catalog.lies_here(large):
        mine, other = (_cut(texts, catalog.model_path(name)) for name in (small, large))
        suits = mine.share <= UNKNOWN and mine.tokens <= HARDER * other.tokens
    return small if suits else large


def _capitals(checked: checking.Checked) -> bool:
    """Is a capital letter to be written?"""
    rows, target = checked.rows, checked.shape.target
    some = range(0, len(rows), max(1, len(rows) // LOOKED_AT))
    return any((text := str(rows[row].values[target])) != text.lower() for row in some)


def sample(checked: checking.Checked) -> list[str]:
    """Texts of some two hundred rows, from the first to the last; of long ones the beginning."""
    rows, shape = checked.rows, checked.shape
    return [
        " ".join(shape.texts(rows[row].values).values())[:LONG_ENOUGH]
        for row in range(0, len(rows), max(1, len(rows) // 200))
    ]


def met(texts: Sequence[str], processor: Any) -> Met:
    """What a tokenizer makes of texts."""
    found = Met.of(processor)
    for ids in processor(list(texts), add_special_tokens=False, verbose=False)["input_ids"] if texts else ():
        found.see(ids)
    return found


def _cut(texts: Sequence[str], folder: Path) -> Met:
    """The same of an embedded model, without Transformers, which takes longer to come than this does."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    mark = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))["unk_token"]
    found = Met(tokenizer.token_to_id(mark))
    for row in tokenizer.encode_batch(list(texts), add_special_tokens=False):
        found.see(row.ids)
    return found


def _looks_english(texts: Sequence[str]) -> bool:
    from weitiao.data.doctor.scripts import STOP, main_script

    letters = [char for text in texts for char in text if char.isalpha()]
    if sum(not char.isascii() for char in letters) > FOREIGN * len(letters):
        return False
    scripts = Counter(main_script(text) for text in texts)
    latin = scripts["Latin"] + scripts[""]  # numbers and signs are in any vocabulary
    # One short row seldom tells its language, all together do; where none is told they count as English.
    spoken: Counter[str] = Counter()
    for word in " ".join(texts).lower().split():
        spoken.update(STOP.get(word, ()))
    return latin * 2 > len(texts) and spoken["en"] >= max(spoken.values(), default=0)


def file_prints(ledger: Ledger) -> str:
    """Hashes of all files that were read."""
    return " ".join(file["sha256"] for file in ledger.files)


def located(data: Data, *, progress: Progress | None = None) -> Data:
    """The section with embedded names replaced by the files they stand for, fetched if need be.

    Args:
        data: the recipe's section.
        progress: hears bytes that are fetched.
    """
    from weitiao.models.assets import catalog

    def place(name: str) -> str:
        plain, mark, rows = name.partition("#")
        known = plain in catalog.DATASETS and not Path(plain).exists()
        if known:
            return f"{catalog.dataset_path(plain, progress=progress)}{mark}{rows}"
        return name

    named = {side: [place(name) for name in getattr(data, side)] for side in checking.SIDES}
    return data.model_copy(update=named)


def readable(data: Data) -> dict[str, list[int]]:
    """How many rows of each file can be read, by the side that names it.

    Rows that cannot be are in no sample of a file: who looks at a sample alone would not meet them.

    Raises:
        WeitiaoError: `lost_rows` when they are more than `data.max_dropped_fraction`.
    """
    ledger, found = Ledger(), {side: list[int]() for side in checking.SIDES}
    for side, counts in found.items():
        for source in read(getattr(data, side), encoding=data.encoding, format=data.format):
            counts.append(0)
            for row in source.rows():
                ledger.total += 1
                counts[-1] += isinstance(row, Record)
                if isinstance(row, BadRow):
                    ledger.note(row, "dropped", row.reason)
    ledger.refuse_losses(data.max_dropped_fraction, read_as=read_as(data))
    return found
