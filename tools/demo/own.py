"""What the network, as far as it is trained, would have said in the conversations that it learns from.

In a conversation people go on from what the bot said, good or not; in the corpus it always said something good. So the
bot's earlier turns are at times exchanged for these (see `mixture`), and what is learned is still the corpus's reply.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from npblender import BlenderbotSmallForConditionalGeneration
from tools.demo.everyday import THREADS, Everyday, heard
from tools.demo.pieces import START, Cutter
from tools.demo.replies import generated
from tools.demo.samples import join

NAME = "own.jsonl"
LEAST = 6  # turns of a conversation: in shorter ones hardly anything goes on
AT_ONCE = 192  # conversations
LONGEST = 24  # tokens of a reply

Own = dict[tuple[str, ...], list[str]]  # a conversation's turns, and a reply to each of the user's but the last


def chosen(talks: Sequence[Everyday]) -> list[Everyday]:
    """The conversations without persona lines in which the user leads for some turns, among those that are learned."""
    own = [talk for talk in talks if talk.part == "train" and talk.file in THREADS and not talk.persona]
    return [talk for talk in own if len(talk.turns) >= LEAST]


def answer(talks: Sequence[Everyday], model: BlenderbotSmallForConditionalGeneration, cut: Cutter, work: Path) -> int:
    """Let the model answer every turn but the last of the `chosen` talks, each after its own replies.

    Greedy, in batches; what is found in WORK/own.jsonl is kept. Returns the number of replies.
    """
    found = read(work)
    todo = [talk for talk in chosen(talks) if talk.turns not in found]
    for first in range(0, len(todo), AT_ONCE):
        part = todo[first : first + AT_ONCE]
        users = [heard(talk.turns)[::2] for talk in part]
        said: list[list[str]] = [[] for _ in part]
        for turn in range(max(map(len, users)) - 1):
            asked = [i for i, lines in enumerate(users) if turn < len(lines) - 1]
            contexts = []
            for i in asked:
                before = [text for pair in zip(users[i][:turn], said[i], strict=True) for text in pair]
                contexts.append(join([cut(text) for text in (*before, users[i][turn])], []))
            answers = generated(
                contexts, model, cut, num_beams=1, do_sample=False, min_length=3, max_length=LONGEST,
                decoder_start_token_id=START, no_repeat_ngram_size=3, encoder_no_repeat_ngram_size=0,
            )  # fmt: skip
            for i, text in zip(asked, answers, strict=True):
                said[i].append(text)
        with (work / NAME).open("a", encoding="ascii") as out:
            for talk, replies in zip(part, said, strict=True):
                out.write(json.dumps([talk.turns, replies]) + "\n")
        print(f"{first + len(part)} of {len(todo)} conversations", flush=True)
    return sum(map(len, read(work).values()))


def read(work: Path) -> Own:
    """The replies that `answer` wrote; none where it has not been called.

    >>> read(Path("/nowhere"))
    {}
    """
    path = work / NAME
    if not path.exists():
        return {}
    rows = map(json.loads, path.read_text(encoding="ascii").splitlines())
    return {tuple(turns): replies for turns, replies in rows}
