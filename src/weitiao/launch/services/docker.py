"""Docker: an image that holds the models or is given them, and a service of one container."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from weitiao.core.registry import register
from weitiao.core.why import reason
from weitiao.launch.contract import Service, Serving


@register("service", "docker")
@dataclass(frozen=True)
class Docker(Service):
    """An image, and Compose's file for one container of it."""

    summary: ClassVar[str] = "an image, and a service of one container (Compose)"
    source: ClassVar[str] = "the Compose specification"
    files: ClassVar[Mapping[str, str]] = {"compose.yaml": "compose.yaml.j2"}
    in_image: ClassVar[bool] = True

    def then(self, subject: Serving) -> str:
        """Built and begun by one command."""
        return reason("then_docker", port=subject.port)
