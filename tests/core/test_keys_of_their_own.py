"""Keys of the recipe that no pair of values in a table tells apart, each by a test of its own: `@own(key)`."""

from __future__ import annotations

import importlib
import io
import json
import re
from collections.abc import Callable

import pytest
from PIL import Image

from tests.conftest import reviews, small_run, write_csv
from tests.core.conftest import STEPS, intervals, ledger, locked_rows, log, losses, state
from weitiao import api
from weitiao.core.errors import WeitiaoError
from weitiao.core.files import read_lines
from weitiao.core.recipe import Recipe

OWN: dict[str, Callable] = {}


def own(key: str) -> Callable[[Callable], Callable]:
    def put(test: Callable) -> Callable:
        OWN[key] = test
        return test

    return put


@pytest.mark.whole
def test_the_seed_decides_order_split_and_start(lab):
    one, other = lab.run(), lab.run("seed=1")
    assert locked_rows(one) != locked_rows(other)
    assert losses(one)[0] != losses(other)[0]


def test_no_run_is_told_apart_by_chance(lab):
    """What these tests rest on: with nothing changed, nothing differs."""
    assert losses(lab.run()) == losses(lab.run("train.max_steps=4"))
    assert locked_rows(lab.run()) == locked_rows(lab.run("train.max_steps=4"))


@own("data.max_dropped_fraction")
def test_how_many_rows_may_be_lost(lab):
    with pytest.raises(WeitiaoError, match="lost_rows") as caught:
        lab.run("data.train={blank}")
    (accepts,) = re.findall(r"data.max_dropped_fraction=([0-9.]+)", caught.value.text("en"))
    run = lab.run("data.train={blank}", f"data.max_dropped_fraction={accepts}")
    assert ledger("counts")(run) == {"kept": 80, "quarantined": 1}
    (row,) = read_lines(run.path / "data" / "quarantine.jsonl")
    assert (row["line"], row["row"]["text"], row["reason"]) == (82, " ", "the text is empty")


@pytest.mark.whole
@own("data.cache")
def test_the_cache_of_encoded_rows(lab, monkeypatch, tmp_path):
    monkeypatch.setenv("WEITIAO_CACHE", str(tmp_path))
    lab.run("data.cache=false")
    assert not (tmp_path / "encoded").exists()
    lab.run("data.cache=true")
    assert len(list((tmp_path / "encoded").iterdir())) == 3


@own("train.check_memory")
def test_a_run_without_room_is_refused_or_tried(lab, monkeypatch):
    from weitiao.train import memory

    monkeypatch.setattr(memory, "free", lambda device: -(1 << 40))
    with pytest.raises(WeitiaoError, match="will_never_fit"):
        lab.run("seed=21")
    assert lab.run("seed=21", "train.check_memory=false").results


@own("train.per_device_eval_batch_size")
def test_the_evaluation_batch(lab, monkeypatch):
    from weitiao.evaluate import predict

    sizes, in_order = set(), predict.in_order

    def spy(*args, batch_size, **more):
        sizes.add(batch_size)
        return in_order(*args, batch_size=batch_size, **more)

    monkeypatch.setattr(predict, "in_order", spy)
    lab.run("train.per_device_eval_batch_size=5")
    assert sizes == {5}, "in validation and in the judgement"


@own("data.pictures")
def test_where_pictures_may_lie(tmp_path):
    (tmp_path / "far").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "far" / "1.png")
    Image.new("RGB", (4, 4), (9, 9, 9)).save(tmp_path / "far" / "2.png")
    (tmp_path / "rows").mkdir()
    file = tmp_path / "rows" / "rows.csv"
    file.write_text(f"image,label\n{tmp_path}/far/1.png,a\n{tmp_path}/far/2.png,b\n", encoding="utf-8")
    assert api.check(str(file)).ledger.counts() == {"kept": 0, "quarantined": 2}
    found = api.check(str(file), pictures=str(tmp_path / "far"))
    assert found.ledger.counts() == {"kept": 2}


