"""The samples of every step: everyday talks, made-up ones, and the older corpora, drawn by seeds alone.

A *shelf* is `SHELF` batches drawn together, sorted by length so that a batch has little padding, and shuffled. What a
step reads depends on its number and the recipe only, so a training that was stopped goes on with the same batches.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tools.demo import made_up
from tools.demo.everyday import PERSONA, THREADS, Everyday, exchanges, heard, is_bots, kept_share, persona_lines
from tools.demo.exchange import exchange
from tools.demo.own import Own
from tools.demo.pieces import END, START, Cutter, name_parts
from tools.demo.recipe import BATCH, SHELF, Recipe
from tools.demo.samples import Samples, in_passes, join, pad

LONGEST_REPLY = 40  # tokens, the end included
RARER = 200  # ids below are marks and letters
OLD = ("chitchat", "self_dialogue", "persona")
_FEELINGS = ("feelings", "short_feelings")
_PLAIN_FEELINGS = ("plain_feelings", "plain_moods")  # what the files' names begin with
_LATE = ("_third", "_fourth")  # plain files that the demo before was the first to read
_NEWEST = ("_fifth", "_sixth", "_seventh", "_eighth", "_ninth")  # and those that it has not read
_TO_THE_BOT = (
    "greetings_and_identity",
    "plain_questions",
    "plain_questions_more",
    "plain_questions_third",
    "plain_questions_sixth",
    "short_questions_to_the_bot",
)
PERSON = f"{PERSONA}i am a person."  # before replies of people, which are not Pip's

Pair = tuple[list[int], list[int]]  # context and reply


@dataclass(frozen=True)
class Batch:
    """Ids [B, S] of contexts, and [B, T] of replies between their start and their end; 0 is padding."""

    source: np.ndarray
    target: np.ndarray


def alike(pairs: Sequence[Pair], rng: random.Random, groups: int = 8) -> list[list[Pair]]:
    """Batches of pairs whose contexts are about as long, and their replies: sorted by the one, then by the other."""
    ordered = sorted(pairs, key=lambda pair: (len(pair[0]), rng.random()))
    size = len(ordered) // groups
    out = []
    for i in range(0, len(ordered), size):
        group = sorted(ordered[i : i + size], key=lambda pair: (len(pair[1]), rng.random()))
        out += [group[k : k + BATCH] for k in range(0, len(group), BATCH)]
    rng.shuffle(out)
    return out


class Mixture:
    """Everything that can be drawn, and how a sample of each kind is made."""

    def __init__(
        self, talks: Sequence[Everyday], old: Samples, cut: Cutter, recipe: Recipe, own: Own | None = None
    ) -> None:
        self._recipe, self._cut, self._old, self._own = recipe, cut, old, own or {}
        self._talks = [talk for talk in talks if talk.part == "train"]
        places = [(n, i) for n, talk in enumerate(self._talks) for i in range(len(talk.turns)) if is_bots(i)]
        order = random.Random(recipe.seed).sample(range(len(places)), len(places))
        self._everyday = [places[i] for i in order]
        self._shares = kept_share([heard(self._talks[n].turns[: i + 1])[i] for n, i in self._everyday])
        self._exchanges = exchanges(self._talks)
        self._lines = sorted({line for talk in self._talks for line in talk.persona})
        self._plain = [n for n, talk in enumerate(self._talks) if not talk.persona]
        self._words = [word for word in cut.ids if word.isalpha() and len(word) > 2]
        self._parts = name_parts(cut)
        self._brackets = {cut.ids[mark] for mark in "()[]{}<>"}
        self._sizes: dict[str, int] = {}
        self._rows = {corpus: np.flatnonzero(old.rows[:, 3] == i).tolist() for i, corpus in enumerate(OLD)}
        self._kinds: dict[str, Callable[[int, random.Random], Pair | None]] = {
            "everyday": self.everyday,
            "memory": self.memory,
            "persona talk": self.persona_talk,
            "echo": lambda place, rng: self._made(made_up.echo(rng, self._words), rng),
            "lookup": lambda place, rng: self._made(made_up.lookup(rng, self._words), rng),
            "pieces": self.pieces,
            "personas": self.personas,
            "danger": lambda place, rng: self._made(made_up.danger(rng, self._exchanges), rng),
            "plain": self._from("plain", sorted({t.file for t in talks if t.file.startswith("plain_")})),
            "plain third": self._from("plain third", sorted({t.file for t in talks if t.file.endswith(_LATE)})),
            "newest": self._from("newest", sorted({t.file for t in talks if t.file.endswith(_NEWEST)})),
            "threads": self._from("threads", THREADS),
            "feelings": self._from("feelings", _FEELINGS),
            "plain feelings": self._from(
                "plain feelings", sorted({t.file for t in talks if t.file.startswith(_PLAIN_FEELINGS)})
            ),
            "questions to the bot": self._from("questions to the bot", _TO_THE_BOT),
            **{corpus: self._of(corpus) for corpus in OLD},
        }
        self._persona_places = [k for k, (n, _) in enumerate(self._everyday) if self._talks[n].persona]

    def pair(self, persona: Sequence[str], turns: Sequence[str], reply: str) -> Pair | None:
        """Ids of a context and the reply to it; None for a reply that is too long."""
        said = self._cut(reply)
        if not said or len(said) >= LONGEST_REPLY:
            return None
        lines = self._cut("\n".join(persona)) if persona else []
        return join([self._cut(turn) for turn in turns], lines), [*said, END]

    def everyday(self, place: int, rng: random.Random) -> Pair | None:
        """A bot's turn of the everyday corpus after all turns before it, and at times after another talk."""
        place %= len(self._everyday)
        if rng.random() > self._shares[place]:
            return None
        return self._talk(place, rng)

    def personas(self, place: int, rng: random.Random) -> Pair | None:
        """A bot's turn of a talk with persona lines."""
        return self._talk(self._persona_places[place % len(self._persona_places)], rng)

    def _from(self, kind: str, files: Sequence[str]) -> Callable[[int, random.Random], Pair | None]:
        """A bot's turn of a talk in one of some files of the corpus."""
        places = [k for k, (n, _) in enumerate(self._everyday) if self._talks[n].file in files]
        self._sizes[kind] = len(places)
        return lambda place, rng: self._talk(places[place % len(places)], rng)

    def _talk(self, place: int, rng: random.Random) -> Pair | None:
        number, turn = self._everyday[place]
        talk = self._talks[number]
        recipe = self._recipe
        things = recipe.exchange_persona if talk.persona else recipe.exchange_things
        said = list(talk.turns[: turn + 1])
        if (own := self._own.get(talk.turns)) and rng.random() < recipe.own_replies:
            said[1:-1:2] = own[: turn // 2]
        persona, turns = exchange(talk.persona, tuple(said), rng, recipe.exchange_names, things)
        lines = persona_lines(persona)
        if rng.random() < recipe.shuffle_persona:
            rng.shuffle(lines)
        read = heard(turns)
        before = read[:-1]
        if lines and rng.random() < recipe.more_lines:
            lines.insert(rng.randint(0, len(lines)), persona_lines((rng.choice(self._lines),))[0])
        if not lines and rng.random() < recipe.after_another:
            # what was told before in a made-up talk is not always asked for: the last line decides
            made = made_up.memory(rng, self._exchanges).turns[:-2] if rng.random() < 0.5 else ()
            before = heard(made or self._talks[rng.choice(self._plain)].turns) + before
        for i in range(len(before) - 2, -1, -2):  # its own earlier turns were not always good
            if rng.random() < recipe.other_replies:
                before[i] = rng.choice(self._exchanges)[1]
        return self.pair(lines, before, read[-1])

    def memory(self, place: int, rng: random.Random) -> Pair | None:
        """A made-up talk in which something told is asked for."""
        return self._made(made_up.memory(rng, self._exchanges, self._parts), rng)

    def pieces(self, place: int, rng: random.Random) -> Pair:
        """Random pieces to be said again in order, at once or later: what a piece follows is all there is to go by."""
        size, dot = len(self._cut.ids), [self._cut.ids["."]]
        said = [rng.randrange(min(RARER, size // 2), size) for _ in range(rng.randint(2, 7))]
        told = self._cut(rng.choice(("say", "say:", "my name is", "repeat", "call me", "i am"))) + said
        told += dot if rng.random() < 0.5 else []
        if rng.random() < 0.5:
            return told, [*said, END]
        between = [self._cut(text) for _ in range(rng.choice((1, 1, 2))) for text in rng.choice(self._exchanges)]
        asked = self._cut(rng.choice(made_up.USERS["name"].asked))
        answer = self._cut(rng.choice(("your name is", "you are", "it's", "you told me your name is"))) + said
        return join([told, *between[1:], asked], []), [*answer, *dot, END]

    def persona_talk(self, place: int, rng: random.Random) -> Pair | None:
        """A made-up talk with persona lines."""
        return self._made(made_up.persona(rng, self._exchanges, self._lines), rng)

    def _made(self, talk: made_up.Talk, rng: random.Random) -> Pair | None:
        turn = rng.choice(talk.learned)
        read = heard(talk.turns[: turn + 1])
        return self.pair(persona_lines(talk.persona), read[:-1], read[-1])

    def _of(self, corpus: str) -> Callable[[int, random.Random], Pair | None]:
        rows = self._rows[corpus]

        def draw(place: int, rng: random.Random) -> Pair | None:
            row = rows[place % len(rows)]
            turns = rng.choices((1, 3, 4, 5), (0.25, 0.4, 0.2, 0.15))[0]
            said = self._old.reply(row)
            if self._brackets.intersection(said):  # some stand around a placeholder
                return None
            read = [self._old.ids("read", turn) for turn in self._old.earlier(row, turns)]
            lines = self._old.persona(row)
            if rng.random() > self._recipe.named_person:
                lines = []
            elif not lines:
                lines = self._cut(PERSON)
            return join(read, lines, 72), said

        return draw

    def size(self, kind: str) -> int:
        """How many samples one pass over a kind has."""
        sizes = {"everyday": len(self._everyday), "personas": len(self._persona_places)}
        sizes |= self._sizes
        return sizes.get(kind) or len(self._rows.get(kind, ())) or 1 << 16

    def shelf(self, number: int) -> list[Batch]:
        """The batches of one shelf."""
        wanted = SHELF * BATCH
        phase = self._recipe.phase(number * SHELF)
        rng = random.Random(f"{self._recipe.seed} {number}")
        pairs: list[Pair] = []
        counts = {kind: round(share * wanted) for kind, share in phase.shares.items()}
        counts[max(counts, key=counts.__getitem__)] += wanted - sum(counts.values())  # what rounding left over
        for kind, count in counts.items():
            pairs += self._some(kind, count, number, rng)
        batches = alike(pairs, rng)
        return [
            Batch(pad([context for context, _ in part], 8), pad([[START, *reply] for _, reply in part], 4))
            for part in batches
        ]

    def _some(self, kind: str, count: int, shelf: int, rng: random.Random) -> list[Pair]:
        """`count` samples of a kind, which go on with its pass where the shelves before stopped."""
        out: list[Pair] = []
        at, seed = self._read_before(kind, shelf), (self._recipe.seed, sum(map(ord, kind)))
        while len(out) < count:
            places = in_passes(self.size(kind), seed, at, count - len(out))
            at += len(places)
            out += [pair for place in places if (pair := self._kinds[kind](place, rng)) is not None]
        return out

    def _read_before(self, kind: str, number: int) -> int:
        """About how many places of a kind the shelves before `number` have looked at."""
        total = 0.0
        factor = 1 / (sum(self._shares) / len(self._shares)) if kind == "everyday" else 1.0
        for shelf in range(number):
            total += self._recipe.phase(shelf * SHELF).shares.get(kind, 0.0) * SHELF * BATCH * factor
        return round(total)
