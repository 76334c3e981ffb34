"""Models by name: the cache without `huggingface_hub`, and downloads by it from a look-alike on loopback."""

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from npblender import BlenderbotSmallForConditionalGeneration, BlenderbotSmallTokenizer
from npblender.cli.main import main
from npblender.common import hub

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY = Path(__file__).resolve().parents[2]
HAS_HUB = importlib.util.find_spec("huggingface_hub") is not None
needs_hub = pytest.mark.skipif(not HAS_HUB, reason="needs the extra [hub]: pip install 'npblender[hub]'")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache that the environment names."""
    for name in ("HF_HOME", "HUGGINGFACE_HUB_CACHE", "HF_ENDPOINT", "HF_HUB_OFFLINE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def fill(cache: Path, folder: Path, name: str = "someone/small") -> Path:
    """Stores a folder as the Hub's cache does: blobs, and links to them in a snapshot."""
    place = cache / f"models--{name.replace('/', '--')}"
    snapshot = place / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (place / "blobs").mkdir()
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(COMMIT)
    for path in folder.iterdir():
        blob = place / "blobs" / hashlib.sha256(path.read_bytes()).hexdigest()
        blob.write_bytes(path.read_bytes())
        (snapshot / path.name).symlink_to(Path("..", "..", "blobs", blob.name))
    return snapshot


