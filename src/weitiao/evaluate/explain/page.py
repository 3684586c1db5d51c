"""Explanations as HTML that opens offline: a page, or a part of one.

page([Explanation, ...])      a page of its own
snippet([Explanation, ...])   the same without head and body, for another page to take in, as that of a run does
kept({...})                   what `explanations.json` holds, as explanations
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from weitiao.core.display import either
from weitiao.core.errors import language
from weitiao.core.page import render
from weitiao.evaluate.explain.explanation import Attention, ExplainedTarget, ExplainedWord, Explanation
from weitiao.evaluate.explain.overlay import drawn
from weitiao.evaluate.worst import named

WORTH = 0.01
"""Of the largest share: a word below this is not marked."""
WIDE = "\u2e80"
"""From here on scripts stand without spaces between words: Chinese, Japanese (Unicode, CJK Radicals)."""
NOTHING = ExplainedTarget("", "", 0.0, 0.0, [], 0, None, None)


def page(explained: Sequence[Explanation]) -> str:
    """A page of its own, in the reader's language."""
    return _rendered(explained, whole=True)


def snippet(explained: Sequence[Explanation]) -> str:
    """A part of a page, with the style that it needs."""
    return _rendered(explained, whole=False)


def kept(told: Mapping[str, Any]) -> list[Explanation]:
    """The explanations in the content of `explanations.json`; none of another version's, which are to be asked anew."""
    try:
        return [Explanation.from_dict(row) for row in told.get("rows", ())]
    except (KeyError, TypeError):  # other keys than ours
        return []


def parts(target: ExplainedTarget, column: str, text: str) -> Iterator[dict[str, Any]]:
    """A text cut at its words: `text`, and for those that are marked `share`, its `size` (0 to 1, beside the largest) and
    `sign` (`for` or `against`); of what is not marked the sign is empty."""
    most = max((abs(word.share) for word in target.words), default=0.0)
    at = 0
    for word in target.words:
        if word.column != column:
            continue
        yield {"text": text[at : word.start], "sign": ""}
        size = abs(word.share) / most if most else 0.0
        sign = "" if size < WORTH else "for" if word.share > 0 else "against"
        yield {"text": text[word.start : word.end], "sign": sign, "size": size, "share": word.share}
        at = word.end
    yield {"text": text[at:], "sign": ""}


def paragraphs(target: ExplainedTarget, texts: Mapping[str, str]) -> Iterator[list[dict[str, Any]]]:
    """The texts of a row cut as by `parts`; words that a row holds one by one (`tokens.0`, `tokens.1` ...) are one text."""
    words: list[dict[str, Any]] = []
    before = ""
    for column, text in texts.items():
        cut = list(parts(target, column, text))
        if not column.rpartition(".")[2].isdigit():
            yield cut
            continue
        if words and not (before[-1:] >= WIDE and text[:1] >= WIDE):
            words.append({"text": " ", "sign": ""})
        words += cut
        before = text
    if words:
        yield words


def trust(found: Explanation, target: ExplainedTarget) -> str:
    """How far the shares are to be trusted, in one line."""
    gap = "-" if target.gap is None else f"{100 * target.gap:.2f} %"
    agree = "-" if target.agreement is None else f"{target.agreement:.2f}"
    if target.heat:
        way = (
            f"Grad-CAM, {target.heat.layer}"
            if target.heat.layer
            else either(
                f"integrated gradients, completeness gap {gap} after {target.steps} steps",
                f"积分梯度，完备性差距 {gap}（{target.steps} 步）",
            )
        )
        return either(
            f"{way}; without the quarter that is marked most it falls by {target.heat.without_most:+.2f}, without the one that is "
            f"marked least by {target.heat.without_least:+.2f}; rank correlation with leaving single cells out {agree}; masked by "
            f"{found.baseline}, {found.precision}",
            f"{way}；遮盖标记最强的四分之一下降 {target.heat.without_most:+.2f}，最弱的四分之一下降 {target.heat.without_least:+.2f}；"
            f"与逐格遮盖的秩相关 {agree}；以{found.baseline}遮盖，{found.precision}",
        )
    return either(
        f"completeness gap {gap} after {target.steps} steps; rank correlation with leaving words out {agree}; "
        f"masked by {found.baseline}, {found.precision}",
        f"完备性差距 {gap}（{target.steps} 步）；与逐词遮盖的秩相关 {agree}；以 {found.baseline} 遮盖，{found.precision}",
    )


def _rendered(explained: Sequence[Explanation], *, whole: bool) -> str:
    w = {**_words(), **(_of_pictures() if any(one.image for one in explained) else {})}
    values = {"explained": [_shown(one) for one in explained], "w": w, "lang": language()}
    return render(Path(__file__).parent, "explanation.html.j2", {**values, "whole": whole})


def _shown(one: Explanation) -> Mapping[str, Any]:
    drawings = [target.heat and drawn(one.image, target.heat) for target in one.targets]
    return {
        "name": named({"image": one.image}),
        "gone": bool(one.image) and None in drawings,
        "targets": [
            {
                "drawn": drawing,
                "name": target.name,
                "what": target.what,
                "value": target.value,
                "baseline": target.baseline,
                "texts": list(paragraphs(target, one.texts)),
                "strongest": target.strongest(),
                "said": trust(one, target),
                "warnings": target.warnings,
            }
            for target, drawing in zip(one.targets, drawings, strict=True)
        ],
        "attention": one.attention and _attention(one.attention, one.texts),
        "texts": ["".join(part["text"] for part in cut) for cut in paragraphs(NOTHING, one.texts)],
        "similar": one.similar,
        "warnings": one.warnings,
        "place": one.place,
        "expected": one.expected,
    }


def _attention(seen: Attention, texts: Mapping[str, str]) -> Mapping[str, Any]:
    words = [ExplainedWord(**vars(word), without=0.0) for word in seen.words]
    return {
        "texts": list(paragraphs(replace(NOTHING, words=words), texts)) if words else [],
        "strongest": seen.strongest(),
        "note": seen.note,
    }


def _of_pictures() -> dict[str, str]:
    return {
        "title": either("Where in the picture predictions come from", "预测依据图片的哪些部分"),
        "note": either(
            "Orange parts speak for what was predicted, blue ones against it.",
            "橙色部分支持预测，蓝色部分反对。",
        ),
        "masked": either("all of one colour", "全图同一颜色"),
        "as_is": either("the picture", "图片"),
        "laid": either("the picture with its heat map", "叠加热图的图片"),
        "gone": either("the picture is no longer there", "图片已不在"),
    }


def _words() -> dict[str, str]:
    return {
        "title": either("Which words predictions hang on", "预测依据哪些词"),
        "note": either(
            "Green words speak for what was predicted, red and underlined ones against it.",
            "绿色的词支持预测，红色带下划线的词反对。",
        ),
        "masked": either("all words masked", "遮盖全部词"),
        "numbers": either("The strongest words", "贡献最大的词"),
        "share": either("share", "贡献"),
        "without": either("falls without it by", "遮盖后下降"),
        "similar": either("Training rows that are alike", "相似的训练行"),
        "expected": either("true", "真实"),
        "attention": either("Where the model looks (attention)", "模型看哪里（注意力）"),
    }
