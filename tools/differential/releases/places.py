"""Where things lie that are not on the public face: each under its new place first, then under its old ones.

Everything else that is recorded goes through `npblender` itself and its commands.
"""

from __future__ import annotations

import importlib
from typing import Any

PLACES: dict[str, tuple[tuple[str, str], ...]] = {
    "random_weights": (("transformer.parameters", "random_weights"), ("weights", "random_weights")),
    "parameters": (("transformer.parameters", "parameters"), ("weights", "parameters")),
    "to_arrays": (("transformer.parameters", "to_arrays"), ("weights", "to_arrays")),
    "build": (("transformer.parameters", "build"), ("weights.building", "build")),
    "Weights": (("transformer.parameters", "Weights"), ("weights.tree", "Weights")),
    "LayerCache": (("transformer.kv_cache", "LayerCache"), ("cache", "LayerCache")),
    "resolve_dialect": (("config.dialect", "resolve_dialect"), ("dialects", "resolve_dialect")),
    "reply_to_all": (("", "reply_to_all"), ("chat.batch", "reply_to_all"), ("batch", "reply_to_all")),
    "argument_names": (
        ("models.signatures", "argument_names"),
        ("models.signatures", "taken"),
        ("calls", "taken"),
    ),
    "refed": (("groundtruth", "refed"),),
    "Refed": (("groundtruth", "Refed"),),
    "TraceInputs": (("groundtruth", "TraceInputs"),),
    "compare_refed": (("groundtruth", "compare_refed"),),
    "AddedToken": (("tokenizer", "AddedToken"),),
    "export_tiny": (("groundtruth.packs.export", "export_tiny"),),
    "export_pack": (("groundtruth.packs.export", "export_pack"),),
    "verify_pack": (("groundtruth.packs.verify", "verify_pack"),),
    "convert_pack": (("groundtruth.packs.convert", "convert_pack"),),
    "main": (("cli.main", "main"),),
    "demo_folder": (("demo", "folder"),),
}


def find(name: str) -> Any:
    """The object of a name in PLACES, wherever this checkout has it.

    Raises:
        LookupError: it is at none of its places; add the new one to PLACES.
    """
    for module, attribute in PLACES[name]:
        try:
            place = importlib.import_module("npblender" + (f".{module}" if module else ""))
        except ModuleNotFoundError as error:
            if error.name is None or not error.name.startswith("npblender"):
                raise
            continue
        if hasattr(place, attribute):
            return getattr(place, attribute)
    raise LookupError(f"{name} is at none of {PLACES[name]}")
