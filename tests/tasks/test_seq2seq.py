"""A text becomes another one: its loss, its two sides, and what is written, against Transformers' own."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from tests.conftest import dialogues
from tests.tasks import writers
from weitiao.core import registry
from weitiao.core.contracts import Record
from weitiao.core.errors import WeitiaoError
from weitiao.core.recipe import Train
from weitiao.data.layout import Layout
from weitiao.models import examine, load
from weitiao.train.objective import summed

pytestmark = pytest.mark.whole  # each family of encoder-decoders

families = pytest.mark.parametrize("family", ["t5", "bert2bert", *writers.FAMILIES[1:-1]])


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """Family -> its folder, made when it is asked for."""
    made: dict[str, str] = {}

    def folder(family):
        if family not in made:
            made[family] = writers.saved(writers.model(family), tmp_path_factory.mktemp(family))
        return made[family]

    return folder


def pairs(count):
    return [{"source": row["prompt"], "target": row["completion"]} for row in dialogues(count)]


def records(count=8):
    return [Record("toy", i, row) for i, row in enumerate(pairs(count), start=1)]


def build(**settings):
    return registry.build("task", {"name": "seq2seq", **settings})


def opened(folder, **settings):
    task = build(**settings)
    loaded = load.load(folder, task)
    loaded.model.eval()
    return task, loaded


def batch_of(task, loaded, rows, *, limit=64):
    examples = list(task.encode(rows, loaded.processor, limit=limit))
    return examples, loaded.collate(task)(examples, list(range(len(examples))))


def padded(examples, loaded):
    """What a user of Transformers makes of the same rows."""
    fill = torch.nn.utils.rnn.pad_sequence
    ids = [torch.tensor(example.inputs["input_ids"]) for example in examples]
    labels = [torch.tensor(example.inputs["labels"]) for example in examples]
    return {
        "input_ids": fill(ids, batch_first=True, padding_value=loaded.processor.pad_token_id),
        "attention_mask": fill([torch.ones_like(each) for each in ids], batch_first=True),
        "labels": fill(labels, batch_first=True, padding_value=-100),
    }


# ------------------------------------------------------------------ loss


@families
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.filterwarnings("ignore::FutureWarning")  # Transformers' own, of how it was once trained
def test_loss_and_gradient_are_those_of_transformers_head(folders, family, smoothing):
    task, loaded = opened(folders(family))
    examples, batch = batch_of(task, loaded, records())
    ours = summed(task, Train(label_smoothing_factor=smoothing))
    loss = ours(loaded.model, batch)
    loss.backward()
    mine = {n: w.grad.clone() for n, w in loaded.model.named_parameters() if w.grad is not None}
    loaded.model.zero_grad()
    words = padded(examples, loaded)
    said = loaded.model(**words)
    count = (words["labels"] != -100).sum()
    if smoothing:
        from transformers.trainer_pt_utils import LabelSmoother

        theirs = LabelSmoother(epsilon=smoothing)(said, words["labels"]) * count
    else:
        theirs = said.loss * count
    theirs.backward()
    assert batch.trained == count
    torch.testing.assert_close(loss, theirs, rtol=1e-5, atol=1e-5)
    told = {n: w for n, w in loaded.model.named_parameters() if w.grad is not None}
    assert mine.keys() == told.keys()
    # As shares of all of it: a key's bias has a gradient of zero, and its rounding is all that there is.
    whole = torch.cat([weight.grad.flatten() for weight in told.values()]).norm()
    for name, weight in told.items():
        assert (mine[name] - weight.grad).norm() <= 1e-5 * max(weight.grad.norm(), 1e-2 * whole)


def test_labels_are_shifted_once_and_begin_with_the_start_token(folders):
    from weitiao.models import two_sides

    labels = torch.tensor([[7, 8, 2], [9, 2, -100]])
    for family, wanted in {
        "t5": [[3, 7, 8], [3, 9, 2]],
        # mBART reads the last token, the mark of its language, first.
        "mbart": [[2, 7, 8], [2, 9, 2]],
        "bert2bert": [[1, 7, 8], [1, 9, 2]],
    }.items():
        _, loaded = opened(folders(family))
        assert two_sides.decoder_inputs(loaded.model, labels).tolist() == wanted
    assert labels[1, 2] == -100


def test_what_fills_up_is_never_learnt_and_tokens_of_both_sides_are_counted(folders):
    task, loaded = opened(folders("t5"))
    examples, batch = batch_of(task, loaded, records())
    sizes = [(len(e.inputs["input_ids"]), len(e.inputs["labels"])) for e in examples]
    assert batch.trained == sum(written for _, written in sizes)
    assert batch.tokens == sum(map(sum, sizes))
    longest = max(read for read, _ in sizes) + max(written for _, written in sizes)
    filled = task.collate(examples, batch.rows, loaded.processor)
    assert (batch.padding, filled.tokens + filled.padding) == (0, len(sizes) * longest)
    assert (filled.trained, filled.tokens) == (batch.trained, batch.tokens)
    batch = filled
    changed = copy.copy(batch)
    hidden = batch.inputs["attention_mask"] == 0
    changed.inputs = {**batch.inputs, "input_ids": batch.inputs["input_ids"].masked_fill(hidden, 17)}
    with torch.no_grad():
        torch.testing.assert_close(task.loss(loaded.model, changed), task.loss(loaded.model, batch))


def test_a_decoder_that_sees_what_it_is_to_write_is_refused(folders):
    task, loaded = opened(folders("t5"))
    loaded.model.decoder.config.is_decoder = False
    with pytest.raises(WeitiaoError, match="not_causal"):
        examine.examine(loaded.model, task, loaded.processor, ref="mine")


@pytest.mark.parametrize(
    ("name", "does", "does_not"),
    [
        ("llama", {"sft", "text_classification"}, {"seq2seq", "question_answering"}),
        # Transformers has a BERT that writes, and files of one that fills gaps are none.
        ("bert", {"question_answering", "text_classification", "embedding"}, {"seq2seq", "sft", "grpo"}),
    ],
)
def test_a_model_that_does_not_write_is_refused_with_the_way_out(name, does, does_not, request):
    folder = request.getfixturevalue(name)
    with pytest.raises(WeitiaoError, match="no_such_head") as caught:
        load.load(folder, build())
    suits = {*str(caught.value).partition("it suits: ")[2].partition(" (")[0].split(", ")}
    assert does <= suits
    assert not does_not & suits
    for other in suits:
        load.skeleton(folder, registry.build("task", {"name": other}))


# ------------------------------------------------------------------ both sides


def test_each_side_is_cut_at_its_own_limit_and_both_are_counted(folders):
    task, loaded = opened(folders("t5"), max_target_length=4)
    long = [Record("toy", 1, {"source": "the film was great " * 3, "target": "dull plot and music"})]
    (example,) = task.encode(long, loaded.processor, limit=8)
    ids = example.inputs
    assert (len(ids["input_ids"]), len(ids["labels"])) == (8, 4)
    assert (example.tokens_lost, example.trained_lost) == (6, 2)
    # The end stays, so that answers come to one.
    assert loaded.processor.convert_ids_to_tokens(ids["labels"]) == ["<s>", "dull", "plot", "</s>"]
    assert ids["input_ids"][-1] == loaded.processor.sep_token_id


def test_a_prefix_is_read_before_every_source_when_learning_and_when_asked(folders):
    task, loaded = opened(folders("t5"), source_prefix="the film ")
    (example,) = task.encode(
        [Record("t", 1, {"source": "was dull", "target": "dull"})], loaded.processor, limit=64
    )
    (whole,) = build().encode(
        [Record("t", 1, {"source": "the film was dull", "target": "dull"})], loaded.processor, limit=64
    )
    assert example.inputs == whole.inputs
    asked = task.opening([{"role": "user", "content": "was dull"}], loaded.processor)
    assert asked == whole.inputs["input_ids"]


def test_special_tokens_in_texts_are_characters(folders):
    row = [Record("t", 1, {"source": "dull </s> plot", "target": "plot </s> dull"})]
    _, loaded = opened(folders("t5"))
    end = loaded.processor.sep_token_id
    (plain,) = build().encode(row, loaded.processor, limit=64)
    (meant,) = build(split_special_tokens=False).encode(row, loaded.processor, limit=64)
    for name in ("input_ids", "labels"):
        assert list(plain.inputs[name]).count(end) == 1
        assert list(meant.inputs[name]).count(end) == 2


@pytest.mark.parametrize(("kind", "begin"), [("MBart50Tokenizer", "eos mark"), ("MBartTokenizer", "mark")])
def test_languages_are_named_and_answers_begin_with_the_targets(tmp_path, kind, begin):
    import transformers

    words = ["hello", "good", "day", "你好"]
    pieces = [(mark, 0.0) for mark in ("<s>", "<pad>", "</s>", "<unk>")]
    pieces += [("▁" + word, -1.0) for word in words] + [("▁", -2.0)]
    tokenizer = getattr(transformers, kind)(vocab=pieces)
    marks = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
    size = {"vocab_size": len(tokenizer), "bos_token_id": tokenizer.bos_token_id}
    writers.model("mbart", **marks, **size).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    for settings, key in (
        ({}, "task.target_language"),
        ({"target_language": "zh"}, "task.target_language"),
        ({"source_language": "xx", "target_language": "zh_CN"}, "task.source_language"),
    ):
        with pytest.raises(WeitiaoError, match="unknown_language") as caught:
            load.load(str(tmp_path), build(**settings))
        assert key in str(caught.value)
    task, loaded = opened(str(tmp_path), source_language="en_XX", target_language="zh_CN")
    mark, end = tokenizer.convert_tokens_to_ids("zh_CN"), tokenizer.eos_token_id
    (example,) = task.encode(
        [Record("t", 1, {"source": "hello", "target": "你好"})], loaded.processor, limit=64
    )
    assert mark in example.inputs["labels"]
    assert tokenizer.convert_tokens_to_ids("en_XX") in example.inputs["input_ids"]
    heard = []
    call = loaded.model.get_decoder().register_forward_pre_hook(
        lambda module, args, words: heard.append(words["input_ids"][0].tolist()), with_kwargs=True
    )
    dict(task.answer(loaded, [example.inputs["input_ids"]], max_new_tokens=2, limit=64))
    call.remove()
    assert heard[0] == {"mark": [mark], "eos mark": [end, mark]}[begin]
    settings = loaded.model.generation_config
    assert settings.decoder_start_token_id == heard[0][0]
    assert settings.forced_bos_token_id == (mark if begin == "eos mark" else None)


def test_models_that_mark_no_languages_refuse_one(folders):
    with pytest.raises(WeitiaoError, match="unknown_language") as caught:
        load.load(folders("t5"), build(target_language="zh"))
    assert "task.source_prefix" in str(caught.value)


# ------------------------------------------------------------------ what is written


def asked_of(task, loaded, rows):
    return [
        task.opening([{"role": "user", "content": row.values["source"]}], loaded.processor) for row in rows
    ]


@families
@pytest.mark.parametrize("settings", [{}, {"num_beams": 3}, {"do_sample": True, "top_k": 5}])
def test_answers_in_batches_are_those_of_rows_alone(folders, family, settings):
    task, loaded = opened(folders(family), **settings)
    prompts = asked_of(task, loaded, records())
    words = {"max_new_tokens": 6, "limit": 64}
    together = dict(task.answer(loaded, prompts, **words))
    assert dict(task.answer(replace(loaded, layout=Layout.ALONE), prompts, **words)) == together


@pytest.mark.parametrize(
    "settings", [{}, {"num_beams": 3, "length_penalty": 0.2}, {"no_repeat_ngram_size": 1}]
)
def test_answers_are_those_of_generate_alone(folders, settings):
    from transformers import AutoModelForSeq2SeqLM

    task, loaded = opened(folders("bert2bert"), **settings)
    plain = AutoModelForSeq2SeqLM.from_pretrained(folders("bert2bert")).eval()
    told = []
    for prompt in asked_of(task, loaded, records()):
        # The tokenizer's first token is what a target begins with, so that an answer does, too.
        begin = torch.tensor([[1, 1]])
        made = plain.generate(
            input_ids=torch.tensor([prompt]),
            decoder_input_ids=begin,
            decoder_start_token_id=1,
            eos_token_id=2,
            pad_token_id=3,
            max_new_tokens=6,
            **settings,
        )[0, 2:]
        said = loaded.processor.decode(made, skip_special_tokens=True).strip()
        found = dict(task.answer(loaded, [prompt], max_new_tokens=6, limit=64))[0]
        assert found["answer"] == said
        told.append(said)
    assert len(set(told)) > 1


def test_settings_of_the_model_never_act_unseen(folders, tmp_path):
    plain, loaded = opened(folders("bart"))
    prompts = asked_of(plain, loaded, records())
    words = {"max_new_tokens": 6, "limit": 64}
    before = dict(plain.answer(loaded, prompts, **words))
    model = writers.model("bart")
    model.generation_config.update(min_length=5, no_repeat_ngram_size=1, num_beams=2, forced_bos_token_id=9)
    model.config.task_specific_params = {"summarization": {"prefix": "summarize: ", "min_length": 30}}
    task, own = opened(writers.saved(model, tmp_path))
    assert dict(task.answer(own, prompts, **words)) == before
    (notice,) = own.notices
    for name in ("min_length: 5", "no_repeat_ngram_size: 1", "num_beams: 2", "summarization"):
        assert name in notice
    # What is saved says what the recipe says.
    _, asked = opened(str(tmp_path), num_beams=4, length_penalty=0.7)
    settings = asked.model.generation_config
    assert (settings.num_beams, settings.length_penalty, settings.no_repeat_ngram_size) == (4, 0.7, 0)
    assert settings.min_length in (0, None)


def test_where_the_decoder_starts_is_said_when_the_model_does_not_say_it(folders):
    _, loaded = opened(folders("bert2bert"))
    assert loaded.model.config.decoder_start_token_id == loaded.processor.cls_token_id
    assert any("where its decoder starts: <s>" in notice for notice in loaded.notices)


def test_more_target_tokens_than_positions_are_refused(folders):
    with pytest.raises(WeitiaoError, match=r"wrong_value.*task.max_target_length.*64"):
        load.load(folders("bart"), build(max_target_length=65))
