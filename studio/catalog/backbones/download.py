"""Fetching weights: resumable, cancellable, verified, and whole or absent. The only part of Studio that uses the network."""

from __future__ import annotations

import contextlib
import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO
from urllib.parse import urljoin, urlsplit

from studio.catalog.backbones import installed
from studio.catalog.backbones.backbone import BackboneInfo
from studio.core.file import fsync_folder, sha256_of
from studio.core.file_lock import FileLock
from studio.core.json_text import parse_json
from studio.core.path_text import path_to_text, shown
from studio.core.problem import BadInput

Progress = Callable[[int, int | None], None]  # bytes done, bytes in all where the server says

_CHUNK_BYTES = 1 << 18
_TIMEOUT_S = 30.0  # without a single byte
_NUM_ATTEMPTS = 4  # of a connection that breaks after giving something
_FULL_SHA256 = re.compile(r"^\"?([0-9a-f]{64})\"?$")


class DownloadCancelled(Exception):
    """Asked for by the user. What came so far is kept and the next download goes on from there."""


def download_weights(info: BackboneInfo, progress: Progress | None = None, is_cancelled: Callable[[], bool] | None = None) -> Path:
    """Puts the weights of `info` where `build_backbone` finds them, unless they are on this computer already. Gives their path.

    Raises BadInput in words for what goes wrong, DownloadCancelled when asked to stop.
    """
    path = installed.find(info)
    if path is None:
        if info.weights_url is None:
            raise BadInput(f"{info.title} has no weights to download.")
        path = installed.destination(info)
        download(info.weights_url, path, sha256_prefix=info.weights_sha256, progress=progress, is_cancelled=is_cancelled)
    return path


def download(
    url: str,
    destination: str | os.PathLike,
    *,
    sha256_prefix: str | None = None,
    progress: Progress | None = None,
    is_cancelled: Callable[[], bool] | None = None,
) -> None:
    """Fetches `url` to `destination` through a ".part" file beside it, which a later call continues.

    The file is checked against `sha256_prefix` (hexadecimal), or against the SHA-256 that the server names, and against the
    length the server names. One that fails is set aside as ".damaged". What another process is fetching to the same place is left to it.
    Raises BadInput or DownloadCancelled.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise BadInput(f"{shown(url)} is not a web address.")
    destination = Path(destination)
    part = destination.with_name(destination.name + ".part")
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        with _alone(part):
            expected = _fetch(url, part, progress or (lambda done, total: None), is_cancelled or (lambda: False))
            _verify(part, destination, sha256_prefix or expected, url)
            os.replace(part, destination)
            _note(part).unlink(missing_ok=True)
            fsync_folder(destination.parent)
    except OSError as exc:
        raise BadInput(f"The weights cannot be written to {shown(path_to_text(destination.parent))}: {exc.strerror or exc}.") from exc


@contextlib.contextmanager
def _alone(part: Path) -> Iterator[None]:
    """While no other process writes to a part file. Raises BadInput where one does."""
    path = part.with_name(part.name + ".lock")
    lock = FileLock(path)
    try:
        is_ours = lock.acquire(tries=1) and lock.is_in_place()
    except OSError:  # a drive without locks
        is_ours = True
    try:
        if not is_ours:
            raise BadInput("Another window or command is downloading these weights. Wait until it is done.")
        yield
    finally:
        if os.name == "nt":  # keeps what is open
            lock.release()
        if is_ours:
            with contextlib.suppress(OSError):
                path.unlink()
        if os.name != "nt":
            lock.release()


def _fetch(url: str, part: Path, progress: Progress, is_cancelled: Callable[[], bool]) -> str | None:
    """Brings `part` to full length; gives the SHA-256 that the server names, if it does."""
    for attempt in range(_NUM_ATTEMPTS):
        before = _size_of(part)
        try:
            return _fetch_once(url, part, progress, is_cancelled)
        except urllib.error.HTTPError as exc:
            with exc:
                if exc.code == 416 and before:  # what is there does not belong to this file
                    part.unlink(missing_ok=True)
                    continue
                raise BadInput(_refusal(url, exc.code)) from None
        except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as exc:
            reason = getattr(exc, "reason", exc)
            if attempt + 1 == _NUM_ATTEMPTS or _size_of(part) <= before:
                raise BadInput(_broken(url, reason, _size_of(part))) from None
    raise BadInput(_broken(url, "the server answers with the wrong part of the file", _size_of(part)))


def _fetch_once(url: str, part: Path, progress: Progress, is_cancelled: Callable[[], bool]) -> str | None:
    done = _size_of(part)
    request = urllib.request.Request(url, headers={"User-Agent": "finetune-studio", "Accept-Encoding": "identity"})
    mark = _mark_of(part)
    if done and mark:
        request.add_header("Range", f"bytes={done}-")
        request.add_header("If-Range", mark)  # a file that changed meanwhile comes from its start
    if is_cancelled():
        raise DownloadCancelled
    recorder = _Redirects()
    try:
        answer = urllib.request.build_opener(recorder).open(request, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as exc:
        if exc.code != 416 or not done or exc.headers.get("Content-Range") != f"bytes */{done}":
            raise
        with exc:  # all of it came before an earlier download ended
            return _sha256_in([*recorder.headers, exc.headers])
    with answer:
        is_continued = answer.status == 206 and (answer.headers.get("Content-Range") or "").startswith(f"bytes {done}-")
        if answer.status == 206 and not is_continued:
            part.unlink(missing_ok=True)
            raise ConnectionError("the server answers with the wrong part of the file")
        if not is_continued:
            done = 0
        length = answer.headers.get("Content-Length")
        total = done + int(length) if length and length.isdigit() else None
        _write_mark(part, answer.headers)
        progress(done, total)
        with open(part, "ab" if is_continued else "wb") as f:
            while chunk := _read(answer):
                if is_cancelled():
                    raise DownloadCancelled
                f.write(chunk)
                done += len(chunk)
                progress(done, total)
            f.flush()
            os.fsync(f.fileno())
        if total is not None and done < total:
            raise ConnectionError(f"it ended after {done:,} of {total:,} bytes")
        return _sha256_in([*recorder.headers, answer.headers])


def _read(answer: IO[bytes]) -> bytes:
    """Raises ConnectionError for whatever the network does, which an OSError of the disk must not be taken for."""
    try:
        return answer.read(_CHUNK_BYTES)
    except OSError as exc:
        raise ConnectionError(exc.strerror or str(exc)) from exc


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http and https only and keeps their headers: the hub names the checksum in the first answer."""

    def __init__(self) -> None:
        self.headers: list[HTTPMessage] = []

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        self.headers.append(headers)
        if urlsplit(req.full_url).scheme == "https" and urlsplit(urljoin(req.full_url, newurl)).scheme != "https":
            raise urllib.error.URLError("the server sends on to an address that is not protected")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _sha256_in(headers: list[HTTPMessage]) -> str | None:
    """The hub's large files bear their SHA-256 as ETag."""
    for name in ("X-Linked-Etag", "ETag"):
        for one in headers:
            found = _FULL_SHA256.match(one.get(name) or "")
            if found:
                return found[1]
    return None


