"""Encoded rows: whatever numbers a task gives, under any name, of any length and type, are read back; or it is said."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as some

from tests.data.test_encode import Odd, encoded, table
from weitiao.core.contracts import Example
from weitiao.core.errors import WeitiaoError
from weitiao.data import column, encode, pack
from weitiao.data import encoded as files
from weitiao.data.encoded import sound
from weitiao.data.pack import pad
from weitiao.forecast.lab import _in_memory

KINDS = ("int8", "int32", "int64", "uint64", "float16", "float32", "float64", "bool", ">i4")


def kept(examples, **words):
    """Through the encoder and back."""
    rows = table([{"text": "t"}] * len(examples))
    return encoded((Odd(examples), rows, None), limit=1 << 20, **words)[0]


def same(found, given) -> bool:
    """Equal numbers of equal type, where it came with one."""
    if isinstance(given, np.ndarray | np.generic):
        return (
            type(found) is type(given) and found.dtype == given.dtype and np.array_equal(found, given, True)
        )
    if isinstance(given, list):
        return np.asarray(found).tolist() == given
    return type(found) is type(given) and found == given


ints = st.integers(-(2**63), 2**63 - 1)
floats = st.floats(allow_nan=False)
lists = st.sampled_from([st.integers(-100, 100), ints, floats, st.booleans()]).flatmap(
    lambda of: st.just(st.lists(of, max_size=6))
)


def arrays(kind: str, inner: tuple[int, ...]):
    return st.integers(0, 5).flatmap(lambda length: some.arrays(kind, (length, *inner)))


columns = lists | st.builds(arrays, st.sampled_from(KINDS), st.sampled_from([(), (2,), (0,), (3, 1)]))
targets = (
    columns
    | st.sampled_from([st.none(), st.integers(0, 9), ints, floats, st.booleans()])
    | st.just(some.from_dtype(np.dtype("float32"), allow_nan=False))
)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(data=st.data())
def test_every_name_has_its_own_length_and_type(data):
    names = data.draw(
        st.dictionaries(st.text(max_size=5) | st.sampled_from(["input_ids", "row", "../x"]), columns)
    )
    target = data.draw(targets)
    examples = [
        Example(
            {name: data.draw(of) for name, of in names.items()},
            data.draw(target),
            size=data.draw(st.integers(0, 9) | st.none() if "input_ids" in names else st.integers(0, 9)),
        )
        for _ in range(data.draw(st.integers(1, 4)))
    ]
    found = kept(examples)
    assert len(found) == len(examples)
    assert found.lengths.tolist() == [len(each) if each.size is None else each.size for each in examples]
    for got, gave in zip(found, examples, strict=True):
        assert (list(got.inputs), len(got)) == (list(gave.inputs), len(gave))
        assert pack.lengths([got]).tolist() == pack.lengths([gave]).tolist()
        assert all(same(got.inputs[name], values) for name, values in gave.inputs.items())
        assert same(got.target, gave.target)
        held = _in_memory(got)
        assert all(same(held.inputs[name], values) for name, values in gave.inputs.items())
        assert same(held.target, gave.target)
        assert len(held) == len(gave)


def test_labels_shorter_than_the_ids_are_not_cut_at_their_bounds():
    """All names were cut where the ids ended: the second row had labels of the first, and of the third."""
    made = [
        Example({"input_ids": [1, 2, 3, 4], "labels": [5]}, target=[0.5]),
        Example({"input_ids": [6], "labels": [7, 8, 9]}, target=[]),
        Example({"input_ids": [2, 3], "labels": []}, target=[1, 2.5]),
    ]
    found = kept(made)
    assert [example.inputs["labels"].tolist() for example in found] == [[5], [7, 8, 9], []]
    assert [example.inputs["input_ids"].tolist() for example in found] == [[1, 2, 3, 4], [6], [2, 3]]
    assert [example.target for example in found] == [[0.5], [], [1, 2.5]]


def test_a_target_may_come_late_or_not_at_all():
    made = [Example({"input_ids": [1]}, target=target) for target in (None, None, 3, None, [4, 5], 0.5)]
    assert [example.target for example in kept(made)] == [None, None, 3, None, [4, 5], 0.5]


@pytest.mark.parametrize("waits", [1, 1 << 19])
def test_lists_widen_whatever_is_written_already(waits, monkeypatch):
    monkeypatch.setattr(column, "FLUSHED", waits)
    monkeypatch.setattr(column, "BLOCK", 2)
    lists = [[1, 2, 3], [], [2**40], [7], [0.5, 2]]
    found = kept([Example({"x": values}, size=1) for values in lists])
    assert [example.inputs["x"].tolist() for example in found] == lists
    assert {example.inputs["x"].dtype.name for example in found} == {"float64"}
    assert kept([Example({"x": values}, size=1) for values in lists[:2]])[0].inputs["x"].dtype == "int32"


UNEVEN = {
    "another name": ({"x": [1]}, {"y": [1]}),
    "a name more": ({"x": [1]}, {"x": [1], "y": [1]}),
    "a name less": ({"x": [1], "y": [1]}, {"x": [1]}),
    "another type": ({"x": np.ones(2, "int32")}, {"x": np.ones(2, "int64")}),
    "a float among integers": ({"x": np.ones(2, "int64")}, {"x": [0.5]}),
    "what float32 does not hold": ({"x": [0.1]}, {"x": np.ones(2, "float32")}),
    "below zero": ({"x": np.ones(2, "uint64")}, {"x": [-1]}),
    "not a number": ({"x": np.ones(2, "int64")}, {"x": [float("nan")]}),
    "what float64 does not hold": ({"x": [2**53 + 1]}, {"x": [0.5]}),
    "both in one": ({"x": [1]}, {"x": [2**53 + 1, 0.5]}),
    "other axes": ({"x": [[1, 2]]}, {"x": [[1, 2, 3]]}),
    "no axis": ({"x": [1]}, {"x": 1}),
    "words": ({"x": [1]}, {"x": ["one"]}),
    "of no shape": ({"x": [1]}, {"x": [[1], [1, 2]]}),
    "too large": ({"x": [1]}, {"x": [2**70]}),
}


@pytest.mark.parametrize("inputs", UNEVEN.values(), ids=UNEVEN)
def test_what_cannot_be_kept_is_told_with_its_row(inputs):
    with pytest.raises(WeitiaoError) as caught:
        kept([Example(each, size=1) for each in inputs])
    assert caught.value.code == "uneven_examples"
    assert caught.value.values["place"] == "a.csv line 3"


def test_an_example_without_ids_says_its_size():
    with pytest.raises(TypeError, match="pixels must say its size"):
        len(Example({"pixels": [1.0]}))
    assert len(Example({"pixels": [1.0]}, size=7)) == 7
    assert len(Example({"input_ids": [1, 2]}, size=7)) == 2


def test_the_first_token_beyond_a_vocabulary_is_found_in_rows_of_any_shape():
    rows = [[[1, 2], [3, 4]], [], [[5, 6], [7, 80], [9, 90]]]
    assert kept([Example({"input_ids": ids}) for ids in rows]).beyond(10) == (2, 80)
    assert kept([Example({"labels": [1]}, size=1)]).beyond(0) is None
    pairs = [Example({"input_ids": [1, 2], "labels": ids}, size=2 + len(ids)) for ids in ([1], [2, 3, 70])]
    assert kept(pairs).beyond(10) == (1, 70)


def test_entries_of_another_format_miss(tmp_path, monkeypatch):
    monkeypatch.setattr(encode.Encoder, "key", lambda *_: "key")
    made = [Example({"input_ids": [1, 2]}, target=1)]
    monkeypatch.setattr(files, "FORMAT", files.FORMAT - 1)
    kept(made, cache=tmp_path)
    assert sound(tmp_path / "key")
    monkeypatch.undo()
    assert not sound(tmp_path / "key")
    monkeypatch.setattr(encode.Encoder, "key", lambda *_: "key")
    assert kept([Example({"input_ids": [3]}, target=0.5)], cache=tmp_path)[0].target == 0.5
    assert sound(tmp_path / "key")


def test_padding_keeps_fractions():
    assert pad([[0.5], [], [1, 2.5]], -1).tolist() == [[0.5, -1], [-1, -1], [1, 2.5]]
    assert pad([[True], [2, 3]], 0).dtype == pad([[]], 0).dtype == pad([[1]], 0).dtype
