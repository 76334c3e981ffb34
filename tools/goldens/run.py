"""Makes the numbers of `reference_tests/golden/`, or checks that the originals still compute them.

    python -m tools goldens                    # make all of them
    python -m tools goldens forward traces     # only some
    python -m tools goldens demo               # those of the demo, after its weights have changed
    python -m tools goldens --check [NAME...]  # write nothing: make them again and compare with the stored files

The originals run in the environments of `python -m tools originals`, ONNX Runtime in `python -m tools originals
onnxruntime`. `reference_tests/golden/PROVENANCE.md` says what each file holds.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator

from tools import ROOT
from tools.goldens import (
    checkpoints,
    drop_in,
    forward,
    generation,
    merges,
    modules,
    packs,
    parlai_options,
    tokenizer,
    traces,
)
from tools.goldens.made import Made


def made_of_demo() -> Iterator[Made]:
    """The demo's own golden and its pack."""
    yield from forward.made_of_demo()
    yield from packs.made("demo")


MAKERS: dict[str, tuple[str, Callable[[], Iterator[Made]]]] = {
    "forward": ("forward passes of four tiny models, by both transformers and ParlAI", forward.made),
    "generation": ("searches of two tiny models, by both transformers and ParlAI", generation.made),
    "modules": ("what each module of the originals takes and returns", modules.made),
    "traces": ("traces of a tiny model, by both transformers and ONNX Runtime", traces.made),
    "tokenizer": ("ids, texts and method calls of the example vocabulary", tokenizer.made),
    "merges": ("merges that subword-nmt learns from the text of a step of docs/steps/", merges.made),
    "checkpoints": ("one model in every file format, by all originals", checkpoints.made),
    "drop-in": ("code that people write with this model, by both transformers", drop_in.made),
    "parlai-options": ("the options of ParlAI's agent, by its own parser", parlai_options.made),
    "tiny": ("the golden pack of a tiny model, with the originals' checks", lambda: packs.made("tiny")),
    "demo": ("the demo's forward golden and its golden pack", made_of_demo),
}


def main(arguments: list[str] | None = None) -> int:
    listing = "\n".join(f"    {name:12}{about}" for name, (about, _) in MAKERS.items())
    parser = argparse.ArgumentParser(
        description=f"{__doc__}\ngoldens:\n{listing}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="which goldens (default: all)")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a stored file differs")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in MAKERS]
    if unknown:
        parser.error(f"no golden is called {', '.join(unknown)}; there are {', '.join(MAKERS)}")
    wrong = 0
    for name in options.names or MAKERS:
        for golden in MAKERS[name][1]():
            place = golden.file.relative_to(ROOT)
            if options.check:
                differences = golden.differences()
                print("\n".join(differences) if differences else f"{place}: as stored", flush=True)
                wrong += bool(differences)
            else:
                golden.write()
                print(f"{place}  {golden.size():,} bytes, {golden.about}", flush=True)
    if wrong:
        print(f"{wrong} goldens differ from what the originals compute now", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
