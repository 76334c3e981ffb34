"""Seeded random searches: models under which replies vary and end, sources, and options of every search.

Sizes are odd and distinct. The decoder's last norm is random in sign, so that tied embeddings do not make every token
repeat itself, and the embedding of the end token leans towards that norm's bias, so that replies end at all lengths.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

ACTIVATIONS = ("gelu", "relu", "silu", "gelu_new")
HEADS = (1, 3, 5, 7)
PAD, START, END = 0, 1, 2
WAYS = ("greedy", "sample", "beam", "beam sample", "group beam", "constrained beam", "contrastive", "lookup")


def draw_config(rng: np.random.Generator, activations: tuple[str, ...] = ACTIVATIONS) -> dict[str, Any]:
    """The content of a config.json of odd sizes; its three special ids are anywhere among the first seven."""
    while True:
        encoder_heads, decoder_heads = (int(h) for h in rng.choice(HEADS, size=2, replace=False))
        d_model = math.lcm(encoder_heads, decoder_heads) * int(rng.choice([1, 3, 5, 7]))
        if 9 <= d_model <= 63:
            break
    encoder_ffn, decoder_ffn = (int(n) for n in rng.choice(np.arange(9, 73, 2), size=2, replace=False))
    encoder_layers, decoder_layers = (int(n) for n in rng.choice([1, 2, 3, 4], size=2, replace=False))
    pad, start, end = (int(n) for n in rng.choice(7, size=3, replace=False))
    return {
        "model_type": "blenderbot-small",
        "activation_function": str(rng.choice(activations)),
        "bos_token_id": start,
        "d_model": d_model,
        "decoder_attention_heads": decoder_heads,
        "decoder_ffn_dim": decoder_ffn,
        "decoder_layers": decoder_layers,
        "decoder_start_token_id": start,
        "encoder_attention_heads": encoder_heads,
        "encoder_ffn_dim": encoder_ffn,
        "encoder_layers": encoder_layers,
        "eos_token_id": end,
        "forced_eos_token_id": end,
        "max_position_embeddings": int(rng.integers(4, 13)) * 2 + 1,
        "pad_token_id": pad,
        "scale_embedding": bool(rng.uniform() < 0.7),  # the published checkpoint scales
        "use_cache": bool(rng.uniform() < 0.8),
        "vocab_size": int(rng.integers(11, 66)) * 2 + 1,
    }


def weight_shapes(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Every parameter of the full model under transformers' name.

    Written out here, apart from the package's own list, so that a name or shape wrong in one shows in the
    other.
    """
    d, vocabulary = config["d_model"], config["vocab_size"]
    shapes: dict[str, tuple[int, ...]] = {"model.shared.weight": (vocabulary, d)}

    def norm(name: str) -> None:
        shapes[f"{name}.weight"] = shapes[f"{name}.bias"] = (d,)

    def linear(name: str, out: int, inner: int) -> None:
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (out, inner), (out,)

    for side in ("encoder", "decoder"):
        shapes[f"model.{side}.embed_positions.weight"] = (config["max_position_embeddings"], d)
        norm(f"model.{side}.layernorm_embedding")
        ffn = config[f"{side}_ffn_dim"]
        for n in range(config[f"{side}_layers"]):
            layer = f"model.{side}.layers.{n}"
            for attention in ("self_attn", "encoder_attn")[: 1 if side == "encoder" else 2]:
                for part in ("q", "k", "v", "out"):
                    linear(f"{layer}.{attention}.{part}_proj", d, d)
                norm(f"{layer}.{attention}_layer_norm")
            linear(f"{layer}.fc1", ffn, d)
            linear(f"{layer}.fc2", d, ffn)
            norm(f"{layer}.final_layer_norm")
    shapes["final_logits_bias"] = (1, vocabulary)
    return shapes


