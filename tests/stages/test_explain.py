"""What a prediction hangs on, through the run: the planted word, the numbers, every kind of task."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import weitiao as wt
from tests.conftest import dialogues, many_labels, rated, reviews, small_run, tagged, write_jsonl
from weitiao.cli import run as command
from weitiao.core.errors import WeitiaoError

pytestmark = pytest.mark.whole  # a training each

pytest.importorskip("captum")
ROWS = {
    "text_classification": reviews,
    "text_regression": rated,
    "multi_label_classification": many_labels,
    "token_classification": tagged,
    "sft": dialogues,
}


@pytest.fixture(scope="module")
def made(bert, llama, tmp_path_factory):
    """A run of each task on toys, made when it is first asked for."""
    runs = {}

    def run(task: str, *, epochs: int = 4, rows: int = 160, **words):
        key = json.dumps([task, epochs, words], sort_keys=True)
        if key not in runs:
            folder = tmp_path_factory.mktemp("run")
            file = write_jsonl(folder / "rows.jsonl", ROWS[task](rows))
            sft = task == "sft"
            judge = {"samples": 1, "max_new_tokens": 4} if sft else {}
            recipe = small_run(llama if sft else bert, task, file, folder / "run", batch=8, judge=judge)
            quick = {"eval_strategy": "no", "save_strategy": "no", "load_best_model_at_end": False}
            train = {"num_train_epochs": epochs, "learning_rate": 5e-3, **quick}
            runs[key] = wt.train(recipe(**train, **words))
        return runs[key]

    return run


def added_up(target):
    """The shares come to what they should, and say so."""
    change = target.value - target.baseline
    assert sum(word.share for word in target.words) == pytest.approx(change, rel=0.011)
    assert target.gap < 0.01
    assert not [said for said in target.warnings if "steps" in said]


def test_the_planted_word_comes_first_both_ways(made):
    run = made("text_classification")
    (found,) = run.explain("the film was wonderful and very quite")
    (target,) = found.targets
    assert (target.name, target.what) == ("good", "logit")
    assert target.strongest(1)[0].text == "wonderful"
    assert max(target.words, key=lambda word: word.without).text == "wonderful"
    added_up(target)
    # The number and what is left out are the model's own.
    import torch

    loaded = run.tuned
    with torch.no_grad():
        ids = loaded.processor("the film was wonderful and very quite", return_tensors="pt")
        own = loaded.model(**ids).logits[0, run.task.labels.index("good")].item()
        table = loaded.model.get_input_embeddings().weight
        vectors = table[ids.pop("input_ids")]
        vectors[0, 4] = table[: len(loaded.processor)].mean(0)  # padding is a vector of zeros in this toy
        masked = loaded.model(inputs_embeds=vectors, **ids).logits[0, run.task.labels.index("good")].item()
    assert target.value == pytest.approx(own, abs=1e-5)
    assert target.words[3].without == pytest.approx(own - masked, abs=1e-5)
    assert "mean" in found.baseline


def test_another_label_is_explained_when_it_is_asked_for(made):
    run = made("text_classification")
    (found,) = run.explain(["the film was wonderful"], asked=["bad"])
    assert [target.name for target in found.targets] == ["bad"]
    assert found.targets[0].strongest(1)[0].share < 0
    with pytest.raises(WeitiaoError) as caught:
        run.explain("the film was wonderful", asked=["gud"])
    assert caught.value.code == "no_such_target"
    assert "good" in str(caught.value)


def test_neighbours_change_nothing(made):
    run = made("text_classification")
    (alone,) = run.explain("the film was awful")
    beside = run.explain(["the film was awful", "plot " * 40 + "great"])[0]
    assert alone.to_dict() == beside.to_dict()


def test_long_texts_in_windows_are_explained_as_they_are_pooled(made):
    run = made("text_classification", data={"overlong": "windows", "max_length": 16})
    text = " ".join(["plot"] * 20 + ["awful"] + ["scene"] * 12)
    (found,) = run.explain(text)
    (target,) = found.targets
    assert [word.text for word in target.words] == text.split()
    assert target.value == pytest.approx(_logit(run, text, target.name), abs=1e-4)
    added_up(target)


def _logit(run, text, label):
    """From the shares that `predict` gives: the mean logit is known up to a constant that all labels share."""
    import torch

    ((_, example),) = run.read([run.asked(text).convert(next(iter(run.asked(text).rows())))])
    with torch.no_grad():
        scores = run.task.logits(run.tuned.model, run.task.collate([example], [0], run.tuned.processor))
    return scores[0, run.task.labels.index(label)].item()


def test_words_that_are_not_read_have_no_share_and_that_is_said(made):
    run = made("text_classification")
    (found,) = run.explain("great " + "plot " * 80)
    assert len(found.targets[0].words) == 62
    assert "19" in found.warnings[0]


def test_a_number_is_explained_in_its_units(made):
    run = made("text_regression", epochs=1)
    text = "the plot was dreadful very"
    (found,) = run.explain(text)
    (target,) = found.targets
    assert target.value == pytest.approx(run.predict(text)[0]["number"], abs=1e-3)
    added_up(target)


def test_each_of_several_labels_is_explained(made):
    run = made("multi_label_classification", epochs=1)
    text = "the great plot was awful"
    (found,) = run.explain(text, asked=["bad", "good"])
    scores = run.predict(text)[0]["scores"]
    for target in found.targets:
        assert 1 / (1 + np.exp(-target.value)) == pytest.approx(scores[target.name], abs=1e-5)
        added_up(target)
    assert [target.name for target in found.targets] == ["bad", "good"]


def test_a_span_is_explained_by_its_tags(made):
    run = made("token_classification", epochs=8)
    text = "the great plot was awful"
    (found,) = run.explain(text)
    assert [target.name for target in found.targets] == ["great", "awful"]
    scores = run.predict(text)[0]["scores"]
    for target, place in zip(found.targets, (1, 4), strict=True):
        assert target.value == pytest.approx(np.log(scores[place] / (1 - scores[place])), rel=1e-3)
        added_up(target)
    word = found.targets[1].words[4]
    assert found.texts["text"][word.start : word.end] == word.text == "awful"
    (one,) = run.explain(text, asked=["BAD"])
    assert [target.name for target in one.targets] == ["awful"]
    (none,) = run.explain("the plot was very")
    assert not none.targets
    assert none.warnings


def test_an_answer_is_explained_by_the_words_of_the_prompt(made):
    run = made("sft", epochs=1, rows=60)
    (found,) = run.explain("music the plot", max_new_tokens=4)
    (target,) = found.targets
    answer = found.prediction["answer"]
    assert target.name == answer
    assert [word.text for word in target.words] == ["music", "the", "plot"]
    added_up(target)
    word = run.explain("music the plot", asked=[answer.split()[0]], max_new_tokens=4)[0].targets[0]
    assert word.value == pytest.approx(_first_word(run, "music the plot", answer.split()[0]), abs=1e-4)


def _first_word(run, prompt, word):
    """The log-probability of a word behind a prompt, from the model alone."""
    import torch

    ids = run.task.opening([{"role": "user", "content": prompt}], run.tuned.processor)
    token = run.tuned.processor.convert_tokens_to_ids(word)
    with torch.no_grad():
        return run.tuned.model(torch.tensor([ids])).logits[0, -1].log_softmax(-1)[token].item()


def test_steps_are_heeded(made, capsys):
    run = made("text_classification")
    text = "the film was wonderful"
    (few,) = run.explain(text, steps=16)
    assert few.targets[0].steps == 16
    assert command(["explain", str(run.path), text, "--steps", "16", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["targets"][0]["steps"] == 16
    assert command(["explain", str(run.path), text, "--steps", "3"]) == 2


def test_a_long_answer_is_explained_in_its_own_precision_and_a_word_of_it_in_full(made):
    run = made("sft", epochs=1, rows=60, bf16=True)
    whole, short = (run.explain("music the plot", max_new_tokens=most)[0] for most in (12, 4))
    word = whole.prediction["answer"].split()[0]
    (alone,) = run.explain("music the plot", asked=[word], max_new_tokens=12)
    assert [one.precision for one in (whole, short, alone)] == ["bfloat16", "float32", "float32"]


def test_a_base_in_four_bits_is_explained(made):
    run = made("text_classification", epochs=1, method="qlora")
    text = "the film was wonderful"
    (found,) = run.explain(text)
    (target,) = found.targets
    assert [word.text for word in target.words] == text.split()
    assert target.value == pytest.approx(_logit(run, text, target.name), abs=1e-4)
    added_up(target)


def test_attention_is_shown_as_a_picture_and_left_as_it_was(made, tmp_path, capsys):
    import torch
    from transformers import AutoModelForSequenceClassification

    run = made("text_classification")
    text, loaded = "the film was wonderful", run.tuned
    before = loaded.model.config._attn_implementation
    (found,) = run.explain(text, attention=True)
    assert loaded.model.config._attn_implementation == before
    merged = run.merge(tmp_path / "merged")
    plain = AutoModelForSequenceClassification.from_pretrained(merged, attn_implementation="eager")
    with torch.no_grad():
        ids = loaded.processor(text, return_tensors="pt")
        layers = plain.eval()(**ids, output_attentions=True).attentions
    own = torch.stack(layers).mean((0, 1, 2, 3))[1:5]
    shares = [word.share for word in found.attention.words]
    assert shares == pytest.approx((own / own.sum()).tolist(), abs=1e-5)
    assert "no reason" in found.attention.note
    assert run.explain(text)[0].attention is None
    page = tmp_path / "why.html"
    assert command(["explain", str(run.path), text, "--attention", "--html", str(page)]) == 0
    said = capsys.readouterr().out
    assert f"attention: {found.attention.strongest(1)[0].text} {max(shares):.2f}" in said
    assert "no reason" in said
    assert 'class="seen"' in page.read_text(encoding="utf-8")
    assert command(["explain", str(run.path), text, "--attention", "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert [word["text"] for word in told["attention"]["words"]] == text.split()


def test_a_model_that_tells_no_attention_says_so(made):
    run = made("text_classification")
    other = wt.load(run.path)
    _ = other.tuned.model
    other.tuned.model.set_attn_implementation = lambda name: None
    (found,) = other.explain("the film was wonderful", attention=True)
    assert found.attention.words == []
    assert "not defined here" in found.attention.note


def test_half_precision_is_explained_in_full_and_left_as_it_was(made):
    import torch

    run = made("text_classification")
    half = wt.load(run.path)
    half.tuned.model.to(torch.bfloat16)
    before = {name: weight.clone() for name, weight in half.tuned.model.state_dict().items()}
    with torch.autocast("cpu", torch.bfloat16):
        (found,) = half.explain("the film was wonderful")
    after = half.tuned.model.state_dict()
    assert all(
        after[name].dtype == old.dtype and torch.equal(after[name], old) for name, old in before.items()
    )
    assert found.precision == "float32"


def test_a_model_that_no_gradient_reaches_is_refused(made):
    from torch import nn

    class Deaf(nn.Module):
        """Reads the words, and says the same."""

        def __init__(self, inner):
            super().__init__()
            self.inner, self.config = inner, inner.config

        def forward(self, **inputs):
            said = self.inner(**inputs)
            said.logits = said.logits.detach()
            return said

        def get_input_embeddings(self):
            return self.inner.get_input_embeddings()

    run = made("text_classification")
    deaf = wt.load(run.path)
    deaf.__dict__["tuned"] = replace(deaf.tuned, model=Deaf(deaf.tuned.model))
    with pytest.raises(WeitiaoError) as caught:
        deaf.explain("the film was wonderful")
    assert caught.value.code == "not_followed"


@pytest.mark.parametrize("text", ["", "   ", "\u200b"])
def test_a_text_without_words_is_refused(made, text):
    with pytest.raises(WeitiaoError) as caught:
        made("text_classification").explain([text])
    assert caught.value.code in ("bad_given", "nothing_to_explain")


@pytest.mark.parametrize("method", ["lora", "prompt", "prefix"])
def test_what_methods_put_in_is_no_word_and_the_number_stays_the_model_s(made, method):
    text = "the film was wonderful and very quite"
    run = made("text_classification", epochs=1, method=method)
    (found,) = run.explain(text, similar=1)
    (target,) = found.targets
    assert [word.text for word in target.words] == text.split()
    assert target.value == pytest.approx(_logit(run, text, target.name), abs=1e-5)
    added_up(target)
    assert 0 < found.similar[0].similarity < 1 + 1e-3


def test_both_texts_of_a_pair_are_explained(bert, tmp_path):
    rows = [
        {"text": row["text"], "text_pair": other["text"], "label": row["label"]}
        for row, other in zip(reviews(120), reviews(120, seed=1), strict=True)
    ]
    file = write_jsonl(tmp_path / "rows.jsonl", rows)
    recipe = small_run(bert, "text_classification", file, tmp_path / "run", batch=8, judge={})
    run = wt.train(recipe(max_steps=2, eval_strategy="no", save_strategy="no", load_best_model_at_end=False))
    (found,) = run.explain([{"text": "the film was great", "text_pair": "the plot was great"}])
    (target,) = found.targets
    assert [(word.column, word.text) for word in target.words] == [
        (column, word)
        for column, text in (("text", "the film was great"), ("text_pair", "the plot was great"))
        for word in text.split()
    ]
    added_up(target)


def test_without_captum_it_is_said_what_to_install(made, monkeypatch):
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "captum" else real(name, *rest)
    )
    with pytest.raises(WeitiaoError) as caught:
        made("text_classification").explain("the film was wonderful")
    assert caught.value.code == "missing_extra"
    assert "[explain]" in str(caught.value)
