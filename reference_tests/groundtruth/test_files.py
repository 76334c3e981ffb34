"""Files of tensors and traces: what is written is read again by us and by the library, the same bytes every time."""

import json
import math
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors import safe_open
from safetensors.numpy import load_file, save, save_file

from npblender import Trace
from npblender.groundtruth.noise.units import Noise
from npblender.groundtruth.tracing.tensor_file import read_tensors, tensor_bytes, write_tensors
from reference_tests.support.cli_runs import environment

DTYPES = ("float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8")
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=6).filter(lambda name: name != "__metadata__")


@st.composite
def tensors(draw: Any) -> dict[str, np.ndarray]:
    """Arrays of every dtype that the format has, some of them not contiguous."""
    found = {}
    for name in draw(st.lists(NAMES, max_size=4, unique=True)):
        dtype = np.dtype(draw(st.sampled_from((*DTYPES, "bool"))))
        array = draw(hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)))
        found[name] = array.T if draw(st.booleans()) else array
    return found


@given(arrays=tensors(), metadata=st.dictionaries(NAMES, NAMES, max_size=3))
def test_what_is_written_is_read_again(
    arrays: dict[str, np.ndarray], metadata: dict[str, str], tmp_path_factory: Any
) -> None:
    path = tmp_path_factory.mktemp("tensors") / "t"
    write_tensors(path, arrays, metadata)
    assert path.read_bytes() == tensor_bytes(arrays, metadata)
    found, said = read_tensors(path)
    assert said == metadata
    assert sorted(found) == sorted(arrays)
    theirs = load_file(path)
    for name, array in arrays.items():
        for other in (found[name], theirs[name]):
            assert (other.dtype, other.shape, other.tobytes()) == (array.dtype, array.shape, array.tobytes())
    with safe_open(path, "np") as file:
        assert (file.metadata() or {}) == metadata


def test_the_order_of_bytes_is_the_order_given_wider_dtypes_first(tmp_path: Path) -> None:
    arrays = {"z": np.ones(1, np.float32), "a": np.ones(3, np.uint8), "m": np.ones(1), "b": np.ones(1, np.float32)}
    write_tensors(tmp_path / "t", arrays)
    assert list(read_tensors(tmp_path / "t")[0]) == ["m", "z", "b", "a"]
    content = (tmp_path / "t").read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    assert {name: entry["data_offsets"][0] for name, entry in header.items()} == {"m": 0, "z": 8, "b": 12, "a": 16}
    assert length % 8 == 0


def test_metadata_are_sorted_whatever_order_they_are_given_in() -> None:
    one = tensor_bytes({"a": np.ones(1)}, {"b": "1", "a": "2"})
    assert one == tensor_bytes({"a": np.ones(1)}, {"a": "2", "b": "1"})
    assert one[8:].startswith(b'{"__metadata__":{"a":"2","b":"1"},"a":')


def some_trace() -> Trace:
    return Trace(
        {"encoder.states": np.linspace(0, 1, 6, dtype=np.float32).reshape(1, 3, 2), "logits": np.float32([[-1e20, 2]])},
        {"encoder.states": Noise(1e-8, 3e-8), "logits": Noise(0.0, 0.0)},
        dtype="float32",
        dialect="parlai",
        config={"d_model": 2, "extra": {"é": None}},
        inputs={"input_ids": [[5, 6, 7]]},
        producer={"npblender": "1", "numpy": "2"},
    )


def test_a_trace_comes_back_as_it_was(tmp_path: Path) -> None:
    trace = some_trace()
    trace.save(tmp_path / "t.safetensors")
    again = Trace.load(tmp_path / "t.safetensors")
    assert again.points == ("encoder.states", "logits")
    for name, array in trace.arrays.items():
        assert again.arrays[name].dtype == array.dtype
        assert np.array_equal(again.arrays[name], array)
    for field in ("noise", "dtype", "dialect", "config", "inputs", "producer", "metadata"):
        assert getattr(again, field) == getattr(trace, field), field


def test_what_a_trace_says_of_itself_to_any_reader_of_safetensors(tmp_path: Path) -> None:
    """The format that others rely on: written out here, apart from the code that writes it."""
    some_trace().save(tmp_path / "t")
    with safe_open(tmp_path / "t", "np") as file:
        said = file.metadata()
        assert sorted(file.keys()) == ["encoder.states", "inputs.input_ids", "logits"]
        assert file.get_tensor("inputs.input_ids").tolist() == [[5, 6, 7]]
        assert file.get_slice("inputs.input_ids").get_dtype() == "I32"
    assert {name: json.loads(said[name]) for name in ("points", "noise", "config", "inputs", "producer")} == {
        "points": ["encoder.states", "logits"],
        "noise": {"encoder.states": {"rms": 1e-8, "max": 3e-8}, "logits": {"rms": 0.0, "max": 0.0}},
        "config": {"d_model": 2, "extra": {"é": None}},
        "inputs": {"input_ids": [[5, 6, 7]]},
        "producer": {"npblender": "1", "numpy": "2"},
    }
    assert (said["format"], said["version"], said["dtype"], said["dialect"]) == (
        "npblender-trace",
        "2",
        "float32",
        '"parlai"',
    )


