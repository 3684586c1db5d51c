"""What the columns of a file are called, and which of them, or which part of one, is ours.

value({"translation": {"zh": "早上好"}}, "translation.zh")          ->  "早上好"
numbered("negative", ["query", "negative_1", "negative_2"], {})   ->  ["negative_1", "negative_2"]
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from weitiao.data.equal_text import blank

# What people call our columns; used for guesses and hints, never in silence.
KNOWN_AS = {
    "text": (
        "sentence",
        "sentence1",
        "premise",
        "review",
        "content",
        "comment",
        "tweet",
        "post",
        "message",
        "body",
        "mail",
        "email",
        "title",
        "文本",
        "评论",
        "内容",
        "句子",
        "正文",
        "邮件",
        "短信",
        "caption",
    ),
    "text_pair": ("sentence2", "hypothesis", "text2", "句子2"),
    "label": (
        "labels",
        "sentiment",
        "category",
        "class",
        "target",
        "stars",
        "rating",
        "score",
        "kto_tag",
        "标签",
        "类别",
        "情感",
        "分类",
    ),
    "labels": ("tags", "categories", "topics", "标签"),
    "prompt": ("question", "query", "problem", "问题", "提问", "题目"),
    "completion": ("solution", "answer", "response", "回答", "答案"),
    "messages": ("conversation", "dialogue", "对话"),
    "conversations": (),
    "instruction": ("指令",),
    "output": ("输出",),
    "chosen": ("preferred", "accepted", "good", "better", "winner", "response_chosen", "chosen_response"),
    "rejected": ("dispreferred", "bad", "worse", "loser", "response_rejected", "rejected_response"),
    "tokens": ("words",),
    "tags": ("ner_tags", "pos_tags"),
    "source": ("src", "document", "article", "原文"),
    "target": ("tgt", "summary", "highlights", "translation", "译文", "摘要"),
    "anchor": ("query", "question", "sentence1", "sentence", "问题", "查询"),
    "positive": ("passage", "answer", "document", "sentence2", "答案", "段落"),
    "negative": ("hard_negative",),
    "query": ("question", "问题", "查询"),
    "passage": ("document", "段落"),
    "passages": ("documents", "docs"),
    "positives": (),
    "negatives": (),
    "sentence1": ("text1", "句子1"),
    "sentence2": ("text2", "句子2"),
    "score": ("similarity", "相似度", "分数"),
    "images": ("image", "pictures", "图片"),
    "image": ("path", "file", "file_name", "picture", "图片"),
    "question": ("query", "问题", "提问"),
    "context": ("passage", "paragraph", "document", "原文", "上下文", "文章", "段落"),
    "answers": ("参考答案",),
    "answer": ("answer_text", "答案", "回答"),
    "answer_start": ("start", "answer_offset", "答案起点", "起始位置"),
    "is_impossible": ("unanswerable", "无答案"),
}
NUMBERED = ("negative", "negatives")
"""Columns of which a table may have several, each with its number: `negative_1`, as sentence-transformers mines them."""
BOTH = "translation"
"""The column in which Hugging Face's data sets keep both sides: {"en": ..., "zh": ...}."""


def there(column: str, found: Sequence[str]) -> bool:
    """Is it one of these columns, or a part of one (`translation.en`)?"""
    return column in found or column.partition(".")[0] in found and "." in column


def value(row: Mapping[str, Any], column: str) -> Any:
    """What a row has in a column, or in a part of one: `translation.en` of {"translation": {"en": ..., "zh": ...}}."""
    if column in row or "." not in column:
        return row.get(column)
    node: Any = row
    for step in column.split("."):
        node = node.get(step) if isinstance(node, Mapping) else None
    return node


def numbered(ours: str, found: Iterable[str], columns: Mapping[str, str]) -> list[str]:
    """The columns `negative_1`, `negative_2` ... of a file, where it has one for each of several texts.

    Args:
        ours: one of `NUMBERED`.
        found: the file's columns, or a row by them: empty cells are left out.
        columns: `data.columns`, ours -> the file's.
    """
    called = "|".join(map(re.escape, {ours, columns.get(ours, ours), *KNOWN_AS.get(ours, ())}))
    places = {name: match for name in found if (match := re.fullmatch(rf"(?:{called})_?(\d+)", name))}
    if isinstance(found, Mapping):
        places = {name: match for name, match in places.items() if not _empty(found[name])}
    return sorted(places, key=lambda name: int(places[name][1]))


def _empty(cell: Any) -> bool:
    return cell is None or (isinstance(cell, str) and blank(cell))


def halves(found: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Source and target of a column that holds two texts by their languages, as Hugging Face has translations; in the
    order in which they stand there."""
    held = rows[0].get(BOTH) if rows and BOTH in found else None
    if not isinstance(held, Mapping) or len(held) != 2:
        return {}
    return {ours: f"{BOTH}.{name}" for ours, name in zip(("source", "target"), held, strict=True)}
