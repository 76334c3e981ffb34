"""`npblender tokenize TEXT`: the pieces of a text, every merge, tokens and ids."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from npblender.cli.options import add_model_options, check_text
from npblender.common.printable import json_out, printable


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's options."""
    parser.add_argument("text", metavar="TEXT", help="the text; behind -- if it begins with a dash")
    parser.add_argument("--typed", action="store_true", help="as chat does it: nothing becomes a special token")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    add_model_options(parser, pickle=False)


def run(arguments: argparse.Namespace) -> None:
    """Show the text's pieces."""
    from npblender.tokenizer import BlenderbotSmallTokenizer

    text = check_text("TEXT", arguments.text)
    tokenizer = BlenderbotSmallTokenizer.from_pretrained(arguments.model, dialect=arguments.dialect)
    steps = list(tokenizer.explain(text, split_special_tokens=arguments.typed))
    tokens = [token for step in steps for token in step.tokens]
    ids = [number for step in steps for number in step.ids]
    if arguments.json:
        pieces = [
            {
                "piece": step.piece,
                "word": step.word,
                "merges": [asdict(merge) for merge in step.merges],
                "tokens": step.tokens,
                "ids": step.ids,
            }
            for step in steps
        ]
        found = {"text": text, "dialect": tokenizer.dialect.name, "pieces": pieces, "tokens": tokens, "ids": ids}
        print(json_out({**found, "decoded": tokenizer.decode(ids)}))
        return
    for step in steps:
        print(printable(f"{step.piece!r} -> {' '.join(step.tokens)}  {' '.join(map(str, step.ids))}"))
        for merge in step.merges:
            print(printable(f"    merge {merge.rank}: {merge.left} + {merge.right} -> {' '.join(merge.symbols)}"))
    print(printable(f"tokens: {' '.join(tokens)}"))
    print(f"ids: {' '.join(map(str, ids))}")
    print(printable(f"decoded: {tokenizer.decode(ids)}"))
