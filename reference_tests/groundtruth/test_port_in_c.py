"""The worked port in C99: however it is compiled it never diverges; it tokenizes and replies as npblender does."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from npblender import BlenderbotSmallForConditionalGeneration, BlenderbotSmallTokenizer, compare, demo
from npblender.groundtruth import Trace, TraceInputs, compare_refed, record, refed
from npblender.groundtruth.noise.plain_loops import Loops, run_plainly
from npblender.groundtruth.packs.files import read_json
from npblender.groundtruth.tracing.evaluate import Evaluation
from npblender.groundtruth.tracing.inputs import check_inputs
from reference_tests.support.asserts import assert_close
from reference_tests.support.pack_models import PACKS, load, model_folder
from reference_tests.support.tolerances import TOLERANCES

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "docs" / "port-example" / "c" / "port.c"
CC = shutil.which("cc")
BUILDS = {
    "-O0": "one accumulator",
    "-O3 -march=native -ffp-contract=fast": "one accumulator, fused",
    "-O3 -march=native -ffast-math": "vector instructions",
    "-O2 -DSUM=double -DLANES=1": "double accumulators",
    "-O2 -DSUM=float -DLANES=4": "four accumulators",
}

pytestmark = pytest.mark.skipif(CC is None, reason="there is no C compiler")


def built(folder: Path, flags: str) -> Path:
    assert CC is not None
    out = folder / ("port" + flags.replace(" ", "").replace("=", ""))
    strict = "-std=c99 -Wall -Wextra -Werror -Wno-unused-result"
    subprocess.run([CC, *strict.split(), *flags.split(), "-o", str(out), str(SOURCE), "-lm"], check=True, timeout=120)
    return out


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("port"), "-O2")


def run(port: Path, *arguments: str | Path) -> str:
    done = subprocess.run([str(port), *map(str, arguments)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_is_one_small_file() -> None:
    lines = SOURCE.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 400
    assert max(map(len, lines)) <= 120
    included = {line.split("<")[1].rstrip(">") for line in lines if line.startswith("#include")}
    assert included <= {"math.h", "stdarg.h", "stdint.h", "stdio.h", "stdlib.h", "string.h"}


@pytest.mark.slow
@pytest.mark.parametrize("flags", BUILDS, ids=BUILDS.values())
def test_no_build_diverges_from_the_packs(flags: str, tmp_path: Path) -> None:
    port = built(tmp_path, flags)
    for pack in (PACKS / "tiny", PACKS / "demo"):
        for file in sorted((pack / "forward").glob("*.safetensors")):
            if file.stem == "head_masks":
                continue  # not taken
            run(port, "trace", model_folder(file, tmp_path), file, tmp_path / "mine")
            report = compare(file, tmp_path / "mine", require="all")
            assert report.verdict in ("within noise", "borderline"), (file, report.first_divergence)
            assert len(report.borderline) <= 2


def test_plain_loops_are_what_c_computes(port: Path, tmp_path: Path) -> None:
    """The emulated loop with one accumulator gives C's sums bit by bit, where C adds as it does."""
    model = BlenderbotSmallForConditionalGeneration.from_pretrained(PACKS / "tiny" / "model", dialect="parlai")
    inputs = TraceInputs([[5, 11, 17, 8]], decoder_input_ids=[[1, 9, 30]])
    record(model, inputs, noise=False).save(tmp_path / "reference")
    run(port, "trace", PACKS / "tiny" / "model", tmp_path / "reference", tmp_path / "mine")
    mine = Trace.load(tmp_path / "mine").arrays
    checked = check_inputs(model.config, model.weights, model.dialect, inputs)
    found = dict(run_plainly(Evaluation(model.config, model.dialect, model.weights, checked), Loops(1)))
    same = [name for name, array in found.items() if np.array_equal(array, mine[name])]
    assert same[:9] == list(found)[:9], "up to the first softmax, whose exponential is another library's"
    for name, array in found.items():
        seen = np.abs(array) < 1e18  # all but masked scores and the start token's logit
        assert_close(mine[name][seen], array[seen], TOLERANCES["float32 computed another way"], name)


@pytest.mark.parametrize("pack", ["tiny", "demo"])
def test_its_tokenizer_agrees_with_the_packs(pack: str, port: Path) -> None:
    """But for letters whose lower case is beyond Latin-1, which the port says that it lacks."""
    folder = PACKS / "tiny" / "model" if pack == "tiny" else demo.folder()
    wrong = []
    for case in read_json(PACKS / pack / "tokenizer" / "parlai.json"):
        if "__" not in case["text"]:  # special tokens in a text are not looked for
            found = [int(each) for each in run(port, "ids", folder, case["text"]).split()]
            wrong += [case["text"]] if found != case["ids"] else []
    assert all("İ" in text for text in wrong), wrong


@pytest.mark.parametrize("text", ["hello there", "What do you do on Sundays?", "I like music."])
def test_its_greedy_reply_is_npblenders(text: str, port: Path) -> None:
    tokenizer = BlenderbotSmallTokenizer.from_pretrained(None, dialect="parlai")
    model = BlenderbotSmallForConditionalGeneration.from_pretrained(None, dialect="parlai")
    plain = {"num_beams": 1, "do_sample": False, "min_length": 0, "no_repeat_ngram_size": 0, "max_length": 41}
    ids = np.array([tokenizer(text)["input_ids"]])
    reply = model.generate(ids, **plain, encoder_no_repeat_ngram_size=0, length_penalty=1.0)[0]
    first, second = run(port, "reply", demo.folder(), text).splitlines()
    assert [int(each) for each in first.split()] == reply[1:].tolist()
    assert second.strip() == tokenizer.decode(reply, skip_special_tokens=True)


@pytest.mark.slow
@pytest.mark.parametrize("steps", [False, True])
def test_it_answers_re_fed_cases(steps: bool, tmp_path: Path) -> None:
    """With pads, a row that hides every key, labels, and a cache: each operation alone is within noise."""
    assert CC is not None
    out, folder = tmp_path / "refed", PACKS / "tiny" / "model"
    source = SOURCE.parent / "refed.c"
    strict = "-std=c99 -O2 -Wall -Wextra -Werror -Wno-unused-result -Wno-unused-function"
    subprocess.run([CC, *strict.split(), "-o", str(out), str(source), "-lm"], check=True, timeout=120)
    assert len(source.read_text(encoding="utf-8").splitlines()) <= 400
    more: dict[str, Any] = {"steps": True, "prefill": 2} if steps else {"labels": [[9, 30, -100], [12, 7, 5]]}
    inputs = TraceInputs([[5, 11, 0, 0], [0, 0, 0, 0]], [[1, 1, 0, 0], [0, 0, 0, 0]], [[1, 9, 30], [1, 12, 7]], **more)
    refed(load(folder), inputs).save(tmp_path / "cases")
    run(out, folder, tmp_path / "cases", tmp_path / "answers")
    assert compare_refed(tmp_path / "cases", tmp_path / "answers", require="all").verdict == "within noise"


def test_what_it_does_not_take_is_refused(port: Path, tmp_path: Path) -> None:
    packed = PACKS / "tiny" / "forward" / "head_masks.safetensors"
    for arguments in (("trace", PACKS / "tiny" / "model", packed, tmp_path / "mine"), ("ids", tmp_path, "x"), ()):
        done = subprocess.run([str(port), *map(str, arguments)], capture_output=True, text=True, timeout=60)
        assert done.returncode == 2
        assert done.stderr.startswith("port: ")
    assert not (tmp_path / "mine").exists()
