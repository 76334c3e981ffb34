"""The sizes and switches of a model: `BlenderbotSmallConfig`, read from and written to `config.json`.

Names and defaults are those of transformers' class (configuration_blenderbot_small.py, 5.23 and 4.52.4). Two of these
defaults are not the published checkpoint's values: `vocab_size` (54,944 there) and `scale_embedding` (true there), so a
configuration is read from the model's folder and not guessed.

A value that this mathematics does not cover is refused by name. Settings of generation in a real config.json are kept
in `extra` (see `generation_config`). LayerNorm's epsilon is 1e-5 in every original, and no field.
"""

import copy
import dataclasses
import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from npblender.common import json_files
from npblender.common.checks import (
    as_plain,
    check_mapping,
    check_number,
    check_switch,
    check_token_id,
    check_whole,
    says_how_to_change,
)
from npblender.common.printable import cut, shown
from npblender.config.parlai_folder import find_parlai
from npblender.ops.activations import ACTIVATIONS

LAYER_NORM_EPS = 1e-5

# transformers builds the same torch.nn.SiLU for both names.
ACTIVATION_ALIASES: Mapping[str, str] = {"swish": "silu"}

# Keys that real files carry and that would change the mathematics: only this value is covered, and why.
_COVERED: Mapping[str, tuple[tuple[Any, ...], str]] = {
    "layernorm_variant": (("xlm",), "the decoder's embedding norm comes before the positions"),
    "do_blenderbot_90_layernorm": ((True,), "the decoder's embedding norm comes before the positions"),
    "normalize_before": ((False,), "each LayerNorm follows its residual sum"),
    "normalize_embedding": ((True,), "embeddings pass through a LayerNorm"),
    "static_position_embeddings": ((False,), "positions are learned"),
    "extra_pos_embeddings": ((0,), "position p is row p of the table"),
    "add_bias_logits": ((False,), "the logits' only bias is final_logits_bias"),
    "add_final_layer_norm": ((False,), "no LayerNorm follows the last layer"),
    "layer_norm_eps": ((1e-5,), "every original adds 1e-5 under the root"),
    "tie_encoder_decoder": ((False,), "encoder and decoder have weights of their own"),
    "pruned_heads": (({}, None), "every head is there"),
    "quantization_config": ((None,), "weights are stored as plain floats"),
}

MOST_LAYERS = 1 << 10
"""The most layers of a side: 1,024, as deep as published transformers go. Every layer is a record, read or not."""
MOST_SIZE = (1 << 31) - 1  # the largest vocabulary, width or length: what other programs can still index by 32 bits
_ID_OR_IDS = int | tuple[int, ...] | None


def check_fields(config: "BlenderbotSmallConfig") -> None:
    """Refuse values that a field of its type cannot have, or that do not go together.

    Raises:
        ValueError: a value out of range, in disagreement with another, or not covered.
        TypeError: a value of a wrong type.
    """
    for f in dataclasses.fields(config):
        name, value = f.name, getattr(config, f.name)
        if f.type is int:
            check_whole(name, value, at_least=1, at_most=MOST_LAYERS if name.endswith("_layers") else MOST_SIZE)
        elif f.type is float:
            check_number(name, value, at_most=math.inf if name == "init_std" else 1.0)
        elif f.type is bool:
            check_switch(name, value)
        elif name.endswith("_token_id"):
            for each in value if f.type == _ID_OR_IDS and isinstance(value, tuple) else (value,):
                check_token_id(name, each, config.vocab_size)
    for name in ("encoder_attention_heads", "decoder_attention_heads"):
        if config.d_model % getattr(config, name):
            raise ValueError(
                f"d_model {config.d_model} is not divisible by {name} {getattr(config, name)}; heads of equal size "
                f"need a divisor of {config.d_model}"
            )
    if (activation := config.activation_function) not in (*ACTIVATIONS,):
        raise ValueError(f"activation_function {shown(activation)} is not covered; use one of {', '.join(ACTIVATIONS)}")
    if not config.tie_word_embeddings:
        raise ValueError("tie_word_embeddings false is not covered, only true: logits come from the token embeddings")
    if not isinstance(dialect := config.npblender_dialect, str | dict | None):
        raise TypeError(f"npblender_dialect must be a dialect's name, or its fields, not {shown(dialect)}")


