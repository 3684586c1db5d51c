"""Two processes on one run, over gloo on the loopback interface: they do what one does, and survive one another."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from safetensors.torch import load_file

import weitiao as wt
from tests.conftest import dialogues, small_run, write_jsonl
from tests.train.test_loop import events, steps, weights
from weitiao.core.run import RunFolder

pytestmark = pytest.mark.whole  # each starts processes that import torch

EXACT = {"max_grad_norm": 0, "learning_rate": 1e-3, "save_steps": 3}
LONG = {**EXACT, "num_train_epochs": 12, "eval_steps": 50}


def command(recipe: dict, *words: str) -> list[str]:
    file = Path(recipe["output_dir"]).with_suffix(".yaml")
    file.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return [sys.executable, "-m", "weitiao", "train", str(file), "--quiet", *words]


def run(recipe: dict, *words: str, code: int = 0) -> str:
    done = subprocess.run(command(recipe, *words), capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


def near(a: Path, b: Path) -> None:
    """The same training, up to the order in which floats were added."""
    a_lines, b_lines = events(a, "step"), events(b, "step")
    for name in ("step", "rows", "tokens", "trained", "learning_rate"):
        assert [line[name] for line in a_lines] == [line[name] for line in b_lines]
    for name in ("loss", "grad_norm"):
        assert [line[name] for line in a_lines] == pytest.approx([line[name] for line in b_lines], rel=2e-4)
    for first, second in zip(events(a, "evaluate"), events(b, "evaluate"), strict=True):
        assert first["validation/loss"] == pytest.approx(second["validation/loss"], rel=1e-4)
    one, other = weights(a), weights(b)
    assert set(one) == set(other)
    assert all((one[name] - other[name]).abs().max() < 2e-4 for name in one)


# Each task once, with each method in turn; preferences twice, since their reference is a switch for one and a model for the other.
@pytest.mark.parametrize(
    ("kind", "method"),
    [
        ("converse", "gradual"),
        ("classify", "lora"),
        ("ask", "full"),
        ("prefer", "lora"),
        ("prefer", "full"),
        ("like", "lora"),
        ("score", "full"),
        ("find", "lora"),
        ("rank", "gradual"),
    ],
)
def test_two_processes_equal_one(request, two_processes, kind, method, tmp_path):
    """The last step is ragged: fewer micro-batches than processes.  Dropout masks are drawn by micro-batch."""
    recipe = request.getfixturevalue(kind)
    wt.train(recipe(output_dir=str(tmp_path / "one"), method=method, gradient_accumulation_steps=2, **EXACT))
    two_processes.train(recipe(output_dir=str(tmp_path / "two"), method=method, **EXACT))
    near(tmp_path / "one", tmp_path / "two")
    assert (
        wt.load(tmp_path / "two").results["metrics"].keys()
        == wt.load(tmp_path / "one").results["metrics"].keys()
    )


def test_repetitions_with_other_seeds_are_made_by_all_processes(classify, two_processes, tmp_path):
    """`evaluate.noise_runs`: dealt by one, trained by both, judged by one."""
    words = {"method": "full", "evaluate": {"noise_runs": 1}, **EXACT}
    wt.train(classify(output_dir=str(tmp_path / "one"), gradient_accumulation_steps=2, **words))
    two_processes.train(classify(output_dir=str(tmp_path / "two"), **words))
    alone, together = (wt.load(tmp_path / name) for name in ("one", "two"))
    assert together.results["noise"] == alone.results["noise"]
    assert together.results["noise"]["seeds"] == [0, 1]
    logs = [events(each.path / "noise/seed-1", "step") for each in (alone, together)]
    losses = [[line["loss"] for line in log] for log in logs]
    assert losses[0] == pytest.approx(losses[1], rel=2e-4)
    assert not (together.path / "noise/seed-1/model").exists()


def test_rows_in_windows_are_shared_as_rows(classify, two_processes, tmp_path):
    """A process has as many rows as another and any number of windows; the step's loss is over the rows of both."""
    words = {
        "data": {"train": classify()["data"]["train"], "max_length": 6, "overlong": "windows"},
        "method": "full",
        **EXACT,
    }
    wt.train(classify(output_dir=str(tmp_path / "one"), gradient_accumulation_steps=2, **words))
    two_processes.train(classify(output_dir=str(tmp_path / "two"), **words))
    near(tmp_path / "one", tmp_path / "two")
    assert RunFolder(tmp_path / "two").json("data/ledger.json")["tokens"]["windowed_rows"] > 20


