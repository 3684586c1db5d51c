"""Promises of fetching: the right bytes or a clear fault, and nothing downloaded twice."""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from weitiao.core.errors import WeitiaoError
from weitiao.models.assets.fetch import Source, cache_dir, fetch

BODY = bytes(range(256)) * 4096  # 1 MiB
SOURCE = Source("Tiny.Pack", "1.0", "tiny_pack-1.0.whl", hashlib.sha256(BODY).hexdigest(), len(BODY))


@dataclass
class Index:
    """A package index on this machine, with the faults that a test gives it."""

    body: bytes = BODY
    html: bool = False
    resumes: bool = True
    cut_after: int | None = None
    """Hang up after so many bytes, once."""
    login: str = ""
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    """Path and Range of each request."""
    url: str = ""

    def page(self) -> tuple[str, bytes]:
        if self.html:
            text = f'<!DOCTYPE html><a href="../files/{SOURCE.filename}#sha256=0">tiny_pack-1.0...</a>'
            return "text/html; charset=utf-8", text.encode()
        entry = f'{{"filename": "{SOURCE.filename}", "url": "../files/{SOURCE.filename}"}}'
        return "application/vnd.pypi.simple.v1+json", f'{{"files": [{entry}]}}'.encode()


def handler(index: Index) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            index.asked.append((self.path, self.headers["Range"]))
            if index.login and self.headers["Authorization"] != index.login:
                return self.send_error(401)
            if self.path == "/simple/tiny-pack/":
                kind, page = index.page()
                return self.answer(200, kind, page)
            if self.path != f"/simple/files/{SOURCE.filename}":
                return self.send_error(404)
            start = int((self.headers["Range"] or "bytes=0-")[6:-1]) if index.resumes else 0
            return self.answer(206 if start else 200, "application/zip", index.body[start:])

        def answer(self, status: int, kind: str, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if kind == "application/zip" and index.cut_after is not None:
                content, index.cut_after = content[: index.cut_after], None
            self.wfile.write(content)

        def log_message(self, *words: object) -> None:
            pass

    return Handler


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    index = Index()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(index))
    index.url = f"http://127.0.0.1:{server.server_port}/simple"
    monkeypatch.setenv("WEITIAO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("WEITIAO_LANG", "en")
    monkeypatch.setenv("PIP_INDEX_URL", index.url)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield index
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("html", [False, True], ids=["json", "html"])
def test_a_file_comes_whole_from_either_kind_of_index(index: Index, html: bool) -> None:
    index.html = html
    seen: list[tuple[int, int]] = []
    path = fetch(SOURCE, progress=lambda done, total: seen.append((done, total)))
    assert path == cache_dir() / "downloads" / SOURCE.filename
    assert path.read_bytes() == BODY
    assert seen[-1] == (len(BODY), len(BODY))
    assert not path.with_name(path.name + ".part").exists()


def test_a_second_fetch_asks_nobody(index: Index) -> None:
    fetch(SOURCE)
    asked = len(index.asked)
    fetch(SOURCE)
    assert len(index.asked) == asked


def test_a_corrupted_file_in_the_cache_is_fetched_again(index: Index) -> None:
    path = fetch(SOURCE)
    path.write_bytes(b"x" + BODY[1:])
    assert fetch(SOURCE).read_bytes() == BODY


def test_a_cut_transfer_goes_on_where_it_stopped(index: Index) -> None:
    index.cut_after = 300_000
    assert fetch(SOURCE).read_bytes() == BODY
    assert index.asked[-1] == (f"/simple/files/{SOURCE.filename}", "bytes=300000-")


def test_a_part_from_an_earlier_process_is_used(index: Index) -> None:
    part = cache_dir() / "downloads" / f"{SOURCE.filename}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(BODY[:1000])
    assert fetch(SOURCE).read_bytes() == BODY
    assert index.asked[-1][1] == "bytes=1000-"


def test_a_server_that_cannot_resume_sends_it_all(index: Index) -> None:
    index.cut_after, index.resumes = 300_000, False
    assert fetch(SOURCE).read_bytes() == BODY


def test_stopping_keeps_the_part(index: Index) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(SOURCE, progress=stop)
    assert (cache_dir() / "downloads" / f"{SOURCE.filename}.part").stat().st_size > 0
    assert fetch(SOURCE).read_bytes() == BODY


def test_other_bytes_are_refused_and_removed(index: Index) -> None:
    index.body = b"x" + BODY[1:]
    with pytest.raises(WeitiaoError) as caught:
        fetch(SOURCE)
    assert caught.value.code == "wrong_hash"
    assert sorted(file.suffix for file in (cache_dir() / "downloads").iterdir()) in ([], [".lock"])


def test_a_file_that_the_index_lacks_is_named(index: Index) -> None:
    for package in ("tiny-pack", "no-such-pack"):
        with pytest.raises(WeitiaoError, match="has no other-2.0.whl") as caught:
            fetch(Source(package, "2.0", "other-2.0.whl", "0", 1))
        assert caught.value.code == "not_in_index"


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_without_a_network_the_way_out_is_told(
    index: Index, monkeypatch: pytest.MonkeyPatch, lang: str
) -> None:
    monkeypatch.setenv("WEITIAO_LANG", lang)
    monkeypatch.setenv("PIP_INDEX_URL", "http://me:secret@127.0.0.1:9/simple")  # nobody listens on port 9
    with pytest.raises(WeitiaoError) as caught:
        fetch(SOURCE)
    assert caught.value.code == "no_network"
    told = str(caught.value)
    for part in (SOURCE.filename, "1.0 MB", "127.0.0.1:9/simple", str(cache_dir() / "downloads")):
        assert part in told
    assert "secret" not in told


def test_a_login_in_the_address_is_sent(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    index.login = "Basic bWU6c2VjcmV0"  # me:secret
    with pytest.raises(WeitiaoError, match="401|Unauthorized"):
        fetch(SOURCE)
    monkeypatch.setenv("PIP_INDEX_URL", index.url.replace("//", "//me:secret@"))
    assert fetch(SOURCE).read_bytes() == BODY


def test_a_local_folder_of_wheels_saves_the_network(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", f"https://nowhere.invalid/links {tmp_path}")
    (tmp_path / SOURCE.filename).write_bytes(BODY)
    assert fetch(SOURCE) == tmp_path / SOURCE.filename
    (tmp_path / SOURCE.filename).write_bytes(b"another file of the same name")
    assert fetch(SOURCE).read_bytes() == BODY
    assert index.asked


def test_a_full_disk_is_told_before_the_download(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil._ntuple_diskusage(1, 1, 1000)  # 1000 bytes free
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(WeitiaoError) as caught:
        fetch(SOURCE)
    assert caught.value.code == "disk_full"
    assert not index.asked


def test_a_place_that_cannot_be_written_is_named(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, **settings: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)  # root may write anywhere, so no real folder will do
    with pytest.raises(WeitiaoError, match="no permission to write .*downloads"):
        fetch(SOURCE)


def test_two_at_once_download_once(index: Index) -> None:
    paths: list[Path] = []
    threads = [threading.Thread(target=lambda: paths.append(fetch(SOURCE))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.read_bytes() == BODY for path in paths] == [True] * 3
    assert sum(path.endswith(".whl") for path, _ in index.asked) == 1


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEITIAO_CACHE", "~/mine")
    assert cache_dir() == Path.home() / "mine"
    monkeypatch.delenv("WEITIAO_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/xdg")
    assert cache_dir() == Path("/var/xdg/weitiao")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_dir() == Path.home() / ".cache" / "weitiao"


def test_a_package_of_npm_is_fetched_by_its_address(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", f"{index.url}/npm/")
    source = Source("tiny-db", "1.0", "tiny-db-1.0.tgz", SOURCE.sha256, SOURCE.size_bytes, registry="npm")
    with pytest.raises(WeitiaoError, match="no_network"):
        fetch(source)
    assert index.asked == [("/simple/npm/tiny-db/-/tiny-db-1.0.tgz", None)]
    # The same way as the others otherwise: a file that lies in the cache is taken when its hash is right.
    folder = cache_dir() / "downloads"
    (folder / source.filename).write_bytes(BODY)
    assert fetch(source).read_bytes() == BODY
    assert len(index.asked) == 1
