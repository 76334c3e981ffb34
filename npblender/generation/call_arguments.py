"""The types of the keyword arguments of `generate` and `stream`, for type checkers and editors. Nothing here runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from npblender.common.array_types import Ids
from npblender.config.call_options import SearchOptions
from npblender.generation.generate import Seed, Streamer
from npblender.generation.logits.chain import Processor
from npblender.generation.stopping import Criterion
from npblender.transformer.context import Sink


class CallArguments(SearchOptions, total=False):
    """Arrays, random numbers and the hook for intermediate arrays, and every setting."""

    input_ids: Any
    full_input_ids: Any
    attention_mask: Any
    inputs_embeds: Any
    encoder_outputs: Any
    decoder_input_ids: Any
    decoder_attention_mask: Any
    head_mask: Any
    decoder_head_mask: Any
    cross_attn_head_mask: Any
    position_ids: Any
    past_key_values: Any
    seed: Seed | Any
    tap: Sink | None


class GenerateArguments(CallArguments, total=False):
    """What `generate` takes by name besides its first arguments."""

    streamer: Streamer | None
    tokenizer: Any


class StreamArguments(CallArguments, total=False):
    """What `stream` takes by name besides its first arguments."""

    logits_processor: Processor | Sequence[Processor] | None
    stopping_criteria: Criterion | Sequence[Criterion] | None
    prefix_allowed_tokens_fn: Callable[[int, Ids], Sequence[int]] | None
    return_dict_in_generate: bool | None
