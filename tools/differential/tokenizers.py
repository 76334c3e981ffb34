"""Compares npblender's tokenizer with the originals', text by text and call by call.

    python -m tools compare tokenizers                          # everything; minutes
    python -m tools compare tokenizers --sample 3000 --seed 1   # that many turns of each corpus, fewer random texts
    python -m tools compare tokenizers --write-docs             # everything, and put the table into docs/tokenizer.md

Suites: the 26 published cases; random text of every kind and random calls (seeded); every turn of the three dialogue
corpora. The real tokenizer, the cases and the corpora lie in the folder that NPBLENDER_SHARED names (checkpoint/,
goldens/, dialogue/); without it the random suites run on the demo's tokenizer and the others are reported as left out.

The originals run in the environments of `python -m tools originals`. Exit status 1 if anything differs, 2 if nothing
could run.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from npblender.tokenizer import AddedToken, BlenderbotSmallTokenizer
from tools import ROOT
from tools.differential.tokenizer_calls import random_calls
from tools.differential.tokenizer_texts import corpus_turns, random_texts
from tools.docs.tables import markdown, write_between_markers
from tools.originals import asking
from tools.originals.run_tokenizer import plain, read_lines, write_lines

PLACE = "NPBLENDER_SHARED"
PAGE = ROOT / "docs" / "tokenizer.md"
ORIGINALS = ("transformers-5", "transformers-4", "parlai")
SUITES = ("published", "random", "calls", "saved", "corpora")


@dataclass
class Result:
    """One line of the table: how many things were compared, with what, and which differed."""

    what: str
    original: str
    compared: int
    distinct: int
    differences: list[str] = field(default_factory=list)
    notes: str = ""


@dataclass(frozen=True)
class Setting:
    """What a run works with."""

    folder: Path
    shared: Path | None
    originals: tuple[str, ...]
    sample: int | None
    seed: int
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def ours(self, original: str) -> BlenderbotSmallTokenizer:
        return BlenderbotSmallTokenizer.from_pretrained(self.folder, dialect=original)


def ask_originals(
    setting: Setting, questions: Sequence[Any], originals: Iterable[str], compare: Callable[[str, int, Any], None]
) -> None:
    """Put the same questions to several originals, all at once, and hand `compare` each answer with its number."""
    with tempfile.TemporaryDirectory() as place:
        asked = Path(place) / "questions.jsonl"
        write_lines(asked, questions)
        running = {}
        for original in originals:
            answers = Path(place) / f"{original}.jsonl"
            process = asking.start(original, "run_tokenizer", original, setting.folder, asked, answers)
            running[original] = (process, answers)
        for original, (process, answers) in running.items():
            asking.finish(original, process)
            lines = read_lines(answers)
            setting.versions[original] = next(lines)["versions"]
            count = 0
            for count, answer in enumerate(lines, start=1):
                compare(original, count - 1, answer)
            if count != len(questions):
                raise RuntimeError(f"{original} answered {count} of {len(questions)} questions")


def published(setting: Setting) -> list[Result]:
    """The recorded cases: tokens, ids, and the decoded text with its spaces cleaned up."""
    assert setting.shared is not None
    cases = json.loads((setting.shared / "goldens" / "tokenizer_published.json").read_text(encoding="utf-8"))
    tokenizer = setting.ours("transformers-5")
    result = Result("published cases (tokens, ids, decoded text)", "recorded", len(cases), len(cases))
    for case in cases:
        ids = tokenizer(case["text"])["input_ids"]
        decoded = tokenizer.decode(ids, clean_up_tokenization_spaces=True)
        ours = (tokenizer.tokenize(case["text"]), ids, decoded)
        if ours != (case["tokens"], case["ids"], case["decoded"]):
            result.differences.append(f"{case['name']}: {ours!r}")
    return [result]


def _compare_texts(setting: Setting, texts: list[str], results: dict[str, Result], counts: list[int]) -> None:
    tokenizers = {original: setting.ours(original) for original in results}

    def compare(original: str, number: int, answer: Any) -> None:
        tokenizer = tokenizers[original]
        ids = tokenizer(texts[number])["input_ids"]
        ours = {"ids": ids, "decoded": tokenizer.decode(ids)}
        if ours != answer:
            results[original].differences += [f"{texts[number]!r}: {ours!r}, not {answer!r}"] * counts[number]

    ask_originals(setting, texts, results, compare)


def random_suite(setting: Setting) -> list[Result]:
    """Seeded text of every kind: ids and decoded text."""
    texts = random_texts(20_000 if setting.sample is None else 2_000, setting.seed)
    results = {
        original: Result(f"random texts, seed {setting.seed} (ids, decoded text)", original, len(texts), len({*texts}))
        for original in setting.originals
    }
    _compare_texts(setting, texts, results, [1] * len(texts))
    return list(results.values())


def calls_suite(setting: Setting) -> list[Result]:
    """Seeded calls of transformers' methods: everything that they return."""
    originals = [original for original in setting.originals if original != "parlai"]
    tokenizers = {original: setting.ours(original) for original in originals}
    calls = random_calls(6_000 if setting.sample is None else 1_500, setting.seed, len(setting.ours("transformers-5")))
    distinct = len({json.dumps(call) for call in calls})
    results = {
        original: Result(f"random method calls, seed {setting.seed} (whole results)", original, len(calls), distinct)
        for original in originals
    }

    def compare(original: str, number: int, answer: Any) -> None:
        call = calls[number]
        try:
            ours = {"value": plain(getattr(tokenizers[original], call["method"])(*call["args"], **call["kwargs"]))}
        except (TypeError, ValueError) as error:
            ours = {"error": f"{type(error).__name__}: {error}"}
        if ours != answer:
            results[original].differences.append(f"{json.dumps(call)}: {ours}, not {answer}")

    ask_originals(setting, calls, originals, compare)
    return list(results.values())


