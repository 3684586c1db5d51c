"""The command line is light, says how it is used, and gives scripts results they can read."""

from __future__ import annotations

import io
import json
import pydoc
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer

from tests.conftest import reviews, write_csv
from weitiao.cli import run
from weitiao.core.recipe import Recipe

HEAVY = ("torch", "transformers", "numpy", "pandas", "sklearn", "scipy", "rich", "matplotlib", "jinja2")


@dataclass
class Said:
    """What a command left behind."""

    exit: int
    out: str
    err: str


@pytest.fixture
def weitiao(tmp_path, monkeypatch, capsys) -> Callable[..., Said]:
    """`weitiao("runs", "--json")` in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> Said:
        code = run(list(words))
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return call


@pytest.fixture(scope="module")
def tuned(bert, tmp_path_factory) -> str:
    """A run of two steps, made by the command line."""
    folder = tmp_path_factory.mktemp("runs")
    table = write_csv(folder / "reviews.csv", reviews(60))
    words = [f"model={bert}", f"output_dir={folder}/toy", f"data.train={table}", "evaluate.baseline=none"]
    words += ["train.max_steps=2", "train.bf16=false", "evaluate.untuned=false", "evaluate.resamples=100"]
    (folder / "recipe.yaml").write_text("model: m\ntask: text_classification\noutput_dir: o\n")
    assert run(["train", str(folder / "recipe.yaml"), *words, "--quiet"]) == 0
    return f"{folder}/toy"


@pytest.fixture
def asked(monkeypatch, tmp_path) -> list[Recipe]:
    """The recipes that are to be trained, none of which is."""
    from weitiao import api

    found: list[Recipe] = []

    class Enough(Exception):
        pass

    def train(recipe, *, overrides, **_):
        found.append(Recipe.read(recipe, overrides))
        raise Enough

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(api, "train", train)
    return found


def verbs() -> list[list[str]]:
    """Every command, as the words that call it."""
    from weitiao.cli.verbs import app

    def below(command, words):
        inner = getattr(command, "commands", None)
        if inner is None:
            return [words]
        return [found for name, child in inner.items() for found in below(child, [*words, name])]

    return below(typer.main.get_command(app), [])


# --- light


def child(*command: str) -> tuple[str, float]:
    """Standard output and CPU seconds of a process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    out = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return out, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_help_costs_little():
    # The least of a few: what others do on the machine comes on top, in CPU time too.
    spent = []
    for _ in range(5):
        out, cpu_s = child("-m", "weitiao", "--help")
        spent.append(cpu_s)
    assert "Fine-tune" in out
    assert min(spent) < 0.3


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["data", "check", "--help"]])
def test_help_imports_nothing_heavy(words):
    script = (
        "import sys; from weitiao.cli import run; code = run(sys.argv[1:]); "
        "print('\\nLOADED', code, *sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    out, _ = child("-c", script, *words)
    _, code, *loaded = out.splitlines()[-1].split()
    assert code == "0"
    assert not set(HEAVY) & set(loaded)
    assert "weitiao" in loaded


def test_importing_the_package_costs_nothing():
    out, _ = child("-c", "import sys, weitiao; print(*{name.partition('.')[0] for name in sys.modules})")
    assert not {*HEAVY, "typer", "yaml"} & set(out.split())


def test_the_words_of_the_package_stay_words():
    """`train` and `evaluate` are rooms too: importing those must not put a module in the word's place."""
    script = (
        "import weitiao as wt; before = wt.train, wt.evaluate; import weitiao.train.optim, weitiao.evaluate.verdict; "
        "print((wt.train, wt.evaluate) == before, all(callable(getattr(wt, name)) for name in wt.__all__))"
    )
    assert child("-c", script)[0] == "True True\n"


# --- help


def test_the_verbs_are_those_of_the_readme():
    assert {" ".join(words) for words in verbs()} >= {
        *(
            "init",
            "train",
            "compare",
            "evaluate",
            "predict",
            "chat",
            "demo",
            "data check",
            "data ls",
            "fetch",
        ),
        *("models", "methods", "tasks", "schema", "doctor", "runs"),
    }


@pytest.mark.parametrize("words", verbs(), ids=" ".join)
def test_every_verb_says_what_it_does_and_shows_an_example(words, weitiao):
    said = weitiao(*words, "--help")
    assert said.exit == 0
    assert re.search(r"Examples?: weitiao " + " ".join(words), " ".join(said.out.split()))
    # An example may go on in a line that begins with an option.
    told, _, _ = said.out.partition("\n  Example")
    options = re.findall(r"^  (?:-\w, )?--[\w-]+.*", told, re.MULTILINE)
    assert options
    assert all(re.search(r"\S  +[A-Z]", line) or len(line) > 30 for line in options), (
        "every option is explained"
    )
    assert "--verbose" in said.out
    assert weitiao(*words, "-h").out == said.out


def test_no_word_at_all_shows_the_help(weitiao):
    for words in ([], ["data"]):
        said = weitiao(*words)
        assert "Commands:" in said.out + said.err


# --- train, evaluate, predict


def test_train_and_evaluate_give_results_alone(weitiao, tuned):
    said = weitiao("evaluate", tuned, "--json")
    found = json.loads(said.out)
    assert (said.exit, said.err) == (0, "")
    assert found["run"] == tuned
    assert 0 <= found["metrics"]["tuned"]["accuracy"]["value"] <= 1
    said = weitiao("evaluate", tuned)
    assert said.err.startswith("judge"), "what happens goes to standard error"
    assert "locked test rows" in said.out
    assert "read back from disk" not in said.out
    said = weitiao("evaluate", tuned, "--quiet")
    assert said.err == ""
    assert "accuracy" in said.out
    said = weitiao("train", f"{tuned}/recipe.yaml", "--resume", "--json")
    assert json.loads(said.out)["run"] == tuned


TEXTS = ["great film", "boring, dull plot", 'the "actor" :smile: was [bold]charming[/bold]', "好\u2028坏"]


def test_predict_is_the_same_from_words_files_and_a_pipe(weitiao, tuned, monkeypatch):
    Path("new.txt").write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
    write_csv(Path("new.csv"), [{"id": str(i), "text": text} for i, text in enumerate(TEXTS)])
    ways = {"words": TEXTS, "txt": ["--file", "new.txt"], "csv": ["-f", "new.csv"], "pipe": []}
    for options in ([], ["--json"]):
        said = {}
        for name, words in ways.items():
            pipe = "\r\n".join(TEXTS).encode()
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(pipe), encoding="ascii"))
            said[name] = weitiao("predict", tuned, *options, *words)
            assert (said[name].exit, said[name].err) == (0, ""), name
        assert len({one.out for one in said.values()}) == 1
    rows = [json.loads(line) for line in said["words"].out.split("\n")[:-1]]
    assert [row["text"] for row in rows] == TEXTS, "no text is changed on its way"
    for row in rows:
        assert set(row) == {"text", "label", "score", "scores"}
        assert row["label"] == max(row["scores"], key=row["scores"].get)
        assert sum(row["scores"].values()) == pytest.approx(1)


