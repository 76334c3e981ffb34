"""Explains one reply of a conversation: its source with every piece, under the model's dialect and the others."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from npblender.chat import history
from npblender.chat.explanation.explanation import Explanation, in_dialects
from npblender.chat.explanation.pieces import Piece, last_pieces, pieces_of, special_piece
from npblender.chat.explanation.searching import Asked
from npblender.chat.history import FittedSource, Ids, Turn
from npblender.chat.replies import make_settings
from npblender.config.dialect import Dialect
from npblender.models import BlenderbotSmallForConditionalGeneration
from npblender.tokenizer import BlenderbotSmallTokenizer
from npblender.tokenizer.pretokenize import NEWLINE

if TYPE_CHECKING:
    from npblender.chat.conversation import Conversation


def explain_turn(conversation: Conversation, turn: int, dialects: Sequence[str | Dialect] | str | None) -> Explanation:
    """Explain one of the model's turns; see `Conversation.explain`."""
    turns = conversation.turns
    if not -len(turns) <= turn < len(turns):
        raise ValueError(f"there is no turn {turn}: the conversation has {len(turns)}")
    said, before = turns[turn], turns[: turn % len(turns)]
    if said.speaker != "model":
        raise ValueError(f"turn {turn} is the user's; explain one of the model's replies")
    if not before:
        raise ValueError(f"turn {turn} is the first one, so it replies to nothing")

    def ask(model: BlenderbotSmallForConditionalGeneration, tokenizer: BlenderbotSmallTokenizer) -> Asked:
        settings = make_settings(conversation.profile, model, conversation.settings)
        source = conversation.source_of(tokenizer, before)
        pieces = source_pieces(conversation, tokenizer, before, source)
        own = tokenizer is conversation.tokenizer
        return Asked(
            model,
            tokenizer,
            pieces,
            settings.plan,
            settings.options,
            processors=conversation.processors(),
            reply=reply_ids(conversation, said, last=said is turns[-1]) if own else None,
        )

    return in_dialects(before[-1].text, conversation.model, conversation.tokenizer, dialects, ask)


def reply_ids(conversation: Conversation, said: Turn, *, last: bool) -> Ids:
    """The ids of a reply, its start and end included: as the search found it, or as its words are encoded."""
    reply = conversation.last_reply
    if last and reply is not None and reply.raw == said.raw:
        return reply.ids
    config, newline = conversation.model.config, history.find_token(conversation.tokenizer, NEWLINE)
    edges = [() if each is None else (each,) for each in (config.decoder_start_token_id, config.eos_token_id)]
    return (
        *edges[0],
        *history.encode_parts(conversation.tokenizer, history.turn_parts(said, newline), newline),
        *edges[1],
    )


def source_pieces(
    conversation: Conversation, tokenizer: BlenderbotSmallTokenizer, turns: Sequence[Turn], source: FittedSource
) -> tuple[Piece, ...]:
    """The pieces of a fitted source: persona lines, turns and what separates them. Their ids are the source's."""
    profile = conversation.profile
    between, after = (
        [special_piece(tokenizer, index) for index in history.separator_ids(tokenizer, names)]
        for names in (profile.between, profile.after)
    )
    cut = partial(pieces_of, tokenizer, typed=True)
    persona = [history.join(map(cut, history.persona_parts(line)), ()) for line in conversation.persona]
    newline = history.find_token(tokenizer, NEWLINE)
    breaks = () if newline is None else (special_piece(tokenizer, newline),)
    spoken = [
        history.join(map(cut, history.turn_parts(turn, newline)), breaks) for turn in turns[source.dropped_turns :]
    ]
    length = sum(len(piece.ids) for piece in spoken[0])
    spoken[0] = last_pieces(spoken[0], length - source.cut_tokens)
    pieces = history.join([*persona, *spoken], between) + tuple(after)
    assert tuple(index for piece in pieces for index in piece.ids) == source.ids
    return pieces
