"""README's table of the extras: what each is for, and the megabytes that it adds to numpy and safetensors.

    python -m tools elsewhere weights                 # compare README with what pip installs today
    python -m tools elsewhere weights --write-docs    # put what pip installs today into README

Runs in an environment that has `.[all]` and nothing else. An extra's weight is that of all files of its packages and of
what these need, as pip lists them, without numpy, safetensors and npblender. Versions grow, so a check fails only where
a weight has changed by more than a third and more than 3 MB.
"""

from __future__ import annotations

import argparse
import re
import sys
from importlib.metadata import PackageNotFoundError, distribution

from tools import ROOT
from tools.docs.tables import between_markers, markdown, write_between_markers

PAGE, MARKED = ROOT / "README.md", "extras"
EXTRAS = {
    "hub": "models by their name on the Hugging Face Hub, downloaded",
    "fast": "`BlenderbotSmallTokenizerFast`",
    "formats": "`tf_model.h5`",
    "cluster": "`reply_to_all` over Dask",
    "serve": "`npblender serve`",
    "all": "all of these",
}
SHARED = {"numpy", "safetensors", "npblender"}


def requirements(name: str, extra: str = "") -> set[str]:
    """The packages that a package needs here, with one of its extras."""
    found: set[str] = set()
    for line in distribution(name).requires or ():
        needed, _, marker = line.partition(";")
        of = re.search(r"extra\s*==\s*['\"]([\w-]+)['\"]", marker)
        if of and of[1] != extra:
            continue
        words = re.match(r"\s*([\w.-]+)\s*(?:\[([\w\s,.-]+)\])?", needed)
        assert words is not None, line
        for each in (words[2] or "").split(","):
            found |= {f"{words[1]}[{each.strip()}]"} if each.strip() else {words[1]}
    return found


def closure(start: set[str]) -> set[str]:
    """All packages that some need, and that are installed."""
    todo, seen, names = list(start), set[tuple[str, str]](), set[str]()
    while todo:
        word = todo.pop()
        name, _, extra = word.rstrip("]").partition("[")
        name = re.sub(r"[-_.]+", "-", name).lower()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            todo += requirements(name, extra)
        except PackageNotFoundError:  # for another system or another Python
            continue
        names.add(name)
    return names


def megabytes(name: str) -> float:
    """What a package's files take."""
    files = distribution(name).files or ()
    return sum(path.stat().st_size for file in files if (path := file.locate()).is_file()) / 1e6  # type: ignore


def weights() -> dict[str, float]:
    """The megabytes of each extra, beyond what the package needs anyway."""
    found = {extra: sum(map(megabytes, closure({f"npblender[{extra}]"}) - SHARED)) for extra in EXTRAS}
    return {"": sum(map(megabytes, SHARED)), **found}


def table(found: dict[str, float]) -> str:
    """A row for each extra."""
    rows = [["none", "all but the following; numpy, safetensors, and npblender with its demo", f"{found['']:.0f} MB"]]
    rows += [[f"`[{extra}]`", what, f"{found[extra]:.0f} MB more"] for extra, what in EXTRAS.items()]
    return markdown(["extra", "for", "on disk"], rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--write-docs", action="store_true", help="put the table into README")
    what.add_argument("--check", action="store_true", help="exit 1 where README has other weights")
    arguments = parser.parse_args()
    found = weights()
    print(table(found), end="")
    if arguments.write_docs:
        write_between_markers(PAGE, MARKED, table(found))
        return 0
    stated = {e: float(n) for e, n in re.findall(r"`\[(\w+)\]`.*\| (\d+) MB more", between_markers(PAGE, MARKED))}
    far = [e for e in EXTRAS if abs(found[e] - stated.get(e, 0)) > max(3.0, found[e] / 3)]
    if arguments.check and far:
        print(f"README states other weights for {', '.join(far)}: run python -m tools elsewhere weights --write-docs")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
