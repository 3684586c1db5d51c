"""The files by which sentence-transformers knows how vectors are made: written beside a tuned model, and read beside a base.

    written("mean", normalize=True, prompts={...}, width=384, limit=128)  ->  {"modules.json": [...], "1_Pooling/config.json": ...}
    read(file, ref="bge-small")                                           ->  Told("cls", True, {"query": "..."}), or None

`file` gives what a JSON file of the base says by its name, or None where it is not there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from weitiao.core.errors import fault

MODES = {"cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens", "last": "lasttoken"}
"""Our names of how vectors are pooled -> those of `pooling_mode_...`."""
SHORT = {"cls": "cls", "mean": "mean", "max": "max", "lasttoken": "last"}
"""What `pooling_mode` holds from sentence-transformers 6 on -> our names."""
SETTINGS = "config_sentence_transformers.json"


@dataclass(frozen=True)
class Told:
    """How a base makes its vectors."""

    pooling: str = "mean"
    normalize: bool = True
    prompts: Mapping[str, str] = field(default_factory=dict)
    """What stands before a text, by what the text is for."""
    usual: str = ""
    """What stands before a text of which nobody says what it is for."""
    foreign: str = ""
    """What of it has no word here: another pooling, another module; empty where all of it has."""

    def prompt(self, *names: str) -> str:
        """The first of these prompts that there is; else the usual one."""
        return next((self.prompts[name] for name in names if name in self.prompts), self.usual)


def written(
    pooling: str, *, normalize: bool, prompts: Mapping[str, str], width: int, limit: int
) -> dict[str, Any]:
    """The files, by their names.

    Args:
        pooling: one of `MODES`.
        normalize: are vectors made 1 long?
        prompts: what stands before a text, by what the text is for.
        width: numbers of a vector.
        limit: tokens of the longest text.
    """
    kinds = ["Transformer", "Pooling", *(["Normalize"] if normalize else [])]
    modules = [
        {
            "idx": place,
            "name": str(place),
            "path": f"{place}_{kind}" if place else "",
            "type": f"sentence_transformers.models.{kind}",
        }
        for place, kind in enumerate(kinds)
    ]
    modes = {f"pooling_mode_{mode}": pooling == name for name, mode in MODES.items()}
    return {
        "modules.json": modules,
        "1_Pooling/config.json": {"word_embedding_dimension": width, **modes},
        "sentence_bert_config.json": {"max_seq_length": limit, "do_lower_case": False},
        SETTINGS: {"prompts": dict(prompts), "default_prompt_name": None, "similarity_fn_name": "cosine"},
    }


def read(file: Callable[[str], Any], *, ref: str) -> Told | None:
    """How a base makes its vectors; None where it does not say so.

    Raises:
        WeitiaoError: `unreadable_model` where its files do not hold what they should.
    """
    try:
        modules = file("modules.json")
        if modules is None:
            return None
        kinds = {module["type"].rpartition(".")[2]: module["path"] for module in modules}
        pools = file(f"{kinds['Pooling']}/config.json") if "Pooling" in kinds else None
        said = file(SETTINGS) or {}
        prompts = {name: text for name, text in (said.get("prompts") or {}).items() if text}
        usual = prompts.get(said.get("default_prompt_name"), "")
        pooling, foreign = _pooling(pools or {})
        others = sorted(set(kinds) - {"Transformer", "Pooling", "Normalize"})
        return Told(pooling, "Normalize" in kinds, prompts, usual, ", ".join([*foreign, *others]))
    except (AttributeError, KeyError, TypeError) as error:
        raise fault("unreadable_model", ref=ref, why=f"modules.json: {error!r}") from error


def _pooling(said: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Our name of it, and what of it has none."""
    if modes := said.get("pooling_mode"):
        named = [modes] if isinstance(modes, str) else list(modes)
        found = [SHORT.get(mode, "") for mode in named]
    else:
        named = [key for key, on in said.items() if key.startswith("pooling_mode_") and on is True]
        ours = {f"pooling_mode_{mode}": name for name, mode in MODES.items()}
        found = [ours.get(mode, "") for mode in named]
    foreign = [] if said.get("include_prompt", True) else ["include_prompt: false"]
    if not named:
        return "mean", foreign
    if len(found) == 1 and found[0]:
        return found[0], foreign
    return "mean", [" + ".join(named), *foreign]
