"""Every number of forward passes: whole and in steps, with masks, head masks, embeddings, dropout, beams.

The points of a pass are what a `tap` is called with, in order; the outputs are kept beside them.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from npblender import trace

from ..book import Book
from ..frozen.wide import DIALECTS, models
from ..places import find
from . import Place

ALL = {"output_attentions": True, "output_hidden_states": True}


class Passes:
    """Passes of one model, put into a book."""

    def __init__(self, book: Book, name: str, model: Any) -> None:
        self.book, self.name, self.model = book, name, model
        self.config = model.config
        self.causal = " causal " in name
        self.rng = np.random.default_rng(11)

    def put(self, what: str, call: Any, **arguments: Any) -> Any:
        """Run a call once with a tap and once without, and keep both results; the second one is returned."""
        points: list[tuple[str, Any]] = []
        tapped = call(**arguments, tap=lambda point, array: points.append((point, np.array(array))))
        self.book.points(f"{self.name}/{what}/points", points)
        self.book.put(f"{self.name}/{what}/tapped", tapped, samples=False)
        result = call(**arguments)
        self.book.put(f"{self.name}/{what}/plain", result)
        return result

    def ids(self, rows: int, length: int, pads: str = "") -> Any:
        """Random ids, a row shorter than the one before it where pads are wanted."""
        ids = self.rng.integers(3, self.config.vocab_size, (rows, length))
        for row in range(rows):
            short = min(row, length - 1)
            if pads and short:
                ids[row, slice(-short, None) if pads == "right" else slice(0, short)] = self.config.pad_token_id
        return ids

    def embeddings(self, rows: int, length: int) -> Any:
        """Random embeddings in the model's dtype."""
        return self.rng.standard_normal((rows, length, self.config.d_model)).astype(self.model.dtype)

    def all(self) -> None:
        """Every pass that this class of model has."""
        if self.causal:
            self.of_the_causal_head()
        else:
            self.of_a_whole_model()

    def of_a_whole_model(self) -> None:
        c, model = self.config, self.model
        base = " base " in self.name
        heads = {
            "head_mask": np.round(self.rng.random((c.encoder_layers, c.encoder_attention_heads)), 2),
            "decoder_head_mask": np.round(self.rng.random((c.decoder_layers, c.decoder_attention_heads)), 2),
            "cross_attn_head_mask": np.round(self.rng.random((c.decoder_layers, c.decoder_attention_heads)), 2),
        }
        right, left = self.ids(3, 7, "right"), self.ids(3, 7, "left")
        target = self.ids(3, 5, "right")
        self.put("ids", model.forward, input_ids=right, decoder_input_ids=target, **ALL)
        self.put("plain", model.forward, input_ids=right, decoder_input_ids=target)
        self.put("one row", model.forward, input_ids=right[:1], decoder_input_ids=target[:1, :1])
        many, many_target = self.ids(24, 9, "right"), self.ids(24, 6, "right")
        self.put("many rows", model.forward, input_ids=many, decoder_input_ids=many_target, attention_mask=many != 0)
        masks = {"attention_mask": left != 0, "decoder_attention_mask": target != 0}
        self.put("left pads and heads", model.forward, input_ids=left, decoder_input_ids=target, **masks | heads, **ALL)
        embedded = {"inputs_embeds": self.embeddings(2, 4), "decoder_inputs_embeds": self.embeddings(2, 3)}
        places = {"position_ids": [[3, 2, 1, 0]], "decoder_position_ids": [[5, 4, 6], [0, 1, 2]]}
        self.put("embeddings", model.forward, **embedded, **places)
        if not base:
            labels = np.where(target == 0, -100, target)
            self.put("labels", model.forward, input_ids=right, labels=labels)
        for seed in (0, 1):
            drops = {"training": True, "generator": seed, "use_cache": False}
            self.put(f"dropout {seed}", model.forward, input_ids=right, decoder_input_ids=target, **drops, **ALL)
        encoded = self.put("encode", model.encode, input_ids=left, attention_mask=left != 0)
        room = model.init_cache(3, 9, encoded)
        self.book.put(f"{self.name}/init_cache", room)
        cached = {"past_key_values": room, "encoder_attention_mask": left != 0}
        self.put("decode", model.decode, decoder_input_ids=target, **cached)
        self.put("get_encoder", model.get_encoder().forward, input_ids=right)
        self.put("get_decoder", model.get_decoder().forward, input_ids=target, encoder_hidden_states=encoded[0])
        self.steps(right, target)
        self.beams(right)

    def steps(self, source: Any, target: Any) -> None:
        """A prompt of two tokens, then one at a time over the cache, then a cropped cache again."""
        mask = source != 0
        out = self.model.forward(source, mask, target[:, :2], use_cache=True)
        early = out.past_key_values
        for at in range(2, target.shape[1]):
            given = {"decoder_input_ids": target[:, at : at + 1], "past_key_values": out.past_key_values}
            out = self.put(f"step {at}", self.model.forward, attention_mask=mask, **given)
        given = {"decoder_input_ids": target[:, 1:4], "past_key_values": out.past_key_values.crop(1)}
        self.put("after a crop", self.model.forward, attention_mask=mask, **given)
        given = {"decoder_input_ids": target[:, 3:5], "past_key_values": early}
        self.put("another branch", self.model.forward, attention_mask=mask, **given)

    def beams(self, source: Any) -> None:
        """Four beams of two sources, reordered at every step."""
        rows = np.repeat(source[:2], 4, axis=0)
        encoded = self.model.encode(rows, rows != 0)
        cache, tokens = None, np.full((8, 1), 1)
        for step in range(6):
            given = {"encoder_outputs": encoded, "past_key_values": cache, "attention_mask": rows != 0}
            out = self.put(f"beams {step}", self.model.forward, decoder_input_ids=tokens, use_cache=True, **given)
            order = np.concatenate([self.rng.integers(0, 4, 4), self.rng.integers(4, 8, 4)])
            cache = out.past_key_values.take(order)
            tokens = self.rng.integers(3, self.config.vocab_size, (8, 1))
        self.book.put(f"{self.name}/beams/cache", cache)

    def of_the_causal_head(self) -> None:
        c, model = self.config, self.model
        ids, states = self.ids(3, 6, "right"), self.embeddings(3, 4)
        heads = {"head_mask": np.round(self.rng.random((c.decoder_layers, c.decoder_attention_heads)), 2)}
        self.put("ids", model.forward, input_ids=ids, **ALL)
        self.put("masks", model.forward, input_ids=ids, attention_mask=ids != 0, labels=ids, **heads)
        self.put("states", model.forward, input_ids=ids, encoder_hidden_states=states, **ALL)
        self.put("last logits", model.forward, input_ids=ids, logits_to_keep=2)
        self.put("dropout", model.forward, input_ids=ids, training=True, generator=5, use_cache=False)
        out = model.forward(ids[:, :3], encoder_hidden_states=states)
        for at in range(3, 6):
            given = {"past_key_values": out.past_key_values, "encoder_hidden_states": states}
            out = self.put(f"step {at}", model.forward, input_ids=ids[:, at : at + 1], **given)


