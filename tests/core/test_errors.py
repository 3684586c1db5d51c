"""Every error has a text in both languages, and every place that raises one gives what the text asks for."""

from __future__ import annotations

import ast
import re
import string
from pathlib import Path

import pytest

import weitiao
from weitiao.core import errors
from weitiao.core.errors import WeitiaoError, did_you_mean, fault, messages, nearest, need

SOURCE = Path(weitiao.__file__).parent
# As `weitiao.cli` lists them: recipe, data, model, run, machine, a fault of ours, interrupted.
EXITS = {2, 3, 4, 5, 6, 70, 130}


def raised() -> list[tuple[str, str | None, ast.Call]]:
    """(place, code, call) of every `fault(...)` in the sources; no code when it is not a plain word, and those of all
    kinds where it is the field of a kind of study (`kind.exists`)."""
    calls = [
        (path, node)
        for path in sorted(SOURCE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    ]
    kinds: dict[str, list[str]] = {}
    for path, node in calls:
        if path.parent.name == "study" and getattr(node.func, "id", "") == "Kind":
            for one in node.keywords:
                kinds.setdefault(f"kind.{one.arg}", []).append(ast.literal_eval(one.value))
    found = []
    for path, node in calls:
        if getattr(node.func, "id", "") in ("fault", "WeitiaoError"):
            first = node.args[0] if node.args else None
            code = first.value if isinstance(first, ast.Constant) else None
            named = ast.unparse(first).removeprefix("self.") if first else ""
            found += [
                (f"{path.relative_to(SOURCE)}:{node.lineno}", each, node) for each in kinds.get(named, [code])
            ]
    return found


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


# `fault` itself passes on what it is given, and so do errors of another process or about rows in memory.
PASSED_ON = ("core/errors.py", "train/distributed.py", "stages/in_memory.py")
RAISED = [entry for entry in raised() if not (entry[0].startswith(PASSED_ON) and entry[1] is None)]


def test_faults_are_found_at_all():
    assert len(RAISED) > 60
    assert {code for _, code, _ in RAISED} > {"file_missing", "run_busy", "bad_rows", "not_finite"}


@pytest.mark.parametrize(("place", "code", "call"), RAISED, ids=[f"{p}-{c}" for p, c, _ in RAISED])
def test_a_fault_is_known_and_gets_what_its_text_asks_for(place, code, call):
    assert code is not None, "a code stands in the call itself, so that it can be found"
    assert code in messages()
    given = {keyword.arg for keyword in call.keywords if keyword.arg}
    for keyword in call.keywords:
        if not keyword.arg:
            source = (SOURCE / place.partition(":")[0]).read_text(encoding="utf-8")
            said = ast.unparse(keyword.value)
            assert said.startswith("because(") or re.search(rf"\b{said}\b.* = .*because\(", source), (
                "values are named one by one"
            )
            given |= {"why", "way"}
    wanted = set()
    for lang in errors.LANGUAGES:
        wanted |= placeholders(messages()[code][lang]["what"]) | placeholders(messages()[code][lang]["way"])
    assert given >= wanted, f"{wanted - given} would be missing from the message"
    assert given <= wanted, f"{given - wanted} would never be read"


@pytest.mark.parametrize("code", messages())
def test_a_message_says_the_same_in_both_languages(code):
    message = messages()[code]
    assert set(message) == {"exit", *errors.LANGUAGES}
    assert message["exit"] in EXITS
    for part in ("what", "way"):
        texts = {lang: message[lang][part] for lang in errors.LANGUAGES}
        assert all(text.strip() for text in texts.values())
        assert placeholders(texts["en"]) == placeholders(texts["zh"]), part
    # The texts of `wrong_usage` come from the place that raises it.
    chinese = "".join(message["zh"].values())
    assert code == "wrong_usage" or any("\u4e00" <= char <= "\u9fff" for char in chinese)


def test_no_message_is_written_for_nothing():
    assert set(messages()) - {code for _, code, _ in RAISED} == set()


def test_a_code_stands_in_one_file_only():
    import yaml

    files = sorted((SOURCE / "core" / "messages").glob("*.yaml"))
    codes = [code for file in files for code in yaml.safe_load(file.read_text(encoding="utf-8"))]
    assert len(codes) == len(set(codes)) == len(messages())


def test_the_exit_code_tells_the_kind():
    assert fault("unknown_key", key="k", hint="", known="").exit_code == 2
    assert fault("file_missing", path="p").exit_code == 3
    assert fault("no_such_model", ref="r", why="w", hint="").exit_code == 4
    assert fault("no_run", path="p").exit_code == 5
    assert fault("disk_full", path="p", needed_mb=1, free_mb=0).exit_code == 6


def test_an_error_says_what_where_and_the_way_out():
    error = fault("file_missing", path="reviews.csv")
    assert isinstance(error, WeitiaoError)
    assert str(error).startswith("[file_missing] reviews.csv does not exist.\nWay out: ")
    assert error.values == {"path": "reviews.csv"}


def test_values_are_not_read_as_placeholders():
    assert "{oops}" in fault("file_missing", path="{oops}.csv").text()


# --- the reader's language


@pytest.mark.parametrize(
    ("asked", "lang"),
    [
        ("zh", "zh"),
        ("zh_CN.UTF-8", "zh"),
        ("ZH-TW", "zh"),
        ("Chinese (Simplified)", "zh"),
        ("en", "en"),
        ("de", "en"),
    ],
)
def test_the_variable_switches_the_language(asked, lang, monkeypatch):
    monkeypatch.setenv("WEITIAO_LANG", asked)
    assert errors.language() == lang
    text = fault("file_missing", path="a.csv").text()
    assert ("不存在" in text) == (lang == "zh")
    assert ("解决办法" in text) == (lang == "zh")
    assert ("Way out" in text) == (lang == "en")
    assert ("您是不是想写" in did_you_mean("lora", ["lorb"])) == (lang == "zh")


def test_without_the_variable_the_locale_speaks(monkeypatch):
    monkeypatch.delenv("WEITIAO_LANG")
    monkeypatch.setattr(errors.locale, "getlocale", lambda: ("zh_CN", "UTF-8"))
    assert errors.language() == "zh"
    monkeypatch.setattr(errors.locale, "getlocale", lambda: (None, None))
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert errors.language() == "zh"
    monkeypatch.delenv("LANG")
    assert errors.language() == "en"


def test_a_language_may_be_asked_for():
    error = fault("file_missing", path="a.csv")
    assert "不存在" in error.text("zh")
    assert "does not exist" in error.text("en")


# --- the nearest word


def test_the_nearest_word_is_found_whatever_its_case():
    assert nearest("LABLE", ["text", "Label"]) == "Label"
    assert nearest("xyz", ["text", "label"]) == ""
    assert did_you_mean("lable", ["text", "label"]) == ' Did you mean "label"?'
    assert did_you_mean("xyz", ["text", "label"]) == ""


# --- heavy guests


def test_a_package_that_is_absent_is_named_with_its_extra():
    assert need("json", extra="x").__name__ == "json"
    root = SOURCE.parents[1]
    with pytest.raises(WeitiaoError, match=r"(?s)^\[missing_extra\].*nowhere_to_be_found") as caught:
        need("nowhere_to_be_found", extra="export")
    assert f'pip install -e "{root}[export]"' in str(caught.value), "from a clone, from there"


def test_without_a_clone_an_extra_is_installed_by_name(monkeypatch, tmp_path):
    monkeypatch.setattr(errors, "_HERE", tmp_path / "site-packages" / "weitiao")
    with pytest.raises(WeitiaoError, match=r'pip install "weitiao\[data\]"'):
        need("nowhere_to_be_found", extra="data")


@pytest.mark.whole
def test_every_extra_that_is_named_is_there():
    import tomllib

    project = tomllib.loads((SOURCE.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    named = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "need":
                (extra,) = (word.value for word in node.keywords if word.arg == "extra")
                if isinstance(extra, ast.Constant):
                    named.add(extra.value)
    assert named
    assert named <= set(extras)


def test_pages_that_messages_name_are_there_and_travel(monkeypatch, tmp_path):
    """In a clone they lie in docs, in an installation where the wheel's data files go."""
    import re
    import sysconfig
    import tomllib

    root = SOURCE.parents[1]
    named = set()
    for path in [*SOURCE.rglob("*.py"), *SOURCE.rglob("*.yaml")]:
        named |= set(re.findall(r"docs/[\w.-]+\.md", path.read_text(encoding="utf-8")))
    assert len(named) > 5
    assert [name for name in named if not (root / name).is_file()] == []
    setup = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    assert setup["data-files"] == {"share/doc/weitiao": ["docs/*.md", "docs/*.json"]}
    monkeypatch.chdir(tmp_path)
    assert errors.with_pages("see docs/losses.md.") == f"see {root}/docs/losses.md."
    monkeypatch.setattr(errors, "_HERE", tmp_path / "site-packages" / "weitiao")
    assert errors.with_pages("docs/losses.md") == "docs/losses.md", "nowhere"
    (tmp_path / "share/doc/weitiao").mkdir(parents=True)
    (tmp_path / "share/doc/weitiao/losses.md").write_text("x")
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    assert errors.with_pages("docs/losses.md") == f"{tmp_path}/share/doc/weitiao/losses.md"
