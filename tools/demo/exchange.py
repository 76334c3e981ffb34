"""Exchange names, places, animals … of a conversation for others of their kind, so that only copying is right.

One word is exchanged for the same other word throughout a conversation. Names are exchanged everywhere; words of the
other kinds only where the bot says again what it was given, since elsewhere the reply may depend on what they mean.
"""

import random
import re

from tools.demo.kinds import ALSO_WORDS, EXCHANGED, KINDS, NAMES
from tools.demo.made_up import invented_name

_MANY = [word for kind in EXCHANGED for word in KINDS[kind]]
_ONE_KIND = {word: kind for kind in EXCHANGED for word in KINDS[kind] if _MANY.count(word) == 1 and word not in NAMES}
_NAMES = frozenset(NAMES) - {"april", "may", "june"}
_WORD = re.compile(r"[A-Za-z]+")
_INSIDE = re.compile(r"(?<=[a-z,] )[A-Z][a-z]+")
_ARTICLE = re.compile(r"\b([Aa])n? (?=([A-Za-z]))")


def exchange(
    persona: tuple[str, ...], turns: tuple[str, ...], rng: random.Random, often: float = 0.85, things: float = 0.6
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Persona and turns with other names (in `often` of all cases) and other things (in `things` of them).

    >>> exchange((), ("I'm Chris.", "Hello, Chris!"), random.Random(2), often=1.0)
    ((), ("I'm neil.", 'Hello, neil!'))
    """
    whole = " \n ".join((*persona, *turns))
    found = {word.lower() for word in _WORD.findall(whole)}
    new: dict[str, str] = {}
    if rng.random() < often and "onderland" not in whole:
        inside = {word.lower() for word in _INSIDE.findall(whole)}
        for word in sorted(found & _NAMES):
            if word not in ALSO_WORDS or word in inside:  # written with a capital inside a sentence
                new[word] = invented_name(rng) if rng.random() < 0.4 else rng.choice(NAMES)
    if rng.random() < things:
        given = {word.lower() for text in (*persona, *turns[::2]) for word in _WORD.findall(text)}
        said = {word.lower() for text in turns[1::2] for word in _WORD.findall(text)}
        for word in sorted(given & said):
            stem = word if word in _ONE_KIND else word[:-1] if word.endswith("s") else ""
            if kind := _ONE_KIND.get(stem):
                if stem not in new:
                    new[stem] = rng.choice(KINDS[kind])
                if kind == "animals":
                    new[stem + "s"] = new[stem] + "s"
    if not new:
        return persona, turns

    def put(text: str) -> str:
        out = _WORD.sub(lambda word: new.get(word.group().lower(), word.group()), text)
        return _ARTICLE.sub(lambda a: a[1] + ("n " if a[2].lower() in "aeio" else " "), out) if out != text else out

    return tuple(map(put, persona)), tuple(map(put, turns))
