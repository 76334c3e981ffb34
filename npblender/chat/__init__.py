"""Conversations: turns in, a reply out, in the format that the model was trained with.

display, requests, profiles     text made safe to show; what may be asked; formats of a history
history, blocklist              a history as ids that fit; words that are never said
settings, replies               the search's settings; a reply, its runners-up, its words as they come
transcript, conversation        JSON in and out; `Conversation`
"""

from npblender.chat.conversation import Conversation
from npblender.chat.replies import Reply

__all__ = ["Conversation", "Reply"]
