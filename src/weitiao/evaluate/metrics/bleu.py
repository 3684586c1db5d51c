"""BLEU and chrF of all answers together, as sacrebleu counts them, between 0 and 100.

bleu     runs of 1 to 4 tokens in common, times a penalty for short answers; tokens are those of its `13a`, or, where the
         reference holds Chinese, of its `zh`: each character by itself
chrf     runs of 1 to 6 characters in common, without white space, recall counting twice
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from weitiao.core.contracts import Summed, Told
from weitiao.core.registry import register
from weitiao.evaluate.arrays import ratio
from weitiao.evaluate.grams import grams, shared

ORDERS = 4
CHARACTERS = 6
BETA = 2

HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]")
# What sacrebleu's tokenizer `zh` sets apart: Chinese, its marks, and other signs.
CHINESE = re.compile(
    "(["
    "\u2001-\u2a6d\u2e80-\u303f\u3100-\u312f\u31a0-\u31ef\u3200-\u4db5\u4e00-\u9fbb"
    "\uf900-\ufa2d\ufa30-\ufa6a\ufa70-\ufad9\ufe10-\ufe1f\ufe30-\ufe4f\uff00-\uffef"
    "])"
)
MARKS = (
    (re.compile(r"([\{-\~\[-\` -\&\(-\+\:-\@\/])"), r" \1 "),
    (re.compile(r"([^0-9])([\.,])"), r"\1 \2 "),
    (re.compile(r"([\.,])([^0-9])"), r" \1 \2"),
    (re.compile(r"([0-9])(-)"), r"\1 \2 "),
)
ENTITIES = {"&quot;": '"', "&amp;": "&", "&lt;": "<", "&gt;": ">"}


def tokens(text: str, *, chinese: bool) -> list[str]:
    """A text as sacrebleu's tokenizers `13a` (which is mteval-v13a's) and `zh` cut it."""
    if chinese:
        text = CHINESE.sub(r" \1 ", text.strip())
    else:
        text = text.rstrip().replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
        for entity, char in ENTITIES.items():
            text = text.replace(entity, char)
        text = f" {text} "
    for mark, spaced in MARKS:
        text = mark.sub(spaced, text)
    return text.split()


def score(right_O: Any, all_O: Any, said: Any, wanted: Any, *, effective: bool = False) -> Any:
    """BLEU (...) of counts by order (..., 4) and lengths (...), with the smoothing of mteval-v13a (`exp`).

    Args:
        right_O: runs in common.
        all_O: runs of the answers.
        said: tokens of the answers.
        wanted: tokens of the references.
        effective: orders for which an answer is too short are left out (of single sentences); else they make it 0.
    """
    right_O, all_O = np.asarray(right_O, dtype=float), np.asarray(all_O, dtype=float)
    missed = (right_O == 0) & (all_O > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        smooth_O = 1 / (2.0 ** missed.cumsum(-1) * all_O)
        logs_O = np.log(np.where(missed, smooth_O, right_O / all_O))
        there = all_O > 0
        orders = there.sum(-1) if effective else ORDERS
        mean = np.where(there, logs_O, 0.0 if effective else -np.inf).sum(-1) / np.maximum(orders, 1)
        short = np.minimum(0.0, 1 - np.asarray(wanted, dtype=float) / said)
        found = 100 * np.exp(mean + short)
    return np.where((right_O.sum(-1) == 0) | (np.asarray(said) == 0), 0.0, found)


@register("metric", "bleu")
@dataclass(frozen=True)
class Bleu(Summed):
    """Runs of up to four tokens that the answers have in common with the references, 0 to 100."""

    summary: ClassVar[str] = "runs of one to four tokens in common, 0 to 100"
    source: ClassVar[str] = "Papineni et al. 2002, ACL P02-1040; sacrebleu.corpus_bleu"
    needs: ClassVar[tuple[str, ...]] = ("answer",)
    bounds: ClassVar[tuple[float, float]] = (0.0, 100.0)
    undefined: ClassVar[tuple[str, str]] = ("the references hold no words", "参考答案中没有词")

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """By order runs in common and runs of the answer, and both lengths: (N, 10)."""
        found = []
        for known, said in zip(references, predictions, strict=True):
            wanted = known["reference"] or ""
            chinese = bool(HAN.search(wanted))
            ours, theirs = (tokens(text, chinese=chinese) for text in (said["answer"], wanted))
            runs = [grams(ours, n) for n in range(1, ORDERS + 1)]
            right = [shared(each, grams(theirs, n)) for n, each in enumerate(runs, start=1)]
            found.append([*right, *(each.total() for each in runs), len(ours), len(theirs)])
        return np.array(found, dtype=float).reshape(-1, 2 * ORDERS + 2)

    def value(self, sums_K: Any) -> Any:
        """BLEU of the sums."""
        right_O, all_O = sums_K[..., :ORDERS], sums_K[..., ORDERS : 2 * ORDERS]
        found = score(right_O, all_O, sums_K[..., -2], sums_K[..., -1])
        return np.where(sums_K[..., -1] > 0, found, np.nan)


@register("metric", "chrf")
@dataclass(frozen=True)
class Chrf(Summed):
    """Runs of up to six characters that the answers have in common with the references, 0 to 100."""

    summary: ClassVar[str] = "runs of one to six characters in common, 0 to 100"
    source: ClassVar[str] = "Popovic 2015, ACL W15-3049; sacrebleu.corpus_chrf"
    needs: ClassVar[tuple[str, ...]] = ("answer",)
    bounds: ClassVar[tuple[float, float]] = (0.0, 100.0)
    undefined: ClassVar[tuple[str, str]] = ("the references hold no characters", "参考答案中没有字符")

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """By order runs of the answer (of those for which the reference is long enough), of the reference, and those in
        common: (N, 18)."""
        found = []
        for known, said in zip(references, predictions, strict=True):
            ours, theirs = ("".join(text.split()) for text in (said["answer"], known["reference"] or ""))
            row: list[int] = []
            for n in range(1, CHARACTERS + 1):
                first, second = grams(ours, n), grams(theirs, n)
                row += [first.total() if second else 0, second.total(), shared(first, second)]
            found.append(row)
        return np.array(found, dtype=float).reshape(-1, 3 * CHARACTERS)

    def value(self, sums_K: Any) -> Any:
        """F of the mean precision and recall over the orders that both sides have."""
        ours, theirs, both = (sums_K[..., place::3] for place in range(3))
        there = (ours > 0) & (theirs > 0)
        orders = np.maximum(there.sum(-1), 1)
        precision, recall = (
            np.where(there, ratio(both, np.where(all_ > 0, all_, 1.0)), 0.0).sum(-1) / orders
            for all_ in (ours, theirs)
        )
        below = BETA**2 * precision + recall
        found = 100 * ratio((1 + BETA**2) * precision * recall, np.where(below > 0, below, 1.0))
        return np.where(theirs[..., 0] > 0, found, np.nan)
