"""Reward models: the formula of Bradley and Terry, the token that an answer is read at, and what one is asked with."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import logsigmoid

import weitiao as wt
from tests.compared import preferred
from tests.conftest import write_jsonl
from tests.tasks.steps import alike
from weitiao.core import registry
from weitiao.core.contracts import Answered, Record
from weitiao.core.errors import WeitiaoError
from weitiao.data.formats.preferences import preference
from weitiao.models import load, store
from weitiao.tasks.parts.rewarding import judge

pytestmark = pytest.mark.whole  # a training each
MARGINS = (0.0, 0.7, -0.4, 1.5, 0.2, 3.0)


def records(rows=6):
    made = [{**row, "margin": margin} for row, margin in zip(preferred(rows), MARGINS, strict=False)]
    return [Record("toy.jsonl", line, preference(row, [])) for line, row in enumerate(made, start=1)]


def opened(folder, task, *, method="lora"):
    """The toy with an adapter that has learnt something, and weights so large that rewards differ."""
    loaded = load.load(folder, task)
    store.prepare(loaded, registry.build("method", {"name": method}), seed=0)
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in loaded.model.parameters():
            if weight.requires_grad:
                weight.copy_(torch.randn(weight.shape, generator=rng) * 0.3)
            elif weight.dim() == 2:
                weight.mul_(6)
    loaded.model.double().eval()  # so that rounding hides nothing
    return loaded


def parts_of(example):
    ends = np.cumsum(example.inputs["texts"])
    names = [name for name in example.inputs if name != "texts"]
    return [
        {name: torch.tensor([list(example.inputs[name][start:end])]) for name in names}
        for start, end in zip([0, *ends[:-1]], ends, strict=True)
    ]


@pytest.mark.parametrize("centred", [None, 0.3])
@pytest.mark.parametrize("kind", ["llama", "bert"])
def test_loss_and_gradient_are_the_formula_in_one_piece_and_in_four(kind, centred, request):
    """Each side alone, unpadded, through the model's own call."""
    task = registry.build("task", {"name": "reward", "center_rewards_coefficient": centred})
    loaded = opened(request.getfixturevalue(kind), task)
    rows = records()
    examples = list(task.encode(rows, loaded.processor, limit=64))
    assert len({size for one in examples for size in one.inputs["texts"]}) > 3
    expected = 0.0
    for row, example in zip(rows, examples, strict=True):
        chosen, rejected = (loaded.model(**part).logits[0, 0] for part in parts_of(example))
        expected = expected - logsigmoid(chosen - rejected - row.values["margin"])
        expected = expected + (centred or 0) * (chosen + rejected) ** 2
    weights = [weight for weight in loaded.model.parameters() if weight.requires_grad]
    wanted = torch.autograd.grad(expected, weights)
    size = max(float(each.abs().max()) for each in wanted)
    for parts in ([[0, 1, 2, 3, 4, 5]], [[5, 2], [0], [4, 1], [3]]):
        loss = 0.0
        for weight in weights:
            weight.grad = None
        for places in parts:
            batch = loaded.collate(task)([examples[place] for place in places], places)
            assert batch.trained == len(places)
            part = task.loss(loaded.model, batch)
            part.backward()
            loss = loss + part.detach()
        torch.testing.assert_close(loss, expected.detach(), rtol=1e-6, atol=1e-6)
        for weight, each in zip(weights, wanted, strict=True):
            torch.testing.assert_close(weight.grad, each, rtol=1e-6, atol=1e-7 * size)


