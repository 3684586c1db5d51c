"""What a run took, what lies in it, and how it is made again, for its page.

cost(folder, log)          {"steps": 40, "tokens": 17_812, "memory_mb": 1163.0, "energy_j": None, ...}
files(folder / "model")    [{"name": "adapter_model.safetensors", "size": "1.3 MB"}, ...]
again(folder, facts)       "weitiao train runs/reviews/recipe.yaml output_dir=runs/reviews-again"
learnt(folder, facts)      the curve of learning-curve/, if one of this run lies there
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import Any

from weitiao.core.contracts import both
from weitiao.core.contracts.section import Curve, Line
from weitiao.core.run import RunFolder
from weitiao.evaluate.report import drawn
from weitiao.evaluate.report.numbers import size
from weitiao.evaluate.report.side_by_side import called

CURVE = "learning-curve"


def cost(log: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What training took, summed over the steps of the log, those before a resume included; None where it does not say.

    Args:
        log: the lines of `log.jsonl`.
    """
    steps = [line for line in log if line.get("event") == "step"]
    end: Mapping[str, Any] = next((line for line in reversed(log) if line.get("event") == "end"), {})

    def summed(name: str) -> Any:
        # A run that went on with another version may have told of some steps alone: a part is no sum.
        return sum(line[name] for line in steps) if steps and all(name in line for line in steps) else None

    return {
        "steps": len(steps) or None,
        "rows": summed("rows"),
        "tokens": summed("tokens"),
        "seconds": summed("seconds"),
        "memory_mb": end.get("peak_memory_mb"),
        "gpu_memory_mb": end.get("peak_gpu_memory_mb"),
        "energy_j": summed("energy_j"),
    }


def files(model: Path) -> list[dict[str, str]]:
    """The files of a model, by name, and how large each is."""
    there = sorted(path for path in model.rglob("*") if path.is_file()) if model.is_dir() else []
    return [{"name": path.relative_to(model).as_posix(), "size": size(path.stat().st_size)} for path in there]


def again(folder: Path, facts: Mapping[str, Any]) -> str:
    """The lines that make a run anew beside it: its recipe has every default, and names files as from where it began."""
    began = facts.get("cwd")
    elsewhere = began is not None and Path(began).resolve() != Path.cwd().resolve()
    run = folder.resolve() if elsewhere else folder
    line = f"weitiao train {quote(str(run / 'recipe.yaml'))} output_dir={quote(f'{run}-again')}"
    return f"cd {quote(str(began))}\n{line}" if elsewhere else line


def learnt(folder: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The sentence and the curve of a learning curve that lies in the run; empty where none of this very run does.

    Args:
        folder: of the run.
        facts: its `facts.json`, by which a curve of an earlier run in the same folder is known.
    """
    found = RunFolder(folder / CURVE).json(f"{CURVE}.json")
    if not found or found.get("facts") != facts:
        return {}
    points = [
        (point["rows"], point["validation"])
        for point in found["points"]
        if (point["validation"] or {}).get("value") is not None
    ]
    told: dict[str, Any] = {"sentence": found["sentence"], "rows": found["validation_rows"]}
    if len(points) < 2:
        return {**told, "curve": None}
    x, values = [rows for rows, _ in points], [score for _, score in points]
    ends = [[value[end] for value in values] for end in ("low", "high")]
    whole = all(end is not None for each in ends for end in each)
    line = Line(
        name=both("validation", "验证"),
        x=x,
        y=[value["value"] for value in values],
        low=ends[0] if whole else None,
        high=ends[1] if whole else None,
    )
    curve = Curve(
        title=both("Learning curve", "学习曲线"),
        x=both("training rows", "训练行数"),
        y=called(found["metric"]),
        lines=[line],
    )
    plain = curve.model_dump(exclude_none=True)
    return {**told, "curve": plain, "drawn": drawn.curve(plain)}
