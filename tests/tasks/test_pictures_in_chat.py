"""Conversations that show pictures: what their models are called with, what is learnt, and what is answered."""

from __future__ import annotations

import json

import pytest
import torch

import weitiao as wt
from tests.conftest import small_run, write_jsonl
from tests.seeing import FAMILIES, MARKS, SPECIALS, asked_colours, picture, saved
from weitiao.cli import show
from weitiao.core import registry
from weitiao.core.contracts import Record
from weitiao.core.errors import WeitiaoError
from weitiao.core.recipe import Data
from weitiao.data import formats
from weitiao.data.chat import IGNORE
from weitiao.data.chat.seeing import as_paths
from weitiao.data.layout import Layout
from weitiao.data.overlong import as_read
from weitiao.models import anatomy, load, store
from weitiao.stages.speaker import turns_of

pytestmark = pytest.mark.whole  # models that see

SFT = {"name": "sft"}
ENDS = SPECIALS.index("<|im_end|>")


@pytest.fixture(scope="session")
def toys(tmp_path_factory):
    """A model of each family."""
    return {name: saved(name, tmp_path_factory.mktemp(name)) for name in FAMILIES}


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("rows")


@pytest.fixture(scope="session")
def rows(home):
    """Six rows, two of them of words alone, and one that shows two pictures and answers twice."""
    given = asked_colours(home, 6)
    two = [str(picture(home / f"{name}.png", name, number)) for number, name in enumerate(("red", "blue"), 1)]
    turns = [("user", "<image> what colour ?"), ("assistant", "red"), ("user", "<image> and <image> ?")]
    turns += [("assistant", "blue and red")]
    messages = [{"role": role, "content": content} for role, content in turns]
    given.append({"messages": messages, "images": [*two, two[0]]})
    return given


@pytest.fixture(scope="session")
def records(rows, home):
    file = str(home / "rows.jsonl")
    return [
        formats.convert(Record(file, line, row), format="messages", columns={})
        for line, row in enumerate(rows, start=1)
    ]


def theirs(reader, records):
    """The batch as Transformers' own processor makes it of the same turns, and labels by the marks around each answer."""
    from PIL import Image

    texts, pictures = [], []
    for record in records:
        turns = []
        for turn in record.values["messages"]:
            before, *behind = turn["content"].split("<image>") if turn.get("images") else [turn["content"]]
            parts = [{"type": "text", "text": before}]
            for text in behind:
                parts += [{"type": "image"}, {"type": "text", "text": text}]
            turns.append({"role": turn["role"], "content": parts})
        texts.append(reader.apply_chat_template(turns, tokenize=False))
        shown = [each for turn in record.values["messages"] for each in turn.get("images", ())]
        pictures.append([Image.open(each["image"]).convert("RGB") for each in shown])
    flat = [each for row in pictures for each in row]
    many = pictures if "Idefics" in type(reader).__name__ else flat
    batch = reader(text=texts, images=many, padding=True, padding_side="right", return_tensors="pt")
    batch.pop("text_replacement_offsets", None)
    labels = torch.full_like(batch["input_ids"], IGNORE)
    answers = reader.tokenizer("<|im_start|>assistant\n", add_special_tokens=False)["input_ids"]
    for ids, its in zip(batch["input_ids"].tolist(), labels, strict=True):
        for start in range(len(ids)):
            if ids[start : start + len(answers)] == answers:
                first = start + len(answers)
                end = ids.index(ENDS, first) + 1
                its[first:end] = torch.tensor(ids[first:end])
    return batch, labels


