"""One vector a text: the loss and its gradient, what is no negative, and what is found."""

from __future__ import annotations

import json
import shlex

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import weitiao as wt
from tests.conftest import paired, write_jsonl
from weitiao.cli import run as weitiao
from weitiao.cli.show import next_steps
from weitiao.core import registry
from weitiao.core.contracts import Record
from weitiao.core.errors import WeitiaoError
from weitiao.data.passages import gathered
from weitiao.models import load

pytestmark = pytest.mark.whole  # a training each


def rows(made):
    return [Record("toy", i, {"negative": [], **row}) for i, row in enumerate(made, start=1)]


def ready(bert, made, **settings):
    task = registry.build("task", {"name": "embedding", **settings})
    loaded = load.load(bert, task)
    loaded.model.eval()
    examples = list(task.encode(rows(made), loaded.processor, limit=64))
    return task, loaded, loaded.collate(task)(examples, list(range(len(examples)))), examples


def vector(loaded, text, pooling="mean"):
    """A text alone, by nothing but Transformers and the definition."""
    hidden_TD = loaded.model(**loaded.processor(text, return_tensors="pt")).last_hidden_state[0]
    pooled = {"mean": hidden_TD.mean(0), "cls": hidden_TD[0], "last": hidden_TD[-1], "max": hidden_TD.amax(0)}
    return pooled[pooling]


def by_hand(loaded, made, *, scale=20.0, symmetric=False, size=None, pooling="mean"):
    """InfoNCE, row by row: every positive and negative of the batch is a candidate unless it is known to be right."""
    cut = slice(None, size)
    asked = [F.normalize(vector(loaded, row["anchor"], pooling)[cut], dim=0) for row in made]
    texts = [row["positive"] for row in made] + [text for row in made for text in row.get("negative", [])]
    found = [F.normalize(vector(loaded, text, pooling)[cut], dim=0) for text in texts]
    total = torch.zeros((), dtype=asked[0].dtype)
    for i, row in enumerate(made):
        right = {other["positive"] for other in made if other["anchor"] == row["anchor"]}
        wrong = [c for c, text in enumerate(texts) if c != i and text not in right]
        scores = torch.stack([scale * asked[i] @ found[c] for c in [i, *wrong]])
        there = torch.logsumexp(scores, 0) - scores[0]
        if symmetric:
            right = {other["anchor"] for other in made if other["positive"] == row["positive"]}
            wrong = [c for c, other in enumerate(made) if c != i and other["anchor"] not in right]
            scores = torch.stack([scale * asked[c] @ found[i] for c in [i, *wrong]])
            there = (there + torch.logsumexp(scores, 0) - scores[0]) / 2
        total = total + there
    return total


def near(ours, theirs):
    """Gradients within 1e-5 of all of them together."""
    size = torch.cat([gradient.flatten() for gradient in theirs.values()]).norm()
    for name, gradient in theirs.items():
        assert (ours[name] - gradient).norm() <= 1e-5 * size, name


MADE = [
    *paired(6),
    # An answer that stands twice, a question with two answers, and a right answer as another row's negative.
    {"anchor": "film plot", "positive": "great story", "negative": []},
    {"anchor": "ending", "positive": "great story", "negative": ["lovely music"]},
    {"anchor": "film plot", "positive": "lovely music", "negative": []},
]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"symmetric": True, "scale": 5.0},
        {"pooling": "cls"},
        {"pooling": "last"},
        {"pooling": "max"},
    ],
    ids=str,
)
def test_the_loss_and_its_gradient_are_those_of_the_definition(bert, settings):
    task, loaded, batch, _ = ready(bert, MADE, **settings)
    loaded.model.double()  # the toy's cosines are nearly 1: in float32 most of what is compared would be rounding
    loss = task.loss(loaded.model, batch)
    loss.backward()
    ours = {name: weight.grad.clone() for name, weight in loaded.model.named_parameters()}
    loaded.model.zero_grad()
    expected = by_hand(loaded, MADE, **settings)
    expected.backward()
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)
    near(ours, {name: weight.grad for name, weight in loaded.model.named_parameters()})


def test_the_losses_of_matryoshka_sizes_are_added_up(bert):
    task, loaded, batch, _ = ready(bert, MADE, matryoshka_dims=[32, 8])
    with torch.no_grad():
        expected = by_hand(loaded, MADE) + by_hand(loaded, MADE, size=8)
        torch.testing.assert_close(task.loss(loaded.model, batch), expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(WeitiaoError, match="vectors have 32 numbers"):
        ready(bert, MADE, matryoshka_dims=[33])


@pytest.mark.parametrize(("count", "part"), [(40, 1), (40, 7), (512, 64)])
def test_a_batch_in_parts_has_the_gradient_of_the_whole(bert, count, part):
    """Cached gradients; nothing drops out, since parts of another size draw other masks."""
    made = paired(count)
    found = []
    for settings in ({}, {"mini_batch_size": part}):
        task, loaded, batch, _ = ready(bert, made, **settings)
        loaded.model.train()
        for module in loaded.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        calls = []
        handle = loaded.model.register_forward_hook(lambda *a, c=calls: c.append(len(a[2][0])))
        loss = task.loss(loaded.model, batch)
        first = len(calls)
        loss.backward()
        handle.remove()
        found.append((loss.detach(), {n: w.grad for n, w in loaded.model.named_parameters()}))
        if settings:  # every part is made again in backward, and none is larger
            assert len(calls) == 2 * first
            assert max(calls) == part
    torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-5, atol=1e-5)
    near(found[1][1], found[0][1])


