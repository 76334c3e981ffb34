"""Settings that are refused: of a model, of a search, in a file or in a call, each with a word that was said of it."""

from __future__ import annotations

from typing import Any

import numpy as np

GENERATION: list[tuple[str, Any, str]] = [
    *((name, 0, "at least 1") for name in ("max_length", "max_new_tokens", "num_beams", "num_return_sequences")),
    *((name, -1, "at least 0") for name in ("min_length", "top_k", "no_repeat_ngram_size", "beam_delay")),
    *((name, 2.5, "whole number") for name in ("max_length", "num_beams", "top_k")),
    *((name, True, "whole number") for name in ("max_length", "num_beams", "top_k")),
    *((name, 1.01, "between 0 and 1") for name in ("top_p", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff")),
    *((name, float("nan"), "not nan") for name in ("temperature", "length_penalty", "top_p")),
    *((name, "1", "number") for name in ("temperature", "num_beams", "length_penalty")),
    *((name, 1, "true or false") for name in ("do_sample", "use_cache", "output_scores")),
    *((name, -1, "None stands for no such token") for name in ("pad_token_id", "eos_token_id", "forced_bos_token_id")),
    *((name, [2, "3"], "token id") for name in ("eos_token_id", "suppress_tokens")),
    ("pad_token_id", [0], "token id"),
    ("suppress_tokens", 4, "list of token ids"),
    ("early_stopping", "always", '"never"'),
    ("stop_strings", ["a", ""], "empty text"),
    ("stop_strings", 4, "text"),
    ("bad_words_ids", [5], "list of token ids"),
    ("bad_words_ids", [[]], "empty list"),
    ("bad_words_ids", "ab", "list of lists"),
    ("force_words_ids", [[[]]], "empty list"),
    ("sequence_bias", [[5, 1.0]], "list of token ids"),
    ("sequence_bias", [[[5], "1"]], "number"),
    ("sequence_bias", [[[5]]], "pairs"),
    ("exponential_decay_length_penalty", [5], "pair"),
    ("exponential_decay_length_penalty", [-5, 1.0], "start"),
    ("exponential_decay_length_penalty", [5, None], "factor"),
    ("guidance_scale", 1.5, "not covered"),
    ("token_healing", True, "not covered"),
    ("watermarking_config", {"bias": 2.0}, "not covered"),
    ("dola_layers", "high", "not covered"),
    ("constraints", [1], "not covered"),
    ("forced_decoder_ids", [[1, 2]], "not covered"),
    ("top_h", 0.5, "not covered"),
]
"""Settings of generation_config.json, one at a time."""

TRANSFORMERS_DEFAULTS = {
    "vocab_size": 50265,
    "max_position_embeddings": 512,
    "encoder_layers": 8,
    "encoder_ffn_dim": 2048,
    "encoder_attention_heads": 16,
    "decoder_layers": 8,
    "decoder_ffn_dim": 2048,
    "decoder_attention_heads": 16,
    "encoder_layerdrop": 0.0,
    "decoder_layerdrop": 0.0,
    "use_cache": True,
    "is_encoder_decoder": True,
    "activation_function": "gelu",
    "d_model": 512,
    "dropout": 0.1,
    "attention_dropout": 0.0,
    "activation_dropout": 0.0,
    "init_std": 0.02,
    "decoder_start_token_id": 1,
    "scale_embedding": False,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "forced_eos_token_id": 2,
    "is_decoder": False,
    "tie_word_embeddings": True,
    # of the base class, which the forward pass reads
    "output_attentions": False,
    "output_hidden_states": False,
    "return_dict": True,
}

SIZES = [name for name, value in TRANSFORMERS_DEFAULTS.items() if type(value) is int and not name.endswith("_id")]
PROBABILITIES = [name for name in TRANSFORMERS_DEFAULTS if name.endswith(("dropout", "layerdrop"))]
SWITCHES = [name for name, value in TRANSFORMERS_DEFAULTS.items() if type(value) is bool]
IDS = [name for name in TRANSFORMERS_DEFAULTS if name.endswith("_id")]

CONFIG: list[tuple[str, Any, str]] = [
    *((name, value, "at least 1") for name in SIZES for value in (0, -3)),
    *((name, value, "whole number") for name in SIZES for value in (True, 8.0, "8", None)),
    *((name, value, "between 0 and 1") for name in PROBABILITIES for value in (-0.1, 1.5, float("nan"))),
    *((name, value, "a number") for name in PROBABILITIES for value in (True, "0.1", None)),
    *((name, value, "true or false") for name in SWITCHES for value in (1, "true", None)),
    *((name, value, "leaves the ids 0 to 50264") for name in IDS for value in (-1, 50265)),
    *((name, value, "token id") for name in IDS for value in (True, "2", 2.0)),
    ("eos_token_id", [2, -1], "leaves the ids"),
    ("pad_token_id", [0], "token id"),
    ("init_std", -0.02, "at least 0"),
    ("init_std", float("inf"), "finite"),
    ("encoder_attention_heads", 7, "d_model 512 is not divisible by encoder_attention_heads 7"),
    ("decoder_attention_heads", 48, "d_model 512 is not divisible by decoder_attention_heads 48"),
    ("activation_function", "tanh", "gelu, relu, silu, gelu_new"),
    ("activation_function", "gelu_fast", "gelu, relu, silu, gelu_new"),
    ("activation_function", None, "gelu, relu, silu, gelu_new"),
    ("model_type", "bart", "'blenderbot-small'"),
    ("model_type", "blenderbot", "'blenderbot-small'"),
    ("npblender_dialect", 4, "dialect's name"),
    ("tie_word_embeddings", False, "only true"),
    ("layernorm_variant", "prelayernorm", "'xlm'"),
    ("layernorm_variant", "aiayn", "'xlm'"),
    ("do_blenderbot_90_layernorm", False, "only True"),
    ("normalize_before", True, "only False"),
    ("normalize_before", 1, "only False"),
    ("normalize_embedding", False, "only True"),
    ("static_position_embeddings", True, "only False"),
    ("extra_pos_embeddings", 2, "only 0"),
    ("extra_pos_embeddings", False, "only 0"),
    ("add_bias_logits", True, "only False"),
    ("add_final_layer_norm", True, "only False"),
    ("tie_encoder_decoder", True, "only False"),
    ("layer_norm_eps", 1e-12, "only 1e-05"),
    ("pruned_heads", {"0": [1]}, "every head is there"),
    ("quantization_config", {"bits": 4}, "plain floats"),
]
"""Fields of config.json, one at a time."""

SOURCE = [[5, 6, 7]]

REFUSED: list[tuple[str, dict[str, Any], str]] = [
    # unknown, or nothing that this search uses
    ("transformers-5", {"num_beam": 3}, r"no option 'num_beam'; did you mean num_beams\? There are bad_words_ids"),
    ("parlai", {"nonsense": 3}, "no option 'nonsense'; There are"),
    ("transformers-5", {"temperature": 0.5}, "temperature=0.5 is not used by greedy search, .* it uses .*min_length"),
    ("transformers-4", {"top_k": 5}, "top_k=5 is not used by greedy search"),
    ("transformers-5", {"early_stopping": True}, "early_stopping=True is not used by greedy search"),
    ("transformers-5", {"length_penalty": 0.5}, "length_penalty=0.5 is not used"),
    ("transformers-5", {"num_beams": 3, "top_p": 0.5}, "top_p=0.5 is not used by beam search"),
    ("transformers-5", {"do_sample": True, "penalty_alpha": 0.5}, "penalty_alpha=0.5 is not used by sampling"),
    ("transformers-5", {"num_beams": 3, "diversity_penalty": 0.5}, "diversity_penalty=0.5 is not used by beam search"),
    ("transformers-5", {"beam_delay": 3}, "beam_delay=3 is not used"),
    ("transformers-5", {"num_beams": 3, "prompt_lookup_num_tokens": 3}, "prompt_lookup_num_tokens=3 is not used"),
    ("transformers-5", {"max_matching_ngram_size": 2}, "max_matching_ngram_size=2 is not used by greedy"),
    ("parlai", {"early_stopping": True}, "early_stopping=True is not used by beam search in ParlAI's way"),
    ("parlai", {"forced_eos_token_id": 2}, "forced_eos_token_id=2 is not used"),
    ("parlai", {"num_beams": 4, "num_beam_groups": 2}, "num_beam_groups=2 is not used"),
    ("parlai", {"force_words_ids": [[5]]}, "force_words_ids=.* is not used"),
    ("parlai", {"penalty_alpha": 0.5}, "penalty_alpha=0.5 is not used"),
    ("parlai", {"prompt_lookup_num_tokens": 2}, "prompt_lookup_num_tokens=2 is not used"),
    ("parlai", {"top_k": 5}, "top_k=5 is not used by beam search in ParlAI's way"),
    ("parlai", {"stop_strings": "x"}, "stop_strings='x' is not used"),
    ("parlai", {"repetition_penalty": 1.2}, "repetition_penalty=1.2 is not used"),
    # not together
    ("transformers-5", {"output_scores": True}, "also pass return_dict_in_generate=True"),
    ("transformers-5", {"num_return_sequences": 2}, "num_return_sequences=2 .*greedy"),
    ("transformers-5", {"num_beams": 2, "num_return_sequences": 3}, "needs as many beams"),
    ("transformers-5", {"force_words_ids": [[5]]}, "need a beam search: give num_beams"),
    ("transformers-5", {"num_beams": 2, "force_words_ids": [[5]], "do_sample": True}, "not go together with do_sample"),
    ("transformers-5", {"num_beams": 5, "num_beam_groups": 2, "diversity_penalty": 1.0}, "must be a multiple"),
    ("transformers-5", {"num_beams": 4, "num_beam_groups": 2}, "diversity_penalty must be above 0"),
    (
        "transformers-5",
        {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 1.0, "do_sample": True},
        "do_sample=True draws",
    ),
    ("transformers-5", {"penalty_alpha": 0.5, "use_cache": False}, "use_cache=False is not for it"),
    ("transformers-5", {"do_sample": True, "temperature": 0.0}, "temperature must be above 0"),
    ("transformers-5", {"forced_bos_token_id": 5, "suppress_tokens": [4, 5]}, r"forces \[5\], and suppress_tokens"),
    ("parlai", {"do_sample": True, "top_k": 5, "top_p": 0.5}, "give the other its neutral value"),
    ("parlai", {"eos_token_id": [2, 3]}, r"ends at one eos_token_id, not at \[2, 3\]"),
    ("parlai", {"eos_token_id": None}, r"ends at one eos_token_id, not at \[\]"),
    ("parlai", {"num_beams": 5000}, "to be filled from the"),
    # not in this model
    ("transformers-5", {"bad_words_ids": [[5, 9999]]}, "bad_words_ids holds 9999, which is no token"),
    ("transformers-5", {"suppress_tokens": [9999]}, "suppress_tokens holds 9999"),
    ("transformers-5", {"sequence_bias": [[[9999], 1.0]]}, "sequence_bias holds 9999"),
    ("parlai", {"bad_words_ids": [[9999]]}, "bad_words_ids holds 9999"),
    ("transformers-5", {"eos_token_id": 9999}, "eos_token_id holds 9999"),
    ("transformers-5", {"forced_eos_token_id": [2, 9999]}, "forced_eos_token_id holds 9999"),
    # values
    ("transformers-5", {"num_beams": 0}, "num_beams must be at least 1"),
    ("transformers-5", {"max_length": 1}, "nothing is left to generate"),
    ("transformers-5", {"max_length": 2000}, "does not fit the model's .* positions"),
    ("parlai", {"max_new_tokens": 2000}, "does not fit the model's .* positions"),
]
"""Options of `generate`, by dialect."""

GIVEN: list[tuple[str, dict[str, Any], str]] = [
    ("transformers-5", {"seed": 3}, "seed=3 would not be used: greedy search draws nothing"),
    ("parlai", {"seed": 3, "num_beams": 2}, "seed=3 would not be used"),
    ("transformers-5", {"seed": "3", "do_sample": True}, "seed must be a whole number or a numpy.random.Generator"),
    ("transformers-5", {"stop_strings": "x"}, "pass tokenizer="),
    ("transformers-5", {"tokenizer": object()}, "tokenizer is used by stop_strings only"),
    ("parlai", {"stopping_criteria": [lambda ids, scores: False]}, "stopping_criteria: a search in ParlAI's way"),
    ("transformers-5", {"decoder_attention_mask": [[1]]}, "masks decoder_input_ids, and none were given"),
    ("transformers-5", {"decoder_input_ids": [[1, 5], [1, 6]]}, "have 2 rows, the source 1"),
    ("transformers-5", {"decoder_input_ids": [[1, 9999]]}, "decoder_input_ids hold 9999"),
    ("transformers-5", {"attention_mask": [[1, 1]]}, "attention_mask must have shape"),
    ("transformers-5", {"input_ids": SOURCE}, "'inputs' is another name for 'input_ids'"),
    ("transformers-5", {"inputs_embeds": np.zeros((1, 2, 3))}, "exactly one of input_ids and inputs_embeds"),
    ("transformers-5", {"past_key_values": None}, "no option 'past_key_values'"),
]
"""Other arguments of `generate`, by dialect."""
