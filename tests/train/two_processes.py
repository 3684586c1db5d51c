"""Two processes on one run without the seconds that each needs to import torch: forked from one that has imported it.

    with TwoProcesses() as both:
        both.train(recipe)          as the two processes of torchrun do; fails with what they said

`weitiao train --nproc` and torchrun, which start each process anew, are asked in `test_several_processes.py`.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from importlib import import_module
from pathlib import Path
from typing import IO

import yaml

LONGEST_S = 150
NEEDED = (
    "sklearn.feature_extraction.text",
    "sklearn.linear_model",
    "torch.distributed.fsdp",
    "transformers.models.bert.modeling_bert",
    "transformers.models.llama.modeling_llama",
    "weitiao.cli.verbs",
    "weitiao.stages.evaluate",
    "weitiao.stages.train",
)
"""What a training imports, sooner or later."""


class TwoProcesses:
    """A process that has imported everything and trained nothing, and what is forked from it."""

    def __enter__(self) -> TwoProcesses:
        self.source = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.source.communicate(timeout=60)

    def train(self, recipe: dict, *words: str) -> None:
        """Train it with two processes."""
        file = Path(recipe["output_dir"]).with_suffix(".yaml")
        file.write_text(yaml.safe_dump(recipe), encoding="utf-8")
        print(json.dumps(["train", str(file), "--quiet", *words]), file=self.source.stdin, flush=True)
        ended = json.loads(self.source.stdout.readline())
        assert ended["codes"] == [0, 0], ended["said"]


def serve() -> None:
    """Fork two processes for every line of words that comes in, and say how they ended."""
    for name in NEEDED:
        import_module(name)
    for line in sys.stdin:
        with socket.socket() as free, tempfile.TemporaryFile() as said:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
            free.close()
            pids = [fork(rank, port, json.loads(line), said) for rank in (0, 1)]
            codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
            said.seek(0)
            print(json.dumps({"codes": codes, "said": said.read().decode("utf-8", "replace")}), flush=True)


def fork(rank: int, port: int, words: list[str], said: IO[bytes]) -> int:
    """The number of a process that is told what torchrun tells its processes."""
    if number := os.fork():
        return number
    from weitiao import cli

    signal.alarm(LONGEST_S)  # the other may have ended, and this one wait for it
    for stream in (1, 2):
        os.dup2(said.fileno(), stream)
    own = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in own.items()}, MASTER_ADDR="127.0.0.1")
    code = 70
    try:
        code = cli.run(words)
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    serve()
