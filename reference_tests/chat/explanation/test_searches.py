"""The tree of a search against the search itself, on random models, under every dialect; and its refusals."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import npblender
from npblender.chat.explanation.blocking import blocked_at
from npblender.chat.explanation.pieces import Piece
from npblender.chat.explanation.search_tree import search_tree, why_no_tree
from npblender.chat.explanation.searching import Asked, watch_search
from npblender.config import BlenderbotSmallConfig
from npblender.config.dialect import DIALECTS
from npblender.generation.planning import make_plan
from npblender.models import BlenderbotSmallForConditionalGeneration
from reference_tests.support.asserts import assert_close
from reference_tests.support.tolerances import TOLERANCES

CONFIG = BlenderbotSmallConfig(
    vocab_size=24,
    d_model=8,
    encoder_layers=1,
    decoder_layers=1,
    encoder_attention_heads=2,
    decoder_attention_heads=2,
    encoder_ffn_dim=8,
    decoder_ffn_dim=8,
    max_position_embeddings=20,
    init_std=0.6,
)
SOURCES = st.lists(st.integers(5, 23), min_size=1, max_size=6)


def watched_search(dialect: str, seed: int, source: list[int], options: dict[str, Any]) -> Any:
    model = BlenderbotSmallForConditionalGeneration.from_config(CONFIG, seed=seed, dialect=dialect)
    plan = make_plan(model.dialect, model.config, model.generation_config.set_values, options)
    pieces = (Piece("", "", (), (), tuple(source)),)
    return model, watch_search(Asked(model, None, pieces, plan, options, seed=3 if plan.is_random else None))


@pytest.mark.parametrize("dialect", [each.name for each in DIALECTS])
@given(st.integers(0, 200), SOURCES, st.integers(1, 5), st.integers(2, 12), st.integers(0, 6), st.integers(0, 3))
@settings(max_examples=25)
def test_the_tree_is_the_search(
    dialect: str, seed: int, source: list[int], beams: int, longest: int, shortest: int, ngram: int
) -> None:
    options = {"num_beams": beams, "max_length": longest, "min_length": min(shortest, longest - 1)}
    options |= {"no_repeat_ngram_size": ngram, "length_penalty": 0.65} if beams > 1 else {"no_repeat_ngram_size": ngram}
    if dialect == "parlai":
        options["length_penalty"] = 0.65
    model, watched = watched_search(dialect, seed, source, options)
    several = {"num_return_sequences": beams} if dialect != "parlai" and beams > 1 else {}
    outputs = {"return_dict_in_generate": True, "output_scores": True}
    record: Any = model.generate([source], **options, **outputs, **several)
    assert np.array_equal(watched.record.sequences, record.sequences)
    assert why_no_tree(watched) == ""
    tree = search_tree(watched)
    sums = {}
    for number, node in enumerate(tree.nodes):
        if node.total < -1e8:
            continue  # of a place that nothing has filled
        before = 0.0 if node.parent is None else tree.nodes[node.parent].total
        assert node.log_prob == watched.scores[node.step][node.row, node.token] or beams == 1
        assert_close(node.total, before + node.log_prob, TOLERANCES["score of a search"])
        sums[number] = node.total
    if record.get("n_best") is not None:
        assert [(each.ids, each.score) for each in tree.finished] == [
            (each.ids, each.score) for each in record.n_best[0]
        ]
        assert [each.parlai for each in tree.finished] == [each.score for each in record.n_best[0]]
    elif beams > 1:
        kept = [each for each in tree.finished if each.rank is not None]
        assert [each.score for each in kept] == [score for score in map(float, record.sequences_scores) if score > -1e8]
        assert [each.transformers for each in kept] == [each.score for each in kept]
        for step, scores in enumerate(watched.scores):  # only what is among the best as it ends is finished
            live = [node.total for node in tree.nodes if node.step == step - 1 and node.fate != "ended"]
            sums_here = (scores + np.array(live or [0.0, *[-1e9] * (beams - 1)], np.float32)[:, None]).reshape(-1)
            least = np.sort(sums_here)[::-1][beams - 1]
            assert all(node.total >= least for node in tree.nodes if node.step == step and node.fate == "ended")


@given(st.integers(0, 200), SOURCES, st.integers(1, 3), st.integers(1, 3))
def test_what_is_blocked_is_named(seed: int, source: list[int], ngram: int, of_source: int) -> None:
    """Each rule by hand: an end before the minimum, an n-gram that is there already, one of the source."""
    options = {
        "num_beams": 3,
        "max_length": 9,
        "min_length": 4,
        "no_repeat_ngram_size": ngram,
        "encoder_no_repeat_ngram_size": of_source,
        "forced_eos_token_id": None,
    }
    _, watched = watched_search("transformers-5", seed, source, options)
    for step, (ids, scores) in enumerate(zip(watched.ids, watched.scores, strict=True)):
        for row, target in enumerate(ids.tolist()):
            expected = {2: "shorter"} if len(target) < 4 else {}
            for size, text, reason in ((ngram, target, "the reply has"), (of_source, source, "the source has")):
                begin = target[len(target) - size + 1 :] if size > 1 else []
                for at in range(len(text) - size + 1):
                    if text[at : at + size - 1] == begin and len(begin) == size - 1:
                        expected.setdefault(text[at + size - 1], reason)
            here = blocked_at(watched, step, row)
            assert here.count == len(expected) == int(np.isneginf(scores[row]).sum())
            for each in here.tokens:
                assert expected[each.token] in each.reason
                assert not each.ngram or each.ngram[-1] == each.token


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.5}, "group beam search is not drawn"),
        ({"num_beams": 2, "do_sample": True}, "beam sampling is not drawn"),
        ({"penalty_alpha": 0.5, "top_k": 3}, "contrastive search is not drawn"),
        ({"num_beams": 2, "max_time": 60.0}, "ends by the clock"),
    ],
)
def test_searches_without_a_tree_say_so(tokenizer: Any, model: Any, options: dict[str, Any], reason: str) -> None:
    other = BlenderbotSmallForConditionalGeneration.from_pretrained(dialect="transformers-5")
    bare = {} if "num_beams" in options else {"num_beams": 1}
    seed = 1 if "do_sample" in options else None
    found: Any = npblender.explain(other, tokenizer, "hello", dialects=(), max_length=8, seed=seed, **bare, **options)
    assert found.runs[0].tree is None
    assert reason in found.runs[0].notes[0]
    found.to_html()


@pytest.mark.parametrize("dialect", [each.name for each in DIALECTS])
def test_sampling_and_greedy_search_are_one_path(tokenizer: Any, dialect: str) -> None:
    model = BlenderbotSmallForConditionalGeneration.from_pretrained(dialect=dialect)
    for options in ({"num_beams": 1}, {"num_beams": 1, "do_sample": True, "seed": 5}):
        if dialect == "parlai" and "seed" in options:
            continue  # ParlAI's sampling scores paths by rules of its own
        found: Any = npblender.explain(model, tokenizer, "hello there", dialects=(), max_length=9, **options)
        run = found.runs[0]
        ids = model.generate(**tokenizer(["hello there"], return_tensors="np"), max_length=9, **options)[0].tolist()
        assert [run.target[0], *run.chosen] == ids[: len(run.target) + 1]
        assert [run.tree.nodes[n].token for n in run.tree.path(len(run.tree.nodes) - 1)] == list(run.chosen)


def test_what_another_dialect_refuses_is_a_line_of_the_page(tokenizer: Any) -> None:
    model = BlenderbotSmallForConditionalGeneration.from_pretrained()
    found = npblender.explain(model, tokenizer, "hello", beam_delay=2, seed=1, max_length=8)
    assert "beam_delay" in found.runs[1].message  # type: ignore[union-attr]
    assert found.to_html().count("beam_delay") >= 2


def test_wrong_arguments_are_refused(tokenizer: Any, model: Any) -> None:
    for wrong, error, message in (
        ((model, tokenizer, ["hello"]), TypeError, "one text"),
        ((model, None, "hello"), TypeError, "must be a BlenderbotSmallTokenizer"),
        ((None, tokenizer, "hello"), TypeError, "must be a BlenderbotSmallForConditionalGeneration"),
        ((model, tokenizer, " "), ValueError, "becomes no token"),
    ):
        with pytest.raises(error, match=message):
            npblender.explain(*wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="list of dialects"):
        npblender.explain(model, tokenizer, "hello", dialects="parlai")
    with pytest.raises(TypeError, match="no option 'beams'"):
        npblender.explain(model, tokenizer, "hello", beams=3)
    for name in ("output_scores", "return_dict_in_generate"):
        with pytest.raises(ValueError, match=f"{name} has no place in an explanation"):
            npblender.explain(model, tokenizer, "hello", **{name: True})
    with pytest.raises(ValueError, match="positions"):
        npblender.explain(model, tokenizer, "hello " * 200)
