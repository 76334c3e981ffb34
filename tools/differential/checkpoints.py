"""Loads npblender's model folders with the originals and theirs with npblender: equal bit for bit.

    python -m tools compare folders                 # all originals
    python -m tools compare folders transformers-5  # or only some

Seeded random models of odd sizes are saved by npblender and loaded by both transformers, in all three classes:
nothing may be missing, unexpected or mis-shaped, and the state dict must be equal to the last bit. The other way
round, npblender loads what transformers saved (whole, sharded, with and without tied copies, in four dtypes, and
pickled, which is refused until it is allowed) and what ParlAI saved. Class defaults,
configurations and settings of generation are compared as well.

Exits with 1 if anything differs. The originals' environments are made by `python -m tools originals`. This file does
NOT compare what models compute: see `tools/differential/`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from npblender import BlenderbotSmallConfig, GenerationConfig, checkpoint
from npblender.checkpoint.parameter_names import canonical_name
from npblender.config.generation_options import defaults
from npblender.transformer.parameters import BASE_MODEL, CAUSAL_MODEL, FULL_MODEL, random_weights, to_arrays
from reference_tests.support.random_models import draw_config
from tools.originals import asking
from tools.originals.environments import ORACLES

CLASSES = {
    "full": ("BlenderbotSmallForConditionalGeneration", FULL_MODEL),
    "base": ("BlenderbotSmallModel", BASE_MODEL),
    "causal": ("BlenderbotSmallForCausalLM", CAUSAL_MODEL),
}
RUNNERS = {
    "transformers-5": "run_checkpoints",
    "transformers-4": "run_checkpoints",
    "parlai": "run_parlai_checkpoints",
}
SETTINGS = GenerationConfig(
    num_beams=10,
    min_length=20,
    length_penalty=0.65,
    no_repeat_ngram_size=3,
    eos_token_id=2,
    bad_words_ids=((3,), (4, 5)),
)


@dataclass
class Tally:
    """What was compared, and what was found to differ."""

    tensors: int = 0
    values: int = 0
    checks: int = 0
    faults: list[str] = field(default_factory=list)

    def same(self, what: str, ours: Any, theirs: Any) -> None:
        self.checks += 1
        if ours != theirs:
            self.faults.append(f"{what}: {ours!r} here, {theirs!r} there")

    def same_bits(self, what: str, ours: np.ndarray, theirs: np.ndarray) -> None:
        self.tensors += 1
        self.values += theirs.size
        if ours.dtype != theirs.dtype or ours.shape != theirs.shape or ours.tobytes() != theirs.tobytes():
            self.faults.append(f"{what}: not the same bits ({ours.dtype} {ours.shape}, {theirs.dtype} {theirs.shape})")


def write_ours(work: Path, configs: dict[str, dict[str, Any]]) -> None:
    """The folders that transformers shall load, and a note beside each of what it is."""
    for number, (name, content) in enumerate(configs.items()):
        config = BlenderbotSmallConfig.from_dict(content)
        for kind, (class_name, parts) in CLASSES.items():
            for dtype in ("float32", "float16", "float64"):
                wide = "float64" if dtype == "float64" else "float32"
                folder = work / "ours" / f"{name}-{kind}-{dtype}"
                weights = random_weights(config, number, wide, parts)
                checkpoint.save(folder, config, weights, SETTINGS, "transformers-5", dtype)
                note = {"class": class_name, "dtype": dtype}
                folder.with_name(folder.name + ".json").write_text(json.dumps(note))


def compare_state(what: str, arrays: dict[str, np.ndarray], state: dict[str, np.ndarray], tally: Tally) -> None:
    """Every tensor of an original's state dict against ours, and no parameter of ours left over."""
    met = set()
    for name, theirs in state.items():
        canonical = canonical_name(name)
        if canonical is None:
            continue
        met.add(canonical)
        if canonical not in arrays:
            tally.faults.append(f"{what}: {name} has no counterpart here")
        else:
            tally.same_bits(f"{what}: {name}", arrays[canonical], theirs)
    tally.same(f"{what}: parameters that the original lacks", sorted(set(arrays) - met - {"final_logits_bias"}), [])


def compare_ours(work: Path, answers: Path, configs: dict[str, dict[str, Any]], tally: Tally) -> None:
    """What the original read from our folders."""
    for number, (name, content) in enumerate(configs.items()):
        config = BlenderbotSmallConfig.from_dict(content)
        for kind, (_, parts) in CLASSES.items():
            for dtype in ("float32", "float16", "float64"):
                job = f"{name}-{kind}-{dtype}"
                answer = json.loads((answers / "ours" / f"{job}.json").read_text())
                tally.same(f"{job}: report", {k: v for k, v in answer["report"].items() if v}, {})
                tally.same(f"{job}: dtype", dtype, answer["dtype"])
                compare_config(job, config, answer["config"], tally, kind)
                if answer["generation"] is not None:
                    for key, value in SETTINGS.to_dict().items():
                        tally.same(f"{job}: setting {key}", value, answer["generation"].get(key))
                wide = "float64" if dtype == "float64" else "float32"
                arrays = to_arrays(random_weights(config, number, wide, parts))
                if dtype == "float16":
                    arrays = {key: value.astype(np.float16).astype(np.float32) for key, value in arrays.items()}
                compare_state(job, arrays, load_file(answers / "ours" / f"{job}.safetensors"), tally)


