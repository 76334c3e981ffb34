"""Writes what a torch BlenderbotSmall model of transformers computes under the names of npblender's points.

    python tools/torch_trace.py --model FOLDER --inputs FILE.json --out FILE [--dtype float32] [--steps]

FILE.json holds `input_ids`, `attention_mask`, `decoder_input_ids`, `decoder_attention_mask`, `labels`, as
`npblender trace --inputs` takes them. From Python, around one call of any model of one's own:

    with hooked(model) as trace:
        model(input_ids=ids, decoder_input_ids=target)
    trace.save("mine.safetensors")          # `npblender compare REF mine.safetensors` reads it

With `hooked(model, steps=True)` several calls with a cache, or `generate`, are recorded as `prefill.…`, `step1.…`, ….

This file needs torch, safetensors and transformers 4.52 or 5 and nothing else, npblender neither: it can be copied.
Modules are recorded by hooks, what happens between them (scores, the sums before a norm) by watching torch's functions.
Nothing is computed here: a tensor is copied as it was, at most with its heads split or its batch axis repeated. A point
that the model does not compute, or not where it can be recorded, is left out and named in `trace.unrecorded` with the
reason. Load the model with `attn_implementation="eager"`: the fused attentions show no scores and no weights.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FORMAT, VERSION = "npblender-trace", "1"
ARGUMENTS = ("input_ids", "attention_mask", "decoder_input_ids", "decoder_attention_mask", "labels")
SIZES = (
    *("activation_function", "d_model", "vocab_size", "max_position_embeddings", "scale_embedding"),
    *(f"{side}_{size}" for side in ("encoder", "decoder") for size in ("layers", "attention_heads", "ffn_dim")),
    *("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"),
)
EMBEDDING = {
    "encoder": ("tokens", "scaled", "positions", "sum", "norm", "output"),
    "decoder": ("tokens", "scaled", "norm", "positions", "sum", "output"),
}
ATTENTION = ("q", "k", "v", "scores", "masked_scores", "weights", "context", "output", "sum", "norm")
FEED_FORWARD = ("hidden", "activation", "output", "sum", "norm")
NOT_COMPUTED = "the calls that were recorded did not compute it"


def stack_points(side: str, layers: int, cross: bool) -> Iterator[str]:
    """The points of one stack in causal order, but for the cross keys and values, which come before the decoder."""
    yield from (f"{side}.embed.{name}" for name in EMBEDDING[side])
    for n in range(layers):
        layer = f"{side}.layers.{n}"
        yield from (f"{layer}.self_attn.{name}" for name in ATTENTION)
        if side == "decoder" and cross:
            yield from (f"{layer}.encoder_attn.{name}" for name in ATTENTION if name not in "kv")
        yield from (f"{layer}.ffn.{name}" for name in FEED_FORWARD)
        yield f"{layer}.output"
    yield f"{side}.states"


def point_names(
    encoder_layers: int | None, decoder_layers: int, passes: tuple[str, ...] = ("",), *, labels: bool = False
) -> list[str]:
    """Every point in causal order, those of the decoder once a pass; without an encoder there are no cross keys.

    >>> point_names(1, 1)[-3:], len(point_names(None, 1, ("prefill.", "step1.")))
    (['decoder.states', 'logits', 'log_probabilities'], 50)
    """
    names: list[str] = []
    if encoder_layers is not None:
        names += stack_points("encoder", encoder_layers, cross=True)
        names += [f"decoder.layers.{n}.encoder_attn.{part}" for n in range(decoder_layers) for part in "kv"]
    decoder = stack_points("decoder", decoder_layers, cross=encoder_layers is not None)
    one_pass = (*decoder, "logits", "log_probabilities", *(["loss"] if labels else []))
    return names + [prefix + name for prefix in passes for name in one_pass]


@dataclass
class TorchTrace:
    """What was recorded: NumPy arrays by point, and why the other points were not."""

    producer: dict[str, str] = field(default_factory=dict)
    dialect: str = ""
    dtype: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, Any] = field(default_factory=dict)
    unrecorded: dict[str, str] = field(default_factory=dict)
    with_encoder: bool = True
    passes: list[str] = field(default_factory=list)

    def expected(self) -> list[str]:
        """The names of all points of the calls that were recorded, in causal order."""
        layers = (self.config["encoder_layers"] if self.with_encoder else None, self.config["decoder_layers"])
        return point_names(*layers, tuple(self.passes) or ("",), labels="labels" in self.inputs)

    @property
    def points(self) -> list[str]:
        """The names of what was recorded, in causal order."""
        return [name for name in self.expected() if name in self.arrays]

    def save(self, path: str | Path) -> None:
        """Write the file that `npblender compare` reads: tensors by point, their order and origin as metadata."""
        import numpy as np
        from safetensors.numpy import save_file

        metadata = {"format": FORMAT, "version": VERSION, "dtype": self.dtype, "noise": json.dumps({})}
        for name in ("points", "dialect", "config", "inputs", "producer", "unrecorded"):
            metadata[name] = json.dumps(getattr(self, name))
        save_file({name: np.array(self.arrays[name], order="C") for name in self.points}, path, metadata)


class Recorder:
    """Records one model: called by the hooks and the watched functions, it names the tensors that they pass."""

    def __init__(self, model: Any, trace: TorchTrace, steps: bool) -> None:
        self.model, self.trace, self.steps = model, trace, steps
        self.handles: list[Any] = []
        self.side = ""  # the stack that runs now
        self.attention = ""  # the attention that runs now
        self.kept: dict[str, Any] = {}  # tensors of the running stack or attention, to know them again
        self.passes = 0

    def record(self, name: str, tensor: Any) -> None:
        if name in self.trace.arrays:
            hint = "give later calls encoder_outputs and the cache" if self.steps else "hook it with steps=True"
            raise ValueError(f"{name} was computed twice; one trace holds one call: {hint}, or hook every call anew")
        wide = tensor.detach().cpu()
        wide = wide.float() if wide.element_size() < 4 else wide  # NumPy has no bfloat16; nothing is lost
        self.trace.arrays[name] = wide.numpy().copy()

    def here(self, name: str) -> str:
        """A point of the pass that runs, with the pass in front where several are recorded; the encoder runs once."""
        return name if name.startswith("encoder") or not self.trace.passes else self.trace.passes[-1] + name

    def before(self, module: Any, call: Any) -> None:
        def hook(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            call((*args, *kwargs.values()), kwargs)

        self.handles.append(module.register_forward_pre_hook(hook, with_kwargs=True))

    def after(self, module: Any, call: Any) -> None:
        self.handles.append(module.register_forward_hook(lambda _, args, result: call(result)))

    def enter(self, side: str) -> None:
        self.side, self.kept = side, {}
        if side == "decoder" and self.steps:
            self.trace.passes.append("prefill." if self.passes == 0 else f"step{self.passes}.")
            self.passes += 1

    def leave(self, side: str, result: Any) -> None:
        self.record(self.here(f"{side}.states"), result[0])
        self.side = ""

    def embedded(self, tokens: Any) -> None:
        if self.side:
            self.record(self.here(f"{self.side}.embed.tokens"), tokens)

    def stack(self, side: str, stack: Any) -> None:
        embed = f"{side}.embed"
        self.before(stack, lambda args, kwargs: self.enter(side))
        self.after(stack, lambda result: self.leave(side, result))
        self.after(stack.embed_positions, lambda rows: self.kept.update(positions=rows))
        if side == "decoder":
            self.before(stack.layernorm_embedding, lambda a, _: self.record(self.here(f"{embed}.scaled"), a[0]))
        self.after(stack.layernorm_embedding, lambda r: self.record(self.here(f"{embed}.norm"), r))
        self.before(stack.layers[0], lambda args, _: self.record(self.here(f"{embed}.output"), args[0]))
        for n, layer in enumerate(stack.layers):
            name = f"{side}.layers.{n}"
            self.one_attention(f"{name}.self_attn", layer.self_attn, layer.self_attn_layer_norm)
            if side == "decoder":
                self.one_attention(f"{name}.encoder_attn", layer.encoder_attn, layer.encoder_attn_layer_norm)
            self.record_result(f"{name}.ffn.hidden", layer.fc1)
            self.record_input(f"{name}.ffn.activation", layer.fc2)
            self.record_result(f"{name}.ffn.output", layer.fc2)
            self.record_input(f"{name}.ffn.sum", layer.final_layer_norm)
            self.record_result(f"{name}.ffn.norm", layer.final_layer_norm)
            self.record_result(f"{name}.output", layer)

    def record_input(self, name: str, module: Any) -> None:
        self.before(module, lambda args, _: self.record(self.here(name), args[0]))

    def record_result(self, name: str, module: Any) -> None:
        self.after(module, lambda r: self.record(self.here(name), r[0] if isinstance(r, tuple) else r))

    def one_attention(self, name: str, module: Any, norm: Any) -> None:
        heads = module.num_heads

        def split(x: Any) -> Any:  # [B, T, D] -> [B, H, T, K]
            return x.view(*x.shape[:2], heads, -1).transpose(1, 2)

        def switch(attention: str) -> None:
            self.attention, self.kept = attention, {"heads": heads}

        in_pass = str if name.endswith("encoder_attn") else self.here  # cross keys and values belong to no pass
        self.before(module, lambda *_: switch(name))
        self.after(module, lambda _: switch(""))
        self.after(module.k_proj, lambda x: self.record(in_pass(f"{name}.k"), split(x)))
        self.after(module.v_proj, lambda x: self.record(in_pass(f"{name}.v"), split(x)))
        self.record_input(f"{name}.context", module.out_proj)
        self.record_result(f"{name}.output", module.out_proj)
        self.record_input(f"{name}.sum", norm)
        self.record_result(f"{name}.norm", norm)

    def function(self, name: str, args: tuple[Any, ...], result: Any) -> None:
        """One of torch's functions has run between the modules."""
        name = name.strip("_")
        if self.attention:
            self.within_attention(name, args, result)
        elif name in ("add", "radd") and any(arg is self.kept.get("positions") for arg in args[:2] if arg is not None):
            rows = self.kept.pop("positions")
            other = args[1] if args[0] is rows else args[0]
            embed = self.here(f"{self.side}.embed")
            self.record(f"{embed}.positions", rows.expand(other.shape))  # [T, D] -> [B, T, D], repeated
            if self.side == "encoder":
                self.record(f"{embed}.scaled", other)
            self.record(f"{embed}.sum", result)

    def within_attention(self, name: str, args: tuple[Any, ...], result: Any) -> None:
        kept, here = self.kept, self.here(self.attention)

        def by_head(x: Any) -> Any:  # transformers 4 has [B*H, T, K]
            return x.reshape(-1, kept["heads"], *x.shape[-2:])

        if name in ("matmul", "bmm") and "product" not in kept:
            kept["product"], kept["queries"] = result, by_head(args[0])
        elif "product" not in kept:
            return
        elif name in ("mul", "rmul") and "weights" not in kept:
            kept["scaled later"] = True
        elif name in ("add", "radd") and "weights" not in kept:
            kept["before mask"] = by_head(args[0])
        elif name == "softmax" and "weights" not in kept:
            kept["weights"] = result
            if "scaled later" in kept:
                self.trace.unrecorded[f"{here}.q"] = "this version divides the products, not the queries"
            else:
                self.record(f"{here}.q", kept["queries"])
            masked = by_head(args[0])
            self.record(f"{here}.scores", kept.get("before mask", masked))
            self.record(f"{here}.masked_scores", masked)
        elif name in ("matmul", "bmm"):
            self.record(f"{here}.weights", by_head(args[0]))

    def called(self, kwargs: dict[str, Any]) -> None:
        """Keep what the model was asked; a later step adds its tokens."""
        for name in (name for name in ARGUMENTS if kwargs.get(name) is not None):
            value = kwargs[name].tolist()
            if name == "decoder_input_ids" and self.steps and name in self.trace.inputs:
                value = [[*old, *new] for old, new in zip(self.trace.inputs[name], value, strict=True)]
            if name == "decoder_attention_mask" or self.steps or name not in self.trace.inputs:
                self.trace.inputs[name] = value

    def answered(self, result: Any) -> None:
        if not hasattr(result, "keys"):
            self.trace.unrecorded[self.here("logits")] = "return_dict=False gives them no name"
            return
        for name in ("logits", "loss"):
            if result.get(name) is not None:
                self.record(self.here(name), result[name])

    def finish(self) -> None:
        for handle in self.handles:
            handle.remove()
        fused = getattr(self.model.config, "_attn_implementation", "eager")
        for name in self.trace.expected():
            last = name.rsplit(".", 1)[-1]
            reason = NOT_COMPUTED
            if last == "log_probabilities":
                reason = "the model computes none; npblender does when it is traced"
            elif fused != "eager" and last in ("q", "scores", "masked_scores", "weights"):
                reason = f"hidden inside the attention {fused!r}; load with attn_implementation='eager'"
            if name not in self.trace.arrays:
                self.trace.unrecorded.setdefault(name, reason)