@pytest.mark.parametrize("margins", [False, True])
def test_a_step_has_trls_own_loss(llama, margins, tmp_path):
    trl = pytest.importorskip("trl", reason="a peer: pip install trl==1.16.0 datasets")
    datasets = pytest.importorskip("datasets")
    from transformers import AutoTokenizer

    task = registry.build("task", {"name": "reward", "center_rewards_coefficient": 0.05})
    loaded = load.load(llama, task)
    with torch.no_grad():
        for weight in loaded.model.parameters():
            weight.add_(0.3 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(2)))
    rows = records(4)
    if not margins:
        rows = [replace(row, values={k: v for k, v in row.values.items() if k != "margin"}) for row in rows]
    examples = list(task.encode(rows, loaded.processor, limit=64))
    loaded.model.eval()
    mine = task.loss(loaded.model, loaded.collate(task)(examples, range(4))) / 4
    arguments = trl.RewardConfig(
        output_dir=str(tmp_path), center_rewards_coefficient=0.05, use_cpu=True, per_device_train_batch_size=4,
        bf16=False, report_to="none", disable_dropout=True, gradient_checkpointing=False, max_length=64,
    )  # fmt: skip
    trainer = trl.RewardTrainer(
        loaded.model, args=arguments, processing_class=AutoTokenizer.from_pretrained(llama),
        train_dataset=datasets.Dataset.from_list([dict(row.values) for row in rows]),
    )  # fmt: skip
    (theirs,) = trainer.get_train_dataloader()
    alike(mine, loaded.model, trainer.compute_loss(trainer.model, theirs), trainer.model)


# ------------------------------------------------------------------ what is read


@pytest.mark.parametrize("ending", ["<|im_end|>\n", "<|im_end|>"])
def test_a_decoder_is_read_at_the_last_token_that_was_written(llama, ending):
    """Its pad token is the one that ends answers: padded or not, alone or beside longer rows, the end itself is read."""
    task = registry.build("task", {"name": "reward"})
    loaded = load.load(llama, task)
    loaded.processor.chat_template = loaded.processor.chat_template.replace(
        "'<|im_end|>' + '\n'", repr(ending).replace("\\n", "\n")
    )
    task.opened(loaded.model, loaded.processor, ref=llama, limit=64)
    loaded.model.eval()
    examples = list(task.encode(records(), loaded.processor, limit=64))
    told = task.predict(loaded.model, loaded.collate(task)(examples, range(6)))
    end = loaded.processor.convert_tokens_to_ids("<|im_end|>")
    for example, one in zip(examples, told, strict=True):
        for side, part in zip(("chosen", "rejected"), parts_of(example), strict=True):
            ids = part["input_ids"]
            assert end in ids[0, -2:]
            assert loaded.model.config.pad_token_id != ids[0, -1]
            with torch.no_grad():
                last = loaded.model.model(input_ids=ids).last_hidden_state[0, -1]
                assert one[f"{side}_reward"] == pytest.approx(loaded.model.score(last).item(), abs=1e-5)


@pytest.mark.parametrize("limit", [13, 15])
def test_what_is_cut_is_the_answer_and_its_end_is_still_written(llama, limit):
    task = registry.build("task", {"name": "reward"})
    loaded = load.load(llama, task)
    long = {"prompt": "the film", "chosen": "great " * 12, "rejected": "dull " * 3}
    (example,) = task.encode([Record("t", 1, preference(long, []))], loaded.processor, limit=limit)
    size = example.inputs["texts"][0]
    words = loaded.processor.convert_ids_to_tokens(example.inputs["input_ids"][:size])
    assert size == limit
    assert words[-3:] == ["great", "<|im_end|>", "\n"]
    whole = next(task.encode([Record("t", 1, preference(long, []))], loaded.processor, limit=64))
    assert example.tokens_lost == len(whole) - len(example)


