"""A form goes to a hub: a local stand-in of it, asked by huggingface_hub itself; without one it is said before anything slow."""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from huggingface_hub import constants

import weitiao as wt
from weitiao.core.errors import WeitiaoError
from weitiao.core.run import RunFolder
from weitiao.export import push
from weitiao.export.writing import Exported
from weitiao.stages.run import Run


@pytest.fixture
def hub(monkeypatch):
    """Repositories that were made, and the files that were put into them."""
    made: dict[str, dict[str, bytes]] = {}

    class Hub(BaseHTTPRequestHandler):
        def log_message(self, *words) -> None:
            pass

        def say(self, tree: object, status: int = 200) -> None:
            body = json.dumps(tree).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            known = self.headers.get("Authorization") == "Bearer hf_known"
            if self.path == "/api/whoami-v2":
                self.say(
                    {"name": "me"} if known else {"error": "Invalid username or password."},
                    200 if known else 401,
                )
            else:
                self.say({"id": "me/reviews", "sha": "0" * 40, "siblings": []})

        def do_POST(self) -> None:
            said = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/api/repos/create":
                made["me/reviews"] = {}
                self.say({"url": "https://huggingface.co/me/reviews", "name": "me/reviews"})
            elif "/preupload/" in self.path:
                files = [
                    {"path": each["path"], "uploadMode": "regular", "shouldIgnore": False}
                    for each in json.loads(said)["files"]
                ]
                self.say({"files": files})
            elif "/commit/" in self.path:
                for line in map(json.loads, said.splitlines()):
                    if line["key"] == "file":
                        made["me/reviews"][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
                self.say(
                    {
                        "commitUrl": "https://huggingface.co/me/reviews/commit/0",
                        "commitOid": "0" * 40,
                        "success": True,
                    }
                )
            else:
                self.say({})

    server = HTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)  # as tests are otherwise
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_TOKEN", "hf_known")
    yield made
    server.shutdown()
    server.server_close()


def test_a_form_lies_on_the_hub_with_the_card_of_its_model(hub, tmp_path):
    run = Run(RunFolder(tmp_path / "run"))
    form = tmp_path / "run/export/onnx"
    for path, words in ((form / "model.onnx", "graph"), (run.folder.model / "README.md", "card")):
        path.parent.mkdir(parents=True)
        path.write_text(words)
    push.ready("me/reviews")
    address = push.push(run, Exported(form), "me/reviews")
    assert hub == {"me/reviews": {"README.md": b"card", "model.onnx": b"graph"}}
    assert address.endswith("/me/reviews")


@pytest.mark.parametrize(
    ("wrong", "code"), [("name", "wrong_usage"), ("token", "not_pushed"), ("network", "not_pushed")]
)
def test_what_cannot_be_put_there_is_said_before_a_run_is_looked_at(wrong, code, hub, monkeypatch):
    if wrong == "token":
        monkeypatch.setenv("HF_TOKEN", "hf_unknown")
    if wrong == "network":
        monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(WeitiaoError) as caught:
        wt.export("no-such-run", "onnx", push="reviews" if wrong == "name" else "me/reviews")
    assert caught.value.code == code
    assert ("owner/name" if wrong == "name" else "HF_TOKEN") in caught.value.text()
    assert not hub
