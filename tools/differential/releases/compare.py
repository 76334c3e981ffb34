"""Compares two records and prints every difference that no list allows.

Kinds of difference, of which the first six are faults:

    missing, more   a value that only one of the records has
    outcome         a call that failed in one and not in the other
    error           an error of another of Python's own types
    array, points   numbers; of points the first that differs, as a pass meets them
    value           anything else that was computed, and what a command printed
    message         words of an error, of stderr, or an error's own class
    help, doc       a help text, the first line of a docstring
    surface         a public name or signature
    count           how much is done: printed, and never a reason to fail

The list is a JSON file of objects with a `reason` and either globs that a difference must fit (`job`, `name`,
`kind`, and `old` and `new` as regular expressions), or `rewrite`, a list of a regular expression and what stands in its
place: texts of the old record are rewritten so before they are compared.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

WORDS = ("message", "help", "doc", "value")
"""Kinds whose texts are rewritten by the list."""
ARRAY = re.compile(r"^\w+\[[\d, ]*\] [0-9a-f]{16}$")
SHOWN = 360


@dataclass(frozen=True)
class Difference:
    """One thing that is not as it was."""

    job: str
    name: str
    kind: str
    old: str
    new: str
    about: str = ""


@dataclass
class Rule:
    """One entry of the list of allowed differences."""

    reason: str
    job: str = "*"
    name: str = "*"
    kind: str = "*"
    old: str = ""
    new: str = ""
    rewrite: Sequence[str] = ()
    used: int = field(default=0, compare=False)

    def __post_init__(self) -> None:
        if not self.reason.strip():
            raise ValueError("a rule without a reason allows nothing")
        if self.rewrite and len(self.rewrite) != 2:
            raise ValueError(f"rewrite takes a regular expression and its replacement, not {self.rewrite!r}")

    def fits(self, found: Difference) -> bool:
        """Whether it allows a difference.

        >>> Rule("reworded", kind="message", old="can not").fits(Difference("a", "b", "message", "can not", "cannot"))
        True
        """
        globs = fnmatchcase(found.job, self.job) and _glob(found.name, self.name) and fnmatchcase(found.kind, self.kind)
        return globs and bool(re.search(self.old, found.old)) and bool(re.search(self.new, found.new))


def _glob(name: str, pattern: str) -> bool:
    return name == pattern or fnmatchcase(name, pattern)


class Rules:
    """The whole list."""

    def __init__(self, path: Path | None) -> None:
        content = json.loads(path.read_text(encoding="utf-8")) if path is not None else []
        self.all = [Rule(**entry) for entry in content]

    def allow(self, found: Difference) -> bool:
        """Whether a difference is allowed, after its old text has been rewritten."""
        if found.kind in WORDS:
            text, by = found.old, []
            for rule in self.all:
                if rule.rewrite and fnmatchcase(found.job, rule.job) and fnmatchcase(found.kind, rule.kind):
                    again = re.sub(rule.rewrite[0], rule.rewrite[1], text)
                    if again != text:
                        text = again
                        by.append(rule)
            if by and text == found.new:
                for rule in by:
                    rule.used += 1
                return True
        for rule in self.all:
            if not rule.rewrite and rule.fits(found):
                rule.used += 1
                return True
        return False


class Job:
    """One job's folder in a record: its values, and samples of its arrays."""

    def __init__(self, folder: Path) -> None:
        self.name = folder.name
        self.values: dict[str, Any] = json.loads((folder / "values.json").read_text(encoding="utf-8"))
        self._samples = np.load(folder / "samples.npz")

    def sample(self, name: str) -> Any:
        """Some numbers of an array, or None."""
        return self._samples[name] if name in self._samples.files else None


def jobs(record: Path) -> list[str]:
    """The names of a record's jobs."""
    return sorted(path.parent.name for path in record.glob("*/values.json"))


def kind_of(job: str, name: str) -> str:
    """What kind a differing value is that is neither an error nor an array."""
    if job == "counts":
        return "count"
    if job == "surface":
        return {"doc": "doc", "names": "surface", "signature": "surface", "kind": "surface"}.get(
            name.partition("/")[0], "value"
        )
    if name.endswith("/help"):
        return "help"
    return "message" if name.rpartition("/")[2] in ("stderr", "message") else "value"


