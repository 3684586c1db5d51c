"""The words `launch_serve` and `launch_train`, which stand in the room that writes the files."""

from __future__ import annotations

from weitiao.launch.launched import Launched as Launched
from weitiao.launch.launched import launch_serve as launch_serve
from weitiao.launch.launched import launch_train as launch_train
