"""Two run folders made by hand, and a page taken apart.

A Chinese classification with a `<script>` among its rows, and an instruction tuning.
"""

from __future__ import annotations

import json
import math
import random
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from weitiao.core.contracts import Judged, Section
from weitiao.core.results import VERSION
from weitiao.evaluate.analysed import analyses, in_order
from weitiao.evaluate.report import TEMPLATES

ATTACK = '<script>alert("行")</script> & <b>不错</b>'
OURS = (TEMPLATES / "rows.js.j2").read_text(encoding="utf-8").strip()
VOID = {"meta", "br", "link", "img", "input", "hr"}


def curve(primary: str, *, steps: int = 600, rng: random.Random) -> list[dict[str, Any]]:
    log: list[dict[str, Any]] = []
    for step in range(1, steps + 1):
        epoch = step / 281
        loss = 0.22 + 0.5 * math.exp(-step / 90) + rng.gauss(0, 0.05)
        rate = 2e-4 * min(step / 60, 1 - (step - 60) / 900)
        log.append({"event": "step", "step": step, "epoch": epoch, "loss": loss, "learning_rate": rate})
        if step % 50 == 0:
            loss = 0.31 + 0.4 * math.exp(-step / 90) + max(0, step - 400) * 3e-4
            score = math.exp(loss) if primary == "perplexity" else 1.2 - loss
            found = {"validation/loss": loss, f"validation/{primary}": score}
            log.append({"event": "evaluate", "step": step, "epoch": epoch, **found})
            log.append({"event": "save", "step": step, "checkpoint": f"checkpoint-{step}"})
    log.append({"event": "early_stop", "step": steps})
    log.append({"event": "end", "step": steps, "best_step": 400, "reason": "early_stop", "seconds": 150.2})
    return log


def metric(value: float, half: float) -> dict[str, float]:
    return {"value": value, "low": value - half, "high": value + half}


FACTS = {
    "weitiao": "0.1.0",
    "versions": {"torch": "2.8.0", "transformers": "5.20.1", "tokenizers": "0.23.0"},
    "machine": {"python": "3.11.9", "platform": "Linux", "cores": 2, "memory_gb": 24.0, "device": "cpu"},
    "seed": 0,
    "created": "2026-10-20T09:30:00+00:00",
    "fingerprints": {"data": "5f2b" * 16, "base": "a91c" * 16},
}
RECIPE = """\
model: {model}
task:
  name: {task}
data:
  files: [reviews.csv]
method:
  name: lora
  r: 16
  lora_alpha: 32
  target_modules: [query, value]
train:
  learning_rate: 0.0002
  num_train_epochs: 5
  per_device_train_batch_size: 32
  warmup_steps: 0.06
evaluate: {{}}
seed: 0
output_dir: runs/reviews
"""


def classification() -> dict[str, Any]:
    rng = random.Random(0)
    labels = ["差评", "中评", "好评"]
    matrix = [[438, 31, 12], [40, 301, 52], [9, 36, 457]]
    texts = [
        "物流很快，包装也好，就是味道一般。",
        ATTACK,
        "The screen is fine, but the battery is not.",
        "还行吧",
    ]
    predictions = []
    for line in range(2, 2 + 40):
        label, guess = rng.sample(labels, 2) if line % 4 else [rng.choice(labels)] * 2
        text = texts[line % len(texts)] if line != 7 else "很长的一行。" * 200
        row = {"file": "reviews.csv", "line": line, "text": text, "label": label}
        score = round(rng.uniform(0.4, 0.999), 4)
        predictions.append(
            {**row, "tuned": {"label": guess, "score": score}, "untuned": {"label": label, "score": 0.4}}
        )
    names = ("accuracy", "precision", "recall", "f1")
    return {
        "recipe.yaml": RECIPE.format(model="minilm-l6", task="text_classification"),
        "facts.json": FACTS,
        "log.jsonl": curve("accuracy", rng=rng),
        "predictions.jsonl": predictions,
        "data/ledger.json": {
            "files": [{"path": "reviews.csv", "encoding": "gb18030", "format": "csv", "rows": 9193, "sha256": "c0ffee" * 10}],
            "counts": {"kept": 9098, "duplicate": 71, "conflict": 9, "dropped": 15},
            "rows": [{"file": "reviews.csv", "line": 30 + i, "status": "duplicate", "reason": f"与第 {i + 2} 行相同"} for i in range(71)]
            + [{"file": "reviews.csv", "line": 4, "status": "dropped", "reason": "empty <text>"}],
            "labels": {
                "train": {"差评": 2310, "中评": 1702, "好评": 2810},
                "validation": {"差评": 310, "中评": 222, "好评": 368},
                "test": {"差评": 481, "中评": 393, "好评": 502},
            },
            "split": {"train": 6822, "validation": 900, "test": 1376},
            "tokens": {"limit": 512, "median": 26, "p95": 46, "max": 79, "truncated_rows": 0, "truncated_tokens": 0},
        },
        "results.json": {
            "version": VERSION,
            "task": "text_classification",
            "model": "minilm-l6",
            "method": "lora",
            "primary": "accuracy",
            "higher_is_better": True,
            "rows": 1376,
            "metrics": {
                "tuned": dict(zip(names, (metric(0.8692, 0.018), metric(0.8651, 0.018), metric(0.8633, 0.019), metric(0.8641, 0.019)), strict=True)),
                "untuned": dict(zip(names, (metric(0.3517, 0.025), metric(0.3302, 0.03), metric(0.3411, 0.03), metric(0.2988, 0.028)), strict=True)),
                "tfidf": dict(zip(names, (metric(0.8047, 0.021), metric(0.7981, 0.022), metric(0.7902, 0.022), metric(0.7931, 0.022)), strict=True)),
            },
            "comparisons": {
                "untuned": {"difference": 0.5175, "p_value": 1e-90, "test": "exact McNemar"},
                "tfidf": {"difference": 0.0647, "p_value": 0.0123, "test": "exact McNemar"},
            },
            "verdict": {"learned": True, "sentence": "微调有效：测试集 1,376 行，准确率 0.869，高于微调前的 0.352，也高于 TF-IDF 的 0.805。"},
            "sections": sections(counted(labels, matrix), predictions, labels),
            "trainable": {"trained": 664_322, "total": 22_700_000},
            "seconds": {"train": 150.2, "evaluate": 12.1},
            "usage": [
                {"title": "CLI", "code": 'weitiao predict runs/reviews "物流很快"'},
                {"title": "Python", "code": 'from weitiao import load\n\nmodel = load("runs/reviews")\nmodel("物流很快")  # <- one row'},
            ],
        },
    }  # fmt: skip


