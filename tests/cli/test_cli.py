"""The command line is light, says how it is used, and gives scripts results they can read."""

from __future__ import annotations

import io
import json
import pydoc
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer
import yaml

from tests.conftest import reviews, write_csv, write_jsonl
from weitiao.cli import run
from weitiao.core import registry
from weitiao.core.recipe import Recipe, known_keys

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


# --- lists


def test_the_schema_knows_every_key_and_every_setting(weitiao):
    schema = json.loads(weitiao("schema").out)
    for key in known_keys():
        node = schema
        for part in key.split("."):
            node = schema["$defs"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node
            node = node["properties"][part]
    assert set(schema["required"]) == {"model", "task", "output_dir"}
    assert schema["additionalProperties"] is False
    for shelf in ("method", "task"):
        choices = schema["properties"][shelf]["anyOf"]
        assert choices[0]["enum"] == registry.names(shelf)
        by_title = {choice["title"]: choice for choice in choices[1:]}
        for name in registry.names(shelf):
            settings = registry.settings_of(name, registry.build(shelf, {"name": name}))
            assert set(by_title[name]["properties"]) == set(settings)
            assert by_title[name]["additionalProperties"] is False


def test_what_the_schema_refers_to_is_in_it(weitiao):
    schema = json.loads(weitiao("schema").out)

    def references(node):
        if isinstance(node, dict):
            yield from [node["$ref"]] if "$ref" in node else []
            node = list(node.values())
        for inner in node if isinstance(node, list) else ():
            yield from references(inner)

    found = set(references(schema))
    assert found
    assert all(ref.rpartition("/")[2] in schema["$defs"] for ref in found)


@pytest.mark.parametrize(
    "words", [["models"], ["data", "ls"], ["methods"], ["tasks"], ["augmentations"]], ids=" ".join
)
def test_lists_are_read_by_people_and_scripts(words, weitiao):
    said = weitiao(*words, "--json")
    entries = json.loads(said.out)
    assert (said.exit, said.err) == (0, "")
    assert entries
    shown = weitiao(*words)
    for entry in entries:
        assert entry["name"] in shown.out


def test_methods_and_tasks_are_listed_with_their_settings(weitiao):
    methods = {entry["name"]: entry for entry in json.loads(weitiao("methods", "--json").out)}
    assert set(methods) == set(registry.names("method"))
    assert methods["lora"]["settings"]["r"] == 16
    assert all(entry["summary"] and entry["learning_rate"] > 0 for entry in methods.values())
    tasks = {entry["name"]: entry for entry in json.loads(weitiao("tasks", "--json").out)}
    assert tasks["sft"]["formats"] == ["messages", "sharegpt", "alpaca", "prompt_completion"]


def test_models_say_licence_size_and_use(weitiao):
    for words in (["models"], ["data", "ls"]):
        for entry in json.loads(weitiao(*words, "--json").out):
            assert entry["licence"]
            assert entry["good_for"]
            assert entry["origin"]
            assert len(entry["source"]["sha256"]) == 64


def test_the_doctor_says_what_is_installed(weitiao):
    said = weitiao("doctor", "--json")
    found = json.loads(said.out)
    assert said.exit == (6 if found["broken"] else 0)
    assert found["versions"]["torch"]
    assert found["cores"] >= 1
    assert found["device"]
    assert "torch" in weitiao("doctor").out


def test_the_doctor_finds_what_is_broken(weitiao, monkeypatch):
    from weitiao.cli import doctor

    monkeypatch.setattr(doctor, "NEEDED", (*doctor.NEEDED, "nowhere-to-be-found"))
    said = weitiao("doctor", "--json")
    assert said.exit == 6
    assert any("nowhere-to-be-found is not installed" in line for line in json.loads(said.out)["broken"])
    said = weitiao("doctor")
    assert said.exit == 6
    assert "broken nowhere-to-be-found" in said.out


def test_runs_are_listed_with_their_scores(weitiao, tuned):
    folder = str(Path(tuned).parent)
    (entry,) = json.loads(weitiao("runs", "--folder", folder, "--json").out)
    assert entry["run"] == tuned
    assert (entry["state"], entry["task"], entry["method"]) == ("judged", "text_classification", "lora")
    assert 0 <= entry["accuracy"] <= 1
    assert "judged" in weitiao("runs", "--folder", folder).out
    assert json.loads(weitiao("runs", "--json").out) == []
    assert "no runs here" in weitiao("runs").out


def test_runs_are_sorted_by_any_metric_whichever_way_is_better(weitiao, tuned):
    for name, values in {"a": (0.5, 3.0), "b": (0.9, 9.0), "c": (0.7, None), "d": None}.items():
        shutil.copytree(tuned, f"runs/{name}")
        if values is None:
            Path(f"runs/{name}/results.json").unlink()
            continue
        results = json.loads(Path(f"runs/{name}/results.json").read_text())
        for metric, value in zip(("f1", "log_loss"), values, strict=True):
            results["metrics"]["tuned"][metric] = {"value": value, "low": None, "high": None, "why": "made"}
        Path(f"runs/{name}/results.json").write_text(json.dumps({**results, "lower_is_better": ["log_loss"]}))

    def order(metric):
        return [
            Path(entry["run"]).name for entry in json.loads(weitiao("runs", "--sort", metric, "--json").out)
        ]

    assert order("f1") == ["b", "c", "a", "d"]
    assert order("log_loss")[:2] == ["a", "b"]
    assert "log_loss 3.000" in weitiao("runs", "--sort", "log_loss").out
    said = weitiao("runs", "--sort", "log_los")
    assert said.exit == 2
    assert "log_loss" in said.err


def test_one_unreadable_run_does_not_hide_the_others(weitiao, tuned):
    shutil.copytree(tuned, "runs/good")
    for name, text in (("newer", "model: m\ntask: sft\noutput_dir: o\nunheard_of: 1\n"), ("cut", "model: [")):
        Path(f"runs/{name}").mkdir()
        Path(f"runs/{name}/recipe.yaml").write_text(text)
    states = {entry["run"]: entry["state"] for entry in json.loads(weitiao("runs", "--json").out)}
    assert states == {"runs/good": "judged", "runs/newer": "unreadable", "runs/cut": "unreadable"}
    assert "unreadable" in weitiao("runs").out


# --- init


def test_a_recipe_for_the_tutorial_s_own_file(weitiao):
    Path("train.csv").write_text('text,label\n"这是一条正面评论",1\n"这是一条负面评论",0\n', encoding="utf-8")
    said = weitiao("init", "train.csv")
    Path("recipe.yaml").write_text(said.out, encoding="utf-8")
    asked = Recipe.read("recipe.yaml")
    assert (said.exit, said.err) == (0, "")
    assert asked.task["name"] == "text_classification"
    assert asked.data.train == ["train.csv"]
    assert asked.data.columns == {}
    assert asked.model == "e5-small", "a Chinese file gets a model that reads Chinese"
    assert asked.output_dir == "runs/train"
    assert "# Peak learning rate" in said.out


def test_a_recipe_for_chinese_column_names(weitiao):
    rows = "".join(f"{i},第{i}本书很好看,正面\n" for i in range(5))
    Path("评论.csv").write_bytes(f"编号,评论,标签\n{rows}".encode("gb18030"))
    said = weitiao("init", "评论.csv", "-o", "recipe.yaml")
    assert said.exit == 0
    assert said.out == ""
    assert "weitiao train recipe.yaml" in said.err
    asked = Recipe.read("recipe.yaml")
    assert asked.data.columns == {"text": "评论", "label": "标签"}
    assert asked.output_dir == "runs/评论"


@pytest.mark.parametrize(
    ("rows", "task", "columns", "model"),
    [
        ([{"Review": "A fine film", "stars": "5"}], "text_classification", {"text": "Review", "label": "stars"}, "minilm-l6"),
        ([{"instruction": "Add 1 and 1", "input": "", "output": "2"}], "sft", {}, "smollm2-135m"),
        ([{"prompt": "Hi", "completion": "Hello"}], "sft", {}, "smollm2-135m"),
        ([{"question": "Hi", "answer": "Hello"}], "sft", {"prompt": "question", "completion": "answer"}, "smollm2-135m"),
        ([{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]}], "sft", {}, "smollm2-135m"),
    ],
)  # fmt: skip
def test_the_task_is_guessed_from_the_columns(rows, task, columns, model, weitiao):
    write_jsonl(Path("mine.jsonl"), rows)
    asked = Recipe.read(yaml.safe_load(weitiao("init", "mine.jsonl").out))
    assert (asked.task["name"], asked.data.columns, asked.model) == (task, columns, model)