def test_the_same_trace_gives_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    """Whatever the seed of Python's hashes is, and whatever order the library keeps metadata in."""
    code = "import sys; from reference_tests.groundtruth.test_files import some_trace; some_trace().save(sys.argv[1])"
    some_trace().save(tmp_path / "mine")
    arguments = [sys.executable, "-c", code, str(tmp_path / "theirs")]
    subprocess.run(arguments, env=environment(PYTHONHASHSEED="3"), check=True, timeout=600)
    assert (tmp_path / "mine").read_bytes() == (tmp_path / "theirs").read_bytes()


def test_a_trace_of_version_1_is_read(tmp_path: Path) -> None:
    """As 0.1.0 wrote it: without tensors of the inputs."""
    trace = some_trace()
    write_tensors(tmp_path / "t", trace.arrays, trace.metadata | {"version": "1"})
    again = Trace.load(tmp_path / "t")
    assert (again.points, again.inputs, again.noise) == (trace.points, trace.inputs, trace.noise)


def test_inputs_are_tensors_too(tmp_path: Path) -> None:
    """Ids, masks and the length of a prompt as int32, head masks as float32; they are no points."""
    given = {"input_ids": [[5, 6]], "attention_mask": [[1, 0]], "head_mask": [[0.5]], "steps": True, "prefill": 2}
    Trace({"logits": np.ones(1)}, inputs=given).save(tmp_path / "t")
    stored = load_file(tmp_path / "t")
    assert {name: (array.dtype.name, array.tolist()) for name, array in stored.items() if name != "logits"} == {
        "inputs.input_ids": ("int32", [[5, 6]]),
        "inputs.attention_mask": ("int32", [[1, 0]]),
        "inputs.head_mask": ("float32", [[0.5]]),
        "inputs.prefill": ("int32", 2),
    }
    assert Trace.load(tmp_path / "t").points == ("logits",)
    assert Trace.load(tmp_path / "t").inputs == given


def test_points_are_in_causal_order_whatever_the_bytes_are_in(tmp_path: Path) -> None:
    Trace({"b": np.ones(1, np.float32), "a": np.ones(1), "c": np.ones(1, np.float32)}).save(tmp_path / "t")
    assert list(read_tensors(tmp_path / "t")[0]) == ["a", "b", "c"]
    assert Trace.load(tmp_path / "t").points == ("b", "a", "c")


def test_files_of_other_makers_are_traces_that_know_only_their_arrays(tmp_path: Path) -> None:
    arrays = {"logits": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.ones(2)}
    save_file(arrays, tmp_path / "theirs.safetensors", metadata={"format": "pt"})
    np.savez(tmp_path / "plain.npz", **arrays)
    np.savez_compressed(tmp_path / "smaller", **arrays)
    for name in ("theirs.safetensors", "plain.npz", "smaller.npz"):
        found = Trace.load(tmp_path / name)
        assert sorted(found.points) == ["a", "logits"]
        assert np.array_equal(found.arrays["logits"], arrays["logits"])
        assert (found.noise, found.dtype, found.dialect, found.config, found.inputs) == ({}, None, None, None, None)
    assert Trace.load(tmp_path / "plain.npz").points == ("logits", "a")


def test_half_precision_of_other_makers_is_read(tmp_path: Path) -> None:
    header = {
        "half": {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]},
        "brain": {"dtype": "BF16", "shape": [2], "data_offsets": [4, 8]},
    }
    text = json.dumps(header).encode()
    bits = np.array([0x3F80, 0xC000], "<u2").tobytes()
    content = len(text).to_bytes(8, "little") + text + np.float16([0.5, -2]).tobytes() + bits
    (tmp_path / "t").write_bytes(content)
    found = Trace.load(tmp_path / "t").arrays
    assert (found["half"].dtype, found["half"].tolist()) == (np.float16, [0.5, -2.0])
    assert (found["brain"].dtype, found["brain"].tolist()) == (np.float32, [1.0, -2.0])


def test_a_file_is_known_by_how_it_begins(tmp_path: Path) -> None:
    """These numbers end as a ZIP archive does."""
    with zipfile.ZipFile(tmp_path / "empty.npz", "w"):
        pass
    ending = np.frombuffer((tmp_path / "empty.npz").read_bytes(), np.uint8)
    write_tensors(tmp_path / "t", {"a": ending})
    assert zipfile.is_zipfile(tmp_path / "t")
    assert np.array_equal(Trace.load(tmp_path / "t").arrays["a"], ending)
    assert Trace.load(tmp_path / "empty.npz").points == ()