@own("data.masks.classes")
@own("data.masks.ignore_index")
@own("data.masks.reduce_labels")
@own("data.masks.background")
@pytest.mark.parametrize(
    ("masks", "labels"),
    [
        ({}, ["0", "1", "7"]),
        ({"classes": {"a": 0, "b": 1, "c": 7}}, ["a", "b", "c"]),
        ({"ignore_index": [7, 255]}, ["0", "1"]),
        ({"reduce_labels": True}, ["0", "6"]),
        ({"background": "sky"}, ["0", "1", "7"]),
    ],
)
def test_what_masks_say(tmp_path, masks, labels):
    Image.new("RGB", (4, 4)).save(tmp_path / "1.png")
    Image.frombytes("L", (4, 4), bytes([0, 1, 7, 255] * 4)).save(tmp_path / "1_mask.png")
    rows = tmp_path / "rows.csv"
    rows.write_text("image,mask\n1.png,1_mask.png\n", encoding="utf-8")
    outlined = tmp_path / "rows.jsonl"
    thing = {"label": "a", "segmentation": [[0, 0, 2, 0, 2, 4, 0, 4]]}
    outlined.write_text(json.dumps({"image": "1.png", "objects": [thing]}), encoding="utf-8")

    def labels_of(file):
        (row,) = api.check(str(file), task="semantic_segmentation", masks=masks).checked.rows
        return row.values["mask"]["labels"]

    assert labels_of(rows) == labels
    assert labels_of(outlined) == sorted(["a", masks.get("background", "background")])


@own("train.data_parallel")
@pytest.mark.parametrize(("kind", "around"), [("ddp", "Replicas"), ("fsdp", "Shards")])
def test_what_several_processes_hold(kind, around, monkeypatch):
    """What each does is tested in tests/train/test_several_processes.py; here, that the recipe is asked."""
    from weitiao.train import parallel
    from weitiao.train.distributed import World

    monkeypatch.setattr(parallel, "Replicas", lambda *_: "Replicas")
    monkeypatch.setattr(parallel, "Shards", lambda *_: "Shards")
    asked = Recipe.read({"model": "m", "task": "sft", "output_dir": "o", "train": {"data_parallel": kind}})
    shards = asked.train.data_parallel == "fsdp"
    assert parallel.parallel(None, World(0, 2), shards=shards) == around


@own("start_from")
def test_weights_to_begin_with(lab):
    first = lab.run()
    assert losses(lab.run(f"start_from={first.path}"))[0] != losses(first)[0]


@pytest.mark.whole
@own("train.report_to")
def test_where_curves_go(lab):
    assert not (lab.run().path / "tensorboard").exists()
    assert list((lab.run("train.report_to=tensorboard").path / "tensorboard").iterdir())


@pytest.mark.whole
@own("train.profile_steps")
def test_the_profile(lab):
    assert not (lab.run().path / "profile").exists()
    assert (lab.run("train.profile_steps=1").path / "profile" / "trace.json").stat().st_size > 1000


@own("train.watchers")
def test_a_watcher_of_ones_own(lab, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "import weitiao as wt\n\n\nclass Mine(wt.Watcher):\n    def on_step(self, training):\n"
        "        training.stop = 'mine'\n"
    )
    run = lab.run(f"train.watchers={file}:Mine")
    assert log(run, "end", "reason") == ["mine"]
    assert len(losses(run)) == 1
    with pytest.raises(WeitiaoError, match="no_such_function.*train.watchers"):
        lab.run(f"train.watchers={file}:Other", f"output_dir={tmp_path}/run")


@pytest.mark.whole
@own("train.activation_checkpointing")
def test_recomputed_activations(lab, monkeypatch):
    """Every block runs once more in backward, and nothing else changes."""
    from transformers.models.bert.modeling_bert import BertIntermediate

    def calls(*words: str) -> tuple[int, list[float]]:
        count, forward = [], BertIntermediate.forward
        with monkeypatch.context() as patched:
            spy = lambda self, x: count.append(self.training) or forward(self, x)  # noqa: E731
            patched.setattr(BertIntermediate, "forward", spy)
            found = losses(lab.run("train.max_steps=3", "train.eval_steps=3", *words))
        return sum(count), found

    (kept, before), (again, after) = calls(), calls("train.activation_checkpointing=true")
    assert again == 2 * kept
    assert before == after


