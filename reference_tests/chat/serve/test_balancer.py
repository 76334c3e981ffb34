"""The configuration of docs/server-example with a real nginx in front of two servers on loopback, one of which dies."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reference_tests.support.cli_runs import ROOT
from reference_tests.support.servers import Server, running_server

EXAMPLE = ROOT / "docs" / "server-example"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def configuration(folder: Path, port: int, servers: list[Server]) -> str:
    """The example's, with loopback's addresses in place of Docker's name server, and all files in one folder."""
    text = (EXAMPLE / "nginx.conf").read_text()
    listed = "".join(f"server 127.0.0.1:{each.port} max_fails=1 fail_timeout=5s; " for each in servers)
    text, count = re.subn(r"resolver .*\n\s*server chat:8000 resolve.*", listed, text)
    assert count == 1
    text, count = re.subn(r"listen 80;", f"listen 127.0.0.1:{port};", text)
    assert count == 1
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind}; " for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;\n" + text.replace(
        "http {", f"http {{ access_log off; {temporary}"
    )


@contextlib.contextmanager
def balancer(folder: Path, servers: list[Server]) -> Iterator[Server]:
    assert NGINX is not None
    port, path = free_port(), folder / "nginx.conf"
    path.write_text(configuration(folder, port, servers))
    process = subprocess.Popen([NGINX, "-p", str(folder), "-c", str(path)], text=True, stderr=subprocess.PIPE)
    front = Server(process, port)
    try:
        for _ in range(200):
            with contextlib.suppress(OSError):
                front.get("/healthz")
                break
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.05)
        yield front
    finally:
        process.terminate()
        process.communicate(timeout=30)


@pytest.mark.skipif(NGINX is None, reason="there is no nginx: apt-get install nginx-light")
@pytest.mark.skipif(os.name != "posix", reason="nginx's configuration here is for Unix")
@pytest.mark.slow
def test_two_servers_behind_nginx(needs_serve: None, tmp_path: Path) -> None:
    with running_server() as first, running_server() as second, balancer(tmp_path, [first, second]) as front:
        expected = first.chat("Do you like music?").json["choices"][0]["message"]["content"]
        before = [each.metric("npblender_completion_tokens_total") for each in (first, second)]
        for _ in range(6):
            assert front.chat("Do you like music?").json["choices"][0]["message"]["content"] == expected
        after = [each.metric("npblender_completion_tokens_total") for each in (first, second)]
        assert all(now > then for now, then in zip(after, before, strict=True)), "one of them did nothing"
        stream = front.chat("Good morning!", temperature=0, stream=True)
        assert len(stream.events) > 4
        assert front.chat(foo=1).status == 400
        first.process.kill()
        first.process.wait()
        for _ in range(6):
            assert front.chat("Do you like music?").status == 200, "a dead server was noticed"


def test_the_compose_file_says_what_it_should() -> None:
    yaml = pytest.importorskip("yaml", reason="needs PyYAML, which comes with npblender[cluster]")
    content = yaml.safe_load((EXAMPLE / "compose.yaml").read_text())
    chat, front = content["services"]["chat"], content["services"]["balancer"]
    assert (EXAMPLE / chat["build"]["context"]).resolve() == ROOT
    assert (ROOT / chat["build"]["dockerfile"]).is_file()
    assert (EXAMPLE / front["volumes"][0].partition(":")[0]).is_file()
    assert chat["command"][:2] == ["npblender", "serve"]
    options = {part for part in chat["command"] if part.startswith("--")}
    from reference_tests.support.cli_runs import run_cli

    help_text = run_cli("serve", "--help").out
    assert all(option in help_text for option in options)
    assert f"chat:{8000}" in (EXAMPLE / "nginx.conf").read_text()
