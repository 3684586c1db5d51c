"""Tags: every way of writing them is recognised, read as the usual scorers read it, and mended without another meaning."""

from __future__ import annotations

import random

import pytest

from weitiao.data import tags

LETTERED = [name for name in tags.LETTERS if name != "iob1"]


def scorer(row):
    """The chunks of a row as conlleval has them, from its two questions: does a chunk end here, does one start?"""
    found, start = [], None
    row = [(t[0], t[2:]) if t != "O" else ("O", "") for t in row] + [("O", "")]
    role = {"B": "B", "I": "I", "M": "I", "E": "E", "L": "E", "S": "S", "U": "S", "W": "S", "O": "O"}
    before, kind_before = "O", ""
    for place, (letter, kind) in enumerate(row):
        now = role[letter]
        ends = before in ("E", "S")
        ends |= before in ("B", "I") and now in ("B", "S", "O")
        ends |= before != "O" and kind_before != kind
        starts = now in ("B", "S")
        starts |= before in ("E", "S", "O") and now in ("E", "I")
        starts |= now != "O" and kind_before != kind
        if ends and start is not None:
            found.append((start, place, kind_before))
            start = None
        if starts:
            start = place
        before, kind_before = now, kind
    return found


@pytest.mark.parametrize("scheme", LETTERED)
def test_any_row_is_read_as_scorers_read_it(scheme):
    rng = random.Random(0)
    letters = list(tags.LETTERS[scheme].values())
    for _ in range(300):
        row = [rng.choice(["O", *(f"{a}-{t}" for a in letters for t in ("PER", "LOC"))]) for _ in range(9)]
        assert [tuple(span) for span in tags.spans(row, scheme)] == scorer(row)


@pytest.mark.parametrize("scheme", [*LETTERED, "types"])
def test_what_is_written_is_read_back_and_has_no_fault(scheme):
    rng = random.Random(1)
    for _ in range(200):
        place, wanted = 0, []
        while (place := place + rng.randint(1, 3)) < 14:
            end = min(14, place + rng.randint(1, 3))
            wanted.append(tags.Span(place, end, rng.choice(("PER", "LOC"))))
            place = end
        row = tags.written(wanted, 14, scheme)
        assert tags.spans(row, scheme) == wanted
        assert tags.repaired(row, scheme) == row
        assert not list(tags.faults(row, scheme))
        assert {*row} <= {*tags.tag_set({"PER", "LOC"}, scheme)}


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        ([["B-A", "I-A", "O", "B-B"]], "bio"),
        ([["B-A", "O", "B-B"]], "bio"),
        ([["I-A", "O", "B-A", "I-A"]], "bio"),  # the first I is a fault: a B stands where IOB1 has none
        ([["I-A", "I-A", "B-A", "O"]], "iob1"),
        ([["I-A", "I-A", "O", "I-B"]], "io"),
        ([["B-A", "E-A", "S-B"]], "bioes"),
        ([["B-A", "L-A", "U-B"]], "bilou"),
        ([["B-A", "M-A", "E-A", "S-B"]], "bmes"),
        ([["PER", "O", "PER"]], "types"),
        ([["NOUN", "VERB"]], "words"),
        ([["O", "O"]], None),
        ([["B_A", "I_A"], ["O"]], "bio"),
    ],
)
def test_the_scheme_shows_in_the_tags(rows, wanted):
    assert tags.scheme(rows) == wanted


def test_a_row_with_faults_says_where_and_what_it_is_read_as():
    assert list(tags.faults(["O", "I-PER", "I-PER", "I-LOC"], "bio")) == [
        (1, "I-PER", "B-PER"),
        (3, "I-LOC", "B-LOC"),
    ]
    assert list(tags.faults(["B-PER", "O"], "bioes")) == [(0, "B-PER", "S-PER")]
    assert not list(tags.faults(["B_PER", "I_PER"], "bio"))  # another dash is no fault
    assert tags.repaired(["I-A", "B-A"], "iob1") == ["B-A", "B-A"]


def test_a_tag_without_its_letter_is_foreign_where_tags_have_one():
    assert tags.foreign(["B-PER", "PER"], "bio") == "PER"
    assert not tags.foreign(["PER", "O"], "types")
