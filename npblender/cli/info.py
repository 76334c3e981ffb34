"""`npblender info`: what would run: configuration, parameters, dialect, versions, BLAS and threads."""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from npblender.cli.options import THREAD_VARIABLES, add_model_options, blas_threads, count_parameters, suit_threads
from npblender.common.printable import json_out, printable


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's options."""
    parser.add_argument("--json", action="store_true", help="one JSON object")
    add_model_options(parser)


def run(arguments: argparse.Namespace) -> None:
    """Show the model and the machine, as text or JSON."""
    model = model_facts(arguments)
    suit_threads(model["parameters"])  # as chat does it
    found = {**model, **machine_facts()}
    if arguments.json:
        print(json_out(found))
        return
    for heading, content in found.items():
        if isinstance(content, dict):
            print(f"{heading}:")
            for name, value in content.items():
                print(printable(f"  {name}: {json_out(value)}"))
        else:
            print(printable(f"{heading}: {content:,}" if isinstance(content, int) else f"{heading}: {content}"))


def model_facts(arguments: argparse.Namespace) -> dict[str, Any]:
    """Folder, dialect, parameters and settings; the weights are counted and not read."""
    from npblender import demo
    from npblender.config import BlenderbotSmallConfig
    from npblender.config.dialect import resolve_dialect
    from npblender.config.generation_config import GenerationConfig
    from npblender.transformer.parameters import expected_shapes

    folder = demo.folder() if arguments.model is None else arguments.model
    config = BlenderbotSmallConfig.from_pretrained(folder)
    return {
        "model": str(folder),
        "dialect": resolve_dialect(arguments.dialect or config.npblender_dialect or "parlai").name,
        "parameters": count_parameters(config),
        "config": config.to_dict(),
        "weights": stored_facts(Path(folder), expected_shapes(config), arguments.allow_pickle),
        "generation": GenerationConfig.from_pretrained(folder).to_dict(),
    }


def stored_facts(folder: Path, shapes: Mapping[str, tuple[int, ...]], allow_pickle: bool) -> dict[str, Any]:
    """How the weights are stored: their files, number formats and bytes; and the bytes of a model by its dtype."""
    from npblender.checkpoint.folder import find_tensors
    from npblender.transformer.packing import bytes_in_memory

    tensors = find_tensors(folder, allow_pickle).values()
    return {
        "files": sorted({tensor.file.name for tensor in tensors}),
        "stored as": sorted({tensor.dtype for tensor in tensors}),
        "tensors": len(tensors),
        "bytes": sum(tensor.size for tensor in tensors),
        "bytes in memory": {dtype: bytes_in_memory(shapes, dtype) for dtype in ("float32", "float16", "bfloat16")},
    }


def machine_facts() -> dict[str, Any]:
    """Versions, BLAS and threads."""
    import numpy
    import safetensors

    from npblender import __version__

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    blas = dict(numpy.show_config(mode="dicts")["Build Dependencies"]["blas"])
    return {
        "versions": {
            "npblender": __version__,
            "python": platform.python_version(),
            "numpy": numpy.__version__,
            "safetensors": safetensors.__version__,
            "system": platform.platform(),
        },
        "blas": {name: blas[name] for name in ("name", "version", "openblas configuration") if name in blas},
        "threads": {
            "cores this process may use": cores,
            "threads of the BLAS": blas_threads(),
            **{name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ},
        },
    }
