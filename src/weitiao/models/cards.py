"""What a saved model says of itself, checked against its files; nothing here needs torch.

read_card(Path("runs/reviews/model"))  ->  {"task": {...}, "method": {...}, "base": {...}, "files": {...}}
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from weitiao.core.errors import fault
from weitiao.core.files import sha256
from weitiao.core.why import reason

CARD = "weitiao.json"


def read_card(folder: Path) -> dict[str, Any]:
    """`weitiao.json` of a saved model, after checking every file against it.

    Raises:
        WeitiaoError: `unfinished_run` when there is none, `broken_model` when a file is gone or changed.
    """
    known = _card(folder)
    for name, before in known["files"].items():
        path = folder / name
        if not path.is_file() or sha256(path) != before:
            gone = "weight_file_changed" if path.is_file() else "weight_file_missing"
            raise fault("broken_model", path=folder, why=reason(gone, name=name))
    return known


def print_of(folder: Path) -> str:
    """A print of a saved model by what its card says of its files; whoever opens them checks them.

    Raises:
        WeitiaoError: `unfinished_run`.
    """
    return hashlib.sha256(json.dumps(_card(folder)["files"], sort_keys=True).encode()).hexdigest()


def _card(folder: Path) -> dict[str, Any]:
    card = folder / CARD
    if not card.is_file():
        raise fault("unfinished_run", path=folder.parent)
    known: dict[str, Any] = json.loads(card.read_text(encoding="utf-8"))
    return known
