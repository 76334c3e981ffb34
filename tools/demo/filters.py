"""Which turns may be learned from: a reason to drop a turn, or none.

A dropped turn splits its conversation in two, so that no reply is learned against a context with a hole.
It does NOT change text (see `clean`).
"""

import re
import unicodedata

from tools.demo.blocked import blocked_pattern

MOST_WORDS = 120
_BLOCKED = blocked_pattern()
_PERSONAL = re.compile(
    r"""
    [\w.+-]+\s?@\s?\w+\.\w+                     # e-mail
    | (?<!\w)@\w+                               # handles
    | https?:|www\.|\b\w+\.(?:com|org|net|edu|io|co|gov|ly|tv)\b   # web addresses
    | (?:\d[\s().-]*){7,}                       # telephone and other long numbers
    | \b\d+\s+(?:[nsew]\.?\s+)?(?:\w+\s+){1,3}(?:street|st|avenue|ave|road|rd|drive|lane|ln|boulevard|blvd|court|apt)\b
    | \b(?:apt|apartment|unit|suite|p\.?o\.?\s*box)\s*\#?\s*\d+
    | \b\d+\s+(?:north|south|east|west|n|s|e|w)\.?\s+\d+
    | \b[a-z]{2}\s+\d{5}\b                      # state and postal code
    | \b(?:my|your|his|her)\s+(?:phone\s+|cell\s+)?number\b | \b(?:text|call)\s+me\s+at\b
    | \b(?:snapchat|instagram|insta|facebook|kik|discord|skype|venmo|whatsapp)\b
    """,
    re.VERBOSE,
)
_MARKUP = re.compile(r"[{}\[\]<>|\\^~_=#]|&\w+;|\*")
_COMMON = re.compile(
    r"\b(?:a|about|all|am|an|and|any|are|at|be|but|can|did|do|don't|for|from|get|go|good|had|has|have|he|her|how|i|"
    r"i'm|if|in|is|it|it's|just|know|like|love|me|my|no|not|of|on|one|or|out|she|so|some|that|that's|the|their|them|"
    r"they|this|to|too|was|we|what|when|which|who|why|will|with|would|yeah|yes|you|your|im|dont|thats)\b"
)
_MASH = re.compile(r"\w{19,}|\b[bcdfghjklmnpqrstvwxz]{6,}\b")


def reason_to_drop(turn: str) -> str | None:
    """Why a turn as it stands in the corpus is not used; None when it may be.

    >>> reason_to_drop("I like dogs."), reason_to_drop("mail me: jo@example.org"), reason_to_drop(" {} ")
    (None, 'personal data', 'markup or placeholder')
    """
    text = unicodedata.normalize("NFKC", turn).replace("’", "'").strip()
    low = text.lower()
    letters = [c for c in text if c.isalpha()]
    words = low.split()
    if not text:
        return "empty"
    if _PERSONAL.search(low):
        return "personal data"
    if _BLOCKED.search(low):
        return "unfit word"
    if _MARKUP.search(low):
        return "markup or placeholder"
    if not letters:
        return "no letters"
    if len(words) > MOST_WORDS:
        return "too long"
    if len(letters) >= 8 and sum(c.isupper() for c in letters) > 0.6 * len(letters):
        return "capitals"
    if sum(ord(c) > 127 for c in letters) > 0.1 * len(letters) or _MASH.search(low):
        return "not English"
    if len(words) >= 6 and not _COMMON.search(low):
        return "not English"
    return None
