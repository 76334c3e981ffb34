"""Tokenizes texts one at a time with a tokenizer made anew, as often as asked, and reports how long that took.

    PYTHON -m tools.originals.time_tokenizer PROGRAM FOLDER

PROGRAM is "npblender parlai", "npblender transformers-5", "transformers" or "tokenizers"; PYTHON the interpreter of an
environment that has it. FOLDER holds vocab.json and merges.txt. Every line on standard input names a file with a JSON
list of texts, and one line of JSON comes back: the seconds that making a tokenizer took, those of its first pass over
the texts, those of a second pass over the same, and how many ids there were. `tools/measure/tokenizer.py` lets several
of these take turns.

The Rust library knows no `@@`, so its model is given the merges' own symbols for a vocabulary, and a pre-tokenizer
that cuts as ParlAI does: it does the same work, under other ids.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

Encode = Callable[[str], Any]


def make_npblender(folder: Path, dialect: str) -> Encode:
    from npblender import BlenderbotSmallTokenizer

    tokenizer = BlenderbotSmallTokenizer.from_pretrained(folder, dialect=dialect)
    return lambda text: tokenizer(text)["input_ids"]


def make_transformers(folder: Path) -> Encode:
    from transformers import BlenderbotSmallTokenizer

    tokenizer = BlenderbotSmallTokenizer.from_pretrained(str(folder))
    return lambda text: tokenizer(text)["input_ids"]


def make_tokenizers(folder: Path) -> Encode:
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    lines = (folder / "merges.txt").read_text(encoding="utf-8").splitlines()[1:]
    merges = [(left, right) for left, right in (line.split(" ") for line in lines if line)]
    letters = {letter for pair in merges for symbol in pair for letter in symbol.removesuffix("</w>")}
    symbols = ["<unk>", *letters, *(letter + "</w>" for letter in letters), *(a + b for a, b in merges)]
    vocabulary = {symbol: n for n, symbol in enumerate(dict.fromkeys(symbols))}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"\w+|[^\w\s]|\n"), behavior="removed", invert=True)
    return lambda text: tokenizer.encode(text).ids


def maker(program: str, folder: Path) -> Callable[[], Encode]:
    if program.startswith("npblender"):
        return lambda: make_npblender(folder, program.split()[1])
    return lambda: {"transformers": make_transformers, "tokenizers": make_tokenizers}[program](folder)


def main(program: str, folder: str) -> None:
    os.environ["TRANSFORMERS_VERBOSITY"] = "critical"
    make = maker(program, Path(folder))
    make()("hello")  # what is imported once a process is no matter here
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        texts = json.loads(Path(line.strip()).read_text(encoding="utf-8"))
        marks = [time.perf_counter()]
        encode = make()
        marks.append(time.perf_counter())
        ids = 0
        for _ in range(2):
            for text in texts:
                ids += len(encode(text))
            marks.append(time.perf_counter())
        seconds = [after - before for before, after in pairwise(marks)]
        print(json.dumps({"load": seconds[0], "cold": seconds[1], "warm": seconds[2], "ids": ids // 2}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
