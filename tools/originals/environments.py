"""Makes the virtual environments in which the originals of this model run, and other engines beside them.

Each original lives in an environment of its own, outside the repository:

    python -m tools originals                  # build what is missing, all the originals
    python -m tools originals transformers-5   # or only one
    python -m tools originals onnxruntime      # an engine, for the benchmark and for a second float32 port
    python -m tools originals --list           # say what is there

They lie in `~/.cache/npblender/oracles/NAME`; the environment variable `NPBLENDER_ORACLES` names another
parent folder. An environment whose stamp file holds the pins below is reused at once; one whose stamp is
missing or differs is made anew. Each takes 1.1 to 1.9 GB.

This file needs only the standard library. It does NOT run the originals: see `tools/originals/`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PLACE_VARIABLE = "NPBLENDER_ORACLES"
STAMP = "npblender-oracle.json"


@dataclass(frozen=True)
class Oracle:
    """One original or engine: what pip installs, in which order, and the modules that must then import."""

    about: str
    installs: tuple[tuple[str, ...], ...]  # one pip call each: its arguments
    imports: tuple[str, ...]
    newest_python: tuple[int, int] = (3, 99)  # the last one that its wheels are made for


# torch comes first, so that what follows finds it and does not choose another one.
ORACLES = {
    "transformers-5": Oracle(
        about="transformers 5: today's behaviour (dialect transformers-5)",
        installs=(
            ("torch==2.13.0", "numpy==2.2.6"),
            ("transformers==5.23.0", "safetensors==0.8.0"),
        ),
        imports=("torch", "transformers"),
    ),
    "transformers-4": Oracle(
        about="transformers 4, the last version with the decoder's scale (dialect transformers-4)",
        installs=(
            ("torch==2.13.0", "numpy==2.2.6"),
            ("transformers==4.52.4", "safetensors==0.8.0"),
        ),
        imports=("torch", "transformers"),
    ),
    "parlai": Oracle(
        about="ParlAI: the model as it was trained (dialect parlai)",
        installs=(
            ("torch==2.13.0", "numpy==2.2.6"),
            ("--no-deps", "parlai==1.7.2"),
            (
                *("requests", "tqdm", "iopath", "setuptools<80", "regex", "subword-nmt==0.3.8"),
                *("pillow", "pyyaml", "scikit-learn", "safetensors==0.8.0"),
            ),
        ),
        imports=("torch", "safetensors", "parlai.agents.transformer.modules"),
    ),
    "keras-flax": Oracle(
        about="transformers 4's Keras and Flax classes, for the arguments that torch's do not have",
        installs=(
            (
                *("tensorflow-cpu==2.15.1", "jax==0.4.13", "jaxlib==0.4.13", "flax==0.7.0", "numpy==1.26.4"),
                *("transformers==4.52.4", "safetensors==0.8.0"),
            ),
        ),
        imports=("tensorflow", "flax", "transformers"),
        newest_python=(3, 11),
    ),
}

# Engines that run a model of these sizes: no originals, so nothing is learned from them about behaviour.
ENGINES = {
    "onnxruntime": Oracle(
        about="ONNX and its runtime: the graphs that tools/onnx_graph writes",
        installs=(("onnxruntime==1.32.0", "onnx==1.23.2", "numpy==2.2.6", "safetensors==0.8.0"),),
        imports=("onnx", "onnxruntime", "safetensors"),
    ),
    "ctranslate2": Oracle(
        about="CTranslate2: an encoder-decoder of the same sizes",
        installs=(("ctranslate2==4.8.5", "numpy==2.2.6", "safetensors==0.8.0", "setuptools"),),
        imports=("ctranslate2", "safetensors"),
    ),
}

ENVIRONMENTS = {**ORACLES, **ENGINES}


def oracles_folder() -> Path:
    """The folder that holds the environments; it need not exist yet."""
    place = os.environ.get(PLACE_VARIABLE)
    return Path(place).expanduser() if place else Path.home() / ".cache" / "npblender" / "oracles"


def stamp_of(name: str) -> dict[str, object]:
    """What the stamp of a finished environment says: the pins and the Python they were installed for."""
    return {
        "name": name,
        "installs": [list(call) for call in ENVIRONMENTS[name].installs],
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
    }


def _python_of(name: str) -> Path:
    scripts = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")
    return oracles_folder() / name / Path(*scripts)


def _read_stamp(name: str) -> dict[str, object] | None:
    try:
        stamp = json.loads((oracles_folder() / name / STAMP).read_text())
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
        return None
    return stamp if isinstance(stamp, dict) else None


def is_ready(name: str) -> bool:
    """Whether the environment is complete and made of today's pins, whichever Python it was made for."""
    stamp, wanted = _read_stamp(name), stamp_of(name)
    return (
        stamp is not None
        and all(stamp.get(key) == wanted[key] for key in ("name", "installs"))
        and _python_of(name).exists()
    )


