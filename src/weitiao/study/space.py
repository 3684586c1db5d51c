"""What a search may change: keys of the recipe, with the values that are tried.

    {"train.learning_rate": {low: 1e-5, high: 1e-3, log: true}, "method": ["lora", "head"]}  ->  asked(...)  ->  [Dimension, ...]
    ["train.learning_rate=1e-5..1e-3:log", "method=lora,head"]                               ->  spelt(...)  ->  the same mapping
    nothing                                                                                  ->  usual(recipe)
    recipe, {"train.learning_rate": 3e-4, "method": "head"}                                  ->  set_to(...)  ->  the recipe of a trial

Distributions are called as Optuna calls them.  A setting of a method is there for those methods alone that have it, and
what has a `when` where another key has one of these values: it is then in no other trial, nor in what is told of it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from weitiao.core import registry
from weitiao.core.contracts import Method
from weitiao.core.errors import did_you_mean, fault
from weitiao.core.read_yaml import typed
from weitiao.core.recipe import DEFAULT_METHOD, Recipe, known_keys
from weitiao.core.why import reason
from weitiao.study import architecture, methods_asked

KINDS = ("float", "int", "categorical")
PARTS = ("type", "low", "high", "log", "step", "choices", "when")
FIXED = ("task.name", "evaluate", "search", "seed", "output_dir", "train.metric_for_best_model")
"""Keys by which trials are compared, or that say what is learnt."""
DATA = ("augment", "weights", "max_length", "max_windows", "overlong")
"""Keys of `data` that leave every row on its side."""
LENGTH = ("train.num_train_epochs", "train.max_steps")
"""Keys that say how long a trial is."""
MOVING = (
    "train.learning_rate",
    "train.weight_decay",
    "train.max_grad_norm",
    "train.label_smoothing_factor",
    "train.neftune_noise_alpha",
    "train.dropout",
    "train.adam_beta1",
    "train.adam_beta2",
    "train.adam_epsilon",
    "train.momentum",
    "train.head_learning_rate_ratio",
    "train.layerwise_lr_decay",
)
"""Keys that may change while a run is on its way: neither its weights nor the order of its rows hang on them."""
DIGITS = 4
"""Of a proposed number: more are nobody's choice."""
AROUND = 10.0
"""The usual learning rates go from the method's own divided by this to it times this."""
COARSE = 3
"""Points of a range that a grid takes where no step is given."""


@dataclass(frozen=True)
class Dimension:
    """One key and the values that are tried."""

    key: str
    kind: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    step: float | None = None
    choices: Mapping[str, Any] = field(default_factory=dict)
    """What a value is called -> the value."""
    when: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    """Key -> values of it, one of which it must have."""

    @property
    def name(self) -> str:
        """What Optuna calls it: where a key has several ranges, each is a parameter of its own."""
        under = ",".join(f"{key}={'|'.join(map(str, values))}" for key, values in self.when.items())
        return f"{self.key}[{under}]" if under else self.key

    def there(self, chosen: Mapping[str, Any]) -> bool:
        """Does a trial with these values, of the keys before this one, have it?"""
        return all(chosen.get(key) in values for key, values in self.when.items())

    def holds(self, value: Any) -> bool:
        """Is it one of the values that are tried?"""
        if self.kind == "categorical":
            return value in self.choices.values()
        numeric = isinstance(value, int | float) and not isinstance(value, bool)
        return numeric and self.low <= value <= self.high

    def near(self, value: float, rng: Random) -> float:
        """A number around this one: two thirds of them less than a sixth of the range away."""
        while True:  # at an end of the range one draw in two lies outside
            away = rng.gauss(0, 1 / 6)
            drawn = (
                value * (self.high / self.low) ** away if self.log else value + (self.high - self.low) * away
            )
            if self.step:
                drawn = self.low + self.step * round((drawn - self.low) / self.step)
            drawn = round(drawn) if self.kind == "int" else drawn
            if self.low <= drawn <= self.high:
                return drawn

    def dealt(self, number: int, seed: str) -> Any:
        """The choice of this trial: of so many trials as there are choices each has another one, in an order of chance."""
        values = list(self.choices.values())
        turn, place = divmod(number, len(values))
        return Random(f"{seed}/{self.name}/{turn}").sample(values, len(values))[place]

    def points(self) -> list[Any]:
        """The values that a grid takes: those of the steps, or some, evenly from end to end."""
        if self.kind == "categorical":
            return list(self.choices.values())
        if self.step or (self.kind == "int" and not self.log and self.high - self.low < COARSE):
            count = math.floor((self.high - self.low) / (self.step or 1) + 1e-9) + 1
            found = [self.low + (self.step or 1) * at for at in range(count)]
        elif self.log:
            ratio = self.high / self.low
            found = [self.low * ratio ** (at / (COARSE - 1)) for at in range(COARSE)]
        else:
            found = [self.low + (self.high - self.low) * at / (COARSE - 1) for at in range(COARSE)]
        # 1e-3 as a person writes it, not as a power comes out.
        return [round(each) if self.kind == "int" else float(f"{each:.12g}") for each in found]

    @property
    def told(self) -> dict[str, Any]:
        """As it stands in a recipe."""
        ends = {"low": self.low, "high": self.high, "log": self.log, "step": self.step}
        values = {"choices": list(self.choices)} if self.kind == "categorical" else ends
        conditions = {"when": {key: list(each) for key, each in self.when.items()}} if self.when else {}
        return {"key": self.key, "type": self.kind, **values, **conditions}


