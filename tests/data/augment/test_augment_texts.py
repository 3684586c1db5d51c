"""What each operation on texts may do and may not, on words and characters counted by hand."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weitiao.core import registry
from weitiao.core.contracts import Record
from weitiao.core.errors import WeitiaoError
from weitiao.data import shapes
from weitiao.data.augment import Helpers, dictionary, keyboard

SYNONYMS = {"film": ["movie", "moving picture"], "dull": ["boring"], "see": ["watch", "view"]}
PLAIN_WORDS = ["the", "film", "was", "dull", "to", "see", "twice", "never"]
sentences = st.lists(st.sampled_from(PLAIN_WORDS), min_size=1, max_size=25).map(" ".join)
seeds = st.integers(0, 10**6)
quick = settings(max_examples=60, deadline=None)


@pytest.fixture(scope="module")
def words_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("words") / "mine.tsv"
    lines = [
        f"{word}\t{','.join(o.replace(' ', '_') for o in others)}\n" for word, others in SYNONYMS.items()
    ]
    path.write_text("".join(lines) + "高兴\t开心 快乐\n", encoding="utf-8")
    return path


def changed(name: str, values: dict | str, shape=shapes.PLAIN, *, seed: int = 0, **words):
    """The row that an augmentation makes, or None."""
    values = {"text": values} if isinstance(values, str) else values
    step = registry.build("augmentation", {"name": name, **words})
    (copies,) = step.ready(shape, Helpers())([Record("f", 1, values)], [Random(seed)])
    return copies[0] if copies else None


def levenshtein(one: str, other: str) -> int:
    """Insertions, deletions and substitutions, by the table of Wagner and Fischer."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, start=1):
        diagonal, row[0] = row[0], i
        for j, b in enumerate(other, start=1):
            diagonal, row[j] = row[j], min(diagonal + (a != b), row[j] + 1, row[j - 1] + 1)
    return row[-1]


def is_subsequence(short: list, long: list) -> bool:
    rest = iter(long)
    return all(item in rest for item in short)


# --- words


@quick
@given(sentences, seeds, st.sampled_from([0.1, 0.4, 1.0]))
def test_synonyms_differ_at_listed_words_by_listed_words(words_file, text, seed, share):
    made = changed("synonyms", text, seed=seed, share=share, dictionary=str(words_file))
    before = text.split()
    listed = [word for word in before if word in SYNONYMS]
    if not listed:
        assert made is None
        return
    after = made["text"].replace("moving picture", "moving_picture").split()
    assert len(after) == len(before)
    differing = [(a, b.replace("_", " ")) for a, b in zip(before, after, strict=True) if a != b]
    assert all(b in SYNONYMS[a] for a, b in differing)
    assert len(differing) == min(len(listed), max(1, round(share * len(before))))


def test_synonyms_keep_capitals_punctuation_and_chinese(words_file):
    words = {"share": 1.0, "dictionary": str(words_file)}
    assert changed("synonyms", 'Dull! "See", dull.', seed=1, **words)["text"] in (
        'Boring! "Watch", boring.',
        'Boring! "View", boring.',
    )
    assert changed("synonyms", "我很高兴。", **words)["text"] in ("我很开心。", "我很快乐。")
    assert changed("synonyms", "seeing films", **words) is None  # forms that are not listed stay


@quick
@given(sentences, seeds, st.sampled_from([0.1, 0.5]))
def test_insert_only_adds_synonyms_of_words_that_are_there(words_file, text, seed, share):
    made = changed("insert", text, seed=seed, share=share, dictionary=str(words_file))
    before = text.split()
    known = {synonym for word in before for synonym in SYNONYMS.get(word, ())}
    if not known:
        assert made is None
        return
    after = made["text"].replace("moving picture", "moving_picture").split()
    assert is_subsequence(before, after)
    added = Counter(after) - Counter(before)
    assert {word.replace("_", " ") for word in added} <= known
    assert added.total() == max(1, round(share * len(before)))


def test_what_is_put_in_is_written_as_in_the_middle_of_a_sentence(tmp_path):
    (tmp_path / "d.tsv").write_text("agency\tNASA\ndull\tboring\n", encoding="utf-8")
    made = {
        changed("insert", text, seed=s, dictionary=str(tmp_path / "d.tsv"))["text"]
        for text in ("Agency", "Dull.")
        for s in range(3)
    }
    assert made == {"Agency NASA", "Dull boring."}


