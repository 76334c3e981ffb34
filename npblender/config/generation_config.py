"""The settings of text generation as files keep them: `GenerationConfig`, after transformers' class.

Which settings there are stands in `generation_options`. A setting that is None is unset, as in transformers 5:
`set_fields` names the others, and `with_defaults` fills in what transformers does without them. So a caller can tell a
choice from a default, whichever file it came from. The settings come from generation_config.json if the folder holds
one, else from config.json, and never from a mixture of both.

Each setting is checked alone. Which settings fit together, and which search uses which, is decided where text is
generated.
"""

import copy
import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from npblender.common import json_files
from npblender.common.checks import check_mapping, check_switch, says_how_to_change
from npblender.common.printable import cut, shown
from npblender.config.generation_options import (
    NOT_COVERED,
    OPTIONS,
    GenerationOptions,
    check_extra,
    check_setting,
    defaults,
    unknown_setting,
)
from npblender.config.model_config import BlenderbotSmallConfig
from npblender.config.parlai_folder import find_parlai

if TYPE_CHECKING:
    from typing_extensions import Unpack  # type checkers have it, whatever is installed

    from npblender.config.call_options import CallOptions, LoadOptions


@says_how_to_change("model.generation_config = model.generation_config.replace({}=...) sets it for a model")
@dataclass(frozen=True, kw_only=True)
class GenerationConfig(GenerationOptions):
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

    # The file's other keys, as they are, and written back.
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not isinstance(self.extra, Mapping) or not all(isinstance(key, str) for key in self.extra):
            raise TypeError("extra must be a mapping from key names to values")
        clash = sorted(OPTIONS.keys() & self.extra.keys())
        if clash:
            raise ValueError(f"extra holds {cut(', '.join(clash))}, which are settings: give them by name")
        for name, value in self.set_values.items():
            object.__setattr__(self, name, check_setting(name, value))
        check_extra(self.extra)
        object.__setattr__(self, "extra", copy.deepcopy(dict(self.extra)))

    if TYPE_CHECKING:  # what a caller may write is more than what is kept

        def __init__(self, *, extra: Mapping[str, Any] = ..., **settings: Unpack[CallOptions]) -> None: ...

    else:  # a type checker shall still find misspelt settings

        def __getattr__(self, name: str) -> Any:
            """A key of the file that is no setting of ours, as in transformers."""
            extra = self.__dict__.get("extra", {})
            if name in extra:
                return extra[name]
            raise AttributeError(f"these settings have no {shown(name)}, neither as a field nor in extra")

    @property
    def set_values(self) -> dict[str, Any]:
        """The settings that were chosen, by a file or by a caller, and their values.

        >>> GenerationConfig(num_beams=10, eos_token_id=[2, 3]).set_values
        {'num_beams': 10, 'eos_token_id': (2, 3)}
        """
        return {name: value for name, value in vars(self).items() if value is not None and name != "extra"}

    @property
    def set_fields(self) -> frozenset[str]:
        """The names of the settings that were chosen, by a file or by a caller."""
        return frozenset(self.set_values)

    def with_defaults(self) -> "GenerationConfig":
        """Return these settings with transformers' defaults where they are unset and a default exists."""
        return of_checked({**defaults("transformers"), **self.set_values}, self.extra)

    def replace(
        self, *, extra: Mapping[str, Any] | None = None, **changes: "Unpack[CallOptions]"
    ) -> "GenerationConfig":
        """Return a copy with some settings changed, checked again; None unsets one.

        >>> GenerationConfig(num_beams=10).replace(num_beam=4)
        Traceback (most recent call last):
        TypeError: there is no setting 'num_beam'; did you mean num_beams?
        """
        for name in changes:
            if name not in OPTIONS:
                hint = unknown_setting(name) or f"there are {', '.join(sorted(OPTIONS))}"
                raise TypeError(f"there is no setting {shown(name)}; {hint}")
        extra = self.extra if extra is None else extra
        if changes:  # transformers 4 trusts config.json over a file that says it was made from config.json
            extra = {key: value for key, value in extra.items() if key != "_from_model_config"}
        values: dict[str, Any] = {**changes}
        return dataclasses.replace(self, **values, extra=extra)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "GenerationConfig":
        """Make settings of a generation_config.json's content; other keys are kept in `extra`.

        >>> settings = GenerationConfig.from_dict({"num_beams": 10, "transformers_version": "4.27.0"})
        >>> settings.to_dict()
        {'transformers_version': '4.27.0', 'num_beams': 10}
        """
        check_mapping("generation settings", content)
        values = {key: value for key, value in content.items() if key in OPTIONS}
        extra = {key: value for key, value in content.items() if key not in OPTIONS}
        return cls(**values, extra=extra)

    def to_dict(self) -> dict[str, Any]:
        """Return what is set, and `extra`, as generation_config.json has it: `from_dict` gives an equal one back."""
        settings = {name: _as_lists(value) for name, value in self.set_values.items()}
        return copy.deepcopy(dict(self.extra)) | settings

    def to_diff_dict(self) -> dict[str, Any]:
        """Return `to_dict` without what transformers does anyway.

        >>> GenerationConfig(num_beams=1, max_length=9).to_diff_dict()
        {'max_length': 9}
        """
        usual = defaults("transformers")
        return {name: value for name, value in self.to_dict().items() if name not in usual or value != usual[name]}

    def to_json_string(self, use_diff: bool = True) -> str:
        """Encode the settings as generation_config.json has them; with `use_diff` as `to_diff_dict`.

        >>> GenerationConfig(num_beams=4).to_json_string().split()
        ['{', '"num_beams":', '4', '}']
        """
        content = self.to_diff_dict() if check_switch("use_diff", use_diff) else self.to_dict()
        return json_files.object_bytes("generation_config.json", content).decode("utf-8")

    def to_json_file(self, json_file_path: str | os.PathLike[str], use_diff: bool = True) -> None:
        """Write `to_json_string` to a file."""
        json_files.write_object(Path(json_file_path), json.loads(self.to_json_string(use_diff)))

    def update(self, **kwargs: Any) -> NoReturn:
        """Refused, since a setting is never changed: `replace` gives a changed copy."""
        changes = ", ".join(f"{name}=..." for name in kwargs)
        raise TypeError(f"settings are never changed: settings = settings.replace({changes}) gives a changed copy")

    @classmethod
    def from_model_config(cls, config: BlenderbotSmallConfig) -> "GenerationConfig":
        """Make settings of those that config.json itself holds, as older files do.

        >>> older = BlenderbotSmallConfig(extra={"num_beams": 10, "unk_token_id": 3})
        >>> GenerationConfig.from_model_config(older).to_dict()["num_beams"]
        10
        """
        content = {name: value for name, value in config.extra.items() if name in OPTIONS or name in NOT_COVERED}
        for f in dataclasses.fields(config):
            value = getattr(config, f.name)
            if f.name in OPTIONS and value is not None and value != OPTIONS[f.name].default:
                content[f.name] = value
        return cls.from_dict(content)

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike[str], **changes: "Unpack[LoadOptions]") -> "GenerationConfig":
        """Read `folder`/generation_config.json, or config.json's own settings where there is no such file.

        `changes` replace what the file says. `folder` may be a name on the Hub; `changes` then also holds what
        `json_files.DOWNLOAD` lists, such as `revision`, with the meaning they have for a model.

        Raises:
            FileNotFoundError: no such folder, or neither file in it.
            ValueError: the file is not a JSON object, or holds something that is not covered.
        """
        given: dict[str, Any] = {**changes}
        place = json_files.model_folder(folder, need="config", **json_files.taken_out(given))
        path = place / "generation_config.json"
        parlai = None if path.exists() or (place / "config.json").exists() else find_parlai(place)
        if path.exists() or parlai is not None:
            content = json_files.read_object(path) if parlai is None else parlai.generation_config()
            make = partial(cls.from_dict, content)
        else:
            path = place / "config.json"
            make = partial(cls.from_model_config, BlenderbotSmallConfig.from_pretrained(place))
        with json_files.naming(path):
            settings = make()
        return settings.replace(**given) if given else settings

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write `folder`/generation_config.json (the folder is made if it is not there)."""
        json_files.write_object(json_files.new_folder(folder) / "generation_config.json", self.to_dict())


def as_generation_config(value: Any) -> GenerationConfig:
    """Return settings as a record: a `GenerationConfig`, a mapping, or the object of that name in transformers.

    Raises:
        TypeError: anything else, or a name in a mapping that is no setting.

    >>> as_generation_config({"num_beams": 4}).set_values
    {'num_beams': 4}
    """
    if isinstance(value, GenerationConfig):
        return value
    if isinstance(value, Mapping):
        return GenerationConfig().replace(**value)
    chosen = getattr(value, "to_diff_dict", None)  # what differs from transformers' defaults
    if callable(chosen):
        return GenerationConfig.from_dict(chosen())
    if isinstance(value, str | os.PathLike):
        raise TypeError(
            f"generation_config takes settings, not a path: read them with "
            f"GenerationConfig.from_pretrained({shown(value)})"
        )
    raise TypeError(
        f"generation_config must be a GenerationConfig or a mapping from settings to values, not {type(value).__name__}"
    )


def of_checked(values: Mapping[str, Any], extra: Mapping[str, Any]) -> GenerationConfig:
    """Make a record of values that are checked already, without checking them again; what is missing is unset.

    >>> of_checked({"num_beams": 4}, {}) == GenerationConfig(num_beams=4)
    True
    """
    settings = object.__new__(GenerationConfig)
    vars(settings).update(dict.fromkeys(OPTIONS), **values, extra=extra)
    return settings


def _as_lists(value: Any) -> Any:
    return [_as_lists(each) for each in value] if isinstance(value, tuple) else value
