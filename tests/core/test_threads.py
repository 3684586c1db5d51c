import os
import subprocess
import sys

import pytest

from weitiao.core import kernels, threads


def group(root, path, **files):
    """A cgroup as the kernel shows it."""
    folder = root / "sys/fs/cgroup" / path
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text + "\n")


def belongs(root, *lines):
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text("".join(f"{line}\n" for line in lines))


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch):
    monkeypatch.setattr(threads, "_cores", lambda: 8)


@pytest.mark.parametrize(
    ("own", "above", "cores"),
    [("150000 100000", "max 100000", 2), ("max 100000", "50000 100000", 1), ("max 100000", "max 100000", 8)],
)
def test_a_quota_of_version_two_counts_wherever_it_stands(tmp_path, own, above, cores):
    belongs(tmp_path, "0::/pod/box")
    group(tmp_path, "pod/box", cpu__max=own)
    group(tmp_path, "pod", cpu__max=above)
    assert threads.available(tmp_path) == cores


def test_a_quota_of_version_one_is_that_of_the_cpu_controller(tmp_path):
    belongs(tmp_path, "4:memory:/box", "1:cpu,cpuacct:/box", "0::/")
    group(tmp_path, "cpu,cpuacct/box", cpu__cfs_quota_us="300000", cpu__cfs_period_us="100000")
    group(tmp_path, "memory/box", cpu__cfs_quota_us="100000", cpu__cfs_period_us="100000")
    assert threads.available(tmp_path) == 3


def test_inside_a_container_the_path_is_the_hosts(tmp_path):
    belongs(tmp_path, "0::/system.slice/docker-1234.scope")
    group(tmp_path, "", cpu__max="200000 100000")
    assert threads.available(tmp_path) == 2


@pytest.mark.parametrize("text", ["", "max", "max 0 0", "a b"])
def test_no_quota_and_an_odd_one_leave_all_cores(tmp_path, text):
    assert threads.available(tmp_path) == 8
    belongs(tmp_path, "0::/", "nonsense")
    group(tmp_path, "", cpu__max=text)
    assert threads.available(tmp_path) == 8


def test_what_the_user_has_set_stays():
    given = {"OMP_WAIT_POLICY": "ACTIVE", "OMP_NUM_THREADS": "5"}
    threads.settle(environ := dict(given))
    threads.share(environ, 2)
    assert environ == given


@pytest.mark.parametrize("name", kernels.NAMES)
def test_fewer_kernels_are_kept_unless_the_user_has_said_how_many(name):
    kernels.settle(environ := {name: "7"})
    assert environ == {name: "7"}
    kernels.settle(environ := {})
    assert environ == {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "256"}


def test_several_processes_share_the_cores(monkeypatch):
    monkeypatch.setattr(threads, "available", lambda: 6)
    threads.settle(environ := {})
    assert environ["OMP_NUM_THREADS"] == "6"
    threads.share(environ, 4)
    assert environ["OMP_NUM_THREADS"] == "1"


@pytest.mark.whole
@pytest.mark.parametrize("words", [["-m", "weitiao", "methods"], ["-c", "import weitiao; weitiao.Recipe"]])
def test_threads_sleep_where_they_wait(words, tmp_path):
    # What OpenMP will read, printed by the process itself when it ends.
    told = "import atexit, os; atexit.register(lambda: print('waits', os.environ.get('OMP_WAIT_POLICY')))"
    (tmp_path / "sitecustomize.py").write_text(told)
    others = {name: value for name, value in os.environ.items() if not name.startswith(("OMP", "GOMP"))}
    env = {**others, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    done = subprocess.run([sys.executable, *words], env=env, capture_output=True, text=True, check=True)
    assert "waits PASSIVE" in done.stdout


@pytest.mark.parametrize(("given", "each"), [(None, "2"), ("1", "1"), ("5", "5")])
def test_processes_that_are_launched_get_their_share(monkeypatch, given, each):
    from torch.distributed.launcher import api

    from weitiao.cli.processes import share_out

    monkeypatch.setattr(threads, "available", lambda: 6)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if given:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    seen: dict[str, str] = {}
    monkeypatch.setattr(api, "elastic_launch", lambda *_: lambda *words: seen.update(os.environ))
    assert share_out(["train", "recipe.yaml"], processes=3, max_restarts=0) == 0
    assert seen["OMP_NUM_THREADS"] == each