def test_what_is_cached_is_read_without_the_extra(
    cache: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(hub, "find_spec", lambda _name: None)
    snapshot = fill(cache, tiny_folder)
    assert hub.fetch("someone/small") == hub.fetch("someone/small", revision=COMMIT) == snapshot
    assert hub.fetch("someone/small", cache_dir=cache) == snapshot
    model = BlenderbotSmallForConditionalGeneration.from_pretrained("someone/small")
    tokenizer = BlenderbotSmallTokenizer.from_pretrained("someone/small")
    assert model.config.vocab_size == len(tokenizer)
    assert main(["fetch", "someone/small"]) == 0
    assert capsys.readouterr().out == f"{snapshot}\n"
    assert main(["chat", "--model", "someone/small", "--say", "hello", "--greedy"]) == 0


def test_what_is_not_there_is_said_with_the_command(
    cache: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(hub, "find_spec", lambda _name: None)
    with pytest.raises(FileNotFoundError, match=r"pip install 'npblender\[hub\]'"):
        BlenderbotSmallTokenizer.from_pretrained("someone/small")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(FileNotFoundError, match="HF_HUB_OFFLINE"):
        hub.fetch("someone/small")
    snapshot = fill(cache, tiny_folder)
    weights = next(path for path in snapshot.iterdir() if path.suffix == ".safetensors")
    weights.resolve().unlink()  # a download that was cut off
    with pytest.raises(FileNotFoundError, match="no model of this name"):
        hub.fetch("someone/small")
    assert main(["fetch", "no name"]) == 2
    assert "give owner/name" in capsys.readouterr().err
    with pytest.raises(ValueError, match="no name of a branch"):
        hub.fetch("someone/small", revision="../..")


def test_a_name_that_is_a_folder_is_the_folder(
    cache: Path, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "someone").mkdir()
    (tmp_path / "someone" / "small").symlink_to(tiny_folder)
    assert len(BlenderbotSmallTokenizer.from_pretrained("someone/small")) > 100
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        BlenderbotSmallTokenizer.from_pretrained("someone/small").save_vocabulary("someone/new")


class LookAlike(ThreadingHTTPServer):
    """Speaks what huggingface_hub asks, of one folder, under someone/small."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {path.name: path.read_bytes() for path in folder.iterdir()}
        self.asked: list[tuple[str, str, str | None]] = []
        self.cut: set[str] = set()
        """Files whose first download breaks off in the middle."""
        self.sums: dict[str, str] = {}
        """Checksums that are not the files' own."""
        self.token: str | None = None
        self.endpoint = f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: LookAlike
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append((self.command, path, self.headers.get("Range")))
        if self.server.token and self.headers.get("Authorization") != f"Bearer {self.server.token}":
            return self.send(401, b"{}", {"X-Error-Code": "RepoNotFound"}, body)
        if path.startswith("/api/models/someone/small"):
            revision = path.partition("/revision/")[2] or "main"
            if revision not in ("main", COMMIT):
                return self.send(404, b"{}", {"X-Error-Code": "RevisionNotFound"}, body)
            siblings = [{"rfilename": name} for name in self.server.files]
            info = {"id": "someone/small", "modelId": "someone/small", "sha": COMMIT, "siblings": siblings, "tags": []}
            if "/tree/" in path:
                info = [{"type": "file", "path": n, "size": len(c), "oid": "0"} for n, c in self.server.files.items()]
            return self.send(200, json.dumps(info).encode(), {"Content-Type": "application/json"}, body)
        name = path.rpartition("/")[2]
        if not path.startswith("/someone/small/resolve/") or name not in self.server.files:
            return self.send(404, b"{}", {"X-Error-Code": "RepoNotFound"}, body)
        content = self.server.files[name]
        headers = {
            "ETag": f'"{self.server.sums.get(name, hashlib.sha256(content).hexdigest())}"',
            "X-Repo-Commit": COMMIT,
            "Accept-Ranges": "bytes",
        }
        asked = self.headers.get("Range")
        if body and asked:
            start = int(asked.removeprefix("bytes=").partition("-")[0])
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            return self.send(206, content[start:], headers, body)
        if body and name in self.server.cut:
            self.server.cut.discard(name)
            return self.send(200, content, headers, body, upto=len(content) // 2)
        return self.send(200, content, headers, body)

    def send(self, code: int, content: bytes, headers: dict[str, str], body: bool, upto: int | None = None) -> None:
        self.send_response(code)
        for key, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if body:
            self.wfile.write(content[:upto])
        if upto is not None:
            self.close_connection = True

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def look_alike(tiny_folder: Path) -> Iterator[LookAlike]:
    server = LookAlike(tiny_folder)
    server.files |= {"README.md": b"read", "pytorch_model.bin": b"pickle", "flax_model.msgpack": b"flax"}
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def fetched(server: LookAlike, cache: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """`npblender fetch` in a process of its own, since the library reads its settings once."""
    settings = {"HF_ENDPOINT": server.endpoint, "HF_HUB_CACHE": str(cache), "HF_HUB_DISABLE_XET": "1"}
    return subprocess.run(
        [sys.executable, "-m", "npblender", "fetch", *arguments],
        cwd=REPOSITORY, env={**os.environ, **settings, **variables}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


@needs_hub
def test_only_what_is_needed_is_downloaded(look_alike: LookAlike, cache: Path) -> None:
    run = fetched(look_alike, cache, "someone/small")
    assert run.returncode == 0, run.stderr
    folder = Path(run.stdout.strip())
    assert "model.safetensors" in {path.name for path in folder.iterdir()}
    assert not {path.name for path in folder.iterdir()} & {"README.md", "pytorch_model.bin", "flax_model.msgpack"}
    for path in folder.iterdir():
        assert path.read_bytes() == look_alike.files[path.name]
    assert BlenderbotSmallForConditionalGeneration.from_pretrained(folder).num_parameters() > 0
    before = len(look_alike.asked)
    assert fetched(look_alike, cache, "someone/small", HF_HUB_OFFLINE="1").stdout == run.stdout
    assert fetched(look_alike, cache, "someone/small", "--local-files-only").stdout == run.stdout
    assert len(look_alike.asked) == before


@needs_hub
def test_a_connection_that_is_cut_is_resumed(look_alike: LookAlike, cache: Path) -> None:
    look_alike.files["model.safetensors"] = bytes(range(256)) * (3 << 15)  # 24 MiB: the library writes ten at a time
    look_alike.cut.add("model.safetensors")
    run = fetched(look_alike, cache, "someone/small")
    assert run.returncode == 0, run.stderr
    assert Path(run.stdout.strip(), "model.safetensors").read_bytes() == look_alike.files["model.safetensors"]
    ranges = [asked for command, path, asked in look_alike.asked if command == "GET" and "model.safe" in path]
    assert ranges[0] is None
    assert ranges[1:] == ["bytes=10485760-"], "half of it came; what was written is not asked for again"


@needs_hub
def test_a_wrong_checksum_is_noticed(look_alike: LookAlike, cache: Path) -> None:
    look_alike.sums["model.safetensors"] = "0" * 64
    run = fetched(look_alike, cache, "someone/small")
    assert run.returncode == 2
    assert "downloaded damaged" in run.stderr
    assert not list(cache.rglob("0" * 64))
    assert fetched(look_alike, cache, "someone/small", HF_HUB_OFFLINE="1").returncode == 2


@needs_hub
def test_refusals(look_alike: LookAlike, cache: Path) -> None:
    for arguments, said in (
        (["someone/else"], "no such model on the Hub"),
        (["someone/small", "--revision", "gone"], "no such revision"),
    ):
        run = fetched(look_alike, cache, *arguments)
        assert run.returncode == 2
        assert said in run.stderr
        assert "Traceback" not in run.stderr
    look_alike.token = "hf_secret"
    assert "HF_TOKEN is missing" in fetched(look_alike, cache, "someone/small").stderr
    assert fetched(look_alike, cache, "someone/small", HF_TOKEN="hf_secret").returncode == 0


@needs_hub
def test_without_a_connection_the_cache_is_taken(look_alike: LookAlike, cache: Path, tiny_folder: Path) -> None:
    snapshot = fill(cache, tiny_folder)
    dead = {"HF_ENDPOINT": "http://127.0.0.1:9"}
    run = fetched(look_alike, cache, "someone/small", **dead)
    assert (run.returncode, run.stdout) == (0, f"{snapshot}\n"), run.stderr
    run = fetched(look_alike, cache, "someone/other", **dead)
    assert run.returncode == 2
    assert "could not be downloaded" in run.stderr
