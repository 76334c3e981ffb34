"""Names that one imports from transformers and that are not here, each with what does what it is for."""

from __future__ import annotations

from collections.abc import Mapping

from npblender.common.printable import shown

_STREAMER = (
    "model.stream(inputs, tokenizer=tokenizer) yields the reply in pieces of text as it is made; "
    "generate(streamer=) takes any object with put(ids) and end()"
)
_PIPELINE = "Conversation.from_pretrained(folder).reply(text) replies to a text, and reply_to_all(texts) to many"
_SEED = "there is no seed for all: say seed= where something is drawn, as in generate(do_sample=True, seed=0)"
_BY_HEAD = (
    "AutoModelForSeq2SeqLM, or BlenderbotSmallForConditionalGeneration, is the model that replies; "
    "BlenderbotSmallForCausalLM its decoder alone, BlenderbotSmallModel the model without a head"
)
_PROCESSORS = "generate(logits_processor=) takes a plain list of functions of (input_ids, scores), or one of them"
_CRITERIA = "generate(stopping_criteria=) takes a plain list of functions of (input_ids, scores), or one of them"
_SETTING = (
    "it is a setting of generate(): say it by its name, as in no_repeat_ngram_size=3; docs/generation.md lists all"
)
_BLENDERBOT = (
    "the larger Blenderbot is another network; here is BlenderbotSmall, whose classes are BlenderbotSmallConfig, "
    "BlenderbotSmallTokenizer and BlenderbotSmallForConditionalGeneration"
)
_TRAINING = "nothing is trained here; the model's call has labels= for the loss, and training=True for dropout"
_CACHE = "Cache is the one class of caches; a call with use_cache=True returns it as past_key_values"
_16_BITS = "say from_pretrained(dtype='float16') or dtype='bfloat16' for half the memory"
_AUTO_KERAS = "TFBlenderbotSmallForConditionalGeneration and TFBlenderbotSmallModel are called as Keras's"
_AUTO_FLAX = "FlaxBlenderbotSmallForConditionalGeneration and FlaxBlenderbotSmallModel are called as Flax's"

INSTEAD: Mapping[str, str] = {
    **dict.fromkeys(("TextStreamer", "TextIteratorStreamer", "AsyncTextIteratorStreamer"), _STREAMER),
    **dict.fromkeys(("pipeline", "Pipeline", "Text2TextGenerationPipeline", "TextGenerationPipeline"), _PIPELINE),
    "ConversationalPipeline": "Conversation.from_pretrained(folder) keeps a history, and its reply(text) replies",
    **dict.fromkeys(("set_seed", "enable_full_determinism"), _SEED),
    **dict.fromkeys(("AutoModel", "AutoModelForCausalLM", "AutoModelWithLMHead"), _BY_HEAD),
    **dict.fromkeys(("AutoModelForPreTraining", "PreTrainedModel", "BlenderbotSmallPreTrainedModel"), _BY_HEAD),
    **dict.fromkeys(("TFAutoModel", "TFAutoModelForSeq2SeqLM"), _AUTO_KERAS),
    **dict.fromkeys(("FlaxAutoModel", "FlaxAutoModelForSeq2SeqLM"), _AUTO_FLAX),
    **dict.fromkeys(("PretrainedConfig", "PreTrainedConfig"), "BlenderbotSmallConfig is the only configuration"),
    **dict.fromkeys(
        ("PreTrainedTokenizer", "PreTrainedTokenizerFast", "PreTrainedTokenizerBase"),
        "BlenderbotSmallTokenizer is the tokenizer, and BlenderbotSmallTokenizerFast (npblender[fast]) the one in Rust",
    ),
    **dict.fromkeys(("LogitsProcessorList", "LogitsProcessor", "LogitsWarper"), _PROCESSORS),
    **dict.fromkeys(("StoppingCriteriaList", "StoppingCriteria"), _CRITERIA),
    **dict.fromkeys(("MinLengthLogitsProcessor", "MinNewTokensLengthLogitsProcessor"), _SETTING),
    **dict.fromkeys(("NoRepeatNGramLogitsProcessor", "NoBadWordsLogitsProcessor"), _SETTING),
    **dict.fromkeys(("RepetitionPenaltyLogitsProcessor", "TemperatureLogitsWarper"), _SETTING),
    **dict.fromkeys(("TopKLogitsWarper", "TopPLogitsWarper", "TypicalLogitsWarper"), _SETTING),
    **dict.fromkeys(("MaxLengthCriteria", "MaxTimeCriteria", "StopStringCriteria", "EosTokenCriteria"), _SETTING),
    **dict.fromkeys(("BlenderbotForConditionalGeneration", "BlenderbotForCausalLM", "BlenderbotModel"), _BLENDERBOT),
    **dict.fromkeys(("BlenderbotConfig", "BlenderbotTokenizer", "BlenderbotTokenizerFast"), _BLENDERBOT),
    **dict.fromkeys(("Trainer", "TrainingArguments", "Seq2SeqTrainer", "Seq2SeqTrainingArguments"), _TRAINING),
    **dict.fromkeys(("DataCollatorForSeq2Seq", "DataCollatorWithPadding", "AdamW"), _TRAINING),
    **dict.fromkeys(("DynamicCache", "StaticCache", "EncoderDecoderCache"), _CACHE),
    **dict.fromkeys(("BitsAndBytesConfig", "QuantoConfig"), _16_BITS),
}
"""A name in neither the package nor this table is an error as anywhere in Python."""


def error_for(name: str, importing: bool) -> ImportError | AttributeError:
    """Make the error for a name of the table: of an import statement, or of reading an attribute.

    >>> error_for("set_seed", importing=True).args[0][:53]
    "npblender has no 'set_seed': there is no seed for all"
    """
    text = f"npblender has no {shown(name)}: {INSTEAD[name]}"
    return ImportError(text, name="npblender") if importing else AttributeError(text)