@quick
@given(sentences, seeds, st.sampled_from([0.1, 0.5]))
def test_swap_keeps_the_words(text, seed, share):
    made = changed("swap", text, seed=seed, share=share)
    before = text.split()
    swaps = max(1, round(share * len(before)))
    if made is None:
        # One word, equal words, or swapped there and back: an odd number of swaps never is.
        assert len(set(before)) < len(before) or len(before) == 1 or swaps % 2 == 0
        return
    assert Counter(made["text"].split()) == Counter(before)
    moved = sum(a != b for a, b in zip(before, made["text"].split(), strict=True))
    assert 2 <= moved <= 2 * swaps


def test_one_swap_of_two_unlike_words_always_shows():
    for seed in range(20):
        assert changed("swap", "one, two!", seed=seed)["text"] == "two, one!"
    assert changed("swap", "alone") is None


@quick
@given(sentences, seeds, st.sampled_from([0.1, 0.5, 1.0]))
def test_delete_leaves_some_of_the_words_in_order(text, seed, p):
    made = changed("delete", text, seed=seed, p=p)
    after = text.split() if made is None else made["text"].split()
    assert after
    assert is_subsequence(after, text.split())
    if p == 1.0:
        assert len(after) == 1


def test_delete_leaves_out_the_share_it_is_told():
    text = " ".join(f"w{i}" for i in range(1000))
    gone = [1000 - len(changed("delete", text, seed=seed, p=0.1)["text"].split()) for seed in range(20)]
    # 20,000 draws of p = 0.1: mean 100 a text, standard error of the mean sqrt(90 / 20) = 2.1
    assert abs(sum(gone) / 20 - 100) < 4 * 2.1


# --- tagged words

TAGGED = {
    "tokens": ["see", "the", "New", "York", "film", "was", "dull", "Bob"],
    "tags": ["O", "O", "B-LOC", "I-LOC", "O", "O", "O", "B-PER"],
}


def entities(row: dict) -> list[tuple[str, ...]]:
    return [(t, g) for t, g in zip(row["tokens"], row["tags"], strict=True) if g != "O"]


@pytest.mark.parametrize("name", ["synonyms", "insert", "swap", "delete", "char_noise", "keyboard"])
def test_tags_stay_with_their_words(name, words_file):
    extra = {"dictionary": str(words_file)} if name in ("synonyms", "insert") else {}
    extra |= {"p": 0.5} if name == "delete" else {"share": 0.5}
    seen = set()
    for seed in range(30):
        row = changed(name, TAGGED, shapes.TAGGED, seed=seed, **extra)
        if row is None:
            continue
        assert not shapes.TAGGED.faults(row)
        assert entities(row) == entities(TAGGED)
        assert not any(" " in token for token in row["tokens"])
        places = [i for i, tag in enumerate(row["tags"]) if tag == "I-LOC"]
        assert [row["tags"][i - 1] for i in places] == ["B-LOC"]  # nothing came between New and York
        seen.add(len(row["tokens"]))
    assert seen
    assert all((n > 8) == (name == "insert") and (n < 8) == (name == "delete") for n in seen)


def test_where_all_words_carry_tags_nothing_is_changed(words_file):
    row = {"tokens": ["film", "dull"], "tags": ["B-X", "B-Y"]}
    for name in ("swap", "delete", "char_noise", "keyboard"):
        assert changed(name, row, shapes.TAGGED) is None
    assert changed("synonyms", row, shapes.TAGGED, dictionary=str(words_file)) is None


# --- characters

letters = st.text(st.sampled_from("abcdeXY 12,."), min_size=12, max_size=60).filter(
    lambda text: sum(map(str.isalnum, text)) >= 5
)


def asked(text: str, share: float) -> int:
    return max(1, round(share * sum(map(str.isalnum, text))))


@quick
@given(letters, seeds, st.sampled_from([0.05, 0.1]), st.sampled_from(["insert", "delete"]))
def test_characters_put_in_or_left_out_are_as_many_as_asked(text, seed, share, kind):
    made = changed("char_noise", text, seed=seed, share=share, kinds=[kind])["text"]
    n = asked(text, share)
    assert len(made) - len(text) == (n if kind == "insert" else -n)
    assert levenshtein(text, made) == n


@quick
@given(letters, seeds, st.sampled_from([0.05, 0.1]))
def test_mistaken_characters_are_as_many_as_asked_and_of_their_kind(text, seed, share):
    made = changed("char_noise", text, seed=seed, share=share, kinds=["substitute"])["text"]
    differing = [(a, b) for a, b in zip(text, made, strict=True) if a != b]
    assert len(differing) == asked(text, share)
    kinds = (str.islower, str.isupper, str.isdigit)
    assert all([kind(a) for kind in kinds] == [kind(b) for kind in kinds] for a, b in differing)


