"""Downloads are whole and verified or absent; what broke off goes on where it stopped."""

from __future__ import annotations

import errno
import hashlib
import socket
import subprocess
import sys
import threading
from http.client import HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from studio.catalog.backbones import DownloadCancelled, build_backbone, download_weights, installed
from studio.catalog.backbones.backbone import BackboneInfo
from studio.catalog.backbones.download import download
from studio.core.problem import BadInput

CONTENT = bytes(range(256)) * 8192  # 2 MiB
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves one file on this computer; `cuts` are the numbers of bytes after which the next answers break off."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.etag, self.has_range, self.status = CONTENT, '"v1"', True, 200
        self.cuts: list[int] = []
        self.asked_ranges: list[str | None] = []
        self.redirect_headers: dict[str, str] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/weights.pth"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        if self.path.startswith("/moved"):
            self.send_response(302)
            self.send_header("Location", server.url)
            for name, value in server.redirect_headers.items():
                self.send_header(name, value)
            self.end_headers()
            return
        asked = self.headers.get("Range")
        server.asked_ranges.append(asked)
        if server.status != 200:
            self.send_error(server.status)
            return
        start = 0
        if asked and server.has_range and self.headers.get("If-Range") in (None, server.etag):
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(server.content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(server.content)}")
                if server.etag:
                    self.send_header("ETag", server.etag)
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
        else:
            self.send_response(200)
        if server.etag:
            self.send_header("ETag", server.etag)
        self.send_header("Content-Length", str(len(server.content) - start))
        self.end_headers()
        end = min(len(server.content), start + server.cuts.pop(0)) if server.cuts else len(server.content)
        self.wfile.write(server.content[start:end])
        if end < len(server.content):
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def handle(self):
        try:
            super().handle()
        except OSError:
            self.close_connection = True  # the client went away, as some tests want

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    one = Server()
    thread = threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield one
    one.shutdown()
    thread.join()
    one.server_close()


@pytest.fixture
def target(tmp_path) -> Path:
    return tmp_path / "weights" / "weights.pth"


def names_in(folder: Path) -> set[str]:
    return {p.name for p in folder.iterdir()}


