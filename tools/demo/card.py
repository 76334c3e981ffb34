"""The demo's card (`README.md`), written from what was counted and measured; no number is typed in.

Judgements of replies are kept in `judgements.json` by line and reply: a changed reply has none.
"""

import json
from pathlib import Path

from . import made, prepare, samples
from .card_training import kinds, parts, records, stages
from .corpus import FILES, HELD_OUT_SHARE
from .lines import GENERATION
from .recipe import MEAN
from .tables import cell, table

JUDGEMENTS = Path(__file__).with_name("judgements.json")
TITLES = {
    "chitchat": "BYU chitchat-dataset 0.9.0, MIT, (c) 2019 Perception, Control and Cognition Lab",
    "self_dialogue": "Edinburgh self-dialogue corpus (Fainberg et al. 2018), BSD 3-Clause, (c) 2017 its authors",
    "persona": "Synthetic-Persona-Chat (Jandaghi et al. 2023, arXiv:2312.10007), CC BY 4.0",
}
CRITERION = (
    "*Grammatical*: it would pass unmarked in a chat; clipped answers pass, a missing or wrong word does not. "
    "*To the point*: it answers what was asked or takes up what was said, and contradicts neither it nor itself."
)


def judgements(kind: str) -> list[list]:
    """What was judged: of "openings" (line, reply, grammatical, apt), of "conversations" (number, line, reply, apt).

    Of lines read "alone" as of the conversations that they are from.
    """
    kept: list[list] = json.loads(JUDGEMENTS.read_text())[kind]
    return kept


def openings(result: dict) -> tuple[str, str]:
    """The table of openings with the judgements, and the count below it."""
    judged = {(line, reply): marks for line, reply, *marks in judgements("openings")}
    rows, marks = [], []
    for topic, pairs in result["openings"].items():
        for line, reply in pairs:
            marks.append(judged.get((line, reply), [None, None]))
            rows.append([topic, cell(line), cell(reply), *map(word, marks[-1])])
    replies = {row[2] for row in rows}
    good, apt = (sum(bool(m[i]) for m in marks) for i in (0, 1))
    count = f"Of {len(rows)}: {good} grammatical, {len(replies)} different, {apt} to the point."
    if any(None in m for m in marks):
        count += f" {sum(None in m for m in marks)} replies have not been judged."
    return table(["topic", "line", "reply", "grammatical", "to the point"], rows), count


def data(counts: dict) -> str:
    """What was read, dropped and learned from."""
    rows = []
    for name in FILES:
        if name in counts["turns"]:
            dropped = counts["dropped turns"][name]
            learned = counts["train"]["replies"].get(name, 0)
            numbers = [counts["conversations"][name], counts["turns"][name], sum(dropped.values()), learned]
            rows.append([TITLES[name], *numbers])
    reasons = sorted({r for d in counts["dropped turns"].values() for r in d})
    dropped_rows = [[r, *(counts["dropped turns"].get(n, {}).get(r, 0) for n in FILES)] for r in reasons]
    return "\n\n".join(
        (
            table(["corpus", "conversations", "turns", "dropped turns", "replies learned from"], rows),
            "Turns dropped, by reason:",
            table(["reason", *FILES], dropped_rows),
            f"Besides, {counts['train']['replies without a sentence that fits']:,} replies whose first sentence is "
            f"longer than {prepare.LONGEST_REPLY} tokens, and {counts['train']['repeated replies left out']:,} that "
            f"had been learned from {prepare.SAME_REPLY_AT_MOST} times already, are read as context only.",
        )
    )


def perplexities(measured: dict) -> str:
    """One column a corpus, one row a model."""
    names = dict.fromkeys(key for row in measured.values() for key in row)
    return table(["", *measured], [[name, *(row.get(name, "-") for row in measured.values())] for name in names])


def verdict(measured: dict) -> str:
    """Where this model is better than every baseline, and where it is not, in words.

    >>> verdict({"a": {"tokens": 9, "bigram": 8.0, "this model": 6.0}, "b": {"bigram": 5.0, "this model": 6.0}})
    'This model is better than every baseline on a. On b the best baseline is still better by 17 %.'
    """
    best = {
        name: min(v for key, v in row.items() if key not in ("replies", "tokens") and "this model" not in key)
        for name, row in measured.items()
    }
    ahead = [name for name, row in measured.items() if row["this model"] < best[name]]
    words = [f"This model is better than every baseline on {' and '.join(ahead) or 'none of them'}."]
    for name in measured:
        if name not in ahead:
            behind = 1 - best[name] / measured[name]["this model"]
            words.append(f"On {name} the best baseline is still better by {behind:.0%}.".replace("%", " %"))
    return " ".join(words)


def talks(result: dict) -> tuple[str, str]:
    """The conversations, each line with the reply to all of it and to the line alone, each judged; and the counts."""
    judged, judged_alone = (
        {(number, line, reply): apt for number, line, reply, apt in judgements(kind)}
        for kind in ("conversations", "alone")
    )
    blocks, marks, marks_alone = [], [], []
    for number, (talk, alone) in enumerate(zip(result["conversations"], result["alone"], strict=True), start=1):
        rows: list[list[object]] = []
        for (line, reply), other in zip(talk, alone, strict=True):
            marks.append(judged.get((number, line, reply)))
            marks_alone.append(judged_alone.get((number, line, other)))
            rows.append([cell(line), cell(reply), word(marks[-1]), cell(other), word(marks_alone[-1])])
        head = ["line", "reply", "to the point", "to the line alone", "to the point"]
        blocks.append(f"Conversation {number}:\n\n{table(head, rows)}")
    count = (
        f"Of {len(marks)} replies {marks.count(True)} are to the point; "
        f"of those to the same lines, each read alone, {marks_alone.count(True)}."
    )
    if missing := (marks + marks_alone).count(None):
        count += f" {missing} have not been judged."
    return "\n\n".join(blocks), count


