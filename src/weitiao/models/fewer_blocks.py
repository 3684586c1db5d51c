"""The same base with fewer blocks: the lowest of them, in a folder that is a base like any other.

depth("minilm-l6", task)                ->  6;  0 where there is no one list of blocks to cut
cut("minilm-l6", 3, folder, task)       ->  folder/{config.json, model.safetensors, tokenizer...}

Of the ways to leave blocks out, without the upper ones most is kept (Sajjad et al. 2023, arXiv 2004.03844).  Weights are copied
as they lie in the files, in their own precision and with their own names.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weitiao.core.contracts import Task
from weitiao.core.errors import WeitiaoError
from weitiao.core.files import write_json
from weitiao.models import anatomy, folders, load, opening, store, stored

if TYPE_CHECKING:
    from torch import nn

KEPT = (".json", ".txt", ".model", ".jinja")
"""Files that go along as they are: configurations and the tokenizer's."""
DEPTHS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
"""What configurations call the number of blocks."""


def depth(ref: str, task: Task) -> int:
    """Blocks of a base that can be cut, of which no weight is read; 0 where it cannot.

    Raises:
        WeitiaoError: what opening raises.
    """
    model = load.skeleton(ref, task).model
    folder, words = stored.folder_of(opening.resolve(ref)), _list(model)
    text = model.config.get_text_config()
    several = getattr(model.config, "is_encoder_decoder", False)
    if folder is None or several or words is None or words[1] != getattr(text, "num_hidden_layers", None):
        return 0
    return (
        words[1]
        if set(range(words[1])) == {_place(name, words[0]) for name in stored.kinds(str(folder))} - {None}
        else 0
    )


def cut(ref: str, count: int, folder: Path, task: Task) -> None:
    """Write the base of the lowest `count` blocks, whole or not at all; one that is there stays.

    Raises:
        WeitiaoError: `disk_full`, `no_permission`; what opening the new one raises.
    """
    from safetensors import safe_open
    from safetensors.torch import save_file

    if folder.is_dir():
        return
    source, words = stored.folder_of(opening.resolve(ref)), _list(load.skeleton(ref, task).model)
    assert source, "`depth` saw to it"
    assert words
    with store.replacing(folder) as temporary:
        for path in sorted(source.iterdir()):
            if path.suffix in KEPT and not path.name.endswith(".index.json"):
                shutil.copyfile(path, temporary / path.name)
        config = json.loads((source / "config.json").read_text(encoding="utf-8"))
        write_json(temporary / "config.json", _shortened(config, words[1], count))
        kept: dict[str, Any] = {}
        for path in folders.weight_files(str(source)):
            with safe_open(path, "pt") as file:
                for name in list(file.keys()):
                    place = _place(name, words[0])
                    if place is None or place < count:
                        kept[name] = file.get_tensor(name)
        save_file(kept, temporary / "model.safetensors", metadata={"format": "pt"})
    try:
        load.refuse_unsuitable(str(folder), task)
    except WeitiaoError:
        shutil.rmtree(folder)
        raise


def _list(model: nn.Module) -> tuple[str, int] | None:
    """What the one list of blocks is called, and how long it is."""
    try:
        names = [block.name for block in anatomy.blocks(model)]
    except WeitiaoError:  # a family that is not known
        return None
    lists = {name.rpartition(".")[0] for name in names}
    return (lists.pop().rpartition(".")[2], len(names)) if len(lists) == 1 else None


def _place(name: str, blocks: str) -> int | None:
    """Of which block a weight is."""
    found = re.search(rf"(?:^|\.){re.escape(blocks)}\.(\d+)\.", name)
    return int(found[1]) if found else None


def _shortened(config: dict[str, Any], whole: int, count: int) -> dict[str, Any]:
    """The configuration with fewer blocks, and what is listed for each of them as long."""
    made: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict) and key.endswith("text_config"):
            made[key] = _shortened(value, whole, count)
        elif key in DEPTHS and value == whole:
            made[key] = count
        else:
            made[key] = value[:count] if key == "layer_types" and isinstance(value, list) else value
    return made
