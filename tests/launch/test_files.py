"""What `weitiao launch` writes is what its readers take: checked against their schemas, by their programs, and by hand."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import jsonschema
import pytest
import yaml

import weitiao as wt
from weitiao.cli import run as cli
from weitiao.core import registry

pytestmark = pytest.mark.whole  # trains, and packs itself into wheels

SCHEMAS = json.loads((Path(__file__).parent / "schemas.json").read_text(encoding="utf-8"))
SECRET = re.compile(r"token|secret|password", re.IGNORECASE)


def documents(path: Path) -> dict[str, dict]:
    """The objects of a file by their kind, each as its schema has it."""
    found = {}
    for one in yaml.safe_load_all(path.read_text(encoding="utf-8")):
        schema = {**SCHEMAS["kinds"][one["kind"]], "definitions": SCHEMAS["definitions"]}
        faults = [
            f"{error.json_path}: {error.message}"
            for error in jsonschema.Draft202012Validator(schema).iter_errors(one)
        ]
        assert not faults, faults
        assert len(one["metadata"]["name"]) <= 27  # a driver's has a word behind it
        found[one["kind"]] = one
    return found


def containers(tree) -> list[dict]:
    """Every container, however deep."""
    if isinstance(tree, list):
        return [one for part in tree for one in containers(part)]
    if not isinstance(tree, dict):
        return []
    return tree.get("containers", []) + [one for part in tree.values() for one in containers(part)]


@pytest.fixture(scope="module")
def served(held, tmp_path_factory) -> dict[str, Path]:
    """Both runs, for every destination."""
    folder = tmp_path_factory.mktemp("served")
    words = [str(held["first"]), f"second={held['影评 2']}"]
    return {
        name: wt.launch_serve(*words, on=name, out=folder / name).path for name in registry.names("service")
    }


def test_an_image_holds_what_runs_here_and_nobody_is_root(served):
    lines = (served["docker"] / "Dockerfile").read_text().splitlines()
    assert f"FROM python:{'.'.join(map(str, sys.version_info[:3]))}-slim" in lines
    pinned = dict(line.split("==") for line in (served["docker"] / "requirements.txt").read_text().split())
    assert {name: version(name) for name in pinned} == pinned
    assert {"transformers", "fastapi", "uvicorn", "tokenizers", "pyyaml"} <= set(pinned)
    assert not {"torch", "weitiao", "pytest", "peft"} & set(pinned)
    torch = next(
        place for place, line in enumerate(lines) if f"torch=={version('torch').split('+')[0]}" in line
    )
    assert "whl/cpu" in lines[torch]
    assert torch < next(place for place, line in enumerate(lines) if "requirements.txt" in line)
    assert [line for line in lines if line.startswith("USER")] == ["USER 10001:10001"]
    command = json.loads(next(line for line in lines if line.startswith("CMD"))[4:])
    assert command == [
        "serve",
        "first=/srv/models/first",
        "second=/srv/models/second",
        *("--host", "0.0.0.0", "--port", "8000"),
    ]
    assert any(line.startswith("HEALTHCHECK") for line in lines)


def test_what_is_carried_answers_as_the_runs_do_wherever_it_lies(served, held, tmp_path):
    shutil.copytree(served["docker"], tmp_path / "elsewhere")
    models = tmp_path / "elsewhere" / "models"
    said = {
        one: wt.load(held[name]).predict(["a good film"])
        for one, name in (("first", "first"), ("second", "影评 2"))
    }
    # By the weitiao of the image, as pip would install it there.
    (packed,) = (tmp_path / "elsewhere").glob("weitiao-*-py3-none-any.whl")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--no-index",
        "--root-user-action=ignore",
    ]
    subprocess.run([*pip, "--target", str(tmp_path / "installed"), str(packed)], check=True)
    code = (
        "import sys, weitiao as wt\nassert 'installed' in wt.__file__\n"
        "print(*(wt.load(run).predict(['a good film']) for run in sys.argv[1:]), sep='\\n')"
    )
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "installed"), "WEITIAO_CACHE": str(tmp_path)}
    runs = [str(models / name) for name in said]
    done = subprocess.run([sys.executable, "-c", code, *runs], env=env, capture_output=True, text=True)
    assert done.stdout.splitlines() == [str(expected) for expected in said.values()], done.stderr
    assert str(tmp_path / "elsewhere") not in (models / "first" / "recipe.yaml").read_text()


def test_kubernetes_takes_its_files_and_pods_may_do_nothing_else(served):
    found = documents(served["k8s"] / "k8s.yaml")
    assert list(found) == ["Deployment", "Service", "HorizontalPodAutoscaler"]
    pod = found["Deployment"]["spec"]["template"]["spec"]
    (one,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert one["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert one["env"] == [
        {"name": "WEITIAO_TOKEN", "valueFrom": {"secretKeyRef": {"name": "first", "key": "token"}}}
    ]
    paths = [one[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "readiness", "liveness")]
    assert paths == ["/ready", "/ready", "/health"]
    assert found["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == "first"
    labels = found["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert found["Service"]["spec"]["selector"].items() <= labels.items()
    volumes = {volume["name"] for volume in pod["volumes"]}
    assert {mount["name"] for mount in one["volumeMounts"]} == volumes


def test_mounted_models_are_not_in_the_image(held, tmp_path):
    for on in ("docker", "k8s"):
        path = wt.launch_serve(
            held["first"], on=on, out=tmp_path / on, mount=True, image="reg.io/me/x:1"
        ).path
        assert "COPY models" not in (path / "Dockerfile").read_text()
        assert (path / "models" / "first" / "model").is_dir()
    (service,) = yaml.safe_load((tmp_path / "docker" / "compose.yaml").read_text())["services"].values()
    assert service["volumes"][0] == "./models:/srv/models:ro"
    assert service["image"] == "reg.io/me/x:1"
    found = documents(tmp_path / "k8s" / "k8s.yaml")
    pod = found["Deployment"]["spec"]["template"]["spec"]
    claims = [
        one["persistentVolumeClaim"]["claimName"] for one in pod["volumes"] if "persistentVolumeClaim" in one
    ]
    assert claims == [found["PersistentVolumeClaim"]["metadata"]["name"]]


def test_a_container_of_compose_may_do_nothing_else(served):
    (service,) = yaml.safe_load((served["docker"] / "compose.yaml").read_text())["services"].values()
    assert service["environment"]["WEITIAO_TOKEN"].startswith("${WEITIAO_TOKEN:?")
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["ports"] == ["127.0.0.1:8000:8000"]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_systemd_takes_its_unit(served):
    (unit,) = served["systemd"].iterdir()
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    command = next(line for line in unit.read_text().splitlines() if line.startswith("ExecStart="))
    assert '影评 2" --host 127.0.0.1' in command
    # A word of a unit is its own: neither `%` nor `$` means anything.
    from weitiao.launch.quoted import as_unit

    assert as_unit("100%/$HOME a") == '"100%%/$$HOME a"'


@pytest.fixture(scope="module")
def trained(bert, tmp_path_factory) -> dict[str, Path]:
    """A recipe, for every destination."""
    folder = tmp_path_factory.mktemp("trained")
    recipe = folder / "recipe.yaml"
    recipe.write_text(
        f'model: {bert}\ntask: text_classification\ndata: {{train: reviews.csv}}  # 影评: "a|b"\noutput_dir: runs/影评 2\n',
        encoding="utf-8",
    )
    words = {"nodes": 3, "gpus_per_node": 2, "queue": "gpu", "overrides": ["train.num_train_epochs=5"]}
    return {
        name: wt.launch_train(recipe, on=name, out=folder / name, **words).path
        for name in registry.names("cluster")
    }


def flags(words: list[str]) -> list[str]:
    assert words[words.index("-m") :][:3] == ["-m", "weitiao", "train"]
    assert words[-2:] == ["train.num_train_epochs=5", "--resume"]
    return words[: words.index("-m")]


def test_trainer_jobset_and_ray_take_their_files(trained):
    volume = documents(trained["k8s"] / "volume.yaml")
    claim = volume["PersistentVolumeClaim"]["metadata"]["name"]
    assert len(claim) <= 20
    recipe = (trained["k8s"].parent / "recipe.yaml").read_text(encoding="utf-8")
    assert volume["ConfigMap"]["data"]["recipe.yaml"].strip() == recipe.strip()
    assert re.search("recipe names /", (trained["k8s"] / "volume.yaml").read_text(encoding="utf-8"))
    trainer = documents(trained["k8s"] / "trainjob.yaml")
    jobset = documents(trained["k8s"] / "jobset.yaml")
    ray = documents(trained["ray"] / "rayjob.yaml")
    assert trainer["TrainJob"]["spec"]["runtimeRef"]["name"] == trainer["TrainingRuntime"]["metadata"]["name"]
    for job in (trainer["TrainJob"], jobset["JobSet"], ray["RayJob"]):
        assert job["metadata"]["labels"] == {"kueue.x-k8s.io/queue-name": "gpu"}
    for tree in (
        trainer["TrainingRuntime"],
        jobset["JobSet"],
        ray["RayJob"]["spec"]["rayClusterSpec"]["workerGroupSpecs"],
    ):
        (one,) = containers(tree)
        # A pod that comes anew finds the same volume, and its secret by its name alone.
        assert {mount["name"]: mount["mountPath"] for mount in one["volumeMounts"]}["work"] == "/work"
        assert f'"persistentVolumeClaim": {{"claimName": "{claim}"}}' in json.dumps(tree)
        assert [env for env in one["env"] if SECRET.search(env["name"]) and "value" in env] == []
        assert one["resources"]["limits"] == {"nvidia.com/gpu": 2}
    for tree in (trainer["TrainingRuntime"], jobset["JobSet"]):
        (one,) = containers(tree)
        assert "--nnodes=3" in flags(one["args"])
        assert "--nproc-per-node=2" in flags(one["args"])
    job = jobset["JobSet"]["spec"]["replicatedJobs"][0]["template"]["spec"]
    assert (job["parallelism"], job["completions"]) == (3, 3)
    assert "ray" in (trained["ray"] / "Dockerfile").read_text()
    assert "whl/cpu" not in (trained["ray"] / "Dockerfile").read_text()


STAND_IN = """
import sys, types
# A Ray that runs everything at once, here.
class Function:
    def __init__(self, function): self.function = function
    def options(self, **words): assert words["num_gpus"] == 2; return self
    def remote(self, *words): return self.function(*words)