def is_error(value: Any) -> bool:
    """Whether a value is what a book keeps of an error."""
    return isinstance(value, dict) and value.keys() == {"error", "type", "message"}


def walk(old: Job, new: Job, name: str, a: Any, b: Any) -> Iterator[Difference]:
    """Every difference between two values of one name."""
    job = old.name
    if type(a) is type(b) and (a == b or (a != a and b != b)):  # NaN is itself here
        return
    if is_error(a) != is_error(b):
        yield Difference(job, name, "outcome", _short(a), _short(b))
    elif is_error(a):
        if a["error"] != b["error"]:
            yield Difference(job, name, "error", f"{a['type']}: {a['message']}", f"{b['type']}: {b['message']}")
        elif a["type"] != b["type"] or a["message"] != b["message"]:
            own = a["type"] != b["type"]
            sides = [f"{each['type']}: {each['message']}" if own else each["message"] for each in (a, b)]
            yield Difference(job, name, "message", *sides)
    elif isinstance(a, dict) and isinstance(b, dict) and "points" in a and "points" in b:
        yield from _points(job, name, a["points"], b["points"])
    elif isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys() == {"array"}:
        yield Difference(job, name, "array", a["array"], b["array"], _distance(old.sample(name), new.sample(name)))
    elif isinstance(a, dict) and isinstance(b, dict):
        for key in (*a, *(key for key in b if key not in a)):
            where = f"{name}/{key}"
            if key not in b:
                yield Difference(job, where, "missing", _short(a[key]), "")
            elif key not in a:
                yield Difference(job, where, "more", "", _short(b[key]))
            elif key in ("error", "message") and isinstance(a[key], str) and isinstance(b[key], str):
                if a[key] != b[key]:
                    yield Difference(job, where, "message", a[key], b[key])
            else:
                # The cases of `items` and `cache` are named by what is in them.
                inner = name if key in ("items", "cache") else where
                yield from walk(old, new, inner, a[key], b[key])
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b) and not _is_text(a):
        for at, (left, right) in enumerate(zip(a, b, strict=True)):
            yield from walk(old, new, f"{name}/{at}", left, right)
    else:
        yield Difference(job, name, kind_of(job, name), _short(a), _short(b))


def _is_text(lines: list[Any]) -> bool:
    return bool(lines) and all(isinstance(line, str) for line in lines)


def _points(job: str, name: str, a: Sequence[str], b: Sequence[str]) -> Iterator[Difference]:
    """The first of the points that differs, and how many do."""
    differing = [at for at, (left, right) in enumerate(zip(a, b, strict=False)) if left != right]
    if differing or len(a) != len(b):
        at = differing[0] if differing else min(len(a), len(b))
        about = f"number {at} and {len(differing) - 1} more of {len(a)}"
        if len(a) != len(b):
            about += f"; there are {len(b)} now"
        left, right = (each[at] if at < len(each) else "nothing" for each in (a, b))
        yield Difference(job, name, "points", left, right, about)


def _distance(a: Any, b: Any) -> str:
    """How far two arrays are apart, as far as their samples tell."""
    if a is None or b is None or a.shape != b.shape:
        return ""
    with np.errstate(all="ignore"):
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        if same.all():
            return "the kept numbers are equal"
        apart = np.abs(a - b)[~same]
        largest = np.nanmax(np.abs(a)) if a.size else 0.0
        if not np.isfinite(apart).all():
            return "one is not finite where the other is"
        return (
            f"max {apart.max():.3g}, which is {apart.max() / largest:.2g} of the largest, in {apart.size} of {a.size}"
        )