def compare_config(
    what: str, ours: BlenderbotSmallConfig, theirs: dict[str, Any], tally: Tally, kind: str = "full"
) -> None:
    """Every key of ours that the original's class has; its causal class sets two of them itself."""
    for key, value in ours.to_dict().items():
        forced = kind.startswith("causal") and key in ("is_decoder", "is_encoder_decoder")
        if key in theirs and not forced:
            tally.same(f"{what}: config {key}", value, theirs[key])


def compare_theirs(answers: Path, original: str, configs: dict[str, dict[str, Any]], tally: Tally) -> None:
    """What we read from the original's folders."""
    folders = sorted(path for path in (answers / "theirs").iterdir() if path.is_dir())
    tally.same(f"{original}: there are folders", bool(folders), True)
    for folder in folders:
        what = f"{original} {folder.name}"
        name, _, variant = folder.name.partition("-")
        parts = CLASSES[variant.split("-")[0]][1] if original != "parlai" else FULL_MODEL
        if original == "parlai":
            config = parlai_config(configs[name])
        else:
            config = BlenderbotSmallConfig.from_pretrained(folder)
            asked = BlenderbotSmallConfig.from_dict(configs[name])
            if original == "transformers-4" and (folder / "generation_config.json").exists():
                asked = asked.replace(forced_eos_token_id=None)  # 4.52.4 moves it to that file when it saves
            compare_config(what, asked, config.to_dict(), tally, variant)
            compare_settings(what, folder, variant, configs[name], tally)
        dtype = "float64" if variant.endswith("float64") else "float32"
        if "pickled" in variant:
            refused(what, folder, config, tally)
        else:
            tally.same(f"{what}: sharded", not (folder / "model.safetensors").exists(), "sharded" in variant)
        arrays = to_arrays(checkpoint.load(folder, config, parts, dtype, allow_pickle=True))
        compare_state(what, arrays, load_file(folder.with_name(folder.name + ".truth")), tally)
        if parts == FULL_MODEL:  # a full file also serves the other classes
            for smaller in (BASE_MODEL, CAUSAL_MODEL):
                for key, value in to_arrays(checkpoint.load(folder, config, smaller, dtype, allow_pickle=True)).items():
                    tally.same_bits(f"{what}: {key} of {sorted(smaller)}", value, arrays[key])


def compare_settings(what: str, folder: Path, variant: str, content: dict[str, Any], tally: Tally) -> None:
    settings = GenerationConfig.from_pretrained(folder)
    for key in ("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id", "forced_eos_token_id"):
        tally.same(f"{what}: setting {key}", getattr(settings, key), content[key])
    if variant in ("full", "full-sharded", "full-copies", "full-pickled"):
        tally.same(f"{what}: num_beams", (settings.num_beams, settings.early_stopping), (4, True))


def parlai_config(content: dict[str, Any]) -> BlenderbotSmallConfig:
    """ParlAI builds both sides with the encoder's heads and ffn."""
    config = BlenderbotSmallConfig.from_dict(content)
    return config.replace(
        decoder_attention_heads=config.encoder_attention_heads, decoder_ffn_dim=config.encoder_ffn_dim
    )


def refused(what: str, folder: Path, config: BlenderbotSmallConfig, tally: Tally) -> None:
    """A pickle must be refused until it is allowed."""
    try:
        checkpoint.load(folder, config)
    except ValueError as error:
        tally.same(f"{what}: the way out is named", "npblender convert" in str(error), True)
    else:
        tally.faults.append(f"{what}: a pickle was not refused")


def compare_defaults(answers: Path, original: str, tally: Tally) -> None:
    theirs = json.loads((answers / "defaults.json").read_text())
    compare_config(f"{original} class defaults", BlenderbotSmallConfig(), theirs["config"], tally)
    for key, value in defaults("transformers").items():
        if theirs["generation"].get(key) is not None:
            tally.same(f"{original} generation default {key}", value, theirs["generation"][key])


def run(original: str, work: Path, configs: dict[str, dict[str, Any]]) -> Tally:
    tally, answers = Tally(), work / original
    asking.run(original, RUNNERS[original], work, answers)
    if original != "parlai":
        compare_defaults(answers, original, tally)
        compare_ours(work, answers, configs, tally)
    compare_theirs(answers, original, configs, tally)
    return tally


def draw(count: int, seed: int) -> Iterator[tuple[str, dict[str, Any]]]:
    rng = np.random.default_rng(seed)
    for number in range(count):
        activations = ("gelu",) if number == 0 else ("gelu", "relu", "silu", "gelu_new")
        yield f"c{number}", draw_config(rng, activations)


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare model folders with the originals, bit for bit.")
    parser.add_argument("originals", nargs="*", help=f"some of: {', '.join(ORACLES)} (default: all)")
    parser.add_argument("--models", type=int, default=4, help="how many random configurations (default: 4)")
    parser.add_argument("--seed", type=int, default=20)
    options = parser.parse_args()
    unknown = [name for name in options.originals if name not in RUNNERS]
    if unknown:
        parser.error(f"no original is called {', '.join(unknown)}; there are {', '.join(RUNNERS)}")
    configs = dict(draw(options.models, options.seed))
    failed = False
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        (work / "configs").mkdir()
        for name, content in configs.items():
            (work / "configs" / f"{name}.json").write_text(json.dumps(content))
        write_ours(work, configs)
        for original in options.originals or RUNNERS:
            tally = run(original, work, configs)
            print(
                f"{original:16} {tally.tensors} tensors ({tally.values} values) bit for bit, "
                f"{tally.checks} other checks: {len(tally.faults) or 'no'} differences"
            )
            for fault in tally.faults:
                print(f"    {fault}")
            failed = failed or bool(tally.faults) or tally.tensors == 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