@contextlib.contextmanager
def hooked(model: Any, *, steps: bool = False) -> Iterator[TorchTrace]:
    """Record the calls of a BlenderbotSmall model of transformers inside the `with` block.

    `model` is any of transformers' three classes (or of one's own derived from them), in evaluation mode. The trace is
    complete when the block ends. Raises ValueError for another model, for one in training mode, and where a point is
    computed a second time: without `steps` one call is recorded.
    """
    import torch
    import transformers
    from torch.overrides import TorchFunctionMode

    kinds = ("BlenderbotSmallForConditionalGeneration", "BlenderbotSmallModel", "BlenderbotSmallForCausalLM")
    known = tuple(getattr(transformers, name) for name in kinds)
    if not isinstance(model, known):
        raise ValueError(f"this records {', '.join(kinds)} of transformers, not {type(model).__name__}")
    if model.training:
        raise ValueError("the model is in training mode, in which dropout changes every number: call model.eval()")
    major, minor = (int(part) for part in transformers.__version__.split(".")[:2])
    trace = TorchTrace(
        producer={"transformers": transformers.__version__, "torch": torch.__version__},
        dialect="transformers-4" if (major, minor) < (4, 53) else "transformers-5",
        dtype=str(model.dtype).removeprefix("torch."),
        config={name: getattr(model.config, name) for name in SIZES},
        with_encoder=not isinstance(model, known[2]),
    )
    recorder = Recorder(model, trace, steps)
    decoder = model.get_decoder()
    stacks = {"encoder": model.get_encoder(), "decoder": decoder} if trace.with_encoder else {"decoder": decoder}
    for side, stack in stacks.items():
        recorder.stack(side, stack)
    for tokens in {id(stack.embed_tokens): stack.embed_tokens for stack in stacks.values()}.values():
        recorder.after(tokens, recorder.embedded)
    recorder.before(model, lambda args, kwargs: recorder.called(kwargs))
    recorder.after(model, recorder.answered)

    class Watch(TorchFunctionMode):
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = function(*args, **(kwargs or {}))
            if recorder.side:
                recorder.function(getattr(function, "__name__", ""), args, result)
            return result

    try:
        with Watch():
            yield trace
    finally:
        recorder.finish()


