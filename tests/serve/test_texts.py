"""The text of an answer as its tokens come: nothing is taken back, and all of it is the whole."""

from __future__ import annotations

import random

import pytest

from weitiao.serve.texts import Text


class Bytes:
    """A tokenizer of bytes."""

    def decode(self, ids, skip_special_tokens=True):
        return bytes(ids).decode("utf-8", "replace")


WORDS = ["ab", "好的", " ", "\n", "é", "🙂", "a", "b", "END", "E", "EN", "  "]


@pytest.mark.parametrize("seed", range(40))
def test_pieces_make_the_whole(seed):
    rng = random.Random(seed)
    text = "".join(rng.choices(WORDS, k=rng.randint(0, 25)))
    stops = rng.sample(["END", "好", "b\n", "  a"], rng.randint(0, 3))
    told = Text(Bytes(), stops)
    said = ""
    for byte in text.encode():
        said += told.add(byte)
        assert told.said == said
        assert "\N{REPLACEMENT CHARACTER}" not in said
        if told.stopped:
            break
    said += told.end()
    whole = text.lstrip()
    places = [whole.find(stop) for stop in stops if stop in whole]
    assert said == (whole[: min(places)] if places else whole).rstrip()
    assert told.stopped == bool(places)
