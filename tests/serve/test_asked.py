"""What is asked over HTTP is answered as the run itself answers, whoever asks beside."""

from __future__ import annotations

import base64
import json
import math
import re
import struct
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx2
import openai
import pytest

from tests.conftest import dialogues, reviews
from weitiao.models import marks
from weitiao.models.decoding import Decoding
from weitiao.models.decoding.alone import alone

TEXTS = [row["text"] for row in reviews(9, seed=5)]
PROMPTS = [row["prompt"] for row in dialogues(24, seed=9)]


@pytest.fixture
def client(served):
    with httpx2.Client(base_url=served.address, timeout=60) as found:
        yield found


@pytest.fixture
def ai(served):
    with openai.OpenAI(base_url=f"{served.address}/v1", api_key="none", max_retries=0) as found:
        yield found


def turns(text: str) -> list[dict]:
    return [{"role": "user", "content": text}]


# --- rows


def test_rows_are_answered_as_by_the_run(client, labels):
    for name, run in labels.items():
        expected = run.predict(TEXTS)
        found = client.post("/predict", json={"model": name, "rows": [{"text": text} for text in TEXTS]})
        assert found.status_code == 200, found.text
        for ours, theirs in zip(found.json()["predictions"], expected, strict=True):
            assert ours["label"] == theirs["label"]
            assert ours["scores"] == pytest.approx(theirs["scores"], abs=1e-5)


def test_texts_are_taken_as_text_embeddings_inference_takes_them(client, labels):
    expected = labels["first"].predict(TEXTS[:2])
    one = client.post("/predict", json={"inputs": TEXTS[0]}).json()
    assert {each["label"]: each["score"] for each in one} == pytest.approx(expected[0]["scores"], abs=1e-5)
    assert one[0]["label"] == expected[0]["label"]
    two = client.post("/predict", json={"inputs": [[text] for text in TEXTS[:2]]}).json()
    assert [each[0]["label"] for each in two] == [each["label"] for each in expected]


def test_a_column_may_have_another_name_and_a_bad_row_fails_alone(client, labels):
    rows = [{"body": TEXTS[0]}, {"body": " "}, {"body": None}, {"body": TEXTS[1]}]
    told = client.post("/predict", json={"rows": rows, "columns": {"text": "body"}}).json()["predictions"]
    assert [set(one) == {"unusable"} for one in told] == [False, True, True, False]
    assert told[3]["scores"] == pytest.approx(labels["first"].predict([TEXTS[1]])[0]["scores"], abs=1e-5)


def test_columns_are_tensors_for_kserve(client, labels):
    body = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [3], "data": TEXTS[:3]}]}
    told = client.post("/v2/models/second/infer", json=body).json()
    outputs = {output["name"]: output for output in told["outputs"]}
    expected = labels["second"].predict(TEXTS[:3])
    assert outputs["label"]["data"] == [one["label"] for one in expected]
    assert outputs["score"]["data"] == pytest.approx([one["score"] for one in expected], abs=1e-5)
    assert client.get("/v2/models/second").json()["inputs"][0]["name"] == "text"
    assert client.get("/v2/models/second/ready").json() == {"name": "second", "ready": True}
    body["inputs"][0]["shape"] = [2]
    assert client.post("/v2/models/second/infer", json=body).status_code == 400


# --- conversations


def test_a_conversation_is_answered_as_by_the_run_and_counted(ai, talk):
    said = ai.chat.completions.create(model="talk", messages=turns("the film was"), max_tokens=6)
    assert said.choices[0].message.content == talk.answer("the film was", max_new_tokens=6)
    assert said.id.startswith("chatcmpl-")
    assert said.usage.prompt_tokens == len(talk.task.opening(turns("the film was"), talk.tuned.processor))
    assert said.usage.total_tokens == said.usage.prompt_tokens + said.usage.completion_tokens
    parts = [
        {"role": "user", "content": [{"type": "text", "text": "the film"}, {"type": "text", "text": " was"}]}
    ]
    again = ai.chat.completions.create(model="talk", messages=parts, max_completion_tokens=6)
    assert again.choices[0].message.content == said.choices[0].message.content


