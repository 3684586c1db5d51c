"""The names under which a recipe asks for a row format (`data.format`); `data.formats` knows what each needs."""

from __future__ import annotations

from typing import Literal, TypeAlias

RowFormat: TypeAlias = Literal[
    "auto",
    "table",
    "multi_label",
    "regression",
    "messages",
    "sharegpt",
    "alpaca",
    "prompt_completion",
    "text",
    "preference",
    "ultrafeedback",
    "kto",
    "kto_messages",
    "kto_sharegpt",
    "kto_alpaca",
    "prompt_only",
    "prompt_messages",
    "prompt_sharegpt",
    "prompt_alpaca",
    "tags",
    "conll",
    "source_target",
    "image",
    "imagefolder",
    "objects",
    "coco",
    "voc",
    "yolo",
    "pairs",
    "query_passage",
    "question_answer",
    "scored_pairs",
    "query_passages",
    "query_passage_label",
    "query_positives",
    "query_positive",
    "squad",
    "squad_table",
    "captioned",
    "class_picture",
]
"""`auto`, and the formats of `data.formats.FORMATS`, and `conll`, a way to write tags, `imagefolder`, a folder of pictures, and
`coco`, `voc` and `yolo`, ways to write boxes."""