def rewritten(path: Path, **changes: str | None) -> Path:
    """A trace's file with other metadata; None takes a key away."""
    trace = some_trace()
    said = {**trace.metadata, **changes}
    write_tensors(path, trace.arrays, {name: value for name, value in said.items() if value is not None})
    return path


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"version": "3"}, "a trace of version '3'; versions 1 and 2 are read"),
        ({"version": None}, "a trace of version None"),
        ({"points": None}, "'points' does not list its tensors"),
        ({"points": '["encoder.states"]'}, "'points' does not list its tensors"),
        ({"points": '["encoder.states", "logits", "logits"]'}, "'points' does not list its tensors"),
        ({"points": "logits"}, "'points' is not JSON"),
        ({"points": "{}"}, "'points' holds a dict"),
        ({"noise": "[]"}, "'noise' holds a list"),
        ({"noise": '{"logits": 1e-7}'}, "the noise of 'logits' needs rms and max"),
        ({"noise": '{"logits": {"rms": 1, "max": 2, "min": 0}}'}, "the noise of 'logits' needs rms and max"),
        ({"noise": '{"logits": {"rms": 3, "max": 2}}'}, "the noise of 'logits': noise has 0 <= rms <= max"),
        ({"noise": '{"logits": {"rms": null, "max": 2}}'}, "the noise of 'logits'"),
        ({"noise": '{"loss": {"rms": 1, "max": 2}}'}, "noise of 'loss', which is no point of this trace"),
        ({"dialect": "3"}, "'dialect' holds a int"),
        ({"config": '"x"'}, "'config' holds a str"),
        ({"inputs": "[" * 10000}, "'inputs' is not JSON"),
    ],
)
def test_metadata_that_do_not_fit_are_refused(tmp_path: Path, changes: dict[str, str | None], says: str) -> None:
    path = rewritten(tmp_path / "t", **changes)
    with pytest.raises(ValueError, match=says) as refused:
        Trace.load(path)
    assert str(path) in str(refused.value)


def test_what_is_no_file_of_tensors_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no file"):
        Trace.load(tmp_path / "nothing")
    with pytest.raises(ValueError, match="is a folder"):
        Trace.load(tmp_path)
    with pytest.raises(TypeError, match="a string or a path"):
        Trace.load(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="is no name of a file"):
        Trace.load("a" * 5000)
    for content, says in ((b"", "was cut short"), (b"\x08" + b"\0" * 7 + b"garbage!", "no safetensors file")):
        (tmp_path / "t").write_bytes(content)
        with pytest.raises(ValueError, match=says):
            Trace.load(tmp_path / "t")
    whole = save({"logits": np.ones(4)})
    (tmp_path / "t").write_bytes(whole[:-3])
    with pytest.raises(ValueError, match="3 of its"):
        Trace.load(tmp_path / "t")


def test_npz_files_that_are_not_plain_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "objects.npz", a=np.array([{"a": 1}], object))
    np.savez(tmp_path / "texts.npz", a=np.array(["a"]))
    with zipfile.ZipFile(tmp_path / "other.npz", "w") as file:
        file.writestr("a.txt", "hello")
    for name, says in (
        ("objects.npz", "no NPZ file of plain arrays"),
        ("texts.npz", "'a' is <U1, and real numbers are read"),
        ("other.npz", "real numbers are read|no NPZ file"),
    ):
        with pytest.raises(ValueError, match=says):
            Trace.load(tmp_path / name)


def test_what_can_not_be_stored_is_refused_and_leaves_nothing_behind(tmp_path: Path) -> None:
    wide = Trace({"logits": np.ones(2, np.longdouble)}, dtype="longdouble")
    if np.dtype(np.longdouble) != np.dtype(np.float64):
        with pytest.raises(TypeError, match=r"logits is .*which safetensors cannot store; choose float64"):
            wide.save(tmp_path / "t")
    for arrays, metadata in (
        ({"__metadata__": np.ones(1)}, None),
        ({3: np.ones(1)}, None),
        ({"a": np.ones(1, complex)}, None),
        ({"a": np.ones(1)}, {"b": 3}),
    ):
        with pytest.raises(TypeError):
            write_tensors(tmp_path / "t", arrays, metadata)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="cannot be written"):
        some_trace().save(tmp_path / "no" / "t")
    assert list(tmp_path.iterdir()) == []


def test_a_trace_has_noise_of_its_points_alone() -> None:
    with pytest.raises(ValueError, match="noise of 'logit', which is no point"):
        Trace({"logits": np.ones(1)}, {"logit": Noise(0.0, 0.0)})
    assert math.isnan(Trace({"loss": np.array(math.nan)}).arrays["loss"])
