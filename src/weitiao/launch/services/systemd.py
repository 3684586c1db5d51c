"""systemd: a service of this machine, which reads the runs where they lie."""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from weitiao.core.files import cache_dir
from weitiao.core.registry import register
from weitiao.core.why import reason
from weitiao.launch.contract import Service, Serving


@register("service", "systemd")
@dataclass(frozen=True)
class Systemd(Service):
    """A unit that begins with the machine, and may touch nothing but its own."""

    summary: ClassVar[str] = "a service of this machine, hardened"
    source: ClassVar[str] = "systemd 247 or later"
    files: ClassVar[Mapping[str, str]] = {"weitiao-NAME.service": "unit.service.j2"}

    def values(self, subject: Serving, folder: Path) -> Mapping[str, Any]:
        """Where things lie on this machine, and who may read them."""
        user = getpass.getuser()
        hub = os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface"
        places = [str((one.run.path / one.run.variant).resolve()) for one in subject.held]
        return {
            "words": subject.words(places, host="127.0.0.1"),
            "written": [str((one.run.path / "served").resolve()) for one in subject.held],
            "user": "weitiao" if user == "root" else user,
            "environment": [f"WEITIAO_CACHE={cache_dir().absolute()}", f"HF_HOME={hub}"],
        }

    def then(self, subject: Serving) -> str:
        """Copied, given its token, begun."""
        return reason("then_systemd", name=subject.name)
