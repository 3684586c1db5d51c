"""Where the judgement of other rows than the locked ones lies, and the files that hold these rows.

place_for(run, "shop/new.csv", "")  ->  (the run with its results in evaluations/new, ["shop/new.csv"])
place_for(run, DataFrame, "may")    ->  (... evaluations/may, [".../evaluations/may/data/rows-1a2b3c4d5e6f.jsonl"])
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from weitiao.core.errors import fault
from weitiao.core.files import disk, write_lines
from weitiao.core.why import because
from weitiao.data.read import parted
from weitiao.stages.in_memory import named_as_given, named_rows
from weitiao.stages.run import Run

FOLDER = "evaluations"
NAME = re.compile(r"[^\W_][\w. -]*")


@contextmanager
def place_for(run: Run, data: Any, name: str) -> Iterator[tuple[Run, list[str]]]:
    """The run, its results looked for where those of these rows belong, and the files of the rows.

    What goes wrong inside leaves no new folder behind.

    Args:
        run: whose model is judged.
        data: a file, several, or a table.
        name: of the evaluation; empty: after the first file, or what is in the table.

    Raises:
        WeitiaoError: `wrong_usage` for a name that is none of a folder, or no rows at all; `evaluation_there` when other
            files were judged under it.
    """
    files = [data] if isinstance(data, str | Path) else data
    tabled = not (isinstance(files, list | tuple) and files and all(isinstance(f, str | Path) for f in files))
    given = {}
    if tabled:
        lines, called = named_rows(data)
        name = name or called
    else:
        name = name or _called(str(files[0]))
    if not NAME.fullmatch(name):
        raise fault("wrong_usage", **because("no_folder_name", name=name))
    judged = run.judged(f"{FOLDER}/{name}")
    place, fresh = judged.place, not judged.place.exists()
    if tabled:
        file = place / "data" / f"{called}.jsonl"
        files, given = [str(file)], {str(file): type(data).__name__}
    names = [str(each) for each in files]
    before = (judged.results.get("given") or {}).get("files", names)
    if before != names:
        raise fault("evaluation_there", path=place, files=", ".join(before))
    try:
        with disk(place):
            place.mkdir(parents=True, exist_ok=True)
        if tabled:
            write_lines(file, lines)
        with named_as_given(given):
            yield judged, names
    except BaseException:  # Ctrl-C too: no half of an evaluation is left
        if fresh:
            shutil.rmtree(place, ignore_errors=True)
            with suppress(OSError):
                place.parent.rmdir()
        raise


def _called(file: str) -> str:
    """A folder's name for a file's: `shop/new.csv.gz` is `new`, `hf:owner/name` is `name`."""
    plain = Path(parted(file)[0]).name.partition(".")[0]
    return re.sub(r"[^\w-]+", "-", plain).strip("-_") or "rows"
