"""`GenerationMixin`: `generate`, `stream` and `compute_transition_scores` as methods of a model, as in transformers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from npblender.common.array_types import Ids
from npblender.common.checks import as_plain, check_ids
from npblender.common.printable import shown
from npblender.config import BlenderbotSmallConfig
from npblender.config.dialect import Dialect
from npblender.config.generation_config import GenerationConfig, as_generation_config
from npblender.generation.decoder_state import CallerArrays
from npblender.generation.generate import Record, Search, Seed, Streamer, begin_search, make_hooks, run_to_end
from npblender.generation.logits.chain import Processor
from npblender.generation.outputs import GenerateBeamEncoderDecoderOutput, transition_scores
from npblender.generation.plan import Plan, check_tokenizer, warn_of_plan
from npblender.generation.planning import make_plan
from npblender.generation.stopping import Criterion
from npblender.generation.streaming import text_pieces
from npblender.transformer.checks import make_context
from npblender.transformer.context import Sink
from npblender.transformer.parameters import Weights

if TYPE_CHECKING:
    from typing_extensions import Unpack  # type checkers have it, whatever is installed

    from npblender.generation.call_arguments import GenerateArguments, StreamArguments

ARRAYS = {field.name for field in fields(CallerArrays)}
HOOKS = {"logits_processor", "stopping_criteria", "prefix_allowed_tokens_fn", "seed"}


class GenerationMixin:
    """Adds text generation to a model that has config, weights, dialect and generation_config."""

    config: BlenderbotSmallConfig
    weights: Weights
    dialect: Dialect
    generation_config: GenerationConfig

    @overload
    def generate(
        self,
        inputs: Any = None,
        generation_config: GenerationConfig | Mapping[str, Any] | None = None,
        logits_processor: Processor | Sequence[Processor] | None = None,
        stopping_criteria: Criterion | Sequence[Criterion] | None = None,
        prefix_allowed_tokens_fn: Callable[[int, Ids], Sequence[int]] | None = None,
        *,
        return_dict_in_generate: Literal[False] | None = None,
        **arguments: Unpack[GenerateArguments],
    ) -> NDArray[np.int64]: ...

    @overload
    def generate(
        self,
        inputs: Any = None,
        generation_config: GenerationConfig | Mapping[str, Any] | None = None,
        logits_processor: Processor | Sequence[Processor] | None = None,
        stopping_criteria: Criterion | Sequence[Criterion] | None = None,
        prefix_allowed_tokens_fn: Callable[[int, Ids], Sequence[int]] | None = None,
        *,
        return_dict_in_generate: Literal[True],
        **arguments: Unpack[GenerateArguments],
    ) -> Record: ...

    @overload
    def generate(
        self,
        inputs: Any = None,
        generation_config: GenerationConfig | Mapping[str, Any] | None = None,
        logits_processor: Processor | Sequence[Processor] | None = None,
        stopping_criteria: Criterion | Sequence[Criterion] | None = None,
        prefix_allowed_tokens_fn: Callable[[int, Ids], Sequence[int]] | None = None,
        *,
        return_dict_in_generate: bool | np.bool_ | None,
        **arguments: Unpack[GenerateArguments],
    ) -> NDArray[np.int64] | Record: ...

    def generate(
        self,
        inputs: Any = None,
        generation_config: GenerationConfig | Mapping[str, Any] | None = None,
        logits_processor: Processor | Sequence[Processor] | None = None,
        stopping_criteria: Criterion | Sequence[Criterion] | None = None,
        prefix_allowed_tokens_fn: Callable[[int, Ids], Sequence[int]] | None = None,
        *,
        input_ids: Any = None,
        full_input_ids: Any = None,
        attention_mask: Any = None,
        inputs_embeds: Any = None,
        encoder_outputs: Any = None,
        decoder_input_ids: Any = None,
        decoder_attention_mask: Any = None,
        head_mask: Any = None,
        decoder_head_mask: Any = None,
        cross_attn_head_mask: Any = None,
        position_ids: Any = None,
        past_key_values: Any = None,
        streamer: Streamer | None = None,
        tokenizer: Any = None,
        seed: Seed = None,
        tap: Sink | None = None,
        **options: Any,
    ) -> NDArray[np.int64] | Record:
        """Generate replies to source ids [B, S].

        Returns token ids [B * num_return_sequences, T], int64, start first, padded with pad.

        Args:
            inputs: the source's ids, or all that a tokenizer returned; or say `input_ids`, `inputs_embeds` or
                `encoder_outputs`.
            generation_config: settings in place of the model's own, where it sets them; a mapping will do.
            logits_processor, stopping_criteria: your own functions, one or several, called as transformers does.
            prefix_allowed_tokens_fn: called with a source's number and a row's ids; returns the ids that may follow.
            full_input_ids: [B, M], what the source was cut from, for `beam_block_full_context` of ParlAI's searches.
            attention_mask: [B, S]; without it the dialect decides whether pads are hidden.
            decoder_input_ids: [B, P], what every reply begins with.
            past_key_values: the cache of its first tokens, to go on from.
            streamer: its `put` gets the prompt and then each step's tokens, its `end` the end.
            tokenizer: needed by `stop_strings`.
            seed: a whole number or a `numpy.random.Generator`, for searches that draw.
            options: any setting of `GenerationConfig`, for this call; None switches one off.

        With `return_dict_in_generate=True` the result is a record with transformers' names.

        Raises:
            ValueError, TypeError: an argument that does not fit, an option that is unknown or that the chosen search
                does not use; the message names it and says what would do.

        >>> model.generate([[5, 6, 7]], max_length=4)
        array([[1, 8, 8, 8, 2]])
        """
        given = locals()
        if streamer is not None and not (hasattr(streamer, "put") and hasattr(streamer, "end")):
            raise TypeError(
                f"streamer needs methods put(ids) and end(), and {type(streamer).__name__} lacks them; "
                "stream(inputs, tokenizer=tokenizer) yields pieces of text instead"
            )
        plan, search, prompts = self._begin(given, options, streaming=streamer is not None)
        if streamer is not None:
            streamer.put(prompts)
        record = run_to_end(search, streamer)
        if not plan.settings.return_dict_in_generate:
            return record.sequences
        if isinstance(record, GenerateBeamEncoderDecoderOutput) and record.n_best is None and not plan.wants("scores"):
            return replace(record, sequences_scores=None)  # transformers shows it with the steps' scores only
        return record

    @overload
    def stream(
        self,
        inputs: Any = None,
        generation_config: GenerationConfig | Mapping[str, Any] | None = None,
        *,
        tokenizer: None = None,
        clean_up_tokenization_spaces: bool | None = None,
        **arguments: Unpack[StreamArguments],
    ) -> Iterator[NDArray[np.int64]]: ...

    @overload
    def stream(
        self,
        inputs: Any = None,
        generation_config: GenerationConfig | Mapping[str, Any] | None = None,
        *,
        tokenizer: object,
        clean_up_tokenization_spaces: bool | None = None,
        **arguments: Unpack[StreamArguments],
    ) -> Iterator[str]: ...

    def stream(
        self,
        inputs: Any = None,
        generation_config: GenerationConfig | Mapping[str, Any] | None = None,
        *,
        tokenizer: Any = None,
        clean_up_tokenization_spaces: bool | None = None,
        **arguments: Any,
    ) -> Iterator[Any]:
        """Yield the reply while it is made; the arguments are those of `generate`, and one path a row is followed.

        Without a tokenizer each step's tokens [R], int64, the prompt left out. With the model's tokenizer pieces of
        text of one reply, whole words only, which joined are the decoded reply.

        >>> [int(tokens[0]) for tokens in model.stream([[5, 6, 7]], max_length=4)]
        [8, 8, 8, 2]
        """
        if tokenizer is not None:
            check_tokenizer(tokenizer)
        given = {name: arguments.pop(name) for name in (ARRAYS | HOOKS | {"tap"}) & arguments.keys()}
        given |= {"inputs": inputs, "generation_config": generation_config}
        if arguments.get("stop_strings") is not None:
            given["tokenizer"] = tokenizer
        _, search, _ = self._begin(given, arguments, streaming=True)
        if tokenizer is None:
            return (tokens for tokens in search)
        return text_pieces(search, tokenizer, clean_up_tokenization_spaces)

    def _begin(
        self, given: Mapping[str, Any], options: dict[str, Any], *, streaming: bool
    ) -> tuple[Plan, Search, NDArray[np.int64]]:
        """The plan of a call, its search ready to run, and the prompts [R, P]; `given` are its arguments by name."""
        arrays = _arrays_of(given["inputs"], {name: given.get(name) for name in ARRAYS})
        hooks = make_hooks(**{name: given.get(name) for name in (*HOOKS, "tokenizer")})
        context = make_context(self.config, self.dialect, given.get("tap"))
        config, target = given["generation_config"], arrays.decoder_input_ids
        if target is not None:
            target = check_ids("decoder_input_ids", target, self.config.vocab_size)
            arrays = replace(arrays, decoder_input_ids=target)
        options = as_plain(options)
        chosen = {} if config is None else as_generation_config(config).set_values
        settings = {**self.generation_config.set_values, **chosen}
        plan = make_plan(self.dialect, self.config, settings, options, target)
        warn_of_plan(plan, {**chosen, **options})
        return (plan, *begin_search(self.weights, context, plan, arrays, hooks, options, streaming=streaming))

    def compute_transition_scores(
        self,
        sequences: Ids,
        scores: Sequence[NDArray[Any]],
        beam_indices: NDArray[np.int64] | None = None,
        normalize_logits: bool = False,
    ) -> NDArray[Any]:
        """Return what each generated token contributed to the score of its sequence, [N, steps].

        Sums of them divided by length ** length_penalty are the `sequences_scores` of a beam search.

        Args:
            sequences, scores, beam_indices: those of the record that `generate` returned.
            normalize_logits: whether to make log-probabilities of the scores first.
        """
        return transition_scores(np.asarray(sequences), scores, beam_indices, normalize_logits)


def _arrays_of(inputs: Any, named: Mapping[str, Any]) -> CallerArrays:
    """Return a call's arrays; `inputs` are the source's ids, or all that a tokenizer returned for it."""
    given = {name: value for name, value in named.items() if value is not None}
    packed = inputs if isinstance(inputs, Mapping) else {} if inputs is None else {"input_ids": inputs}
    for name in packed:
        if name not in ARRAYS:
            raise TypeError(
                f"the inputs hold {shown(name)}, which generate() does not take; it takes {', '.join(sorted(ARRAYS))}"
            )
        if name in given:
            raise TypeError(f"{shown(name)} is given twice, by name and in 'inputs', the first argument")
    return CallerArrays(**given, **packed)
