"""Pictures are asked as files and as `data:` URLs, each answered as the run answers."""

from __future__ import annotations

import base64
import io
import tempfile

import httpx2
import numpy as np
import pytest
from PIL import Image

from tests.conftest import small_run, write_jsonl
from tests.pictures import class_folders
from tests.seeing import asked_colours, picture, saved
from tests.serve.conftest import QUICK, listening
from weitiao import api
from weitiao.core.files import cache_dir
from weitiao.evaluate.explain.overlay import drawn

pytestmark = pytest.mark.whole


def test_pictures_are_answered_as_by_the_run_and_stay_nowhere(vit, labels, tmp_path, monkeypatch):
    (tmp_path / "aside").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "aside"))
    folder = class_folders(tmp_path / "pictures", 40)
    files = sorted(folder.rglob("*.png"))
    recipe = small_run(vit, "image_classification", folder, tmp_path / "run", batch=8, judge={})
    run = api.train(recipe(method="lora", **QUICK))
    some = [str(file) for file in files[:3]]
    expected = run.predict(some)
    monkeypatch.setenv("WEITIAO_CACHE", str(tmp_path / "cache"))
    served = listening(labels["first"], run)
    try:
        with httpx2.Client(base_url=served.address, timeout=60) as client:
            raw = [file.read_bytes() for file in files[:3]]
            sent = [("file", (file.name, content)) for file, content in zip(files, raw, strict=False)]
            told = client.post("/predict/upload", files=sent).json()
            urls = ["data:image/png;base64," + base64.b64encode(content).decode() for content in raw]
            again = client.post(
                "/predict", json={"model": "run", "rows": [{"image": url} for url in urls]}
            ).json()
            assert told["model"] == "run"
            for answers in (told["predictions"], again["predictions"]):
                for ours, theirs in zip(answers, expected, strict=True):
                    assert ours["scores"] == pytest.approx(theirs["scores"], abs=1e-5)
            pytest.importorskip("captum")
            asked = {"model": "run", "rows": [{"image": urls[0]}], "steps": 16}
            (ours,) = client.post("/explain", json=asked).json()["explanations"]
            (theirs,) = run.explain(some[:1], steps=16)
            heat = theirs.targets[0].heat
            assert np.array(ours["targets"][0]["heat"]["shares"]) == pytest.approx(
                np.array(heat.shares), abs=1e-5
            )
            _, laid = drawn(some[0], heat)
            assert as_picture(ours["laid"]).size == as_picture(laid).size
            assert ours["image"] == "", "where it lay is nobody's business"
            mixed = [("file", ("a.png", raw[0])), ("file", ("b.png", b"no picture"))]
            assert [
                "unusable" in one for one in client.post("/predict/upload", files=mixed).json()["predictions"]
            ] == [
                False,
                True,
            ]
            assert client.post("/predict/upload", files=sent, data={"modle": "run"}).status_code == 422
            assert client.post("/predict/upload", files=sent, data={"model": "first"}).status_code == 400
            assert client.post("/predict/upload", data={"model": "run"}).status_code == 422
            assert not list((tmp_path / "aside").rglob("*.png"))
            assert not list((cache_dir() / "pictures").rglob("*"))
    finally:
        served.end()


def as_picture(url: str) -> Image.Image:
    """The picture of a `data:` URL."""
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))


def url_of(file) -> str:
    return "data:image/png;base64," + base64.b64encode(file.read_bytes()).decode()


def test_a_conversation_shows_pictures_that_come_with_it(labels, talk, tmp_path, monkeypatch):
    rows = write_jsonl(tmp_path / "rows.jsonl", asked_colours(tmp_path, 40))
    judge = {"samples": 0, "answers": 0}
    recipe = small_run(
        saved("llava", tmp_path / "llava"), "sft", rows, tmp_path / "run", batch=8, judge=judge
    )
    run = api.train(recipe(method="lora", **QUICK))
    red = picture(tmp_path / "red.png", "red", 1)
    asked = {"role": "user", "content": "what colour ? <image>", "images": [str(red)]}
    plain = {"role": "user", "content": "what colour ?"}
    expected = {"red": run.answer([asked], max_new_tokens=5), "plain": run.answer([plain], max_new_tokens=5)}
    (tmp_path / "aside").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "aside"))
    monkeypatch.setenv("WEITIAO_CACHE", str(tmp_path / "cache"))
    served = listening(run, talk)
    try:
        with httpx2.Client(base_url=served.address, timeout=60) as client:

            def said(*parts, model="run", **more):
                turns = [{"role": "user", "content": [*parts]}]
                body = {"model": model, "messages": turns, "max_tokens": 5, **more}
                return client.post("/v1/chat/completions", json=body)

            words = {"type": "text", "text": "what colour ? "}
            shown = {"type": "image_url", "image_url": {"url": url_of(red)}}
            told = said(words, shown).json()
            assert told["choices"][0]["message"]["content"] == expected["red"]
            assert (
                told["usage"]["prompt_tokens"]
                > said({**words, "text": plain["content"]}).json()["usage"]["prompt_tokens"]
            )
            assert (
                said({**words, "text": plain["content"]}).json()["choices"][0]["message"]["content"]
                == (expected["plain"])
            )
            both = said(words, shown, n=2, stream=True).text
            assert both.count('"finish_reason":"') == 2
            for url in ("http://127.0.0.1:1/red.png", str(red), f"file://{red}"):
                refused = said({"type": "image_url", "image_url": {"url": url}})
                assert refused.status_code == 400
                assert "data:image/" in refused.json()["error"]["message"]
            spoilt = said({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}})
            assert spoilt.status_code == 400
            assert "aside" not in spoilt.text
            assert "words alone" in said(words, shown, model="talk").json()["error"]["message"]
            rows = [{"messages": [{"role": "user", "content": "<image>", "images": [str(red)]}]}]
            assert client.post("/predict", json={"model": "run", "rows": rows}).status_code == 400
            assert not list((tmp_path / "aside").rglob("*.png"))
            assert not list((cache_dir() / "pictures").rglob("*"))
    finally:
        served.end()
