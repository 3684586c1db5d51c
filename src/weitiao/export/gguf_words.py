"""The tokenizer in a file of llama.cpp: its words, how text is cut before they are looked for, what begins and ends.

why_not(tokenizer)                    ->  why llama.cpp would cut text otherwise; empty when it would not
words(writer, size, tokenizer, ...)   ->  tokenizer.ggml.*, tokenizer.chat_template

no_pieces(tokenizer), word_pieces(writer, size, tokenizer)   the same of BERT's word pieces
misreads(tokenizer)                                          which texts llama.cpp reads otherwise even so

llama.cpp knows the ways of cutting text by name and has each written by hand: what is not in `CUTS` is refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from weitiao.core.why import reason
from weitiao.export import piece_reader

NORMAL, UNKNOWN, CONTROL, USED, UNUSED = 1, 2, 3, 4, 5
"""Kinds of words (`gguf.TokenType`)."""
ENDS = ("eos", "eot", "eom")
"""What may end an answer there."""
INSIDE, BEGINS = "##", "\u2581"
"""What BERT writes before pieces inside a word, and llama.cpp before those that begin one."""
_LIKE_GPT4 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{digits}"
    r"| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CUTS = {
    "gpt-2": ["bytes by words"],
    "smollm": ["digits", "bytes by words"],
    "llama-bpe": [_LIKE_GPT4.format(digits="{1,3}"), "bytes"],
    "qwen2": [_LIKE_GPT4.format(digits=""), "bytes"],
}
"""llama.cpp's name -> the parts that a tokenizer.json has for it."""


def why_not(tokenizer: Any) -> str:
    """Why the tokenizer cannot be written; empty when it can."""
    if not getattr(tokenizer, "is_fast", False):
        return reason("form_slow_tokenizer")
    return "" if cut(tokenizer) else reason("form_other_words", known=", ".join(CUTS))


def cut(tokenizer: Any) -> str:
    """llama.cpp's name of how a tokenizer cuts text; empty where it has none."""
    tree = json.loads(tokenizer.backend_tokenizer.to_str())
    if tree["model"].get("type") != "BPE" or tree["model"].get("byte_fallback"):
        return ""
    if (tree.get("normalizer") or {}).get("type") not in (None, "NFC"):  # whole texts are composed already
        return ""
    outer = tree.get("pre_tokenizer") or {}
    parts = [_part(part) for part in outer.get("pretokenizers") or [outer]]
    return next((name for name, known in CUTS.items() if known == parts), "")


def _part(part: Mapping[str, Any]) -> str:
    kind = part.get("type")
    if kind == "ByteLevel" and not part["add_prefix_space"]:
        return "bytes by words" if part["use_regex"] else "bytes"
    if kind == "Digits" and part["individual_digits"]:
        return "digits"
    if kind == "Split" and part["behavior"] == "Isolated" and not part["invert"]:
        return str(part["pattern"].get("Regex", ""))
    return "?"


def words(writer: Any, size: int, tokenizer: Any, *, ends: Sequence[int]) -> None:
    """Write a tokenizer.

    Args:
        writer: of the file.
        size: how many words the model has; it may have more than the tokenizer.
        tokenizer: of Transformers.
        ends: the tokens that end an answer, at most three.
    """
    tree = json.loads(tokenizer.backend_tokenizer.to_str())
    added = {each["id"]: each for each in tree["added_tokens"]}
    known = {place: word for word, place in tokenizer.get_vocab().items()}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(cut(tokenizer))
    writer.add_token_list([known.get(place, f"[PAD{place}]") for place in range(size)])
    writer.add_token_types([_kind(place, known, added) for place in range(size)])
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in tree["model"]["merges"]]
    writer.add_token_merges(merges)
    for name, place in (
        ("bos", tokenizer.bos_token_id),
        ("unknown", tokenizer.unk_token_id),
        ("padding", tokenizer.pad_token_id),
        *zip(ENDS, ends, strict=False),
    ):
        if place is not None:
            writer.add_uint32(f"tokenizer.ggml.{name}_token_id", place)
    writer.add_add_bos_token(begins(tokenizer))
    writer.add_add_eos_token(False)
    if tokenizer.chat_template:
        writer.add_chat_template(tokenizer.chat_template)


