"""The demo's card (`npblender/demo/README.md`), written from what was measured, counted and judged.

It needs `perplexity.json` in the work folder, and in `tried/` the final replies and the filled-in
sheet (`sheet.json`). Criteria of the judgements are in `sheet`.
"""

import json
from pathlib import Path

from tools.demo import everyday, sheet, tries
from tools.demo import judged as judged_replies
from tools.demo.recipe import GENERATION
from tools.demo.samples import LONGEST_CONTEXT
from tools.demo.tables import cell, table

SETS = {
    "everyday": "everyday",
    "everyday, with persona lines": "everyday, personas",
    "chitchat": "chitchat",
    "self_dialogue": "self-dialogue",
    "persona": "persona chat",
}
SHOWN = 24  # of the 120 lines, every fifth one


def judged() -> list[dict]:
    """The sheet as it came back from the people who judged."""
    rows: list[dict] = json.loads((tries.FOLDER / "sheet.json").read_text(encoding="utf-8"))
    return rows


def marks_of(rows: list[dict]) -> dict[str, dict[str, list[int] | None]]:
    """The counts of a sheet; None for all where some row has not been judged."""
    if any(answer is None for row in rows for answer in row["judged"].values()):
        return {kind: dict.fromkeys(asked) for kind, asked in sheet.ASKED.items()}
    return {kind: dict(counts) for kind, counts in sheet.tally(rows).items()}


def share(pair: list[int] | None) -> str:
    """A count as it is printed.

    >>> share([3, 4]), share(None)
    ('3 of 4', 'not judged')
    """
    return "not judged" if pair is None else f"{pair[0]} of {pair[1]}"


def perplexities(measured: dict) -> str:
    """One column a set, one row a model."""
    rows: list[list[object]] = [["replies", *(measured["replies"][name] for name in SETS)]]
    for model in ("unigram", "bigram", "trigram, modified Kneser-Ney", "the first demo", "this model"):
        if model in measured:
            rows.append([model, *(f"{measured[model][name]:.1f}" for name in SETS)])
    return table(["", *SETS.values()], rows)


def counts_table(counted: dict, marks: dict) -> str:
    """What was found in the final replies, by people and by program."""
    common, times = counted["commonest sentence"]
    alone, inside = marks["alone"], marks["conversations"]
    rows = [
        ["grammatical, lines alone", share(alone["grammatical"]), "readers"],
        ["to the point, lines alone", share(alone["to the point"]), "readers"],
        ["grammatical, inside conversations", share(inside["grammatical"]), "readers"],
        ["to the point, inside conversations", share(inside["to the point"]), "readers"],
        ["cheer or another subject after sad news", share(marks["sad"]["cheer"]), "readers"],
        ["sorrow after good or neutral lines", share(marks["fine"]["sorrow"]), "readers"],
        ["care after lines of danger", share(marks["danger"]["care"]), "readers"],
        ["advice to call somebody after lines of danger", share(marks["danger"]["call"]), "readers"],
        ["says that it is a program", share(marks["identity"]["program"]), "readers"],
        ["the user's name given back", share(marks["names"]["given back"]), "readers"],
        ["... by the name's letters", share(counted["names given back"]), "program"],
        ["the persona line used", share(marks["personas"]["used"]), "readers"],
        ["... by its words", share(counted["personas used"]), "program"],
        ["different replies to the lines alone", share(counted["different"]), "program"],
        [f'commonest sentence there, "{common}"', f"{times} times", "program"],
        ["replies with a placeholder", f"{counted['placeholders']} of {counted['replies']}", "program"],
        ["replies with an unknown token", f"{counted['unknown tokens']} of {counted['replies']}", "program"],
    ]  # fmt: skip
    return table(["", "", "counted by"], [[cell(str(each)) for each in row] for row in rows])