def test_what_init_writes_can_be_trained(weitiao, bert):
    rows = [{"Review": row["text"], "Verdict class": row["label"]} for row in reviews(60)]
    write_csv(Path("mine.csv"), [{**row, "category": row["Verdict class"]} for row in rows])
    Path("recipe.yaml").write_text(weitiao("init", "mine.csv", "--model", bert).out)
    said = weitiao("train", "recipe.yaml", "train.max_steps=1", "evaluate.untuned=false", "--quiet")
    assert said.exit == 0
    assert Path("runs/mine/report.html").exists()


# --- data check


def test_data_check_counts_and_leaves_3_when_rows_are_bad(weitiao):
    write_csv(
        Path("a.csv"),
        [{"text": t, "label": label} for t, label in (("a", "x"), ("A", "x"), ("", "y"), ("b", "y"))],
    )
    said = weitiao("data", "check", "a.csv", "--json")
    found = json.loads(said.out)
    assert said.exit == 3
    assert found["counts"] == {"kept": 2, "duplicate": 1, "quarantined": 1}
    assert [(row["line"], row["status"]) for row in found["rows"]] == [(3, "duplicate"), (4, "quarantined")]
    said = weitiao("data", "check", "a.csv")
    assert said.exit == 3
    assert "a.csv line 4: quarantined: the text is empty" in said.out
    write_csv(Path("good.csv"), reviews(10))
    assert weitiao("data", "check", "good.csv").exit == 0


