"""The disagreements of the originals, as data: `Dialect`.

Three programs run this model, and they do not compute the same thing: ParlAI, which trained it; transformers up to
4.52; transformers from 4.53 on, which lost a factor in the decoder. Everything in which they differ is a field of one
frozen record. The rest of the package reads these fields and never asks which original it imitates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from npblender.common.printable import shown

Family = Literal["parlai", "transformers"]

LOWEST_SCORE = -3e38  # every dtype that the model computes in can hold it


def _by_original(*values: Any) -> dict[str, Any]:
    """The values of a field in ParlAI, in transformers up to 4.52, and in transformers from 4.53 on."""
    return {"by_original": values}


@dataclass(frozen=True)
class Dialect:
    """One way of running BlenderbotSmall. Make your own with ``dataclasses.replace(PARLAI, name="mine", ...)``."""

    name: str

    # The forward pass.
    scale_decoder_embeddings: bool = field(metadata=_by_original(True, True, False))
    """Decoder token embeddings times sqrt(d_model) when `scale_embedding` is set. transformers lost it in 4.53."""
    scale_decoder_inputs_embeds: bool = field(metadata=_by_original(False, True, False))
    """The same factor on embeddings that the caller gives as `decoder_inputs_embeds`. Only 4.52.4 does so."""
    positions_follow_mask: bool = field(metadata=_by_original(True, False, False))
    """Encoder positions count attended tokens, so left padding changes nothing; otherwise they count columns."""
    mask_from_ids: bool = field(metadata=_by_original(True, False, False))
    """A forward pass without `attention_mask` hides pad ids; otherwise they are attended to."""
    mask_from_ids_in_generate: bool = field(metadata=_by_original(True, True, False))
    """The same for `generate` without `attention_mask`."""
    masked_score: float | None = field(metadata=_by_original(-1e20, None, None))
    """What replaces the score of a hidden key; None stands for the most negative number of the dtype."""
    zero_padded_states: bool = field(metadata=_by_original(True, False, False))
    """Encoder states at pads are zero after the embeddings and after every layer."""
    start_logit: float | None = field(metadata=_by_original(-1e20, None, None))
    """What replaces the logit of the start token, so that it is never generated; None leaves it alone."""

    # Text.
    pretokenizer: Family = field(metadata=_by_original("parlai", "transformers", "transformers"))
    """How text is cut into pieces before BPE."""
    cut_special_tokens: bool = field(metadata=_by_original(False, True, True))
    """A special token written inside a text is cut out, glued to letters or not, before the text is cut up."""

    # Generation.
    search: Family = field(metadata=_by_original("parlai", "transformers", "transformers"))
    """Whose bookkeeping of beams, lengths, blocks and scores a search follows."""
    min_length_counts_start: bool = field(metadata=_by_original(False, True, True))
    """Whether the decoder's start token counts towards `min_length`."""
    default_length_by_value: bool = field(metadata=_by_original(False, True, False))
    """A `max_length` of 20 in a file is taken for transformers' default of 20 new tokens, which 4.52.4 cannot tell."""
    sources_settle: bool = field(metadata=_by_original(False, False, True))
    """In a beam search, a source whose beams can no longer improve takes no more of them while others go on (5.23)."""
    encoder_penalty_by_row: bool = field(metadata=_by_original(False, True, False))
    """`encoder_repetition_penalty` of source i falls on row i even where a source has several rows (4.52.4)."""
    bias_needs_longer_target: bool = field(metadata=_by_original(False, True, False))
    """Bad words and sequence biases as long as the target so far and one token more are passed over (4.52.4)."""
    rescues_prefix: bool = field(metadata=_by_original(False, False, True))
    """Where `prefix_allowed_tokens_fn` allows only what is blocked, it is possible all the same (5.23)."""

    def __post_init__(self) -> None:
        for row in fields(self):
            value = getattr(self, row.name)
            is_score = type(value) in (int, float) and LOWEST_SCORE <= value < 0
            good, takes = {
                "str": (isinstance(value, str) and value != "", "a text that is not empty"),
                "bool": (isinstance(value, bool), "True or False"),
                "Family": (
                    isinstance(value, str) and value in ("parlai", "transformers"),
                    "'parlai' or 'transformers'",
                ),
                "float | None": (value is None or is_score, f"None, or a number from {LOWEST_SCORE} to 0"),
            }[str(row.type)]
            if not good:
                raise ValueError(f"Dialect.{row.name} is {shown(value)}; it takes {takes}")


PARLAI, TRANSFORMERS_4, TRANSFORMERS_5 = DIALECTS = tuple(
    Dialect(name, *(row.metadata["by_original"][column] for row in fields(Dialect)[1:]))
    for column, name in enumerate(("parlai", "transformers-4", "transformers-5"))
)


def resolve_dialect(dialect: str | Dialect | Mapping[str, Any]) -> Dialect:
    """Return the record for a name, for a record itself, or for the fields of one as a file keeps them.

    >>> resolve_dialect("transformers-5").scale_decoder_embeddings
    False
    >>> resolve_dialect("moses")
    Traceback (most recent call last):
    ValueError: unknown dialect 'moses'; it takes 'parlai', 'transformers-4', 'transformers-5' or a Dialect
    """
    if isinstance(dialect, Dialect):
        return dialect
    if isinstance(dialect, Mapping):
        names = {field.name for field in fields(Dialect)}
        if set(dialect) != names:
            wrong = sorted(set(dialect) ^ names)
            raise ValueError(f"a dialect has exactly the fields {sorted(names)}; missing or unknown: {wrong}")
        return Dialect(**dialect)
    for known in DIALECTS:
        if known.name == dialect:
            return known
    choices = ", ".join(repr(known.name) for known in DIALECTS)
    raise ValueError(f"unknown dialect {shown(dialect)}; it takes {choices} or a Dialect")


def describe_dialect(dialect: Dialect) -> str | dict[str, Any]:
    """Return what a file keeps of a dialect: the name of a known one, all fields of any other.

    `resolve_dialect` undoes it.

    >>> describe_dialect(PARLAI)
    'parlai'
    """
    return dialect.name if dialect in DIALECTS else asdict(dialect)