def spelt(words: Sequence[str]) -> dict[str, Any]:
    """`key=low..high:log`, `key=low..high:step=4`, `key=a,b,c`; `architecture` alone.

    Raises:
        WeitiaoError: `bad_space`.
    """
    space: dict[str, Any] = {}
    for word in words:
        if word == architecture.WORD:
            space[word] = "usual"
            continue
        key, equals, text = word.partition("=")
        if not (key and equals and text) or key in space:
            raise fault("bad_space", key=word, why=reason("space_word"))
        low, dots, rest = text.partition("..")
        if not dots:
            parts = methods_asked.cut(text, ",")
            space[key] = parts if key == "method" else [typed(part) for part in parts]
            continue
        high, *more = rest.split(":")
        found: dict[str, Any] = {"low": typed(low), "high": typed(high)}
        for each in more:
            name, _, value = each.partition("=")
            found[name] = typed(value) if value else True if name == "log" else None
        space[key] = found
    return space


def asked(space: Mapping[str, Any], recipe: Recipe, *, whole: bool, moving: bool = False) -> list[Dimension]:
    """The dimensions of a space, every one of which was tried in the recipe.

    Args:
        space: key -> values, as a recipe has it.
        recipe: what is searched around.
        whole: does the way of searching compare trials before their end, so that all must be equally long?
        moving: does it change settings of trials that are on their way?

    Raises:
        WeitiaoError: `unknown_key`, `space_key_fixed`, `bad_space`, and what reading a recipe with such a value raises.
    """
    found = [
        one for key, given in sorted(space.items(), key=_order) for one in _read(key, given, space, recipe)
    ]
    for one in found:
        why = _fixed(one.key, whole=whole, moving=moving)
        if why:
            raise fault("space_key_fixed", key=one.key, why=why)
    for one in found:
        ends = one.choices.values() if one.kind == "categorical" else (one.low, one.high)
        for end in ends:
            chosen = {key: values[0] for key, values in one.when.items()}
            _tried(set_to(recipe, {**chosen, one.key: round(end) if one.kind == "int" else end}))
    return found