def test_a_tokenizer_without_a_template_reads_prompt_and_answer_as_two_texts(bert):
    turn = lambda role, content: {"role": role, "content": content}  # noqa: E731
    task = registry.build("task", {"name": "reward"})
    loaded = load.load(bert, task)
    one = {"prompt": "the film", "chosen": "great", "rejected": "dull"}
    several = {
        "prompt": [turn("user", "the film"), turn("assistant", "great"), turn("user", "the plot")],
        "chosen": [turn("assistant", "lovely")],
        "rejected": [turn("assistant", "dull")],
    }
    for row, asked in ((one, "the film"), (several, "user: the film\nassistant: great\nuser: the plot")):
        (example,) = task.encode([Record("t", 1, preference(row, []))], loaded.processor, limit=64)
        answer = row["chosen"] if isinstance(row["chosen"], str) else row["chosen"][0]["content"]
        expected = loaded.processor(asked, answer)
        size = example.inputs["texts"][0]
        assert {*example.inputs} == {*expected, "texts"} - {"attention_mask"}
        for name in {*expected} - {"attention_mask"}:
            assert list(example.inputs[name][:size]) == expected[name]
        assert loaded.processor.convert_ids_to_tokens(expected["input_ids"])[-1] == "[SEP]"


def test_a_decoder_without_a_template_is_refused(llama, tmp_path):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(llama)
    tokenizer.chat_template = None
    task = registry.build("task", {"name": "reward"})
    with pytest.raises(WeitiaoError, match="chat_template"):
        list(task.encode(records(1), tokenizer, limit=64))


# ------------------------------------------------------------------ a run


