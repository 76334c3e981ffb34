"""More calls that must fail: what an earlier call returned handed back wrong, and models wrongly made or changed."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from npblender import BlenderbotSmallForConditionalGeneration, Cache
from npblender.config.dialect import PARLAI, resolve_dialect
from npblender.transformer.kv_cache import LayerCache
from npblender.transformer.parameters import random_weights
from reference_tests.faults.bad_calls import (
    BASE,
    CAUSAL,
    CONFIG,
    HE,
    MODEL,
    NO_SOURCE,
    OUT,
    PAST,
    SIZES,
    STATES,
    TARGET,
    D,
    H,
    V,
    call,
)
from reference_tests.faults.bad_values import TEXT, Bad
from reference_tests.support.model_cases import draw_model

PAST_FORM = "past_key_values earlier call 2 or 4 arrays"


def past(change: Callable[[np.ndarray], Any], layer: int = 1, part: int = 1) -> Callable[[], Any]:
    """The model over a past in which one array is something else."""
    layers = [list(each) for each in PAST]
    layers[layer][part] = change(layers[layer][part])
    return call(past_key_values=tuple(map(tuple, layers)))


def init_cache(**changes: Any) -> Callable[[], Any]:
    given = {"batch_size": 2, "max_length": 4, "encoder_outputs": STATES, **changes}
    return lambda: MODEL.init_cache(**given)


def made(**changes: Any) -> Callable[[], Any]:
    given = {"config": CONFIG, "seed": 0, **changes}
    return lambda: BlenderbotSmallForConditionalGeneration.from_config(**given)


def of_encoder_outputs() -> dict[str, Bad]:
    """Encoder outputs that no encoder returned."""
    values: list[tuple[Any, type[Exception], str]] = [
        ((), ValueError, "(states,)"),
        ((STATES,) * 4, ValueError, "(states,)"),
        ((None,), TypeError, "numbers NoneType"),
        ({}, ValueError, "last_hidden_state"),
        ({"states": STATES}, ValueError, "last_hidden_state"),
        (OUT, TypeError, "encoder Seq2SeqLMOutput"),
        (5, TypeError, "floating"),
        ((STATES, "abc"), TypeError, "hidden states tuple str"),
        ((STATES, (STATES[:1],)), ValueError, "hidden states shape (2, 3,"),
        ((STATES, None, (STATES,)), ValueError, f"attentions shape (2, {HE}, 3, 3)"),
        ((STATES, ("abc",)), TypeError, "text"),
    ]
    found = {
        f"encoder_outputs {n}": Bad(call(input_ids=None, encoder_outputs=value), error, f"encoder_outputs {words}")
        for n, (value, error, words) in enumerate(values)
    }
    return found | {
        f"encoder_outputs {n} of init_cache": Bad(init_cache(encoder_outputs=value), error, f"encoder_outputs {words}")
        for n, (value, error, words) in enumerate(values)
    }


SHORT_PAST = tuple(tuple(layer)[:2] for layer in PAST)
PASTS: dict[str, Bad] = {
    **{
        f"past_key_values {n}": Bad(call(past_key_values=value), TypeError, PAST_FORM)
        for n, value in enumerate(
            ["abc", 5, {}, OUT, ((1, 2, 3),) * 2, (None, None), ("ab",) * 2, np.ones(3), Cache((1, 2))]
        )
    },
    "no layers and no source either": Bad(call(input_ids=None, past_key_values=Cache((1, 2))), TypeError, PAST_FORM),
    "no layers": Bad(call(past_key_values=()), ValueError, "past_key_values 0 layers decoder 2"),
    "no layers in a cache": Bad(call(past_key_values=Cache(())), ValueError, "past_key_values 0 layers decoder 2"),
    "no layers and no source": Bad(call(input_ids=None, past_key_values=()), ValueError, NO_SOURCE),
    "one layer": Bad(call(past_key_values=tuple(PAST)[:1]), ValueError, "past_key_values 1 layers decoder 2"),
    "numbers for arrays": Bad(call(past_key_values=((1, 2), (3, 4))), TypeError, "past_key_values key int64 float64"),
    "texts for arrays": Bad(past(lambda array: "abc"), TypeError, "past_key_values[1] text"),
    "ragged arrays": Bad(past(lambda array: [[1], [1, 2]]), ValueError, "past_key_values[1] unequal"),
    "lists in a cache": Bad(
        call(past_key_values=Cache(tuple(LayerCache(*(a.tolist() for a in layer)) for layer in PAST))),
        TypeError,
        "past_key_values key list",
    ),
    "float32": Bad(past(lambda array: array.astype(np.float32)), TypeError, "value layer 1 float32 float64"),
    "whole numbers": Bad(past(lambda array: array.astype(int)), TypeError, "value layer 1 int64"),
    "other heads": Bad(past(lambda a: a[:, :0]), ValueError, f"value layer 1 shape needed [2, {H},"),
    "another batch": Bad(past(lambda a: a[:1], 0, 2), ValueError, f"cross key layer 0 shape needed [2, {H},"),
    "another head size": Bad(past(lambda a: a[..., :-1], 0, 3), ValueError, "cross value layer 0 shape"),
    "three axes": Bad(past(lambda a: a[0]), ValueError, "value layer 1 shape"),
    "a shorter value": Bad(past(lambda a: a[:, :, :1], 0), ValueError, "layer 0 covers (2, 1, 3, 3) (2, 2, 3, 3)"),
    "a shorter layer": Bad(past(lambda a: a[:, :, :1], 1, 0), ValueError, "layer 1 covers (1, 2, 3, 3)"),
    "a shorter source": Bad(past(lambda a: a[:, :, :1], 1, 2), ValueError, "layer 1 covers (2, 2, 1, 3)"),
    "NaN": Bad(past(lambda a: a * np.nan), ValueError, "past_key_values[1] nan finite"),
    "cross keys in one layer only": Bad(
        call(past_key_values=(tuple(PAST[0]), SHORT_PAST[1])), ValueError, "layer 1 covers (2, 2) (2, 2, 3, 3)"
    ),
    "a source of no tokens": Bad(
        call(input_ids=None, past_key_values=tuple((*own, *(a[:, :, :0] for a in own)) for own in SHORT_PAST)),
        ValueError,
        "past_key_values source of no tokens",
    ),
    "cross keys without their states": Bad(
        lambda: CAUSAL(TARGET, past_key_values=CAUSAL(TARGET, encoder_hidden_states=STATES).past_key_values),
        ValueError,
        "past_key_values cross keys encoder_hidden_states every step",
    ),
    "no source in it": Bad(call(input_ids=None, past_key_values=SHORT_PAST), ValueError, NO_SOURCE),
    "another source": Bad(
        call(input_ids=[[3]] * 2, past_key_values=PAST), ValueError, "past_key_values source 3 (2, 1)"
    ),
    "another batch than the target": Bad(
        lambda: MODEL(decoder_input_ids=[[1]], past_key_values=PAST), ValueError, "key layer 0 needed [1,"
    ),
    "rows for another batch size": Bad(init_cache(batch_size=3), ValueError, "batch_size 3 2 rows"),
    **{
        f"batch_size {value!r}": Bad(init_cache(batch_size=value), TypeError, "batch_size whole number")
        for value in ("2", 2.0, True, None)
    },
    **{
        f"max_length {value!r}": Bad(init_cache(max_length=value), error, "max_length")
        for value, error in ((0, ValueError), (10, ValueError), (-1, ValueError), ("4", TypeError), (None, TypeError))
    },
}


def resize(*given: Any, **named: Any) -> Callable[[], Any]:
    return lambda: draw_model(np.random.default_rng(2), PARLAI, **SIZES).resize_token_embeddings(*given, **named)


def embedding(value: Any) -> Callable[[], Any]:
    return lambda: draw_model(np.random.default_rng(2), PARLAI, **SIZES).set_input_embeddings(value)


def dialect(**changes: Any) -> Callable[[], Any]:
    return lambda: replace(PARLAI, **changes)


def mixed_weights() -> Any:
    weights = random_weights(CONFIG, 0, np.float64)
    return replace(weights, final_logits_bias=np.zeros((1, V), np.float32))


MODELS: dict[str, Bad] = {
    "an unknown dialect": Bad(made(dialect="moses"), ValueError, "dialect 'moses' 'parlai' 'transformers-4'"),
    "a number for a dialect": Bad(made(dialect=5), ValueError, "dialect 5 'parlai'"),
    "None for a dialect": Bad(made(dialect=None), ValueError, "dialect None 'parlai'"),
    "a dialect of some fields": Bad(lambda: resolve_dialect({"name": "x"}), ValueError, "dialect fields search"),
    "a dialect without a name": Bad(dialect(name=""), ValueError, "Dialect.name ''"),
    "a switch that is none": Bad(dialect(mask_from_ids=1), ValueError, "Dialect.mask_from_ids 1 True False"),
    "a masked score of minus infinity": Bad(dialect(masked_score=-np.inf), ValueError, "Dialect.masked_score -inf"),
    "a masked score too low": Bad(dialect(masked_score=-1e300), ValueError, "Dialect.masked_score -3e+38"),
    "a masked score above zero": Bad(dialect(masked_score=1.0), ValueError, "Dialect.masked_score 1.0"),
    "a start logit as text": Bad(dialect(start_logit="never"), ValueError, "Dialect.start_logit 'never'"),
    "an unknown search": Bad(dialect(search="moses"), ValueError, "Dialect.search 'moses' 'parlai'"),
    "int16": Bad(made(dtype="int16"), ValueError, "dtype 'int16' 'float32' 'bfloat16'"),
    "an unknown dtype": Bad(made(dtype="float33"), ValueError, "dtype 'float33' 'float32'"),
    "no dtype": Bad(made(dtype=None), TypeError, "dtype None 'float32'"),
    "no seed": Bad(made(seed=None), TypeError, "seed whole number None"),
    "a negative seed of weights": Bad(made(seed=-1), ValueError, "seed -1"),
    "half a seed": Bad(made(seed=0.5), TypeError, "seed 0.5"),
    "a dict for a config": Bad(made(config=CONFIG.to_dict()), TypeError, "config BlenderbotSmallConfig dict"),
    "a model of arrays": Bad(lambda: type(MODEL)(CONFIG, {}), TypeError, "weights Weights dict from_pretrained"),
    "weights of another config": Bad(
        lambda: type(MODEL)(CONFIG.replace(d_model=2 * D), MODEL.weights), ValueError, "weights fit shared.weight"
    ),
    "weights of another class": Bad(lambda: type(BASE)(CONFIG, MODEL.weights), ValueError, "final_logits_bias None"),
    "weights of two dtypes": Bad(lambda: type(MODEL)(CONFIG, mixed_weights()), ValueError, "dtype float32 float64"),
    "generation settings as a number": Bad(
        lambda: type(MODEL)(CONFIG, MODEL.weights, generation_config=3),
        TypeError,
        "generation_config GenerationConfig",
    ),
    "a folder that is not there": Bad(
        lambda: BlenderbotSmallForConditionalGeneration.from_pretrained(Path("no") / "such"),
        FileNotFoundError,
        "no/such",
    ),
    "torch's dtype": Bad(
        lambda: BlenderbotSmallForConditionalGeneration.from_pretrained(".", torch_dtype="auto"),
        TypeError,
        "'torch_dtype' dtype='float32'",
    ),
    "an option of downloads": Bad(
        lambda: BlenderbotSmallForConditionalGeneration.from_pretrained(".", revision="v1"),
        ValueError,
        "revision 'v1' '.' folder",
    ),
    "a vocabulary of nothing": Bad(resize(0), ValueError, "new_num_tokens 1 0"),
    "half a token": Bad(resize(9.5), TypeError, "new_num_tokens 9.5"),
    "a bool for a size": Bad(resize(True), TypeError, "new_num_tokens True"),
    "a multiple of nothing": Bad(resize(9, pad_to_multiple_of=0), ValueError, "pad_to_multiple_of 1 0"),
    "random rows": Bad(resize(99, mean_resizing=False), ValueError, "mean_resizing=False set_input_embeddings"),
    "an unknown option of resizing": Bad(resize(9, mean=True), TypeError, "resize_token_embeddings() 'mean'"),
    "special ids that would fall out": Bad(resize(2), ValueError, "token_id vocab_size 2"),
    "embeddings of another shape": Bad(embedding(np.ones((3, 3))), ValueError, "value (3, 3) resize_token_embeddings"),
    "embeddings of texts": Bad(embedding(TEXT), TypeError, "value text"),
    "embeddings that are not finite": Bad(embedding(np.full((V, D), np.inf)), ValueError, "value inf finite"),
    "no embeddings": Bad(embedding(None), TypeError, "value NoneType"),
}
