"""What the originals' public test suites check, area by area, and which tests of this repository check the same.

    python -m tools measure suites                # run these tests, print the table
    python -m tools measure suites --write-docs   # and put it into docs/differential.md

The properties were listed by reading the suites (transformers' tests of BlenderbotSmall in torch, Keras and Flax with
the common tests of models, generation and tokenizers; ParlAI's tests of its generator agent, dictionary and history).
The tests are this repository's own, and no line of theirs is copied. A property passes if all of its tests do. What is
refused on purpose has a test that it is refused, and what to do instead. What has no test is open.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from dataclasses import dataclass

from tools import ROOT
from tools.docs.tables import markdown, write_between_markers

PAGE = ROOT / "docs" / "differential.md"
TESTS = "reference_tests"
RESULT = re.compile(rf"^(PASSED|FAILED|ERROR|SKIPPED|XFAIL) .*?({TESTS}/[\w/]+\.py)(?:::(\w+)|:\d+)", re.MULTILINE)


@dataclass(frozen=True)
class Property:
    """One thing that a suite checks, the tests that check it here, and what to do instead if it is refused here."""

    what: str
    tests: tuple[str, ...] = ()
    instead: str = ""


def checked(what: str, *tests: str) -> Property:
    return Property(what, tests)


def refused(what: str, instead: str, *tests: str) -> Property:
    return Property(what, tests, instead)


SURFACE, OUTPUTS, PARTS = "models/test_surface.py::", "models/test_outputs.py::", "models/test_parts.py::"
LAWS, LOAD, SAVE = "transformer/test_laws.py::", "checkpoint/test_load.py::", "checkpoint/test_save.py::"
ROWS, PROCESSORS = "generation/test_rows.py::", "generation/test_processors.py::"
GOLDEN = "golden/test_generation.py::"
BATCHES, FILES, TEXT = "tokenizer/test_batches.py::", "tokenizer/test_files.py::", "tokenizer/test_text.py::"
NAMED, OPTIONS = "tokenizer/test_named.py::", "generation/test_options.py::"
KERAS_FLAX, FORMATS = "models/test_keras_flax.py::", "checkpoint/test_formats.py::"
HABITS, TALK = "models/test_habits.py::", "chat/test_conversation.py::"
NOTHING = "test_what_means_nothing_here_says_what_does"

AREAS: dict[str, tuple[Property, ...]] = {
    "transformers: forward pass": (
        checked("shapes of logits, states and loss", OUTPUTS + "test_shapes_of_every_output"),
        checked("recorded numbers of the original", "golden/test_forward.py::test_answers_as_the_original_did"),
        checked("states of every layer, when asked for", SURFACE + "test_switches_choose_what_is_returned"),
        checked("attention weights, encoder's, decoder's and cross", SURFACE + "test_switches_choose_what_is_returned"),
        checked("tuples and records hold the same", OUTPUTS + "test_outputs_by_attribute_key_index_and_slice"),
        checked("embeddings in the place of ids", SURFACE + "test_embeddings_stand_for_ids"),
        checked("encoder outputs in the place of a source", SURFACE + "test_encoder_outputs_stand_for_the_source"),
        checked("encoder and decoder alone", OUTPUTS + "test_encoder_and_decoder_on_their_own"),
        checked("a decoder with and without a source", SURFACE + "test_decoder_with_and_without_a_source"),
        checked(
            "with the cache as without, several tokens at once", LAWS + "test_cached_equals_uncached_at_every_split"
        ),
        checked("the cache's layout", OUTPUTS + "test_past_key_values_are_those_of_transformers"),
        checked("masks of padding", LAWS + "test_right_padding_and_batch_mates_change_nothing"),
        checked("head masks", LAWS + "test_head_masks_zero_what_they_say"),
        checked(
            "labels are shifted, -100 is left out",
            OUTPUTS + "test_labels_are_shifted_into_decoder_ids",
            OUTPUTS + "test_loss_is_the_mean_over_labels_that_count",
        ),
        checked(
            "dropout while training, none otherwise",
            "transformer/test_training.py::test_dropout_strikes_every_place_and_scales_what_it_keeps",
        ),
        checked("layerdrop", "transformer/test_training.py::test_layerdrop_skips_its_share_of_layers"),
        checked("float16 weights", "transformer/test_half_storage.py::test_a_model_is_the_one_of_rounded_weights"),
        checked("the signature of forward", SURFACE + "test_every_argument_is_honoured_or_refused_by_name"),
        checked(
            "a call repeats bit for bit",
            "transformer/test_taps.py::test_nothing_given_is_written_to",
            GOLDEN + "test_transformers",
        ),
        refused(
            "gradients, training, gradient checkpointing", "train in torch and load the file here", HABITS + NOTHING
        ),
        refused(
            "several attention kernels, devices, parallel models",
            "there is one eager kernel, on the CPU",
            HABITS + "test_states_and_devices",
            "config/test_habits.py::test_options_of_loading_that_mean_nothing_here",
        ),
        refused("pruning of heads", "a head mask of zeros", HABITS + NOTHING),
        Property("export by tracing (TorchScript, torch.fx)"),
    ),
    "transformers: embeddings and weights": (
        checked("resizing of the vocabulary", PARTS + "test_resizing_keeps_old_logits_and_adds_the_mean"),
        checked("input embeddings can be read and replaced", PARTS + "test_embeddings_can_be_replaced"),
        checked("tied weights stay tied", LOAD + "test_tied_copies_that_agree", LOAD + "test_copies_that_disagree"),
        checked("saved and loaded is equal", SAVE + "test_saved_and_loaded_is_equal"),
        checked("shards and their index", LOAD + "test_shards"),
        checked("a file of the other head or of none", LOAD + "test_parts_that_a_class_lacks_are_not_extra"),
        checked("missing and unexpected keys are named", LOAD + "test_everything_that_does_not_fit_is_named_at_once"),
        checked("safetensors and pickles", FORMATS + "test_every_format_gives_the_stored_weights"),
        checked("names of parameters", HABITS + "test_state_dict_has_the_names_of_the_originals"),
        checked(
            "random initialisation of a configuration", HABITS + "test_a_model_of_a_configuration_has_random_weights"
        ),
        checked("pickling of a model", PARTS + "test_a_model_and_its_outputs_can_be_pickled"),
        refused(
            "weights of other shapes (ignore_mismatched_sizes)",
            "change the configuration",
            LOAD + "test_another_configuration_does_not_fit",
        ),
    ),
    "transformers: configuration": (
        checked(
            "defaults, common names, attribute map",
            "config/test_model_config.py::test_fields_and_defaults_are_those_of_transformers",
        ),
        checked("to and from dict and file", "config/test_model_config.py::test_dict_to_config_to_dict"),
        checked(
            "settings of generation, in their own file",
            "config/test_generation_config.py::test_generation_config_json_counts_alone_where_it_exists",
        ),
        checked("changes on loading", "config/test_model_config.py::test_changes_on_loading"),
        checked("auto classes by model_type", KERAS_FLAX + "test_auto_classes_read_the_model_type"),
    ),
    "transformers: generation": (
        checked(
            "greedy search, and its record",
            ROWS + "test_greedy_is_the_most_probable_token_each_time",
            ROWS + "test_what_a_record_holds",
        ),
        checked(
            "sampling, and its record", "generation/test_sampling.py::test_tokens_come_as_often_as_they_are_probable"
        ),
        checked(
            "beam search, its scores and early stopping",
            "generation/test_beams.py::test_a_wide_enough_beam_finds_the_best_of_all_replies",
            "generation/test_beams.py::test_early_stopping_stops_earlier",
        ),
        checked("beam sampling", "generation/test_sampling.py::test_beam_sampling_prefers_the_probable"),
        checked("diverse beam search", "generation/test_searches.py::test_a_higher_penalty_makes_groups_differ_more"),
        checked("constrained beam search", "generation/test_constrained_beam.py::test_forced_words_come"),
        checked("contrastive search", "generation/test_searches.py::test_contrastive_search_by_hand"),
        checked("prompt lookup is greedy search", "generation/test_searches.py::test_prompt_lookup_is_greedy_search"),
        checked("each search as the originals did it", GOLDEN + "test_transformers"),
        checked("transition scores", "generation/test_beams.py::test_scores_are_sums_of_transition_scores"),
        checked(
            "every processor and warper alone",
            PROCESSORS + "test_repetition_penalty",
            PROCESSORS + "test_no_repeat_ngram",
            PROCESSORS + "test_top_k",
            PROCESSORS + "test_top_p_is_the_fewest_that_reach_p",
            PROCESSORS + "test_min_p",
            PROCESSORS + "test_typical_takes_what_is_nearest_to_the_entropy",
            PROCESSORS + "test_epsilon_and_eta",
            PROCESSORS + "test_sequence_bias",
            PROCESSORS + "test_exponential_decay",
            PROCESSORS + "test_allowed_tokens",
            PROCESSORS + "test_invalid_values_are_removed",
            PROCESSORS + "test_temperature",
        ),
        checked("their order", PROCESSORS + "test_the_order_of_filters_is_that_of_transformers"),
        checked("bad words and suppressed tokens", PROCESSORS + "test_an_eos_is_no_bad_word"),
        checked("forced first and last tokens", ROWS + "test_the_last_token_may_be_forced"),
        checked(
            "a caller's processors and criteria",
            OPTIONS + "test_the_users_filters_and_criteria_are_called_as_in_transformers",
        ),
        checked(
            "stop strings, time, several ends",
            "generation/test_streaming.py::test_strings_that_end_a_reply",
            OPTIONS + "test_time_ends_a_search",
            ROWS + "test_several_ids_may_end_a_reply",
        ),
        checked("lengths by total and by new tokens", ROWS + "test_lengths_without_any_setting"),
        checked("left padding of a prompt", ROWS + "test_a_prompts_pads_are_hidden_by_its_mask"),
        checked(
            "generation from embeddings and encoder outputs", ROWS + "test_the_source_may_come_as_embeddings_or_encoded"
        ),
        checked("going on from a cache", "generation/test_habits.py::test_a_cache_is_gone_on_from"),
        checked("with the cache as without", ROWS + "test_the_cache_changes_nothing"),
        checked("streamers", "generation/test_streaming.py::test_a_streamer_gets_the_prompt_each_step_and_the_end"),
        checked("settings that mean nothing are refused", OPTIONS + "test_refusals"),
        checked(
            "the published replies' rules", "generation/test_published.py::test_recorded_hypotheses_obey_the_rules"
        ),
        refused(
            "assisted generation by a second model, watermarks, DoLa, compiled and quantised caches",
            "prompt_lookup_num_tokens guesses without one",
            OPTIONS + "test_more_refusals",
        ),
    ),
    "transformers: tokenizer": (
        checked(
            "words, ids and text of a small vocabulary", TEXT + "test_hand_solved", TEXT + "test_the_originals_answers"
        ),
        checked("short and empty texts, a single mark", TEXT + "test_any_text_equals_the_definitions"),
        checked("published cases", "tokenizer/test_published.py::test_the_published_cases"),
        checked("padding, all sides and lengths", BATCHES + "test_padding_and_truncation_keep_the_ends"),
        checked("truncation, of pairs too", BATCHES + "test_a_pair_is_cut_to_equal_lengths_first"),
        checked("pad() of encodings", BATCHES + "test_padding_encodings"),
        checked("batches as in the original", BATCHES + "test_the_originals_answers"),
        checked("arrays or lists", BATCHES + "test_arrays_by_hand", BATCHES + "test_lists_by_hand"),
        checked("added tokens", TEXT + "test_added_tokens"),
        checked("special tokens by name and id", NAMED + "test_setting_an_id_sets_the_token"),
        checked("special tokens are renamed", TEXT + "test_special_tokens_can_be_renamed"),
        checked("saved and loaded", FILES + "test_saved_and_loaded_again"),
        checked("files of both versions", FILES + "test_the_small_files_of_transformers"),
        checked("pickled and copied", TEXT + "test_a_copy_and_a_pickle_tokenize_alike"),
        checked("decoding with and without special tokens", TEXT + "test_decoding_by_hand"),
        checked("offsets and words", "tokenizer/test_offsets.py::test_hand_solved"),
        checked("too long a text is logged", "tokenizer/test_habits.py::test_a_text_that_is_too_long_is_logged_once"),
        refused("tensors of torch, TensorFlow, JAX", "return_tensors='np'", BATCHES + "test_refusals"),
        refused(
            "training a new vocabulary from an iterator",
            "train one with subword-nmt",
            "models/test_instead.py::test_a_name_on_a_tokenizer",
        ),
        Property("chat templates of one's own"),
    ),
    "transformers: Keras and Flax": (
        checked(
            "inputs as dict, list, tuple and keywords",
            KERAS_FLAX + "test_keras_takes_inputs_as_dict_list_tuple_by_position_and_by_name",
        ),
        checked("encode, init_cache, decode in steps", KERAS_FLAX + "test_flax_in_steps_is_flax_at_once"),
        checked(
            "parameters apart from the model", KERAS_FLAX + "test_flax_without_init_leaves_the_parameters_to_the_caller"
        ),
        checked("shifting of a target", KERAS_FLAX + "test_flax_shifts_the_source_where_there_is_no_target"),
        checked("files between the frameworks", FORMATS + "test_every_format_gives_the_stored_weights"),
        checked(
            "the documentation's examples",
            KERAS_FLAX + "test_the_examples_of_keras_documentation",
            KERAS_FLAX + "test_the_examples_of_flax_documentation",
        ),
        Property("compilation: fit, tf.function, jit, XLA generation"),
    ),
    "ParlAI: generator and search": (
        checked("recorded numbers of the model", "golden/test_forward.py::test_answers_as_the_original_did"),
        checked("greedy, beam, top-k, nucleus, delayed beam", GOLDEN + "test_parlai"),
        checked(
            "sizes and scores of the n-best list",
            "generation/test_parlai_search.py::test_what_parlai_returns_when_fewer_have_finished",
        ),
        checked(
            "n-gram blocks, in the reply and against the context",
            "generation/test_published.py::test_recorded_hypotheses_obey_the_rules",
        ),
        checked("the whole history blocks", GOLDEN + "test_parlai_with_its_full_context"),
        checked("block lists of words", "chat/test_blocklist.py::test_searches_never_say_what_is_blocked"),
        checked("batch size changes no reply", ROWS + "test_batch_mates_change_nothing"),
        checked("left and right padding", LAWS + "test_left_padding_changes_nothing_in_parlai"),
        checked(
            "saved agents, options and checkpoints",
            FORMATS + "test_a_folder_of_parlai_replies_as_parlai_did",
            FORMATS + "test_a_checkpoint_of_parlai_amid_training",
        ),
        checked(
            "every option of the parser has an answer",
            "golden/test_parlai_options.py::test_what_the_page_says_of_an_option_holds",
        ),
        refused(
            "variants (prelayernorm, bart), sinusoidal positions",
            "only the xlm variant is this model",
            FORMATS + "test_an_option_of_parlai_that_is_not_covered_is_refused_by_name",
        ),
        Property("training, distributed runs, learning-rate schedules"),
    ),
    "ParlAI: dictionary and history": (
        checked(
            "byte-pair encoding, escapes, lower case",
            "tokenizer/test_pretokenize.py::test_parlais_way_by_hand",
            TEXT + "test_any_text_equals_the_definitions",
        ),
        checked(
            "half-precision padding of the dictionary",
            FORMATS + "test_parlai_pads_the_vocabulary_of_a_half_precision_model",
        ),
        checked(
            "history: persona first, newest kept",
            "chat/test_history.py::test_truncation_against_trying_every_cut",
            TALK + "test_long_conversations_forget_whole_turns_and_keep_the_persona",
        ),
        checked(
            "a model's own words stay the ids they were",
            TALK + "test_the_model_sees_its_own_words_as_the_ids_they_were",
        ),
        checked("recorded conversations", "chat/test_history.py::test_recorded_conversations_of_the_real_model"),
        refused(
            "dictionaries of other tokenizers (gpt2, re, nltk)",
            "only bpe is this model's",
            FORMATS + "test_an_option_of_parlai_that_is_not_covered_is_refused_by_name",
        ),
    ),
}


def outcomes() -> dict[str, str]:
    """Run every test of the table: its node to "pass", "skip" or "fail"."""
    nodes = sorted({f"{TESTS}/{test}" for area in AREAS.values() for each in area for test in each.tests})
    command = [sys.executable, "-m", "pytest", "-m", "", "-q", "-rA", "-p", "no:cacheprovider", "--no-header", *nodes]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise RuntimeError(done.stdout[-3000:] + done.stderr[-1000:])
    return verdicts(done.stdout)


def verdicts(printed: str) -> dict[str, str]:
    """Read pytest's summary; a test fails if one of its cases does, and is skipped if all of them are."""
    found: dict[str, set[str]] = {}
    for outcome, path, name in RESULT.findall(printed):
        if name:
            found.setdefault(f"{path}::{name}".removeprefix(f"{TESTS}/"), set()).add(outcome)
    return {node: "fail" if seen & {"FAILED", "ERROR"} else "pass" for node, seen in found.items()}


