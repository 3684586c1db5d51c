"""Adapters that are loaded, replaced and let go while others are asked: every answer is there, once, and of the one that it says."""

from __future__ import annotations

import shutil
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from tests.conftest import dialogues, reviews, small_run, write_csv
from tests.serve.conftest import QUICK, listening
from weitiao import api
from weitiao.core.contracts import Record
from weitiao.serve.models import Models

pytestmark = pytest.mark.whole  # servers of their own

TEXTS = [row["text"] for row in reviews(9, seed=5)]
PROMPT = dialogues(1, seed=9)[0]["prompt"]


@pytest.fixture(scope="module")
def served(labels):
    """One of two adapters; the other may be loaded."""
    found = listening(labels["first"], adapters=labels["first"].path.parent, most=512)
    yield found
    found.end()


@pytest.fixture
def client(served):
    with httpx2.Client(base_url=served.address, timeout=60) as found:
        yield found


def change(client, way: str, **words) -> httpx2.Response:
    return client.post(f"/v1/{way}_lora_adapter", json=words)


def test_two_adapters_change_places_under_load(client, labels):
    expected = {name: run.predict(TEXTS) for name, run in labels.items()}
    assert change(client, "load", lora_name="swap", lora_path="second").status_code == 200
    contents = {}
    for name in ("first", "swap"):
        told = client.post("/predict", json={"model": name, "inputs": TEXTS[0]})
        contents[told.headers["x-model-content"]] = "second" if name == "swap" else name
    assert len(contents) == 2
    ended, swaps = threading.Event(), 0

    def ask(number: int) -> tuple[str, str, int, list]:
        name, place = ("swap", "first")[number % 3 == 0], number % len(TEXTS)
        told = client.post("/predict", json={"model": name, "rows": [{"text": TEXTS[place]}]})
        assert told.status_code == 200, told.text
        return name, contents[told.headers["x-model-content"]], place, told.json()["predictions"]

    def swap() -> None:
        nonlocal swaps
        while not ended.is_set():
            for name in ("first", "second"):
                told = change(client, "load", lora_name="swap", lora_path=name, load_inplace=True)
                assert told.status_code == 200, told.text
                swaps += 1

    with ThreadPoolExecutor(9) as pool:
        swapping = pool.submit(swap)
        answers = list(pool.map(ask, range(300)))
        ended.set()
        swapping.result()
    for name, said_by, place, told in answers:
        assert name == "swap" or said_by == "first"
        assert told[0]["scores"] == pytest.approx(expected[said_by][place]["scores"], abs=1e-5)
    met = Counter((name, said_by) for name, said_by, _, _ in answers)
    assert met["first", "first"] == 100
    assert met["swap", "first"] > 0
    assert met["swap", "second"] > 0
    assert swaps >= 4
    assert change(client, "unload", lora_name="swap").status_code == 200
    assert client.post("/predict", json={"model": "swap", "inputs": "a"}).status_code == 404
    assert [one["id"] for one in client.get("/v1/models").json()["data"]] == ["first"]


def test_whoever_is_being_answered_when_a_model_goes_is_answered(client, served, talk):
    body = {"model": "talk", "messages": [{"role": "user", "content": PROMPT}], "max_tokens": 10}
    served.server.service.adapters, before = talk.path.parent, served.server.service.adapters
    assert change(client, "load", lora_name="talk", lora_path="talk").status_code == 200
    served.server.service.adapters = before
    with ThreadPoolExecutor(8) as pool:
        told = [pool.submit(client.post, "/v1/chat/completions", json=body) for _ in range(8)]
        while served.server.service.desk.waiting < 4 and not any(one.done() for one in told):
            pass
        assert change(client, "unload", lora_name="talk").status_code == 200
        said = [one.result() for one in told]
    assert Counter(one.status_code for one in said).keys() <= {200, 404}
    answered = [one.json() for one in said if one.status_code == 200]
    assert len(answered) >= 4
    assert {one["choices"][0]["message"]["content"] for one in answered} == {
        talk.answer(PROMPT, max_new_tokens=10)
    }
    assert len({one["system_fingerprint"] for one in answered}) == 1


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ({"lora_name": "x", "lora_path": "../first"}, 403),
        ({"lora_name": "x", "lora_path": "first/../../x"}, 403),
        ({"lora_name": "x", "lora_path": "/etc"}, 403),
        ({"lora_name": "x", "lora_path": "."}, 403),
        ({"lora_name": "x", "lora_path": "first\0"}, 403),
        ({"lora_name": "x", "lora_path": "nowhere"}, 404),
        ({"lora_name": "a b", "lora_path": "second"}, 400),
        ({"lora_name": "first", "lora_path": "second"}, 400),
        ({"lora_name": "first", "lora_path": "second", "load_inplace": True}, 400),
        ({"lora_name": "x"}, 422),
        ({"lora_name": "x", "lora_path": "second", "lora_int_id": 1}, 422),
    ],
)
def test_what_may_not_be_loaded_is_refused(client, words, status):
    found = change(client, "load", **words)
    assert found.status_code == status, found.text
    assert found.json()["error"]["message"]
    assert change(client, "unload", lora_name="first").status_code == 400
    assert change(client, "unload", lora_name="nobody").status_code == 404
    assert len(client.get("/v1/models").json()["data"]) == 1


def test_a_broken_adapter_leaves_the_others_as_they_were(client, labels, tmp_path, served):
    shutil.copytree(labels["second"].path, tmp_path / "broken")
    weights = tmp_path / "broken" / "model" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    (labels["first"].path.parent / "out").symlink_to(tmp_path / "broken")
    try:
        assert (
            change(client, "load", lora_name="x", lora_path="out").status_code == 403
        )  # a link that leads away
    finally:
        (labels["first"].path.parent / "out").unlink()
    expected = labels["first"].predict(TEXTS[:2])
    inside = labels["first"].path.parent / "broken"
    shutil.copytree(tmp_path / "broken", inside)
    try:
        assert change(client, "load", lora_name="x", lora_path="broken").status_code == 400
    finally:
        shutil.rmtree(inside)
    told = client.post("/predict", json={"rows": [{"text": text} for text in TEXTS[:2]]}).json()[
        "predictions"
    ]
    for ours, theirs in zip(told, expected, strict=True):
        assert ours["scores"] == pytest.approx(theirs["scores"], abs=1e-5)


def test_nothing_is_loaded_where_nobody_said_from_where(labels):
    found = listening(labels["first"])
    try:
        with httpx2.Client(base_url=found.address, timeout=60) as client:
            assert change(client, "load", lora_name="x", lora_path="second").status_code == 403
            assert change(client, "unload", lora_name="first").status_code == 403
    finally:
        found.end()


def test_an_adapter_beside_which_none_can_come_is_folded_and_answers_the_same(bert, tmp_path):
    rows = write_csv(tmp_path / "reviews.csv", reviews(80))
    recipe = small_run(bert, "text_classification", rows, tmp_path / "run", batch=8, judge={})
    run = api.train(recipe(method="lora", **QUICK, bf16=False))
    for lone in (True, False):
        held = Models()
        model = held.add(run.path, now=0, lone=lone)
        kinds = {type(module).__name__ for module in model.run.tuned.model.modules()}
        assert ("LoraLinear" in kinds) is not lone
        with model.in_use():
            told = model.told(
                model.read([Record("", line, {"text": text}) for line, text in enumerate(TEXTS, 1)])
            )
        for ours, theirs in zip(told, run.predict(TEXTS), strict=True):
            assert ours["scores"] == pytest.approx(theirs["scores"], abs=1e-5)