@pytest.mark.whole
@own("train.torch_compile")
def test_the_compiled_model(lab, monkeypatch):
    from torch import nn

    compiled = []
    monkeypatch.setattr(nn.Module, "compile", lambda self, *a, **k: compiled.append(type(self).__name__))
    lab.run("train.torch_compile=false", "seed=7")
    assert not compiled
    lab.run("train.torch_compile=true")
    assert compiled == ["BertForSequenceClassification"]


@own("train.dataloader_num_workers")
def test_batches_made_ahead(lab):
    import threading

    from weitiao.data.pack import Batches

    made, make = set(), Batches._make

    def spy(self, index, parts=1):
        made.add(threading.current_thread().name.partition("_")[0])
        return make(self, index, parts)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Batches, "_make", spy)
        run = lab.run("train.dataloader_num_workers=2")
    assert made == {"batches"}
    assert losses(run) == losses(lab.run())


@own("train.skip_nonfinite_steps")
def test_steps_that_are_left_out(lab, monkeypatch, tmp_path):
    """A loss that is no number at step 2 ends the run, or is left out and noted."""
    from weitiao.tasks.classification import TextClassification

    loss, calls = TextClassification.loss, []

    def spoilt(self, model, batch):
        calls.append(1)
        return loss(self, model, batch) * (float("nan") if len(calls) == 2 else 1)

    monkeypatch.setattr(TextClassification, "loss", spoilt)
    with pytest.raises(WeitiaoError, match=r"not_finite\] step 2: the loss \(nan\)"):
        lab.run("train.skip_nonfinite_steps=0", f"output_dir={tmp_path}/run")
    calls.clear()
    run = lab.run("train.skip_nonfinite_steps=1", "seed=11")
    steps = [line for line in read_lines(run.path / "log.jsonl") if line["event"] == "step"]
    assert [line.get("skipped") for line in steps] == [None, "the loss (nan)", None, None]
    assert state(run)["skipped"] == 1


@pytest.mark.whole
@own("train.early_stopping_threshold")
def test_a_small_gain_is_none_for_patience(lab, monkeypatch):
    """Validation losses that fall by less and less; the best step is the best by any margin."""
    room = importlib.import_module("weitiao.stages.assemble")  # `api.train` is the function
    words = ("train.early_stopping_patience=2", "train.eval_steps=1", "train.max_steps=6")
    found = []
    for threshold in (0.0, 0.06):
        falling = iter([1.0, 0.9, 0.85, 0.84, 0.83, 0.82])
        monkeypatch.setattr(room, "_measure", lambda *_, values=falling: {"loss": next(values)})
        run = lab.run(*words, f"train.early_stopping_threshold={threshold}", "seed=5")
        found.append((log(run, "end", "step"), log(run, "end", "reason"), state(run)["best_step"]))
    assert found == [([6], ["done"], 6), ([4], ["early_stop"], 4)]


@pytest.mark.whole
@own("train.logging_steps")
def test_lines_without_a_terminal(lab, capsys, tmp_path):
    """When they come is tested in tests/cli/test_meter.py; here, that the recipe is asked, from Python too."""
    tree = lab.run().recipe.model_dump()
    capsys.readouterr()
    for every, times in ((1, STEPS), (3, 3)):  # the first is always said
        words = [f"train.logging_steps={every}", f"output_dir={tmp_path}/{every}"]
        api.train(tree, overrides=words)
        assert capsys.readouterr().err.count("tokens/s") == times