@quick
@given(letters, seeds, st.sampled_from([0.05, 0.1]))
def test_transposed_characters_are_neighbours(text, seed, share):
    made = changed("char_noise", text, seed=seed, share=share, kinds=["transpose"])
    if made is None:
        assert all(a == b or not (a + b).isalnum() for a, b in zip(text, text[1:], strict=False))
        return
    moved = [i for i, (a, b) in enumerate(zip(text, made["text"], strict=True)) if a != b]
    pairs = list(zip(moved[::2], moved[1::2], strict=True))
    assert all(j == i + 1 and made["text"][i : j + 1] == text[i : j + 1][::-1] for i, j in pairs)
    assert 1 <= len(pairs) <= asked(text, share)


@quick
@given(letters, seeds)
def test_mixed_noise_is_never_more_than_asked(text, seed):
    made = changed("char_noise", text, seed=seed, share=0.1)
    # A transposition is two substitutions to Levenshtein.
    assert made is None or 1 <= levenshtein(text, made["text"]) <= 2 * asked(text, 0.1)


def test_a_single_character_is_not_deleted():
    assert changed("char_noise", "a", kinds=["delete"]) is None
    assert changed("char_noise", "...") is None


def test_neighbours_are_those_of_a_keyboard():
    by_hand = {"a": "qwsz", "g": "ftyhbv", "p": "ol", "q": "wa", "z": "asx", "m": "njk", "1": "2", "5": "46"}
    for key, beside in by_hand.items():
        assert set(keyboard.NEIGHBOURS[key]) == set(beside), key
    for key, beside in keyboard.NEIGHBOURS.items():
        assert all(key in keyboard.NEIGHBOURS[other] for other in beside)


@quick
@given(letters, seeds, st.sampled_from([0.05, 0.3, 1.0]))
def test_typos_are_neighbours_of_the_same_case(text, seed, share):
    made = changed("keyboard", text, seed=seed, share=share)["text"]
    differing = [(a, b) for a, b in zip(text, made, strict=True) if a != b]
    assert len(differing) == max(1, round(share * sum(c.isalnum() for c in text)))
    assert all(
        b.lower() in keyboard.NEIGHBOURS[a.lower()] and a.isupper() == b.isupper() for a, b in differing
    )


def test_the_keyboard_leaves_chinese_to_homophones(tmp_path):
    assert changed("keyboard", "服务很好") is None
    sounds = tmp_path / "sounds.tsv"
    sounds.write_text("是\t时 事 使\n好\t号,浩\n", encoding="utf-8")
    made = {
        changed("homophones", "这是 is 好", seed=s, share=1.0, choices=2, dictionary=str(sounds))["text"]
        for s in range(40)
    }
    assert made == {f"这{a} is {b}" for a in "时事" for b in "号浩"}
    assert changed("homophones", "is it", dictionary=str(sounds)) is None


# --- dictionaries


def test_lines_of_cilin_are_read(tmp_path):
    path = tmp_path / "cilin.txt"
    path.write_text("Aa01A01= 人 士 人物\nAa01A02# 甲 乙\nAa01A03@ 丙\n", encoding="utf-8")
    assert dictionary.Dictionary.read(path).entries == {
        "人": ("士", "人物"),
        "士": ("人", "人物"),
        "人物": ("人", "士"),
    }


@pytest.mark.parametrize(
    ("content", "line"), [(b"film\tmovie\nno tab here\n", 2), (b"a\tb\n\xff\xfe\n", 2), (b"\n# nothing\n", 1)]
)
def test_what_is_no_dictionary_is_refused_with_the_line(tmp_path, content, line):
    path = tmp_path / "odd.tsv"
    path.write_bytes(content)
    with pytest.raises(WeitiaoError, match="bad_dictionary") as caught:
        changed("synonyms", "film", dictionary=str(path))
    assert caught.value.values["line"] == line


def test_a_missing_dictionary_is_told(tmp_path):
    with pytest.raises(WeitiaoError, match="file_missing"):
        changed("synonyms", "film", dictionary=str(tmp_path / "none.tsv"))


def test_auto_asks_the_dictionary_of_the_script(tmp_path):
    files = {}
    for name, line in (("wordnet", "film\tmovie\n"), ("cilin", "高兴\t开心\n")):
        files[name] = tmp_path / name
        files[name].write_text(line, encoding="utf-8")
    fetched = []

    def fetch(name):
        fetched.append(name)
        return files[name]

    step = registry.build("augmentation", {"name": "synonyms", "share": 1.0})
    change = step.ready(shapes.PLAIN, Helpers(dictionary=fetch))
    assert change([Record("f", 1, {"text": "A film"})], [Random(0)]) == [[{"text": "A movie"}]]
    assert fetched == ["wordnet"]
    assert change([Record("f", 1, {"text": "film高兴"})], [Random(0)]) == [[{"text": "movie开心"}]]
    assert fetched == ["wordnet", "cilin"]