def test_prefixes_stand_before_their_side_alone(bert):
    made = [{"anchor": "film", "positive": "great plot"}]
    task, loaded, _, (example,) = ready(bert, made, query_prefix="the ", passage_prefix="very ")
    words = loaded.processor.convert_ids_to_tokens(example.inputs["input_ids"])
    assert words == ["[CLS]", "the", "film", "[SEP]", "[CLS]", "very", "great", "plot", "[SEP]"]
    assert list(example.inputs["texts"]) == [4, 5]


def test_ranks_are_those_of_a_search_by_hand():
    rng = np.random.default_rng(0)
    asked = [f"q{i % 30}" for i in range(40)]
    passages = [f"p{rng.integers(25)}" for _ in asked]
    found = gathered(list(zip(asked, passages, strict=True)))
    texts = list(dict.fromkeys(passages))
    scores = rng.integers(0, 6, size=(40, len(texts))).astype(float)  # with many ties
    for row, ranks in enumerate(found.ranks(scores)):
        right = {passages[i] for i in range(40) if asked[i] == asked[row]}
        # Of equal scores those that are right come last.
        order = sorted(texts, key=lambda text: (-scores[row, texts.index(text)], text in right))
        assert ranks == sorted(order.index(text) + 1 for text in right)
        shown = [passages[at] for at, which in found.found(scores[row], row)]
        # Of equal scores any.
        assert [scores[row, texts.index(text)] for text in shown[:3]] == np.sort(scores[row])[:-4:-1].tolist()
        assert [text in right for text in shown] == [
            rank in ranks for rank in (1, 2, 3, ranks[0])[: len(shown)]
        ]
        assert len(shown) == 3 + (ranks[0] > 3)


def test_texts_that_all_look_alike_are_not_found(bert):
    task, loaded, batch, examples = ready(bert, paired(6))
    same = [{"vectors": np.ones((len(example.inputs["texts"]), 4), np.float32)} for example in examples]
    assert {rank for told in task.together(same, examples) for rank in told["ranks"]} == {
        9
    }  # 6 right, 3 wrong


def test_a_row_that_is_right_and_wrong_at_once_is_told_and_the_others_stay(bert, tmp_path):
    made = [*paired(20), {"anchor": "film", "positive": "great plot", "negative": ["Great  plot"]}]
    made += [{"anchor": "", "positive": "great"}, {"anchor": "the plot", "positive": None}]
    file = write_jsonl(tmp_path / "rows.jsonl", made)
    ledger = wt.check(str(file), task="embedding").ledger
    assert [entry["line"] for entry in ledger.lost()] == [21, 22, 23]
    assert "right and as wrong" in ledger.lost()[0]["reason"]


@pytest.mark.parametrize(
    "columns", [("query", "passage"), ("question", "answer"), ("anchor", "positive")], ids=str
)
def test_columns_are_called_as_people_call_them(columns, tmp_path):
    made = [dict(zip(columns, (row["anchor"], row["positive"]), strict=True)) for row in paired(12)]
    file = write_jsonl(tmp_path / "rows.jsonl", made)
    checked = wt.check(str(file), task="embedding")
    assert (checked.ledger.total, checked.ledger.lost()) == (12, [])


def test_an_encoder_decoder_is_refused_with_what_suits_it(t5):
    with pytest.raises(WeitiaoError, match="no_such_head.*AutoModelForSeq2SeqLM"):
        load.load(t5, registry.build("task", {"name": "embedding"}))


@pytest.fixture(scope="module")
def run(bert, tmp_path_factory):
    folder = tmp_path_factory.mktemp("embedding")
    file = write_jsonl(folder / "rows.jsonl", paired(120))
    train = {"num_train_epochs": 2, "learning_rate": 2e-3, "save_strategy": "no", "eval_strategy": "no"}
    words = {
        "load_best_model_at_end": False,
        "per_device_train_batch_size": 32,
        "early_stopping_patience": None,
        "bf16": False,
    }
    return wt.train(
        model=bert,
        task={"name": "embedding", "query_prefix": "the "},
        data={"train": str(file), "cache": False},
        method="full",
        train=train | words,
        output_dir=str(folder / "run"),
    )


