"""`weitiao serve`: it says where it is, answers those who wait when it is told to end, and begins only where it may."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading

import httpx2
import pytest

from weitiao.cli import run as cli


def begun(*words: str) -> tuple[subprocess.Popen, str]:
    command = [sys.executable, "-m", "weitiao", "serve", *words, "--port", "0"]
    server = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    line = server.stderr.readline()
    assert (found := re.search(r"http://127\.0\.0\.1:\d+", line)), line + server.stderr.read()
    return server, found[0]


@pytest.mark.whole
def test_whoever_waits_when_it_is_told_to_end_is_answered(talk, labels):
    server, address = begun(str(talk.path), f"renamed={labels['first'].path}", "--max-new-tokens", "40")
    found: list[httpx2.Response] = []

    def ask(prompt: str) -> None:
        body = {"messages": [{"role": "user", "content": prompt}], "max_tokens": 40}
        found.append(httpx2.post(f"{address}/v1/chat/completions", json=body, timeout=60))

    try:
        models = httpx2.get(f"{address}/v1/models").json()["data"]
        assert [model["id"] for model in models] == ["talk", "renamed"]
        asking = [threading.Thread(target=ask, args=(f"film {word}",)) for word in ("good", "bad", "the")]
        for thread in asking:
            thread.start()
        while "weitiao_waiting 3.0" not in httpx2.get(f"{address}/metrics").text and not found:
            pass
        server.send_signal(signal.SIGTERM)
        for thread in asking:
            thread.join(60)
        assert [one.status_code for one in found] == [200, 200, 200]
        assert server.wait(60) == 0
        assert server.stderr.read() == ""
    finally:
        server.kill()
        server.wait()
        server.stderr.close()


def test_it_begins_only_where_it_may(labels, tmp_path, capsys):
    run = str(labels["first"].path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert cli(["serve", run, "--port", str(taken.getsockname()[1])]) == 6
    assert "[port_in_use]" in capsys.readouterr().err
    assert cli(["serve", run, "--host", "0.0.0.0"]) == 2
    assert "[open_without_token]" in capsys.readouterr().err
    assert cli(["serve", str(tmp_path)]) == 5
    assert "[no_run]" in capsys.readouterr().err
    assert cli(["serve", run, run, "--port", "0"]) == 2
    assert "[name_taken]" in capsys.readouterr().err
