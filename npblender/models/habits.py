"""What a transformers user writes on a model from memory: what it means here, or what to write instead.

`Habits` honours the names that mean something without a graph, a device or training; `INSTEAD` is the table of those
that do not, each with what would do. A name in neither is an error as anywhere in Python.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

from npblender import checkpoint
from npblender.checkpoint.parameter_names import SHARED, stored_name
from npblender.common.array_types import Array
from npblender.common.checks import check_switch
from npblender.common.printable import shown
from npblender.config import BlenderbotSmallConfig
from npblender.transformer.parameters import (
    BASE_MODEL,
    DECODER,
    ENCODER,
    Embedding,
    Parts,
    Weights,
    from_arrays,
    to_arrays,
)

Self = TypeVar("Self", bound="Habits")

_NO_TRAINING = (
    "nothing is trained here; a call takes training=True and generator= for dropout, as a forward pass has it"
)
_NO_DEVICE = "NumPy computes on the CPU; there is no other device, and the model and its arrays are there already"
_NO_MODULES = "there is no tree of modules; model.weights is the tree of parameters"
_HOOKS = "pass tap=function to a call: it is called as tap(name, array) with every intermediate array"
_VALUES = (
    "weights are values: from_arrays(config, arrays) of npblender.transformer.parameters makes them of arrays by name, "
    "and Model(config, weights) a model of these"
)
_ADAPTERS = "there are no adapters: merge them into the weights where they were made, and load the folder"
_POSITIONS = (
    "positions are learned, a row each: weights.encoder.embed_positions, config.max_position_embeddings of them"
)
_MASKS = "masks are passed as they are: [B, S] of 1 and 0, and [layers, H] for heads"
_HUB = "it is for the Hub: write what you want into the folder's README.md"
_SEARCH = "generate() chooses the search by its options: num_beams=, do_sample=, penalty_alpha=, and the others"
_NO_GENERATE = (
    "this class makes no replies; load the folder as BlenderbotSmallForConditionalGeneration, which has generate()"
)

INSTEAD: Mapping[str, str] = {
    **dict.fromkeys(
        ("cuda", "mps", "xpu", "npu", "to_empty", "share_memory", "parallelize", "hf_device_map"), _NO_DEVICE
    ),
    **dict.fromkeys(
        ("zero_grad", "requires_grad_", "gradient_checkpointing_enable", "gradient_checkpointing_disable"), _NO_TRAINING
    ),
    **dict.fromkeys(("enable_input_require_grads", "backward", "compute_loss", "fit"), _NO_TRAINING),
    **dict.fromkeys(("modules", "named_modules", "children", "named_children", "apply", "add_module"), _NO_MODULES),
    **dict.fromkeys(("get_submodule", "register_module", "buffers", "named_buffers"), _NO_MODULES),
    **dict.fromkeys(("register_forward_hook", "register_forward_pre_hook", "register_full_backward_hook"), _HOOKS),
    **dict.fromkeys(("load_state_dict", "load_weights", "init_weights", "post_init", "set_weights"), _VALUES),
    **dict.fromkeys(("greedy_search", "beam_search", "sample", "beam_sample", "contrastive_search"), _SEARCH),
    **dict.fromkeys(("group_beam_search", "assisted_decoding", "constrained_beam_search"), _SEARCH),
    **dict.fromkeys(("generate", "stream", "compute_transition_scores"), _NO_GENERATE),
    **dict.fromkeys(("load_adapter", "add_adapter", "set_adapter", "delete_adapter", "disable_adapters"), _ADAPTERS),
    **dict.fromkeys(("enable_adapters", "active_adapters", "active_adapter", "get_adapter_state_dict"), _ADAPTERS),
    **dict.fromkeys(("get_position_embeddings", "resize_position_embeddings"), _POSITIONS),
    **dict.fromkeys(("get_extended_attention_mask", "invert_attention_mask"), _MASKS),
    **dict.fromkeys(("create_extended_attention_mask_for_decoder", "get_head_mask"), _MASKS),
    **dict.fromkeys(("disable_input_require_grads", "is_gradient_checkpointing", "loss_function"), _NO_TRAINING),
    **dict.fromkeys(("supports_gradient_checkpointing", "floating_point_ops", "estimate_tokens"), _NO_TRAINING),
    **dict.fromkeys(("register_buffer", "register_parameter", "set_submodule", "set_encoder", "set_decoder"), _VALUES),
    **dict.fromkeys(("register_for_auto_class", "add_model_tags", "create_model_card", "model_tags"), _HUB),
    **dict.fromkeys(("get_parameter", "get_buffer", "get_parameter_or_buffer"), "state_dict()[name] is the array"),
    **dict.fromkeys(("is_parallelizable", "tp_plan", "pp_plan", "tp_size", "deparallelize"), _NO_DEVICE),
    **dict.fromkeys(("generate_batch", "init_continuous_batching"), "generate() takes as many rows as you like"),
    "compile": "nothing is compiled here, and nothing trained: NumPy runs every call as it is, so leave it out",
    "base_model": "BlenderbotSmallModel.from_pretrained(folder) is the model without its head",
    "get_memory_footprint": "sum(array.nbytes for array in model.parameters()) counts the bytes of float32",
    "dummy_inputs": "model.generate() without a source, or input_ids=[[5, 6, 7]], will do",
    "framework": "arrays are NumPy's, in and out",
    "dequantize": "float() makes float32 of large matrices that are kept in 16 bits",
    "summary": "print(model) says it in a line, `npblender info` in a table",
    "predict": "call the model for logits, or generate() for replies",
    "push_to_hub": "nothing is uploaded from here: save_pretrained(folder) writes what `hf upload` takes",
    "set_output_embeddings": "the logits come from the token embeddings: set_input_embeddings(matrix) sets both",
    "lm_head": "get_output_embeddings() is the matrix of the logits, and weights.final_logits_bias their bias",
    "final_logits_bias": "it is weights.final_logits_bias",
    "shared": "get_input_embeddings() is the matrix of the tokens",
    "model": "get_encoder() and get_decoder() are the model without its head; the weights are model.weights",
    "encoder": "get_encoder() is the encoder as a function, weights.encoder its parameters",
    "decoder": "get_decoder() is the decoder as a function, weights.decoder its parameters",
    "prune_heads": "pass head_mask= with zeros for the heads to silence",
    "type": "say float(), double(), half() or bfloat16(), or to(dtype)",
    "prepare_inputs_for_generation": "generate() prepares its inputs itself; one step is a call with past_key_values=",
    "set_attn_implementation": "there is one implementation of attention here, transformers' eager one",
    "to_bettertransformer": "there is one implementation of attention here, transformers' eager one",
}
"""Names of transformers' and torch's models that mean nothing here, and what does what they are for."""


class Habits:
    """The names of transformers' models that every model here has besides its own."""

    config: BlenderbotSmallConfig
    weights: Weights
    parts: ClassVar[Parts]

    main_input_name: ClassVar[str] = "input_ids"
    base_model_prefix: ClassVar[str] = "model"
    config_class: ClassVar[type[BlenderbotSmallConfig]] = BlenderbotSmallConfig
    device: ClassVar[str] = "cpu"
    training: ClassVar[bool] = False
    name_or_path: str = ""  # the folder that the model was loaded from; empty for one that was made

    if not TYPE_CHECKING:  # a type checker shall still find misspelt names

        def __getattr__(self, name: str) -> Any:
            """Say for a name of transformers that means nothing here what to write instead."""
            hint = f": {INSTEAD[name]}" if name in INSTEAD else ""
            raise AttributeError(f"{type(self).__name__} has no {shown(name)}{hint}")

    def eval(self: Self) -> Self:
        """Return the model: it never drops anything unless a call says `training=True`."""
        return self

    def train(self: Self, mode: bool = True) -> Self:
        """Return the model for `mode=False`; there is no mode of training, a call has `training=True`.

        Raises:
            ValueError: `mode` is true.
        """
        if check_switch("mode", mode):
            raise ValueError(f"train() has nothing to switch on: {_NO_TRAINING}")
        return self

    def cpu(self: Self) -> Self:
        """Return the model, which is on the CPU."""
        return self

    def to(self: Self, *args: Any, device: Any = None, dtype: Any = None, non_blocking: bool = False) -> Self:
        """Move to the device "cpu", where the model is, or convert to a dtype, as torch's `to` does, in place.

        >>> model.to("cpu").to(np.float64).dtype
        dtype('float64')
        """
        if len(args) > 2 or (not args and device is None and dtype is None):
            raise TypeError('to() takes a device, "cpu", or a dtype, or both')
        for each in (*args, device, dtype):
            name = str(each).removeprefix("torch.")
            if each is None or name in ("cpu", "cpu:0"):
                continue
            if name.split(":")[0] in ("cuda", "mps", "xpu", "npu", "tpu", "meta", "gpu") or isinstance(each, int):
                raise ValueError(f"to({shown(each)}): {_NO_DEVICE}")
            self._convert(name if isinstance(each, str) or name != str(each) else each)
        return self

    def float(self: Self) -> Self:
        """Convert to float32 in place, and return the model."""
        return self._convert("float32")

    def double(self: Self) -> Self:
        """Convert to float64 in place, and return the model."""
        return self._convert("float64")

    def half(self: Self) -> Self:
        """Keep large matrices in float16 from now on, as `from_pretrained(dtype="float16")`; compute in float32."""
        return self._convert("float16")

    def bfloat16(self: Self) -> Self:
        """Keep large matrices in bfloat16 from now on, as `from_pretrained(dtype="bfloat16")`; compute in float32."""
        return self._convert("bfloat16")

    def _convert(self: Self, dtype: Any) -> Self:
        computed, storage = checkpoint.resolve_storage(dtype)
        with np.errstate(over="ignore"):  # infinity is refused just below
            arrays = {name: np.asarray(array).astype(computed) for name, array in to_arrays(self.weights).items()}
        wide = [name for name, array in arrays.items() if not np.isfinite(array).all()]
        if wide:
            raise ValueError(f"{wide[0]} holds a number too large for {computed}")
        self._set_weights(from_arrays(self.config, arrays, self.parts), storage)
        return self

    def _set_weights(self, weights: Weights, storage: str) -> None:
        raise NotImplementedError

    def named_parameters(self) -> Iterator[tuple[str, Array]]:
        """Yield what training sets, under the names that transformers has for it; the logits' bias is none of it.

        >>> next(model.named_parameters())[0]
        'model.shared.weight'
        """
        for name, array in to_arrays(self.weights).items():
            if name != "final_logits_bias":
                yield stored_name(name, self.parts), array

    def parameters(self) -> Iterator[Array]:
        """Yield what training sets, as arrays."""
        for _, array in self.named_parameters():
            yield array

    def state_dict(self) -> dict[str, Array]:
        """Return every array under transformers' names, the token embeddings under each of theirs, as torch does.

        >>> state = model.state_dict()
        >>> state["lm_head.weight"] is state["model.shared.weight"]
        True
        """
        arrays = to_arrays(self.weights)
        state = {stored_name(name, self.parts): array for name, array in arrays.items()}
        prefix = "" if self.parts == BASE_MODEL else "model."
        for part in (ENCODER, DECODER):
            if part in self.parts:
                state[f"{prefix}{part}.embed_tokens.weight"] = arrays[SHARED]
        if self.parts != BASE_MODEL:
            state["lm_head.weight"] = arrays[SHARED]
        return state

    def get_output_embeddings(self) -> Embedding | None:
        """The matrix [V, D] whose transpose makes the logits, the same as the tokens'; None without a head.

        >>> model.get_output_embeddings() is model.get_input_embeddings()
        True
        """
        return None if self.parts == BASE_MODEL else self.weights.shared

    def tie_weights(self) -> None:
        """Do nothing: embeddings and logits share one matrix always."""

    def can_generate(self) -> bool:
        """Whether the class has `generate`."""
        return hasattr(type(self), "generate")


def representation(model: Any) -> str:
    """Return a model in a few words: class, size, dtype, dialect, where it came from.

    >>> print(representation(model))
    BlenderbotSmallForConditionalGeneration(1,447 parameters, 1 + 2 layers, d_model 6, vocab_size 11, float32, \
dialect 'parlai')
    """
    config = model.config
    layers = (
        f"{config.encoder_layers} + {config.decoder_layers}" if ENCODER in model.parts else f"{config.decoder_layers}"
    )
    kept = "" if model.storage == str(model.dtype) else f" kept in {model.storage}"
    source = f", from {shown(model.name_or_path)}" if model.name_or_path else ""
    return (
        f"{type(model).__name__}({model.num_parameters():,} parameters, {layers} layers, d_model {config.d_model}, "
        f"vocab_size {config.vocab_size}, {model.dtype}{kept}, dialect {shown(model.dialect.name)}{source})"
    )
