"""Whole processes: from their start to a reply on the screen, and the most memory that they held.

Each is a fresh interpreter that imports the package, loads the folder, reads a text and answers it with so many
tokens, as a user's script would. The clock runs outside of it, until its reply is read. One of them computes no reply:
it does what no NumPy program can do without, and nothing else.
"""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

from tools.bench.peers import PRODUCTS, Peer
from tools.bench.rounds import WorkerError, environment

TEXT = "hi there, how are you doing today? i was about to go for a walk in the park"

NPBLENDER = """
from npblender import BlenderbotSmallForConditionalGeneration as Model, BlenderbotSmallTokenizer as Tokenizer
model = Model.from_pretrained(folder, dialect="transformers-5")
tokenizer = Tokenizer.from_pretrained(folder, dialect="transformers-5")
inputs = tokenizer([text], return_tensors="np")
ids = model.generate(**inputs, num_beams=1, do_sample=False, min_new_tokens=new, max_new_tokens=new)
reply = tokenizer.decode(ids[0])
"""

TRANSFORMERS = """
import torch
from transformers import BlenderbotSmallForConditionalGeneration as Model, BlenderbotSmallTokenizer as Tokenizer
torch.set_num_threads(threads)
model = Model.from_pretrained(folder, dtype=torch.float32)
tokenizer = Tokenizer.from_pretrained(folder)
inputs = tokenizer([text], return_tensors="pt")
ids = model.generate(**inputs, num_beams=1, do_sample=False, min_new_tokens=new, max_new_tokens=new)
reply = tokenizer.decode(ids[0])
"""

# Imports NumPy, reads the weights and multiplies by them: the source's tokens by the encoder's matrices and by those of
# the decoder's keys and values of it, then a row by the decoder's and the vocabulary as often as there are new tokens:
# once by the BLAS's threads, once by dot products, and from then on by the faster of the two. Attention's products, a
# few milliseconds, are left out. Two threads that read 4 MiB at a time are the fastest reader: one takes a quarter
# longer, larger pieces up to twice as long. Large pages take 0.1 to 0.3 s to find once another large process has run,
# and save 15 ms of the products. What has one input is read into one matrix.
ALONE = r"""
import mmap, re, struct, threading, time
import numpy as np

PIECE = 4 << 20
path = os.path.join(folder, "model.safetensors")
with open(path, "rb") as file:
    header = json.loads(file.read(*struct.unpack("<Q", file.read(8))))
    begin = file.tell()
header.pop("__metadata__", None)

def place_of(name):
    found = re.search(r"(encoder|decoder)[.]layers[.](\d+)[.](.+)[.]weight$", name)
    if name.endswith("shared.weight"):
        return "vocabulary", 0, ""
    if found is None or len(header[name]["shape"]) < 2:
        return "other", 0, name
    part, layer, kind = found.groups()
    if re.match("encoder_attn.[kv]_proj", kind):
        return "source", int(layer), ""
    return part, int(layer), re.sub("self_attn.[qkv]_proj", "joined", kind)

sizes = {name: found["data_offsets"][1] - found["data_offsets"][0] for name, found in header.items()}
whole = np.frombuffer(mmap.mmap(-1, sum(sizes.values())), np.uint8)  # np.empty would ask for large pages
stacks, pieces, last, first = {}, [], None, 0
for name in sorted(header, key=lambda name: (place_of(name), name)):
    place, end = place_of(name), first + sizes[name]
    source = begin + header[name]["data_offsets"][0]
    pieces += [(source + at, first + at, min(first + at + PIECE, end)) for at in range(0, sizes[name], PIECE)]
    if place == last:
        joined[1] = end
    elif place[0] != "other":
        joined = [first, end, header[name]["shape"][1]]
        stacks.setdefault(place[0], []).append(joined)
    last, first = place, end

def read():
    with open(path, "rb", buffering=0) as file:
        while pieces:
            try:
                source, first, end = pieces.pop()
            except IndexError:
                return
            file.seek(source)
            while first < end:
                first += file.readinto(memory[first:end])

memory = memoryview(whole)
helpers = [threading.Thread(target=read) for _ in range(threads - 1)]
for helper in helpers:
    helper.start()
read()
for helper in helpers:
    helper.join()
stacks = {
    part: [whole[first:end].view(np.float32).reshape(-1, inner) for first, end, inner in all]
    for part, all in stacks.items()
}

def multiply(rows, *parts, by_dots=False):
    begun = time.perf_counter()
    for part in parts:
        for matrix in stacks[part]:
            x = np.full((rows, matrix.shape[1]), 0.5, np.float32)
            np.vecdot(matrix, x) if by_dots else np.matmul(x, matrix.T)
    return time.perf_counter() - begun

multiply(tokens, "encoder", "source")
tried = [multiply(1, "decoder", "vocabulary", by_dots=by_dots) for by_dots in (False, True)]
for _ in range(new - 2):
    multiply(1, "decoder", "vocabulary", by_dots=tried[1] < tried[0])
reply, ids = "", [[]]
"""

BEGIN = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
folder, text, new, threads, tokens = sys.argv[2], sys.argv[3], *map(int, sys.argv[4:7])
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
"""

END = """
print(json.dumps({"reply": reply, "ids": [int(i) for i in ids[0]]}), flush=True)
try:
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    peak = int(status["VmHWM"].split()[0]) * 1024
except OSError:
    import resource
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(peak, flush=True)
"""

# What a reply needs besides, in the same process once its clock has stopped: the package, and its tokenizer.
BESIDES = """
begun = time.perf_counter()
from npblender import BlenderbotSmallForConditionalGeneration, BlenderbotSmallTokenizer as Tokenizer
Tokenizer.from_pretrained(folder, dialect="transformers-5")([text])
print(time.perf_counter() - begun, flush=True)
"""

SCRIPTS = {"npblender": NPBLENDER, "transformers": TRANSFORMERS, PRODUCTS: ALONE}


def start(name: str, peer: Peer, root: Path, folder: Path, new: int, threads: int, tokens: int) -> dict[str, Any]:
    """One process: `seconds` to its reply, `ids`, and `peak` in bytes (of the process's own resident memory).

    The products alone also say `besides`: the seconds of importing the package and loading its tokenizer. `tokens` are
    those of the text; an engine finds out by itself.
    """
    script = BEGIN + SCRIPTS[name] + END + (BESIDES if name == PRODUCTS else "")
    command = [str(peer.python()), "-W", "ignore", "-c", script]
    command += [str(root), str(folder), TEXT, str(new), str(threads), str(tokens)]
    begin = time.perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(threads)
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        line = process.stdout.readline()
        seconds = time.perf_counter() - begin
        rest, errors = process.stdout.read(), process.stderr.read()
    if process.returncode != 0:
        raise WorkerError(f"{name}: {errors}")
    peak, *besides = rest.split()
    found = {"seconds": seconds, "ids": json.loads(line)["ids"], "peak": int(peak)}
    return {**found, "besides": float(besides[0])} if besides else found
