"""`npblender serve`: replies over HTTP, in the shapes of OpenAI's interface, and a page to chat in."""

from __future__ import annotations

import argparse
import os
from functools import partial
from pathlib import Path

from npblender.cli.options import add_model_options, block_phrases, check_text, remark, suit_threads, whole_number
from npblender.common.json_files import naming

EPILOG = """Needs pip install 'npblender[serve]'. SIGTERM or Ctrl-C stops it: nothing new is taken, and what runs is
finished. docs/server.md says more."""
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's options."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1, this machine)")
    parser.add_argument(
        "--port",
        type=partial(whole_number, at_least=0, at_most=65535),
        default=8000,
        help="port; 0 takes a free one (default: 8000)",
    )
    parser.add_argument(
        "--workers-queue", type=whole_number, metavar="N", help="requests that may wait before one is refused with 429"
    )
    parser.add_argument("--api-key", metavar="KEY", help="what clients must send; else NPBLENDER_API_KEY, if it is set")
    parser.add_argument(
        "--allow-origin", action="append", default=[], metavar="ORIGIN", help="let pages of it in (CORS)"
    )
    parser.add_argument("--allow-host", action="append", default=[], metavar="NAME", help="a name of this server")
    parser.add_argument("--name", metavar="NAME", help="what clients call the model (default: its folder's name)")
    parser.add_argument("--block", metavar="FILE", help="words and phrases never to be said, one a line")
    parser.add_argument("--dtype", default="float32", help="as for chat (default: float32)")
    parser.add_argument("--db", metavar="FILE", help="keep the page's conversations in this SQLite file")
    parser.add_argument("--log", action="store_true", help="print a line for every request")
    add_model_options(parser)


def api_key(given: str | None) -> str | None:
    """The key that clients must send: the option's, or the environment's, which no list of processes shows."""
    key = os.environ.get("NPBLENDER_API_KEY") if given is None else given
    if key is None:
        return None
    if not key or not key.isascii() or not key.isprintable() or key != key.strip():
        raise ValueError("the key of --api-key or NPBLENDER_API_KEY must be printable ASCII without spaces around it")
    return key


def model_name(given: str | None, folder: str | None) -> str:
    """What clients call the model.

    >>> model_name(None, None), model_name(None, "/models/mine/"), model_name(None, "facebook/blenderbot_small-90M")
    ('demo', 'mine', 'facebook/blenderbot_small-90M')
    """
    if given is not None:
        return given
    if folder is None:
        return "demo"
    return Path(folder).resolve().name if Path(folder).exists() or Path(folder).is_absolute() else folder


def run(arguments: argparse.Namespace) -> None:
    """Serve until it is stopped."""
    from npblender.chat.history import PROFILES
    from npblender.chat.serve.app import check_installed, make_app
    from npblender.chat.serve.dialect_models import DialectModels
    from npblender.chat.serve.engine import Engine
    from npblender.chat.serve.guards import Rules, host_name, origin_name
    from npblender.chat.serve.limits import QUEUE
    from npblender.chat.serve.running import listen
    from npblender.chat.serve.running import run as serve
    from npblender.chat.talks import Talks
    from npblender.models import BlenderbotSmallForConditionalGeneration

    check_installed()
    with naming("--allow-host"):
        names = set(map(host_name, arguments.allow_host))
    if arguments.host not in LOOPBACK:
        names.add(arguments.host.lower())
    with naming("--allow-origin"):
        origins = set(map(origin_name, arguments.allow_origin))
    rules = Rules(frozenset(names), frozenset(origins), api_key(arguments.api_key))
    name = check_text("--name", model_name(arguments.name, arguments.model))
    with listen(arguments.host, arguments.port) as listening:
        model = BlenderbotSmallForConditionalGeneration.from_pretrained(
            arguments.model, dialect=arguments.dialect, dtype=arguments.dtype, allow_pickle=arguments.allow_pickle
        )
        suit_threads(model.num_parameters())
        models = DialectModels(name, model, arguments.model, PROFILES["parlai"], block_phrases(arguments))
        engine = Engine(models, queue=arguments.workers_queue or QUEUE)
        app = make_app(models, engine, rules, None if arguments.db is None else Talks(arguments.db))
        host, port = listening.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host

        def announce() -> None:
            print(f"{name} answers at http://{shown}:{port}/", flush=True)
            if arguments.host not in LOOPBACK and rules.key is None:
                remark("serve: note: anyone who reaches this address may use it; --api-key KEY asks for a key")

        serve(app, listening, on_start=announce, log=arguments.log)
