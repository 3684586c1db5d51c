"""Who may ask and how much; whoever goes, waits too long, or comes when all places are taken."""

from __future__ import annotations

import json
import socket
import threading
import time

import httpx2
import pytest

from tests.serve.conftest import listening
from weitiao.core.why import reason
from weitiao.serve.guard import Limits
from weitiao.serve.jobs import Order

pytestmark = pytest.mark.whole  # servers that wait


@pytest.fixture(scope="module")
def closed(labels, talk):
    """A server that asks for a token, with little room and little time."""
    found = listening(
        labels["first"], talk, limits=Limits(token="s3cret", body_mb=0.01, body_s=0.5), most=3, timeout_s=3.0
    )
    yield found
    found.end()


@pytest.fixture
def client(closed):
    words = {"headers": {"authorization": "Bearer s3cret"}, "timeout": 30}
    with httpx2.Client(base_url=closed.address, **words) as found:
        yield found


ROW = {"inputs": "good film"}


@pytest.mark.parametrize(
    "said", ["", "Bearer", "Bearer s3cre", "Bearer s3crets", "s3cret2", "Basic czNjcmV0", "Bearer 密"]
)
def test_without_its_token_nobody_is_answered(closed, said):
    headers = {"authorization": said.encode()} if said else {}
    for path in ("/predict", "/v1/chat/completions", "/v1/feedback", "/v2/models/first/infer"):
        found = httpx2.post(closed.address + path, json=ROW, headers=headers)
        assert found.status_code == 401
        assert found.headers["www-authenticate"] == "Bearer"
    for path in ("/metrics", "/v1/models", "/v1/models/first", "//predict", "/docs/../v1/models"):
        assert httpx2.get(closed.address + path, headers=headers).status_code == 401
    for path in ("/", "/health", "/ready", "/docs"):
        assert httpx2.get(closed.address + path, headers=headers).status_code == 200


def test_with_its_token_everybody_is(client):
    assert client.post("/predict", json=ROW).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "[::2]:80"]
)
def test_under_another_name_it_is_not_asked(client, host):
    found = client.post("/predict", json=ROW, headers={"host": host})
    assert found.status_code == 403, host


def test_a_page_of_another_site_may_not_ask(client, closed):
    assert client.post("/predict", json=ROW, headers={"origin": "https://evil.example"}).status_code == 403
    assert client.post("/predict", json=ROW, headers={"origin": "null"}).status_code == 403
    assert client.post("/predict", json=ROW, headers={"origin": closed.address}).status_code == 200
    assert client.get("/v1/models", headers={"origin": "http://127.0.0.1:1"}).status_code == 403


def test_what_is_too_large_is_not_read(client, closed):
    found = client.post("/predict", json={"inputs": "a" * 20_000})
    assert found.status_code == 413
    assert "0.01" in found.json()["error"]["message"]
    endless = (b"x" * 1000 for _ in range(10_000))  # without a length said before
    assert client.post("/predict", content=endless).status_code == 413


def test_what_comes_too_slowly_is_not_waited_for(closed):
    host, port = closed.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as line:
        head = "POST /predict HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer s3cret\r\ncontent-length: 100\r\n\r\n{"
        line.sendall(head.encode())
        began = time.monotonic()
        assert b" 408 " in line.recv(4096)
        assert time.monotonic() - began < 5


def held(closed, seconds: float) -> threading.Event:
    """The desk is kept from its work for a while."""
    freed = threading.Event()
    closed.server.service.desk.order(Order(time.monotonic() + 60, do=lambda: freed.wait(seconds)))
    return freed


def emptied(closed, client) -> None:
    """Nobody waits any more, and whoever comes is answered; those who have gone may be let in once more before it is seen."""
    for _ in range(200):
        if client.post("/predict", json=ROW).status_code == 200 and not closed.server.service.desk.waiting:
            return
        time.sleep(0.05)
    raise AssertionError("somebody who has gone still holds a place")