def test_a_download_is_verified_and_leaves_nothing_else_behind(server, target):
    seen: list[tuple[int, int | None]] = []
    download(server.url, target, sha256_prefix=SHA256[:8], progress=lambda done, total: seen.append((done, total)))
    assert target.read_bytes() == CONTENT
    assert names_in(target.parent) == {"weights.pth"}
    assert seen[0] == (0, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_a_connection_that_breaks_off_is_taken_up_where_it_stopped(server, target):
    server.cuts = [700_000, 500_000]
    download(server.url, target, sha256_prefix=SHA256)
    assert target.read_bytes() == CONTENT
    assert server.asked_ranges == [None, "bytes=700000-", "bytes=1200000-"]


def test_a_later_download_goes_on_with_what_an_earlier_one_left(server, target):
    server.cuts = [300_000, 0]
    with pytest.raises(BadInput, match=r"broke off: .*0\.3 MB are kept, and the next try goes on from there"):
        download(server.url, target, sha256_prefix=SHA256)
    assert names_in(target.parent) == {"weights.pth.part", "weights.pth.part.json"}
    download(server.url, target, sha256_prefix=SHA256)
    assert target.read_bytes() == CONTENT
    assert server.asked_ranges[-1] == "bytes=300000-"


def test_a_file_that_changed_on_the_server_is_fetched_from_its_start(server, target):
    server.cuts = [300_000, 0]
    with pytest.raises(BadInput):
        download(server.url, target)
    server.content, server.etag = CONTENT[::-1], '"v2"'
    download(server.url, target, sha256_prefix=hashlib.sha256(CONTENT[::-1]).hexdigest())
    assert target.read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("etag", ['"v1"', "", 'W/"v1"'])
def test_a_server_without_ranges_or_marks_starts_again(server, target, etag):
    server.has_range, server.etag, server.cuts = False, etag, [700_000]
    download(server.url, target, sha256_prefix=SHA256)
    assert target.read_bytes() == CONTENT


def test_a_complete_part_left_by_a_kill_is_not_appended_to(server, target):
    server.cuts = [300_000, 0]
    with pytest.raises(BadInput):
        download(server.url, target)
    target.with_name("weights.pth.part").write_bytes(CONTENT)
    download(server.url, target, sha256_prefix=SHA256)
    assert target.read_bytes() == CONTENT


def test_a_complete_part_left_by_a_kill_is_not_fetched_again(server, target):
    server.cuts = [300_000, 0]
    with pytest.raises(BadInput):
        download(server.url, target)
    target.with_name("weights.pth.part").write_bytes(CONTENT)
    server.asked_ranges.clear()
    download(server.url, target, sha256_prefix=SHA256)
    assert target.read_bytes() == CONTENT and server.asked_ranges == [f"bytes={len(CONTENT)}-"]
    assert names_in(target.parent) == {"weights.pth"}


def test_what_another_window_fetches_is_left_to_it(server, target):
    target.parent.mkdir()
    part = target.with_name("weights.pth.part")
    part.write_bytes(CONTENT[:1000])
    hold = (
        "import sys, time; from studio.core.file_lock import FileLock; print(FileLock(sys.argv[1]).acquire(), flush=True); time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", hold, f"{part}.lock"], stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "True\n"
    with pytest.raises(BadInput, match="Another window or command is downloading these weights"):
        download(server.url, target)
    assert part.read_bytes() == CONTENT[:1000] and server.asked_ranges == []
    other.kill()
    other.communicate()
    download(server.url, target, sha256_prefix=SHA256)
    assert names_in(target.parent) == {"weights.pth"}


def test_a_network_that_goes_away_in_mid_download_is_not_called_a_disk_and_is_tried_again(server, target, monkeypatch):
    real, num_reads = HTTPResponse.read, []

    def read(self, *args):
        num_reads.append(1)
        if len(num_reads) == 2:
            raise OSError(errno.EHOSTUNREACH, "No route to host")
        return real(self, *args)

    monkeypatch.setattr(HTTPResponse, "read", read)
    download(server.url, target, sha256_prefix=SHA256)
    assert target.read_bytes() == CONTENT and len(server.asked_ranges) == 2


def test_a_wrong_checksum_sets_the_file_aside_and_says_so(server, target):
    with pytest.raises(
        BadInput, match=r"The checksum of weights.pth differs: .* instead of 00000000\. .* set aside as weights.pth.damaged"
    ):
        download(server.url, target, sha256_prefix="00000000")
    assert names_in(target.parent) == {"weights.pth.damaged"}


def test_the_checksum_that_the_hub_names_before_it_redirects_is_used(server, target):
    server.redirect_headers = {"X-Linked-Etag": f'"{SHA256}"'}
    url = server.url.replace("/weights.pth", "/moved")
    download(url, target)
    target.unlink()
    server.content = CONTENT[:-1] + b"x"
    with pytest.raises(BadInput, match="checksum"):
        download(url, target)
    assert not target.exists()


@pytest.mark.parametrize(
    ("status", "sentence"),
    [(404, "is no longer at"), (403, "without an account"), (429, "in a few minutes"), (500, "answers with error 500")],
)
def test_a_refusal_of_the_server_is_said_in_words(server, target, status, sentence):
    server.status = status
    with pytest.raises(BadInput, match=sentence):
        download(server.url, target)
    assert not target.exists()


def test_a_cancelled_download_keeps_what_came_and_stops(server, target):
    seen: list[int] = []
    with pytest.raises(DownloadCancelled):
        download(server.url, target, progress=lambda done, total: seen.append(done), is_cancelled=lambda: len(seen) >= 3)
    assert not target.exists()
    assert 0 < target.with_name("weights.pth.part").stat().st_size < len(CONTENT)
    download(server.url, target, sha256_prefix=SHA256)
    assert target.read_bytes() == CONTENT


def test_no_server_is_a_sentence_and_not_a_trace(target):
    with socket.socket() as deaf:  # holds the port and does not listen
        deaf.bind(("127.0.0.1", 0))
        with pytest.raises(BadInput, match="Check the network and try again"):
            download(f"http://127.0.0.1:{deaf.getsockname()[1]}/x.pth", target)


def test_a_folder_that_cannot_be_written_is_named(server, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BadInput, match="cannot be written to"):
        download(server.url, tmp_path / "file" / "w.pth")


def test_only_web_addresses_are_fetched(target, tmp_path):
    (tmp_path / "secret").write_bytes(b"x")
    with pytest.raises(BadInput):
        download((tmp_path / "secret").as_uri(), target)
    assert not target.exists()


def test_downloaded_weights_are_where_build_backbone_finds_them(server, monkeypatch, tmp_path):
    import io

    import torch
    from torchvision import models

    from studio.catalog.backbones import torchvision_

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    buffer = io.BytesIO()
    torch.save(models.squeezenet1_1(weights=None).state_dict(), buffer)
    server.content = buffer.getvalue()
    info = torchvision_.info("squeezenet1_1")
    digest = hashlib.sha256(server.content).hexdigest()
    local = BackboneInfo(**{f: getattr(info, f) for f in info.__slots__} | {"weights_url": server.url, "weights_sha256": digest[:8]})
    monkeypatch.setattr(torchvision_, "info", lambda name: local)
    path = download_weights(local)
    assert path == installed.destination(local)
    assert download_weights(local) == path
    assert len(server.asked_ranges) == 1
    built = build_backbone("torchvision", "squeezenet1_1", num_classes=2, pretrained=True)
    assert built.report.missing == ()
