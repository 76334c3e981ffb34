"""Translates names by patterns: `enc.{n}.q` to `encoder.layers.{n}.self_attn.q`.

A pattern is a text with variables in braces. `{n}` stands for one part of a name, without dots; `{rest...}` for any
number of parts; `{n-1}` and `{n+1}` for a whole number off by one, for programs that count from 1.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from npblender.common.printable import cut, shown
from npblender.groundtruth.tracing.tensor_file import existing_file

_VARIABLE = re.compile(r"\{([a-z][a-z0-9_]*)((?:[+-]\d+)|(?:\.\.\.))?\}")


@cache
def _compiled(text: str) -> tuple[re.Pattern[str], tuple[tuple[str, str, str], ...], str]:
    """Compile a pattern: a regular expression; each variable with its kind and the text before it; the text behind."""
    regex, end, variables = "", 0, []
    for found in _VARIABLE.finditer(text):
        before, kind = text[end : found.start()], found[2] or ""
        regex += re.escape(before) + {"": r"([^.]+)", "...": r"(.+)"}.get(kind, r"(\d+)")
        variables.append((found[1], kind, before))
        end = found.end()
    return re.compile(regex + re.escape(text[end:])), tuple(variables), text[end:]


@dataclass(frozen=True)
class Pattern:
    """One side of an entry: literal text and variables in turn."""

    text: str

    def __post_init__(self) -> None:
        if not isinstance(self.text, str) or not self.text:
            raise ValueError(f"a pattern is a text that is not empty, not {shown(self.text)}")
        left = _VARIABLE.sub("", self.text)
        if "{" in left or "}" in left:
            raise ValueError(
                f"{shown(self.text)} has a brace that is no variable; those are {{n}}, {{n-1}} and {{rest...}}"
            )
        if len(set(self.variables)) < len(self.variables):
            raise ValueError(f"{shown(self.text)} has a variable twice")

    @property
    def variables(self) -> tuple[str, ...]:
        """The names in braces, in order, without what `{n-1}` and `{rest...}` say besides."""
        return tuple(variable for variable, _, _ in _compiled(self.text)[1])

    def match(self, name: str) -> dict[str, str] | None:
        """Match a name: the values of the variables, or None where the pattern does not fit.

        >>> Pattern("layer{n-1}.{rest...}").match("layer0.q.weight")
        {'n': '1', 'rest': 'q.weight'}
        >>> Pattern("enc.{n}.q").match("enc.0.self.q") is None
        True
        """
        regex, variables, _ = _compiled(self.text)
        fit = regex.fullmatch(name) if name.startswith(self.text.partition("{")[0]) else None
        if fit is None:
            return None
        values = {}
        for (variable, kind, _), value in zip(variables, fit.groups(), strict=True):
            if kind in ("", "..."):
                values[variable] = value
            elif int(value) < int(kind):
                return None
            else:
                values[variable] = str(int(value) - int(kind))
        return values

    def fill(self, values: Mapping[str, str]) -> str | None:
        """Put values in; None where `{n+1}` gets something other than a number, or a number would fall below 0.

        >>> Pattern("encoder.layers.{n-1}.q").fill({"n": "1"}), Pattern("x.{n-1}").fill({"n": "0"})
        ('encoder.layers.0.q', None)
        """
        _, variables, behind = _compiled(self.text)
        filled = ""
        for variable, kind, before in variables:
            value = values[variable]
            if kind not in ("", "..."):
                if re.fullmatch(r"\d+", value) is None or int(value) + int(kind) < 0:
                    return None
                value = str(int(value) + int(kind))
            filled += before + value
        return filled + behind


@dataclass(frozen=True)
class NameTable:
    """A table of names: entries `(pattern, translation)`, as a program's author writes them."""

    entries: tuple[tuple[Pattern, Pattern], ...] = ()

    @staticmethod
    def make(entries: Mapping[str, str] | Iterable[tuple[str, str]], *, where: str = "names") -> NameTable:
        """Check entries and make a table.

        Raises:
            TypeError: they do not map texts to texts.
            ValueError: an entry is not a pattern, or its right side has a variable that its left side lacks; the
                message names the entry.

        >>> NameTable.make({"enc.{n}.q": "encoder.layers.{m}.self_attn.q"})
        Traceback (most recent call last):
        ValueError: names: entry 'enc.{n}.q': 'encoder.layers.{m}.self_attn.q' has {m}, which 'enc.{n}.q' lacks
        """
        if not isinstance(entries, Mapping) and not isinstance(entries, tuple | list):
            raise TypeError(f"{where} must map patterns to names of points, and is a {type(entries).__name__}")
        made = []
        for left, right in entries.items() if isinstance(entries, Mapping) else entries:
            for side in (left, right):
                if not isinstance(side, str):
                    raise TypeError(f"{where}: entry {shown(left)}: {shown(side)} is no text")
            try:
                pair = (Pattern(left), Pattern(right))
            except ValueError as error:
                raise ValueError(f"{where}: entry {shown(left)}: {error}") from None
            for variable in pair[1].variables:
                if variable not in pair[0].variables:
                    raise ValueError(
                        f"{where}: entry {shown(left)}: {shown(right)} has {{{cut(variable)}}}, "
                        f"which {shown(left)} lacks"
                    )
            made.append(pair)
        return NameTable(tuple(made))

    def translate(self, name: str) -> tuple[str, str] | None:
        """Translate a name; return the translation and the pattern that gave it, or None where no entry fits.

        Raises ValueError where two entries fit and disagree.

        >>> NameTable.make({"enc.{n}.q": "encoder.layers.{n}.self_attn.q"}).translate("enc.2.q")
        ('encoder.layers.2.self_attn.q', 'enc.{n}.q')
        """
        found: tuple[str, str] | None = None
        for left, right in self.entries:
            values = left.match(name)
            translated = None if values is None else right.fill(values)
            if translated is None:
                continue
            if found is not None and found[0] != translated:
                raise ValueError(
                    f"{shown(name)} fits the entries {shown(found[1])} and {shown(left.text)}, which disagree: "
                    f"{shown(found[0])} and {shown(translated)}"
                )
            found = found or (translated, left.text)
        return found

    def spellings(self, name: str) -> list[str]:
        """List the names that are translated to this one.

        >>> NameTable.make({"enc.{n}.q": "encoder.layers.{n-1}.self_attn.q"}).spellings("encoder.layers.2.self_attn.q")
        ['enc.3.q']
        """
        matches = ((left, right.match(name)) for left, right in self.entries)
        filled = [left.fill(values) for left, values in matches if values is not None]
        return [each for each in filled if each is not None]


def read_name_table(path: str | os.PathLike[str]) -> NameTable:
    """Read a table from a JSON file that holds one object, patterns to names of points.

    Raises:
        FileNotFoundError: there is no such file.
        TypeError, ValueError: it is not JSON, no object, or an entry is bad; the message names file and entry.
    """
    place = existing_file(path)

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        seen: dict[str, Any] = {}
        for key, value in pairs:
            if key in seen:
                raise ValueError(f"entry {shown(key)} stands in it twice")
            seen[key] = value
        return seen

    try:
        entries = json.loads(place.read_bytes().decode("utf-8-sig"), object_pairs_hook=unique)
    except UnicodeDecodeError as error:
        raise ValueError(f"{place} is not UTF-8 text: {error.reason}") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"{place} is not JSON: {error}") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{place}: {error}") from error
    if not isinstance(entries, dict):
        raise ValueError(f"{place} must hold one JSON object of patterns, not a {type(entries).__name__}")
    return NameTable.make(entries, where=str(place))