def begins(tokenizer: Any) -> bool:
    """Does it put a begin token before every text?"""
    begin = tokenizer.bos_token_id
    return begin is not None and tokenizer("a")["input_ids"][:1] == [begin]


def _kind(place: int, known: Mapping[int, str], added: Mapping[int, Mapping[str, Any]]) -> int:
    if place not in known:
        return UNUSED
    if place in added:
        return CONTROL if added[place]["special"] else USED
    return NORMAL


def no_pieces(tokenizer: Any) -> str:
    """Why the word pieces of a tokenizer cannot be written; empty when they can."""
    if not getattr(tokenizer, "is_fast", False):
        return reason("form_slow_tokenizer")
    tree = json.loads(tokenizer.backend_tokenizer.to_str())
    model, cleans = tree["model"], tree.get("normalizer") or {}
    marks = [tokenizer.cls_token_id, tokenizer.unk_token_id, tokenizer.sep_token_id]
    known = (
        model.get("type") == "WordPiece"
        and model["continuing_subword_prefix"] == INSIDE
        and (tree.get("pre_tokenizer") or {}).get("type") == "BertPreTokenizer"
        and cleans.get("type") == "BertNormalizer"
        and cleans["clean_text"]
        and cleans["handle_chinese_chars"]
        and all(each["special"] for each in tree["added_tokens"])
        and None not in marks
        and tokenizer("")["input_ids"] == [marks[0], marks[-1]]
    )
    return "" if known else reason("form_other_pieces")


def word_pieces(writer: Any, size: int, tokenizer: Any) -> None:
    """Write a tokenizer of word pieces: llama.cpp has a mark before those that begin a word, BERT before all others.

    Args:
        writer: of the file.
        size: how many words the model has.
        tokenizer: of Transformers.
    """
    cleans = _cleans(tokenizer)
    known = {place: word for word, place in _places(tokenizer).items()}
    special = set(tokenizer.all_special_ids)
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([known.get(place, f"[PAD{place}]") for place in range(size)])
    kinds = [
        UNUSED if place not in known else CONTROL if place in special else NORMAL for place in range(size)
    ]
    writer.add_token_types(kinds)
    # Ollama looks for what stands at the end by another name than llama.cpp.
    for name, place in (
        ("bos", tokenizer.cls_token_id),
        ("cls", tokenizer.cls_token_id),
        ("eos", tokenizer.sep_token_id),
        ("seperator", tokenizer.sep_token_id),
        ("unknown", tokenizer.unk_token_id),
        ("padding", tokenizer.pad_token_id),
        ("mask", tokenizer.mask_token_id),
    ):
        if place is not None:
            writer.add_uint32(f"tokenizer.ggml.{name}_token_id", place)
    writer.add_bool("tokenizer.ggml.normalizer.lowercase", cleans["lower"])
    writer.add_bool("tokenizer.ggml.normalizer.strip_accents", cleans["strips"])


def misreads(tokenizer: Any) -> Callable[[str], bool]:
    """Does llama.cpp cut a text into other word pieces than the tokenizer?"""
    places, cleans = _places(tokenizer), _cleans(tokenizer)
    marks = {"begin": tokenizer.cls_token_id, "end": tokenizer.sep_token_id}

    def other(text: str) -> bool:
        own = tokenizer(text, split_special_tokens=True, truncation=False, verbose=False)["input_ids"]
        return piece_reader.pieces(text, places, **cleans, **marks, unknown=tokenizer.unk_token_id) != own

    return other


def _places(tokenizer: Any) -> dict[str, int]:
    """Word pieces as llama.cpp writes them."""
    special = set(tokenizer.all_special_tokens)
    return {
        word
        if word in special
        else word.removeprefix(INSIDE)
        if word.startswith(INSIDE)
        else BEGINS + word: at
        for word, at in tokenizer.get_vocab().items()
    }


def _cleans(tokenizer: Any) -> dict[str, bool]:
    told = json.loads(tokenizer.backend_tokenizer.to_str())["normalizer"]
    strips = told["strip_accents"]
    return {"lower": told["lowercase"], "strips": told["lowercase"] if strips is None else strips}
