"""Words of a kind that stand for each other: what a conversation says of one it could say of any other.

`exchange` puts others in their place and `made_up` fills its sentences with them. Lower case; one word each, so that
a word can be exchanged without its neighbours. The words are in `kinds.json`.
"""

import json
from pathlib import Path

KINDS: dict[str, tuple[str, ...]] = {
    kind: tuple(words) for kind, words in json.loads(Path(__file__).with_name("kinds.json").read_text()).items()
}
ALSO_WORDS = frozenset(KINDS.pop("names that are words"))
NAMES = KINDS["names"]
# kinds besides names whose words are exchanged in conversations
EXCHANGED = (
    "animals",
    "foods",
    "drinks",
    "jobs",
    "hobbies",
    "colors",
    "instruments",
    "places",
    "flowers",
    "tongues",
)