def _verify(part: Path, destination: Path, expected: str | None, url: str) -> None:
    if not expected:
        return
    actual = sha256_of(part)
    if actual.startswith(expected.lower()):
        return
    aside = destination.with_name(destination.name + ".damaged")
    os.replace(part, aside)
    _note(part).unlink(missing_ok=True)
    raise BadInput(
        f"The checksum of {shown(destination.name)} differs: {actual[: len(expected)][:16]} instead of {expected[:16]}. "
        f"The file was set aside as {shown(aside.name)}. Try again; if it happens twice, the server at {_host(url)} gives another file."
    )


def _note(part: Path) -> Path:
    """Beside a part file: which version of the file it is a part of."""
    return part.with_name(part.name + ".json")


def _mark_of(part: Path) -> str | None:
    try:
        mark = parse_json(_note(part).read_bytes())["mark"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return mark if isinstance(mark, str) and mark.isprintable() else None


def _write_mark(part: Path, headers: HTTPMessage) -> None:
    mark = headers.get("ETag") or headers.get("Last-Modified")
    if mark and not mark.startswith("W/"):  # weak marks must not be used for parts (RFC 9110, 13.1.5)
        _note(part).write_text(json.dumps({"mark": mark}))
    else:
        _note(part).unlink(missing_ok=True)


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _host(url: str) -> str:
    return urlsplit(url).hostname or url


def _refusal(url: str, code: int) -> str:
    match code:
        case 401 | 403:
            return f"{_host(url)} does not give this file without an account (answer {code}). Choose another backbone."
        case 404 | 410:
            return f"The file is no longer at {url} (answer {code}). Choose another backbone."
        case 429:
            return f"{_host(url)} asks to wait (answer 429). Try again in a few minutes."
        case _:
            return f"{_host(url)} answers with error {code}. Try again later."


def _broken(url: str, reason: object, num_bytes: int) -> str:
    kept = f" {num_bytes / 1e6:,.1f} MB are kept, and the next try goes on from there." if num_bytes else ""
    return f"The download from {_host(url)} broke off: {shown(str(reason))}.{kept} Check the network and try again."
