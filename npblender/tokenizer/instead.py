"""Names of transformers' tokenizers that mean nothing here, and what does what they are for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from npblender.common.printable import shown

_TEMPLATE = (
    "the model has no template: Conversation(model, tokenizer) writes turns as it was trained on them; in your own "
    "text join the turns by a line's end"
)
_TARGET = "text and target are cut alike: tokenizer(text, text_target=target) gives labels, too"
_EXTENDED = "added_tokens_decoder has every added token with its properties"

INSTEAD: Mapping[str, str] = {
    **dict.fromkeys(("apply_chat_template", "get_chat_template", "chat_template", "save_chat_templates"), _TEMPLATE),
    **dict.fromkeys(("encode_message_with_chat_template", "parse_response", "get_response_parser"), _TEMPLATE),
    **dict.fromkeys(("as_target_tokenizer", "prepare_seq2seq_batch"), _TARGET),
    **dict.fromkeys(("special_tokens_map_extended", "all_special_tokens_extended"), _EXTENDED),
    "push_to_hub": "nothing is uploaded from here: save_pretrained(folder) writes what `hf upload` takes",
    "backend_tokenizer": "this tokenizer is Python's; BlenderbotSmallTokenizerFast (npblender[fast]) has one",
    "train_new_from_iterator": "nothing is trained here; subword-nmt learns merges, and this class reads them",
}
"""A name in neither the class nor this table is an error as anywhere in Python."""


class Instead:
    """A tokenizer whose missing names say what to write instead."""

    if not TYPE_CHECKING:  # a type checker shall still find misspelt names

        def __getattr__(self, name: str) -> Any:
            """Say for a name of transformers that means nothing here what to write instead."""
            hint = f": {INSTEAD[name]}" if name in INSTEAD else ""
            raise AttributeError(f"{type(self).__name__} has no {shown(name)}{hint}")