def run(model: Any, inputs: dict[str, Any], steps: bool, prefill: int) -> TorchTrace:
    """The trace of one forward pass over `inputs`; with `steps` of `prefill` target tokens and then one at a time."""
    import torch

    given = {name: torch.tensor(value) for name, value in inputs.items()}
    with torch.no_grad():
        if not steps:
            with hooked(model) as trace:
                model(**given, use_cache=False)
            return trace
        target, target_mask = given.pop("decoder_input_ids"), given.pop("decoder_attention_mask", None)
        source = {"attention_mask": given["attention_mask"]} if "attention_mask" in given else {}
        with hooked(model, steps=True) as trace:
            states = model.get_encoder()(input_ids=given["input_ids"], **source)
            past, start = None, 0
            for stop in range(prefill, target.shape[1] + 1):
                mask = {} if target_mask is None else {"decoder_attention_mask": target_mask[:, :stop]}
                cached = {"past_key_values": past, "use_cache": True}
                output = model(
                    encoder_outputs=states, decoder_input_ids=target[:, start:stop], **cached, **source, **mask
                )
                past, start = output.past_key_values, stop
        trace.inputs = {**inputs, "steps": True, "prefill": prefill}
        return trace


def read_inputs(path: Path) -> dict[str, Any]:
    """Read the arguments of a call, and perhaps `steps` and `prefill`; ValueError for a file that does not fit."""
    inputs = json.loads(path.read_text(encoding="utf-8"))
    known = (*ARGUMENTS, "steps", "prefill")
    strange = sorted(set(inputs) - set(known))
    if strange:
        raise ValueError(f"{path} holds {', '.join(strange)}; this runs {', '.join(known)}")
    if "input_ids" not in inputs:
        raise ValueError(f"{path} has no input_ids")
    return {name: inputs[name] for name in known if inputs.get(name) is not None}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="a folder in transformers' layout")
    parser.add_argument("--inputs", required=True, type=Path, help="a JSON file with the arguments of the call")
    parser.add_argument("--out", required=True, type=Path, help="the trace to write (safetensors)")
    parser.add_argument("--dtype", default="float32", choices=("float64", "float32", "bfloat16", "float16"))
    parser.add_argument("--steps", action="store_true", help="prefill, then one target token at a time with the cache")
    parser.add_argument("--prefill", type=int, default=None, help="how many target tokens the first pass takes (1)")
    parser.add_argument("--threads", type=int, default=None, help="torch's threads")
    options = parser.parse_args(arguments)
    inputs = read_inputs(options.inputs)
    steps = inputs.pop("steps", False) or options.steps
    prefill = options.prefill or inputs.pop("prefill", 1)
    inputs.pop("prefill", None)
    if steps and ("labels" in inputs or not 1 <= prefill <= len(inputs.get("decoder_input_ids", [[]])[0])):
        parser.error("steps need decoder_input_ids of at least as many tokens as the prefill has, and no labels")
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    torch.set_num_threads(options.threads or torch.get_num_threads())
    model = transformers.BlenderbotSmallForConditionalGeneration.from_pretrained(
        options.model, attn_implementation="eager", torch_dtype=getattr(torch, options.dtype)
    )
    trace = run(model.eval(), inputs, steps, prefill)
    trace.save(options.out)
    made = ", ".join(f"{name} {version}" for name, version in trace.producer.items())
    print(f"{options.out}: {len(trace.arrays)} points of {made}, {trace.dtype}")
    for reason in dict.fromkeys(trace.unrecorded.values()):
        names = [name for name, why in trace.unrecorded.items() if why == reason]
        print(f"not recorded, {reason}: {len(names)}, {', '.join(names[:3])}{', …' if len(names) > 3 else ''}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