def test_a_stream_is_the_whole_in_pieces(ai):
    words = {"model": "talk", "messages": turns(PROMPTS[0]), "max_tokens": 12}
    whole = ai.chat.completions.create(**words)
    chunks = list(ai.chat.completions.create(**words, stream=True, stream_options={"include_usage": True}))
    assert (
        "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        == whole.choices[0].message.content
    )
    ends = [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason]
    assert ends == [whole.choices[0].finish_reason]
    assert chunks[-1].usage == whole.usage
    assert len(chunks) > 4


def test_many_at_once_with_adapters_between_them_each_as_alone(ai, client, labels, talk):
    expected = {prompt: talk.answer(prompt, max_new_tokens=10) for prompt in PROMPTS}
    rows = {name: run.predict(TEXTS) for name, run in labels.items()}

    def converse(prompt: str) -> tuple[str, str]:
        said = ai.chat.completions.create(model="talk", messages=turns(prompt), max_tokens=10)
        return prompt, said.choices[0].message.content

    def label(number: int) -> tuple[str, int, dict]:
        name, place = ("first", "second")[number % 2], number % len(TEXTS)
        told = client.post("/predict", json={"model": name, "rows": [{"text": TEXTS[place]}]}).json()
        return name, place, told["predictions"][0]

    with ThreadPoolExecutor(12) as pool:
        said = pool.map(converse, PROMPTS * 2)
        labelled = pool.map(label, range(60))
        assert [answer for _, answer in said] == [expected[prompt] for prompt in PROMPTS * 2]
        for name, place, told in labelled:
            assert told["scores"] == pytest.approx(rows[name][place]["scores"], abs=1e-5)
    assert len(set(expected.values())) > 3
    assert rows["first"][0]["scores"] != pytest.approx(rows["second"][0]["scores"], abs=1e-3)


def test_an_answer_ends_at_a_stop_string_at_the_longest_and_at_its_end(ai, client, talk):
    wordy = next(prompt for prompt in PROMPTS if len(talk.answer(prompt, max_new_tokens=12).split()) > 2)
    words = {"model": "talk", "messages": turns(wordy), "max_tokens": 12}
    whole = ai.chat.completions.create(**words).choices[0].message.content
    second = whole.split()[1]
    for stream in (False, True):
        found = ai.chat.completions.create(**words, stop=[second, "nowhere"], stream=stream)
        chunks = list(found) if stream else []
        text = (
            "".join(c.choices[0].delta.content or "" for c in chunks)
            if stream
            else found.choices[0].message.content
        )
        finish = chunks[-1].choices[0].finish_reason if stream else found.choices[0].finish_reason
        assert text == whole[: whole.index(second)].rstrip()
        assert finish == "stop"
    short = ai.chat.completions.create(**words | {"max_tokens": 2})
    assert short.choices[0].finish_reason == "length"
    assert short.usage.completion_tokens == 2
    told = client.post(
        "/predict", json={"model": "talk", "rows": [{"prompt": p} for p in PROMPTS], "max_new_tokens": 6}
    )
    assert told.json()["predictions"] == talk.predict(PROMPTS, max_new_tokens=6)
    assert {one["ending"] for one in told.json()["predictions"]} >= {"length"}


def test_draws_hang_on_the_seed_and_choices_differ(ai):
    words = {"model": "talk", "messages": turns(PROMPTS[2]), "max_tokens": 8, "temperature": 1.5}
    first = ai.chat.completions.create(**words, seed=1, n=4)
    again = ai.chat.completions.create(**words, seed=1, n=4)
    other = ai.chat.completions.create(**words, seed=2, n=4)
    texts = [[choice.message.content for choice in said.choices] for said in (first, again, other)]
    assert texts[0] == texts[1] != texts[2]
    assert len(set(texts[0])) > 1
    greedy = ai.chat.completions.create(**words | {"temperature": 0}, n=2)
    assert greedy.choices[0].message.content == greedy.choices[1].message.content


