"""An exported model answers as the judged one, in a process of its own; one that does not is not written, and is found."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import weitiao as wt
from tests.conftest import reviews
from tests.export import exports
from weitiao.cli import run as cli
from weitiao.core import registry
from weitiao.core.errors import WeitiaoError
from weitiao.export.budget import Budget
from weitiao.export.forms.torch import Torch
from weitiao.export.graphs import keeps_plainly
from weitiao.export.writing import exports as exported
from weitiao.stages.recorded import variants

pytestmark = pytest.mark.whole

FORMS = {
    "torch": (),
    "onnx": ("torch", "transformers"),
    "pt2": ("transformers",),
    "torchscript": ("transformers",),
}
"""Every form that reads texts, and what its runner does without."""
GO_ON = ("torch", "onnx")
"""Those of them that speak, too."""
OWN = {"gguf", "executorch", "peft"}
"""Those that are tested in files of their own."""


@pytest.fixture(scope="module")
def run(bert, tmp_path_factory) -> wt.Run:
    pytest.importorskip("onnxruntime")
    made = exports.classifier(bert, tmp_path_factory.mktemp("classifier"))
    made.export("pt2")
    with contextlib.redirect_stderr(io.StringIO()) as said:
        made.export("torchscript")
    (made.path / "legacy.txt").write_text(said.getvalue())
    with contextlib.redirect_stdout(io.StringIO()) as said:
        assert cli(["export", str(made.path), "--to", "torch", "--quiet"]) == 0
    (made.path / "table.txt").write_text(said.getvalue())
    with contextlib.redirect_stdout(io.StringIO()) as said:
        words = ["--to", "onnx", "--budget", "1MB,1s", "--json"]
        assert cli(["export", str(made.path), *words]) == 0
    (made.path / "fits.json").write_text(said.getvalue())
    return made


@pytest.fixture(scope="module")
def chat(llama, tmp_path_factory) -> wt.Run:
    made = exports.speaker(llama, tmp_path_factory.mktemp("speaker"))
    for form in GO_ON:
        made.export(form)
    return made


def stages(run: wt.Run, capsys) -> dict[str, str]:
    """Folder -> the stage that `weitiao verify` names of it, and nothing of those that are as they should be."""
    assert cli(["verify", str(run.path), "--quiet"]) == 5
    said = capsys.readouterr().err
    assert "export_differs" in said
    forms = {path.name for path in (run.path / "export").iterdir()}
    found = re.findall(r"(?=\b([\w-]+): (\w+): )", " ".join(said.split()))
    return {name: stage for name, stage in found if name in forms}


def test_every_form_is_asked_here():
    assert set(registry.names("form")) == {*FORMS, *OWN}


@pytest.mark.parametrize("form", FORMS)
def test_a_runner_says_what_the_run_says_without_this_library(run, form):
    folder = run.path / "export" / form
    texts = [row["text"] for row in reviews(4, seed=9)]
    needless = ["weitiao", *FORMS[form]]
    code = (
        "import runpy, sys, json\n"
        f"found = runpy.run_path({str(folder / 'runner.py')!r})\n"
        f"print(json.dumps(found['answers']([(text,) for text in {texts!r}])))\n"
        f"assert not set({needless!r}) & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-I", "-B", "-c", code], capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr
    ours = run.predict(texts)
    for mine, theirs in zip(ours, json.loads(done.stdout.splitlines()[-1]), strict=True):
        assert theirs["label"] == mine["label"]
        assert theirs["scores"] == pytest.approx(mine["scores"], abs=1e-5)
    assert len((folder / "runner.py").read_text().splitlines()) < 60
    sums = subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder)
    assert sums.returncode == 0


@pytest.mark.parametrize("form", FORMS)
def test_what_was_compared_is_told(run, form):
    told = json.loads((run.path / "export" / form / "parity.json").read_text())
    assert told["rows"] == len(run.folder.json("data/split.json")["validation"])
    assert told["side"] == "validation"
    assert told["batches"] == [1, 7]
    assert told["lengths"][-1] == 64  # a row at the limit is among those that are made
    assert told["apart"] < 1e-4
    assert told["argmax"] == told["told_alike"] == 1
    assert told["metric"]["tuned"] == told["metric"]["exported"]
    assert told["metric"]["exported"]["low"] is not None
    assert told["size_mb"] * 1e6 > (run.path / "export" / form / "config.json").stat().st_size


def test_forms_stand_beside_each_other(run):
    printed = (run.path / "table.txt").read_text()
    assert [name for name in FORMS if re.search(rf"│ {name} ", printed)] == ["torch", "pt2", "torchscript"]
    assert "--to pt2 is what follows it" in (run.path / "legacy.txt").read_text()
    with open(run.path / "export/forms.csv", encoding="utf-8") as file:
        rows = {row["form"]: row for row in csv.DictReader(file)}
    assert set(rows) == set(FORMS)
    for name, row in rows.items():
        told = json.loads((run.path / "export" / name / "parity.json").read_text())
        assert float(row["peak_mb"]) == told["peak_mb"]
        assert float(row["score"]) == told["metric"]["exported"]["value"]


@pytest.mark.parametrize("form", GO_ON)
def test_the_chat_model_is_written_and_answers_token_for_token(chat, form):
    told = json.loads((chat.path / "export" / form / "parity.json").read_text())
    assert told["prompts"] == told["spoken_alike"] > 0
    assert told["metric"]["name"] == "perplexity"
    assert told["apart"] < 1e-4


def test_planted_faults_are_each_found_by_their_stage(run, bert, capsys):
    import onnx

    def frozen(folder: Path) -> None:
        graph = onnx.load(folder / "model.onnx")
        for value in graph.graph.input:
            value.type.tensor_type.shape.dim[0].dim_value = 1
        onnx.save(graph, folder / "model.onnx")

    forms = run.path / "export"
    left = exports.edited("tokenizer_config.json", lambda tree: tree.update(padding_side="left"))
    exports.planted(forms / "torch", "side", left)
    exports.planted(forms / "torch", "transposed", exports.transposed(bert))
    exports.planted(forms / "onnx", "order", exports.edited("config.json", exports.swapped))
    exports.planted(forms / "onnx", "frozen", frozen)
    exports.planted(
        forms / "onnx", "newer", exports.edited("parity.json", lambda tree: tree.update(version=99))
    )
    exports.planted(forms / "onnx", "spoilt", lambda folder: None)
    (forms / "spoilt" / "model.onnx").write_bytes(b"no graph")
    found = stages(run, capsys)
    for folder in found:
        shutil.rmtree(forms / folder)
    assert found == {
        "order": "labels",
        "side": "ids",
        "transposed": "logits",
        "frozen": "runner",
        "newer": "version",
        "spoilt": "files",
    }


def test_planted_faults_of_a_chat_model_are_each_found_by_their_stage(chat, capsys):
    form = chat.path / "export/torch"
    doubled = exports.replaced("runner.py", "add_special_tokens=False", "add_special_tokens=True")
    ends = exports.edited("generation_config.json", lambda tree: tree.update(eos_token_id=9))
    exports.planted(form, "template", lambda folder: (folder / "chat_template.jinja").unlink())
    exports.planted(form, "doubled", doubled)
    exports.planted(form, "ends", ends)
    assert stages(chat, capsys) == {"template": "runner", "doubled": "begin", "ends": "ends"}


def test_what_does_not_answer_alike_is_not_written(run, monkeypatch):
    """A form that forgets what was tuned."""

    class Forgetful(Torch):
        def write(self, run, folder, **words):
            super().write(run, folder, **words)
            exports.edited("config.json", exports.swapped)(folder)

    registry.register("form", "forgetful")(Forgetful)
    try:
        with pytest.raises(WeitiaoError) as caught:
            run.export("forgetful")
    finally:
        del registry._entries["form"]["forgetful"]
    assert caught.value.code == "export_differs"
    assert "labels" in caught.value.text()
    assert not [path.name for path in (run.path / "export").iterdir() if "forgetful" in path.name]


def test_what_cannot_be_had_is_refused_by_name_before_anything_slow(run, chat, capsys):
    for words, code in (
        ({"to": "onx"}, "unknown_name"),
        ({"to": "onnx", "dtype": "int3"}, "wrong_value"),
        ({"to": "gguf"}, "no_such_form"),
    ):
        with pytest.raises(WeitiaoError) as caught:
            run.export(**words)
        assert caught.value.code == code
    assert cli(["export", str(chat.path), "--to", "gguf"]) == 5
    said = capsys.readouterr().err
    assert "no_such_form" in said
    assert "smollm" in said  # one of the ways of cutting text that it knows


def test_what_keeps_no_keys_and_values_of_every_token_is_no_decoder_with_a_cache():
    """Sliding windows forget; states of another kind are no keys."""
    import transformers

    assert keeps_plainly(transformers.GPT2Config())
    assert not keeps_plainly(transformers.Gemma2Config())
    assert not keeps_plainly(transformers.MistralConfig(sliding_window=16))


def test_a_run_without_exports_and_a_method_that_cannot_fold_say_so(classify, capsys):
    words = {**exports.WORDS, "method": {"name": "prompt", "num_virtual_tokens": 2}}
    made = wt.train(classify(**words))
    assert cli(["verify", str(made.path)]) == 5
    assert "nothing_exported" in capsys.readouterr().err
    assert cli(["export", str(made.path), "--to", "torch"]) == 5
    assert "prompt" in capsys.readouterr().err
    assert not (made.path / "export").exists()


def test_a_budget_says_which_form_fits(run, capsys):
    told = {"size_mb": 2.0, "ms": 40.0}
    for budget, fits in (("2MB", True), ("1999 kB, 9s", False), ("1GB,39ms", False), ("0.1GB,0.04s", True)):
        assert Budget.read(budget).fits(told) == fits
    assert not Budget.read("9s").fits({"size_mb": 2.0, "ms": None})
    assert [one["fits"] for one in json.loads((run.path / "fits.json").read_text())] == [True]
    assert cli(["export", str(run.path), "--to", "onnx", "--budget", "20 apples"]) == 2
    assert "20 apples" in capsys.readouterr().err


def test_what_a_killed_export_left_is_no_form_and_a_graph_is_no_variant(run):
    forms = run.path / "export"
    shutil.copytree(forms / "torch", forms / ".torch.tmp")
    try:
        assert ".torch.tmp" not in [path.name for path in exported(run)]
        assert "export/torch" in variants(run.path)
        assert not {"export/onnx", "export/.torch.tmp"} & {*variants(run.path)}
    finally:
        shutil.rmtree(forms / ".torch.tmp")


def test_a_graph_is_served_without_torch(run, tmp_path, capsys):
    """It answers as the run does; one that has changed since it was verified is not begun with."""
    import httpx2

    from tests.serve.test_on_the_command_line import begun

    texts = [row["text"] for row in reviews(9, seed=5)]
    rows = [*({"text": text} for text in texts), {"text": " "}]
    server, address = begun(str(run.path), "--backend", "onnx")
    try:
        told = httpx2.post(f"{address}/predict", json={"rows": rows}, timeout=60).json()["predictions"]
        loaded = Path(f"/proc/{server.pid}/maps")
        if loaded.exists():
            assert "onnxruntime" in loaded.read_text()
            assert "libtorch" not in loaded.read_text()
    finally:
        server.kill()
        server.wait()
        server.stderr.close()
    assert set(told.pop()) == {"unusable"}
    for ours, theirs in zip(told, run.predict(texts), strict=True):
        assert ours["label"] == theirs["label"]
        assert ours["scores"] == pytest.approx(theirs["scores"], abs=1e-5)
    copy = tmp_path / "copy"
    shutil.copytree(run.path, copy)
    runner = copy / "export" / "onnx" / "runner.py"
    runner.write_text(runner.read_text() + "\n")
    for words, code, says in [
        ([str(copy), "--backend", "onnx"], 5, "broken_export"),
        ([str(copy), "--backend", "onnx-int8"], 5, "no_exported_graph"),
        ([str(copy), "--backend", "onx"], 2, "onnx"),
    ]:
        assert cli(["serve", *words, "--port", "0"]) == code
        assert says in capsys.readouterr().err
