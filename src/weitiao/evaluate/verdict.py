"""Did it learn?  One sentence that the numbers bear out.

results  ->  verdict(results)  ->  {"learned": True, "sentence": "..."}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weitiao.core.errors import language

SAYS = {
    "en": {
        "learned": "It learned: {name} went from {before} to {after} on {rows} unseen rows",
        "not": "No gain is proven: {name} is {after} after tuning and {before} before, on {rows} unseen rows",
        "alone": "{name} is {after} on {rows} unseen rows; the untuned model was not judged",
        "above": ", clearly better than the baseline's {value}.",
        "level": "; the difference to the baseline's {value} is within chance.",
        "below": "; the baseline does better with {value}: prefer it, or train longer.",
        "end": ".",
    },
    "zh": {
        "learned": "学到了：在 {rows} 行未见过的数据上，{name} 由 {before} 变为 {after}",
        "not": "未证明有提升：在 {rows} 行未见过的数据上，微调后 {name} 为 {after}，之前为 {before}",
        "alone": "在 {rows} 行未见过的数据上 {name} 为 {after}；未评估微调前的模型",
        "above": "，明显优于基线的 {value}。",
        "level": "；与基线 {value} 的差异在偶然范围内。",
        "below": "；基线更好（{value}）：可直接使用基线，或延长训练。",
        "end": "。",
    },
}


def verdict(results: Mapping[str, Any], *, confidence: float) -> dict[str, Any]:
    """`learned` is true when tuned beats untuned on the same rows beyond chance (p below 1 - confidence)."""
    says, name = SAYS[language()], results["primary"]
    values = {system: metrics[name]["value"] for system, metrics in results["metrics"].items()}
    shown = {system: f"{value:.3f}" for system, value in values.items()}

    def against(other: str) -> str:
        sign = 1 if results["higher_is_better"] else -1
        if results["comparisons"][other]["p_value"] >= 1 - confidence:
            return "level"
        return "above" if sign * (values["tuned"] - values[other]) > 0 else "below"

    learned = against("untuned") == "above" if "untuned" in values else None
    kind = "alone" if learned is None else "learned" if learned else "not"
    sentence = says[kind].format(
        name=name, before=shown.get("untuned"), after=shown["tuned"], rows=results["rows"]
    )
    baseline = next((system for system in values if system not in ("tuned", "untuned")), None)
    ending = says["end"] if baseline is None else says[against(baseline)]
    return {"learned": learned, "sentence": sentence + ending.format(value=shown.get(baseline or ""))}
