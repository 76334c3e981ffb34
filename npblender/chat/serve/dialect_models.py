"""What the server replies with: one model, as every dialect runs it, and the plan of one search for a request."""

from __future__ import annotations

import copy
import threading
import time
from dataclasses import dataclass, replace

import numpy as np

from npblender.chat.blocklist import BlockList
from npblender.chat.history import FittedSource, Profile, make_source
from npblender.chat.replies import DialectModel, Settings, make_settings
from npblender.chat.serve.errors import ApiError, refused
from npblender.chat.serve.limits import MOST_ROWS
from npblender.chat.serve.messages import Talk
from npblender.chat.serve.request_body import ReplyRequest
from npblender.common.printable import shown
from npblender.config.dialect import resolve_dialect
from npblender.config.searches import BEAM, SEVERAL_BEAMS
from npblender.models import BlenderbotSmallForConditionalGeneration
from npblender.tokenizer import BlenderbotSmallTokenizer


class DialectModels:
    """One model's weights under a name, with a `DialectModel` for each dialect, made when it is first asked for."""

    def __init__(
        self,
        name: str,
        model: BlenderbotSmallForConditionalGeneration,
        folder: str | None,
        profile: Profile,
        block: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.profile = profile
        self.created = int(time.time())
        self.phrases = block
        """Words and phrases that are never said."""
        self._model, self._folder = model, folder
        self._lock = threading.Lock()
        self._made: dict[str, DialectModel] = {}
        self.default = self.of(None)

    def check_name(self, name: str | None) -> None:
        """Refuse the name of a model that is not served; without a name it is the one that is."""
        if name is not None and name != self.name:
            message = f"there is no model {shown(name)}; this server has {shown(self.name)}"
            raise ApiError(404, message, param="model", code="model_not_found")

    def of(self, dialect: str | None) -> DialectModel:
        """The model of a dialect; None stands for the model's own. The weights are shared."""
        chosen = self._model.dialect if dialect is None else resolve_dialect(dialect)
        with self._lock:
            if chosen.name not in self._made:
                model = copy.copy(self._model)
                model.dialect = chosen
                tokenizer = BlenderbotSmallTokenizer.from_pretrained(self._folder, dialect=chosen)
                block = BlockList(self.phrases, tokenizer) if self.phrases else None
                self._made[chosen.name] = DialectModel(model, tokenizer, block)
            return self._made[chosen.name]


@dataclass(frozen=True)
class Job:
    """One search: a source, how it is searched for, and which replies of the request it answers."""

    speaker: DialectModel
    source: FittedSource
    settings: Settings
    numbers: tuple[int, ...]  # the places of its replies among those of the request; the best reply comes first
    seed: int | tuple[int, ...] | None = None
    stops: tuple[str, ...] = ()
    top_logprobs: int | None = None

    @property
    def width(self) -> int:
        """How many rows it takes."""
        return self.settings.plan.width

    def generator(self) -> np.random.Generator | None:
        """The random numbers of this search alone, so that no other request changes what is drawn."""
        return np.random.default_rng(self.seed) if self.settings.plan.is_random else None


def jobs_of(asked: ReplyRequest, models: DialectModels) -> tuple[Job, ...]:
    """The searches that a request takes.

    A search that draws is made once for each reply, with a generator for each; one that does not draw is made once, and
    its best replies are taken.

    Raises:
        ApiError: a setting that does not fit, more replies than the search finds, a source that is empty.
    """
    models.check_name(asked.model)
    speaker = models.of(asked.dialect)
    try:
        settings = _settings(asked, speaker, models.profile)
        plan = settings.plan
        if plan.width > MOST_ROWS:
            raise ApiError(400, f"num_beams must be at most {MOST_ROWS} here, not {plan.width}", param="num_beams")
        sources = [_source(talk, speaker, models.profile) for talk in asked.talks]
    except (TypeError, ValueError) as error:
        raise refused(error) from error
    if asked.choices > 1 and not plan.is_random and asked.choices > plan.num_beams:
        message = (
            f"n={asked.choices} replies: {plan.search} with num_beams={plan.num_beams} finds as many as it has beams; "
            f"say num_beams={asked.choices}, or a temperature above 0 to draw each reply"
        )
        raise ApiError(400, message, param="n")
    jobs = []
    for place, source in enumerate(sources):
        numbers = range(place * asked.choices, (place + 1) * asked.choices)
        for group in [[number] for number in numbers] if plan.is_random else [list(numbers)]:
            seed = None if asked.seed is None else _seed(asked.seed, group[0])
            jobs.append(Job(speaker, source, settings, tuple(group), seed, asked.stops, asked.top_logprobs))
    return tuple(jobs)


def _seed(seed: int, number: int) -> int | tuple[int, ...]:
    """The seed of one reply of a request: the first has the request's own, as `Conversation(seed=...)` would.

    >>> _seed(7, 0), _seed(7, 1), _seed(-1, 0)
    (7, (7, 1), 18446744073709551615)
    """
    seed %= 1 << 64
    return seed if number == 0 else (seed, number)


def _settings(asked: ReplyRequest, speaker: DialectModel, profile: Profile) -> Settings:
    """The request's settings with those of the model and the profile."""
    call = dict(asked.settings)
    if asked.most_tokens is not None:
        # The end token is none of the words. ParlAI's search puts it in place of the last token where a reply is cut
        # off, so that it gets one token more. A limit that is beyond the model's own is held by that.
        most = asked.most_tokens + (speaker.dialect.search == "parlai")
        call["max_new_tokens"] = min(most, speaker.model.config.max_position_embeddings)
    settings = make_settings(profile, speaker.model, call)
    plan = settings.plan
    if plan.search in SEVERAL_BEAMS - {BEAM} and not plan.is_random and asked.choices > 1:
        settings = replace(settings, plan=replace(plan, num_return_sequences=min(asked.choices, plan.num_beams)))
    return settings


def _source(talk: Talk, speaker: DialectModel, profile: Profile) -> FittedSource:
    """The ids that the model reads."""
    config = speaker.model.config
    limit = config.max_position_embeddings
    if talk.ids is None:
        return make_source(speaker.tokenizer, profile, talk.persona, talk.turns, limit)
    for token in talk.ids:
        if not 0 <= token < config.vocab_size:
            raise ApiError(400, f"prompt holds {token}, which is no token of {config.vocab_size}", param="prompt")
    return FittedSource(talk.ids[-limit:], 0, max(0, len(talk.ids) - limit))