class Group:
    def ready(self): return None
def remote(*function, **words): return Function(*function) if function else remote
ray = types.ModuleType("ray"); ray.__path__ = []
ray.remote, ray.init, ray.get = remote, lambda: None, lambda what: what
ray.util = util = types.ModuleType("ray.util"); util.__path__ = []
util.get_node_ip_address = lambda: "10.0.0.1"
groups = types.ModuleType("ray.util.placement_group")
def placement_group(bundles, strategy): print(len(bundles), strategy); return Group()
groups.placement_group = placement_group
ways = types.ModuleType("ray.util.scheduling_strategies")
ways.PlacementGroupSchedulingStrategy = lambda group, placement_group_bundle_index: placement_group_bundle_index
sys.modules |= {m.__name__: m for m in (ray, util, groups, ways)}
import subprocess
subprocess.call = lambda words, cwd: print(*words[2:5], words[-1]) or 0
"""


def test_the_driver_of_ray_begins_torchrun_once_a_machine(trained):
    driver = documents(trained["ray"] / "rayjob.yaml")["ConfigMap"]["data"]["driver.py"]
    done = subprocess.run([sys.executable, "-c", STAND_IN + driver], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    head, *parts = done.stdout.splitlines()
    assert head == "3 STRICT_SPREAD"
    assert len(parts) == 3
    assert all("--nnodes=3" in part and part.endswith("--resume") for part in parts)
    assert "--rdzv-endpoint=10.0.0.1:29500" in driver.replace("{meeting}", "10.0.0.1:29500")


SRUN = """#!/bin/sh
shift
exec python3 -c '
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (open("log", "a").write("saved\\n"), sys.exit(143)))
open("log", "a").write(" ".join(sys.argv[1:]) + "\\n")
time.sleep(60 if not __import__("os").path.exists("again") else 0)
' "$@"
"""


def test_a_batch_job_saves_before_its_time_is_over_and_is_queued_again(trained, tmp_path):
    """Slurm itself is not here: its programs are stood in for, the script is the one that it would run."""
    script = trained["slurm"] / "job.sbatch"
    asked = [
        line.removeprefix("#SBATCH ")
        for line in script.read_text().splitlines()
        if line.startswith("#SBATCH")
    ]
    assert {"--nodes=3", "--gpus-per-node=2", "--partition=gpu", "--signal=B:USR1@600", "--requeue"} <= set(
        asked
    )
    for name, text in (
        ("srun", SRUN),
        ("scontrol", '#!/bin/sh\ncase $1 in requeue) echo "$@" >> log;; *) echo a1;; esac\n'),
    ):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    here = re.sub(r"^cd .* \|\| exit 1$", "cd .", script.read_text(), flags=re.MULTILINE)
    (tmp_path / "job").write_text(here)
    env = {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "SLURM_JOB_ID": "7",
        "SLURM_JOB_NODELIST": "a[1-3]",
    }
    job = subprocess.Popen(["bash", "job"], cwd=tmp_path, env=env)
    log = tmp_path / "log"
    while not (log.exists() and log.read_text().endswith("\n")):
        assert job.poll() is None
        time.sleep(0.02)
    job.send_signal(signal.SIGUSR1)
    assert job.wait(30) == 143
    command, *then = log.read_text().splitlines()
    assert then == ["saved", "requeue 7"]
    assert {"--rdzv-endpoint=a1:20007", "--rdzv-id=7"} <= set(command.split())
    (tmp_path / "again").touch()
    assert subprocess.run(["bash", "job"], cwd=tmp_path, env=env).returncode == 0
    assert log.read_text().splitlines()[-1] == command  # the same words go on with it


def test_scripts_are_scripts(trained):
    for path in (trained["slurm"] / "job.sbatch", trained["torchrun"] / "run.sh"):
        assert path.stat().st_mode & 0o111
        assert subprocess.run(["bash", "-n", str(path)]).returncode == 0
    text = (trained["torchrun"] / "run.sh").read_text()
    assert "--nproc-per-node=2" in text


def test_odd_input_is_told_and_nothing_is_written(held, trained, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run, recipe = str(held["first"]), str(trained["k8s"].parent / "recipe.yaml")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    (tmp_path / "broken.yaml").write_text("model: [")
    for words, code, said in (
        (["serve", "nowhere", "--on", "docker"], 5, "no_run"),
        (["serve", run, "--on", "dokcer"], 2, 'Did you mean "docker"'),
        (["serve", run, run, "--on", "docker"], 2, "name_taken"),
        (["serve", str(held["影评 2"]), "--on", "docker"], 2, "name_taken"),
        (["serve", run, "--on", "systemd", "--mount"], 2, "leave out --image and --mount"),
        (["serve", run, "--on", "docker", "-o", "full"], 2, "exists already"),
        (["serve", run, "--on", "docker", "-o", "/proc/x"], 6, "no_permission"),
        (["train", recipe, "--on", "slurm", "--nodes", "0"], 2, "--nodes"),
        (["train", recipe, "--on", "slurm", "--image", "x"], 2, "leave out --image"),
        (["train", recipe, "--on", "slurm", "--queue", "a b\n#SBATCH"], 2, "cannot be called"),
        (["train", recipe, "output_dir=/home/x/run", "--on", "k8s"], 2, "output_dir=runs/run"),
        (["train", "broken.yaml", "--on", "ray"], 2, "bad_yaml"),
        (["train", "absent.yaml", "--on", "ray"], 2, "recipe_missing"),
    ):
        assert cli(["launch", *words]) == code, words
        error = capsys.readouterr().err
        assert said in error, (words, error)
        assert "Traceback" not in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.yaml", "full"]


def test_the_command_line_says_where_the_files_lie_and_what_then(held, tmp_path, capsys):
    assert cli(["launch", "serve", str(held["first"]), "--on", "docker", "-o", str(tmp_path / "o")]) == 0
    said = capsys.readouterr()
    assert said.out == f"{tmp_path / 'o'}\n"
    assert "docker compose up" in said.err
    assert (
        cli(["launch", "serve", str(held["first"]), "--on", "systemd", "-o", str(tmp_path / "p"), "--json"])
        == 0
    )
    assert json.loads(capsys.readouterr().out)["files"] == ["weitiao-first.service"]