def draw_weights(
    rng: np.random.Generator,
    config: dict[str, Any],
    dtype: str = "float64",
    final_bias: bool = True,
    gain: tuple[float, float] = (0.7, 2.0),
) -> dict[str, np.ndarray]:
    """Parameters under which every part of the model shows in its output.

    The embedding's size varies over two orders of magnitude from model to model: where it is small,
    LayerNorm's epsilon no longer hides whether the embedding was scaled. Matrices have variance gain^2 / inner
    dimension, the gain drawn from a range.
    """
    embedding = float(rng.choice([0.01, 0.1, 1.0]))
    matrices = float(rng.uniform(*gain))

    def draw(name: str, shape: tuple[int, ...]) -> np.ndarray:
        noise = rng.standard_normal(shape)
        if "norm" in name:
            return noise * 0.2 + (1.0 if name.endswith("weight") else 0.0)
        if name == "model.shared.weight":
            return noise * embedding / math.sqrt(shape[1])
        if name == "final_logits_bias":
            return noise if final_bias else np.zeros(shape)
        if "embed_positions" in name:
            return noise * 0.5
        if name.endswith("bias"):
            return noise * 0.3
        return noise * matrices / math.sqrt(shape[1])

    return {name: draw(name, shape).astype(dtype) for name, shape in weight_shapes(config).items()}


def draw_search_config(rng: np.random.Generator, *, one_sided: bool) -> dict[str, Any]:
    """A config.json's content; `one_sided` gives both sides the same heads and ffn, as ParlAI's agents have."""
    config = draw_config(rng, ("gelu", "relu") if one_sided else ACTIVATIONS)
    config |= {"pad_token_id": PAD, "bos_token_id": START, "decoder_start_token_id": START}
    config |= {"eos_token_id": END, "forced_eos_token_id": END, "use_cache": True}
    config |= {"encoder_layers": int(rng.integers(1, 3)), "decoder_layers": int(rng.integers(1, 3))}
    config |= {"max_position_embeddings": int(rng.integers(24, 41)), "vocab_size": int(rng.integers(20, 120))}
    if one_sided:
        config["encoder_attention_heads"] = config["decoder_attention_heads"]
        config["encoder_ffn_dim"] = config["decoder_ffn_dim"]
    return config


def draw_search_weights(
    rng: np.random.Generator, config: dict[str, Any], dtype: str, *, final_bias: bool
) -> dict[str, np.ndarray]:
    """Weights under which replies vary and end."""
    weights = draw_weights(rng, config, "float64", final_bias)
    d = config["d_model"]
    weights["model.shared.weight"] *= rng.uniform(0.7, 2.0) / (weights["model.shared.weight"].std() * np.sqrt(d))
    last = f"model.decoder.layers.{config['decoder_layers'] - 1}.final_layer_norm"
    weights[f"{last}.weight"] = rng.standard_normal(d)
    bias = weights[f"{last}.bias"]
    weights["model.shared.weight"][END] *= rng.uniform(1.0, 2.0)
    weights["model.shared.weight"][END] += rng.uniform(-1.0, 3.0) * bias / (bias @ bias)
    return {name: value.astype(dtype) for name, value in weights.items()}


def draw_contexts(rng: np.random.Generator, config: dict[str, Any], batch: int, special: bool = True) -> np.ndarray:
    """Ragged contexts, padded on the right; here and there a special id inside."""
    longest = int(rng.integers(3, 15))
    lengths = rng.integers(1, longest + 1, size=batch)
    lengths[rng.integers(batch)] = longest
    low = 1 if special and rng.uniform() < 0.2 else 3
    few = rng.integers(low, config["vocab_size"], size=6)  # words come back, so that n-grams do
    rows = np.where(
        rng.uniform(size=(batch, longest)) < 0.5,
        rng.choice(few, size=(batch, longest)),
        rng.integers(low, config["vocab_size"], size=(batch, longest)),
    )
    return np.where(np.arange(longest) < lengths[:, None], rows, PAD)


class Options:
    """Options in the making: each is drawn with a chance."""

    def __init__(self, rng: np.random.Generator, config: dict[str, Any]) -> None:
        self.rng, self.config = rng, config
        self.drawn: dict[str, Any] = {}

    def chance(self, share: float) -> bool:
        return bool(self.rng.uniform() < share)

    def token(self) -> int:
        return int(self.rng.integers(3, self.config["vocab_size"]))

    def tokens(self, low: int, high: int) -> list[int]:
        return [self.token() for _ in range(int(self.rng.integers(low, high)))]

    def number(self, low: float, high: float) -> float:
        return float(np.round(self.rng.uniform(low, high), 3))

    def count(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high))

    def maybe(self, share: float, name: str, value: Any) -> None:
        """Set an option to `value()` with a chance."""
        if self.chance(share):
            self.drawn[name] = value()