def test_it_learns_and_is_judged_beside_the_untuned_model_and_a_search_by_words(run):
    found = run.results["metrics"]
    assert set(found) == {"tuned", "untuned", "bm25"}
    assert found["tuned"]["ndcg_at_10"]["value"] > found["untuned"]["ndcg_at_10"]["value"] + 0.1
    assert not run.results["missing"]


def test_the_page_shows_queries_with_what_a_search_by_hand_finds_for_them(run):
    """The one whose right passage stands farthest back first; the right one is marked."""
    kept = [json.loads(row) for row in (run.path / "data" / "test.jsonl").read_text().splitlines()]
    texts = list(dict.fromkeys(text for row in kept for text in (row["positive"], *row["negative"])))
    found = torch.stack([F.normalize(vector(run.tuned, text), dim=0) for text in texts])
    shown = run.results["sections"]["queries"]["rows"]
    ranks = []
    for one in shown:
        right = {row["positive"] for row in kept if row["anchor"] == one["text"]}
        scores = found @ F.normalize(vector(run.tuned, "the " + one["text"]), dim=0)
        by_hand = [texts[place] for place in scores.argsort(descending=True)]
        ranks.append(one["facts"][0]["value"])
        assert ranks[-1] == min(by_hand.index(text) for text in right) + 1
        assert [answer["text"] for answer in one["answers"][:3]] == by_hand[:3]
        marked = [answer["text"] for answer in one["answers"] if answer["system"] == "reference"]
        assert marked
        assert {*marked} <= right
    assert ranks == sorted(ranks, reverse=True)


def test_a_prediction_is_the_vector_of_what_asks(run):
    (told,) = run.predict(["great plot"])
    by_hand = F.normalize(vector(run.tuned, "the great plot"), dim=0).tolist()
    assert told["vector"] == pytest.approx(by_hand, abs=1e-5)
    assert run.predict([{"anchor": "great plot"}])[0]["vector"] == pytest.approx(by_hand, abs=1e-5)


def test_what_is_proposed_is_a_search_that_finds(run, monkeypatch, capsys):
    """With what a test row asks, among the run's own passages."""
    monkeypatch.setenv("WEITIAO_LANG", "en")
    next_steps(run)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if f" retrieve {run.path}" in line]
    *_, asked = words = shlex.split(line)
    assert asked in {
        json.loads(row)["anchor"] for row in (run.path / "data" / "test.jsonl").read_text().splitlines()
    }
    assert weitiao(words[words.index("retrieve") :]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 5


def test_the_folder_says_to_sentence_transformers_how_vectors_are_made(run):
    model = run.folder.model
    kinds = [module["type"].rpartition(".")[2] for module in json.loads((model / "modules.json").read_text())]
    assert kinds == ["Transformer", "Pooling", "Normalize"]
    pooling = json.loads((model / "1_Pooling" / "config.json").read_text())
    assert [mode for mode, on in pooling.items() if on is True] == ["pooling_mode_mean_tokens"]
    assert json.loads((model / "config_sentence_transformers.json").read_text())["prompts"]["query"] == "the "


def test_a_vector_is_explained_by_name(run):
    with pytest.raises(WeitiaoError, match="vector_unexplained"):
        run.task.explains(Record("", 1, {"anchor": "a"}), {})


def test_sentence_transformers_opens_it_and_says_the_same(run):
    library = pytest.importorskip("sentence_transformers", reason="a peer: pip install sentence-transformers")
    theirs = library.SentenceTransformer(str(run.folder.model), device="cpu")
    texts = ["great plot", "film was boring and quite dull", "music"]
    ours = [told["vector"] for told in run.predict(texts)]
    np.testing.assert_allclose(theirs.encode(texts, prompt_name="query"), ours, atol=1e-5)


@pytest.mark.parametrize("symmetric", [False, True])
def test_the_loss_is_that_of_sentence_transformers(run, symmetric):
    """Of rows that repeat nothing: what theirs knows of repetitions, their sampler does."""
    library = pytest.importorskip("sentence_transformers", reason="a peer: pip install sentence-transformers")
    kinds = ("MultipleNegativesRankingLoss", "MultipleNegativesSymmetricRankingLoss")
    theirs = library.SentenceTransformer(str(run.folder.model), device="cpu").eval()
    made = paired(8, seed=3)
    texts = [[row["anchor"] for row in made], [row["positive"] for row in made]]
    words = [theirs.tokenize(each) for each in texts]
    losses = pytest.importorskip("sentence_transformers.sentence_transformer.losses")
    expected = getattr(losses, kinds[symmetric])(theirs, scale=7.0)(words, None)
    made = [{**row, "negative": []} for row in made]
    task = registry.build("task", {"name": "embedding", "scale": 7.0, "symmetric": symmetric})
    examples = list(task.encode(rows(made), run.tuned.processor, limit=64))
    batch = task.collate(examples, list(range(8)), run.tuned.processor)
    torch.testing.assert_close(task.loss(run.tuned.model, batch) / 8, expected, rtol=1e-5, atol=1e-5)
