"""Settings of methods and tasks are checked one by one, go out and come back, and lead from other names to ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pytest
import yaml
from pydantic import Field

from tests.core.test_recipe import refused
from weitiao.core import registry
from weitiao.core.errors import WeitiaoError
from weitiao.core.renamed import METHODS


@pytest.fixture
def shelf(monkeypatch):
    """The method shelf, put back as it was at the end."""
    registry.names("method")
    monkeypatch.setattr(
        registry, "_entries", {name: dict(kinds) for name, kinds in registry._entries.items()}
    )
    yield
    registry._fill.cache_clear()


@dataclass(frozen=True)
class Toy:
    """A method with settings, for the shelf alone."""

    r: Annotated[int, Field(ge=1)] = 4
    modules: str | list[str] = "all"
    bits: int = 16


def test_settings_are_checked_one_by_one(shelf):
    registry.register("method", "toy")(Toy)
    assert registry.build("method", {"name": "toy", "r": 8, "modules": ["a"]}) == Toy(r=8, modules=["a"])
    with refused("unknown_key", '"method.modulse"', 'Did you mean "modules"', "r, modules, bits"):
        registry.build("method", {"name": "toy", "modulse": 1})
    with refused("unknown_key", '"method.lora_rank"', "-> method\\.r"):
        registry.build("method", {"name": "toy", "lora_rank": 1})
    with refused("unknown_key", '"method.alpha" is not a key of the recipe\\.\n'):
        registry.build("method", {"name": "toy", "alpha": 1})  # ours would be lora_alpha, which Toy has not
    with refused("wrong_value", "method.r: 0", "greater than or equal to 1"):
        registry.build("method", {"name": "toy", "r": 0})
    with refused("wrong_value", "method.modules: 3", "a text", "a list"):
        registry.build("method", {"name": "toy", "modules": 3})


def test_a_preset_is_a_default_that_the_recipe_may_change(shelf):
    registry.register("method", "qtoy", bits=4)(Toy)
    assert registry.build("method", {"name": "qtoy"}) == Toy(bits=4)
    assert registry.build("method", {"name": "qtoy", "bits": 8, "r": 2}) == Toy(r=2, bits=8)


def test_settings_go_out_and_come_back(shelf):
    registry.register("method", "toy")(Toy)
    written = registry.settings_of("toy", Toy(r=3, modules=["a", "b"]))
    assert written == {"name": "toy", "r": 3, "modules": ["a", "b"], "bits": 16}
    assert registry.build("method", yaml.safe_load(yaml.safe_dump(written))) == Toy(r=3, modules=["a", "b"])


@pytest.mark.parametrize("shelf_name", ["method", "task"])
def test_everything_on_the_shelves_is_built_from_its_name_alone(shelf_name):
    for name in registry.names(shelf_name):
        thing = registry.build(shelf_name, {"name": name})
        assert registry.build(shelf_name, registry.settings_of(name, thing)) == thing


def test_an_unknown_name_is_answered_with_the_nearest():
    with refused("unknown_name", "no method", '"loar"', 'Did you mean "lora"'):
        registry.build("method", {"name": "loar"})
    with refused("unknown_name", "no task", "sft"):
        registry.build("task", {})


class Point:
    """An entry point of an installed package."""

    def __init__(self, load):
        self.load = load


def test_an_installed_package_brings_a_method(shelf, monkeypatch):
    asked = []

    def entry_points(*, group):
        asked.append(group)
        return [Point(lambda: registry.register("method", "theirs", r=7)(Toy))]

    monkeypatch.setattr(registry, "entry_points", entry_points)
    registry._fill.cache_clear()
    assert "theirs" in registry.names("method")
    assert "lora" in registry.names("method")
    assert registry.build("method", {"name": "theirs"}) == Toy(r=7)
    assert asked == ["weitiao.method"]


@pytest.mark.parametrize("word", METHODS)
def test_what_methods_are_called_elsewhere_leads_to_ours(word):
    """The answer names a method of the shelf, and the settings that it names are that method's."""
    with pytest.raises(WeitiaoError, match="unknown_name") as caught:
        registry.build("method", {"name": word.upper()})
    assert f"-> {METHODS[word]}" in str(caught.value)
    ours, _, settings = METHODS[word].partition(" with ")
    if not METHODS[word].startswith("a task"):
        given = dict(pair.split(": ") for pair in settings.split(", ")) if settings else {}
        registry.build("method", {"name": ours, **{k: read_value(v) for k, v in given.items()}})


def read_value(text: str):
    import yaml

    return yaml.safe_load(text)
