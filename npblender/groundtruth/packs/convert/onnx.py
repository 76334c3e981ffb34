"""Converts a pack to ONNX test data: a folder a file, with `test_data_set_N/input_I.pb` and `output_I.pb` a case.

Each .pb is one TensorProto. It needs two kinds of protobuf fields: a number is a varint, bytes are a length and the
bytes (https://protobuf.dev/programming-guides/encoding/). Floats are written in float32, as graphs compute. A whole
pass has the inputs input_ids, attention_mask, decoder_input_ids and decoder_attention_mask, and its points as outputs
in causal order.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from npblender.common.array_types import Array
from npblender.groundtruth.packs.convert.case_arrays import case_arrays, little_endian, put
from npblender.groundtruth.packs.files import as_stored
from npblender.groundtruth.packs.manifest import Manifest

TYPES = {"float32": 1, "uint8": 2, "int8": 3, "int32": 6, "int64": 7, "bool": 9, "float16": 10, "float64": 11}
"""TensorProto.DataType by NumPy's names."""
DIMS, DATA_TYPE, NAME, RAW_DATA = 1, 2, 8, 9  # TensorProto's fields
NUMBER, BYTES = 0, 2  # kinds of fields


def varint(number: int) -> bytes:
    """Encode a number in groups of seven bits, the lowest first, each but the last with its high bit set.

    >>> varint(300).hex()
    'ac02'
    """
    groups = bytearray()
    while True:
        number, low = number >> 7, number & 0x7F
        groups.append(low | (0x80 if number else 0))
        if not number:
            return bytes(groups)


def _field(number: int, content: int | bytes) -> bytes:
    if isinstance(content, int):
        return varint(number << 3 | NUMBER) + varint(content)
    return varint(number << 3 | BYTES) + varint(len(content)) + content


def tensor_proto(name: str, array: Array) -> bytes:
    """Serialize an array as a TensorProto.

    >>> tensor_proto("x", np.array([1.0], np.float32)).hex()
    '080110014201784a040000803f'
    """
    fields: list[tuple[int, int | bytes]] = [(DIMS, size) for size in array.shape]
    fields += [(DATA_TYPE, TYPES[array.dtype.name]), (NAME, name.encode()), (RAW_DATA, little_endian(array))]
    return b"".join(_field(*field) for field in fields)


def write(folder: Path, manifest: Manifest, out: Path) -> list[Path]:
    """Write a folder for each file of arrays, and in it a `test_data_set_N` for each case."""
    written = []
    seen: Counter[str] = Counter()
    for case in case_arrays(folder, manifest):
        place = out / case.file.replace("/", "-") / f"test_data_set_{seen[case.file]}"
        seen[case.file] += 1
        outputs = {name: array for name, array in case.outputs.items() if name != "ulps"}
        for kind, arrays in (("input", case.inputs), ("output", outputs)):
            for number, (name, array) in enumerate(arrays.items()):
                proto = tensor_proto(name, as_stored(array, "float32"))
                written.append(put(place / f"{kind}_{number}.pb", proto))
    return written