def test_log_probabilities_are_those_of_the_model(ai, talk):
    import torch

    words = {
        "model": "talk",
        "messages": turns(PROMPTS[3]),
        "max_tokens": 5,
        "logprobs": True,
        "top_logprobs": 3,
    }
    prompt, processor = talk.task.opening(turns(PROMPTS[3]), talk.tuned.processor), talk.tuned.processor
    stops = marks.ends(talk.tuned.model, processor)
    known = Decoding(max_new_tokens=5, stops=stops, limit=talk.limit)
    for more in ({}, {"temperature": 2.0, "seed": 5, "top_p": 0.9}):
        said = ai.chat.completions.create(**words, **more).choices[0]
        drawn = {"sample": True, "top_k": None, **more} if more else {}
        with torch.no_grad():
            ids = alone(talk.tuned.model, prompt, replace(known, **drawn)).ids
            scores = (
                talk.tuned.model(input_ids=torch.tensor([prompt + ids])).logits[0].float().log_softmax(-1)
            )
        assert [word.token for word in said.logprobs.content] == [processor.decode([token]) for token in ids]
        for place, word in enumerate(said.logprobs.content):
            row = scores[len(prompt) + place - 1]
            assert word.logprob == pytest.approx(float(row[ids[place]]), abs=1e-4)
            best = [one.logprob for one in word.top_logprobs]
            assert best == pytest.approx(row.topk(3).values.tolist(), abs=1e-4)


def test_a_text_is_gone_on_with_and_no_template_is_put_around_it(ai, talk):
    said = ai.completions.create(model="talk", prompt=PROMPTS[4], max_tokens=6, logprobs=2)
    import torch

    ids = talk.tuned.processor(PROMPTS[4])["input_ids"]
    expected: list[int] = []
    with torch.no_grad():
        for _ in range(6):
            scores = talk.tuned.model(input_ids=torch.tensor([ids + expected])).logits[0, -1]
            token = int(scores.argmax())
            if token == talk.tuned.processor.eos_token_id:
                break
            expected.append(token)
    assert said.choices[0].text == talk.tuned.processor.decode(expected, skip_special_tokens=True).strip()
    assert len(said.choices[0].logprobs.tokens) == len(expected)
    echoed = ai.completions.create(model="talk", prompt=PROMPTS[4], max_tokens=6, echo=True, stream=True)
    assert "".join(chunk.choices[0].text for chunk in echoed) == PROMPTS[4] + said.choices[0].text


# --- what cannot be had is refused by name


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"response_format": {"type": "json_object"}}, 400, "response_format"),
        ({"frequency_penalty": 1.0}, 422, "frequency_penalty"),
        ({"logit_bias": {"5": 1}}, 422, "logit_bias"),
        ({"functions": []}, 422, "functions"),
        ({"messages": []}, 422, "messages"),
        ({"messages": [{"role": "tool"}]}, 422, "tool_calls"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            400,
            "no pictures",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, 422, "input_audio"),
        ({"messages": [{"role": "user", "content": "good " * 200}]}, 400, "context_length_exceeded"),
        ({"model": "tlak"}, 404, 'mean "talk"'),
        ({"model": "first"}, 400, "text_classification"),
        ({"temperature": 3}, 422, "temperature"),
        ({"n": 0}, 422, "n:"),
    ],
)
def test_what_cannot_be_had_is_refused_by_name(client, body, status, says):
    found = client.post("/v1/chat/completions", json={"messages": turns("good film"), **body})
    assert found.status_code == status, found.text
    assert says in json.dumps(found.json()["error"], ensure_ascii=False).replace('\\"', '"')
    assert found.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/predict", {"inputs": "a", "rows": [{}]}, 422),
        ("/predict", {"inputs": []}, 422),
        ("/predict", {"inputs": ["a", ["b", "c"]]}, 422),
        ("/predict", {"inputs": " "}, 422),
        ("/predict", {"rows": [{"other": "a"}]}, 400),
        ("/predict", {"rows": [["a"]]}, 422),
        ("/v1/embeddings", {"input": "a"}, 404),
        ("/rerank", {"query": "a", "texts": ["b"]}, 404),
        ("/nowhere", {}, 404),
        ("/v1/completions", {"model": "talk", "prompt": ""}, 400),
        (
            "/v2/models/nobody/infer",
            {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": ["a"]}]},
            404,
        ),
    ],
)
def test_odd_requests_get_a_status_and_a_message(client, path, body, status):
    found = client.post(path, json=body)
    assert found.status_code == status, found.text
    assert found.json()["error"]["message"]
    assert "Traceback" not in found.text


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[1", '{"inputs": "好"}'.encode("gb18030"), b"\xff\xfe", b"null", b"1" * 9999]
)
def test_what_is_no_json_is_said_so(client, body):
    found = client.post("/predict", content=body, headers={"content-type": "application/json"})
    assert found.status_code in (400, 422), found.text
    assert found.json()["error"]["message"]