def test_labels_are_shown_as_they_are(weitiao):
    labels = [":smile:", "[bold]", "好"]
    write_csv(Path("a.csv"), [{"text": f"{i}", "label": label} for i, label in enumerate(labels)])
    said = weitiao("data", "check", "a.csv")
    assert all(label in said.out for label in labels)


def test_data_check_takes_other_columns(weitiao):
    write_csv(Path("a.csv"), [{"x": row["text"], "y": row["label"]} for row in reviews(10)])
    said = weitiao("data", "check", "a.csv", "--columns", "text=x,label=y", "--json")
    assert said.exit == 0
    assert json.loads(said.out)["counts"] == {"kept": 10}


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


def test_init_writes_every_setting_with_its_meaning(weitiao):
    write_csv(Path("rows.csv"), reviews(20))
    assert weitiao("init", "rows.csv", "-o", "recipe.yaml").exit == 0
    text = re.sub(r"\n *# ", " ", Path("recipe.yaml").read_text(encoding="utf-8"))
    asked = Recipe.read("recipe.yaml")
    for shelf, settings in (("task", asked.task), ("method", asked.method)):
        entry = registry.entry(shelf, settings["name"])
        assert set(settings) == {"name", *registry.settings(entry.kind)}
        assert registry.build(shelf, settings) == registry.build(shelf, {"name": settings["name"]})
        for key, meaning in registry.meanings(entry.kind).items():
            assert f" {' '.join(meaning.split())}\n  {key}:" in text, key


def test_init_that_fails_leaves_nothing(weitiao):
    Path("odd.csv").write_text("x,y\n1,2\n")
    assert weitiao("init", "odd.csv", "-o", "recipe.yaml").exit == 3
    assert not Path("recipe.yaml").exists()


def test_the_words_of_python_are_offered():
    import weitiao as wt

    classes = {
        "Comparison",
        "CrossValidation",
        "LearningCurve",
        "Plan",
        "Recipe",
        "Run",
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
    assert len(said) < 20_000
    assert all(word in said.partition("PACKAGE CONTENTS")[0] for word in dir(wt) if word != "__version__")
    assert "recipe" in pydoc.plain(pydoc.render_doc(wt.train))


@pytest.mark.parametrize(
    ("which", "key"),
    [
        ("reviews", "num_train_epochs"),
        ("zh", "train"),
        ("chat", "train"),
        ("ratings", "num_train_epochs"),
        ("names", "num_train_epochs"),
        ("search", "train"),
        ("ner", "num_train_epochs"),
        ("rerank", "train"),
        ("ner-zh", "train"),
    ],
)
def test_a_demo_in_full_is_the_larger_job(which, key, monkeypatch, tmp_path):
    from weitiao import api

    asked = []

    class Enough(Exception):
        pass

    def train(recipe, *, overrides, **_):
        asked.append(Recipe.read(recipe, overrides))
        raise Enough

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(api, "train", train)
    run(["demo", which])
    run(["demo", which, "--full"])
    short, full = (recipe.data if key == "train" else recipe.train for recipe in asked)
    sizes = [getattr(part, key) for part in (short, full)]
    small, large = (int(size[0].split("#")[1]) if key == "train" else size for size in sizes)
    assert large >= 1.5 * small
    assert asked[0].model == asked[1].model