@pytest.fixture(scope="module")
def run(llama, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reward")
    file = write_jsonl(folder / "rows.jsonl", preferred(125))
    return wt.train(
        model=llama,
        task="reward",
        data={"train": str(file), "cache": False},
        method={"name": "full"},
        train={
            "num_train_epochs": 6, "learning_rate": 3e-3, "save_strategy": "no", "eval_strategy": "no",
            "load_best_model_at_end": False, "early_stopping_patience": None, "bf16": False,
        },
        evaluate={"resamples": 100},
        output_dir=str(folder / "run"),
    )  # fmt: skip


def test_it_learns_and_is_judged_beside_its_baselines(run):
    found = run.results["metrics"]
    assert {*found} == {"tuned", "untuned", "longer", "tfidf_pair"}
    assert not run.results["missing"]
    assert found["tuned"]["preference_accuracy"]["value"] > 0.8
    lines = [json.loads(line) for line in (run.path / "predictions.jsonl").read_text().splitlines()]
    margins = np.array([line["tuned"]["margin"] for line in lines])
    assert found["tuned"]["reward_margin"]["value"] == pytest.approx(margins.mean())
    assert found["tuned"]["preference_log_loss"]["value"] == pytest.approx(
        -logsigmoid(torch.tensor(margins)).mean().item()
    )
    assert found["tuned"]["pair_loss"]["value"] == pytest.approx(
        found["tuned"]["preference_log_loss"]["value"], abs=1e-5
    )


def test_an_encoder_learns_too(bert, tmp_path):
    file = write_jsonl(tmp_path / "rows.jsonl", preferred(60))
    words = {"max_steps": 2, "bf16": False, "load_best_model_at_end": False, "early_stopping_patience": None}
    run = wt.train(
        model=bert, task="reward", data={"train": str(file)}, train=words, output_dir=str(tmp_path / "run")
    )
    row = {"prompt": "the film", "completion": "great"}
    row_ids = run.tuned.processor("the film", "great", return_tensors="pt")
    with torch.no_grad():
        expected = run.tuned.model(**row_ids).logits.item()
    assert run.predict(row)[0]["reward"] == pytest.approx(expected, abs=1e-6)


def test_plain_transformers_opens_it_with_the_same_rewards(run):
    """One by one and in one padded batch."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(run.path / "model").eval()
    tokenizer = AutoTokenizer.from_pretrained(run.path / "model")
    assert model.config.num_labels == 1
    rows = preferred(8, seed=3)
    turns = [
        [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row["chosen"]}]
        for row in rows
    ]
    told = [one["reward"] for one in run.predict(turns)]
    words = {"return_dict": True, "return_tensors": "pt"}
    with torch.no_grad():
        batch = tokenizer.apply_chat_template(turns, padding=True, **words)
        together = model(**batch).logits[:, 0].tolist()
        alone = [model(**tokenizer.apply_chat_template(one, **words)).logits.item() for one in turns]
    assert len({len(row) for row in batch["attention_mask"]}) == 1
    assert told == pytest.approx(alone, abs=1e-5)
    assert told == pytest.approx(together, abs=1e-5)


def test_an_answer_gets_a_reward_and_two_are_compared_however_they_are_given(run, tmp_path):
    row = {"prompt": "the film", "completion": "great plot"}
    (told,) = run.predict(row)
    assert {*told} == {"reward"}
    asked = [{"role": "user", "content": "the film"}]
    file = write_jsonl(tmp_path / "rows.jsonl", [row])
    for same in (
        [*asked, {"role": "assistant", "content": "great plot"}],
        [{"prompt": asked, "completion": "great plot"}],
        json.dumps(row),
        file,
        [{"instruction": "the film", "output": "great plot"}],
    ):
        assert run.predict(same) == [told]
    assert run.predict(
        [{"q": "the film", "a": "great plot"}], columns={"prompt": "q", "completion": "a"}
    ) == [told]
    (pair,) = run.predict({"prompt": "the film", "chosen": "great plot", "rejected": "dull plot"})
    (other,) = run.predict({"prompt": "the film", "completion": "dull plot"})
    assert pair["margin"] == pytest.approx(told["reward"] - other["reward"], abs=1e-6)
    assert pair["preferred"] == (pair["margin"] > 0)
    (empty,) = run.predict({"prompt": "the film", "completion": ""})
    assert np.isfinite(empty["reward"])
    rows = [
        {"prompt": f"the {word}", "completion": f"{word} " * n} for n, word in enumerate(["film", "plot"] * 9)
    ]
    many = [one["reward"] for one in run.predict(rows)]
    assert many == pytest.approx([run.predict(one)[0]["reward"] for one in rows], abs=1e-5)


def test_as_a_reward_of_answers_it_says_what_it_predicts(run):
    """Many of unlike length at once, an empty one, and a prompt with an answer of its own; weighed as any part."""
    asked = [{"role": "user", "content": "the film"}]
    before = [*asked, {"role": "assistant", "content": "dull plot"}, {"role": "user", "content": "the plot"}]
    answers = ["great plot", "", "dull " * 9, *(f"great film {'plot ' * n}" for n in range(40))]
    given = [Answered(turns, answer) for answer in answers for turns in (asked, before)]
    told = judge([{"name": "reward_model", "run": str(run.path), "weight": 0.5}])(given)
    rows = [[*one.prompt, {"role": "assistant", "content": one.answer}] for one in given]
    expected = [one["reward"] for one in run.predict(rows)]
    assert [one["reward_model"] for one in told] == pytest.approx(expected, abs=1e-6)
    assert [one["reward"] for one in told] == pytest.approx([each / 2 for each in expected], abs=1e-6)
    assert told[0]["reward"] > told[4]["reward"]
    longer = [Answered([{"role": "user", "content": "film " * 500}], "great", place="rows.csv line 3")]
    with pytest.raises(WeitiaoError, match=r"rows\.csv line 3"):
        judge([{"name": "reward_model", "run": str(run.path)}])(longer)


def test_a_run_that_says_no_reward_is_none(run, tmp_path):
    with pytest.raises(WeitiaoError) as caught:
        judge([{"name": "reward_model", "run": str(tmp_path)}])
    assert caught.value.code == "no_run"
    other = shutil.copytree(run.path, tmp_path / "other")
    card = json.loads((other / "model/weitiao.json").read_text())
    card["task"] = {"name": "sft"}
    (other / "model/weitiao.json").write_text(json.dumps(card))
    with pytest.raises(WeitiaoError, match="run of sft says no reward"):
        judge([{"name": "reward_model", "run": str(other)}])


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ("great plot", "texts_alone"),
        ({"prompt": "the film"}, "no_asked_column"),
        ({"prompt": "", "completion": "great"}, "bad_given"),
        ([{"role": "user", "content": "the film"}], "bad_given"),
        ({"prompt": "the film", "chosen": "great", "rejected": "great"}, "bad_given"),
        ({"prompt": "the film", "completion": 3.5j}, "bad_given"),
    ],
)
def test_what_cannot_be_judged_is_refused(run, given, code):
    with pytest.raises(WeitiaoError) as caught:
        run.predict(given)
    assert caught.value.code == code


def test_a_reward_is_explained_by_words_and_a_pair_is_not(run):
    pytest.importorskip("captum")
    (found,) = run.explain({"prompt": "the film", "completion": "great plot"}, steps=16)
    assert [word.text for word in found.targets[0].words] == ["the", "film", "great", "plot"]
    (alike,) = run.explain({"prompt": "the film", "completion": "great plot"}, steps=16, similar=3)

    def seen(*texts):
        """The mean of the last hidden states, of each text alone."""
        each = []
        for prompt, answer in texts:
            turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
            row = run.tuned.processor.apply_chat_template(turns, return_dict=True, return_tensors="pt")
            with torch.no_grad():
                each.append(run.tuned.model.model(**row).last_hidden_state[0].mean(0))
        return torch.stack(each).mean(0)

    known = {row["prompt"]: row for row in preferred(125)}
    for row in alike.similar:
        (prompt,) = (
            one for one in known if row.text == " ".join([one, known[one]["chosen"], known[one]["rejected"]])
        )
        pair = seen(*((prompt, known[prompt][side]) for side in ("chosen", "rejected")))
        near = torch.cosine_similarity(seen(("the film", "great plot")), pair, dim=0).item()
        assert row.similarity == pytest.approx(near, abs=2e-3)
    with pytest.raises(WeitiaoError, match="pair_unexplained"):
        run.explain({"prompt": "the film", "chosen": "great", "rejected": "dull"})


def test_rows_that_say_nothing_are_located_and_counted(score, tmp_path):
    rows, long = preferred(60), " ".join(["film"] * 30)
    rows[3] = {**rows[3], "rejected": rows[3]["chosen"]}
    rows[5] = {**rows[5], "chosen": "  "}
    rows[7] = {**rows[7], "prompt": long}
    rows[9] = {**rows[9], "chosen": f"{long} great", "rejected": f"{long} dull"}
    rows[11] = {**rows[11], "margin": "much"}
    rows[13] = {**rows[13], "margin": float("nan")}
    rows[15] = {**rows[15], "margin": "0.5"}
    file = write_jsonl(tmp_path / "rows.jsonl", rows)
    run = wt.train(
        score(data={"train": str(file), "max_length": 24, "max_dropped_fraction": 0.2}, max_steps=1)
    )
    ledger = json.loads((run.path / "data" / "ledger.json").read_text())
    lost = {line["line"]: line["reason"] for line in ledger["rows"]}
    assert "same" in lost[4]
    assert "empty" in lost[6]
    assert "nothing to train on would be left" in lost[8]
    assert "same tokens as far as they are read" in lost[10]
    assert "margin 'much' is not a finite number" in lost[12]
    assert "margin 'nan' is not a finite number" in lost[14]
    assert 16 not in lost
    assert sum(ledger["split"].values()) == 54


def test_the_baseline_learns_which_words_speak_for_an_answer():
    rows = [Record("t", line, preference(row, [])) for line, row in enumerate(preferred(80), start=1)]
    shape = registry.build("task", {"name": "reward"}).shape
    answers = registry.build("baseline", {"name": "tfidf_pair"}).fit(rows[:60], shape)
    assert np.mean([one["preferred"] for one in answers(rows[60:])]) > 0.9
    swap = {"chosen": "rejected", "rejected": "chosen"}
    turned = [replace(row, values={swap.get(n, n): v for n, v in row.values.items()}) for row in rows[60:]]
    for one, other in zip(answers(rows[60:]), answers(turned), strict=True):
        assert one["margin"] == pytest.approx(-other["margin"])
