"""Every subcommand on fixed input, each in a process of its own: exit code, stdout, stderr, and the files it writes."""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from ..book import Book, digest
from ..frozen.lines import OWN
from ..frozen.tiny_folder import save_folder
from . import Place

SECONDS = re.compile(r"\b\d+(\.\d+)? ?(s|ms|min|h|a second)\b")
PROGRESS = re.compile(r"^\d+(/\d+)? lines, ")
IDS = "--input-ids 5,6,7 --decoder-input-ids 1,9"
CHEAP = "--set min_length=2 --set max_length=8"

COMMANDS = r"""
chat --say "hello, how are you?"
chat --say "hello" --say "do you have pets?" --say "what are they called?"
chat --say hi --json --greedy
chat --say hi --sample --seed 4 --json
chat --say hi --beams 3 --set min_length=12 --set length_penalty=1.5 --json
chat --say "who are you?" --persona "i am a nurse." --persona "i have two cats." --json
chat --say hi --profile transformers-pipeline --dialect transformers-4
chat --say hi --profile transformers-documentation --dialect transformers-5 --json
chat --say hi --block block.txt --json
chat --say hi --save saved.json
chat --say "and you?" --load talk.json --json
chat --say "and you?" --load talk.json --persona "i like rain." --save again.json
chat --say hi --model tiny --set min_length=3 --set max_length=9 --json
chat --say hi --dtype float64 --json
chat --say hi --dtype bfloat16 --json
chat --say hi --dtype float16
< lines.txt chat
< lines.txt chat --json --greedy
< bad.txt chat --greedy
< empty.txt chat
chat --say ""
chat --say hi --model nowhere
chat --say hi --model empty
chat --say hi --set nothing
chat --say hi --set num_beems=3
chat --say hi --set num_beams=0
chat --say hi --beams 2 --set num_beams=3
chat --say hi --greedy --sample
chat --say hi --beams 0
chat --say hi --seed -1
chat --say hi --dtype int8
chat --say hi --profile reddit
chat --say hi --dialect moses
chat --say hi --block nowhere.txt
chat --say hi --load nowhere.json
chat --say hi --save nowhere/talk.json
chat --say hi --persona ""
chat --what
chat hello
generate lines.txt
generate lines.txt --quiet --greedy
generate lines.jsonl --quiet --n-best 2
generate lines.jsonl --quiet --format text --greedy
generate bad.jsonl --greedy
generate lines.txt --out out.jsonl --quiet
generate lines.txt --out out.jsonl --quiet
generate lines.jsonl --out out.jsonl --quiet
generate lines.jsonl --out out.jsonl --overwrite --quiet --greedy
generate lines.txt --sample --seed 3 --quiet --batch-size 3 --window 6
generate lines.txt --quiet --workers 2 --batch-size 4 --greedy
generate lines.txt --quiet --persona "i like tea." --block block.txt --beams 2
generate lines.txt --quiet --model tiny --set min_length=2 --set max_length=6 --dialect transformers-5
< lines.txt generate --quiet --greedy
< empty.txt generate --greedy
generate nowhere.txt
generate tiny
generate lines.txt --out lines.txt
generate lines.txt --overwrite
generate lines.txt --batch-size 0
generate lines.txt --format xml
generate lines.txt --out nowhere/out.jsonl
tokenize "Hello, I've 2 cats!"
tokenize "Hello, I've 2 cats!" --dialect transformers-5
tokenize --json "(hello) __end__ lower"
tokenize --json --typed "(hello) __end__ lower"
tokenize --model tiny "Low tea!"
tokenize --model tiny ""
tokenize --model nowhere hi
tokenize -- -5
tokenize
info
info --json
info --model tiny --dialect transformers-4
info --model tiny --json
info --model nowhere
info --model empty
info --json --what
trace --input-ids 5,6,7 --decoder-input-ids 1,9 --out a.st
trace --input-ids 5,6,7 --decoder-input-ids 1,9 --table
trace --model tiny --input-ids 5,6,7 --decoder-input-ids 1,9,4 --steps --prefill 2 --table --no-noise
trace --text "hello there" --reply "hi, how are you?" --out b.st --dtype float64
trace --text "hello there" --out c.st --dialect transformers-5 --points "*.norm" --points logits
trace --model tiny --text "hello, how are you" --reply "fine" --table --dtype longdouble --no-noise
trace --inputs inputs.json --model tiny --out d.st --table
trace --model tiny --inputs texts.json --out e.st
trace --model tiny --input-ids 5,6,7 --decoder-input-ids 1,9,4 --refed --out refed.st
trace --model tiny --input-ids 5,6,7 --decoder-input-ids 1,9,4 --out ref.st --dtype float64
trace --model tiny --input-ids 5,6,7 --decoder-input-ids 1,9,4 --out mine.st --no-noise
trace --model tiny --input-ids 5,6,7 --decoder-input-ids 1,9,4 --out other.st --dialect transformers-5
trace --model tiny --input-ids 5,6,7 --decoder-input-ids 1,9,4 --steps --out steps.st
trace --input-ids 5,6,7
trace --out x.st
trace --input-ids 5,x --out x.st
trace --input-ids 5 --text hi --out x.st
trace --input-ids 5 --reply hi --out x.st
trace --input-ids 5 --prefill 2 --out x.st
trace --input-ids 99999 --out x.st
trace --input-ids 5 --out x.npz
trace --input-ids 5 --out tiny
trace --input-ids 5 --out nowhere/x.st
trace --input-ids 5 --out x.st --dtype longdouble
trace --input-ids 5 --out x.st --dtype int8
trace --input-ids 5 --out x.st --points nothing.there
trace --input-ids 5 --refed
trace --input-ids 5 --refed --out x.st --table
trace --inputs bad.json --out x.st
trace --inputs nowhere.json --out x.st
trace --inputs block.txt --out x.st
compare ref.st mine.st
compare ref.st mine.st --json
compare ref.st other.st
compare ref.st other.st --json --html page.html
compare ref.st wrong.npz
compare ref.st wrong.npz --json --html wrong.html
compare ref.st turned.npz
compare ref.st named.npz --map names.json
compare ref.st named.npz --map names.json --json
compare ref.st steps.st
compare steps.st steps.st
compare refed.st answers.npz --refed
compare refed.st answers.npz --refed --json --html refed.html
compare refed.st refed.st --refed
compare ref.st nowhere.st
compare ref.st nowhere.st --json
compare ref.st tiny
compare ref.st half.st
compare ref.st strange.npz --json
compare ref.st mine.st --html nowhere/page.html
compare ref.st mine.st --html ref.st
compare ref.st mine.st --map bad-names.json
compare ref.st mine.st --refed
compare ref.st
compare --json
compare ref.st mine.st --ht x
golden export pack --tiny
golden export pack5 --tiny --dialect transformers-5 --store float32 --seed 2
golden export demo-pack
golden verify pack
golden verify pack --json
golden verify pack --dtype float64 --only "ops/*"
golden verify demo-pack --only "searches*"
golden verify nowhere
golden verify tiny
golden convert pack as-npz --to npz
golden convert pack as-js --to js
golden convert pack as-npz --to onnx
golden convert pack x --to zip
golden export lines.txt --tiny
golden export y --tiny --model tiny
golden
nothing
--version
"""