def check_extra(extra: Mapping[str, Any]) -> None:
    """Refuse keys of real files, mostly ParlAI's and early transformers', that would change the mathematics.

    >>> check_extra({"normalize_before": True})
    Traceback (most recent call last):
    ValueError: normalize_before True is not covered, only False: each LayerNorm follows its residual sum
    """
    for name, (covered, reason) in _COVERED.items():
        if name in extra and not any(_same(extra[name], value) for value in covered):
            raise ValueError(f"{name} {shown(extra[name])} is not covered, only {shown(covered[0])}: {reason}")


def _same(found: Any, covered: Any) -> bool:
    """Whether two values are equal and alike: 1 is not true."""
    return bool(found == covered) and isinstance(found, bool) == isinstance(covered, bool)


@says_how_to_change("model.config = model.config.replace({}=...) sets it for a model")
@dataclass(frozen=True, kw_only=True)
class BlenderbotSmallConfig:
    """Sizes, switches and special ids of one model. Frozen: `replace` gives a changed copy.

    Every field is checked at construction, so a configuration that exists is one the model can run.

    Raises:
        ValueError: a value that is out of range, inconsistent with another, or not covered.
        TypeError: a value of a wrong type, or a name that is no field (keep such a key in `extra`).

    >>> config = BlenderbotSmallConfig(vocab_size=100, d_model=12, encoder_attention_heads=3,
    ...                                decoder_attention_heads=4)
    >>> config.hidden_size, config.num_attention_heads, config.encoder_layers
    (12, 3, 8)
    >>> config.replace(decoder_attention_heads=5)
    Traceback (most recent call last):
    ValueError: d_model 12 is not divisible by decoder_attention_heads 5; heads of equal size need a divisor \
of 12
    """

    model_type: ClassVar[str] = "blenderbot-small"
    attribute_map: ClassVar[Mapping[str, str]] = {
        "num_attention_heads": "encoder_attention_heads",
        "hidden_size": "d_model",
        "num_hidden_layers": "encoder_layers",
    }

    vocab_size: int = 50265  # V
    max_position_embeddings: int = 512  # the longest source, and the longest target
    encoder_layers: int = 8
    encoder_ffn_dim: int = 2048  # F of the encoder
    encoder_attention_heads: int = 16  # H of the encoder; a head's size is K = D / H
    decoder_layers: int = 8
    decoder_ffn_dim: int = 2048  # F of the decoder
    decoder_attention_heads: int = 16  # H of the decoder
    encoder_layerdrop: float = 0.0  # chance that a whole layer is skipped in training
    decoder_layerdrop: float = 0.0
    use_cache: bool = True
    is_encoder_decoder: bool = True
    activation_function: str = "gelu"
    d_model: int = 512  # D
    dropout: float = 0.1  # after embeddings, attention and feed-forward, in training
    attention_dropout: float = 0.0  # on attention weights, in training
    activation_dropout: float = 0.0  # after the activation, in training
    init_std: float = 0.02  # standard deviation of random weights
    decoder_start_token_id: int | None = 1
    scale_embedding: bool = False  # multiply token embeddings by sqrt(d_model)
    pad_token_id: int | None = 0
    bos_token_id: int | None = 1
    eos_token_id: int | tuple[int, ...] | None = 2
    forced_eos_token_id: int | tuple[int, ...] | None = 2
    is_decoder: bool = False  # true in files of the causal head
    tie_word_embeddings: bool = True
    output_attentions: bool = False
    output_hidden_states: bool = False
    return_dict: bool = True
    # Which original the model follows, as `describe_dialect` puts it; written only if it is set.
    npblender_dialect: str | Mapping[str, Any] | None = field(default=None, hash=False)
    # The file's other keys, as they are, and written back.
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        set_field = object.__setattr__
        set_field(self, "extra", _own_copy_of_extra(self))
        for f in dataclasses.fields(self):
            value = as_plain(getattr(self, f.name))
            set_field(self, f.name, tuple(value) if f.type == _ID_OR_IDS and isinstance(value, list) else value)
        if isinstance(self.npblender_dialect, Mapping):
            set_field(self, "npblender_dialect", copy.deepcopy(dict(self.npblender_dialect)))
        if isinstance(self.activation_function, str):
            name = ACTIVATION_ALIASES.get(self.activation_function, self.activation_function)
            set_field(self, "activation_function", name)
        check_fields(self)
        check_extra(self.extra)

    @property
    def hidden_size(self) -> int:
        """transformers' other name of `d_model`."""
        return self.d_model

    @property
    def num_attention_heads(self) -> int:
        """transformers' other name of `encoder_attention_heads`."""
        return self.encoder_attention_heads

    @property
    def num_hidden_layers(self) -> int:
        """transformers' other name of `encoder_layers`."""
        return self.encoder_layers

    if not TYPE_CHECKING:  # a type checker shall still find misspelt fields

        def __getattr__(self, name: str) -> Any:
            """A key of the file that is no field (`config.unk_token_id`), as in transformers."""
            extra = self.__dict__.get("extra", {})
            if name in extra:
                return extra[name]
            raise AttributeError(f"this configuration has no {shown(name)}, neither as a field nor in extra")

    def replace(self, **changes: Any) -> "BlenderbotSmallConfig":
        """Return a copy with some fields changed, checked again. Names of `attribute_map` are understood.

        >>> BlenderbotSmallConfig().replace(hidden_size=64).d_model
        64
        """
        changes = _without_aliases(changes)
        known = {f.name for f in dataclasses.fields(self)}
        unknown = sorted(set(changes) - known)
        if unknown:
            raise TypeError(
                f"BlenderbotSmallConfig has no field {cut(', '.join(map(repr, unknown)))}; it has "
                f"{', '.join(sorted(known))}"
            )
        return dataclasses.replace(self, **changes)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "BlenderbotSmallConfig":
        """Make the configuration that a config.json's content describes; absent keys take the class's defaults.

        Keys that are no fields are kept in `extra`. A `model_type` other than ours is refused.

        >>> config = BlenderbotSmallConfig.from_dict({"d_model": 64, "unk_token_id": 3})
        >>> config.d_model, config.unk_token_id, dict(config.extra)
        (64, 3, {'unk_token_id': 3})
        """
        check_mapping("a configuration", content)
        content = dict(content)
        model_type = content.pop("model_type", cls.model_type)
        if model_type != cls.model_type:
            raise ValueError(
                f"model_type is {shown(model_type)}; only {shown(cls.model_type)} is covered (the larger 'blenderbot' "
                f"models normalise elsewhere and use other tokens)"
            )
        content = _without_aliases(content)
        names = {f.name for f in dataclasses.fields(cls)} - {"extra"}
        values = {key: value for key, value in content.items() if key in names}
        extra = {key: value for key, value in content.items() if key not in names}
        return cls(**values, extra=extra)

    def to_dict(self) -> dict[str, Any]:
        """Return every field and all of `extra`, as in config.json: `from_dict` gives an equal one back."""
        content: dict[str, Any] = {**copy.deepcopy(dict(self.extra)), "model_type": self.model_type}
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            content[f.name] = list(value) if isinstance(value, tuple) else copy.deepcopy(value)
        del content["extra"]
        if self.npblender_dialect is None:
            del content["npblender_dialect"]
        content["num_hidden_layers"] = self.num_hidden_layers  # transformers 4 writes it into every file
        return content

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike[str], **changes: Any) -> "BlenderbotSmallConfig":
        """Read `folder`/config.json, or ParlAI's model.opt and dictionary; `changes` replace what they say.

        `folder` may be a name on the Hub; `changes` then also holds what `json_files.DOWNLOAD` lists, such as
        `revision` and `cache_dir`, with the meaning they have for a model.

        Raises:
            FileNotFoundError: no such folder, or no config.json in it.
            ValueError: the file is not a JSON object, or describes something that is not covered.
        """
        path = json_files.model_folder(folder, need="config", **json_files.taken_out(changes)) / "config.json"
        parlai = None if path.exists() else find_parlai(path.parent)
        if parlai is not None:
            path = parlai.path
        content = json_files.read_object(path) if parlai is None else parlai.model_config()
        with json_files.naming(path):
            config = cls.from_dict(content)
        return config.replace(**changes) if changes else config

    def update(self, config_dict: Mapping[str, Any]) -> None:
        """Refused, since a configuration is never changed: `replace` gives a changed copy."""
        changes = ", ".join(f"{name}=..." for name in config_dict)
        raise TypeError(f"a configuration is never changed: config = config.replace({changes}) gives a changed copy")

    def to_json_string(self, use_diff: bool = False) -> str:
        """Encode the configuration as config.json has it, or with `use_diff` only what differs from the defaults.

        >>> print(BlenderbotSmallConfig(d_model=64).to_json_string(use_diff=True), end="")
        {
          "d_model": 64,
          "model_type": "blenderbot-small"
        }
        """
        content = self.to_dict()
        if check_switch("use_diff", use_diff):
            usual = BlenderbotSmallConfig().to_dict()
            content = {
                name: value for name, value in content.items() if name == "model_type" or value != usual.get(name, ...)
            }
        return json_files.object_bytes("config.json", content).decode("utf-8")

    def to_json_file(self, json_file_path: str | os.PathLike[str], use_diff: bool = False) -> None:
        """Write `to_json_string` to a file."""
        json_files.write_object(Path(json_file_path), json.loads(self.to_json_string(use_diff)))

    @classmethod
    def from_json_file(cls, json_file: str | os.PathLike[str]) -> "BlenderbotSmallConfig":
        """Read the configuration in a JSON file of any name.

        Raises:
            FileNotFoundError, ValueError: as `from_pretrained`.
        """
        return cls.from_dict(json_files.read_object(Path(json_file)))

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write `folder`/config.json (the folder is made if it is not there); both transformers read it."""
        path = json_files.new_folder(folder) / "config.json"
        json_files.write_object(path, self.to_dict())


def _init_with_aliases(init: Callable[..., None]) -> Callable[..., None]:
    """Let a class take the names of `attribute_map` as transformers' does: `hidden_size=` for `d_model=`."""

    @wraps(init)
    def with_aliases(self: BlenderbotSmallConfig, **fields: Any) -> None:
        init(self, **_without_aliases(fields))

    return with_aliases


def _without_aliases(content: Mapping[str, Any]) -> dict[str, Any]:
    """Replace names of `attribute_map` by the fields they stand for; two that disagree are refused."""
    out = dict(content)
    for alias, name in BlenderbotSmallConfig.attribute_map.items():
        if alias in out:
            value = out.pop(alias)
            if name in out and out[name] != value:
                raise ValueError(
                    f"{alias} {shown(value)} and {name} {shown(out[name])} are two names of one size and disagree; "
                    f"give one of them"
                )
            out[name] = value
    return out


def _own_copy_of_extra(config: BlenderbotSmallConfig) -> dict[str, Any]:
    if not isinstance(config.extra, Mapping) or not all(isinstance(key, str) for key in config.extra):
        raise TypeError("extra must be a mapping from key names to values")
    own = {f.name for f in dataclasses.fields(config)} | set(config.attribute_map) | {"model_type"}
    clash = sorted(own & set(config.extra))
    if clash:
        raise ValueError(f"extra holds {cut(', '.join(clash))}, which are fields: give them by name")
    return copy.deepcopy(dict(config.extra))


BlenderbotSmallConfig.__init__ = _init_with_aliases(BlenderbotSmallConfig.__init__)  # type: ignore[method-assign]
