"""Reads and writes the weights in a model's folder, and translates names and number formats on the way.

`load` reads safetensors, one file or several shards, and the files of torch, Flax, Keras and ParlAI, stored as float16,
bfloat16, float32 or float64. `save` writes what both versions of transformers load again. Pickles (pytorch_model.bin,
ParlAI's `model`) are read if the caller allows it, and nothing in them is run. In reading order:

    dtypes            the number formats of files, and the dtypes a model computes in
    parameter_names   every original's names of a parameter -> ours
    folder            which files hold the tensors, and what a safetensors file says about itself, checked
    formats           where the files of the other frameworks hold theirs
    read, write       `load` and `save`
"""

from npblender.checkpoint.dtypes import resolve_dtype, resolve_storage
from npblender.checkpoint.read import load
from npblender.checkpoint.write import save, shard_bytes

__all__ = ["load", "resolve_dtype", "resolve_storage", "save", "shard_bytes"]
