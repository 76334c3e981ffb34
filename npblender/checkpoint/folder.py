"""Which files of a folder hold the weights: one safetensors file, or several with an index.

As in transformers, `model.safetensors` is taken where it exists, and `model.safetensors.index.json` with its
shards otherwise.

What it does not do: it reads no pickles. pytorch_model.bin and ParlAI's `model` are pickles, and unpickling
a file from elsewhere runs whatever program its author put in; they are refused with the lines that convert
them.
"""

from pathlib import Path, PurePosixPath, PureWindowsPath

from npblender.checkpoint.header import StoredTensor, read_header
from npblender.common import json_files

SINGLE_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"

_PICKLE = "{path} is a pickle, which can run any program when it is read, and is not read here. {how}"
_CONVERT = (
    "Convert it, in its folder, with torch's unpickler of plain data and safetensors:\n"
    "    import torch; from safetensors.torch import save_file\n"
    '    save_file({{k: v.contiguous().clone() for k, v in {load}.items()}}, "model.safetensors", '
    '{{"format": "pt"}})'
)
_TORCH = _CONVERT.format(load='torch.load("pytorch_model.bin", map_location="cpu", weights_only=True)')
_TORCH_SHARDS = (
    "Let transformers convert it:\n"
    "    from transformers import BlenderbotSmallForConditionalGeneration as Model\n"
    "    Model.from_pretrained(FOLDER).save_pretrained(NEW_FOLDER)"
)
_PARLAI = (
    _CONVERT.format(load='torch.load("model", map_location="cpu", weights_only=True)["model"]')
    + "\nParlAI's names of tensors are understood; put a config.json with its sizes beside the new file."
)
_FROM_OTHER_FRAMEWORK = (
    "{path} is not read here, only safetensors files. Let transformers 4 convert it:\n"
    "    from transformers import BlenderbotSmallForConditionalGeneration as Model\n"
    "    Model.from_pretrained(FOLDER, {option}=True).save_pretrained(NEW_FOLDER)"
)
_REFUSED = (
    ("pytorch_model.bin", _PICKLE, {"how": _TORCH}),
    ("pytorch_model.bin.index.json", _PICKLE, {"how": _TORCH_SHARDS}),
    ("model", _PICKLE, {"how": _PARLAI}),
    ("tf_model.h5", _FROM_OTHER_FRAMEWORK, {"option": "from_tf"}),
    ("flax_model.msgpack", _FROM_OTHER_FRAMEWORK, {"option": "from_flax"}),
)


def find_tensors(folder: Path) -> dict[str, StoredTensor]:
    """Every tensor of the folder's weights by its name in the file.

    Raises:
        FileNotFoundError: there are no weights, or the index names a file that is not there.
        ValueError: the weights come as a pickle or in another framework's format, a file or the index is
            damaged, or the index and the files disagree.
    """
    if (folder / SINGLE_FILE).is_file():
        return read_header(folder / SINGLE_FILE)
    if (folder / INDEX_FILE).is_file():
        return _read_shards(folder / INDEX_FILE)
    for name, message, words in _REFUSED:
        if (folder / name).is_file():
            raise ValueError(message.format(path=folder / name, **words))
    others = sorted(path.name for path in folder.glob("*.safetensors"))
    hint = f"; it holds {', '.join(others)}: rename the right one" if others else ""
    raise FileNotFoundError(f"{folder} holds neither {SINGLE_FILE} nor {INDEX_FILE}{hint}")


def _read_shards(index: Path) -> dict[str, StoredTensor]:
    weight_map = json_files.read_object(index).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(name, str) for name in weight_map.values()):
        raise ValueError(f"{index} needs a weight_map from the names of tensors to the names of files")
    names = sorted(set(weight_map.values()))
    elsewhere = [name for name in names if not _is_plain(name)]
    if elsewhere:
        raise ValueError(f"{index} names files outside its folder: {', '.join(map(repr, elsewhere))}")
    absent = [name for name in names if not (index.parent / name).is_file()]
    if absent:
        raise FileNotFoundError(f"{index} names files that are not there: {', '.join(absent)}")
    shards = {name: read_header(index.parent / name) for name in names}
    problems = []
    for tensor, name in weight_map.items():
        if tensor not in shards[name]:
            homes = [other for other in names if tensor in shards[other]]
            where = f"is in {', '.join(homes)}" if homes else "is in none of the files"
            problems.append(f"{tensor} should be in {name} but {where}")
    for name, tensors in shards.items():
        problems += [f"{tensor} is in {name} but not in the index" for tensor in tensors if tensor not in weight_map]
    for tensor in weight_map:
        homes = [name for name in names if tensor in shards[name]]
        if len(homes) > 1:
            problems.append(f"{tensor} is in several files: {', '.join(homes)}")
    if problems:
        raise ValueError(f"{index} does not fit its files: " + "; ".join(problems))
    return {tensor: shards[name][tensor] for tensor, name in weight_map.items()}


def _is_plain(name: str) -> bool:
    """Whether it names a file in the folder itself, on any system."""
    bare = PurePosixPath(name).name == name == PureWindowsPath(name).name
    return bare and name not in ("", "..") and "\0" not in name and len(name) < 256
