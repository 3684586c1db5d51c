"""What is typed and is no command: typer's errors as ours, with a code, in the reader's language.

`weitiao train --learning_rate 1e-4 r.yaml`  ->  [wrong_usage] weitiao train has no option --learning_rate.
                                                 Way out: write train.learning_rate=VALUE behind the recipe ...
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from weitiao.core.errors import WeitiaoError, did_you_mean, fault, nearest
from weitiao.core.why import because, reasons, why

UsageError: Any = typer.BadParameter.__mro__[1]
"""Whatever is wrong with words; its home is not the same in all versions of typer."""
Stopped = typer.Abort
"""Ctrl-C, or the end of an input that was asked for."""


def unknown_verb(word: str, *, path: str, verbs: Sequence[str]) -> WeitiaoError:
    """The error for a word that is no verb; a file in its place is told what to do with it."""
    from weitiao.core.read_yaml import TABLES

    ending = Path(word).suffix.lower()
    if ending in (".yaml", ".yml"):
        return fault("wrong_usage", **because("recipe_for_verb", path=path, word=word))
    if ending in TABLES:
        return fault("wrong_usage", **because("table_for_verb", path=path, word=word))
    hint = did_you_mean(word, verbs)
    return fault("wrong_usage", **because("unknown_verb", path=path, word=word, hint=hint))


def understood(error: Any) -> WeitiaoError:
    """One of typer's errors as ours.

    Args:
        error: a `UsageError`.  What it holds of the case is used, its English sentence only where nothing else is.
    """
    verb = error.ctx.command_path if error.ctx else "weitiao"
    option, param = getattr(error, "option_name", ""), getattr(error, "param", None)
    if type(error).__name__ == "NoSuchOption":
        return _no_such_option(option, error.ctx, verb)
    if option:
        kind = "option_needs_value" if "requires" in error.message else "option_takes_none"
        return fault("wrong_usage", **because(kind, option=option))
    if param is not None:
        name = param.opts[0] if param.param_type_name == "option" else param.name
        if type(error).__name__ == "MissingParameter":
            needs = " ".join(error.ctx.command.collect_usage_pieces(error.ctx))
            return fault("wrong_usage", **because("word_missing", name=name, verb=verb, needs=needs))
        found = error.__cause__
        if hasattr(found, "errors") and found.errors()[0]["type"] in reasons():
            one = found.errors()[0]
            facts = {"name": name, "value": one["input"], "why": why(one), "verb": verb}
            return fault("wrong_usage", **because("unfit_option", **facts))
    says = error.format_message().rstrip(".")
    if "unexpected extra argument" in says:
        words = says.partition("(s) (")[2].removesuffix(")") or says.rpartition("(")[2].removesuffix(")")
        return fault("wrong_usage", **because("words_too_many", verb=verb, words=words))
    return fault("wrong_usage", **because("typer_says", verb=verb, says=says))


def _no_such_option(option: str, ctx: Any, verb: str) -> WeitiaoError:
    """With the option that is meant, or the recipe's key where the verb takes those."""
    params = ctx.command.params if ctx else []
    known = [name for one in params if one.param_type_name == "option" for name in one.opts]
    near = nearest(option, known)
    key = "" if near or all(one.name != "overrides" for one in params) else _key(option)
    if key:
        return fault("wrong_usage", **because("option_for_key", option=option, verb=verb, key=key))
    return fault(
        "wrong_usage",
        **because(
            "no_such_option", option=option, verb=verb, hint=did_you_mean(option, [near] if near else [])
        ),
    )


def _key(option: str) -> str:
    """The key of a recipe that `--learning-rate` or `--lora_r` is; empty when there is none of that name."""
    from weitiao.core import registry
    from weitiao.core.recipe import known_keys
    from weitiao.core.unfit import meant

    word = option.lstrip("-").replace("-", "_")
    answer = meant(word, (), known_keys(), shelved=registry.keys).removeprefix(" -> ")
    key = answer.partition(" ")[0].partition("（")[0]
    return key if key in known_keys() or key.startswith(("method.", "task.")) else ""
