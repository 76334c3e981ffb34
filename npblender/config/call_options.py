"""The types of what a caller may write for a setting of `generate`, for type checkers and editors.

`SearchOptions` has a key for every row of `generation_options`, in its order and with the type that its kind names;
`python -m tools settings --write-docs` writes these lines, and a test compares them. Nothing here runs: what a value
must be is checked in `option_kinds`. NumPy's numbers and arrays are values like Python's own.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias, TypedDict

import numpy as np
from numpy.typing import NDArray

Switch: TypeAlias = "bool | np.bool_"
Whole: TypeAlias = "int | np.integer[Any]"
Real: TypeAlias = "float | np.floating[Any] | np.integer[Any]"
WholeNumbers: TypeAlias = "Sequence[Whole] | NDArray[Any]"
EarlyStopping: TypeAlias = "Switch | Literal['never']"
Texts: TypeAlias = "str | Sequence[str]"
Decay: TypeAlias = "Sequence[Real]"  # [start, factor]
Phrases: TypeAlias = "Sequence[WholeNumbers] | NDArray[Any]"
PhrasesOrChoices: TypeAlias = "Sequence[WholeNumbers | Sequence[WholeNumbers]] | NDArray[Any]"
Biases: TypeAlias = "Sequence[Sequence[Any]] | Mapping[Any, Real]"  # [[token ids, bias], ...] or {token ids: bias}


class SearchOptions(TypedDict, total=False):
    """The settings of a call, by name; None switches one off."""

    # A line for each row of the table:
    max_length: Whole | None
    max_new_tokens: Whole | None
    min_length: Whole | None
    min_new_tokens: Whole | None
    early_stopping: EarlyStopping | None
    max_time: Real | None
    stop_strings: Texts | None
    do_sample: Switch | None
    num_beams: Whole | None
    num_beam_groups: Whole | None
    penalty_alpha: Real | None
    use_cache: Switch | None
    prompt_lookup_num_tokens: Whole | None
    max_matching_ngram_size: Whole | None
    beam_delay: Whole | None
    temperature: Real | None
    top_k: Whole | None
    top_p: Real | None
    min_p: Real | None
    typical_p: Real | None
    epsilon_cutoff: Real | None
    eta_cutoff: Real | None
    diversity_penalty: Real | None
    repetition_penalty: Real | None
    encoder_repetition_penalty: Real | None
    length_penalty: Real | None
    no_repeat_ngram_size: Whole | None
    encoder_no_repeat_ngram_size: Whole | None
    beam_block_full_context: Switch | None
    bad_words_ids: Phrases | None
    force_words_ids: PhrasesOrChoices | None
    sequence_bias: Biases | None
    suppress_tokens: WholeNumbers | None
    begin_suppress_tokens: WholeNumbers | None
    forced_bos_token_id: Whole | None
    forced_eos_token_id: Whole | WholeNumbers | None
    exponential_decay_length_penalty: Decay | None
    renormalize_logits: Switch | None
    remove_invalid_values: Switch | None
    num_return_sequences: Whole | None
    output_attentions: Switch | None
    output_hidden_states: Switch | None
    output_scores: Switch | None
    output_logits: Switch | None
    pad_token_id: Whole | None
    bos_token_id: Whole | None
    eos_token_id: Whole | WholeNumbers | None
    decoder_start_token_id: Whole | WholeNumbers | None


class CallOptions(SearchOptions, total=False):
    """All of them: `SearchOptions`, and the one that decides what `generate` returns."""

    return_dict_in_generate: Switch | None


class LoadOptions(CallOptions, total=False):
    """Settings, and what finds a model by its name on the Hub: `DOWNLOAD` of json_files.py."""

    revision: str | None
    cache_dir: str | os.PathLike[str] | None
    local_files_only: bool
    token: str | bool | None
    force_download: bool
    subfolder: str
