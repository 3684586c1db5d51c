"""Nothing that is asked is passed over without a word: every key of a request is heeded, refused by name, or said to change nothing."""

from __future__ import annotations

import sys

import httpx2
import openai
import pytest

from tests.conftest import dialogues, reviews

TEXTS = [row["text"] for row in reviews(4, seed=5)]
TURNS = [{"role": "user", "content": dialogues(1, seed=9)[0]["prompt"]}]
COLUMN = {"name": "text", "datatype": "BYTES", "shape": [4], "data": TEXTS}


@pytest.fixture(scope="module")
def client(served):
    with httpx2.Client(base_url=served.address, timeout=60) as found:
        yield found


def test_kserve_gives_the_outputs_that_are_wanted(client, labels):
    wanted = [{"name": "score"}, {"name": "label", "parameters": {}}]
    told = client.post("/v2/models/first/infer", json={"inputs": [COLUMN], "outputs": wanted}).json()
    assert [one["name"] for one in told["outputs"]] == ["score", "label"]
    assert told["outputs"][1]["data"] == [one["label"] for one in labels["first"].predict(TEXTS)]


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("/v2/models/first/infer", {"inputs": [COLUMN], "outputs": [{"name": "lable"}]}, 400, "lable"),
        ("/v2/models/first/infer", {"inputs": [COLUMN], "outputs": []}, 422, "outputs"),
        ("/v2/models/first/infer", {"inputs": [COLUMN], "parameters": {"a": 1}}, 422, "parameters"),
        (
            "/v2/models/first/infer",
            {"inputs": [{**COLUMN, "parameters": {"binary_data_size": 4}}]},
            422,
            "inputs.0.parameters",
        ),
        (
            "/v2/models/first/infer",
            {"inputs": [COLUMN], "outputs": [{"name": "label", "parameters": {"binary_data": True}}]},
            422,
            "outputs.0.parameters",
        ),
        ("/v1/chat/completions", {"messages": TURNS, "metadata": {"a": "b"}}, 422, "metadata"),
        ("/v1/chat/completions", {"messages": TURNS, "stream_options": {}}, 422, "stream_options"),
        ("/v1/chat/completions", {"messages": TURNS, "top_logprobs": 2}, 422, "top_logprobs"),
        ("/v1/chat/completions", {"messages": TURNS, "parallel_tool_calls": False}, 422, "parallel_tool_calls"),
        (
            "/v1/chat/completions",
            {"messages": TURNS, "max_tokens": 2, "max_completion_tokens": 3},
            422,
            "max_completion_tokens",
        ),
        ("/v1/completions", {"prompt": "the film", "echo": True, "logprobs": 1}, 422, "echo"),
        ("/predict", {"inputs": "the film", "columns": {"text": "body"}}, 422, "columns"),
        ("/predict", {"model": "first", "inputs": "the film", "max_new_tokens": 4}, 422, "max_new_tokens"),
        ("/v1/embeddings", {"input": "the film", "dimensions": 8}, 422, "dimensions"),
        ("/embed", {"inputs": "the film", "truncate": True}, 422, "truncate"),
        ("/rerank", {"query": "a", "texts": ["b"], "raw_scores": True}, 422, "raw_scores"),
    ],
)  # fmt: skip
def test_what_would_change_nothing_is_refused_by_name(client, path, body, status, says):
    found = client.post(path, json=body)
    assert found.status_code == status, found.text
    assert says in found.json()["error"]["message"]


def test_the_likeliest_few_alone_are_drawn_from(served):
    words = {"model": "talk", "messages": TURNS, "max_tokens": 8, "n": 4, "seed": 3}
    with openai.OpenAI(base_url=f"{served.address}/v1", api_key="none", max_retries=0) as ai:
        drawn = ai.chat.completions.create(**words, extra_body={"top_k": 50})
        first = ai.chat.completions.create(**words, extra_body={"top_k": 1})
    assert len({choice.message.content for choice in drawn.choices}) > 1
    assert len({choice.message.content for choice in first.choices}) == 1


def test_who_asks_changes_nothing_and_the_page_says_so(client):
    body = {"model": "talk", "messages": TURNS, "max_tokens": 6}
    told = [client.post("/v1/chat/completions", json={**body, **more}).json() for more in ({}, {"user": "a"})]
    assert told[0]["choices"] == told[1]["choices"]
    page = client.get("/docs").text
    assert "<code>user</code> Who is asking" in page
    assert "<code>metadata</code>" not in page
    assert "<summary>What it takes</summary>" in page


def test_what_the_server_lacks_is_not_the_request_s_fault(client, monkeypatch):
    monkeypatch.setitem(sys.modules, "captum", None)
    told = client.post("/explain", json={"model": "second", "rows": [{"text": TEXTS[0]}]})
    assert told.status_code == 501
    assert told.json()["error"]["code"] == "missing_extra"
    assert "captum" in told.text
    assert "/" not in told.json()["error"]["message"], "no folder of the server"


def test_a_prediction_is_explained_as_by_the_run(client, labels):
    pytest.importorskip("captum")
    rows = [{"body": text} for text in TEXTS[:2]]
    body = {"model": "second", "rows": rows, "columns": {"text": "body"}, "asked": ["good"], "steps": 16}
    told = client.post("/explain", json=body)
    assert told.status_code == 200, told.text
    expected = labels["second"].explain(TEXTS[:2], asked=["good"], steps=16)
    for ours, theirs, text in zip(told.json()["explanations"], expected, TEXTS, strict=False):
        assert ours["targets"][0]["name"] == "good"
        shares = [word["share"] for word in ours["targets"][0]["words"]]
        assert shares == pytest.approx([word.share for word in theirs.targets[0].words], abs=1e-5)
        assert "".join(piece["text"] for piece in ours["shown"][0]) == text
    again = client.post("/predict", json={"model": "second", "rows": [{"text": TEXTS[0]}]}).json()[
        "predictions"
    ][0]
    assert again["scores"] == pytest.approx(labels["second"].predict([TEXTS[0]])[0]["scores"], abs=1e-5)
    for more in ({"rows": [{"text": "a"}] * 5}, {"model": "talk"}, {"asked": ["nothing"]}):
        assert client.post("/explain", json={**body, **more}).status_code in (400, 422)