def draw_transformers_options(rng: np.random.Generator, config: dict[str, Any], way: str) -> dict[str, Any]:
    """Options of a search in transformers' way, in combinations that both versions take."""
    o = Options(rng, config)
    _draw_lengths(o)
    o.maybe(0.15, "repetition_penalty", lambda: o.number(0.7, 1.8))
    o.maybe(0.12, "encoder_repetition_penalty", lambda: o.number(0.7, 1.8))
    o.maybe(0.3, "no_repeat_ngram_size", lambda: o.count(1, 5))
    o.maybe(0.3, "encoder_no_repeat_ngram_size", lambda: o.count(1, 4))
    o.maybe(0.15, "bad_words_ids", lambda: [o.tokens(1, 4) for _ in range(5)] + [[END]] * o.chance(0.3))
    o.maybe(0.12, "sequence_bias", lambda: [[o.tokens(1, 4), o.number(-4, 4)] for _ in range(4)])
    o.maybe(0.1, "suppress_tokens", lambda: o.tokens(1, 5))
    o.maybe(0.1, "begin_suppress_tokens", lambda: o.tokens(1, 5))
    o.maybe(0.08, "forced_bos_token_id", o.token)
    o.maybe(0.15, "forced_eos_token_id", lambda: [END, o.token()] if way == "greedy" and o.chance(0.3) else END)
    if o.chance(0.1):
        o.drawn["exponential_decay_length_penalty"] = (o.count(12, 18), o.number(1.01, 1.5))
        for name in ("no_repeat_ngram_size", "encoder_no_repeat_ngram_size"):
            o.drawn.pop(name, None)  # 4.52.4 makes NaN of an eos that is blocked
    forced = o.drawn.get("forced_bos_token_id")
    if forced in o.drawn.get("suppress_tokens", ()):
        del o.drawn["suppress_tokens"]  # refused by 5.23, and nothing would be left
    o.maybe(0.1, "renormalize_logits", lambda: True)
    o.maybe(0.05, "remove_invalid_values", lambda: True)
    if o.chance(0.15):
        o.drawn["eos_token_id"] = [END, o.token()]
    if way in ("sample", "beam sample"):
        _draw_shapes(o)
    if "beam" in way:
        _draw_beams(o, way)
    elif way == "sample":
        o.maybe(0.4, "num_return_sequences", lambda: o.count(1, 4))
    elif way == "contrastive":
        o.drawn.pop("forced_bos_token_id", None)  # with one token possible, the others of the k are any
        o.drawn.pop("forced_eos_token_id", None)
        o.drawn |= {"penalty_alpha": o.number(0.1, 0.9), "top_k": o.count(2, 7)}
    elif way == "lookup":
        o.drawn |= {"prompt_lookup_num_tokens": o.count(1, 6)}
        o.maybe(0.6, "max_matching_ngram_size", lambda: o.count(1, 4))
    if way == "constrained beam" and o.drawn.get("num_return_sequences", 1) > 1:
        o.drawn["output_scores"] = False  # 4.52.4 has no origins of hypotheses that lack a word, and crashes on them
    o.maybe(0.1, "use_cache", lambda: way in ("contrastive", "lookup"))
    if o.chance(0.7):
        o.drawn["return_dict_in_generate"] = True
        if "output_scores" not in o.drawn:
            o.maybe(0.7, "output_scores", lambda: True)
        if way != "lookup":
            o.maybe(0.3, "output_logits", lambda: True)
            o.maybe(0.2, "output_attentions", lambda: True)
            o.maybe(0.2, "output_hidden_states", lambda: True)
    return o.drawn


def _draw_lengths(o: Options) -> None:
    kind = o.rng.choice(["max_length", "max_new_tokens", "both", "neither"], p=[0.5, 0.3, 0.1, 0.1])
    if kind in ("max_length", "both"):
        o.drawn["max_length"] = o.count(6, o.config["max_position_embeddings"] - 1)
    if kind in ("max_new_tokens", "both"):
        o.drawn["max_new_tokens"] = o.count(1, 16)
    o.maybe(0.3, "min_length", lambda: o.count(0, 12))
    o.maybe(0.15, "min_new_tokens", lambda: o.count(0, 10))


