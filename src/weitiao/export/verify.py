"""Everything that lies under a run's `export/`, and its model, looked at again.

verify(run)  ->  [Exported, ...]; `export_differs` names each that is not as it was, or does not answer as the judged model
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weitiao.core import registry
from weitiao.core.errors import WeitiaoError, fault
from weitiao.core.why import reason
from weitiao.export.asked import asked
from weitiao.export.differs import Differs
from weitiao.export.proof import prove
from weitiao.export.writing import FOLDER, PARITY, VERSION, Exported, exactly, exports, refuse_changed
from weitiao.stages.events import Tell, listening

if TYPE_CHECKING:
    from weitiao.stages.run import Run


def verify(run: Run, *, tell: Tell | None = None) -> list[Exported]:
    """Compare every form of a run again, on the same rows, in a process of its own.

    Args:
        run: with something in its `export/`.
        tell: hears how it goes; without it lines on standard error say so.

    Returns:
        Those that answer as the judged model does, which are all.

    Raises:
        WeitiaoError: `nothing_exported`; `export_differs`, which names every form that differs and where; `broken_model`, what
            loading raises.
    """
    from weitiao.models.store import read_card

    found = exports(run)
    if not found:
        raise fault("nothing_exported", path=run.path)
    read_card(run.folder.model)
    wrong: dict[str, str] = {}
    with listening(tell) as (told, _, _), tempfile.TemporaryDirectory(prefix="weitiao-asked-") as room:
        judged = exactly(run)
        rows = asked(judged, room=Path(room))
        for folder in found:
            told("notice", text=reason("export_verifies", form=folder.name, rows=len(rows.predictions)))
            try:
                _verified(judged, folder, rows)
            except Differs as error:
                wrong[folder.name] = error.said
    if wrong:
        said = "; ".join(f"{name}: {why}" for name, why in wrong.items())
        raise fault("export_differs", form=", ".join(wrong), what=said, path=run.path / FOLDER)
    return [Exported(folder) for folder in found]


def _verified(run: Run, folder: Path, rows: Any) -> None:
    try:
        known = json.loads((folder / PARITY).read_text(encoding="utf-8"))
        version, name, dtype = int(known["version"]), str(known["form"]), str(known["dtype"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Differs("files", why=f"{PARITY}: {type(error).__name__}") from error
    if version > VERSION:
        raise Differs("version", why=str(version))
    refuse_changed(folder)
    try:
        form = registry.build("form", {"name": name, "dtype": dtype})
    except WeitiaoError as error:
        raise Differs("version", why=f"{name} {dtype}") from error
    prove(run, folder, rows, form=form)