@pytest.mark.parametrize("method", ["lora", "full", "top_layers"])
def test_shares_equal_whole_models_and_open_on_another_number_of_processes(
    converse, two_processes, method, tmp_path
):
    words = {"method": method, "num_train_epochs": 2, "save_total_limit": 9, **EXACT}
    wt.train(converse(output_dir=str(tmp_path / "one"), gradient_accumulation_steps=2, **words))
    two_processes.train(converse(output_dir=str(tmp_path / "shares"), data_parallel="fsdp", **words))
    near(tmp_path / "one", tmp_path / "shares")
    for folder in RunFolder(tmp_path / "shares").checkpoints():
        assert {p.name for p in folder.glob("weights*")} <= {
            f"weights-0000{i}-of-00002.safetensors" for i in (1, 2)
        }
        two = {}
        for file in folder.glob("weights*.safetensors"):
            two |= load_file(file)
        one = load_file(tmp_path / "one" / folder.name / "weights.safetensors")
        assert set(one) == set(two)
        assert all((one[name] - two[name]).abs().max() < 2e-4 for name in one)


@pytest.fixture(scope="module")
def whole(llama, two_processes, tmp_path_factory) -> Path:
    """A run of two processes that nothing has disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    rows = write_jsonl(folder / "dialogues.jsonl", dialogues(80))
    judge = {"samples": 1, "max_new_tokens": 4}
    recipe = small_run(llama, "sft", rows, folder / "run", batch=4, judge=judge)
    two_processes.train(recipe(method="lora", **LONG))
    return folder / "run"


@pytest.mark.parametrize(("first", "then", "kind"), [(2, 1, "fsdp"), (1, 2, "ddp")])
def test_a_run_goes_on_with_another_number_of_processes(
    converse, whole, two_processes, tmp_path, first, then, kind
):
    """Begun by two in shares, ended by one; begun by one, ended by two: the steps hold the same rows."""
    words = {"method": "lora", "data_parallel": kind, **LONG}
    accumulation = {} if first == 2 else {"gradient_accumulation_steps": 2}
    folder = tmp_path / "run"
    recipe = converse(output_dir=str(folder), **words, **accumulation)
    with subprocess.Popen(command(recipe, "--nproc", str(first)), stderr=subprocess.PIPE) as process:
        said = end_at(folder, 4, process, lambda pid: os.kill(pid, signal.SIGTERM))
    assert process.returncode == 143, said
    assert len(steps(folder)) < len(steps(whole))
    two_processes.train(recipe, "--resume") if then == 2 else wt.train(recipe, resume=True)
    near(folder, whole)


def end_at(folder: Path, step: int, process: subprocess.Popen, how) -> str:
    """Do it after that step, and wait for the end; what was said."""
    for _ in range(3000):
        if len(events(folder, "step")) >= step:
            how(process.pid)
            return process.communicate(timeout=120)[1].decode()
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    process.kill()
    pytest.fail("the run did not get that far")


def children(pid: int) -> list[int]:
    found = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    return [int(word) for word in found.stdout.split()]


def test_when_one_process_is_killed_all_start_anew_and_nothing_changes(converse, whole, tmp_path):
    victim = 0  # that others meet at; what becomes of a whole machine is seen in `test_two_machines.py`
    recipe = converse(output_dir=str(tmp_path / "killed"), method="lora", **LONG)

    def kill(launcher: int) -> None:
        for pid in children(launcher):
            if f"RANK={victim}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                os.kill(pid, signal.SIGKILL)

    with subprocess.Popen(command(recipe, "--nproc", "2"), stderr=subprocess.PIPE) as process:
        said = end_at(tmp_path / "killed", 5, process, kill)
    assert process.returncode == 0, said
    assert steps(tmp_path / "killed") == steps(whole)
    one, other = weights(tmp_path / "killed"), weights(whole)
    assert all(one[name].equal(other[name]) for name in one)


def test_what_is_wrong_is_said_once_and_without_a_restart(converse, tmp_path, dialogue_file):
    dialogue_file.write_text(dialogue_file.read_text() + '{"messages": [}\n')
    said = run(converse(), "--nproc", "2", code=3)
    assert said.count("lost_rows") == 1
    assert "line 81" in said
    assert "Traceback" not in said


LEAVING = """
import os, socket, sys, time
import torch.distributed
from weitiao.train.distributed import joined
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
pids = []
for rank in (0, 1):
    pids.append(os.fork())
    if not pids[-1]:
        os.environ.update(RANK=str(rank), WORLD_SIZE="2", LOCAL_WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
        with joined() as world:
            world.sums(1.0)
            time.sleep(0.5 * (rank == int(sys.argv[1])))
            came = time.monotonic()
        os.write(1, f"{came} {time.monotonic()}\\n".encode())
        os._exit(0)
assert not any(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids)
"""


@pytest.mark.parametrize("late", [0, 1])
def test_nobody_leaves_before_all_have_heard_the_last_word(late):
    """A connection that one closes takes from the other what came through it last."""
    said = subprocess.run(
        [sys.executable, "-c", LEAVING, str(late)], capture_output=True, text=True, timeout=120
    )
    assert said.returncode == 0, said.stderr
    came, left = zip(*[map(float, line.split()) for line in said.stdout.splitlines()], strict=True)
    assert len(came) == 2
    assert min(left) >= max(came)


def test_plain_torchrun_does_the_same(converse, tmp_path):
    wt.train(converse(output_dir=str(tmp_path / "one"), gradient_accumulation_steps=2, **EXACT))
    words = command(converse(output_dir=str(tmp_path / "two"), **EXACT))[1:]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]
    done = subprocess.run([*torchrun, *words], capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr
    near(tmp_path / "one", tmp_path / "two")


def test_what_packs_or_moves_weights_is_not_dealt_in_shares(converse):
    said = run(converse(method="adalora", data_parallel="fsdp"), "--nproc", "2", code=2)
    assert "no_such_pair" in said
    assert "ddp" in said


REGULARISED = {
    "converse": {
        "r_drop_alpha": 1.0,
        "dropout": 0.1,
        "neftune_noise_alpha": 5,
        "label_smoothing_factor": 0.1,
    },
    "classify": {
        "task": {"class_weights": {"bad": 3.0}, "name": "text_classification", "loss_type": "focal"}
    },
}


@pytest.mark.parametrize(("job", "kind"), [("converse", "ddp"), ("converse", "fsdp"), ("classify", "fsdp")])
def test_regularisers_and_weighted_losses_do_on_two_what_they_do_on_one(
    request, two_processes, job, kind, tmp_path
):
    """Noise and masks are drawn by micro-batch; weights of all processes are summed; the average is kept in shares."""
    recipe = request.getfixturevalue(job)
    own = {**REGULARISED[job], "ema_decay": 0.8, "method": "lora", "max_steps": 7, **EXACT}
    wt.train(recipe(output_dir=str(tmp_path / "one"), gradient_accumulation_steps=2, **own))
    two_processes.train(recipe(output_dir=str(tmp_path / "two"), data_parallel=kind, **own))
    near(tmp_path / "one", tmp_path / "two")
