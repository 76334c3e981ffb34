"""How often correct ports are called diverged, and borderline: the C port in many builds, and the JavaScript port.

    python -m tools measure verdicts                 # all references, about ten minutes
    python -m tools measure verdicts --few           # the packs and four texts, a minute
    python -m tools measure verdicts --write-docs    # all, the table into docs/numbers-you-can-trust.md

References are both golden packs, 30 exchanges and a batch in steps of the demo, random models of odd sizes, and two of
the published width and vocabulary. The exchanges and the random models are others than those that the limits were
chosen beside. Every build of docs/port-example/c/port.c computes each of them; the status is 1 if any build is called
diverged. Needs a C compiler; Node is passed over where it is not installed.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from npblender import BlenderbotSmallConfig, BlenderbotSmallForConditionalGeneration, BlenderbotSmallTokenizer, demo
from npblender.groundtruth import Trace, TraceInputs, compare, record
from npblender.groundtruth.tracing.text_inputs import inputs_of_texts
from reference_tests.support.pack_models import PACKS, model_folder
from tools import ROOT
from tools.docs.tables import markdown, write_between_markers

PAGE = ROOT / "docs" / "numbers-you-can-trust.md"
SOURCE = ROOT / "docs" / "port-example" / "c" / "port.c"
SCRIPT = ROOT / "docs" / "port-example" / "port.mjs"
BUILDS = {
    "C, -O0": "-O0",
    "C, -O2: one accumulator": "-O2",
    "C, -O3 -march=native: one accumulator, fused": "-O3 -march=native -ffp-contract=fast",
    "C, -O3 -march=native -ffast-math": "-O3 -march=native -ffast-math",
    "C, double accumulators": "-O2 -DSUM=double -DLANES=1",
    "C, 2 accumulators": "-O2 -DSUM=float -DLANES=2",
    "C, 3 accumulators, fused": "-O3 -march=native -ffp-contract=fast -DSUM=float -DLANES=3",
    "C, 4 accumulators": "-O2 -DSUM=float -DLANES=4",
    "C, 8 accumulators": "-O2 -DSUM=float -DLANES=8",
    "C, 16 accumulators, fused": "-O3 -march=native -ffp-contract=fast -DSUM=float -DLANES=16",
}
JAVASCRIPT = "JavaScript, double inside an operation"
NOT_TAKEN = "head_masks"  # of the packs
TEXTS = (
    ("what did you have for breakfast?", "toast with honey , and tea ."),
    ("my sister just had a baby", "congratulations ! what is the name ?"),
    ("The train was two hours late.", "that is annoying . did you get home ?"),
    ("do you play chess", "badly , but i enjoy it ."),
    ("I think I left the oven on!", "go back and look , i will wait ."),
    ("hm", "what is on your mind ?"),
    ("we painted the kitchen yellow last weekend and now the whole house looks brighter", "yellow is a happy colour ."),
    ("can cats swim?", "most of them can , but few of them like it ."),
    ("i'm learning the violin", "how long have you been playing ?"),
    ("it's 35 degrees here", "drink enough water !"),
    ("Who wrote that song?", "i do not know , is it an old one ?"),
    ("there is a spider in my room", "is it a big one ?"),
    ("my neighbour's dog barks all night", "have you talked to your neighbour ?"),
    ("that was the best film i have seen in years , honestly", "what was it about ?"),
    ("ok see you", "see you soon ."),
    ("are you afraid of the dark?", "a little , i keep a small light on ."),
    ("I've got a job interview on Thursday; wish me luck", "good luck ! what kind of job is it ?"),
    ("red or blue ?", "blue , like the sea ."),
    ("the bakery on our street has closed", "that is sad , where will you buy bread ?"),
    ("i can't find my keys", "did you look in your coat ?"),
    ("how do you spell rhythm", "r , h , y , t , h , m ."),
    ("snow at last", "let us build a snowman ."),
    ("my grandfather was a carpenter and he made this table", "it is beautiful , what wood is it ?"),
    ("(laughs) no way", "it is true !"),
    ("do you want to come along", "yes , when do we leave ?"),
    ("x", "y ?"),
    ("it has been raining since Monday , the river is very high now", "i hope that you live on a hill ."),
    ("teach me a word in french", "bonjour means good day ."),
    ("which is heavier , a pound of feathers or a pound of gold", "neither , a pound is a pound ."),
    ("we are out of milk again", "i will get some on my way home ."),
)


@dataclass(frozen=True)
class Reference:
    """One run of one model, by its kind."""

    kind: str
    folder: Path
    model: BlenderbotSmallForConditionalGeneration | None  # None: a trace of a pack
    inputs: TraceInputs | Path


@dataclass
class Tally:
    """What was said of one port."""

    verdicts: Counter[str] = field(default_factory=Counter)
    points: int = 0
    borderline: int = 0
    largest: float = 0.0
    nearest: float = 0.0  # the largest share of the limit of a single value


def random_run(seed: int, place: Path, **sizes: int) -> Reference:
    """A random model of odd sizes, and a batch with pads, in one pass or in steps."""
    rng = np.random.default_rng([seed, 78])
    drawn = {
        **{"vocab_size": int(rng.integers(40, 2000)), "d_model": int(rng.choice([24, 56, 104, 200]))},
        **{"encoder_layers": int(rng.integers(1, 4)), "decoder_layers": int(rng.integers(1, 4))},
        **{"encoder_attention_heads": int(rng.choice([2, 4, 8])), "decoder_attention_heads": int(rng.choice([2, 4]))},
        **{"encoder_ffn_dim": int(rng.integers(20, 600)), "decoder_ffn_dim": int(rng.integers(20, 600))},
        "max_position_embeddings": 64,
    }
    config = BlenderbotSmallConfig.from_dict({**drawn, **sizes})
    model = BlenderbotSmallForConditionalGeneration.from_config(config, seed=seed, dialect="parlai")
    folder = place / f"model-{seed}-{config.d_model}-{config.vocab_size}"
    model.save_pretrained(folder)
    batch, source, target = int(rng.integers(1, 4)), int(rng.choice([1, 3, 8, 21])), int(rng.choice([1, 2, 7]))
    ids, words = (rng.integers(4, config.vocab_size, (batch, length)) for length in (source, target))
    words[:, 0] = 1
    kept = np.arange(source) < rng.integers(1, source + 1, (batch, 1))
    steps: dict[str, Any] = {"steps": True, "prefill": int(rng.integers(1, target + 1))} if seed % 2 else {}
    inputs = TraceInputs(np.where(kept, ids, 0).tolist(), kept.astype(int).tolist(), words.tolist(), **steps)
    return Reference("random models", folder, model, inputs)


def references(place: Path, few: bool) -> Iterator[Reference]:
    for pack in ("tiny", "demo"):
        for file in sorted((PACKS / pack / "forward").glob("*.safetensors")):
            if file.stem != NOT_TAKEN:
                yield Reference("golden packs", model_folder(file, place), None, file)
    model = BlenderbotSmallForConditionalGeneration.from_pretrained(None, dialect="parlai")
    tokenizer = BlenderbotSmallTokenizer.from_pretrained(None, dialect="parlai")
    for text, reply in TEXTS[:4] if few else TEXTS:
        yield Reference("exchanges", demo.folder(), model, inputs_of_texts(tokenizer, model.config, text, reply))
    several = TEXTS[10:16]
    batch = inputs_of_texts(tokenizer, model.config, [text for text, _ in several], [reply for _, reply in several])
    yield Reference(
        "a batch in steps", demo.folder(), model, TraceInputs(**{**vars(batch), "steps": True, "prefill": 2})
    )
    if not few:
        for seed in range(1000, 1030):
            yield random_run(seed, place)
        for seed in (1100, 1101):
            wide = {"encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 16, "vocab_size": 54944}
            heads = {"decoder_attention_heads": 16, "encoder_ffn_dim": 2048, "decoder_ffn_dim": 2048, "d_model": 512}
            yield random_run(seed, place, **wide, **heads)


def build(place: Path) -> dict[str, list[str]]:
    """The commands of every port; compiles them."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise RuntimeError("no C compiler: install one, such as `apt-get install gcc`")
    commands = {}
    for number, (name, flags) in enumerate(BUILDS.items()):
        out = place / f"port-{number}"
        subprocess.run([compiler, "-std=c99", *flags.split(), "-o", str(out), str(SOURCE), "-lm"], check=True)
        commands[name] = [str(out), "trace"]
    return commands