def table(found: dict[str, str]) -> str:
    """The counts by area, then what is refused on purpose and what is open."""
    rows, purposes, opened = [], [], []
    for area, properties in AREAS.items():
        passing = [each for each in properties if each.tests and all(found.get(test) == "pass" for test in each.tests)]
        purpose = [each for each in passing if each.instead]
        missing = [each for each in properties if each not in passing]
        rows.append((area, len(properties), len(passing) - len(purpose), len(purpose), len(missing)))
        purposes += [f"- {area}: {each.what}. Instead: {each.instead}." for each in purpose]
        opened += [f"- {area}: {each.what}." for each in missing]
    total = ("all", *(sum(int(row[at]) for row in rows) for at in range(1, 5)))
    counts = markdown(
        ("area", "properties", "pass", "on purpose", "open"), [tuple(map(str, row)) for row in (*rows, total)]
    )
    refusals = "Refused on purpose, each by an error that says what to do instead:\n\n" + "\n".join(purposes)
    return f"{counts}\n\n{refusals}\n\nOpen, without a test here:\n\n" + "\n".join(opened)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write-docs", action="store_true", help=f"put the table into {PAGE.relative_to(ROOT)}")
    options = parser.parse_args()
    found = outcomes()
    text = table(found)
    print(text)
    if options.write_docs:
        write_between_markers(PAGE, "public-suites", text)
    return int("fail" in found.values())


if __name__ == "__main__":
    sys.exit(main())
