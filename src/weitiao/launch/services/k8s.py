"""Kubernetes: as many pods as the load asks for, behind one name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from weitiao.core.registry import register
from weitiao.core.why import reason
from weitiao.launch.contract import Service, Serving


@register("service", "k8s")
@dataclass(frozen=True)
class Kubernetes(Service):
    """An image; a Deployment, its Service, and what makes it grow."""

    summary: ClassVar[str] = "an image, and a Deployment that grows with its load, behind a Service"
    source: ClassVar[str] = "Kubernetes 1.25 or later (apps/v1, autoscaling/v2)"
    files: ClassVar[Mapping[str, str]] = {"k8s.yaml": "serving.yaml.j2"}
    in_image: ClassVar[bool] = True

    def values(self, subject: Serving, folder: Path) -> Mapping[str, Any]:
        """The size of a volume for the models."""
        return {"storage_gb": 1 + round(2 * subject.weights_mb / 1000)}

    def then(self, subject: Serving) -> str:
        """The image is pushed, the token said, the files applied."""
        kind = "then_k8s_mounted" if subject.mounted else "then_k8s"
        return reason(kind, image=subject.image, name=subject.name)