def _draw_shapes(o: Options) -> None:
    o.drawn["do_sample"] = True
    o.maybe(0.5, "temperature", lambda: o.number(0.3, 2.0))
    o.maybe(0.5, "top_k", lambda: o.count(0, 30))
    o.maybe(0.35, "top_p", lambda: o.number(0.3, 1.0))
    o.maybe(0.2, "min_p", lambda: o.number(0.0, 0.3))
    o.maybe(0.2, "typical_p", lambda: o.number(0.3, 0.99))
    o.maybe(0.2, "epsilon_cutoff", lambda: o.number(0.001, 0.1))
    o.maybe(0.2, "eta_cutoff", lambda: o.number(0.001, 0.1))


def _draw_beams(o: Options, way: str) -> None:
    beams = o.count(2, 6)
    if way == "group beam":
        groups = o.count(2, 4)
        beams = groups * o.count(1, 3)
        o.drawn |= {"num_beam_groups": groups, "diversity_penalty": o.number(0.1, 2.0)}
    if way == "constrained beam":
        words: list[Any] = [o.tokens(1, 4)]
        if o.chance(0.4):
            words.append([[token, *o.tokens(0, 2)] for token in {o.token() for _ in range(3)}])
        o.drawn["force_words_ids"] = words
        o.drawn.pop("forced_eos_token_id", None)  # where words are missing then, all that is left is impossible
    o.drawn["num_beams"] = beams
    o.maybe(0.6, "length_penalty", lambda: o.number(-1.0, 2.0))
    o.maybe(0.6, "early_stopping", lambda: [True, False, "never"][o.count(0, 3)])
    o.maybe(0.5, "num_return_sequences", lambda: o.count(1, beams + 1))


def draw_parlai_options(rng: np.random.Generator, config: dict[str, Any]) -> dict[str, Any]:
    """Options of a search in ParlAI's way, each said or left to its default."""

    def maybe(chance: float) -> bool:
        return bool(rng.uniform() < chance)

    options: dict[str, Any] = {"max_length": int(rng.integers(1, config["max_position_embeddings"]))}
    if maybe(0.9):
        options["num_beams"] = int(rng.integers(1, 9))
    if maybe(0.7):
        options["min_length"] = int(rng.integers(0, 9))
    if maybe(0.7):
        options["length_penalty"] = float(np.round(rng.uniform(-0.5, 2.0), 2))
    if maybe(0.6):
        options["no_repeat_ngram_size"] = int(rng.integers(1, 5))
    if maybe(0.6):
        options["encoder_no_repeat_ngram_size"] = int(rng.integers(1, 5))
    if maybe(0.3):
        options["temperature"] = float(np.round(rng.uniform(0.3, 2.0), 2))
    if maybe(0.3):
        phrases = [rng.integers(4, config["vocab_size"], size=rng.integers(1, 4)).tolist() for _ in range(5)]
        options["bad_words_ids"] = phrases
    way = rng.choice(["beam", "sample", "delayed"], p=[0.7, 0.18, 0.12])
    if way != "beam":
        options |= {"top_k": int(rng.integers(1, 12))} if maybe(0.5) else {"top_p": float(rng.uniform(0.1, 0.99))}
        options |= {"do_sample": True} if way == "sample" else {"beam_delay": int(rng.integers(1, 6))}
    return options


def draw_arguments(
    rng: np.random.Generator, config: dict[str, Any], rows: np.ndarray, options: dict[str, Any], way: str
) -> dict[str, Any]:
    """The source as ids, as embeddings or encoded; with a mask or without; a prompt here and there."""
    arguments: dict[str, Any] = {}
    form = rng.choice(["ids", "embeddings", "encoded"], p=[0.8, 0.1, 0.1]) if way != "lookup" else "ids"
    if form == "ids":
        arguments["input_ids"] = rows
    else:
        states = rng.standard_normal((*rows.shape, config["d_model"]))
        arguments |= {"inputs_embeds": states} if form == "embeddings" else {"encoder_outputs": (states,)}
        for name in ("encoder_repetition_penalty", "encoder_no_repeat_ngram_size"):
            options.pop(name, None)
    if rng.uniform() < 0.6:
        arguments["attention_mask"] = (rows != PAD).astype(np.int64)
    if rng.uniform() < 0.25:
        prompt = rng.integers(3, config["vocab_size"], size=(len(rows), int(rng.integers(1, 4))))
        if rng.uniform() < 0.5:
            prompt[:, 0] = START
        arguments["decoder_input_ids"] = prompt
    return arguments
