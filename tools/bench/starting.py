"""Whole processes: from their start to a reply on the screen, and the most memory that they held.

Each is a fresh interpreter that imports the package, loads the folder, reads a text and answers it with so many
tokens, as a user's script would. The clock runs outside of it, until its reply is read.
"""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

from tools.bench.peers import Peer
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

BEGIN = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
folder, text, new, threads = sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
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

SCRIPTS = {"npblender": NPBLENDER, "transformers": TRANSFORMERS}


def start(name: str, peer: Peer, root: Path, folder: Path, new: int, threads: int) -> dict[str, Any]:
    """One process: `seconds` to its reply, `ids`, and `peak` in bytes (of the process's own resident memory)."""
    command = [str(peer.python()), "-W", "ignore", "-c", BEGIN + SCRIPTS[name] + END]
    command += [str(root), str(folder), TEXT, str(new), str(threads)]
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
    return {"seconds": seconds, "ids": json.loads(line)["ids"], "peak": int(rest)}
