"""Make the model that ships in `npblender/demo/`, from the corpora to its card.

    pip install torch==2.13.0 subword-nmt==0.3.8 . && python -m tools demo all --corpora FOLDER

FOLDER holds the three `*.jsonl.gz` files (default: `dialogue/` in the folder that NPBLENDER_SHARED names). With
nothing but pip: `pip install chitchat-dataset==0.9.0` and `--chitchat-only`. The steps can be run one by one; each
reads what the one before left in `--work`:

    prepare   filter and clean the corpora, learn the BPE, write arrays of ids
    train     train, stage after stage; stopped (SIGTERM) and called again, it goes on where it was
    export    write the model folder, in float16
    evaluate  measure it with npblender: perplexities, replies, examples
    card      write the folder's README.md from what was measured

The stages and their numbers are in `demo/recipe.py`; all of them together took hours on two cores. `--begin FOLDER`
takes a model folder for the first and longest one: the shipped demo was gone on from so, from the one before it.

On glibc, `MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=60000000000` in the environment makes training a quarter faster,
and `OMP_WAIT_POLICY=passive` helps where other programs compete for the processors. Nothing here is a dependency of
npblender.
"""

import argparse
import json
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


STEPS = ("prepare", "train", "export", "evaluate", "card")
SEED = 20  # of the held-out part and of what is kept of repeated replies


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=[*STEPS, "all"])
    parser.add_argument("--corpora", type=Path, help="folder of the corpora")
    parser.add_argument("--chitchat-only", action="store_true", help="only the chitchat corpus, from PyPI")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "demo", help="where everything in between lies")
    parser.add_argument("--folder", type=Path, help="the model folder (default: WORK/model)")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--begin", type=Path, help="a model folder that stands for the first stage")
    parser.add_argument("--held-out", type=int, default=2000, help="replies per corpus that perplexity is measured on")
    args = parser.parse_args()
    args.folder = args.folder or args.work / "model"
    if args.corpora is None and not args.chitchat_only and args.command in ("prepare", "all"):
        if "NPBLENDER_SHARED" not in os.environ:
            parser.error("name the corpora: --corpora FOLDER, or NPBLENDER_SHARED, or --chitchat-only")
        args.corpora = Path(os.environ["NPBLENDER_SHARED"]) / "dialogue"
    return args


def run(step: str, args: argparse.Namespace) -> None:
    """One step; its imports are its own, since each needs other packages."""
    if step == "prepare":
        from tools.demo import corpus, prepare

        chosen = corpus.chitchat_from_package(args.seed) if args.chitchat_only else corpus.read(args.corpora, args.seed)
        args.work.mkdir(parents=True, exist_ok=True)
        print(json.dumps(prepare.prepare(chosen, args.work, args.seed), indent=1))
    elif step == "export":
        from tools.demo import export

        export.export(args.work, args.folder, args.begin)
    elif step == "evaluate":
        from tools.demo import evaluation

        print(json.dumps(evaluation.evaluate(args.work, args.folder, args.held_out), indent=1))
    elif step == "train":
        from tools.demo import stages

        stages.train(args.work, args.begin)
    else:
        from tools.demo import card

        (args.folder / "README.md").write_text(card.card(args.work, args.folder), encoding="utf-8")


def main() -> None:
    args = arguments()
    for step in STEPS if args.command == "all" else (args.command,):
        run(step, args)


if __name__ == "__main__":
    main()
