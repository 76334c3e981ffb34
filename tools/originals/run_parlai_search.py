"""Searches for replies with ParlAI's own agents, and writes every finished hypothesis with its score.

    PYTHON -m tools.originals.run_parlai_search CASES ANSWERS [--original parlai]

PYTHON is the interpreter of ParlAI's environment (`python -m tools originals`). A case is one agent, made by
`create_agent` with a dictionary of numbered words and then given the case's weights. A call is `{"rows": NAME,
"full": NAME or null, "options": {...}, "prefix": [ids] or null, "seed": N}`: NAME is an array of the case's inputs, one
context a row, padded with 0 on the right; "full" names what "rows" are the last ids of, which ParlAI then truncates to
them; the options have npblender's names. The answer holds for each row the ids (start and end
included, -1 where a hypothesis is shorter) and the scores of all finished hypotheses, in ParlAI's order.

Contexts go in as text, one word an id, so that ParlAI's own batching pads them. Two things are replaced, for calls that
sample: `torch.multinomial` takes its uniform numbers from a NumPy generator, so that both sides draw the same; and
DelayedNucleusBeamSearch, which cannot run in 1.7.2 because it borrows a method of NucleusSampling without the two that
this one calls, gets those two.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from parlai.core.agents import create_agent
from parlai.core.message import Message
from parlai.core.opt import Opt
from parlai.core.params import ParlaiParser
from parlai.core.torch_generator_agent import DelayedNucleusBeamSearch, NucleusSampling, SearchBlocklist

from tools.originals.exchange import Answer, Case, serve
from tools.originals.parlai_model import build, load_weights, sizes

DelayedNucleusBeamSearch.get_mask = NucleusSampling.get_mask
DelayedNucleusBeamSearch.update_p = NucleusSampling.update_p
SPECIAL = ("__null__", "__start__", "__end__", "__unk__")
INFERENCE = ("beam", "topk", "nucleus", "delayedbeam", "delayednucleusbeam")


def word(token: int) -> str:
    """The word that stands for an id."""
    return SPECIAL[token] if token < len(SPECIAL) else f"w{token}"


def write_dictionary(size: int, path: Path) -> None:
    """A ParlAI dictionary of `size` words whose ids are their numbers: it sorts by count."""
    path.write_text("".join(f"{word(n)}\t{size - n + 1000000}\n" for n in range(size)))


def base_options() -> Opt:
    """What all agents have in common."""
    arguments = {
        "model": "transformer/generator",
        "dict-tokenizer": "space",
        "dict-lower": "false",
        "inference": "beam",
        "lr-scheduler": "none",
        "beam-block-full-context": "false",
        "dropout": "0.0",
        "skip-generation": "false",
    }
    words = [part for name, value in arguments.items() for part in (f"--{name}", value)]
    parser = ParlaiParser(True, True)
    return parser.parse_args([*words, "--no-cuda"], print_args=False)


def make_agent(case: Case, base: Opt, folder: Path) -> Any:
    """An agent of the case's sizes with the case's weights."""
    config = case.config
    dictionary = folder / f"{case.name}.dict"
    write_dictionary(config["vocab_size"], dictionary)
    agent = create_agent(
        Opt(
            base,
            dict_file=str(dictionary),
            text_truncate=config["max_position_embeddings"],
            label_truncate=config["max_position_embeddings"],
            **sizes(config),
        )
    )
    assert (agent.NULL_IDX, agent.START_IDX, agent.END_IDX) == (0, 1, 2)
    if any(config[f"encoder_{size}"] != config[f"decoder_{size}"] for size in ("attention_heads", "ffn_dim")):
        agent.model = build(case)  # ParlAI's options give both sides the same sizes; its modules take any
        return agent
    load_weights(agent.model, case.weights)
    agent.model.eval()
    return agent


def set_options(agent: Any, options: dict[str, Any]) -> None:
    """Set a call's options on the agent, in ParlAI's names."""
    names = set(options) - {
        *("num_beams", "min_length", "max_length", "no_repeat_ngram_size", "encoder_no_repeat_ngram_size"),
        *("length_penalty", "temperature", "bad_words_ids", "do_sample", "top_k", "top_p", "beam_delay"),
        "beam_block_full_context",
    }
    assert not names, f"ParlAI has no option for {sorted(names)}"
    truncated = "nucleus" if "top_p" in options else "topk"
    inference = truncated if options.get("do_sample") else "beam"
    if "beam_delay" in options:
        inference = "delayednucleusbeam" if "top_p" in options else "delayedbeam"
    assert inference in INFERENCE
    agent.opt["inference"] = inference
    agent.opt["beam_size"] = agent.beam_size = options.get("num_beams", 1)
    agent.beam_min_length = options.get("min_length", 1)
    agent.beam_block_ngram = options.get("no_repeat_ngram_size", -1)
    agent.beam_context_block_ngram = options.get("encoder_no_repeat_ngram_size", -1)
    agent.beam_block_full_context = options.get("beam_block_full_context", False)
    agent.opt["beam_length_penalty"] = options.get("length_penalty", 0.65)
    agent.temperature = options.get("temperature", 1.0)
    agent.opt["topk"] = options.get("top_k", 10)
    agent.opt["topp"] = options.get("top_p", 0.9)
    agent.opt["beam_delay"] = options.get("beam_delay", 30)
    agent.label_truncate = options.get("max_length", agent.label_truncate)
    agent.beam_block_list = SearchBlocklist(agent.dict)
    for phrase in options.get("bad_words_ids", ()):
        agent.beam_block_list._add_literal(" ".join(word(token) for token in phrase))


class Uniforms:
    """`torch.multinomial` with the uniform numbers of a NumPy generator, one a row."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def __call__(self, probabilities: torch.Tensor, count: int, **_: Any) -> torch.Tensor:
        assert count == 1
        sums = np.cumsum(probabilities.numpy(), axis=1, dtype=np.float64)
        marks = self.rng.random(len(sums)) * sums[:, -1]
        chosen = [np.searchsorted(row, mark, side="right") for row, mark in zip(sums, marks, strict=True)]
        return torch.tensor(chosen)[:, None]