def installed_versions(name: str) -> dict[str, str]:
    """The versions that pip found when the environment was made: package name to version."""
    oracle_python(name)
    stamp = _read_stamp(name) or {}
    versions = stamp["versions"]
    assert isinstance(versions, dict)
    return versions


def oracle_python(name: str) -> Path:
    """The Python interpreter of one original's environment.

    Raises ValueError for a name that is not in the table, and FileNotFoundError, naming the command that
    makes it, where the environment is missing, unfinished or of other pins.
    """
    if name not in ENVIRONMENTS:
        raise ValueError(f"no original is called {name!r}; there are {', '.join(ENVIRONMENTS)}")
    if not is_ready(name):
        raise FileNotFoundError(
            f"the environment of {name} is not ready in {oracles_folder() / name}; "
            f"`python -m tools originals {name}` makes it ({PLACE_VARIABLE} names another place)"
        )
    return _python_of(name)


@contextlib.contextmanager
def _alone(name: str) -> Iterator[None]:
    """Hold a lock while an environment is made, so that two builds of it do not meet."""
    oracles_folder().mkdir(parents=True, exist_ok=True)
    with open(oracles_folder() / f"{name}.lock", "w") as lock:
        if os.name != "nt":
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build(name: str) -> Path:
    """Make one environment unless it is ready; return its Python. CalledProcessError if pip fails."""
    with _alone(name):
        if is_ready(name):
            return _python_of(name)
        folder = oracles_folder() / name
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        pip = [str(_python_of(name)), "-m", "pip"]
        for call in ENVIRONMENTS[name].installs:
            subprocess.run([*pip, "install", "--quiet", *call], check=True)
        imports = "\n".join(f"import {module}" for module in ENVIRONMENTS[name].imports)
        subprocess.run([str(_python_of(name)), "-W", "ignore", "-c", imports], check=True)
        listing = subprocess.run([*pip, "list", "--format=json"], check=True, capture_output=True, text=True)
        versions = {entry["name"]: entry["version"] for entry in json.loads(listing.stdout)}
        (folder / STAMP).write_text(json.dumps({**stamp_of(name), "versions": versions}, indent=1) + "\n")
    return _python_of(name)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Make the environments in which the originals and engines run.")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"some of: {', '.join(ENVIRONMENTS)} (default: the originals)"
    )
    parser.add_argument("--list", action="store_true", help="print which are ready, and build nothing")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in ENVIRONMENTS]
    if unknown:
        parser.error(f"no original is called {', '.join(unknown)}; there are {', '.join(ENVIRONMENTS)}")
    for name in options.names or (ENVIRONMENTS if options.list else ORACLES):
        if sys.version_info[:2] > ENVIRONMENTS[name].newest_python and not is_ready(name):
            newest = ".".join(map(str, ENVIRONMENTS[name].newest_python))
            print(f"{name:16} not made: its packages exist for Python up to {newest}, and this is another")
            if name in options.names and not options.list:
                return 1
            continue
        if options.list:
            state = "ready" if is_ready(name) else "missing"
            print(f"{name:16} {state:8} {oracles_folder() / name}  ({ENVIRONMENTS[name].about})")
            continue
        try:
            print(f"{name:16} {build(name)}", flush=True)
        except subprocess.CalledProcessError as error:
            print(f"{name}: {' '.join(map(str, error.cmd))} failed ({error.returncode})", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