def prepare(folder: Path) -> None:
    """The files that the commands read."""
    save_folder(folder / "tiny", seed=2)
    (folder / "empty").mkdir()
    (folder / "empty.txt").write_text("")
    lines = [line.replace("\n", " ") for line in OWN[:9]]
    (folder / "lines.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "bad.txt").write_bytes(b"hello\n\n   \nhow are you?\n\xff\nnever read\n")
    objects: list[Any] = [{"text": "hi", "id": 7}, {"turns": ["hi", "you"], "persona": ["i sing"], "tag": "żółw"}]
    (folder / "lines.jsonl").write_text("".join(json.dumps(each) + "\n" for each in objects))
    (folder / "bad.jsonl").write_bytes(b'{"text": "hi"}\n{"txt": 1}\n\n\xff\n{"text": "you"}\n')
    (folder / "block.txt").write_text("dog\ni like to\n# a remark\n\nyes\n")
    inputs = {"input_ids": [[5, 6, 7], [8, 9, 0]], "attention_mask": [[1, 1, 1], [1, 1, 0]], "labels": [[4, 2], [5, 2]]}
    (folder / "inputs.json").write_text(json.dumps(inputs))
    (folder / "texts.json").write_text(json.dumps({"text": ["hello", "how are you"], "reply": ["hi", "fine"]}))
    (folder / "bad.json").write_text(json.dumps({"inputs": [[5]]}))
    (folder / "names.json").write_text(json.dumps({"mine.{n}": "encoder.layers.{n}.output"}))
    (folder / "bad-names.json").write_text(json.dumps({"mine.{n}": "encoder.layers.{m}.output"}))
    turns = [{"speaker": "user", "text": "hi"}, {"speaker": "model", "text": "hello!", "raw": "hello !"}]
    talk = {"format": "npblender transcript", "version": 1, "profile": "parlai", "persona": [], "settings": {}}
    (folder / "talk.json").write_text(json.dumps({**talk, "turns": turns}))


def disturb(folder: Path) -> None:
    """Arrays that are nearly those of `mine.st`, once that is there."""
    from npblender import Trace

    mine = {name: array.copy() for name, array in Trace.load(folder / "mine.st").arrays.items()}
    wrong = {name: array.copy() for name, array in mine.items()}
    wrong["encoder.layers.0.ffn.activation"].flat[5] += 0.25
    wrong["encoder.states"].flat[0] = np.nan
    wrong["logits"].flat[0] = np.inf
    wrong["encoder.layers.0.ffn.output"] = wrong["encoder.layers.0.ffn.output"][:, :2]
    del wrong["encoder.layers.0.ffn.hidden"]
    np.savez(folder / "wrong.npz", **wrong, more=np.zeros(2))  # type: ignore[arg-type]
    turned = {name: array * 2 if name.endswith("ffn.output") else array for name, array in mine.items()}
    turned["encoder.layers.0.self_attn.q"] = np.swapaxes(mine["encoder.layers.0.self_attn.q"], 1, 2)
    np.savez(folder / "turned.npz", **turned)  # type: ignore[arg-type]
    np.savez(folder / "named.npz", **{"mine.0": mine["encoder.layers.0.output"], "mine.8": np.zeros(1)})  # type: ignore[arg-type]
    np.savez(folder / "strange.npz", other=np.zeros(3))
    (folder / "half.st").write_bytes((folder / "mine.st").read_bytes()[:5000])
    answers = {name: array * (1 + 1e-3 * (name == "logits")) for name, array in mine.items()}
    np.savez(folder / "answers.npz", **answers)  # type: ignore[arg-type]


def run(folder: Path, line: str) -> tuple[int, str, str]:
    """One command line in this folder: exit code, stdout, stderr."""
    import shlex

    given = shlex.split(line)
    stdin = b""
    if given[0] == "<":
        stdin = (folder / given[1]).read_bytes()
        given = given[2:]
    done = subprocess.run(
        [sys.executable, "-m", "npblender", *given], input=stdin, capture_output=True, cwd=folder, check=False
    )
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


def written(book: Book, name: str, folder: Path, before: dict[str, str]) -> dict[str, str]:
    """Note every file that a command made or changed."""
    after = {}
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        data = path.read_bytes()
        key = str(path.relative_to(folder))
        after[key] = f"{len(data)} {digest(data)}"
        if before.get(key) != after[key]:
            if path.suffix in (".html", ".jsonl", ".json") and len(path.relative_to(folder).parts) == 1:
                book.put(f"{name}/wrote {key}", data.decode(errors="replace"))
            else:
                book.put(f"{name}/wrote {key}", after[key])
    for key in before.keys() - after.keys():
        book.put(f"{name}/removed {key}", True)
    return after


def record(book: Book, place: Place) -> None:
    """All commands in one folder, one after another."""
    folder = place.work / "files"
    folder.mkdir()
    prepare(folder)
    state = written(Book(place.work / "nothing", {}), "", folder, {})
    for number, line in enumerate(COMMANDS.strip().splitlines()):
        if line.startswith("compare") and not (folder / "wrong.npz").exists():
            disturb(folder)
            state = written(Book(place.work / "nothing", {}), str(number), folder, state)
        code, out, err = run(folder, line)
        name = f"{number:03} {line}"
        book.put(f"{name}/code", code)
        book.put(f"{name}/stdout", SECONDS.sub("<time>", out).splitlines())
        book.put(f"{name}/stderr", without_progress(SECONDS.sub("<time>", err)))
        state = written(book, name, folder, state)
    for number, lines in enumerate(TERMINAL):
        code, shown = terminal(folder, lines)
        book.put(f"terminal {number}/code", code)
        book.put(f"terminal {number}/shown", SECONDS.sub("<time>", shown).splitlines())
        state = written(book, f"terminal {number}", folder, state)


def without_progress(text: str) -> list[str]:
    """The lines of stderr; of those that say how far a run is only the last, since their number depends on time.

    >>> without_progress("1/9 lines, so far\\n9/9 lines, in all\\n")
    ['9/9 lines, in all']
    """
    lines = [re.sub(r"^.*\r", "", each) for each in text.splitlines()]
    last = max((number for number, line in enumerate(lines) if PROGRESS.match(line)), default=-1)
    return [line for number, line in enumerate(lines) if number == last or not PROGRESS.match(line)]


TERMINAL = (
    ["hi", "do you have pets?", "/why", "/undo", "/beams 2", "hello again", "/quit"],
    [
        "/help",
        "/persona i like tea.",
        "/persona",
        "who are you?",
        "/save t.json",
        "/reset",
        "/load t.json",
        "/nothing",
        "/quit",
    ],
)
"""What is typed at a terminal, a line each."""
DEADLINE = 60
"""Seconds after which a terminal that has not ended is given up."""


def terminal(folder: Path, lines: list[str]) -> tuple[int, str]:
    """A chat on a pseudo-terminal without echo: its exit code and all that it showed."""
    import pty
    import termios

    ours, theirs = pty.openpty()
    kept = termios.tcgetattr(theirs)
    kept[3] &= ~termios.ECHO
    termios.tcsetattr(theirs, termios.TCSANOW, kept)
    command = [sys.executable, "-m", "npblender", "chat", "--greedy"]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder)
    os.close(theirs)
    os.write(ours, "".join(line + "\n" for line in lines).encode())
    shown = b""
    try:
        while select.select([ours], [], [], DEADLINE)[0] and (block := os.read(ours, 4096)):
            shown += block
    except OSError:  # the other end has gone
        pass
    os.close(ours)
    if process.poll() is None:
        try:
            process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait(), shown.decode(errors="replace").replace("\r\n", "\n")
