"""Folders as people have them: without a tokenizer, with pointers or pages for files, with half of the weights."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from pathlib import Path

import pytest

from weitiao.core import registry
from weitiao.core.errors import WeitiaoError
from weitiao.models.load import load, processor, skeleton
from weitiao.models.opening import fingerprint

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 90868376\n"
PAGE = "\n<!DOCTYPE html><html><body>Access to this model is restricted</body></html>"
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


@pytest.fixture
def folder(bert, tmp_path) -> Path:
    return Path(shutil.copytree(bert, tmp_path / "base"))


def drop(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).unlink(missing_ok=True)


def put(name: str, text: str):
    return lambda folder: (folder / name).write_text(text)


def cut(folder: Path) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:-100])


def shards(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00003.safetensors")
    names = {f"w{i}": f"model-0000{i}-of-00003.safetensors" for i in (1, 2, 3)}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))


def nothing_in_it(folder: Path) -> None:
    from safetensors.torch import save_file

    save_file({}, folder / "model.safetensors")


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def without_merges(folder: Path) -> None:
    """A GPT-2 of which merges.txt was not fetched."""
    drop(folder, *TOKENIZER)
    config = json.loads((folder / "config.json").read_text())
    words = {word: i for i, word in enumerate([*"abcdefg", "ab", "abc", "<|endoftext|>"])}
    (folder / "vocab.json").write_text(json.dumps(words))
    settings = {"tokenizer_class": "GPT2Tokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "config.json").write_text(json.dumps(config))


# What was done to the folder -> the code, and what the message must name.
ODD = {
    "no tokenizer": (lambda f: drop(f, *TOKENIZER), "no_tokenizer", "special tokens"),
    "tokenizer_config.json alone": (lambda f: drop(f, "tokenizer.json"), "no_tokenizer", "tokenizer.json"),
    "no merges": (without_merges, "no_tokenizer", "merges"),
    "weights are a pointer": (put("model.safetensors", POINTER), "lfs_pointer", "git lfs pull"),
    "tokenizer is a pointer": (put("tokenizer.json", POINTER), "lfs_pointer", "tokenizer.json"),
    "weights are a page": (put("model.safetensors", PAGE), "web_page", "model.safetensors"),
    "configuration is a page": (put("config.json", PAGE), "web_page", "config.json"),
    "tokenizer is a page": (put("tokenizer.json", "\ufeff" + PAGE), "web_page", "tokenizer.json"),
    "empty weights": (put("model.safetensors", ""), "broken_file", "model.safetensors"),
    "empty configuration": (put("config.json", "\n"), "broken_file", "config.json"),
    "weights were cut": (cut, "broken_file", "safetensors"),
    "no weights in the file": (nothing_in_it, "broken_file", "no weights"),
    "shards are missing": (shards, "missing_shards", "2 of the 3"),
    "pickles": (pickled, "no_weights", "pytorch_model.bin"),
    "no weights": (lambda f: drop(f, "model.safetensors"), "no_weights", "safetensors"),
    "an adapter": (
        lambda f: (drop(f, "config.json"), (f / "adapter_config.json").write_text("{}")),
        "no_such_model",
        "weitiao merge",
    ),
    "a run": (
        lambda f: (drop(f, "config.json"), (f / "recipe.yaml").write_text("{}")),
        "no_such_model",
        "model/",
    ),
    "a run of an adapter": (
        lambda f: (
            drop(f, "config.json"),
            (f / "recipe.yaml").write_text("{}"),
            (f / "model").mkdir(),
            (f / "model" / "adapter_config.json").write_text("{}"),
        ),
        "no_such_model",
        "-o FOLDER",
    ),
}


@pytest.mark.parametrize("case", ODD)
def test_an_odd_folder_is_named_at_once_with_the_way_out(folder, case):
    spoil, code, named = ODD[case]
    task = registry.build("task", {"name": "text_classification", "labels": ["a", "b"]})
    skeleton(str(folder), task)  # as it was, it opens
    spoil(folder)
    for ask in (load, skeleton):
        with pytest.raises(WeitiaoError) as told:
            ask(str(folder), task)
        assert told.value.code == code
        assert named in str(told.value)
        assert told.value.exit_code == 4


def test_rows_can_be_looked_at_without_weights(folder):
    drop(folder, "model.safetensors")
    assert processor(str(folder))[1] == 64


def test_shards_that_are_there_open(bert, folder):
    from transformers import AutoModel

    drop(folder, "model.safetensors")
    AutoModel.from_pretrained(bert).save_pretrained(folder, max_shard_size="20KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    load(str(folder), registry.build("task", {"name": "text_classification", "labels": ["a", "b"]}))


def test_without_a_network_a_hub_id_is_refused_at_once(monkeypatch, tmp_path):
    from huggingface_hub import constants

    # A port that nobody listens at, and a cache that holds nothing.
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", "http://127.0.0.1:9/{repo_id}/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    began = time.monotonic()
    with pytest.raises(WeitiaoError) as told:
        processor("some-one/some-model")
    assert time.monotonic() - began < 5  # asked again and again, it took 26 seconds
    assert told.value.code == "hub_unreachable"
    assert told.value.exit_code == 4


def test_layers_that_the_configuration_does_not_name_are_not_thrown_away(folder):
    task = registry.build("task", {"name": "text_classification", "labels": ["a", "b"]})
    config = json.loads((folder / "config.json").read_text())
    layers = config["num_hidden_layers"]
    assert load(str(folder), task).model.config.num_hidden_layers == layers, (
        "a head of another task may be left out"
    )
    config["num_hidden_layers"] = layers - 1
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeitiaoError, match=rf"fewer layers.*layer\.{layers - 1}\.") as caught:
        load(str(folder), task)
    assert caught.value.code == "unreadable_model"


def test_a_base_that_may_not_be_read_says_so(folder, monkeypatch):
    open_ = Path.open

    def locked(path, *args, **words):
        if path.suffix == ".safetensors":
            raise PermissionError(13, "Permission denied", str(path))
        return open_(path, *args, **words)

    monkeypatch.setattr(Path, "open", locked)  # rights do not stop whoever runs as root
    with pytest.raises(WeitiaoError, match=r"model\.safetensors") as caught:
        load(str(folder), registry.build("task", {"name": "text_classification", "labels": ["a", "b"]}))
    assert (caught.value.code, caught.value.exit_code) == ("no_permission", 6)


@pytest.mark.whole
@pytest.mark.parametrize("old", [False, True])
def test_a_base_that_is_written_to_has_another_print_at_once(old, folder):
    def plainly() -> str:
        told = "".join(
            f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n"
            for path in sorted(folder.iterdir())
            if path.suffix in (".safetensors", ".json", ".txt", ".model", ".jinja")
        )
        return hashlib.sha256(told.encode()).hexdigest()

    if old:
        time.sleep(1.1)  # what is older than that is read once
    before = fingerprint(str(folder))
    assert before == plainly() == fingerprint(str(folder))
    weights, seen = folder / "model.safetensors", (folder / "model.safetensors").stat()
    flipped = bytearray(weights.read_bytes())
    flipped[-1] ^= 1
    weights.write_bytes(flipped)
    os.utime(weights, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert fingerprint(str(folder)) == plainly() != before
