"""Shows that every file format of the originals gives their numbers, and that what we write is theirs again.

    python -m tools compare formats

One tiny model is saved by torch 2.13 and both transformers (torch's zip form, its old form, shards, half precision,
shared, sliced and transposed storages), by transformers 4's Keras and Flax classes, and an agent with an optimizer's
state by ParlAI. npblender reads each of them: every tensor must be equal to the last bit. Then `npblender convert`
writes each as safetensors, and both transformers load the folder: nothing may be missing or unexpected, and the state
dict must be the same. What ParlAI's agent replied must come from the folder that ParlAI saved, and from the
converted one.

The examples of transformers 4's documentation of its Keras and Flax classes are run by these and by ours of the same
names: ids must be equal, and numbers within float32's rounding.

Exits with 1 if anything differs. The originals' environments are made by `python -m tools originals`.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

import npblender
from npblender import (
    BlenderbotSmallConfig,
    BlenderbotSmallForConditionalGeneration,
    BlenderbotSmallTokenizer,
    checkpoint,
)
from npblender.checkpoint.parameter_names import canonical_name, stored_name
from npblender.cli.main import main as command_line
from npblender.transformer.parameters import BASE_MODEL, FULL_MODEL, to_arrays
from reference_tests.support import tiny_folder
from reference_tests.support.tolerances import TOLERANCES
from tools.goldens.checkpoints import write_case, write_parlai_case
from tools.originals import asking

SAVERS = ("transformers-4", "transformers-5", "keras-flax")
LOADERS = ("transformers-4", "transformers-5")
ROUNDED = {"half": np.float16, "legacy-float16": np.float16}


def expected(folder: str, weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The model's arrays as the folder's file rounds them."""
    if folder == "brain":  # bfloat16 is float32's upper half, rounded to the nearest even
        bits = {name: array.view(np.uint32).astype(np.uint64) for name, array in weights.items()}
        kept = {name: (n + 0x7FFF + ((n >> 16) & 1)) >> 16 << 16 for name, n in bits.items()}
        return {name: n.astype(np.uint32).view(np.float32) for name, n in kept.items()}
    if folder == "odd":
        return {**weights, "final_logits_bias": np.zeros_like(weights["final_logits_bias"])}
    dtype = ROUNDED.get(folder, np.float32)
    return {name: array.astype(dtype).astype(np.float32) for name, array in weights.items()}


