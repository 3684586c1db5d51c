"""How methods are spelt, what they are called, and what is refused before anything is trained."""

from __future__ import annotations

import pytest

from weitiao.core.errors import WeitiaoError
from weitiao.core.recipe import Recipe
from weitiao.study.methods_asked import asked_for, check, entrants, spelt


def labels(*methods) -> list[str]:
    return [one.label for one in entrants(methods)]


def test_methods_are_taken_out_of_the_words():
    methods, others = asked_for(
        ["method=full,lora:target_modules=[query,value]:r=4", "seed=3", "method=head"]
    )
    assert methods == ["full", "lora:target_modules=[query,value]:r=4", "head"]
    assert others == ["seed=3"]


@pytest.mark.parametrize(
    ("word", "settings"),
    [
        ("lora", {"name": "lora"}),
        (" lora : r=4 ", {"name": "lora", "r": 4}),
        ("lora:r=4:lora_alpha=8", {"name": "lora", "r": 4, "lora_alpha": 8}),
        ("lora:target_modules=[query,value]", {"name": "lora", "target_modules": ["query", "value"]}),
        ("lora:target_modules='.*(?:query|value)'", {"name": "lora", "target_modules": ".*(?:query|value)"}),
        ("{name: lora, r: 4}", {"name": "lora", "r": 4}),
    ],
)
def test_settings_are_spelt_behind_colons(word, settings):
    assert spelt(word) == settings


@pytest.mark.parametrize(
    "words",
    [
        "method=",
        "method=full,",
        "method=full,,lora",
        "method=full,lora:",
        "method=full,lora:r",
        "method=full,lora:r=",
        "method=full,lora:=4",
        "method=full,lora:r=4:r=8",
        "method=full,r=4",
        "method=full,lora:target_modules=[query",
        "method=full,[lora]",
        "method=full,{r: 4}",
    ],
)
def test_nonsense_is_refused_with_the_right_spelling(words):
    with pytest.raises(WeitiaoError, match=r"(bad_method_word|unknown_name)[\s\S]*Way out: .*lora"):
        entrants(asked_for([words])[0])


def test_a_setting_that_belongs_to_nobody_is_refused():
    with pytest.raises(WeitiaoError, match=r"setting_of_none[\s\S]*method=full,NAME:r=8"):
        asked_for(["method=full,lora", "method.r=8"])


def test_a_label_says_what_was_given_however_it_was_given():
    assert labels("full", "lora", "lora:r=4") == ["full", "lora", "lora:r=4"]
    listed = {"name": "lora", "target_modules": ["query", "value"], "lora_dropout": 0.1}
    assert labels("full", listed)[1] == "lora:target_modules=[query,value]:lora_dropout=0.1"


def test_folders_are_safe_and_apart():
    odd = ["lora:target_modules=a/../b", "lora:target_modules=a:..:b", "lora:target_modules='*'", "lora:r=4"]
    found = [one.folder for one in entrants(["full", *(m for m in odd if m.count(":") == 1)])]
    assert found[0] == "full"
    assert found[-1] == "lora-r=4"
    assert len(set(found)) == len(found)
    for name in found:
        assert "/" not in name
        assert not name.startswith(".")
        assert name.isprintable()
    long = entrants(["full", {"name": "lora", "target_modules": ["x" * 300]}])[1].folder
    assert len(long) < 100


@pytest.mark.parametrize(
    ("methods", "error"),
    [
        (["full", "lroa"], r'unknown_name.*"lroa".*Did you mean "lora"'),
        (["full", "lora:rr=4"], r"unknown_key.*method\.rr"),
        (["full", "lora:r=0"], r"wrong_value.*method\.r"),
        (["full"], r"too_few_methods.*1 \(full\)"),
        ([], r"too_few_methods.*0 \(-\)"),
        (["full", "full"], r"same_method_twice"),
        (["lora", "lora:r=16"], r'same_method_twice.*"lora" and "lora:r=16"'),
        (["full", {"r": 4}], r"bad_method_word"),
    ],
)
def test_what_cannot_be_compared_is_refused(methods, error):
    with pytest.raises(WeitiaoError, match=error):
        entrants(methods)


def test_methods_of_before_come_first_and_need_not_be_named_again():
    before = [{"name": "full"}, {"name": "lora", "r": 4}]
    assert [one.label for one in entrants([], before=before)] == ["full", "lora:r=4"]
    assert [one.label for one in entrants(["head", "full"], before=before)] == ["full", "lora:r=4", "head"]


def test_every_method_is_checked_before_the_first_trains(converse, classify, tmp_path):
    check(Recipe.read(classify()), entrants(["full", "lora", "head"]))
    with pytest.raises(WeitiaoError, match=r"no_such_pair.*head"):
        check(Recipe.read(converse()), entrants(["full", "lora", "head"]))
    with pytest.raises(WeitiaoError, match=r"wrong_metric"):
        check(Recipe.read(classify(metric_for_best_model="f2")), entrants(["full", "lora"]))
    with pytest.raises(WeitiaoError, match=r"missing_key.*data\.train"):
        check(Recipe.read({**classify(), "data": {}}), entrants(["full", "lora"]))


def test_only_the_method_and_the_folder_differ(classify):
    asked = Recipe.read(classify(method="head"))
    for one in entrants(["full", "lora:r=4"]):
        made = one.recipe(asked)
        assert made.method == one.settings
        assert made.output_dir == f"{asked.output_dir}/{one.folder}"
        common = {"method": None, "output_dir": ""}
        assert made.model_copy(update=common) == asked.model_copy(update=common)