def usual(recipe: Recipe, *, whole: bool, moving: bool = False) -> dict[str, Any]:
    """The space that suits the recipe's method, where nobody says.

    Args:
        recipe: resolved.
        whole: as for `asked`.
        moving: as for `asked`.
    """
    train, method = recipe.train, recipe.method["name"]
    rate, size = train.learning_rate or 0.0, train.per_device_train_batch_size  # `resolve` saw to the rate
    space: dict[str, Any] = {
        "train.learning_rate": {"low": rate / AROUND, "high": rate * AROUND, "log": True},
        "train.per_device_train_batch_size": sorted({max(1, size // 2), size, size * 2}),
    }
    if not whole and train.max_steps is None:
        space["train.num_train_epochs"] = {"low": 1, "high": max(2, round(2 * train.num_train_epochs))}
    kind: type[Method] = registry.entry("method", method).kind
    space |= {f"method.{key}": values for key, values in kind.space.items()}
    return {key: values for key, values in space.items() if not moving or key in MOVING}


def set_to(recipe: Recipe, values: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe with these values as a tree; another method takes none of the settings of the recipe's own."""
    tree = recipe.model_dump(mode="json")
    for key in sorted(values, key=lambda each: each != "method"):
        value, node = values[key], tree
        if key == "method":
            tree["method"] = methods_asked.spelt(value)
            continue
        *sections, last = key.split(".")
        for name in sections:
            node = node.setdefault(name, {})
        node[last] = value
    return tree


def of(recipe: Recipe, key: str) -> Any:
    """The recipe's own value of a key."""
    if key == "method":
        own = recipe.method
        # As short as it would be spelt in a space, which it may be one of.
        usual = registry.defaults(registry.entry("method", own["name"]))
        return methods_asked.called(
            {name: value for name, value in own.items() if name == "name" or value != usual.get(name)}
        )
    node: Any = recipe.model_dump(mode="json")
    if key.startswith("method."):
        return registry.settings_of(recipe.method["name"], registry.build("method", recipe.method)).get(
            key.removeprefix("method.")
        )
    for name in key.split("."):
        node = node.get(name) if isinstance(node, Mapping) else None
    return node


def grid(dimensions: Sequence[Dimension]) -> Iterator[dict[str, Any]]:
    """Every setting of the points of all dimensions, each once: what a setting does not have doubles none."""
    seen = set()
    for values in itertools.product(*(one.points() for one in dimensions)):
        chosen: dict[str, Any] = {}
        named: dict[str, Any] = {}
        for one, value in zip(dimensions, values, strict=True):
            if one.there(chosen):
                chosen[one.key] = named[one.name] = value
        mark = repr(named)
        if mark not in seen:
            seen.add(mark)
            yield named


def _order(item: tuple[str, Any]) -> tuple[bool, bool, str]:
    """What others hang on comes first."""
    key, given = item
    return key != "method", isinstance(given, Mapping) and "when" in given, key


def _read(key: str, given: Any, space: Mapping[str, Any], recipe: Recipe) -> Iterator[Dimension]:
    _known(key, space, recipe)
    parts = dict(given) if isinstance(given, Mapping) else {"choices": given}
    if odd := [part for part in parts if part not in PARTS]:
        raise fault("bad_space", key=key, why=reason("space_part", part=odd[0], known=", ".join(PARTS)))
    when = {
        name: tuple(values) if isinstance(values, list) else (values,)
        for name, values in (parts.pop("when", None) or {}).items()
    }
    if strange := [name for name in when if name not in space]:
        raise fault("bad_space", key=key, why=reason("space_when", key=strange[0]))
    if key.startswith("method.") and "method" in space and "method" not in when:
        setting = key.removeprefix("method.")
        when["method"] = tuple(word for word in _words(space["method"]) if setting in _settings(word))
    if "choices" in parts:
        values = parts["choices"]
        if key == "method" and isinstance(values, list):
            values = _words(values)
        if not isinstance(values, list) or not values:
            raise fault("bad_space", key=key, why=reason("space_choices"))
        yield Dimension(key, "categorical", choices={_called(one): one for one in values}, when=when)
    else:
        yield _range(key, parts, when)


def _range(key: str, parts: Mapping[str, Any], when: Mapping[str, tuple[Any, ...]]) -> Dimension:
    low, high, step = (_number(parts.get(name)) for name in ("low", "high", "step"))
    numbers = [one for one in (low, high, step) if one is not None]
    if low is None or high is None or not all(isinstance(one, int | float) for one in numbers) or low > high:
        raise fault("bad_space", key=key, why=reason("space_ends"))
    whole = all(isinstance(one, int) for one in numbers)
    kind = parts.get("type") or ("int" if whole else "float")
    log = bool(parts.get("log", False))
    if kind not in KINDS[:2] or (log and low <= 0) or (log and step) or (step is not None and step <= 0):
        raise fault("bad_space", key=key, why=reason("space_range"))
    return Dimension(key, kind, low, high, log, step, when=when)


def _number(value: Any) -> Any:
    """A number, also where YAML has read 1e-4, which has no point, as a text."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _words(given: Any) -> list[str]:
    """Methods that are tried, each as one word."""
    listed = given.get("choices", ()) if isinstance(given, Mapping) else given
    return [methods_asked.called(one) if isinstance(one, Mapping) else str(one) for one in listed]


def _settings(word: str) -> list[str]:
    name = methods_asked.spelt(word)["name"]
    return registry.settings(registry.entry("method", name).kind)


def _called(value: Any) -> str:
    return value if isinstance(value, str) else methods_asked.shown(value)


def _known(key: str, space: Mapping[str, Any], recipe: Recipe) -> None:
    """Is it a key of the recipe, or a setting of a method that is tried or a task?

    Raises:
        WeitiaoError: `unknown_key`, `unknown_name`.
    """
    words = _words(space["method"]) if "method" in space else [recipe.method.get("name", DEFAULT_METHOD)]
    own = {f"method.{each}" for word in words for each in _settings(word)}
    task = registry.settings(registry.entry("task", recipe.task["name"]).kind)
    known = {*known_keys(), *own, *(f"task.{each}" for each in task)} - {"task", "data", "train", "evaluate"}
    if key not in known:
        names = ", ".join(sorted(own)) if key.startswith("method.") else ", ".join(Recipe.model_fields)
        raise fault("unknown_key", key=f"search.space.{key}", hint=did_you_mean(key, known), known=names)


def _fixed(key: str, *, whole: bool, moving: bool) -> str:
    """Why it may not differ between trials; empty where it may."""
    section, _, rest = key.partition(".")
    if key in FIXED or section in ("evaluate", "search") or key.startswith("train.eval_"):
        return reason("space_compares")
    if section == "data" and rest not in DATA:
        return reason("space_rows")
    if whole and key in LENGTH:
        return reason("space_length")
    return reason("space_moving", known=", ".join(MOVING)) if moving and key not in MOVING else ""


def _tried(tree: Mapping[str, Any]) -> None:
    """A value that the recipe cannot have is told before the first trial."""
    asked = Recipe.read(tree)
    task, method = registry.build("task", asked.task), registry.build("method", asked.method)
    if why := method.refuses(task):
        way = reason("leave_method_out")
        raise fault("no_such_pair", method=asked.method["name"], task=asked.task["name"], why=why, way=way)