@pytest.mark.parametrize("family", FAMILIES)
def test_loss_and_gradients_are_those_of_transformers_own(family, toys, records):
    task = registry.build("task", SFT)
    loaded = load.load(toys[family], task)
    assert loaded.layout is Layout.PADDED
    examples = list(task.encode(records, loaded.processor, limit=128))
    batch = loaded.collate(task)(examples, list(range(len(examples))))
    model = loaded.model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    mine = task.loss(model, batch)
    mine.backward()
    found = {name: w.grad.clone() for name, w in model.named_parameters() if w.grad is not None}
    model.zero_grad()
    inputs, labels = theirs(loaded.processor.reader, records)
    assert batch.inputs["input_ids"].tolist() == inputs["input_ids"].tolist()
    count = int((labels != IGNORE).sum())
    assert batch.trained == count == 2 * 6 + 2 + 4
    own = model(**inputs, labels=labels).loss * count
    own.backward()
    assert mine.item() == pytest.approx(own.item(), rel=1e-5)
    known = {name: w.grad for name, w in model.named_parameters() if w.grad is not None}
    assert found.keys() == known.keys()
    assert any("vision" in name or "visual" in name for name in known)
    for name, slope in known.items():
        torch.testing.assert_close(found[name], slope, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_pictures_are_not_learnt_and_are_counted_in_the_row(family, toys, records):
    task = registry.build("task", SFT)
    reader = load.processor(toys[family], task)[0]
    mark = SPECIALS.index(MARKS[family])
    for record, example in zip(records, task.encode(records, reader, limit=128), strict=True):
        ids, labels = example.inputs["input_ids"], example.inputs["labels"]
        shown = [each["image"] for turn in record.values["messages"] for each in turn.get("images", ())]
        assert as_paths(example.inputs["pictures"]) == shown
        assert (ids.count(mark) > len(shown)) == bool(shown)
        learnt = [token for token in labels if token != IGNORE]
        assert mark not in learnt
        assert learnt.count(ENDS) == sum(turn["role"] == "assistant" for turn in record.values["messages"])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_picture_is_never_cut_in_halves(family, toys, records):
    """Whatever the limit: what is left of a row has whole pictures, and those are handed on."""
    task = registry.build("task", SFT)
    reader = load.processor(toys[family], task)[0]
    (whole,) = task.encode(records[-1:], reader, limit=1000)
    ids, mark = whole.inputs["input_ids"], SPECIALS.index(MARKS[family])
    counts = [
        reader.stands_for((each["width"], each["height"]))
        for each in records[-1].values["messages"][0]["images"]
    ]
    first = counts[0].count(MARKS[family])
    for limit in range(4, len(ids) + 1):
        (example,) = task.encode(records[-1:], reader, limit=limit)
        kept, left = len(as_paths(example.inputs["pictures"])), example.inputs["input_ids"]
        assert len(left) <= limit
        assert left == ids[: len(left)]
        assert example.tokens_lost == len(ids) - len(left)
        # Its pixels give as many numbers as marks are left, or its model would refuse them.
        sizes = [each for turn in records[-1].values["messages"] for each in turn.get("images", ())][:kept]
        wanted = sum(reader.stands_for((one["width"], one["height"])).count(MARKS[family]) for one in sizes)
        assert left.count(mark) == wanted
        assert kept or limit < len(ids) and not left.count(mark) or first


def test_a_row_that_is_too_long_keeps_to_the_rule(toys, records, tmp_path):
    """`split` would show the second half of a conversation without its pictures: such a row is cut, and counted so."""
    task = registry.build("task", SFT)
    reader = load.processor(toys["llava"], task)[0]
    (whole,) = task.encode(records[-1:], reader, limit=1000)
    assert task.windows(records[-1], whole, reader, limit=20) == []
    words = [
        record for record in records if not any(turn.get("images") for turn in record.values["messages"])
    ]
    (row,) = task.encode(words[:1], reader, limit=1000)
    assert {
        name for part in task.windows(words[0], row, reader, limit=len(row) - 1) for name in part.inputs
    } == {*row.inputs}
    ((length, example),) = as_read(task, records[-1:], reader, Data(overlong="truncate"), limit=20)
    assert length == len(whole)
    assert len(example) <= 20


def test_a_base_that_reads_no_pictures_says_so_of_the_row(llama, records):
    task = registry.build("task", SFT)
    reader = load.processor(llama, task)[0]
    found = list(task.encode(records, reader, limit=64))
    shows = [any(turn.get("images") for turn in record.values["messages"]) for record in records]
    assert [bool(example.refused) for example in found] == shows
    assert "the base reads none" in found[0].refused


def test_words_that_spell_the_mark_stay_words(toys):
    """What somebody wrote is characters: the model's own mark, and ours, in a row with a picture and in one without."""
    task = registry.build("task", SFT)
    reader = load.processor(toys["qwen2_vl"], task)[0]
    turns = [
        {"role": "user", "content": "what <|image_pad|> <image> ?"},
        {"role": "assistant", "content": "red"},
    ]
    (example,) = task.encode([Record("toy", 1, {"messages": turns})], reader, limit=100)
    assert not example.refused
    assert SPECIALS.index("<|image_pad|>") not in example.inputs["input_ids"]


def test_a_template_that_leaves_pictures_out_is_told(toys, records):
    task = registry.build("task", SFT)
    reader = load.processor(toys["llava"], task)[0]
    reader.tokenizer.chat_template = reader.tokenizer.chat_template.replace("<image>", "")
    (example,) = task.encode(records[:1], reader, limit=100)
    assert example.refused == "the chat template writes 0 pictures where its turns show 1"


def test_lora_changes_what_reads_words_unless_more_is_named(toys):
    task = registry.build("task", SFT)
    for asked, parts in (
        ({}, {"language_model"}),
        (
            {"target_modules": r".*(vision_tower|language_model).*(q_proj|v_proj)"},
            {"language_model", "vision_tower"},
        ),
        ({"target_modules": ["linear_1", "linear_2"]}, {"multi_modal_projector"}),
    ):
        loaded = load.load(toys["llava"], task)
        store.prepare(loaded, registry.build("method", {"name": "lora", "r": 2, **asked}), seed=0)
        assert {name.split(".")[1] for name in loaded.trained} == parts
    levels = anatomy.levels(loaded.model, loaded.head)
    assert {levels[name] for name in levels if "vision_tower" in name} == {3}
    assert {levels[name] for name in levels if "language_model.layers.1." in name} == {1}


@pytest.mark.parametrize("family", ["llava", "qwen2_vl"])
@pytest.mark.parametrize("method", ["lora", "prompt", "prefix", "ia3", "adapter"])
def test_answers_are_the_likeliest_words_after_what_is_shown(family, method, toys, records):
    """With a cache, as the model is asked, and without one, word by word."""
    from weitiao.tasks.parts import packed

    task = registry.build("task", SFT)
    loaded = load.load(toys[family], task)
    store.prepare(loaded, registry.build("method", {"name": method}), seed=0)
    loaded.model.eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in loaded.trained.values():
            weight.add_(torch.randn(weight.shape, generator=generator), alpha=0.1)
    prompts = [task.opening(record.values["messages"][:1], loaded.processor) for record in records[:3]]
    assert [hasattr(prompt, "pictures") for prompt in prompts] == [True, True, False]
    with torch.inference_mode():
        found = dict(packed.answers(loaded, prompts, max_new_tokens=3, limit=100))
        for place, prompt in enumerate(prompts):
            ids = list(prompt)
            for _ in range(3):
                kinds = {name: torch.tensor([each]) for name, each in loaded.processor.kinds(ids).items()}
                shown = loaded.processor.pixels(prompt.pictures) if place < 2 else {}
                logits = loaded.model(input_ids=torch.tensor([ids]), **kinds, **shown, use_cache=False).logits
                word = int(logits[0, -1].argmax())
                if word == ENDS or word == SPECIALS.index(MARKS[family]):
                    break
                ids.append(word)
            said = loaded.processor.decode(ids[len(prompt) :], skip_special_tokens=True).strip()
            assert found[place]["answer"].startswith(said)


def test_the_path_of_a_picture_in_a_talk_is_the_picture(toys, llama, home):
    task = registry.build("task", SFT)
    path = str(picture(home / "talk.png", "red", 4))
    said = f"what colour ? {path} and {home / 'none.png'}"
    reader = load.processor(toys["llava"], task)[0]
    shown = show.turn(said, reader)
    assert shown == {
        "role": "user",
        "content": f"what colour ? <image> and {home / 'none.png'}",
        "images": [path],
    }
    assert task.opening(turns_of([shown]), reader).pictures == (path,)
    assert show.turn(said, load.processor(llama, task)[0]) == {"role": "user", "content": said}


@pytest.fixture
def seen_run(toys, tmp_path):
    """A maker of recipes of small runs on pictures."""
    file = write_jsonl(tmp_path / "rows.jsonl", asked_colours(tmp_path, 40))
    judge = {"samples": 1, "max_new_tokens": 3}
    return lambda family: small_run(toys[family], "sft", file, tmp_path / "run", batch=4, judge=judge)


def test_a_run_from_rows_to_a_page(seen_run, tmp_path):
    recipe = seen_run("qwen2_vl")(method={"name": "lora", "r": 4})
    run = wt.train(recipe)
    told = [json.loads(line) for line in (run.path / "predictions.jsonl").read_text().splitlines()]
    shown = [row for row in told if "images" in row]
    assert shown
    assert len(shown) < len(told)
    (path,) = shown[0]["images"]
    assert '<img class="seen" src="data:image/jpeg' in run.report.read_text(encoding="utf-8")
    turns = [{"role": "user", "content": "what colour ? <image>", "images": [path]}]
    again = wt.load(run.path)
    (asked,) = again.predict([{"messages": turns}], max_new_tokens=3)
    assert again.answer(turns, max_new_tokens=3) == asked["answer"]
    assert (run.path / "model" / "processor_config.json").is_file()
    (tmp_path / "rows.jsonl").unlink()
    with pytest.raises(WeitiaoError, match="each mark needs one picture"):
        again.predict([{"messages": turns[:1], "images": [path]}])


def test_every_equality_holds(seen_run, tmp_path):
    """Batches cut in any way, a resume, two processes: one gradient, one curve."""
    found = wt.numerics(seen_run("qwen2_vl")(method="full", output_dir=str(tmp_path / "lab")))
    assert all(each.holds for each in found)


def test_a_model_drawn_by_chance_learns_to_see(toys, tmp_path):
    """Pictures made for this: of one colour each, with a dark spot; asked on locked rows that show none of the learnt ones."""
    file = write_jsonl(tmp_path / "rows.jsonl", asked_colours(tmp_path, 900))
    judge = {"max_new_tokens": 3}
    recipe = small_run(toys["llava"], "sft", file, tmp_path / "run", batch=16, judge=judge)
    train = {"num_train_epochs": 5, "learning_rate": 2e-3, "eval_steps": 50, "save_steps": 50}
    run = wt.train(recipe(method="full", **train))
    told = [json.loads(line) for line in (run.path / "predictions.jsonl").read_text().splitlines()]
    shown = [row for row in told if "images" in row]
    right = sum(row["tuned"]["answer"] == row["reference"] for row in shown)
    assert len(shown) > 30
    assert right / len(shown) > 0.6  # of four colours
