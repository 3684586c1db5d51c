"""A model card in Hugging Face's form: front matter that the hub reads, and what a reader should know.

facts of a run  ->  model_card(...)  ->  "---\\nlibrary_name: peft\\n...\\n---\\n# reviews\\n..."

https://huggingface.co/docs/hub/model-cards.  Nothing is said of a licence that nobody has stated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from weitiao.core.display import either
from weitiao.core.figures import around, figure
from weitiao.evaluate.report.numbers import number, say
from weitiao.evaluate.words import named

PIPELINES = {
    "AutoModelForSequenceClassification": "text-classification",
    "AutoModelForTokenClassification": "token-classification",
    "AutoModelForQuestionAnswering": "question-answering",
    "AutoModelForCausalLM": "text-generation",
    "AutoModelForImageTextToText": "image-text-to-text",
    "DiffusionPipeline": "text-to-image",
}
"""The hub's name of what a model of that class does."""
SECTIONS = ("slices", "temperature", "surest", "wrong_labels")
"""Of an analysis: those whose sentence says a limit."""


@dataclass(frozen=True)
class Facts:
    """What the card is made of."""

    name: str
    """Of the run, or its variant."""
    auto_class: str
    """That opens the model."""
    task: str
    method: str
    library: str
    """`transformers`, `peft`, or ours."""
    variant: str = ""
    """The folder of the run that holds the model in this form; empty for the model as it was tuned."""
    base: str = ""
    """Hub id of the base; empty where it is not known to the hub."""
    model: str = ""
    """The recipe's word for the base."""
    base_licence: str = ""
    """Where it is known."""
    files: Sequence[str] = ()
    """Of the data."""
    datasets: Sequence[str] = ()
    """Those of them that lie on the hub."""
    results: Mapping[str, Any] = field(default_factory=dict)
    """Of the locked test rows; empty where none judged."""
    remarks: Sequence[str] = ()
    analysis: Mapping[str, Any] = field(default_factory=dict)
    ledger: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0
    confidence: float = 0.95
    recipe: str = ""
    """As YAML."""


def model_card(facts: Facts) -> str:
    """The text of the card, in the language of the moment; the front matter is in the hub's words."""
    import yaml

    front = yaml.safe_dump(front_matter(facts), sort_keys=False, allow_unicode=True, width=1000)
    parts = [f"---\n{front}---", f"# {_line(facts.name)}"]
    for title, lines in (
        ("", _what(facts)),
        (either("Use", "使用"), _use(facts)),
        (either("Training data", "训练数据"), _data(facts)),
        (either("Evaluation", "评估"), _evaluation(facts)),
        (either("Limits", "局限"), _limits(facts)),
        (either("How to reproduce", "如何复现"), _again(facts)),
    ):
        parts += [f"## {title}"] * bool(title) + [*lines]
    return "\n\n".join(parts) + "\n"


def front_matter(facts: Facts) -> dict[str, Any]:
    """What the hub reads, `model-index` with the test results and their intervals included."""
    pipeline = PIPELINES.get(facts.auto_class)
    # A regression is a classifier of one class to Transformers, and none to whoever uses it.
    pipeline = None if facts.task == "text_regression" else pipeline
    found: dict[str, Any] = {"base_model": facts.base} if facts.base else {}
    found |= {"library_name": facts.library, "license": "unknown"}
    found |= {"pipeline_tag": pipeline} if pipeline else {}
    found["tags"] = ["weitiao", facts.task, facts.method]
    found |= {"datasets": [*facts.datasets]} if facts.datasets else {}
    told = _told(facts)
    if not told:
        return found
    found["metrics"] = [name for name, _ in told]
    data = {
        "type": (facts.datasets or facts.files or ["unknown"])[0],
        "name": ", ".join(facts.files) or "unknown",
    }
    metrics = []
    for name, one in told:
        metric = {"type": name, "value": one["value"], "name": name}
        if one["low"] is not None:
            args = {"low": one["low"], "high": one["high"], "confidence": facts.confidence}
            metric["args"] = {**args, "rows": one.get("rows", facts.results["rows"])}
        metrics.append(metric)
    task = {"type": pipeline or facts.task.replace("_", "-"), "name": facts.task}
    result = {"task": task, "dataset": {**data, "split": "test"}, "metrics": metrics}
    return {**found, "model-index": [{"name": facts.name, "results": [result]}]}


