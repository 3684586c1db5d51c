"""Every method says what trains, what it costs, when to use it and when not, in both languages, wherever it is shown."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import ClassVar, Literal

import pytest
from rich.cells import cell_len

from weitiao import cli
from weitiao.api import methods as known
from weitiao.core import registry
from weitiao.core.contracts import Method
from weitiao.core.errors import LANGUAGES
from weitiao.core.wrap import wrap

FIELDS = {"title", "what", "share", "memory", "when", "when_not"}
HAN = re.compile(r"[\u4e00-\u9fff]")
ours = [
    name
    for name in registry.names("method")
    if registry.entry("method", name).kind.__module__.startswith("weitiao.")
]
every_method = pytest.mark.parametrize("name", ours)
both = pytest.mark.parametrize("lang", LANGUAGES)


@pytest.fixture
def say(monkeypatch, capsys):
    """`say("methods", "lora", lang="zh")` -> exit code and what was printed."""

    def call(*words: str, lang: str = "en", columns: int = 100) -> tuple[int, str]:
        monkeypatch.setenv("WEITIAO_LANG", lang)
        monkeypatch.setenv("COLUMNS", str(columns))
        code = cli.run(list(words))
        said = capsys.readouterr()
        return code, said.out + said.err

    return call


@pytest.fixture
def stranger():
    """A method as another package would register it: it stands on the shelf, and has no advice."""

    @registry.register("method", "stranger")
    @dataclass(frozen=True)
    class Stranger(Method):
        """Nothing trains."""

        depth: int = 3
        """How deep."""

        summary: ClassVar[str] = "nothing at all [yet]"
        source: ClassVar[str] = "Nobody 1900"
        foldable: ClassVar[bool] = True
        starts_as_base: ClassVar[bool] = True
        layout: ClassVar[Literal["pretrained", "peft", "adapter"]] = "pretrained"
        learning_rate: ClassVar[float] = 0.25

        def trains(self, name, weight, head):
            return False

    yield
    del registry._entries["method"]["stranger"]


# --- the file


@every_method
def test_every_method_has_advice_in_both_languages(name):
    facts = known.facts(name)
    assert facts["family"] in known.families("en")
    assert facts["family"] != "other"
    assert re.search(r"\b(19|20)\d\d\b", facts["source"])
    for lang in LANGUAGES:
        assert set(facts[lang]) == FIELDS
        assert all(text.strip() for text in facts[lang].values())
        # A share may be a number alone, and a title a name.
        chinese = [bool(HAN.search(facts[lang][field])) for field in FIELDS - {"share", "title"}]
        assert all(chinese) if lang == "zh" else not any(chinese)


@every_method
def test_both_languages_give_the_same_shares(name):
    facts = known.facts(name)
    numbers = [re.findall(r"[\d.]+", facts[lang]["share"]) for lang in LANGUAGES]
    assert numbers[0] == numbers[1]


@every_method
def test_the_papers_of_a_class_are_those_of_its_advice(name):
    entry = registry.entry("method", name)
    if not entry.preset:  # a preset has the paper of its own that its class need not name
        assert set(re.findall(r"\d{4}\.\d{5}", entry.kind.source)) <= set(
            re.findall(r"\d{4}\.\d{5}", known.facts(name)["source"])
        )


@every_method
def test_advice_names_settings_and_methods_that_exist(name):
    facts = known.facts(name)
    there = {*facts["settings"], *registry.names("method")}
    for lang in LANGUAGES:
        for field in FIELDS - {"title"}:
            assert set(re.findall(r"\b[a-z]+(?:_[a-z0-9]+)+\b", facts[lang][field])) <= there


def test_there_is_no_advice_for_a_method_that_is_not_there():
    assert set(known._table()["methods"]) - set(registry.names("method")) == set()


def test_labels_are_in_both_languages():
    for pairs in (known._table()["words"], known._table()["families"]):
        for name, pair in pairs.items():
            assert len(pair) == len(LANGUAGES), name
            assert HAN.search(pair[1]), name
            assert pair[0].count("{}") == pair[1].count("{}"), name


# --- the command line


@both
@pytest.mark.parametrize("columns", [80, 120])
def test_the_list_fits_the_terminal_and_holds_every_method(say, lang, columns):
    code, shown = say("methods", lang=lang, columns=columns)
    assert code == 0
    assert max(map(cell_len, shown.splitlines())) <= columns
    for one in known.shelf():
        assert re.search(rf"^  {one['name']} ", shown, re.M)
        assert one[lang]["share"] in shown
    for heading in {one["family"] for one in known.shelf()}:
        assert known.families(lang)[heading] in shown
    assert "weitiao methods lora" in shown


@both
@every_method
def test_one_method_is_shown_in_full(say, name, lang):
    code, shown = say("methods", name, lang=lang, columns=80)
    assert code == 0
    assert max(map(cell_len, shown.splitlines())) <= 80
    facts, bare = known.facts(name), "".join(shown.split())
    for label, text in known.told(facts, lang).items():
        assert known.words(lang)[label] in shown
        # Values stand in a column: a long one is broken, and nothing stands between its lines but spaces.
        assert "".join(text.split()) in bare
    for key in facts["settings"]:
        assert re.search(rf"^  {key} ", shown, re.M)


def test_settings_are_shown_with_default_meaning_and_choices(say):
    _, shown = say("methods", "bitfit", columns=120)
    assert re.search(r"^  biases  all  `all` takes those of norms too", shown, re.M)
    assert "One of: all, query_mlp." in shown


def test_a_preset_shows_its_own_default(say):
    assert known.facts("qlora")["settings"]["base_bits"] == 4
    assert re.search(r"^  base_bits +4 ", say("methods", "qlora")[1], re.M)


def test_json_has_all_that_is_known(say):
    code, shown = say("methods", "--json")
    assert code == 0
    entries = {entry["name"]: entry for entry in json.loads(shown)}
    assert set(entries) == set(registry.names("method"))
    for name, entry in entries.items():
        assert entry == json.loads(json.dumps(known.facts(name)))
        assert set(entry["meanings"]) >= set(entry["settings"])
        assert set(entry["en"]) & set(entry["zh"]) >= FIELDS
    assert json.loads(say("methods", "lora", "--json")[1]) == entries["lora"]


@pytest.mark.parametrize(("lang", "hint"), [("en", 'Did you mean "lora"?'), ("zh", '您是不是想写 "lora"？')])
def test_an_unknown_name_says_what_was_probably_meant(say, lang, hint):
    code, shown = say("methods", "lroa", lang=lang)
    assert code == 2
    assert "unknown_name" in shown
    assert hint in shown


# --- methods of other packages


@both
def test_a_method_without_advice_is_shown_by_its_summary(say, stranger, lang):
    _, shown = say("methods", lang=lang)
    assert re.search(r"^  stranger +nothing at all \[yet\]$", shown, re.M)
    assert known.families(lang)["other"] in shown
    code, shown = say("methods", "stranger", lang=lang)
    assert code == 0
    for text in ("nothing at all [yet]", "Nobody 1900", "0.25", "depth"):
        assert text in shown
    assert known.words(lang)["when"] not in shown
    assert "How deep." in shown or known.facts("stranger")["meanings"] == {}


def test_a_method_without_advice_is_in_the_json(say, stranger):
    entry = json.loads(say("methods", "stranger", "--json")[1])
    assert entry["en"] == entry["zh"] == {"what": "nothing at all [yet]"}
    assert entry["settings"] == {"depth": 3}


# --- lines


@pytest.mark.parametrize("width", [20, 33, 60])
@both
def test_lines_are_broken_where_they_may_be(lang, width):
    for name in ours:
        for text in known.facts(name)[lang].values():
            lines = wrap(text, width)
            assert "".join(lines).replace(" ", "") == text.replace(" ", "")
            assert all(cell_len(line) <= width or " " not in line.replace(" %", "%") for line in lines)
            assert not any(line[0] in "，。；：、）%" for line in lines)
            assert not any(line[-1] in "（" for line in lines)
