"""Kubernetes: a TrainJob for Kubeflow Trainer, and the same as a bare JobSet, on a volume that stays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from weitiao.core.registry import register
from weitiao.core.why import reason
from weitiao.launch.contract import Cluster, Training
from weitiao.launch.pods import in_pods


@register("cluster", "k8s")
@dataclass(frozen=True)
class Kubernetes(Cluster):
    """An image; the volume with the recipe; a TrainJob, or a JobSet where Trainer is not installed."""

    summary: ClassVar[str] = "an image, and a TrainJob (Kubeflow Trainer 2) or a JobSet, on one volume"
    source: ClassVar[str] = "Kubeflow Trainer 2.3 (v1alpha1), JobSet 0.13 (v1alpha2), Kueue's label"
    files: ClassVar[Mapping[str, str]] = {
        "volume.yaml": "volume.yaml.j2",
        "trainjob.yaml": "trainjob.yaml.j2",
        "jobset.yaml": "jobset.yaml.j2",
    }
    in_image: ClassVar[bool] = True

    def values(self, subject: Training, folder: Path) -> Mapping[str, Any]:
        """The recipe and its memory; the machines meet where Trainer, or JobSet, says."""
        return in_pods(subject)

    def then(self, subject: Training) -> str:
        """The image is pushed, the volume filled, one of two applied."""
        return reason("then_k8s_train", image=subject.image, name=subject.name)