def differences(what: str, ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> list[str]:
    names = [name for name in ours if name != "final_logits_bias" or name in theirs]
    wrong = [
        f"{what}: {name} differs" for name in names if not np.array_equal(ours[name], theirs.get(name, np.empty(0)))
    ]
    return wrong if names else [f"{what}: nothing to compare"]


def read_all(work: Path) -> tuple[int, list[str]]:
    """Every folder that an original saved, read and converted."""
    stored = load_file(work / "case" / "weights.safetensors")
    weights = {str(canonical_name(name)): array for name, array in stored.items()}
    faults, count = [], 0
    (work / "ours").mkdir()
    for original in SAVERS:
        for folder in sorted((work / original).iterdir()):
            what = f"{original} {folder.name}"
            parts = BASE_MODEL if folder.name.endswith("base") else FULL_MODEL
            config = BlenderbotSmallConfig.from_pretrained(folder)
            found = to_arrays(checkpoint.load(folder, config, parts, allow_pickle=True))
            faults += differences(what, found, expected(folder.name, weights))
            target = work / "ours" / f"{original}-{folder.name}"
            shard = ("--shard-size", "8KB") if folder.name == "pickled" else ()
            faults += converted(folder, target, "--dtype", "float32", *shard)
            class_name = "BlenderbotSmallModel" if parts == BASE_MODEL else "BlenderbotSmallForConditionalGeneration"
            note = {"class": class_name, "dtype": "float32"}
            if not target.is_dir():
                continue
            target.with_name(target.name + ".json").write_text(json.dumps(note))
            count += 1
    return count, faults


def read_back(work: Path) -> tuple[int, list[str]]:
    """What both transformers load from the folders that `npblender convert` wrote."""
    faults, count = [], 0
    (work / "configs").mkdir()
    for original in LOADERS:
        answers = work / f"{original}-answers"
        asking.run(original, "run_checkpoints", work, answers)
        for path in sorted((answers / "ours").glob("*.json")):
            report = {key: value for key, value in json.loads(path.read_text())["report"].items() if value}
            if report:
                faults.append(f"{original} reports of {path.stem}: {report}")
            folder = work / "ours" / path.stem
            config = BlenderbotSmallConfig.from_pretrained(folder)
            parts = BASE_MODEL if path.stem.endswith("base") else FULL_MODEL
            found = to_arrays(checkpoint.load(folder, config, parts))
            state = {str(canonical_name(k)): v for k, v in load_file(path.with_suffix(".safetensors")).items()}
            faults += differences(f"{original} loads {path.stem}", found, state)
            count += 1
    return count, faults


def replies(folder: Path, asked: list[dict[str, object]]) -> list[str]:
    """Which of ParlAI's replies do not come out of a folder."""
    model = BlenderbotSmallForConditionalGeneration.from_pretrained(folder, allow_pickle=True)
    tokenizer = BlenderbotSmallTokenizer.from_pretrained(folder)
    wrong = []
    for each in asked:
        text = str(each["text"])
        ids = tokenizer(text)["input_ids"]
        reply = tokenizer.decode(model.generate([ids])[0], skip_special_tokens=True)
        if ids != each["ids"] or reply != each["reply"]:
            wrong.append(f"{folder.name}: to {text!r} ParlAI replies {each['reply']!r}, here it is {reply!r}")
    return wrong


def converted(source: Path, target: Path, *options: str) -> list[str]:
    """What `npblender convert` says if it fails."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        failed = command_line(["convert", str(source), str(target), "--allow-pickle", *options])
    return [f"npblender convert {source.name}: {said.getvalue()}"] if failed else []


def documented(work: Path) -> tuple[int, list[str]]:
    """The examples of transformers 4's documentation, by its Keras and Flax classes and by ours of the same names."""
    case, folder = work / "documented-case", work / "documented" / "flax"
    model = tiny_folder.make_model(seed=5)
    model.config.save_pretrained(case)
    model.generation_config.save_pretrained(case)
    arrays = {stored_name(name, FULL_MODEL): array for name, array in to_arrays(model.weights).items()}
    save_file(arrays, case / "weights.safetensors")
    asking.run("keras-flax", "save_formats", case, work / "documented", "--few")
    shutil.copy(work / "documented" / "keras" / "tf_model.h5", folder)
    tiny_folder.make_tokenizer("transformers-4").save_pretrained(folder)
    params = flat(npblender.FlaxBlenderbotSmallForConditionalGeneration.from_pretrained(folder).params)
    save_file({name: np.ascontiguousarray(array) for name, array in params.items()}, folder / "params.safetensors")
    asking.run("keras-flax", "run_documented", folder, work / "documented.safetensors")
    theirs, ours = load_file(work / "documented.safetensors"), our_documented(folder)
    faults = [f"documented: {name} is not answered" for name in theirs.keys() ^ ours.keys()]
    for name in theirs.keys() & ours.keys():
        a, b = ours[name], theirs[name]
        if (
            a.shape != b.shape
            or (np.abs(a - b) > TOLERANCES["float32 against transformers"].bound(b, np.float32)).any()
        ):
            faults.append(f"documented: {name} differs")
    return len(theirs), faults


def flat(params: Mapping[str, Any], above: str = "") -> dict[str, np.ndarray]:
    """Flax's parameters under their paths."""
    out: dict[str, np.ndarray] = {}
    for name, value in params.items():
        out |= flat(value, f"{above}{name}/") if isinstance(value, Mapping) else {f"{above}{name}": value}
    return out


def our_documented(folder: Path) -> dict[str, np.ndarray]:
    """The same calls as tools/originals/run_documented.py makes."""
    utterance, masked = (
        "My friends are cool but they eat too many carbs.",
        "My friends are but they eat too many carbs.",
    )
    tokenizer = npblender.AutoTokenizer.from_pretrained(folder)
    keras = npblender.TFBlenderbotSmallForConditionalGeneration.from_pretrained(folder)
    reply = keras.generate(**tokenizer([utterance], return_tensors="np"), max_length=8)
    said = tokenizer.batch_decode(reply, skip_special_tokens=True)[0]
    following = f"{utterance}__end__ __start__{said}__end__ __start__ I'm not sure"
    inputs, target = tokenizer([following], return_tensors="np"), np.ones((1, 2), np.int64)
    base = npblender.TFBlenderbotSmallModel.from_pretrained(folder)
    out = {
        "keras reply": reply,
        "keras next reply": keras.generate(**inputs, max_length=8),
        "keras states": base([inputs["input_ids"], None, target]).last_hidden_state,
        "keras logits": keras({"input_ids": inputs["input_ids"], "decoder_input_ids": target}).logits,
    }
    flax = npblender.FlaxBlenderbotSmallForConditionalGeneration.from_pretrained(folder)
    inputs = tokenizer(utterance, max_length=60, truncation=True, return_tensors="np")
    encoded = flax.encode(**inputs)
    start = np.ones((1, 1), "i4") * flax.config.decoder_start_token_id
    plain = npblender.FlaxBlenderbotSmallModel.from_pretrained(folder)
    ids = tokenizer([masked], return_tensors="np")["input_ids"]
    apart, params = npblender.FlaxBlenderbotSmallForConditionalGeneration.from_pretrained(folder, _do_init=False)
    return out | {
        "flax encoded": encoded.last_hidden_state,
        "flax decoded": flax.decode(start, encoded).logits,
        "flax states": plain.decode(start, plain.encode(**inputs)).last_hidden_state,
        "flax reply": flax.generate(inputs["input_ids"], max_length=8).sequences,
        "flax logits": flax(ids).logits,
        "flax logits with params": apart(ids, params=params).logits,
        "flax logits with our params": flax(ids).logits,
        "flax kernel": flax.params["model"]["decoder"]["layers"]["1"]["fc1"]["kernel"],
    }


def main() -> int:
    with (
        tempfile.TemporaryDirectory() as place,
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        work = Path(place)
        write_case(work / "case", seed=11)
        for original in SAVERS:
            asking.run(original, "save_formats", work / "case", work / original)
        folders, faults = read_all(work)
        loaded, more = read_back(work)
        faults += more
        calls, more = documented(work)
        faults += more
        agents = 0
        for number, optimizer in enumerate(("adam", "sgd")):
            case, saved = work / f"{optimizer}-case", work / f"parlai-{optimizer}"
            write_parlai_case(case, seed=number, optimizer=optimizer)
            asking.run("parlai", "save_parlai", case, saved)
            asked = json.loads((saved / "replies.json").read_text())
            faults += replies(saved, asked)
            faults += converted(saved, work / optimizer)
            faults += replies(work / optimizer, asked)
            agents += 1
    print(
        f"{folders} folders of the originals, {loaded} converted ones loaded by transformers, "
        f"{agents} agents of ParlAI, {calls} documented calls of Keras and Flax"
    )
    for fault in faults:
        print(f"    {fault}")
    print(f"{len(faults) or 'no'} differences")
    return 1 if faults or not (folders and loaded and agents and calls) else 0


if __name__ == "__main__":
    sys.exit(main())
