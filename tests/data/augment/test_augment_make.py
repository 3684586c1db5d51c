"""Promises of the making: training rows only, the same rows whatever their order, every try counted."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from tests.conftest import reviews
from weitiao.core import registry
from weitiao.core.contracts import Record
from weitiao.core.errors import WeitiaoError
from weitiao.data import shapes
from weitiao.data.augment import Changes, Helpers, Repeats, steps
from weitiao.data.augment.make import Made, augment
from weitiao.data.check import normalised

ON_TEXTS = ["swap", {"name": "delete", "p": 0.3}, {"name": "char_noise", "copies": 2}, "keyboard"]


def records(rows, *, file="rows.csv") -> list[Record]:
    return [Record(file, line, row) for line, row in enumerate(rows, start=2)]


def run(train, settings, *, shape=shapes.LABELLED, seed=0, helpers=None, **others):
    made = Made()
    splits = {"train": train, **others}
    rows = list(augment(splits, shape, steps(settings), seed=seed, made=made, helpers=helpers))
    return rows, made


def plain(rows) -> Counter:
    return Counter((r.record.values["text"], r.record.values["label"], r.made_from.line, r.by) for r in rows)


# --- the training split only


@pytest.mark.parametrize("given", [None, [], {"test": []}, {"validation": [], "test": []}])
def test_rows_that_were_not_split_are_refused(given):
    rows = records(reviews(4)) if given is None else given
    with pytest.raises(WeitiaoError, match="augment_before_split") as caught:
        list(augment(rows, shapes.LABELLED, steps(["swap"]), seed=0, made=Made()))
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("side", ["validation", "test"])
def test_a_validation_or_test_row_among_the_training_rows_is_refused(side):
    rows = records(reviews(20))
    planted = Record("other.csv", 5, {"text": rows[3].values["text"].upper(), "label": "good"})
    with pytest.raises(WeitiaoError, match="augment_before_split") as caught:
        run(rows, ["swap"], **{side: [planted]})
    assert rows[3].place in str(caught.value)


def test_held_out_rows_are_never_made_from_and_never_made():
    rows = records([{"text": "one two", "label": "a"}, {"text": "three four", "label": "b"}])
    test = records([{"text": "TWO  one", "label": "b"}], file="test.csv")
    made_rows, made = run(rows, ["swap"], test=test)
    assert [row.record.values["text"] for row in made_rows] == ["four three"]
    assert made.to_dict()["made"] == {"swap": {"held_out": 1, "made": 1}}


def test_a_question_that_the_user_lets_stand_on_both_sides_does_not_bar_its_copies():
    def talk(question, answer):
        turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        return {"messages": [{"role": "system", "content": "be kind"}, *turns]}

    train, test = records([talk("why now", "because")]), records([talk("why now", "who knows")], file="t")
    rows, _ = run(train, ["swap"], shape=shapes.CONVERSATION, test=test)
    assert [row.record.values for row in rows] == [talk("now why", "because")]


# --- deterministic


def test_one_seed_gives_one_set_of_rows_whatever_their_order():
    rows = records(reviews(60))
    first = plain(run(rows, ON_TEXTS)[0])
    assert first == plain(run(rows, ON_TEXTS)[0])
    assert first == plain(run(rows[::-1], ON_TEXTS)[0])
    turned = records(reviews(60)[::-1], file="other.csv")  # other lines of another file
    texts = [
        Counter(row.record.values["text"] for row in run(given, ON_TEXTS)[0]) for given in (rows, turned)
    ]
    assert texts[0] == texts[1]
    assert first != plain(run(rows, ON_TEXTS, seed=1)[0])


def test_what_becomes_of_a_row_depends_on_no_other_row():
    rows = records(reviews(60))
    few = plain(run(rows[10:20], ON_TEXTS)[0])
    assert few <= plain(run(rows, ON_TEXTS)[0])


def test_the_same_augmentation_twice_draws_twice():
    rows = records(reviews(30))
    made_rows, made = run(rows, ["char_noise", "char_noise"])
    assert set(made.counts) == {"char_noise", "char_noise 2"}
    assert made.counts["char_noise 2"]["repeated"] < 3


# --- what is made


def test_rows_keep_place_and_label_and_no_text_is_there_twice():
    rows = records(reviews(60))
    made_rows, made = run(rows, ON_TEXTS)
    for row in made_rows:
        assert (row.record.file, row.record.line) == (row.made_from.file, row.made_from.line)
        assert row.record.values["label"] == row.made_from.values["label"]
        assert rows[row.made_from.line - 2] is row.made_from
    keys = [normalised(r.record.values["text"]) for r in made_rows] + [
        normalised(r.values["text"]) for r in rows
    ]
    assert len(set(keys)) == len(keys)
    assert made.total == len(made_rows) > 200


def test_every_try_is_counted_once():
    rows = records([*reviews(40), {"text": "alone", "label": "bad"}, {"text": "same same", "label": "bad"}])
    made_rows, made = run(rows, ON_TEXTS)
    tries = {"swap": 1, "delete": 1, "char_noise": 2, "keyboard": 1}
    assert {name: counts.total() for name, counts in made.counts.items()} == {
        name: copies * len(rows) for name, copies in tries.items()
    }
    assert made.counts["swap"]["unchanged"] >= 2
    told = made.to_dict()
    by = Counter(row.by for row in made_rows)
    assert {name: counts["made"] for name, counts in told["made"].items()} == by
    lines = Counter(
        (name, line) for name, files in told["made_from"].items() for line in files.get("rows.csv", [])
    )
    assert lines == Counter((row.by, row.made_from.line) for row in made_rows)


def test_equal_made_rows_are_counted_not_kept():
    rows = records([{"text": "one two", "label": "a"}, {"text": "x y", "label": "b"}])
    made_rows, made = run(rows, [{"name": "swap", "copies": 3}])
    assert len(made_rows) == 2
    assert made.counts["swap"] == {"made": 2, "repeated": 4}


def test_a_share_of_the_rows_gets_copies():
    rows = records(reviews(400))
    made_rows, _ = run(rows, [{"name": "char_noise", "rows": 0.25}])
    # 400 draws of 0.25: mean 100, standard deviation 8.7
    assert abs(len(made_rows) - 100) < 4 * 8.7


@pytest.mark.parametrize("name", registry.names("augmentation"))
def test_every_augmentation_says_what_it_is_and_goes_to_a_recipe_and_back(name):
    needed = {"function": {"function": "m:f"}, "back_translation": {"there": "a", "back": "b"}}
    step = registry.build("augmentation", {"name": name, **needed.get(name, {})})
    assert step.summary
    assert step.source
    assert isinstance(step, Changes | Repeats)
    assert registry.build("augmentation", registry.settings_of(name, step)) == step


TALK = [{"role": "system", "content": "be kind"}, {"role": "user", "content": "why is the film dull"}]
ANSWER = [{"role": "assistant", "content": "the film is dull because films are dull"}]
ASKED = {
    shapes.CONVERSATION: {"messages": [*TALK, *ANSWER], "tools": [{"name": "film"}]},
    shapes.PREFERENCE: {
        "prompt": TALK,
        "chosen": ANSWER,
        "rejected": [{"role": "assistant", "content": "the film"}],
    },
    shapes.UNPAIRED: {"prompt": TALK, "completion": ANSWER, "label": True},
    shapes.TRANSLATION: {"source": "the film is dull", "target": "der film ist dull"},
    shapes.LABELLED: {"text": "the film is dull", "text_pair": "dull film here", "label": "dull film"},
    shapes.NUMBERED: {"text": "the film is dull", "label": 1.5},
    shapes.MULTI_LABELLED: {"text": "the film is dull", "label": ["dull", "film"]},
    shapes.PLAIN: {"text": "the film is dull"},
}


def unasked(values) -> list:
    """All of a row but what was asked: answers, labels, roles, and turns that the user did not write."""
    turns = [turn for turn in values.get("messages", values.get("prompt", [])) if turn["role"] != "user"]
    rest = {k: v for k, v in values.items() if k not in ("messages", "prompt", "text", "text_pair", "source")}
    return [turns, rest]


@pytest.mark.parametrize("shape", ASKED, ids=lambda shape: f"{shape.name}-{getattr(shape, 'label', '')}")
@pytest.mark.parametrize("name", ["synonyms", "insert", "swap", "delete", "char_noise", "keyboard"])
def test_answers_and_labels_are_never_changed(name, shape, tmp_path):
    (tmp_path / "d.tsv").write_text("film\tmovie\ndull\tboring\nwhy\twherefore\n", encoding="utf-8")
    setting = {"name": name, "copies": 8} | ({"p": 0.4} if name == "delete" else {"share": 0.4})
    setting |= {"dictionary": str(tmp_path / "d.tsv")} if name in ("synonyms", "insert") else {}
    before = ASKED[shape]
    made_rows, _ = run(records([before]), [setting], shape=shape)
    assert made_rows
    for row in made_rows:
        assert unasked(row.record.values) == unasked(before)
        assert row.record.values != before
        assert not shape.faults(row.record.values)


# --- balance

LABELS = ["a"] * 23 + ["b"] * 7 + ["c"] * 2


def unbalanced() -> list[Record]:
    return records([{"text": f"row number {i} of {label}", "label": label} for i, label in enumerate(LABELS)])


@pytest.mark.parametrize("share", [1.0, 0.7, 0.3, 0.05])
def test_balance_makes_as_many_copies_as_the_formula_says(share):
    rows = unbalanced()
    made_rows, made = run(rows, [{"name": "balance", "share": share}])
    counts = Counter(row.record.values["label"] for row in made_rows) + Counter(LABELS)
    assert counts == {label: max(n, math.ceil(share * 23)) for label, n in Counter(LABELS).items()}
    assert all(row.record is row.made_from for row in made_rows)
    # Every row of a class is copied as often as any other, or once more.
    for label in "bc":
        copied = Counter(row.made_from.line for row in made_rows if row.record.values["label"] == label)
        times = [copied[row.line] for row in rows if row.values["label"] == label]
        assert max(times) - min(times) <= 1
    assert made.to_dict()["made"] == ({"balance": {"copied": len(made_rows)}} if made_rows else {})


def test_balance_does_not_round_up_what_floats_add():
    assert 0.07 * 100 > 7
    step = registry.build("augmentation", {"name": "balance", "share": 0.07})
    assert step.wanted({"a": 100, "b": 1}) == {"a": 0, "b": 6}


def test_balance_does_not_look_at_the_order():
    rows = unbalanced()
    assert plain(run(rows, ["balance"])[0]) == plain(run(rows[::-1], ["balance"])[0])


def test_later_steps_change_the_copies_and_keep_the_balance():
    made_rows, made = run(unbalanced(), ["balance", {"name": "char_noise", "share": 0.3}])
    texts = [row.record.values["text"] for row in made_rows]
    assert len(set(texts)) == len(texts)
    assert not set(texts) & {row.values["text"] for row in unbalanced()}
    counts = Counter(row.record.values["label"] for row in made_rows) + Counter(LABELS)
    assert counts == {"a": 46, "b": 46, "c": 46}
    assert set(made.counts) == {"char_noise"}


def test_a_copy_that_one_step_cannot_change_goes_to_the_next_or_stays():
    rows = records(
        [{"text": f"many {i}", "label": "a"} for i in range(4)] + [{"text": "alone", "label": "b"}]
    )
    made_rows, made = run(rows, ["balance", "swap"])
    assert Counter(row.by for row in made_rows) == {"swap": 4, "balance": 3}
    assert made.counts["balance"] == {"copied": 3}
    assert made.total == len(made_rows)
    made_rows, _ = run(rows, ["balance", "swap", {"name": "char_noise", "share": 1.0}])
    assert {row.by for row in made_rows} == {"swap", "char_noise"}


def test_balance_last_evens_out_what_the_others_made():
    made_rows, _ = run(unbalanced(), ["char_noise", "balance"])
    counts = Counter(row.record.values["label"] for row in made_rows) + Counter(LABELS)
    assert len(set(counts.values())) == 1


def test_several_labels_count_as_one_class():
    rows = records([{"text": f"t {i}", "label": ["x", "y"] if i else ["x"]} for i in range(5)])
    made_rows, _ = run(rows, ["balance"], shape=shapes.MULTI_LABELLED)
    assert [row.record.values for row in made_rows] == [{"text": "t 0", "label": ["x"]}] * 3


# --- refusals, before a row is changed


@pytest.mark.parametrize(
    ("shape", "setting", "why"),
    [
        (shapes.LABELLED, "flip", "changes pictures"),
        (shapes.PICTURED, "swap", "changes texts"),
        (shapes.TAGGED, "masked", "running text"),
        (shapes.TAGGED, {"name": "back_translation", "there": "a", "back": "b"}, "running text"),
        (shapes.PLAIN, "balance", "no classes"),
    ],
)
def test_what_makes_no_sense_is_refused(shape, setting, why):
    row = {"text": "a b", "label": "c", "image": "x.png", "tokens": ["a"], "tags": ["O"]}
    with pytest.raises(WeitiaoError, match=f"(?s)augment_refuses.*{why}"):
        run(records([row]), [setting], shape=shape)


@pytest.mark.parametrize(
    ("setting", "helper"),
    [
        ("synonyms", "dictionary"),
        ("insert", "dictionary"),
        ("homophones", "dictionary"),
        ("masked", "masked_model"),
        ({"name": "back_translation", "there": "a", "back": "b"}, "translator"),
    ],
)
def test_a_helper_that_is_not_handed_in_is_named(setting, helper):
    with pytest.raises(WeitiaoError, match=f"(?s)augment_needs.*Helpers\\({helper}="):
        run(records(reviews(4)), ["swap", setting], helpers=Helpers())


@pytest.mark.parametrize("name", ["flip", "rotate", "crop", "color"])
def test_pictures_need_a_folder_to_lie_in(name):
    rows = records([{"image": "x.png", "label": "c"}])
    with pytest.raises(WeitiaoError, match="augment_needs.*folder"):
        run(rows, [name], shape=shapes.PICTURED)


@pytest.mark.parametrize(
    ("setting", "code", "said"),
    [
        ("synonym", "unknown_name", "synonyms"),
        ({"name": "delete", "probability": 0.1}, "unknown_key", "augmentation.probability"),
        ({"name": "delete", "p": 1.5}, "wrong_value", "augmentation.p"),
        ({"name": "synonyms", "copies": 0}, "wrong_value", "augmentation.copies"),
        ({"name": "function", "function": "nothing"}, "wrong_value", "augmentation.function"),
        ({"p": 0.1}, "unknown_name", "augmentation"),
    ],
)
def test_settings_are_checked_strictly(setting, code, said):
    with pytest.raises(WeitiaoError, match=rf"(?s)\[{code}\].*{said}"):
        steps([setting])


def test_nothing_asked_is_nothing_made():
    assert run(records(reviews(4)), []) == ([], Made())
