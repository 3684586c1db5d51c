"""A model that reads one row and writes another leaves as a plain folder, an adapter, two graphs: and writes what the run writes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

import weitiao as wt
from tests.conftest import write_jsonl
from tests.export import exports
from tests.export.test_every_form import stages
from weitiao.core.errors import WeitiaoError
from weitiao.core.recipe import Recipe

pytestmark = pytest.mark.whole

WORDS = ["plot", "boring", "lovely", "scene", "brilliant", "dull", "the", "was"]
SOURCES = ["lovely plot", "the plot was dull", "boring", "dull dull scene", "was the scene lovely"]


STEPS = {
    "max_steps": 60,
    "num_train_epochs": 9,
    "learning_rate": 1e-2,
    "method": {"name": "lora", "r": 16, "lora_alpha": 32},
}
"""So long that what is written hangs on what is read."""


def firsts(count: int) -> list[dict[str, str]]:
    """The first word of each text, as often as it has words."""
    drawn = Random(0)
    rows = [drawn.choices(WORDS, k=1 + row % 3) for row in range(count)]
    return [{"source": " ".join(row), "target": " ".join(row[:1] * len(row))} for row in rows]


@pytest.fixture(scope="module")
def run(t5, tmp_path_factory) -> wt.Run:
    pytest.importorskip("onnxruntime")
    folder = tmp_path_factory.mktemp("sides")
    rows = write_jsonl(folder / "rows.jsonl", firsts(200))
    task = {"name": "seq2seq", "source_prefix": "the ", "max_target_length": 12}
    made = exports.trained(t5, task, rows, folder / "run", **STEPS)
    for form in ("torch", "peft", "onnx"):
        made.export(form)
    return made


def told(run: wt.Run, form: str) -> list[str]:
    """What a runner writes, in a process of its own."""
    code = (
        "import json, runpy, sys\n"
        f"found = runpy.run_path({str(run.path / 'export' / form / 'runner.py')!r})\n"
        "decode = found['TOKENIZER'].decode\n"
        f"said = [found['spoken']([{{'role': 'user', 'content': text}}], 12)['said'] for text in {SOURCES!r}]\n"
        "print(json.dumps([decode(ids, skip_special_tokens=True).strip() for ids in said]))\n"
        "assert 'weitiao' not in sys.modules\n"
        f"assert ('torch' in sys.modules) == {form != 'onnx'}\n"
    )
    done = subprocess.run([sys.executable, "-I", "-B", "-c", code], capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_every_form_writes_what_the_run_writes(run):
    ours = [one["answer"] for one in run.predict(SOURCES, max_new_tokens=12)]
    assert len(set(ours)) > 1, "answers that are all alike would tell nothing"
    for form in ("torch", "peft", "onnx"):
        parity = json.loads((run.path / "export" / form / "parity.json").read_text())
        assert parity["apart"] < 1e-4
        assert parity["prompts"] == parity["spoken_alike"] > 0
        assert parity["metric"]["name"] == "perplexity"
        assert parity["metric"]["exported"]["value"] == pytest.approx(
            parity["metric"]["tuned"]["value"], rel=1e-5
        )
        assert told(run, form) == ours


def test_plain_transformers_writes_it_too(run):
    """Without the runner: what the folder itself says of where answers begin and end."""
    import transformers

    folder = run.path / "export/torch"
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder)
    for source, ours in zip(SOURCES, run.predict(SOURCES, max_new_tokens=12), strict=True):
        made = model.generate(**tokenizer("the " + source, return_tensors="pt"), max_new_tokens=12)
        assert tokenizer.decode(made[0], skip_special_tokens=True).strip() == ours["answer"]


def test_planted_faults_are_each_found_by_their_stage(run, capsys):
    import onnx

    def frozen(folder):
        graph = onnx.load(folder / "decoder_model.onnx")
        graph.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
        onnx.save(graph, folder / "decoder_model.onnx")

    def unread(folder):
        """The row's last layer is looked at nowhere."""
        graph = onnx.load(folder / "encoder_model.onnx")
        names = [each.name for each in graph.graph.output]
        for each, name in zip(graph.graph.output, [*names[2:], *names[:2]], strict=True):
            each.name = name
        onnx.save(graph, folder / "encoder_model.onnx")

    form = run.path / "export/onnx"
    begin = exports.edited("generation_config.json", lambda tree: tree.update(decoder_start_token_id=9))
    ends = exports.edited("generation_config.json", lambda tree: tree.update(eos_token_id=9))
    exports.planted(form, "begin", begin)
    exports.planted(form, "ends", ends)
    exports.planted(form, "frozen", frozen)
    exports.planted(form, "unread", unread)
    exports.planted(form, "prefix", exports.replaced("runner.py", "'the ' + ", ""))
    expected = {"begin": "words", "ends": "ends", "frozen": "runner", "unread": "words", "prefix": "template"}
    assert stages(run, capsys) == expected


def test_words_that_are_looked_for_are_so_by_transformers_and_refused_of_graphs(run, t5, tmp_path):
    (rows,) = Recipe.read(run.path / "recipe.yaml").data.train
    task = {"name": "seq2seq", "num_beams": 3, "no_repeat_ngram_size": 2, "max_target_length": 12}
    made = exports.trained(t5, task, Path(rows), tmp_path / "run", **STEPS)
    made.export("torch")
    assert told(made, "torch") == [one["answer"] for one in made.predict(SOURCES, max_new_tokens=12)]
    with pytest.raises(WeitiaoError) as caught:
        made.export("onnx")
    assert caught.value.code == "no_such_form"
    assert "num_beams: 3, no_repeat_ngram_size: 2" in caught.value.text()