def _short(value: Any) -> str:
    if isinstance(value, list) and _is_text(value):
        return "\n".join(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def differences(old: Path, new: Path, names: Sequence[str]) -> Iterator[Difference]:
    """Every difference in the given jobs."""
    for name in names:
        if not (new / name / "values.json").exists() or not (old / name / "values.json").exists():
            sides = ["recorded" if (each / name / "values.json").exists() else "not there" for each in (old, new)]
            yield Difference(name, "the whole job", "missing", *sides)
            continue
        a, b = Job(old / name), Job(new / name)
        for key in (*a.values, *(key for key in b.values if key not in a.values)):
            if key not in b.values or key not in a.values:
                kind = "missing" if key in a.values else "more"
                if name in ("surface", "counts"):
                    kind = kind_of(name, key)
                yield Difference(name, key, kind, _short(a.values.get(key, "")), _short(b.values.get(key, "")))
            else:
                yield from walk(a, b, key, a.values[key], b.values[key])


def cut(text: str, whole: bool) -> str:
    """A text on lines that are not too long.

    >>> cut("a\\nb", False)
    'a\\\\nb'
    """
    line = text.replace("\n", "\\n")
    return line if whole or len(line) <= SHOWN else f"{line[:SHOWN]}... ({len(line)} characters)"


def apart(a: str, b: str) -> tuple[str, str]:
    """Two long texts of several lines without the lines that they share.

    >>> apart("x\\ny\\nz", "x\\nw\\nz")
    ('y', 'w')
    """
    left, right = a.split("\n"), b.split("\n")
    if len(left) < 2 or len(right) < 2:
        return a, b
    only_left = [line for line in left if line not in set(right)]
    only_right = [line for line in right if line not in set(left)]
    return ("\n".join(only_left), "\n".join(only_right)) if only_left or only_right else (a, b)


def show(found: Sequence[Difference], whole: bool) -> None:
    """Print differences, those with the same two texts together."""
    groups: Mapping[tuple[str, str, str, str], list[Difference]] = defaultdict(list)
    for each in found:
        groups[each.job, each.kind, each.old, each.new].append(each)
    for (job, kind, old, new), alike in groups.items():
        more = f" and {len(alike) - 1} more" if len(alike) > 1 else ""
        print(f"{kind}: {job}: {cut(alike[0].name, whole)}{more}")
        if alike[0].about:
            print(f"    {alike[0].about}")
        left, right = apart(old, new)
        print(f"    old: {cut(left, whole)}")
        print(f"    new: {cut(right, whole)}")


def compare(
    old: Path,
    new: Path,
    only: str | None = None,
    allow: Path | None = None,
    *,
    whole: bool = False,
    show_allowed: bool = False,
) -> int:
    """Print the differences of two records; returns how many are not allowed.

    `only` chooses jobs or parts by name or glob, `allow` is the list, `whole` does not shorten texts. Raises ValueError
    if no such job is recorded.
    """
    rules = Rules(allow)
    names = sorted({*jobs(old), *jobs(new)})
    if only is not None:
        patterns = only.split(",")
        names = [n for n in names if any(fnmatchcase(n, p) or n.partition("@")[0] == p for p in patterns)]
    if not names:
        raise ValueError("there is nothing to compare: no job is recorded under these names")
    machines = [json.loads((each / "machine.json").read_text()) for each in (old, new)]
    if machines[0] != machines[1]:
        print(f"note: recorded on other machines, so numbers may differ: {machines[0]} and {machines[1]}")
    found = list(differences(old, new, names))
    counts = [each for each in found if each.kind == "count"]
    others = [each for each in found if each.kind != "count"]
    allowed = {id(each) for each in others if rules.allow(each)}
    if show_allowed:
        print("Allowed:")
        show([each for each in others if id(each) in allowed], whole)
    left = [each for each in others if id(each) not in allowed]
    words = [each for each in left if each.kind in ("message", "help", "doc", "surface")]
    show([each for each in left if each not in words], whole)
    if words:
        print("\nTo be read, and allowed by the list if they are right:")
        show(words, whole)
    if counts:
        print("\nCounts:")
        for each in counts:
            print(f"    {each.name}: {each.old} -> {each.new}")
    for rule in rules.all:
        if not rule.used:
            print(f"note: nothing was allowed by the rule {rule.rewrite or (rule.job, rule.name, rule.kind)}")
    by_kind: dict[str, int] = defaultdict(int)
    for each in left:
        by_kind[each.kind] += 1
    kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(by_kind.items()))
    print(f"\n{len(names)} jobs, {len(allowed)} differences allowed, {len(left)} left" + (f": {kinds}" if left else ""))
    return len(left)