def _told(facts: Facts) -> list[tuple[str, Mapping[str, Any]]]:
    tuned = facts.results.get("metrics", {}).get("tuned", {})
    return [(name, one) for name, one in tuned.items() if one["value"] is not None]


def _what(facts: Facts) -> Iterator[str]:
    yield either(
        f"`{facts.model}`, tuned with the method `{facts.method}` for the task `{facts.task}` by weitiao.",
        f"`{facts.model}` 经 weitiao 以方法 `{facts.method}` 微调，任务为 `{facts.task}`。",
    )
    if facts.variant:
        yield either(
            f"This is its form `{facts.variant}`, a plain model of Transformers; what follows was measured on it.",
            f"这是其 `{facts.variant}` 形式，为普通的 Transformers 模型；下文数据均在此形式上测得。",
        )
    if facts.results:
        yield _line(facts.results["verdict"]["sentence"])
    if facts.base_licence:
        yield either(f"The base's licence: {facts.base_licence}.", f"基座模型的许可：{facts.base_licence}。")


def _use(facts: Facts) -> Iterator[str]:
    for way in facts.results.get("usage", ()):
        yield f"{_line(way['title'])}:\n\n```\n{way['code']}\n```"
    yield either(
        "Meant for rows like those it was trained and tested on; what it does on others nobody has measured here.",
        "适用于与训练、测试数据同类的数据；在其他数据上的表现此处未作测量。",
    )


def _data(facts: Facts) -> Iterator[str]:
    if facts.files:
        yield either("Files: ", "文件：") + ", ".join(f"`{name}`" for name in facts.files)
    split, counts = facts.ledger.get("split", {}), facts.ledger.get("counts", {})
    if split:
        yield _table(
            [either("side", "部分"), either("rows", "行数")],
            [[named(side), number(rows)] for side, rows in split.items()],
        )
    if counts:
        every = ", ".join(f"{number(rows)} {named(status)}" for status, rows in counts.items())
        yield either(f"What became of every row that was read: {every}.", f"所读取各行的去向：{every}。")
    labels = facts.ledger.get("labels", {}).get("train", {})
    if labels:
        yield either("Training rows by label: ", "训练数据的类别分布：") + ", ".join(
            f"{_line(label)} {number(rows)}" for label, rows in labels.items()
        )


def _evaluation(facts: Facts) -> Iterator[str]:
    if not facts.results:
        yield either("Not judged: no test rows were set aside.", "未评估：没有留出测试数据。")
        return
    systems = facts.results["metrics"]
    percent = f"{100 * facts.confidence:g} %"
    rows = number(facts.results["rows"])
    yield either(
        f"On {rows} locked test rows, with {percent} intervals:",
        f"在 {rows} 行锁定的测试数据上，附 {percent} 区间：",
    )
    yield _table(
        ["", *(named(system) for system in systems)],
        [
            [named(name), *(_cell(systems[system].get(name)) for system in systems)]
            for name in systems["tuned"]
        ],
    )


def _cell(found: Mapping[str, Any] | None) -> str:
    if not found or found["value"] is None:
        return "-"
    return f"{figure(found)} ({around(found)})" if found["low"] is not None else figure(found)


def _limits(facts: Facts) -> Iterator[str]:
    sections = facts.analysis.get("sections", {})
    said = [
        f"{say(sections[name]['title'])}{either(': ', '：')}{say(sections[name]['foot'])}"
        for name in SECTIONS
        if name in sections and sections[name]["foot"]
    ]
    said += facts.remarks
    said.append(
        either("Nobody has looked for biases beyond the slices named here.", "除上述切片外，未考察其他偏差。")
    )
    yield "\n".join(f"- {_line(line)}" for line in said)


def _again(facts: Facts) -> Iterator[str]:
    if facts.versions:
        every = ", ".join(f"{name} {version}" for name, version in facts.versions.items())
        yield either(f"Seed {facts.seed}; {every}.", f"种子 {facts.seed}；{every}。")
    yield either(
        "`weitiao train recipe.yaml` with this recipe:", "用以下配方运行 `weitiao train recipe.yaml`："
    )
    yield f"```yaml\n{facts.recipe.strip()}\n```"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(_line(cell).replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def _line(text: str) -> str:
    """On one line, whatever a user has called something."""
    return " ".join(str(text).split())
