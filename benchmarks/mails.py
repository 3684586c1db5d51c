"""Long raw e-mails whose class is spread over the whole text, and what each way of reading them scores.

    python -m benchmarks.mails [ROWS] [WAY ...]  ->  a line a way: accuracy, tokens of the training, seconds

The mails are made: headers, plain words, HTML, quoted-printable, texts read in the wrong encoding, base64 at the end.
Every third sentence or so leans to one class, and one in six of these to the wrong one, so that a few of them prove
little and all of them much.  `tfidf` is the baseline that each run is judged beside; it reads whole mails.
"""

from __future__ import annotations

import base64
import csv
import quopri
import random
import sys
import tempfile
from pathlib import Path

LEANS = {
    "spam": [
        "offer",
        "prize",
        "winner",
        "discount",
        "guarantee",
        "bonus",
        "cheap",
        "credit",
        "miracle",
        "investment",
        "exclusive",
        "lottery",
    ],
    "ham": [
        "agenda",
        "minutes",
        "patch",
        "review",
        "deadline",
        "invoice",
        "lecture",
        "colleague",
        "draft",
        "schedule",
        "meeting",
        "report",
    ],
}
OPENINGS = [
    "we saw",
    "they sent",
    "please see",
    "last week came",
    "here follows",
    "as you know",
    "nobody forgot",
    "there was",
]
THINGS = [
    "the letter",
    "this page",
    "a note",
    "the list",
    "some news",
    "the file",
    "our answer",
    "the number",
    "that table",
]
ENDINGS = [
    "from the office",
    "über München",
    "for everybody here",
    "on Monday",
    "in the next days",
    "— très bien —",
    "as before",
]
WAYS = {
    "truncate": {"data.max_length": 128},
    "head_tail": {"data.max_length": 128, "data.overlong": "head_tail"},
    "windows": {"data.max_length": 128, "data.overlong": "windows"},
    "longer": {"data.max_length": 256},
}


def mail(rng: random.Random, label: str) -> str:
    """One raw mail."""
    other = "ham" if label == "spam" else "spam"
    said = []
    for _ in range(rng.randint(12, 70)):
        words = [rng.choice(OPENINGS), rng.choice(THINGS), rng.choice(ENDINGS)]
        if rng.random() < 0.3:
            words.insert(2, f"about the {rng.choice(LEANS[other if rng.random() < 1 / 6 else label])}")
        said.append(" ".join(words))
    body = ". ".join(said)
    kind = rng.choice(("plain", "html", "quoted", "wrong"))
    if kind == "html":
        body = (
            "<html><body>" + "".join(f"<p style='margin:0'>{each}</p>\n" for each in said) + "</body></html>"
        )
    elif kind == "quoted":
        body = quopri.encodestring(body.encode()).decode()
    elif kind == "wrong":
        body = body.encode().decode("latin-1")
    head = "".join(
        f"Received: from mx{rng.randrange(99)}.example.org by relay{rng.randrange(9)}; {rng.getrandbits(32):x}\n"
        for _ in range(2)
    )
    tail = base64.b64encode(rng.randbytes(30)).decode() if rng.random() < 0.3 else ""
    return f"{head}From: {rng.getrandbits(24):x}@example.org\nSubject: {rng.choice(THINGS)}\n\n{body}\n{tail}"


def write(path: Path, rows: int, *, seed: int = 0) -> Path:
    """A table of mails, half of each class."""
    rng = random.Random(seed)
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["text", "label"])
        for place in range(rows):
            label = ("ham", "spam")[place % 2]
            table.writerow([mail(rng, label), label])
    return path


def main(rows: int, ways: list[str]) -> None:
    """Train and judge each way once."""
    import weitiao as wt
    from weitiao.core.files import read_lines

    with tempfile.TemporaryDirectory() as folder:
        file = write(Path(folder) / "mails.csv", rows)
        for way in ways:
            tree = {
                "model": "minilm-l6",
                "task": "text_classification",
                "method": {"name": "lora", "r": 16, "lora_alpha": 32, "target_modules": "all-linear"},
                "output_dir": str(Path(folder) / way),
                "data": {
                    "train": str(file),
                    "split": {"test": 0.25, "validation": 0.05},
                    "cache": False,
                    "near_duplicates": "keep",
                },
                "train": {
                    "num_train_epochs": 1,
                    "learning_rate": 5e-4,
                    "per_device_train_batch_size": 8,
                    "eval_strategy": "no",
                    "save_strategy": "no",
                    "load_best_model_at_end": False,
                    "early_stopping_patience": None,
                },
                "evaluate": {"untuned": False},
            }
            run = wt.train(tree, overrides=[f"{key}={value}" for key, value in WAYS[way].items()])
            steps = [fact for fact in read_lines(run.path / "log.jsonl") if fact["event"] == "step"]
            scores = {
                name: found["accuracy"]
                for name, found in run.results["metrics"].items()
                if name != "majority"
            }
            said = ", ".join(
                f"{name} {one['value']:.3f} ({one['low']:.3f} to {one['high']:.3f})"
                for name, one in scores.items()
            )
            tokens, seconds = (sum(fact[name] for fact in steps) for name in ("tokens", "seconds"))
            print(f"{way}: {said}; {tokens:,} tokens in {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main(int((sys.argv[1:] or ["640"])[0]), sys.argv[2:] or list(WAYS))
