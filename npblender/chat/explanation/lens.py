"""The logit lens: the decoder's states after each layer, turned into logits as if that layer were the last.

The model is post-LN: every layer ends in a LayerNorm, so its states go to the output matrix as they are (the method is
nostalgebraist's, "interpreting GPT: the logit lens", 2020). The last layer's answer is the model's own.
"""

from __future__ import annotations

from collections.abc import Sequence

from npblender.chat.explanation.next_tokens import NextToken, next_tokens
from npblender.common.array_types import Array
from npblender.models import BlenderbotSmallForConditionalGeneration
from npblender.transformer.checks import make_context
from npblender.transformer.forward import logits_of

SHOWN = 5


def logit_lens(
    model: BlenderbotSmallForConditionalGeneration, states: Sequence[Array], chosen: Sequence[int | None]
) -> tuple[tuple[NextToken, ...], ...]:
    """Rank the tokens after every layer: for each of `states`, [T, D], a `NextToken` a step.

    >>> from npblender.chat.explanation.passes import run_pass
    >>> found = run_pass(model, [5, 6, 7], [1, 9])
    >>> lens = logit_lens(model, found.states, [9, 2])
    >>> len(lens), lens[-1] == next_tokens(found.logits, [9, 2], SHOWN)
    (3, True)
    """
    context = make_context(model.config, model.dialect)
    return tuple(
        next_tokens(logits_of(model.weights, layer[None].astype(model.dtype), context)[0], chosen, SHOWN)
        for layer in states
    )