@pytest.mark.whole
@own("train.disable_tqdm")
def test_a_bar_that_is_turned_off(lab, monkeypatch, tmp_path):
    """In a terminal lines stand in its place, for Python as on the command line; the run is the same."""
    from rich.console import Console

    from weitiao.cli import run as cli
    from weitiao.terminal import screen

    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(lab.run().recipe.to_yaml(), encoding="utf-8")

    def said(face: str, *words: str) -> str:
        heard = io.StringIO()
        terminal = Console(file=heard, force_terminal=True, width=100, color_system=None)
        monkeypatch.setattr(screen, "err", terminal)
        words = (f"output_dir={tmp_path}/{face}{len(words)}", *words)
        if face == "python":
            api.train(recipe, overrides=words)
        else:
            assert cli(["train", str(recipe), *words]) == 0
        return heard.getvalue()

    for face in ("python", "command"):
        bar, lines = said(face), said(face, "train.disable_tqdm=true")
        assert "train ━" in bar
        assert f"step {STEPS}/{STEPS}: loss" not in bar
        assert "━" not in lines
        assert f"step {STEPS}/{STEPS}: loss" in lines
        assert losses(api.load(tmp_path / f"{face}1")) == losses(lab.run())


@pytest.mark.whole
@own("evaluate.samples")
@own("evaluate.answers")
@own("evaluate.max_new_tokens")
def test_what_is_answered_and_how_long_answers_are(lab, monkeypatch):
    from weitiao.core.run import read_lines
    from weitiao.models import decoding

    asked, decode = set(), decoding.decode

    def spy(model, prompts, settings, **options):
        asked.add(settings.max_new_tokens)
        return decode(model, prompts, settings, **options)

    monkeypatch.setattr(decoding, "decode", spy)

    def told(*words: str) -> tuple[int, int]:
        run = lab.run(*words, kind="chat")
        rows = [line["tuned"] for line in read_lines(run.path / "predictions.jsonl")]
        return sum("answer" in row for row in rows), len(
            run.results["sections"].get("samples", {"rows": []})["rows"]
        )

    assert told("evaluate.max_new_tokens=3", "evaluate.answers=2", "evaluate.samples=1") == (2, 1)
    assert asked == {3}
    assert told("evaluate.answers=0", "evaluate.samples=3") == (0, 0)
    most, two = told("evaluate.answers=null", "evaluate.samples=2")
    assert two == 2 < most


@pytest.mark.whole
@own("evaluate.confidence")
def test_every_interval_is_narrower_when_less_is_asked_of_it(lab):
    for kind in ("words", "chat"):
        wide, narrow = (
            [high - low for low, high in intervals(lab.run(f"evaluate.confidence={share}", kind=kind))]
            for share in (0.95, 0.5)
        )
        assert all(b < a for a, b in zip(wide, narrow, strict=True) if a)
        assert sum(a > 0 for a in wide) > 1


@own("output_dir")
def test_the_run_folder(lab, tmp_path):
    run = lab.run(f"output_dir={tmp_path}/deep/er")
    assert run.path == tmp_path / "deep" / "er"
    assert (run.path / "model" / "weitiao.json").exists()
    assert run.report.exists()


@pytest.mark.whole
@own("search.space")
@own("search.how")
@own("search.trials")
@own("search.minutes")
@own("search.goals")
def test_a_search_is_as_its_section_says(bert, tmp_path):
    rows = write_csv(tmp_path / "a.csv", reviews(80))
    made = small_run(bert, "text_classification", rows, tmp_path / "run", batch=8, judge={"samples": 0})
    tree = made(method="head", max_steps=2, eval_strategy="epoch", save_strategy="no")
    space = {"train.learning_rate": [0.001, 0.01], "train.weight_decay": [0.0, 0.1]}

    def found(name, **section):
        section = {"space": space, "how": "random", "trials": 2, **section}
        return api.search({**tree, "search": section, "output_dir": str(tmp_path / name)}).results

    tried = found("tried", goals=["loss", "parameters"])
    assert [set(row["values"]) for row in tried["trials"]] == [set(space)] * 2
    assert [len(row["goals"]) for row in tried["trials"]] == [2, 2]
    assert tried["trials"][0]["goals"][1] == tried["trials"][1]["goals"][1] > 0
    late = found("late", how="grid", minutes=1e-9)
    assert (late["count"], late["trials"]) == (5, []), "the recipe's own, and two times two"