def counted(labels: list[str], matrix: list[list[int]]) -> list[dict[str, Any]]:
    """Rows without a text that make up a confusion matrix."""
    pairs = [(i, j) for i, row in enumerate(matrix) for j, count in enumerate(row) for _ in range(count)]
    return [{"label": labels[i], "tuned": {"label": labels[j], "score": 0.4}} for i, j in pairs]


def sections(rows: list[dict[str, Any]], errors: list[dict[str, Any]], labels: list[str]) -> dict[str, Any]:
    """What the judge makes of them; the errors are of rows of their own."""

    return in_order({**seen(rows, labels), "errors": seen(errors, labels)["errors"]})


def seen(rows: list[dict[str, Any]], labels: list[str]) -> dict[str, Section]:
    """Every section that the rows have."""
    shown = Judged(rows, {"tuned": [row["tuned"] for row in rows]}, labels=labels)
    return {name: analysis.section(shown) for name, analysis in analyses(shown).items()}


def again(content: dict[str, Any]) -> dict[str, Any]:
    """The run with the errors that its predictions have now."""
    found = in_order({"errors": seen(content["predictions.jsonl"], [])["errors"]})
    content["results.json"]["sections"] |= found
    return content


def sft() -> dict[str, Any]:
    rng = random.Random(1)
    files = classification()
    del files["predictions.jsonl"]
    ledger = files["data/ledger.json"]
    ledger |= {"split": {"train": 1800, "validation": 100, "test": 100}, "rows": [], "counts": {"kept": 2000}}
    del ledger["labels"]
    results = files["results.json"]
    results |= {
        "task": "sft",
        "model": "smollm2-135m",
        "primary": "perplexity",
        "higher_is_better": False,
        "rows": 100,
        "metrics": {
            "tuned": {"loss": metric(1.8312, 0.05), "perplexity": metric(6.2414, 0.32)},
            "untuned": {"loss": metric(2.6117, 0.06), "perplexity": metric(13.6221, 0.81)},
        },
        "comparisons": {"untuned": {"difference": -7.3807, "p_value": 0.0002, "test": "paired bootstrap"}},
        "verdict": {"learned": True, "sentence": "Tuning helped: perplexity on 100 held-out answers fell from 13.6 to 6.24."},
        "sections": in_order({"samples": samples()}),
    }  # fmt: skip
    row = {"file": "answers.jsonl", "line": 5, "prompt": "p", "reference": "r", "tokens": 9}
    return files | {
        "recipe.yaml": RECIPE.format(model="smollm2-135m", task="sft"),
        "log.jsonl": curve("perplexity", rng=rng),
        "predictions.jsonl": [{**row, "tuned": {"loss": 1.8}, "untuned": {"loss": 2.6}}],
    }


def samples() -> Section:
    """Two answers, before and after."""
    rows = [
        {"prompt": "Write one sentence about <script> tags & safety.", "reference": "Escape what users write."},
        {"prompt": "用一句话介绍杭州。", "reference": "杭州是浙江省省会，以西湖闻名。"},
    ]  # fmt: skip
    before = "A script tag is a tag is a tag is a tag is a tag", "杭州 is a city"
    after = (
        "Text from users must be escaped,\nor a script tag in it would run.",
        "杭州是浙江的省会，因西湖而闻名。",
    )
    systems = {
        name: [{"answer": text} for text in texts] for name, texts in (("untuned", before), ("tuned", after))
    }
    shown = Judged(rows, systems)
    return analyses(shown)["samples"].section(shown)


def write_run(folder: Path, files: dict[str, Any]) -> Path:
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".jsonl"):
            content = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in content)
        elif name.endswith(".json"):
            content = json.dumps(content)
        file.write_text(content, encoding="utf-8")
    return folder


class Page(HTMLParser):
    """A page taken apart: its text, tags, attributes, and the text under each id; unbalanced tags fail."""

    def __init__(self, source: str):
        super().__init__()
        self.source, self.open, self.tags, self.attributes, self.scripts = source, [], set(), [], []
        self.under: dict[str, str] = {"": ""}
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append((tag, dict(attrs).get("id")))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1][0] == "script":
            self.scripts.append(data.strip())
        elif self.open and self.open[-1][0] != "style":
            for name in {"", *(name for _, name in self.open if name)}:
                self.under[name] = self.under.get(name, "") + data

    def said(self, name: str = "") -> str:
        return " ".join(self.under[name].split())