def examples(lines: dict, said: dict, rows: list[dict]) -> str:
    """Every fifth of the lines alone and one whole conversation, with the judgement."""
    apt = {(row["kind"], row["row"]): row["judged"].get("to the point") for row in rows}
    step = len(lines["alone"]) // SHOWN
    shown: list[list[object]] = [
        [cell(lines["alone"][i]), cell(said["alone"][i]), word(apt["alone", str(i)])]
        for i in range(0, len(lines["alone"]), step)
    ]
    talk: list[list[object]] = [
        [cell(line), cell(reply), word(apt["conversations", f"0.{i}"])]
        for i, (line, reply) in enumerate(zip(lines["conversations"][0], said["conversations"][0], strict=True))
    ]
    head = ["line", "reply", "to the point"]
    return f"{table(head, shown)}\n\nThe first conversation:\n\n{table(head, talk)}"


def word(mark: bool | None) -> str:
    """A judgement as it is printed."""
    return "not judged" if mark is None else "yes" if mark else "no"


def card(work: Path, folder: Path) -> str:
    """The card's text."""
    measured = json.loads((work / "perplexity.json").read_text(encoding="utf-8"))
    lines, rows = tries.read("final"), judged()
    said = json.loads((tries.FOLDER / "final_replies.json").read_text(encoding="utf-8"))
    counted, marks = tries.counts(lines, said), marks_of(rows)
    shape = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    learned = sum(not row.is_development for row in judged_replies.read())
    talks = sum(talk.part == "train" for talk in everyday.read())
    settings = ", ".join(f"`{key}` {value}" for key, value in GENERATION.items())
    return f"""# The demo model

Pip, a BlenderbotSmall of {parameters(folder):,} parameters for simple small talk in English, so that `npblender chat`
answers without a download. It was made by `python -m tools demo`; this page is written by its command `card`.

## What it is good and bad at

{(tries.FOLDER / "good_and_bad.md").read_text(encoding="utf-8").strip()}

It speaks only lower-case English, knows no facts and makes things up. A list of words does not make it safe, and its
advice is no advice: do not put it before the public.

## What was counted

120 lines said alone, 12 conversations of six lines, and lines of other kinds, `tools/demo/tried/final.json`. None of
them was learned from, and none was used for choosing anything. They were written and judged by language models that had
seen neither the corpus nor the training. *Grammatical*: it would pass
unmarked in a chat; clipped answers pass, a missing or wrong word does not. *To the point*: it answers what was asked or
takes up what was said, and contradicts neither that nor itself.

{counts_table(counted, marks)}

Settings in `generation_config.json`: {settings}. They were chosen on other lines
(`tools/demo/tried/development.json`).

Every fifth of the 120 lines:

{examples(lines, said, rows)}

## Held-out perplexity

Per word of the reply (words and single marks, and the end), so that models with other vocabularies compare. The models
see up to four turns before, the n-gram models none; these are fitted on all replies of the corpora that it learned
from. *The first demo* was trained on the three older corpora alone, and is still better there; so is the trigram on two
of them: this model gave its weights to everyday talk. Each later demo began with the weights of the one before; all
are in the history.

{perplexities(measured)}

## Size and training

vocabulary {shape["vocab_size"]:,}, d model {shape["d_model"]}, heads {shape["encoder_attention_heads"]}, ffn
{shape["encoder_ffn_dim"]}, encoder layers {shape["encoder_layers"]}, decoder layers {shape["decoder_layers"]},
positions {LONGEST_CONTEXT} (what was trained). Weights in float16,
{(folder / "model.safetensors").stat().st_size:,} bytes. It was trained in the dialect `parlai`: decoder embeddings
scaled, states at pads zeroed, turns joined by newlines, persona lines first.

It learned from {talks:,} conversations of everyday small talk, written by language models for this project; from
{learned:,} of its own earlier replies, which language models judged and corrected; from made-up
talks in which names, places and things are exchanged, so that only copying answers; and from the three older
corpora: BYU chitchat-dataset (MIT), Edinburgh self-dialogue corpus (BSD 3-Clause) and Synthetic-Persona-Chat
(CC BY 4.0). Embeddings of new words began with GloVe 6B vectors (public domain). Notices and licences are in
`LICENSES.txt`; the recipe, and how to repeat it, in `tools/demo/README.md`.
"""


def parameters(folder: Path) -> int:
    """How many weights there are, the output's bias, which is zero, apart."""
    from safetensors.numpy import load_file

    weights = load_file(folder / "model.safetensors")
    return sum(weight.size for name, weight in weights.items() if name != "final_logits_bias")
