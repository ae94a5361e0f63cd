"""Downloads: mirrors first, every failure named, nothing unverified under its name."""

import gzip
import hashlib
import http.server
import threading

import pytest

from ood.data import download
from ood.data.registry import REGISTRY, Dataset, RawFile
from ood.errors import InputError
from ood.files import load_json

CONTENT = gzip.compress(b"published bytes", mtime=0)


@pytest.fixture
def known(monkeypatch):
    """A dataset `toy` with one checked and one unchecked file and no public address."""
    md5 = hashlib.md5(b"published bytes").hexdigest()
    files = {"a.gz": RawFile("a.gz", f"gunzip-md5:{md5}"), "b.bin": RawFile("b.bin", None)}
    entry = Dataset("Toy", None, "none", "none", files=files, mirror_folder="other_name")
    monkeypatch.setitem(REGISTRY, "toy", entry)
    monkeypatch.setattr(download.time, "sleep", lambda seconds: None)


@pytest.fixture
def server(tmp_path):
    """A web server for `tmp_path / "web"` that can be told to fail a number of times."""
    folder = tmp_path / "web"
    folder.mkdir()
    state = {"failures": 0, "requests": 0}

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(folder))

        def do_GET(self):
            state["requests"] += 1
            if state["failures"]:
                state["failures"] -= 1
                self.send_error(503)
            else:
                super().do_GET()

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}", folder, state
        running.shutdown()


def put(folder, content, name="a.gz", dataset="toy"):
    (folder / dataset).mkdir(parents=True, exist_ok=True)
    (folder / dataset / name).write_bytes(content)


def test_a_mirror_folder_whatever_its_compression(known, tmp_path):
    put(tmp_path / "mirror", gzip.compress(b"published bytes", 1, mtime=9))
    target = tmp_path / "raw" / "a.gz"
    download.download("toy", "a.gz", target, [str(tmp_path / "mirror")])
    assert gzip.decompress(target.read_bytes()) == b"published bytes"
    assert [path.name for path in target.parent.iterdir()] == ["a.gz"]


def test_a_mirror_that_names_the_original(known, tmp_path):
    put(tmp_path / "mirror", CONTENT, dataset="other_name")
    download.download("toy", "a.gz", tmp_path / "a.gz", [str(tmp_path / "mirror")])
    assert (tmp_path / "a.gz").exists()


def test_a_mirror_url_is_tried_again_after_an_error(known, tmp_path, server):
    url, folder, state = server
    put(folder, CONTENT)
    state["failures"] = 2
    download.download("toy", "a.gz", tmp_path / "a.gz", [url])
    assert (tmp_path / "a.gz").read_bytes() == CONTENT


def test_every_failure_is_named_with_the_way_out(known, tmp_path, server):
    url, folder, _ = server
    put(folder, b"<!doctype html><title>403</title>")
    put(tmp_path / "cut", CONTENT[:-9])
    put(tmp_path / "changed", gzip.compress(b"other bytes"))
    target = tmp_path / "raw" / "a.gz"
    mirrors = [str(tmp_path / name) for name in ("absent", "cut", "changed")]
    with pytest.raises(InputError) as failure:
        download.download("toy", "a.gz", target, [*mirrors, url])
    text = str(failure.value)
    for part in (
        "cannot download a.gz of dataset toy",
        f"{mirrors[0]}/toy/a.gz",
        "No such file",
        "truncated or damaged",
        "wrong checksum",
        f"{url}/toy/a.gz",
        "HTML page",
        str(target.resolve()),
    ):
        assert part in text
    assert list(target.parent.iterdir()) == []


def test_a_bad_source_does_not_hide_a_good_one(known, tmp_path):
    put(tmp_path / "bad", b"<html>")
    put(tmp_path / "good", CONTENT)
    mirrors = [str(tmp_path / "bad"), str(tmp_path / "good")]
    download.download("toy", "a.gz", tmp_path / "a.gz", mirrors)
    assert (tmp_path / "a.gz").read_bytes() == CONTENT


def test_a_file_without_a_published_checksum_is_remembered(known, tmp_path):
    put(tmp_path / "mirror", b"first", "b.bin")
    target = tmp_path / "raw" / "b.bin"
    download.download("toy", "b.bin", target, [str(tmp_path / "mirror")])
    record = load_json(tmp_path / "raw" / "b.bin.first-seen.json")
    assert record["digest"] == "sha256:" + hashlib.sha256(b"first").hexdigest()
    put(tmp_path / "mirror", b"second", "b.bin")
    with pytest.raises(InputError, match=r"changed since it was first(.|\n)*delete .*first-seen"):
        download.download("toy", "b.bin", target, [str(tmp_path / "mirror")])
    assert target.read_bytes() == b"first"