def observations(agent: Any, rows: np.ndarray) -> list[Any]:
    """What the agent sees of each context: its own vectors of the text."""
    seen = []
    for row in rows:
        length = len(row) if row[-1] else int(np.flatnonzero(row)[-1]) + 1
        agent.reset()
        text = " ".join(map(word, row[:length].tolist()))
        seen.append(Message(agent.observe(Message(text=text, episode_done=True))))
    agent.reset()
    return seen


def search(
    agent: Any, rows: np.ndarray, full: np.ndarray | None, call: dict[str, Any]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Every row's finished hypotheses as ParlAI's `_generate` leaves them."""
    set_options(agent, call["options"])
    torch.multinomial = Uniforms(call["seed"])
    if full is not None:
        agent.text_truncate = rows.shape[1]
    batch = agent.batchify(observations(agent, rows if full is None else full))
    assert np.array_equal(batch.text_vec.numpy(), rows), "ParlAI read another context than was meant"
    prefix = None if call["prefix"] is None else torch.tensor([call["prefix"]] * len(rows))
    longest = agent.label_truncate or 256  # as in `eval_step`
    _, beams = agent._generate(batch, agent.beam_size, longest, prefix_tokens=prefix)
    answers = []
    for beam in beams:
        found = beam.get_rescored_finished()
        ids = np.full((len(found), max(len(tokens) for tokens, _, _ in found)), -1, np.int64)
        for row, (tokens, _, _) in zip(ids, found, strict=True):
            row[: len(tokens)] = tokens.numpy()
        answers.append((ids, np.array([float(score) for _, score, _ in found], np.float32)))
    return answers


def answer_case(case: Case, base: Opt, folder: Path) -> Answer:
    agent, answer = make_agent(case, base, folder), Answer()
    for number, call in enumerate(case.calls):
        with torch.no_grad():
            full = call.get("full")
            rows = search(agent, case.inputs[call["rows"]], None if full is None else case.inputs[full], call)
        answer.endings.append(None)
        for n, (ids, scores) in enumerate(rows):
            answer.tensors[f"{number}/{n}/ids"] = ids
            answer.tensors[f"{number}/{n}/scores"] = scores
    return answer


def main() -> int:
    base = base_options()
    with tempfile.TemporaryDirectory() as place:
        about = "Have ParlAI search for replies to a folder of cases."
        return serve(about, lambda case, _: answer_case(case, base, Path(place)), torch.set_num_threads, "parlai")


if __name__ == "__main__":
    sys.exit(main())
