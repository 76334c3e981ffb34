"""Text as the demo learns it: one form for what it reads, one for what it says.

`readable` only repairs encoding and repetition, so that contexts stay close to what people type. `sayable`
also restores apostrophes, spells out chat abbreviations and closes the sentence, because what the model is
asked to predict is what it will say. Neither judges fitness (see `filters`).
"""

import re
import unicodedata

_MARKS = str.maketrans({"‘": "'", "’": "'", "´": "'", "`": "'", "“": '"', "”": '"', "–": "-", "—": "-", "…": "..."})
_FACES = re.compile(r"(?<!\w)(?:[:;=8xX][-'^o]?[)(\]\[dDpPoO/\\|3*]+|[)(][:;=]|<3+|\^_*\^|xd+)(?!\w)")
_REPAIRS = (
    (re.compile(r"\b(?:a?ha){2,}h?\b|\b(?:he){2,}\b"), "haha"),  # laughter of any length
    (re.compile(r"\bl+o+l+(?:ol)*\b"), "lol"),
    (re.compile(r"([a-z])\1{2,}"), r"\1\1"),  # "sooooo" -> "soo"
    (re.compile(r"\.{2,}"), "..."),
    (re.compile(r"([!?,])(?:\s*\1)+"), r"\1"),
    (re.compile(r"\?!+\??|!\?+"), "?"),
    (re.compile(r"\s+([.,!?])"), r"\1"),
    (re.compile(r"\s+"), " "),
)

_WORDS = {
    "im": "i'm", "ive": "i've", "dont": "don't", "cant": "can't", "wont": "won't", "didnt": "didn't",
    "doesnt": "doesn't", "isnt": "isn't", "wasnt": "wasn't", "arent": "aren't", "werent": "weren't",
    "havent": "haven't", "hasnt": "hasn't", "hadnt": "hadn't", "couldnt": "couldn't", "wouldnt": "wouldn't",
    "shouldnt": "shouldn't", "aint": "ain't", "youre": "you're", "youve": "you've", "youd": "you'd",
    "youll": "you'll", "theyre": "they're", "theyve": "they've", "theyd": "they'd", "theyll": "they'll",
    "weve": "we've", "hes": "he's", "shes": "she's", "thats": "that's", "whats": "what's", "heres": "here's",
    "theres": "there's", "wheres": "where's", "hows": "how's", "whos": "who's", "itll": "it'll", "itd": "it'd",
    "lets": "let's", "thatd": "that'd", "thatll": "that'll", "yall": "y'all",
    "u": "you", "ur": "your", "r": "are", "pls": "please", "plz": "please", "thx": "thanks", "ya": "you",
    "idk": "i don't know", "btw": "by the way", "bc": "because", "cuz": "because", "coz": "because",
    "tho": "though", "rn": "right now", "tbh": "to be honest", "ppl": "people", "prolly": "probably",
    "alot": "a lot", "abt": "about", "wanna": "want to", "gonna": "going to", "gotta": "have to",
    "kinda": "kind of", "sorta": "sort of", "lemme": "let me", "gimme": "give me", "cya": "see you",
    "definately": "definitely", "definetly": "definitely", "definatly": "definitely", "favourite": "favorite",
    "awsome": "awesome", "probly": "probably", "becuase": "because", "beleive": "believe", "freind": "friend",
    "wierd": "weird", "recieve": "receive", "untill": "until", "realy": "really", "tommorow": "tomorrow",
    "tomorow": "tomorrow", "teh": "the", "thier": "their", "intresting": "interesting", "yea": "yeah",
    "yah": "yeah", "ok": "okay", "ohh": "oh", "ahh": "ah", "soo": "so", "yess": "yes", "noo": "no", "heyy": "hey",
    "coool": "cool", "omg": "oh my gosh",
}  # fmt: skip
_NAMED = re.compile(r"(?<![\w'])(?:" + "|".join(sorted(map(re.escape, _WORDS), key=len, reverse=True)) + r")(?![\w'])")
_PHRASES = (
    (re.compile(r"\bi'm going to to\b"), "i'm going to"),
    (re.compile(r"\byou all'"), "y'all'"),
    (re.compile(r"\bcould of\b"), "could have"),
    (re.compile(r"\bshould of\b"), "should have"),
    (re.compile(r"\bwould of\b"), "would have"),
    (re.compile(r"\bhow about your$"), "how about you"),
    (re.compile(r"\b(?:haha|lol|hehe)[,.!]?\s*$"), ""),
    (re.compile(r"^(?:haha|lol|hehe)[,.!]?\s+"), ""),
    (re.compile(r"\s+(?:haha|lol)\b[,.!]?\s+"), " "),
)
_ASKS = re.compile(
    r"^(?:(?:so|and|but|oh|hey|hi|hello|well|okay|wow|yeah|nice|cool)[, ]+)*(?:what|who|where|when|why|how|which|whose|"
    r"do|does|did|is|are|was|were|can|could|would|will|have|has|should|any)\b(?:'s|'re|n't)?\s+"
    r"(?:you|your|he|she|they|it|that|this|the|are|is|do|did|does|about|kind|type|sort|time|was|were|have|can|would|"
    r"there|we|favorite|many|much|long|old|else|other|tips|plans|ideas)\b[^.!?]*$"
)


def readable(text: str) -> str:
    """The form a context has: ASCII, lower case, repeated letters and marks shortened, faces removed.

    >>> readable("Sooooo   cool!!! I’m glad :)")
    "soo cool! i'm glad"
    """
    text = unicodedata.normalize("NFKD", text.translate(_MARKS))
    text = _FACES.sub(" ", text.encode("ascii", "ignore").decode()).lower()
    for pattern, new in _REPAIRS:
        text = pattern.sub(new, text)
    return text.strip()


def sayable(text: str) -> str:
    """The form a reply has: `readable`, with apostrophes and whole words, and a mark at its end.

    >>> sayable("idk, dont u like it")
    "i don't know, don't you like it."
    >>> sayable("what do u do for fun")
    'what do you do for fun?'
    """
    text = _NAMED.sub(lambda found: _WORDS[found.group()], readable(text))
    for pattern, new in _PHRASES:
        text = pattern.sub(new, text)
    text = text.strip(" ,;-*~")
    if text and text[-1] not in ".!?":
        text = text.rstrip("'\") :") + ("?" if _ASKS.match(text) else ".")
    return text if re.search(r"\w", text) else ""


def sentences(text: str) -> list[str]:
    """The sentences of a text, marks kept.

    >>> sentences("oh no. really? yes")
    ['oh no.', 'really?', 'yes']
    """
    return [part for part in re.split(r"(?<=[.!?])\s+", text) if part]
