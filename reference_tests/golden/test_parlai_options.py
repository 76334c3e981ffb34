"""Every option of ParlAI's agent: what docs/from-parlai.md says of it is what reading a folder of ParlAI does."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from npblender import BlenderbotSmallConfig, BlenderbotSmallTokenizer, GenerationConfig
from tools.docs import from_parlai
from tools.docs.parlai_options import ROWS, Read, Refused, Without
from tools.docs.tables import between_markers
from tools.goldens.parlai_options import FILE

FOLDER = Path(__file__).parent / "checkpoints" / "parlai"


def read(place: Path, **changes: Any) -> dict[str, Any]:
    """All that a folder of ParlAI says but its weights, with some of its options changed."""
    for path in FOLDER.glob("model.*"):
        shutil.copy(path, place)
    options = json.loads((FOLDER / "model.opt").read_text(encoding="utf-8"))
    (place / "model.opt").write_text(json.dumps(options | changes), encoding="utf-8")
    config, settings = BlenderbotSmallConfig.from_pretrained(place), GenerationConfig.from_pretrained(place)
    tokenizer = BlenderbotSmallTokenizer.from_pretrained(place)
    named = {name: getattr(tokenizer, name) for name in ("pad_token", "bos_token", "eos_token", "unk_token")}
    found = {f"tokenizer.{name}": value for name, value in named.items()}
    found |= {"tokenizer.model_max_length": tokenizer.model_max_length, "tokenizer.vocab": tokenizer.get_vocab()}
    found |= {f"config.{name}": value for name, value in config.to_dict().items()}
    return found | {f"generation.{name}": value for name, value in settings.to_dict().items()}


def test_the_rows_are_the_options_of_parlais_parser() -> None:
    options = json.loads(FILE.read_text(encoding="utf-8"))["options"]
    assert sorted(ROWS) == sorted(options)
    assert len(options) > 90


@pytest.mark.parametrize("name", ROWS)
def test_what_the_page_says_of_an_option_holds(name: str, tmp_path: Path) -> None:
    row = ROWS[name]
    choices = json.loads(FILE.read_text(encoding="utf-8"))["options"][name]["choices"]
    assert choices is None or row.value in choices, "a value that ParlAI would not take shows nothing"
    if isinstance(row, Refused):
        with pytest.raises(ValueError, match=rf"{name} .* is not covered"):
            read(tmp_path, **{name: row.value})
        return
    before = read(tmp_path, **(row.beside if isinstance(row, Read) else {}))
    after = read(tmp_path, **{**(row.beside if isinstance(row, Read) else {}), name: row.value})
    if isinstance(row, Without):
        assert after == before
        return
    for here, value in row.here.items():
        assert after.get(here) == value, "None: it is unset"
    assert after != before


def test_the_page_says_what_is() -> None:
    assert between_markers(from_parlai.PAGE, from_parlai.MARKED) == from_parlai.table()


@pytest.mark.parametrize("inference", ["delayednucleusbeam", "delayedbeam"])
def test_delayed_beams_are_read(tmp_path: Path, inference: str) -> None:
    found = read(tmp_path, inference=inference, beam_delay=4, topk=6, topp=0.7)
    assert (found["generation.beam_delay"], found["generation.num_beams"]) == (4, 3)
    assert found["generation.top_k"] == (6 if inference == "delayedbeam" else 0)
    assert found.get("generation.top_p") == (None if inference == "delayedbeam" else 0.7)
    with pytest.raises(ValueError, match="inference 'factual_nucleus' is not covered"):
        read(tmp_path, inference="factual_nucleus")