def test_whoever_comes_when_all_places_are_taken_is_told_at_once(client, closed):
    freed = held(closed, 20)
    found: list[int] = []

    def ask() -> None:
        found.append(
            httpx2.post(closed.address + "/predict", json=ROW, headers=client.headers, timeout=30).status_code
        )

    first = [threading.Thread(target=ask) for _ in range(3)]
    for thread in first:
        thread.start()
    while closed.server.service.desk.waiting < 3:
        time.sleep(0.01)
    began = time.monotonic()
    refused = client.post("/predict", json=ROW)
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "1"
    assert time.monotonic() - began < 2
    freed.set()
    for thread in first:
        thread.join(20)
    assert found == [200, 200, 200]
    assert client.post("/predict", json=ROW).status_code == 200


def test_whoever_waits_too_long_is_told_and_frees_the_place(client, closed):
    freed = held(closed, 20)
    found = client.post("/predict", json=ROW)
    assert found.status_code == 504
    assert reason("too_late", seconds="3") == found.json()["error"]["message"]
    freed.set()
    emptied(closed, client)


@pytest.mark.parametrize("stream", [False, True])
def test_whoever_goes_frees_the_place(client, closed, stream):
    host, port = closed.address.removeprefix("http://").split(":")
    body = json.dumps(
        {"messages": [{"role": "user", "content": "good film"}], "max_tokens": 40, "stream": stream}
    )
    freed = held(closed, 20) if not stream else None
    for _ in range(3):
        line = socket.create_connection((host, int(port)))
        head = (
            "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer s3cret\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n{body}"
        )
        line.sendall(head.encode())
        if stream:
            assert line.recv(64)
        else:
            time.sleep(0.1)
        line.close()
    if freed:
        freed.set()
    emptied(closed, client)


# --- what users say of answers


def test_feedback_is_on_disk_before_it_is_thanked_for_and_counts_once(client, talk):
    file = talk.path / "served" / "feedback.jsonl"
    said = {"id": "chatcmpl-1", "model": "talk", "thumb": "down", "answer": "好 better"}
    first = client.post("/v1/feedback", json=said).json()
    assert (first["kept"], first["new"]) == (True, True)
    (line,) = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    assert {name: line[name] for name in said} == said
    assert client.post("/v1/feedback", json=said).json()["new"] is False
    assert client.post("/v1/feedback", json={**said, "thumb": "up"}).json()["new"] is True
    assert len(file.read_text(encoding="utf-8").splitlines()) == 2


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"id": "1"}, 422),
        ({"thumb": "up"}, 422),
        ({"id": "../1", "thumb": "up"}, 422),
        ({"id": "1", "thumb": "no"}, 422),
        ({"id": "1", "thumb": "up", "model": "nobody"}, 404),
        ({"id": "1", "thumb": "up", "more": 1}, 422),
    ],
)
def test_odd_feedback_is_refused(client, said, status):
    assert client.post("/v1/feedback", json=said).status_code == status


def test_a_line_that_was_half_written_when_the_server_died_goes(tmp_path):
    from weitiao.serve.routes.feedbacks import Kept

    file = tmp_path / "served" / "feedback.jsonl"
    assert Kept(file).add({"id": "1", "thumb": "up"})
    with file.open("ab") as half:
        half.write('{"id": "2", "comment": "好'.encode()[:-1])
    again = Kept(file)
    assert not again.add({"id": "1", "thumb": "up"})
    assert again.add({"id": "2", "thumb": "up"})
    assert [json.loads(line)["id"] for line in file.read_text(encoding="utf-8").splitlines()] == ["1", "2"]


# --- pictures


def test_files_of_the_server_are_never_read(tmp_path):
    from weitiao.core import registry
    from weitiao.serve.guard import Refused
    from weitiao.serve.routes.rows import refuse_files

    task = registry.build("task", {"name": "image_classification"})
    data = "data:image/png;base64,AA=="
    refuse_files(task, [{"image": data}], {})
    refuse_files(task, [{"photo": data}], {"image": "photo"})
    for row in (
        {"image": "/etc/hostname"},
        {"image": "file:///etc/hostname"},
        {"image": {"path": "/etc/hostname"}},
        {},
        {"image": "../x.png", "other": data},
        "/etc/hostname",
    ):
        with pytest.raises(Refused):
            refuse_files(task, [row], {})