def test_predict_sets_its_columns_apart_by_tabs(weitiao, tuned):
    lines = [line.split("\t") for line in weitiao("predict", tuned, *TEXTS[:3]).out.splitlines()]
    assert [line[2] for line in lines] == TEXTS[:3]
    assert all(line[0] in ("good", "bad") and 0.5 <= float(line[1]) <= 1 for line in lines)


@pytest.mark.whole
def test_a_pipe_whose_reader_left_is_no_fault():
    with subprocess.Popen(
        [sys.executable, "-m", "weitiao", "metrics", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        child.stdout.close()
        assert child.stderr.read() == b""
        assert child.wait() == 0


# --- the first page, and what a recipe for a file holds


def test_the_list_of_verbs_is_whole_in_a_narrow_terminal(weitiao, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    said = weitiao("--help").out
    assert "..." not in said.partition("Commands:")[2]
    assert "its columns and task guessed." in " ".join(said.split())
    assert "--install-completion" in said


@pytest.mark.parametrize("word", ["--version", "-V"])
def test_the_version_is_said(word, weitiao):
    from weitiao import __version__

    assert weitiao(word).out == f"weitiao {__version__}\n"


def test_the_words_of_python_are_offered():
    import weitiao as wt

    classes = {
        "Choice",
        "Comparison",
        "CrossValidation",
        "LearningCurve",
        "Plan",
        "Recipe",
        "Run",
        "SearchStudy",
        "Stress",
        "Training",
        "Watcher",
        "WeitiaoError",
    }
    assert set(dir(wt)) == {*wt.__all__, *classes, "__version__"}
    assert all(getattr(wt, word).__doc__ for word in dir(wt))


def test_help_is_short_and_names_every_word():
    import weitiao as wt

    said = pydoc.plain(pydoc.render_doc(wt))
    assert len(said) < 30_000  # twenty-five words
    assert all(word in said.partition("PACKAGE CONTENTS")[0] for word in dir(wt) if word != "__version__")
    assert "recipe" in pydoc.plain(pydoc.render_doc(wt.train))


@pytest.mark.parametrize(
    ("which", "key"),
    [
        ("reviews", "num_train_epochs"),
        ("zh", "train"),
        ("chat", "train"),
        ("image", "train"),
        ("ratings", "num_train_epochs"),
        ("names", "num_train_epochs"),
        ("retrieve", "train"),
        ("kto", "train"),
        ("ner", "num_train_epochs"),
        ("rerank", "train"),
        ("ner-zh", "train"),
    ],
)
def test_a_demo_in_full_is_the_larger_job(which, key, asked):
    run(["demo", which])
    run(["demo", which, "--full"])
    short, full = (recipe.data if key == "train" else recipe.train for recipe in asked)
    sizes = [getattr(part, key) for part in (short, full)]
    small, large = (int(size[0].split("#")[1]) if key == "train" else size for size in sizes)
    assert large >= 1.5 * small
    assert asked[0].model == asked[1].model


def test_a_demo_that_is_not_named_is_the_first_even_where_something_is_changed(asked):
    run(["demo", "train.max_steps=7", "seed=3"])
    run(["demo"])
    changed, plain = asked
    assert (changed.train.max_steps, changed.seed) == (7, 3)
    assert changed.data == plain.data


def test_a_demo_of_several_steps_hands_each_the_folders_of_those_before(monkeypatch, tmp_path):
    from types import SimpleNamespace

    from weitiao import api

    asked = {}

    def train(recipe, *, overrides, **_):
        read = Recipe.read(recipe, overrides)
        asked[Path(read.output_dir).name] = read
        return SimpleNamespace(path=Path(read.output_dir), results={"verdict": {}})

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(api, "train", train)
    monkeypatch.setattr(api, "road", lambda runs, page: Path(page))
    run(["demo", "rlhf", "--json", "--full", "seed=5", "grpo.train.learning_rate=0.5"])
    assert [*asked] == ["sft", "reward", "grpo"]
    assert asked["grpo"].start_from == "runs/demo-rlhf/sft"
    assert asked["grpo"].task["rewards"][0]["run"] == "runs/demo-rlhf/reward"
    assert {each.seed for each in asked.values()} == {5}
    assert [name for name, each in asked.items() if each.train.learning_rate == 0.5] == ["grpo"]
    assert asked["sft"].data.train == ["film-demonstrations#1200"]
    assert asked["grpo"].train.max_steps == 60