def word(mark: bool | None) -> str:
    """A judgement as it is printed."""
    return "not judged" if mark is None else "yes" if mark else "no"


def card(work: Path, folder: Path) -> str:
    """The card's text."""
    counts = json.loads((work / "counts.json").read_text())
    result = json.loads((work / "evaluation.json").read_text())
    shape, replies = records(work)[-1]["shape"], result["replies"]
    opened, count = openings(result)
    talked, talked_count = talks(result)
    sizes = ", ".join(f"{key.replace('_', ' ')} {shape[key]:,}" for key in shape if key not in ("dropout", "positions"))
    settings = ", ".join(f"`{key}` {value}" for key, value in GENERATION.items())
    examples = [[c, cell(" / ".join(t)), cell(reply), cell(own)] for c, t, own, reply in result["examples"]]
    return f"""# The demo model

A BlenderbotSmall of {result["parameters"]:,} parameters, trained from nothing by `python -m tools demo` on open
dialogue corpora, so that `npblender chat` answers without a download. It shows that everything works; it knows little.
This page is written by `python -m tools demo card`. Its numbers are measured by `python -m tools demo evaluate` on the
float16 weights in this folder, with npblender.

## Size

{sizes}, positions {samples.LONGEST_CONTEXT} (what was trained).
Weights in float16, {(folder / "model.safetensors").stat().st_size:,} bytes. It was trained in the dialect `parlai`:
decoder embeddings scaled, states at pads zeroed, turns joined by newlines.

## Data and licences

{data(counts)}

The licences' texts and the attributions are in `LICENSES.txt`. Held out and never trained on: the synthetic corpus'
`split: test`, and a seeded {HELD_OUT_SHARE:.0%} of the conversations of each other corpus.

Turns with profanity, slurs and other unfit words, postal addresses, telephone numbers, e-mail and web addresses,
handles, placeholders and markup are dropped, and so are very long, upper-case and non-English ones; a conversation is
cut in two where a turn is missing. Placeholders for names in the synthetic corpus became first names. All text is
lower-case ASCII, and faces such as `:)` are removed. The replies that the model learns are edited besides: apostrophes
are put back (`dont`), chat spellings are written out (`u`, `idk`), empty laughter at either end is removed, an end mark
is added, and long turns are cut after the last sentence within {prepare.LONGEST_REPLY} tokens.
The held-out replies are edited alike, for this model and for the baselines.

## Training

{stages(work)}

Each stage but the first begins with weights rounded to float16, and with a fresh state of the optimiser.
There is no dropout. The first stage made the model that was shipped at first; it took 164 minutes then. The second and
the third were stopped by hand when their replies in chats showed what they lacked; what stands here is what was done.

{kinds()}

*Earlier turns exchanged*: a person's earlier turns always lead to what is said next. In a chat the model's own often do
not, and it has to learn not to go on from them. So earlier turns become turns of any other conversation or, where it
says so, what a model answers to the turn before or to another; the last turn always stays. The
*gain* of a reply is how much likelier the first stage's model finds it after its own last turn than after another one,
by the root of its length.

*Guided*: a token is the likeliest by p + guidance (p - n) among those that are likely at all. p is the mean of its
log-probabilities after the whole context and after the last turn alone, n that after the last turns of others. Such
replies are more to the point than the model's own; it learns to give them unguided. Kept are those that gain most, of
one and the same reply at most {made.SAME_AT_MOST}.

The weights in this folder are a mean of stages: {parts(MEAN)}.

## Held-out perplexity

Per token of the reply, `__end__` included. This model sees up to four turns of context, the baselines none. The
baselines are fitted on the replies that the model learned from.

{perplexities(result["perplexity"])}

{verdict(result["perplexity"])}

## Replies

Settings in `generation_config.json`: {settings}.
They were chosen by trying, on the opening lines and conversations below too, and so were the weights, among means of
the last stages: on lines that nobody has looked at it may do a little worse.

Over {replies["number"]} held-out contexts: {replies["different"]} different replies,
distinct-1 {replies["distinct-1"]:.3f}, distinct-2 {replies["distinct-2"]:.3f};
{replies["with an unknown token"]} replies with an unknown token.

### Forty openings

The lines were fixed before the training ended, and none was exchanged. {CRITERION}

{opened}

{count}

### Ten conversations

Each line of the user, and the model's reply to all that was said before; its own earlier words are part of that. The
user's lines were fixed beforehand and do not bend to what it said. *To the point* is judged as above. Beside it stands
what it replies when a line is all that it reads: whether a conversation helps it or leads it astray.

{talked}

{talked_count}

### Twenty held-out exchanges, not picked

{table(["corpus", "context", "reply", "the person's own"], examples)}

## Limits

It makes things up, agrees too easily, contradicts what it said before, takes little notice of persona lines, and speaks
only lower-case English. In a longer conversation it still goes on from its own last words at times, as the ten above
show. Small talk, films, music and sport are what it has seen. It has no knowledge and no opinions, though it claims
some. A list of words does not make it safe: do not put it before the public.
"""
