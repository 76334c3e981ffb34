"""A look-alike of the Hugging Face Hub on loopback: it answers what huggingface_hub asks about one repository.

As the real one it names large files by their sha256 and redirects to another server for them, names small ones as git
does and gives them itself, redirects from a repository's earlier name, honours ranges, and refuses in the words that
the library knows. It can break a connection off, hide behind a token, and give other checksums than the files have.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

NAME = "facebook/blenderbot_small-90M"
EARLIER_NAME = "facebook/blenderbot-small-90M"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
TAGGED = "89abcdef0123456789abcdef0123456789abcdef"
LARGE = (".safetensors", ".bin", ".h5", ".msgpack")


@dataclass(frozen=True)
class Asked:
    """One request."""

    server: str
    command: str
    path: str
    range: str | None
    token: str | None


def is_large(name: str) -> bool:
    return name.endswith(LARGE)


def checksum(name: str, content: bytes) -> str:
    """What the Hub names a file by: its sha256 if it is large, else git's name of it."""
    if is_large(name):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Server(ThreadingHTTPServer):
    """One of the two servers; both know the look-alike."""

    daemon_threads = True

    def __init__(self, name: str, hub: LookAlike) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.name, self.hub = name, hub
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class LookAlike:
    """The repository `NAME`: branch main, and the tag v1 whose configuration is another."""

    def __init__(self, folder: Path) -> None:
        self.files = {
            path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
        }
        self.tagged: dict[str, bytes] = {}
        """What is other at the tag."""
        self.asked: list[Asked] = []
        self.cut: set[str] = set()
        """Files whose first download breaks off in the middle."""
        self.sums: dict[str, str] = {}
        """Checksums that are not the files' own."""
        self.token: str | None = None
        self.gated = False
        self.broken = False
        """Whether every answer is 500."""
        self.hub, self.store = Server("hub", self), Server("store", self)
        self.endpoint = self.hub.url

    def at(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """The commit of a revision and its files; None if there is none."""
        if revision in ("main", COMMIT):
            return COMMIT, self.files
        return (TAGGED, self.files | self.tagged) if revision in ("v1", TAGGED) else None

    def asked_of_the_model(self) -> list[Asked]:
        """The requests about the repository; the library asks the server other things, too."""
        return [asked for asked in self.asked if asked.server == "hub" and NAME in asked.path]

    def downloads(self) -> list[str]:
        """The files whose content was asked for, without repetition."""
        parts = [asked.path.split("/") for asked in self.asked if asked.command == "GET"]
        return sorted({path[-1] for path in parts if "resolve" in path or "blobs" in path})


@contextmanager
def serving(folder: Path) -> Iterator[LookAlike]:
    """Run both servers over a folder's files."""
    look_alike = LookAlike(folder)
    servers = (look_alike.hub, look_alike.store)
    threads = [threading.Thread(target=server.serve_forever) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield look_alike
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()


class Handler(BaseHTTPRequestHandler):
    """One request to either server."""

    server: Server
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        hub, path = self.server.hub, self.path.partition("?")[0]
        token = self.headers.get("Authorization")
        hub.asked.append(Asked(self.server.name, self.command, path, self.headers.get("Range"), token))
        if hub.broken:
            return self.send(500, b"out of order", {})
        if self.server is hub.store:
            return self.give(path.rpartition("/")[2])
        if hub.token and token != f"Bearer {hub.token}":
            return self.send(401, b"{}", {"X-Error-Code": "RepoNotFound"})
        if EARLIER_NAME in path.split("/resolve/")[0].split("/revision/")[0]:
            return self.send(307, b"", {"Location": self.path.replace(EARLIER_NAME, NAME)})
        if path == f"/api/models/{NAME}" or path.startswith(f"/api/models/{NAME}/"):
            return self.describe(path.removeprefix(f"/api/models/{NAME}").strip("/"))
        if path.startswith(f"/{NAME}/resolve/"):
            revision, _, name = path.removeprefix(f"/{NAME}/resolve/").partition("/")
            return self.resolve(revision, name)
        return self.send(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    def describe(self, path: str) -> None:
        """What the repository holds at a revision."""
        kind, _, revision = path.partition("/")
        found = self.server.hub.at(revision.partition("/")[0] or "main")
        if found is None:
            return self.send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        commit, files = found
        if kind == "tree":
            listed: object = [{"type": "file", "path": n, "size": len(c), "oid": "0"} for n, c in files.items()]
        else:
            siblings = [{"rfilename": name} for name in files]
            listed = {"id": NAME, "modelId": NAME, "sha": commit, "siblings": siblings, "tags": []}
        return self.send(200, json.dumps(listed).encode(), {"Content-Type": "application/json"})

    def resolve(self, revision: str, name: str) -> None:
        """A file: its content, or if it is large where that is."""
        hub = self.server.hub
        found = hub.at(revision)
        if found is None or name not in found[1]:
            return self.send(404, b"{}", {"X-Error-Code": "EntryNotFound" if found else "RevisionNotFound"})
        if hub.gated:
            return self.send(403, b"{}", {"X-Error-Code": "GatedRepo"})
        commit, files = found
        named = hub.sums.get(name, checksum(name, files[name]))
        headers = {"X-Repo-Commit": commit, "ETag": f'"{named}"'}
        if not is_large(name):
            return self.give(name, files[name], headers)
        linked = {"X-Linked-Etag": headers.pop("ETag"), "X-Linked-Size": str(len(files[name]))}
        return self.send(302, b"", {**headers, **linked, "Location": f"{hub.store.url}/blobs/{name}"})

    def give(self, name: str, content: bytes | None = None, headers: dict[str, str] | None = None) -> None:
        """A file's content, or the part of it that is asked for."""
        hub = self.server.hub
        content = hub.files[name] if content is None else content
        headers = {"Accept-Ranges": "bytes", **(headers or {})}
        asked = self.headers.get("Range")
        if asked and self.command == "GET":
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, stop = int(first), int(last) + 1 if last else len(content)
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(content)}"
            return self.send(206, content[start:stop], headers)
        if self.command == "GET" and name in hub.cut:
            hub.cut.discard(name)
            return self.send(200, content, headers, upto=len(content) // 2)
        return self.send(200, content, headers)

    def send(self, code: int, content: bytes, headers: dict[str, str], upto: int | None = None) -> None:
        self.send_response(code)
        for key, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[:upto])
        if upto is not None:
            self.close_connection = True

    def log_message(self, format: str, *arguments: object) -> None:
        """Print nothing."""
