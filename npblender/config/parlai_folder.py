"""Reads what ParlAI writes beside a model: the options it was made with, and its dictionary.

    model.opt            options as JSON: sizes, the search's settings, how text is cut
    model.dict           a token and its count a line; a token's place is its id
    model.dict.codecs    the merges, a file of subword-nmt

A model at the end of its training is `model.checkpoint`, with `model.checkpoint.opt`; the dictionary is the same.
Nothing is guessed: an option that would change the mathematics or the text and is not covered is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from npblender.common import json_files
from npblender.common.checks import check_whole
from npblender.common.printable import shown

OPT_FILES = ("model.opt", "model.checkpoint.opt")
DICTIONARY_FILES = ("model.dict", "model.checkpoint.dict")
SPECIAL = ("null", "start", "end", "unk")
_IDS = {"pad_token_id": 0, "bos_token_id": 1, "decoder_start_token_id": 1, "eos_token_id": 2, "forced_eos_token_id": 2}
FP16_MULTIPLE = 8  # parlai.utils.torch.FP16_PAD_SIZE: a model trained in float16 has a vocabulary of a multiple

# Options that would change the mathematics or the text: only these values are covered. An absent one has the first.
COVERED: Mapping[str, tuple[Any, ...]] = {
    "model": ("transformer/generator",),
    "variant": ("xlm",),
    "learn_positional_embeddings": (True,),
    "share_word_embeddings": (True,),
    "output_scaling": (1.0,),
    "n_segments": (0, None),
    "dict_tokenizer": ("bpe",),
    "dict_lower": (True,),
    "dict_max_ngram_size": (-1,),
    "person_tokens": (False,),
    "history_reversed": (False,),
    "special_tok_lst": (None, ""),
    "beam_block_list_filename": (None, ""),
    "history_size": (-1,),
    "split_lines": (False,),
    "use_reply": ("label", "model"),
    "delimiter": ("\n",),
    "history_add_global_end_token": (None,),
    "bpe_debug": (False,),
    "bpe_add_prefix_space": (None, False),
}
# ParlAI's own defaults of these are other values, and an options file names every option.
_REQUIRED = ("variant", "learn_positional_embeddings", "dict_tokenizer", "dict_lower", "embedding_size", "n_heads")


@dataclass(frozen=True)
class ParlaiFolder:
    """A folder of ParlAI: where its options are, and what they say."""

    path: Path
    options: Mapping[str, Any]

    def tokens(self) -> list[str]:
        """Read the dictionary: every token at the place that is its id.

        Raises:
            FileNotFoundError: there is no dictionary.
            ValueError: it is not UTF-8 text, or a count is no number.
        """
        path = next((self.path.parent / name for name in DICTIONARY_FILES if (self.path.parent / name).is_file()), None)
        if path is None:
            raise FileNotFoundError(f"{self.path.parent} holds {self.path.name} and no {DICTIONARY_FILES[0]}")
        text = json_files.read_text(path, "a model of ParlAI")
        found = dict.fromkeys(self.special_tokens().values())
        for number, line in enumerate(text.removesuffix("\n").split("\n"), start=1):
            token, tab, count = line.rstrip("\r").partition("\t")
            if tab and not re.fullmatch(r"-?\d{1,18}", count):
                raise ValueError(f"{path}, line {number}: {shown(count[:40])} is no count of a token")
            token = _unescaped(token)
            found[token.lower() if token in ("__UNK__", "__NULL__", "__END__", "__START__") else token] = None
        if self.options.get("fp16") or self.options.get("force_fp16_tokens"):
            missing = -len(found) % FP16_MULTIPLE
            found |= dict.fromkeys(f"__FP16_PAD_{number}__" for number in range(missing))
        return list(found)

    def codecs(self) -> Path:
        """Name the file of the merges, which may be there or not."""
        paths = [self.path.parent / f"{name}.codecs" for name in DICTIONARY_FILES]
        return next((path for path in paths if path.is_file()), paths[0])

    def special_tokens(self) -> dict[str, str]:
        """The tokens of ids 0 to 3, by ParlAI's name of each."""
        return {name: str(self.options.get(f"dict_{name}token", f"__{name}__")) for name in SPECIAL}

    def model_config(self) -> dict[str, Any]:
        """Translate the options to the content of a config.json.

        Raises:
            ValueError: an option that is missing, not covered, or no size; or no dictionary (the vocabulary's size).
        """
        self.check()
        layers = self._size("n_layers", 2)
        sides = {side: self.options.get(f"n_{side}_layers", -1) for side in ("encoder", "decoder")}
        content: dict[str, Any] = {
            "d_model": self._size("embedding_size"),
            "max_position_embeddings": self.positions(),
            "vocab_size": len(self.tokens()),
            "activation_function": self.options.get("activation", "relu"),
            "scale_embedding": self.options.get("embeddings_scale", True),
            "dropout": self.options.get("dropout", 0.0),
            "attention_dropout": self.options.get("attention_dropout", 0.0),
            "activation_dropout": self.options.get("relu_dropout", 0.0),
            **{f"{side}_layers": layers if count in (-1, None) else count for side, count in sides.items()},
            **{f"{side}_attention_heads": self._size("n_heads") for side in sides},
            **{f"{side}_ffn_dim": self._size("ffn_size", 300) for side in sides},
            **_IDS,
            "npblender_dialect": "parlai",
        }
        return content

    def generation_config(self) -> dict[str, Any]:
        """Translate the options of the search to the content of a generation_config.json.

        Raises:
            ValueError: a search that is not covered.
        """
        self.check()
        get = self.options.get
        longest = self.longest_label()
        content: dict[str, Any] = {
            "num_beams": get("beam_size", 1),
            "do_sample": False,
            "min_length": get("beam_min_length", 1),
            "max_length": min(256 if longest is None else longest, self.positions()),  # 256 is ParlAI's own
            "length_penalty": get("beam_length_penalty", 0.65),
            "temperature": get("temperature", 1.0),
            "no_repeat_ngram_size": max(get("beam_block_ngram", -1), 0),
            "encoder_no_repeat_ngram_size": max(get("beam_context_block_ngram", -1), 0),
            # ParlAI reads an older file, which does not have it, as false.
            **({"beam_block_full_context": True} if get("beam_block_full_context", False) else {}),
            **_IDS,
        }
        top_k, top_p = {"top_k": get("topk", 10)}, {"top_k": 0, "top_p": get("topp", 0.9)}
        draws, delays = {"do_sample": True}, {"beam_delay": get("beam_delay", 30)}
        searches: dict[str, dict[str, Any]] = {
            **{"beam": {}, "greedy": {"num_beams": 1}, "topk": draws | top_k, "nucleus": draws | top_p},
            **{"delayedbeam": delays | top_k, "delayednucleusbeam": delays | top_p},
        }
        search = get("inference", "greedy")
        if search not in [*searches]:
            raise ValueError(f"{self.path}: inference {shown(search)} is not covered; use {', '.join(searches)}")
        return content | searches[search]

    def positions(self) -> int:
        """How many positions the model has; without an option the longest text that it was cut for, or 1024."""
        named = self.options.get("n_positions")
        if named:
            return check_whole("n_positions", named, at_least=1)
        lengths = [self.options.get(name) or 0 for name in ("truncate", "text_truncate", "label_truncate")]
        return max(*lengths, 0) or 1024

    def longest_text(self) -> int:
        """How many tokens of a text are kept."""
        length = self.options.get("text_truncate") or self.options.get("truncate", -1)
        return min(length, self.positions()) if length > 0 else self.positions()

    def longest_label(self) -> int | None:
        """How many tokens a reply may have; None where the options give no number."""
        length = self.options.get("label_truncate") or self.options.get("truncate", -1)
        return length if length > 0 else None

    def _size(self, name: str, default: int | None = None) -> int:
        with json_files.naming(self.path):
            return check_whole(name, self.options.get(name, default), at_least=1)

    def check(self) -> None:
        """Refuse options that are missing, or that would change the mathematics or the text and are not covered."""
        missing = [name for name in _REQUIRED if name not in self.options]
        if missing:
            raise ValueError(f"{self.path} lacks {', '.join(missing)}, which ParlAI writes for every model")
        for name, covered in COVERED.items():
            value = self.options.get(name, covered[0])
            if value not in covered:
                raise ValueError(f"{self.path}: {name} {shown(value)} is not covered, only {shown(covered[0])}")


def find_parlai(folder: Path) -> ParlaiFolder | None:
    """Find ParlAI's options in a folder; None if there are none."""
    for name in OPT_FILES:
        if (folder / name).is_file():
            return ParlaiFolder(folder / name, json_files.read_object(folder / name))
    return None


def _unescaped(token: str) -> str:
    r"""As parlai.core.dict.unescape: a backslash and a letter stand for a line's end or a tab.

    >>> _unescaped(r"a\tb")
    'a\tb'
    """
    return token.replace("\\n", "\n").replace("\\t", "\t").replace("\\r", "\r")
