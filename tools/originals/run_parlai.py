"""Runs a folder of cases through ParlAI's own TransformerGeneratorModel and writes what it answers.

    PYTHON -m tools.originals.run_parlai CASES ANSWERS [--original parlai]

PYTHON is the interpreter of ParlAI's environment (`python -m tools originals`). Cases and answers have the names of
transformers (see `exchange.py`). Hidden states and attention weights are read by hooks on its modules, caches from its
incremental state.

What ParlAI does not have is put this way, and no other:

- It has no `attention_mask`: it hides the pad id. A hidden position becomes a pad.
- It decodes one token at a time after the first call: several new tokens are several steps, put together.
- It has one head count and one ffn size for both sides: the decoder is built from options of its own.
- It takes the softmax in float32 whatever the model's dtype. For a case in float64 that one cast is lifted,
  and nothing else, so that its arithmetic can be compared beyond float32.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import torch
from parlai.agents.transformer.modules import TransformerGeneratorModel

from tools.originals.exchange import Answer, Case, answer_calls, flatten, flatten_cache, serve
from tools.originals.parlai_model import build


class Watch:
    """Hooks that keep the states around every layer and the weights of every attention of one pass."""

    def __init__(self, model: TransformerGeneratorModel) -> None:
        self.seen: dict[str, list[np.ndarray]] = {}
        for side, stack in (("encoder", model.encoder), ("decoder", model.decoder)):
            heads = stack.n_heads
            stack.layers[0].register_forward_pre_hook(self._before(f"{side}_hidden_states"), with_kwargs=True)
            for layer in stack.layers:
                layer.register_forward_hook(self._after(f"{side}_hidden_states"))
                own = layer.attention if side == "encoder" else layer.self_attention
                own.attn_dropout.register_forward_hook(self._weights(f"{side}_attentions", heads))
                if side == "decoder":
                    cross = layer.encoder_attention.attn_dropout
                    cross.register_forward_hook(self._weights("cross_attentions", heads))

    def _keep(self, name: str, tensor: torch.Tensor) -> None:
        self.seen.setdefault(name, []).append(tensor.detach().numpy().copy())

    def _before(self, name: str) -> Any:
        return lambda module, inputs, keywords: self._keep(name, inputs[0])

    def _after(self, name: str) -> Any:
        # A decoder layer answers (states, incremental state), an encoder layer the states.
        return lambda module, inputs, output: self._keep(name, output[0] if isinstance(output, tuple) else output)

    def _weights(self, name: str, heads: int) -> Any:
        # [B * H, T, K] -> [B, H, T, K]
        return lambda module, inputs, output: self._keep(name, output.unflatten(0, (-1, heads)))

    def take(self) -> dict[str, list[np.ndarray]]:
        seen, self.seen = self.seen, {}
        return seen


def join_steps(steps: list[dict[str, list[np.ndarray]]]) -> dict[str, list[np.ndarray]]:
    """Put what single steps showed together: states along time; attentions too, later keys weighing zero."""
    joined: dict[str, list[np.ndarray]] = {}
    for name in steps[0]:
        joined[name] = []
        for values in zip(*(step[name] for step in steps), strict=True):
            if values[0].ndim == 4:  # [B, H, 1, K] with K growing
                longest = values[-1].shape[-1]
                values = [np.pad(v, [(0, 0)] * 3 + [(0, longest - v.shape[-1])]) for v in values]
            joined[name].append(np.concatenate(values, axis=-2))
    return joined


class Runner:
    """Answers the calls of one case; later calls may use what earlier ones gave back."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.model = build(case)
        self.watch = Watch(self.model)
        self.encoded: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self.past: dict[int, tuple[torch.Tensor, Any]] = {}  # the ids so far, ParlAI's incremental state

    def encode(self, number: int, arguments: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
        if "encoder_outputs" in arguments:
            return self.encoded[arguments["encoder_outputs"]["encoder_of"]]
        ids = self.case.inputs[arguments["input_ids"]["array"]]
        if "attention_mask" in arguments:
            mask = self.case.inputs[arguments["attention_mask"]["array"]]
            ids = np.where(mask.astype(bool), ids, self.case.config["pad_token_id"])
        return self.model.encoder(torch.from_numpy(ids))

    @torch.no_grad()
    def call(self, number: int, call: dict[str, Any]) -> dict[str, np.ndarray]:
        arguments = call["arguments"]
        known = {"input_ids", "attention_mask", "encoder_outputs", "decoder_input_ids", "past_key_values"}
        flags = {"use_cache", "output_attentions", "output_hidden_states"}
        if set(arguments) - known - flags:
            raise ValueError(f"ParlAI has nothing like {sorted(set(arguments) - known - flags)}")
        seen: dict[str, Any] = {}
        self.encoded[number] = states = self.encode(number, arguments)
        if "encoder_outputs" not in arguments:
            seen.update(self.watch.take(), encoder_last_hidden_state=states[0].numpy().copy())
        ids = torch.from_numpy(self.case.inputs[arguments["decoder_input_ids"]["array"]])
        if "past_key_values" not in arguments:
            latent, state = self.model.decoder(ids, states)
            seen.update(self.watch.take())
        else:
            before, state = self.past[arguments["past_key_values"]["past_of"]]
            steps, latents = [], []
            ids = torch.cat([before, ids], dim=1)
            for end in range(before.shape[1] + 1, ids.shape[1] + 1):
                latent, state = self.model.decoder(ids[:, :end], states, state)
                latents.append(latent)
                steps.append(self.watch.take())
            latent = torch.cat(latents, dim=1)
            seen.update(join_steps(steps))
        self.past[number] = (ids, state)
        seen["logits"] = self.model.output(latent).numpy()
        tensors = {name: array for key, value in seen.items() for name, array in flatten(key, value, np.asarray)}
        attentions = [(state[layer]["self_attn"], state[layer]["encoder_attn"]) for layer in sorted(state)]
        layers = [
            (own["prev_key"], own["prev_value"], cross["prev_key"], cross["prev_value"]) for own, cross in attentions
        ]
        tensors.update(flatten_cache(layers, lambda tensor: tensor.numpy().copy()))
        return tensors


def answer(case: Case, original: str) -> Answer:
    return answer_calls(case, original, Runner(case).call)


if __name__ == "__main__":
    sys.exit(serve("Answer a folder of cases with ParlAI.", answer, torch.set_num_threads, "parlai"))
