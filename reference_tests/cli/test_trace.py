"""`npblender trace`: what it writes and prints, and what it refuses."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from npblender import BlenderbotSmallForConditionalGeneration, Trace, trace
from npblender.groundtruth.tracing.table import statistics, trace_table
from reference_tests.support.cli_runs import one_error, run_cli, run_process
from reference_tests.support.tiny_folder import make_tokenizer

IDS = ("--input-ids", "5,6,7", "--decoder-input-ids", "1,9")


def traced(tmp_path: Path, *arguments: object) -> Trace:
    """The trace that a command writes; the command must say so in one line and nothing else."""
    path = tmp_path / "trace.safetensors"
    result = run_cli("trace", *arguments, "--out", path)
    assert (result.code, result.err, len(result.lines)) == (0, "", 1), result
    found = Trace.load(path)
    assert result.lines[0].startswith(f"{path}: {len(found.points)} points in {found.dtype}, dialect ")
    return found


def test_ids_need_no_tokenizer_and_give_the_trace_of_the_library(tiny_folder: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copy(tiny_folder / name, bare)
    found = traced(tmp_path, "--model", bare, *IDS)
    model = BlenderbotSmallForConditionalGeneration.from_pretrained(tiny_folder)
    expected = trace(model, [[5, 6, 7]], decoder_input_ids=[[1, 9]])
    assert found.points == expected.points
    assert all(np.array_equal(found.arrays[name], array) for name, array in expected.arrays.items())
    assert found.metadata == expected.metadata
    assert (found.dtype, found.dialect) == ("float32", "parlai")
    assert found.arrays["logits"].dtype == np.float32
    assert set(found.noise) == set(found.points)


@pytest.mark.slow
def test_the_same_command_gives_the_same_bytes(tiny_folder: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        run = run_process(
            "trace", "--model", tiny_folder, *IDS, "--out", tmp_path / name, PYTHONHASHSEED=str(len(name))
        )
        assert (run.returncode, run.stderr) == (0, b"")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_text_and_reply_become_ids(tiny_folder: Path, tmp_path: Path) -> None:
    tokenizer = make_tokenizer()
    found = traced(tmp_path, "--model", tiny_folder, "--text", "hello, how are you?", "--reply", "fine !", "--no-noise")
    assert found.inputs == {
        "input_ids": [tokenizer.encode("hello, how are you?")],
        "attention_mask": [[1] * 6],
        "decoder_input_ids": [[1, *tokenizer.encode("fine !")]],
    }
    assert found.noise == {}
    dialect = traced(tmp_path, "--model", tiny_folder, "--text", "(hello)", "--dialect", "transformers-5", "--no-noise")
    assert dialect.inputs is not None
    assert dialect.inputs["input_ids"] == [make_tokenizer("transformers-5").encode("(hello)")]
    assert dialect.inputs["input_ids"] != [tokenizer.encode("(hello)")]
    assert dialect.inputs["decoder_input_ids"] == [[1]]
    assert dialect.dialect == "transformers-5"


def write(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_a_file_of_inputs_holds_batches_masks_and_labels(tiny_folder: Path, tmp_path: Path) -> None:
    content = {
        "input_ids": [[5, 6, 7], [8, 9, 0]],
        "attention_mask": [[1, 1, 1], [1, 1, 0]],
        "decoder_input_ids": [[1, 9], [1, 0]],
        "decoder_attention_mask": [[1, 1], [1, 0]],
        "labels": [[9, 2], [2, -100]],
        "position_ids": [[0, 1, 2], [3, 4, 5]],
    }
    found = traced(tmp_path, "--model", tiny_folder, "--inputs", write(tmp_path / "i.json", content))
    assert found.inputs == content
    model = BlenderbotSmallForConditionalGeneration.from_pretrained(tiny_folder)
    assert float(found.arrays["loss"]) == float(model(**content).loss)
    replayed = write(tmp_path / "again.json", found.inputs)
    again = traced(tmp_path, "--model", tiny_folder, "--inputs", replayed)
    assert all(np.array_equal(again.arrays[name], array) for name, array in found.arrays.items())


def test_a_file_of_texts_is_padded(tiny_folder: Path, tmp_path: Path) -> None:
    tokenizer = make_tokenizer()
    long, short = tokenizer.encode("hello you ."), tokenizer.encode("hi")
    content = {"text": ["hello you .", "hi"], "reply": ["yes", "no tea"], "steps": True, "prefill": 2}
    found = traced(tmp_path, "--model", tiny_folder, "--inputs", write(tmp_path / "i.json", content), "--no-noise")
    assert found.inputs == {
        "input_ids": [long, [*short, 0, 0]],
        "attention_mask": [[1, 1, 1], [1, 0, 0]],
        "decoder_input_ids": [[1, *tokenizer.encode("yes"), 0], [1, *tokenizer.encode("no tea")]],
        "decoder_attention_mask": [[1, 1, 0], [1, 1, 1]],
        "steps": True,
        "prefill": 2,
    }


def test_steps_and_points(tiny_folder: Path, tmp_path: Path) -> None:
    found = traced(
        tmp_path, "--model", tiny_folder, *("--input-ids", "5,6", "--decoder-input-ids", "1,9,8,7"), "--steps",
        "--prefill", 2, "--points", "logits", "--points", "encoder.states", "--dtype", "float64",
    )  # fmt: skip
    assert found.points == ("encoder.states", "prefill.logits", "step1.logits", "step2.logits")
    assert [found.arrays[name].shape[1] for name in found.points] == [2, 2, 1, 1]
    assert found.arrays["step2.logits"].dtype == np.float64


def test_the_table_needs_no_file(tiny_folder: Path) -> None:
    result = run_cli("trace", "--model", tiny_folder, *IDS, "--table", "--points", "*.states", "--points", "logits")
    assert (result.code, result.err) == (0, "")
    heading, *rows = [line.split("  ") for line in result.lines]
    assert [cell.strip() for cell in heading if cell] == ["name", "shape", "mean", "std", "min", "max", "noise"]
    assert [row[0] for row in rows] == ["encoder.states", "decoder.states", "logits"]
    model = BlenderbotSmallForConditionalGeneration.from_pretrained(tiny_folder)
    found = trace(model, [[5, 6, 7]], decoder_input_ids=[[1, 9]], points="encoder.states")
    values = found.arrays["encoder.states"].astype(np.float64)
    wanted = (values.mean(), values.std(), values.min(), values.max())
    cells = [cell.strip() for cell in rows[0] if cell.strip()]
    assert cells[1] == f"[{', '.join(map(str, values.shape))}]"
    assert [float(cell) for cell in cells[2:6]] == [float(f"{value:.6g}") for value in wanted]
    assert float(cells[6]) == found.noise["encoder.states"].rms


def test_the_table_beside_a_file_and_in_longdouble(tiny_folder: Path, tmp_path: Path) -> None:
    options = ("--model", tiny_folder, *IDS, "--table", "--no-noise", "--points", "logits")
    both = run_cli("trace", *options, "--out", tmp_path / "t")
    assert both.code == 0
    assert both.lines[:2] == run_cli("trace", *options).lines
    assert both.lines[2] == f"{tmp_path / 't'}: 1 points in float32, dialect parlai"
    if np.finfo(np.longdouble).nmant > np.finfo(np.float64).nmant:
        assert run_cli("trace", *options, "--dtype", "longdouble").code == 0
        message = one_error(run_cli("trace", *options, "--dtype", "longdouble", "--out", tmp_path / "wide"))
        assert "a safetensors file cannot hold longdouble: use --dtype float64, or --table without --out" in message
    assert not (tmp_path / "wide").exists()


def test_statistics_of_the_lowest_numbers_do_not_overflow() -> None:
    lowest = float(np.finfo(np.float64).min)
    if np.finfo(np.longdouble).maxexp > np.finfo(np.float64).maxexp:
        assert statistics(np.array([lowest, lowest])) == (lowest, 0.0, lowest, lowest)
    assert statistics(np.array([[1.0, 3.0]], np.float32)) == (2.0, 1.0, 1.0, 3.0)
    assert statistics(np.array(5.0)) == (5.0, 0.0, 5.0, 5.0)
    assert np.isnan(statistics(np.zeros(0))).all()
    assert trace_table(Trace({"loss": np.array(5.0)})).splitlines()[1].split() == ["loss", "[]", "5", "0", "5", "5"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "say where the trace goes: --out FILE, or --table"),
        (("--table",), "say what to run by one of --text, --input-ids and --inputs; none was given"),
        ((*IDS,), "say where the trace goes"),
        (("--table", "--text", "hi", *IDS), "--text and --input-ids were given"),
        (("--table", "--text", "hi", "--inputs", "x.json"), "--text and --inputs were given"),
        (("--table", "--reply", "hi"), "--reply belongs to --text, which is missing"),
        (("--table", *IDS, "--reply", "hi"), "--reply belongs to --text"),
        (("--table", "--text", "hi", "--decoder-input-ids", "1"), "--decoder-input-ids belongs to --input-ids"),
        (("--table", "--input-ids", "5,six"), "'5,six' is no list of ids such as 5,6,7"),
        (("--table", "--input-ids", ""), "'' is no list of ids"),
        (("--table", "--input-ids", "5,999"), "input_ids hold 999 at [0, 1], outside the vocabulary"),
        (("--table", "--input-ids=-1"), "input_ids hold -1"),
        (("--table", "--text", "  "), "text 0, '  ', has no tokens"),
        (("--table", "--text", "hi", "--reply", ""), "reply 0, '', has no tokens"),
        (("--table", *IDS, "--points", "*.nrom"), "no point is named '*.nrom'"),
        (("--table", *IDS, "--points", "logits", "--points", "logit"), "did you mean 'logits'?"),
        (("--table", *IDS, "--prefill", "2"), "--prefill is how many tokens the first step has: it needs --steps"),
        (("--table", *IDS, "--steps", "--prefill", "3"), "prefill is 3, but the target has 2 tokens"),
        (("--table", *IDS, "--steps", "--prefill", "0"), "'0' is no number of 1 or more"),
        (("--table", *IDS, "--dtype", "float16"), "dtype 'float16' is not computed in"),
        (("--table", *IDS, "--dialect", "moses"), "invalid choice: 'moses'"),
        (("--table", *IDS, "--colour"), "unrecognized arguments: --colour"),
        ((*IDS, "--out", "t.npz"), "a trace is a safetensors file; give it another ending"),
        ((*IDS, "--out", "no/such/t"), "there is no folder 'no/such'"),
        ((*IDS, "--out", "."), "is a folder; name a file in it"),
        (("--table", "--inputs", "no.json"), "--inputs: there is no file 'no.json'"),
    ],
)
def test_what_is_refused(tiny_folder: Path, arguments: tuple[str, ...], says: str) -> None:
    assert says in one_error(run_cli("trace", "--model", tiny_folder, *arguments))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"input_ids": [[5]], "decoder_inputs_ids": [[1]]}, "no input 'decoder_inputs_ids'; did you mean"),
        ({"input_ids": [[5, 6], [7]]}, "input_ids has rows of unequal length"),
        ({"input_ids": [[5.5]]}, "input_ids must be whole numbers"),
        ({"input_ids": [["a"]]}, "input_ids must hold numbers, not text"),
        ({"input_ids": [[5]], "attention_mask": [[2]]}, "attention_mask holds 2"),
        ({}, "pass exactly one of input_ids and inputs_embeds"),
        ([[5]], "must hold one JSON object, not a list"),
        ("{", "i.json is not JSON"),
        ({"reply": "hi"}, "there is a reply without a text"),
        ({"text": "hi", "labels": [[1]]}, "'labels' cannot stand beside text and reply"),
        ({"text": ["hi", "you"], "reply": ["yes"]}, "there are 2 texts and 1 replies"),
        ({"text": 3}, "text is a text or a list of texts, not 3"),
        ({"text": []}, "text is a text or a list of texts, not []"),
        ({"input_ids": [[5]], "prefill": 2}, "say steps=True, too"),
        ({"input_ids": [[5]], "steps": "yes"}, "steps must be True, False or None"),
        ({"input_ids": [[5]], "labels": [[1]], "steps": True}, "labels make the loss of a whole pass"),
    ],
)
def test_files_of_inputs_that_are_refused(tiny_folder: Path, tmp_path: Path, content: Any, says: str) -> None:
    path = write(tmp_path / "i.json", content)
    assert says in one_error(run_cli("trace", "--model", tiny_folder, "--table", "--inputs", path))


def test_what_is_said_twice_is_refused(tiny_folder: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "i.json", {"input_ids": [[5]], "steps": True})
    message = one_error(run_cli("trace", "--model", tiny_folder, "--table", "--inputs", path, "--steps"))
    assert "--steps says again what" in message
    plain = write(tmp_path / "inputs", {"input_ids": [[5]]})
    here = ("trace", "--model", tiny_folder, "--inputs", plain, "--out", plain)
    assert "itself; name another file" in one_error(run_cli(*here))
    assert json.loads(plain.read_text()) == {"input_ids": [[5]]}
    there = ("trace", "--model", tiny_folder, "--inputs", "no.json", "--out", plain)
    assert "--inputs: there is no file 'no.json'" in one_error(run_cli(*there))
    (tmp_path / "latin.json").write_bytes(b'{"text": "caf\xe9"}')
    latin = run_cli("trace", "--model", tiny_folder, "--table", "--inputs", tmp_path / "latin.json")
    assert "is not UTF-8 text" in one_error(latin)


def test_texts_need_a_tokenizer_and_ids_a_model(tiny_folder: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copy(tiny_folder / name, bare)
    assert "vocab.json" in one_error(run_cli("trace", "--model", bare, "--table", "--text", "hi"))
    assert "no such" in one_error(run_cli("trace", "--model", "no such", "--table", *IDS))


def test_weights_stored_in_float64_are_read_with_all_digits(tiny_folder: Path, tmp_path: Path) -> None:
    model = BlenderbotSmallForConditionalGeneration.from_config(
        BlenderbotSmallForConditionalGeneration.from_pretrained(tiny_folder).config, seed=5, dtype="float64"
    )
    model.save_pretrained(tmp_path / "double")
    found = traced(tmp_path, "--model", tmp_path / "double", *IDS, "--dtype", "float64")
    assert np.array_equal(
        found.arrays["logits"], trace(model, [[5, 6, 7]], decoder_input_ids=[[1, 9]]).arrays["logits"]
    )