def traces(book: Book, name: str, model: Any, small: bool) -> None:
    """What `trace` and `refed` make of a model: other dtypes, steps, noise."""
    source = [[5, 6, 7, 8, 0], [9, 3, 4, 10, 6]]
    target = [[1, 9, 4, 5], [1, 7, 8, 2]]
    for dtype in ("float32", "float64", "longdouble") if small else ("float32", "float64"):
        for prefill in (0, 2):
            steps: dict[str, Any] = {"steps": True, "prefill": prefill} if prefill else {}
            noise = dtype == "float32" and prefill == 0
            found = trace(model, source, decoder_input_ids=target, dtype=dtype, noise=noise, **steps)
            book.points(f"{name}/trace {dtype} {prefill}", found.arrays.items())
            book.put(f"{name}/trace {dtype} {prefill}/about", [found.dtype, found.inputs, found.noise])
    inputs = find("TraceInputs")(source, decoder_input_ids=target, steps=True, prefill=2)
    cases = find("refed")(model, inputs)
    book.put(f"{name}/refed", [[each.name, each.op, each.settings] for each in cases.cases])
    book.points(f"{name}/refed/outputs", cases.outputs.items())
    book.put(f"{name}/refed/noise", cases.noise)


def record(book: Book, place: Place) -> None:
    """Passes of every model; the small ones only under the first layout, since theirs is always the same."""
    small = os.environ.get("NPBLENDER_LAYOUT") == "rows"
    for dialect in DIALECTS:
        for name, model in models(dialect, small):
            Passes(book, f"{dialect}/{name}", model).all()
            if small and name in ("tiny gelu seq2seq float32", "demo float32"):
                traces(book, f"{dialect}/{name}", model, name.startswith("tiny"))