# --- what is said of the server


def test_the_server_says_what_it_has_and_what_it_did(client, labels, talk):
    listed = {one["id"]: one for one in client.get("/v1/models").json()["data"]}
    assert {name: one["kind"] for name, one in listed.items()} == {
        "first": "label",
        "second": "label",
        "talk": "chat",
    }
    assert client.get("/v1/models/second").json() == listed["second"]
    assert client.get("/health").json() == {"status": "ok"}
    assert client.get("/ready").json()["models"] == ["first", "second", "talk"]

    def count() -> float:
        text = client.get("/metrics").text
        found = re.search(
            r'^weitiao_requests_total\{model="second",route="/predict",status="200"\} (\S+)', text, re.M
        )
        return float(found[1]) if found else 0.0

    before = count()
    made = client.post("/predict", json={"model": "second", "inputs": TEXTS[0]})
    assert count() == before + 1
    lines = (labels["second"].path / "served" / "log.jsonl").read_text().splitlines()
    last = json.loads(lines[-1])
    assert last["id"] == made.headers["x-request-id"]
    assert (last["model"], last["rows"], last["status"], last["route"]) == ("second", 1, 200, "/predict")
    assert TEXTS[0] not in "\n".join(lines)


def test_every_route_is_on_the_page_and_in_the_schema(client):
    schema = client.get("/openapi.json").json()
    page = client.get("/docs").text
    assert len(schema["paths"]) > 10
    for path in schema["paths"]:
        assert path in page
    for text in (page, client.get("/").text):
        # Nothing is fetched from elsewhere.
        assert not re.search(r"""(src|href)=["']?https?:""", text)


# --- vectors and orders


@pytest.mark.whole
def test_vectors_and_orders_are_those_of_the_run(find, rank, tmp_path):
    from tests.serve.conftest import QUICK, listening
    from weitiao import api

    faq = api.train(find(output_dir=str(tmp_path / "faq"), method="lora", **QUICK))
    order = api.train(rank(output_dir=str(tmp_path / "order"), method="lora", **QUICK))
    served = listening(faq, order)
    words = {"base_url": f"{served.address}/v1", "api_key": "none", "max_retries": 0}
    try:
        with openai.OpenAI(**words) as ai, httpx2.Client(base_url=served.address, timeout=60) as client:
            _vectors(ai, client, faq)
            _orders(client, order)
    finally:
        served.end()


def _vectors(ai, client, faq) -> None:
    expected = [one["vector"] for one in faq.predict(TEXTS[:3])]
    plain = ai.embeddings.create(model="faq", input=TEXTS[:3], encoding_format="float")
    for ours, theirs in zip(plain.data, expected, strict=True):
        assert ours.embedding == pytest.approx(theirs, abs=1e-5)
    assert plain.usage.prompt_tokens > 0
    packed = ai.embeddings.create(model="faq", input=TEXTS[:3])  # its own way: base64
    assert [len(one.embedding) for one in packed.data] == [len(expected[0])] * 3
    raw = client.post("/v1/embeddings", json={"input": TEXTS[0], "encoding_format": "base64"}).json()
    numbers = base64.b64decode(raw["data"][0]["embedding"])
    assert list(struct.unpack(f"<{len(numbers) // 4}f", numbers)) == pytest.approx(expected[0], abs=1e-5)
    (unit,) = client.post("/embed", json={"inputs": TEXTS[0]}).json()
    assert math.fsum(x * x for x in unit) == pytest.approx(1.0)


def _orders(client, order) -> None:
    texts = [*TEXTS[:3], TEXTS[0]]
    told = client.post("/rerank", json={"query": TEXTS[5], "texts": texts, "return_text": True}).json()
    (known,) = order.predict([{"query": TEXTS[5], "passages": texts}])
    assert [one["text"] for one in told] == [one["passage"] for one in known["ranking"]]
    scores = [one["score"] for one in known["ranking"]]
    assert [one["score"] for one in told] == pytest.approx(scores, abs=1e-5)
    assert sorted(one["index"] for one in told) == [0, 1, 2, 3]
    assert all(texts[one["index"]] == one["text"] for one in told)