def saved_suite(setting: Setting) -> list[Result]:
    """A folder that npblender saved, with tokens added: what both transformers make of it."""
    originals = [original for original in setting.originals if original != "parlai"]
    tokenizer = setting.ours("transformers-5")
    strip = AddedToken("<s>", lstrip=True, rstrip=True)
    tokenizer.add_tokens(["<turn>", "<turn>ed", "urn>e", "__e", strip])
    tokenizer.add_special_tokens({"sep_token": "<sep>", "extra_special_tokens": ["<x>"]})
    pieces = ["<turn>", "<turn>ed", "urn>e", "__e", "<s>", "<sep>", "<x>", "<t", "__end__", "low", " ", "\n", "!"]
    draw = random.Random(setting.seed)
    texts = ["".join(draw.choices(pieces, k=draw.randint(1, 8))) for _ in range(2_000)]
    with tempfile.TemporaryDirectory() as place:
        tokenizer.save_pretrained(place)
        with_folder = replace(setting, folder=Path(place))
        results = {
            original: Result(
                "a saved folder with added tokens (ids, decoded text)", original, len(texts), len({*texts})
            )
            for original in originals
        }
        _compare_texts(with_folder, texts, results, [1] * len(texts))
    return list(results.values())


def corpora(setting: Setting) -> list[Result]:
    """Every turn of the corpora, each distinct text once: ids and decoded text, in every mode."""
    assert setting.shared is not None
    results: list[Result] = []
    for name, turns in corpus_turns(setting.shared / "dialogue").items():
        texts = list(turns)
        if setting.sample is not None:
            step = max(1, len(texts) // setting.sample)
            texts = texts[setting.seed % step :: step]
        counts = [turns[text] for text in texts]
        kind = "every turn" if setting.sample is None else "a sample of turns"
        rows = {
            original: Result(f"{kind} of {name} (ids, decoded text)", original, sum(counts), len(texts))
            for original in setting.originals
        }
        _compare_texts(setting, texts, rows, counts)
        for original, row in rows.items():
            row.notes = _share_of_unknown(setting.ours(original), texts, counts)
        results += rows.values()
        setting.remarks.append(f"{_share_that_differs(setting, texts, counts):.1%} of the turns of {name}")
        print(f"{name}: {len(texts)} distinct turns compared", flush=True)
    return results


def _share_of_unknown(tokenizer: BlenderbotSmallTokenizer, texts: list[str], counts: list[int]) -> str:
    tokens = unknown = 0
    for text, count in zip(texts, counts, strict=True):
        ids = tokenizer(text)["input_ids"]
        tokens += count * len(ids)
        unknown += count * ids.count(tokenizer.unk_token_id)
    return f"{unknown / tokens:.2%}"


def _share_that_differs(setting: Setting, texts: list[str], counts: list[int]) -> float:
    """The share of turns for which the two ways give different ids."""
    first, second = setting.ours("parlai"), setting.ours("transformers-5")
    pairs = zip(texts, counts, strict=True)
    differing = sum(count for text, count in pairs if first(text)["input_ids"] != second(text)["input_ids"])
    return differing / sum(counts)


def table(results: list[Result], setting: Setting) -> str:
    """The results as markdown, with what made them."""
    rows = [
        [
            r.what,
            r.original,
            f"{r.compared:,}",
            f"{r.distinct:,}",
            f"{r.compared - len(r.differences):,}",
            r.notes or "-",
        ]
        for r in results
    ]
    head = ["what was compared", "with", "compared", "distinct", "equal", "unknown tokens"]
    made = [
        f"{original}: " + ", ".join(f"{package} {version}" for package, version in versions.items())
        for original, versions in setting.versions.items()
    ]
    differing = f"The two ways give different ids for {', '.join(setting.remarks)}. " if setting.remarks else ""
    return f"{markdown(head, rows)}\n{differing}Made with {'; '.join(made)}.\n"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Compare npblender's tokenizer with the originals'.")
    parser.add_argument("--suite", action="append", choices=SUITES, help="only this one (may be repeated)")
    parser.add_argument("--original", action="append", choices=ORIGINALS, help="only this one (may be repeated)")
    parser.add_argument("--tokenizer", type=Path, help="a tokenizer's folder (default: the published one, or the demo)")
    parser.add_argument("--sample", type=int, metavar="N", help="about N turns of each corpus, fewer random texts")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write-docs", action="store_true", help=f"put the table into {PAGE.relative_to(ROOT)}")
    options = parser.parse_args(arguments)
    place = os.environ.get(PLACE)
    shared = Path(place) if place else None
    if shared is None:
        print(f"{PLACE} is not set: the published cases and the corpora are left out", file=sys.stderr)
    elif not shared.is_dir():
        parser.error(f"{PLACE} names {place}, which is no folder")
    folder = options.tokenizer or (
        shared / "checkpoint" / "blenderbot_small-90M" if shared else ROOT / "npblender" / "demo"
    )
    wanted = [suite for suite in SUITES if suite in (options.suite or SUITES)]
    suites = [suite for suite in wanted if shared or suite in ("random", "calls", "saved")]
    if options.write_docs and (suites != list(SUITES) or options.original or options.sample or options.tokenizer):
        parser.error("--write-docs wants every suite, every original, all turns and the published tokenizer")
    setting = Setting(folder, shared, tuple(options.original or ORIGINALS), options.sample, options.seed)
    run = {
        "published": published,
        "random": random_suite,
        "calls": calls_suite,
        "saved": saved_suite,
        "corpora": corpora,
    }
    results: list[Result] = []
    for suite in suites:
        begun = time.perf_counter()
        results += run[suite](setting)
        print(f"{suite}: {time.perf_counter() - begun:.0f} s", flush=True)
    text = table(results, setting)
    print(f"\n{text}")
    for result in results:
        for difference in result.differences[:5]:
            print(f"DIFFERS from {result.original}: {difference}")
    if options.write_docs and not any(result.differences for result in results):
        write_between_markers(PAGE, "tokenizer", text)
    if not results:
        print("nothing could be compared", file=sys.stderr)
        return 2
    return int(any(result.differences for result in results))


if __name__ == "__main__":
    sys.exit(main())
