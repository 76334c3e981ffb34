"""The settings of text generation as files keep them: `GenerationConfig`, after transformers' class.

A setting that is None is unset, as in transformers 5: `set_fields` names the others, and `with_defaults`
fills in what transformers does without them. So a caller can tell a choice from a default, whichever file it
came from. The settings come from generation_config.json if the folder holds one, else from config.json, and
never from a mixture of both.

What it does not do: it checks each setting alone. Which settings fit together, and which search uses which,
is decided where text is generated.
"""

import copy
import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from npblender.common import json_files
from npblender.common.field_checks import check_mapping, closest_name
from npblender.config.generation_options import GENERATION_DEFAULTS, NEUTRAL, check_extra, check_setting
from npblender.config.model_config import BlenderbotSmallConfig

Ids: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class GenerationConfig:
    """The settings of a search. Frozen: `replace` gives a changed copy; lists become tuples.

    Raises:
        ValueError: a value out of range, or a key in `extra` that would change replies and is not covered.
        TypeError: a value of a wrong type, or a name that is no setting.

    >>> settings = GenerationConfig(num_beams=10, eos_token_id=2)
    >>> sorted(settings.set_fields)
    ['eos_token_id', 'num_beams']
    >>> settings.max_length, settings.with_defaults().max_length
    (None, 20)
    """

    # How long a reply is.
    max_length: int | None = None  # of the whole target, its start included
    max_new_tokens: int | None = None  # without the start; wins over max_length
    min_length: int | None = None  # no eos before this length
    min_new_tokens: int | None = None
    early_stopping: bool | str | None = None  # when a beam search ends: true, false or "never"
    max_time: float | None = None  # seconds
    stop_strings: str | tuple[str, ...] | None = None

    # How it is searched for.
    do_sample: bool | None = None
    num_beams: int | None = None
    num_beam_groups: int | None = None
    penalty_alpha: float | None = None  # contrastive search
    use_cache: bool | None = None
    prompt_lookup_num_tokens: int | None = None
    max_matching_ngram_size: int | None = None
    beam_delay: int | None = None  # ParlAI's delayed beam search: so many steps are sampled first

    # What changes the logits.
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    typical_p: float | None = None
    epsilon_cutoff: float | None = None
    eta_cutoff: float | None = None
    diversity_penalty: float | None = None
    repetition_penalty: float | None = None
    encoder_repetition_penalty: float | None = None
    length_penalty: float | None = None
    no_repeat_ngram_size: int | None = None
    encoder_no_repeat_ngram_size: int | None = None
    bad_words_ids: tuple[Ids, ...] | None = None
    force_words_ids: tuple[Ids | tuple[Ids, ...], ...] | None = None
    sequence_bias: tuple[tuple[Ids, float], ...] | None = None
    suppress_tokens: Ids | None = None
    begin_suppress_tokens: Ids | None = None
    forced_bos_token_id: int | None = None
    forced_eos_token_id: int | Ids | None = None
    exponential_decay_length_penalty: tuple[int, float] | None = None  # start, factor
    renormalize_logits: bool | None = None
    remove_invalid_values: bool | None = None

    # What comes back.
    num_return_sequences: int | None = None
    output_attentions: bool | None = None
    output_hidden_states: bool | None = None
    output_scores: bool | None = None
    output_logits: bool | None = None
    return_dict_in_generate: bool | None = None

    # Special tokens.
    pad_token_id: int | None = None
    bos_token_id: int | None = None
    eos_token_id: int | Ids | None = None
    decoder_start_token_id: int | None = None

    # The file's other keys, as they are, and written back.
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not isinstance(self.extra, Mapping) or not all(isinstance(key, str) for key in self.extra):
            raise TypeError("extra must be a mapping from key names to values")
        clash = sorted(_field_names() & set(self.extra))
        if clash:
            raise ValueError(f"extra holds {', '.join(clash)}, which are settings: give them by name")
        set_field = object.__setattr__
        set_field(self, "extra", copy.deepcopy(dict(self.extra)))
        if isinstance(self.sequence_bias, Mapping):  # transformers' older form: {(id, ...): bias}
            set_field(self, "sequence_bias", tuple(self.sequence_bias.items()))
        for name in _field_names():
            set_field(self, name, _as_tuples(getattr(self, name)))
        for name in self.set_fields:
            check_setting(name, getattr(self, name))
        check_extra(self.extra)

    if not TYPE_CHECKING:  # a type checker shall still find misspelt settings

        def __getattr__(self, name: str) -> Any:
            """A key of the file that is no setting of ours, as in transformers."""
            extra = self.__dict__.get("extra", {})
            if name in extra:
                return extra[name]
            raise AttributeError(f"these settings have no {name!r}, neither as a field nor in extra")

    @property
    def set_fields(self) -> frozenset[str]:
        """The names of the settings that were chosen, by a file or by a caller."""
        return frozenset(name for name in _field_names() if getattr(self, name) is not None)

    def with_defaults(self) -> "GenerationConfig":
        """The same settings with transformers' defaults where they are unset and a default exists."""
        unset = {name: value for name, value in GENERATION_DEFAULTS.items() if name not in self.set_fields}
        return dataclasses.replace(self, **unset)

    def replace(self, **changes: Any) -> "GenerationConfig":
        """A copy with some settings changed, checked again; None unsets one.

        >>> GenerationConfig(num_beams=10).replace(num_beam=4)
        Traceback (most recent call last):
        TypeError: there is no setting 'num_beam'; did you mean num_beams?
        """
        _refuse_unknown(changes)
        extra = changes.pop("extra", self.extra)
        if changes:  # transformers 4 trusts config.json over a file that says it was made from config.json
            extra = {key: value for key, value in extra.items() if key != "_from_model_config"}
        return dataclasses.replace(self, **changes, extra=extra)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "GenerationConfig":
        """The settings in a generation_config.json's content; other keys are kept in `extra`.

        >>> settings = GenerationConfig.from_dict({"num_beams": 10, "transformers_version": "4.27.0"})
        >>> settings.to_dict()
        {'transformers_version': '4.27.0', 'num_beams': 10}
        """
        check_mapping("generation settings", content)
        names = _field_names()
        values = {key: value for key, value in content.items() if key in names}
        extra = {key: value for key, value in content.items() if key not in names}
        return cls(**values, extra=extra)

    def to_dict(self) -> dict[str, Any]:
        """What is set, and `extra`, as generation_config.json has it: `from_dict` gives an equal one back."""
        content: dict[str, Any] = copy.deepcopy(dict(self.extra))
        for f in dataclasses.fields(self):
            if f.name in self.set_fields:
                content[f.name] = _as_lists(getattr(self, f.name))
        return content

    @classmethod
    def from_model_config(cls, config: BlenderbotSmallConfig) -> "GenerationConfig":
        """The settings that config.json itself holds, as older files do.

        >>> older = BlenderbotSmallConfig(extra={"num_beams": 10, "unk_token_id": 3})
        >>> GenerationConfig.from_model_config(older).to_dict()["num_beams"]
        10
        """
        content = {name: config.extra[name] for name in config.extra if name in _field_names() | set(NEUTRAL)}
        for f in dataclasses.fields(config):
            value = getattr(config, f.name)
            if f.name in _field_names() and value is not None and value != GENERATION_DEFAULTS.get(f.name):
                content[f.name] = value
        return cls.from_dict(content)

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike[str], **changes: Any) -> "GenerationConfig":
        """Read `folder`/generation_config.json, or config.json's own settings where there is no such file.

        Keyword arguments replace what the file says.

        Raises:
            FileNotFoundError: no such folder, or neither file in it.
            ValueError: the file is not a JSON object, or holds something that is not covered.
        """
        place = json_files.model_folder(folder)
        path = place / "generation_config.json"
        if path.exists():
            content = json_files.read_object(path)
            try:
                settings = cls.from_dict(content)
            except (TypeError, ValueError) as error:
                raise ValueError(f"{path}: {error}") from error
        else:
            config = BlenderbotSmallConfig.from_pretrained(place)
            try:
                settings = cls.from_model_config(config)
            except (TypeError, ValueError) as error:
                raise ValueError(f"{place / 'config.json'}: {error}") from error
        return settings.replace(**changes) if changes else settings

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write `folder`/generation_config.json (the folder is made if it is not there)."""
        json_files.write_object(json_files.new_folder(folder) / "generation_config.json", self.to_dict())


def _field_names() -> frozenset[str]:
    return frozenset(f.name for f in dataclasses.fields(GenerationConfig)) - {"extra"}


def _refuse_unknown(changes: Mapping[str, Any]) -> None:
    for name in changes:
        if name not in _field_names() | {"extra"}:
            near = closest_name(name, sorted(_field_names()))
            hint = f"did you mean {near}?" if near else f"there are {', '.join(sorted(_field_names()))}"
            raise TypeError(f"there is no setting {name!r}; {hint}")


def _as_tuples(value: Any) -> Any:
    """Lists at any depth as tuples, so that settings are values: hashable, and never changed later."""
    return tuple(_as_tuples(each) for each in value) if isinstance(value, list | tuple) else value


def _as_lists(value: Any) -> Any:
    return [_as_lists(each) for each in value] if isinstance(value, tuple) else value
