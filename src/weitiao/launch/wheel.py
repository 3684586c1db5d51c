"""The weitiao that runs here as a wheel, which pip installs wherever it is carried.

wheel(Path("launch/reviews-docker"))  ->  launch/reviews-docker/weitiao-0.1.0-py3-none-any.whl
"""

from __future__ import annotations

import base64
import hashlib
from importlib.metadata import distribution
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

HOME = Path(__file__).parents[1]
KIND = "Wheel-Version: 1.0\nGenerator: weitiao\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def name() -> str:
    """Of the file."""
    return f"weitiao-{distribution('weitiao').version}-py3-none-any.whl"


def wheel(folder: Path) -> None:
    """Write it (https://packaging.python.org/specifications/binary-distribution-format)."""
    one = distribution("weitiao")
    told = f"weitiao-{one.version}.dist-info"
    files = {
        path.relative_to(HOME.parent).as_posix(): path.read_bytes()
        for path in sorted(HOME.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
    files |= {
        f"{told}/{part}": (one.read_text(part) or "").encode() for part in ("METADATA", "entry_points.txt")
    }
    files[f"{told}/WHEEL"] = KIND.encode()
    record = "".join(f"{path},sha256={_sum(data)},{len(data)}\n" for path, data in files.items())
    files[f"{told}/RECORD"] = f"{record}{told}/RECORD,,\n".encode()
    with ZipFile(folder / name(), "w", ZIP_DEFLATED) as packed:
        for path, data in files.items():
            packed.writestr(path, data)


def _sum(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
