"""Pictures are asked as files and as `data:` URLs, each answered as the run answers."""

from __future__ import annotations

import base64
import tempfile

import httpx2
import pytest

from tests.conftest import small_run
from tests.pictures import class_folders
from tests.serve.conftest import QUICK, listening
from weitiao import api
from weitiao.core.files import cache_dir

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
