"""Ray: a RayJob for KubeRay, whose driver begins torchrun on every machine of its cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from weitiao.core.registry import register
from weitiao.core.why import reason
from weitiao.launch.contract import Cluster, Training
from weitiao.launch.pods import in_pods


@register("cluster", "ray")
@dataclass(frozen=True)
class Ray(Cluster):
    """An image with Ray in it; the volume with the recipe; a RayJob and its driver."""

    summary: ClassVar[str] = "an image with Ray, and a RayJob (KubeRay) whose driver begins torchrun"
    source: ClassVar[str] = "KubeRay 1.4 or later (ray.io/v1), Ray 2.60"
    files: ClassVar[Mapping[str, str]] = {
        "volume.yaml": "volume.yaml.j2",
        "rayjob.yaml": "rayjob.yaml.j2",
    }
    in_image: ClassVar[bool] = True
    needs: ClassVar[Sequence[str]] = ("ray[default]==2.60.0",)

    def values(self, subject: Training, folder: Path) -> Mapping[str, Any]:
        """The recipe and its memory, and what Ray gives to each machine's part."""
        gpus = {"GPU": subject.gpus_per_node} if subject.cuda else {}
        number = self.needs[0].rpartition("=")[2]
        return {**in_pods(subject), "each": {"CPU": subject.processes, **gpus}, "ray": number}

    def then(self, subject: Training) -> str:
        """The image is pushed, the volume filled, the job applied."""
        return reason("then_ray", image=subject.image, name=subject.name)
