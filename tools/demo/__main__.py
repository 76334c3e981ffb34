"""Make the model that ships in `npblender/demo/`, from the corpora to its card: `python -m tools demo COMMAND`.

    prepare     clean the corpora, write them as arrays of ids of its vocabulary into WORK
    train       train from the weights of the demo before; stopped (SIGTERM) and called again, it goes on where it was
    own         let the exported model answer conversations that it learns from: WORK/own.jsonl, which `train` reads
    ask         let the exported model answer what users say (WORK/users), for readers to judge: WORK/rows.txt
    judged      what readers wrote into WORK/verdicts.txt as rows: WORK/judged.jsonl, to be gzipped into `judged/` here
    remembered  rows judged by program: the exported model is asked for names that it was told: WORK/remembered.jsonl
    export      write the model folder, in float16
    perplexity  measure it, the first demo and simple baselines on what is held out
    try         let it answer `tried/NAME.json` and print what a program can count
    sheet       the replies to `tried/final.json` as a sheet for the people who judge
    card        write the folder's README.md from what was measured, counted and judged

README.md beside this file has the recipe, what must be installed, and where the earlier demos' weights come from.
"""

import argparse
import json
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = ("prepare", "train", "own", "ask", "judged", "remembered", "export", "perplexity", "try", "sheet", "card")


# what a command reads of WORK, or of the model folder, and the command that writes it
_WORK = (("train.npz", "prepare"), ("vocab.json", "prepare"))
_FOLDER = (("config.json", "export"), ("model.safetensors", "export"))
WORK_FIRST = {
    "train": _WORK,
    "own": _WORK,
    "judged": (("asked.json", "ask"), ("verdicts.txt", "ask, whose replies readers judge")),
    "export": (_WORK[1], ("training.pt", "train")),
    "perplexity": _WORK,
    "card": (("perplexity.json", "perplexity"),),
}
FOLDER_FIRST = dict.fromkeys(("own", "ask", "remembered", "perplexity", "try", "sheet", "card"), _FOLDER)


def check_there(command: str, work: Path, folder: Path) -> None:
    """Refuse a command before another one has been called.

    Raises:
        FileNotFoundError: what it reads is not there; the message says which command writes it.
    """
    for place, needed in ((work, WORK_FIRST), (folder, FOLDER_FIRST)):
        for name, writer in needed.get(command, ()):
            if not (place / name).exists():
                raise FileNotFoundError(f"{place / name} is not there; it is written by: python -m tools demo {writer}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--corpora", type=Path, help="folder of the three older corpora (see README.md)")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "demo", help="where everything in between lies")
    parser.add_argument("--folder", type=Path, help="the model folder (default: WORK/model)")
    parser.add_argument("--first", type=Path, help="the first demo's folder, whose perplexity is measured, too")
    parser.add_argument("--before", type=Path, help="folder of the demo before, with whose weights the training begins")
    parser.add_argument("--until", type=int, default=1 << 30, help="stop the training after this step")
    parser.add_argument("--lines", default="development", help="what is tried: development or final")
    parser.add_argument("--most", type=int, default=500, help="held-out replies of each older corpus")
    parser.add_argument("--talks", type=int, default=1600, help="how many are made up for `remembered`")
    args = parser.parse_args()
    args.folder = args.folder or args.work / "model"
    if args.corpora is None and args.command == "prepare":
        if "NPBLENDER_SHARED" not in os.environ:
            parser.error("name the older corpora: --corpora FOLDER, or NPBLENDER_SHARED, whose dialogue/ has them")
        args.corpora = Path(os.environ["NPBLENDER_SHARED"]) / "dialogue"
    if args.before is None and args.command in ("prepare", "train"):
        parser.error("name the folder of the demo before: --before FOLDER (README.md says where to get it)")
    return args


def run(args: argparse.Namespace) -> None:
    """One command; its imports are its own, since each needs other packages."""
    if args.command == "prepare":
        from tools.demo import corpus, prepare

        args.work.mkdir(parents=True, exist_ok=True)
        report = prepare.prepare(corpus.read(args.corpora, prepare.SEED), args.before, args.work, prepare.SEED)
        print(json.dumps(report, indent=1))
    elif args.command == "train":
        from tools.demo import begin, everyday, judged, training
        from tools.demo.net import Shape
        from tools.demo.recipe import RECIPE

        training.train(args.work, everyday.read(), judged.read(), RECIPE, begin.begin(args.before, Shape()), args.until)
    elif args.command == "own":
        from npblender import BlenderbotSmallForConditionalGeneration
        from tools.demo import everyday, own
        from tools.demo.pieces import Cutter

        model = BlenderbotSmallForConditionalGeneration.from_pretrained(args.folder)
        print(f"{own.answer(everyday.read(), model, Cutter(args.folder), args.work):,} replies")
    elif args.command == "ask":
        from npblender import BlenderbotSmallForConditionalGeneration
        from tools.demo import ask
        from tools.demo.pieces import Cutter

        model = BlenderbotSmallForConditionalGeneration.from_pretrained(args.folder)
        print(f"{ask.write_rows(args.work, model, Cutter(args.folder)):,} replies")
    elif args.command == "judged":
        from tools.demo import ask

        print("{:,} of {:,} replies are judged".format(*ask.write_judged(args.work)))
    elif args.command == "remembered":
        from npblender import BlenderbotSmallForConditionalGeneration
        from tools.demo import ask, everyday
        from tools.demo.pieces import Cutter

        model = BlenderbotSmallForConditionalGeneration.from_pretrained(args.folder)
        learned = [talk for talk in everyday.read() if talk.part == "train"]
        rows = ask.remembered(args.talks, everyday.exchanges(learned), model, Cutter(args.folder))
        ask.write(args.work / "remembered.jsonl", rows)
        print(f"{sum(row['better'] is None for row in rows):,} of {len(rows):,} names were given back")
    elif args.command == "export":
        from tools.demo import export

        export.export(args.work, args.folder)
    elif args.command == "perplexity":
        from tools.demo import evaluation

        print(json.dumps(evaluation.evaluate(args.work, args.folder, args.first, args.most), indent=1))
    elif args.command in ("try", "sheet"):
        from tools.demo import replies, sheet, tries

        name = "final" if args.command == "sheet" else args.lines
        lines = tries.read(name)
        said = tries.replies(replies.Speaker(args.folder), lines)
        (args.work / f"{name}_replies.json").write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
        if args.command == "try":
            print(json.dumps(tries.counts(lines, said), indent=1))
        else:
            rows = sheet.sheet(lines, said)
            (args.work / "sheet.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
            (args.work / "sheet.md").write_text(sheet.markdown(rows), encoding="utf-8")
    else:
        from tools.demo import card

        (args.folder / "README.md").write_text(card.card(args.work, args.folder), encoding="utf-8")


def main() -> None:
    """The command of the arguments."""
    args = arguments()
    try:
        check_there(args.command, args.work, args.folder)
    except FileNotFoundError as error:
        raise SystemExit(f"error: {error}") from error
    run(args)


if __name__ == "__main__":
    main()
