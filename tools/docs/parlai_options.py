"""What each option of ParlAI's agent means here: the rows of docs/from-parlai.md.

Every row is a claim that a test makes true or false: it changes the option in the model.opt of a folder that ParlAI
saved, and reads the folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Read:
    """An option that is read from a folder: set to `value`, these names have these values."""

    here: Mapping[str, Any]
    """`config.NAME`, `generation.NAME` or `tokenizer.NAME`, and what it is then."""
    value: Any
    beside: Mapping[str, Any] = field(default_factory=dict)
    """Other options that it needs to count."""
    note: str = ""


@dataclass(frozen=True)
class Refused:
    """An option of which only ParlAI's default, or what the published model has, is covered."""

    value: Any
    """One that is refused by the option's name."""
    note: str


@dataclass(frozen=True)
class Without:
    """An option that changes no number and no text of a trained model."""

    value: Any
    note: str


TRAINING = "it is for training"
BUILDING = "it is for building a dictionary"
FACTUAL = "it is for `factual_nucleus`, which is refused"
SPEED = "it is for speed or memory on other devices"
SAMPLED = {"inference": "topk"}

TRANSFORMER: Mapping[str, Read | Refused | Without] = {
    "embedding_size": Read({"config.d_model": 24}, 24),
    "n_layers": Read(
        {"config.encoder_layers": 3, "config.decoder_layers": 3}, 3, {"n_encoder_layers": -1, "n_decoder_layers": -1}
    ),
    "ffn_size": Read({"config.encoder_ffn_dim": 40, "config.decoder_ffn_dim": 40}, 40),
    "dropout": Read({"config.dropout": 0.3}, 0.3, note="only calls with `training=True` drop anything"),
    "attention_dropout": Read({"config.attention_dropout": 0.3}, 0.3),
    "relu_dropout": Read({"config.activation_dropout": 0.3}, 0.3),
    "n_heads": Read({"config.encoder_attention_heads": 4, "config.decoder_attention_heads": 4}, 4),
    "learn_positional_embeddings": Refused(False, "positions are learned"),
    "embeddings_scale": Read({"config.scale_embedding": False}, False),
    "n_positions": Read({"config.max_position_embeddings": 80}, 80),
    "n_segments": Refused(2, "the model has no segments"),
    "variant": Refused("prelayernorm", "the model is an `xlm`"),
    "activation": Read({"config.activation_function": "relu"}, "relu"),
    "output_scaling": Refused(0.5, "outputs are not scaled"),
    "share_word_embeddings": Refused(False, "encoder, decoder and logits share one matrix"),
    "n_encoder_layers": Read({"config.encoder_layers": 4}, 4),
    "n_decoder_layers": Read({"config.decoder_layers": 4}, 4),
    "model_parallel": Without(True, SPEED),
    "checkpoint_activations": Without(True, TRAINING),
}
GENERATOR: Mapping[str, Read | Refused | Without] = {
    "beam_size": Read({"generation.num_beams": 7}, 7),
    "beam_min_length": Read({"generation.min_length": 7}, 7),
    "beam_context_block_ngram": Read({"generation.encoder_no_repeat_ngram_size": 4}, 4),
    "beam_block_ngram": Read({"generation.no_repeat_ngram_size": 4}, 4),
    "beam_block_full_context": Read({"generation.beam_block_full_context": None}, False),
    "beam_length_penalty": Read({"generation.length_penalty": 1.5}, 1.5),
    "skip_generation": Without(True, "call the model for its loss, `generate` for replies"),
    "inference": Read({"generation.do_sample": True}, "topk", note="`factual_nucleus` is refused"),
    "topk": Read({"generation.top_k": 5, "generation.do_sample": True}, 5, SAMPLED),
    "topp": Read({"generation.top_p": 0.5, "generation.top_k": 0}, 0.5, {"inference": "nucleus"}),
    "beam_delay": Read({"generation.beam_delay": 3, "generation.top_k": 10}, 3, {"inference": "delayedbeam"}),
    "lambda_decay": Without(0.5, FACTUAL),
    "omega_bound": Without(0.5, FACTUAL),
    "p_reset": Without(False, FACTUAL),
    "beam_block_list_filename": Refused("words.txt", "`Conversation(block=lines)`, or `--block words.txt`"),
    "temperature": Read({"generation.temperature": 0.5}, 0.5),
    "compute_tokenized_bleu": Without(True, "it is for evaluation"),
    "gpu_beam_blocking": Without(True, SPEED),
    "verbose_topk": Without(
        5, "`generate(output_scores=True, return_dict_in_generate=True)` has the scores of every token"
    ),
}
AGENT: Mapping[str, Read | Refused | Without] = {
    "interactive_mode": Without(True, "it is set by ParlAI's scripts"),
    "embedding_type": Without("fasttext", TRAINING),
    "embedding_projection": Without("x", TRAINING),
    "fp16": Read(
        {"config.vocab_size": 224}, True, note="the dictionary is filled up to a multiple of 8; numbers are float32"
    ),
    "fp16_impl": Without("mem_efficient", TRAINING),
    "force_fp16_tokens": Read({"config.vocab_size": 224}, True),
    "rank_candidates": Without(True, "it is for evaluation"),
    "truncate": Read(
        {"tokenizer.model_max_length": 33, "generation.max_length": 33},
        33,
        {"text_truncate": None, "label_truncate": None},
    ),
    "text_truncate": Read({"tokenizer.model_max_length": 33}, 33),
    "label_truncate": Read({"generation.max_length": 9}, 9),
    "history_reversed": Refused(True, "turns are in order"),
    "history_size": Refused(2, "all turns are kept that fit; `Conversation` drops whole ones, the earliest first"),
    "person_tokens": Refused(True, "the model knows none"),
    "split_lines": Refused(True, "a turn is one text"),
    "use_reply": Refused("none", "a conversation has both sides; leave turns out with `Conversation.turns`"),
    "add_p1_after_newln": Without(True, "it is for `person_tokens`, which are refused"),
    "delimiter": Refused("\\n", "turns are joined by a line's end, as the model was trained"),
    "history_add_global_end_token": Refused("end", "the model was trained without one"),
    "special_tok_lst": Refused("a,b", "`tokenizer.add_special_tokens` adds tokens"),
    "gpu": Without(0, SPEED),
    "no_cuda": Without(False, SPEED),
}
OPTIMIZER: Mapping[str, Read | Refused | Without] = {
    "optimizer": Without("adam", TRAINING),
    **dict.fromkeys(
        ("learningrate", "gradient_clip", "adam_eps", "momentum", "weight_decay", "lr_scheduler_decay", "warmup_rate"),
        Without(0.25, TRAINING),
    ),
    **dict.fromkeys(("adafactor_eps", "betas"), Without([0.1, 0.2], TRAINING)),
    "nus": Without([0.1], TRAINING),
    "nesterov": Without(False, TRAINING),
    "lr_scheduler": Without("cosine", TRAINING),
    **dict.fromkeys(
        ("lr_scheduler_patience", "invsqrt_lr_decay_gamma", "warmup_updates", "update_freq"), Without(5, TRAINING)
    ),
}
DICTIONARY: Mapping[str, Read | Refused | Without] = {
    "dict_file": Without("elsewhere.dict", "the dictionary is model.dict beside the model"),
    "dict_initpath": Without("elsewhere.dict", BUILDING),
    "dict_language": Without("french", "it is for other tokenizers"),
    "dict_max_ngram_size": Refused(2, "words are not joined"),
    "dict_minfreq": Without(3, BUILDING),
    "dict_maxtokens": Without(9, BUILDING),
    "dict_nulltoken": Read({"tokenizer.pad_token": "__p__"}, "__p__"),
    "dict_starttoken": Read({"tokenizer.bos_token": "__p__"}, "__p__"),
    "dict_endtoken": Read({"tokenizer.eos_token": "__p__"}, "__p__"),
    "dict_unktoken": Read({"tokenizer.unk_token": "__p__"}, "__p__"),
    "dict_tokenizer": Refused("gpt2", "the model has subword-nmt's `bpe`"),
    "dict_lower": Refused(False, "texts are in lower case"),
    "bpe_debug": Refused(True, "`tokenizer.tokenize` shows the pieces"),
    "dict_textfields": Without("text", BUILDING),
    "bpe_vocab": Without("vocab.json", "it is for `gpt2` and `slow_bytelevel_bpe`"),
    "bpe_merge": Without("merges.txt", "it is for `gpt2` and `slow_bytelevel_bpe`"),
    "bpe_add_prefix_space": Refused(True, "a space in front changes no id of `bpe`, and ParlAI cannot decode then"),
    "bpe_dropout": Without(0.1, TRAINING),
}
ROWS: Mapping[str, Read | Refused | Without] = {**TRANSFORMER, **GENERATOR, **OPTIMIZER, **AGENT, **DICTIONARY}
