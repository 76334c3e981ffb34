"""Conversations: turns in, a reply out, in the format that the model was trained with. In reading order:

conversation   `Conversation`: persona, turns and settings, and the next reply
history        the formats of a history, and a history as the ids of one source that fits the model
replies        settings -> one plan -> one search -> candidate replies, whole or word by word
spacing        a reply's words spaced as people write, also while its tokens arrive
blocklist      words and phrases that are never generated
transcript     a conversation as JSON
talks          many conversations in one SQLite file
explanation/   how a reply came about, as data and as one page
explaining     the same of a reply in a conversation
batch/         replies to many inputs, resumable, on many machines
serve/         replies over HTTP, for many callers at once
"""

from npblender.chat.conversation import Conversation
from npblender.chat.replies import Reply

__all__ = ["Conversation", "Reply"]
