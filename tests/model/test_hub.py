"""The hub's client against a server on loopback that speaks the hub's protocol."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import huggingface_hub.constants
import pytest

from slmdeploy.errors import DiskSpaceError, ModelReadError, OfflineError
from slmdeploy.model.hub import fetch_hub, hub_path

SHA = "a" * 40
CHECKPOINT = {
    "config.json": b"{}",
    "model.safetensors": b"weights",
    "pytorch_model.bin": b"pickle",
    "modeling_x.py": b"code",
    "README.md": b"card",
}


class Hub(BaseHTTPRequestHandler):
    files: dict[str, bytes] = {}  # noqa: RUF012  # set by each test
    error: tuple[int, str] | None = None

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = self.path.partition("?")[0]
        if self.error is not None:
            self.answer(b"{}", self.error[0], {"X-Error-Code": self.error[1]})
        elif path.startswith("/api/models/org/name/tree/"):
            rows = [
                {"type": "file", "path": n, "size": len(d), "oid": "0"}
                for n, d in self.files.items()
            ]
            self.answer(json.dumps(rows).encode())
        elif path.startswith("/api/models/org/name"):
            siblings = [{"rfilename": n, "size": len(d)} for n, d in self.files.items()]
            self.answer(json.dumps({"id": "org/name", "sha": SHA, "siblings": siblings}).encode())
        elif (data := self.files.get(path.rpartition("/")[2])) is not None:
            etag = hashlib.sha256(data).hexdigest()
            self.answer(data, 200, {"ETag": f'"{etag}"', "X-Repo-Commit": SHA})
        else:
            self.answer(b"{}", 404, {"X-Error-Code": "EntryNotFound"})

    def answer(self, data: bytes, status: int = 200, headers: dict[str, str] | None = None):
        self.send_response(status)
        for key, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    handler = type("Handler", (Hub,), {"files": dict(CHECKPOINT), "error": None})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    use(monkeypatch, f"http://127.0.0.1:{server.server_port}", tmp_path / "hub")
    yield handler
    server.shutdown()
    thread.join()
    server.server_close()


def use(monkeypatch, endpoint, cache):
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", endpoint)
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)


def test_weights_configuration_and_card_are_fetched_but_no_pickle_and_no_code(hub):
    steps = []
    folder = fetch_hub("org/name", progress=steps.append)
    assert {path.name for path in folder.iterdir()} == {
        "config.json",
        "model.safetensors",
        "README.md",
    }
    assert (folder / "model.safetensors").read_bytes() == b"weights"
    assert (steps[-1].done, steps[-1].total, steps[-1].finished) == (13, 13, True)


@pytest.mark.parametrize("revision", [None, "main", SHA])
def test_what_was_fetched_is_found_without_the_hub(hub, revision):
    folder = fetch_hub("org/name", revision)
    hub.error = (500, "down")
    assert hub_path("org/name", revision) == folder


def test_only_we_write_to_the_terminal(hub, capfd):
    fetch_hub("org/name")
    assert capfd.readouterr() == ("", "")


def test_what_was_not_fetched_names_the_command(hub):
    with pytest.raises(OfflineError, match="org/name@v2 is not on this computer") as caught:
        hub_path("org/name", "v2")
    assert caught.value.hint == "Run: slmdeploy fetch org/name@v2"


@pytest.mark.parametrize(
    ("error", "why"),
    [
        ((404, "RepoNotFound"), "no model org/name on the hub"),
        ((404, "RevisionNotFound"), "no such revision"),
        ((403, "GatedRepo"), "accept its terms"),
    ],
)
def test_what_the_hub_refuses_is_said_in_our_words(hub, error, why):
    hub.error = error
    with pytest.raises(ModelReadError, match=why):
        fetch_hub("org/name")


def test_a_model_with_a_pickle_only_is_refused_before_the_download(hub):
    del hub.files["model.safetensors"]
    with pytest.raises(
        ModelReadError, match=r"no safetensors on the hub \(only pytorch_model\.bin"
    ):
        fetch_hub("org/name")


def test_too_full_a_disk_is_said_before_the_download(hub, monkeypatch):
    usage = shutil.disk_usage("/")._replace(free=5)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DiskSpaceError, match="The model org/name needs"):
        fetch_hub("org/name")


def test_a_hub_that_cannot_be_reached_is_an_offline_error(tmp_path, monkeypatch):
    use(monkeypatch, "http://127.0.0.1:9", tmp_path)
    with pytest.raises(OfflineError, match="The hub could not give org/name") as caught:
        fetch_hub("org/name")
    assert "HF_HUB_OFFLINE" in (caught.value.hint or "")


def test_offline_mode_is_an_offline_error(hub, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(OfflineError):
        fetch_hub("org/name")