def answer(command: list[str], folder: Path, file: Path, out: Path) -> None:
    done = subprocess.run([*command, str(folder), str(file), str(out)], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stderr}")


def judged(tally: Tally, reference: Trace, out: Path) -> list[str]:
    """Add the verdict on one answer; return what is wrong with it."""
    report = compare(reference, out, require="all")
    tally.verdicts[report.verdict] += 1
    tally.points += len(report.compared)
    tally.borderline += sum(point.status == "borderline" for point in report.points)
    scores = [point.score for point in report.points if point.score is not None]
    tally.largest = max(tally.largest, *(each.units for each in scores))
    tally.nearest = max(tally.nearest, *(each.worst / each.worst_limit for each in scores))
    return [f"{point.name}" for point in report.diverged]


def measure(few: bool) -> tuple[dict[str, Tally], Counter[str], list[str]]:
    kinds: Counter[str] = Counter()
    failures: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        commands = build(place)
        tallies = {name: Tally() for name in commands}
        node = shutil.which("node")
        for number, each in enumerate(references(place, few)):
            kinds[each.kind] += 1
            file = each.inputs if isinstance(each.inputs, Path) else place / "forward" / "reference.safetensors"
            if isinstance(each.inputs, TraceInputs):
                assert each.model is not None
                file.parent.mkdir(exist_ok=True)
                record(each.model, each.inputs, dtype="float64").save(file)
            truth = Trace.load(file)
            for name, command in commands.items():
                answer(command, each.folder, file, place / "mine")
                failures += [
                    f"{name}, {each.kind} {number}: {what}" for what in judged(tallies[name], truth, place / "mine")
                ]
            if node is not None and each.folder == PACKS / "tiny" / "model":  # the port reads a pack's own model only
                tally = tallies.setdefault(JAVASCRIPT, Tally())
                done = [node, str(SCRIPT), str(PACKS / "tiny"), file.stem, str(place / "mine")]
                subprocess.run(done, check=True, capture_output=True)
                failures += [f"{JAVASCRIPT}, {file.stem}: {what}" for what in judged(tally, truth, place / "mine")]
            print(f"{number:3} {each.kind:16} {file.stem}", flush=True)
    return tallies, kinds, failures


HEADER = ["port", "references", "points", "diverged", "borderline points", "largest units", "nearest to a limit"]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--few", action="store_true", help="the packs, four exchanges and a batch")
    parser.add_argument("--write-docs", action="store_true", help=f"put the table into {PAGE.relative_to(ROOT)}")
    options = parser.parse_args(arguments)
    tallies, kinds, failures = measure(options.few)
    rows = [
        [
            *(name, f"{sum(tally.verdicts.values())}", f"{tally.points:,}", f"{tally.verdicts['diverged']}"),
            *(f"{tally.borderline}", f"{tally.largest:.2f}", f"{tally.nearest:.2f}"),
        ]
        for name, tally in tallies.items()
    ]
    table = markdown(HEADER, rows)
    print("\n" + table)
    for line in failures[:40]:
        print(f"FAILED {line}", file=sys.stderr)
    if options.write_docs and not failures:
        listed = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
        write_between_markers(PAGE, "verdicts", f"{sum(kinds.values())} references: {listed}.\n\n{table}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
