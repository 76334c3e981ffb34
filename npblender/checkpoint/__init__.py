"""A model's folder, in and out: the border at which names, number formats and layouts are translated.

Inside the package there is one vocabulary (weights.py). `load` reads safetensors files, one or several
shards, under the names of transformers' three classes or of ParlAI, stored as float16, bfloat16, float32 or
float64. `save` writes what both transformers versions load again.

What it does not do: it reads no pickles (pytorch_model.bin, ParlAI's `model`), downloads nothing, and holds
no model: see model.py for `from_pretrained`.
"""

from npblender.checkpoint.dtypes import resolve_dtype, resolve_storage
from npblender.checkpoint.read import load
from npblender.checkpoint.write import save

__all__ = ["load", "resolve_dtype", "resolve_storage", "save"]
