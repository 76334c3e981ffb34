"""Seventy and more pieces of code that people write with this model, and how each fares here.

They come from the model's page in transformers' documentation, from transformers' tests of the model and of generation,
and from public reports. `tools/originals/run_drop_in.py` says what names each begins with.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Call:
    """One piece of code; `why` where it gives something else here, or is refused."""

    code: str
    why: str = ""


DOCUMENTED = {
    "the documented reply": Call(
        "reply_ids = model.generate(**inputs)\ntokenizer.batch_decode(reply_ids, skip_special_tokens=True)[0]"
    ),
    "the documented second turn": Call(
        'next_utterance = f"{UTTERANCE}__end__ __start__i like tea.__end__ __start__ I\'m not sure"\n'
        "inputs = tokenizer([next_utterance], return_tensors=pt)\nmodel.generate(**inputs)"
    ),
    "the documented base model": Call(
        "base = BlenderbotSmallModel.from_pretrained(name)\n"
        'decoder_inputs = tokenizer("good day", return_tensors=pt)\n'
        "base(input_ids=inputs.input_ids, decoder_input_ids=decoder_inputs.input_ids).last_hidden_state"
    ),
    "the documented configuration": Call(
        "configuration = BlenderbotSmallConfig(d_model=32, encoder_layers=1, decoder_layers=1)\n"
        "list(BlenderbotSmallModel(configuration).get_input_embeddings().weight.shape)"
    ),
    "the documented causal model": Call(
        "causal = BlenderbotSmallForCausalLM.from_pretrained(name, add_cross_attention=False)\n"
        'list(causal(**tokenizer("hello", return_tensors=pt)).logits.shape)',
        "leave the argument out; transformers 5 does not take it either",
    ),
    "the causal model": Call(
        "causal = BlenderbotSmallForCausalLM.from_pretrained(name)\n"
        'list(causal(**tokenizer("hello", return_tensors=pt)).logits.shape)'
    ),
    "a loss": Call('labels = tokenizer("fine", return_tensors=pt).input_ids\nmodel(**inputs, labels=labels).loss'),
    "auto classes": Call(
        "auto = AutoModelForSeq2SeqLM.from_pretrained(name)\n"
        "slow = AutoTokenizer.from_pretrained(name, use_fast=False)\n"
        "[type(auto), type(slow), type(AutoConfig.from_pretrained(name))]"
    ),
    "a pipeline": Call(
        'transformers.pipeline("text2text-generation", model=name)(UTTERANCE)',
        "there are no pipelines: `Conversation.from_pretrained(name).reply(text)`, and `reply_to_all(texts)`",
    ),
    "torch's tensors": Call('tokenizer(UTTERANCE, return_tensors="pt")', 'arrays are NumPy\'s: `return_tensors="np"`'),
}
TOKENIZER = {
    "ids of a text": Call("tokenizer(UTTERANCE).input_ids"),
    "tokens": Call("tokenizer.tokenize(UTTERANCE)"),
    "a batch, padded": Call('dict(tokenizer(["hi", UTTERANCE], padding=True, return_tensors=pt))'),
    "padded to a length": Call('dict(tokenizer("hi", padding="max_length", max_length=8))'),
    "cut at a length": Call("tokenizer(UTTERANCE, truncation=True, max_length=4).input_ids"),
    "a pair": Call('dict(tokenizer("hi", "how are you", return_token_type_ids=True))'),
    "decoded": Call("tokenizer.decode(inputs.input_ids[0], skip_special_tokens=True)"),
    "decoded and cleaned": Call("tokenizer.decode(inputs.input_ids[0], clean_up_tokenization_spaces=True)"),
    "tokens to ids and back": Call(
        'ids = tokenizer.convert_tokens_to_ids(["hello", "__end__", "zzz"])\n'
        '[ids, tokenizer.convert_ids_to_tokens(ids), tokenizer.convert_tokens_to_string(["lo@@", "w"])]'
    ),
    "special tokens": Call(
        "[tokenizer.pad_token_id, tokenizer.bos_token, tokenizer.eos_token_id, sorted(tokenizer.all_special_tokens)]"
    ),
    "new tokens": Call('[tokenizer.add_tokens(["<lol>"]), tokenizer.tokenize("hi <lol>"), len(tokenizer)]'),
    "new special tokens": Call(
        'added = tokenizer.add_special_tokens({"additional_special_tokens": ["<speaker1>"]})\n'
        '[added, tokenizer("<speaker1> hi").input_ids]'
    ),
    "targets": Call('dict(tokenizer("hi", text_target="hello"))'),
    "saved and loaded": Call(
        "folder = tempfile.mkdtemp()\ntokenizer.save_pretrained(folder)\n"
        "BlenderbotSmallTokenizer.from_pretrained(folder)(UTTERANCE).input_ids"
    ),
    "a chat template": Call(
        'tokenizer.apply_chat_template([{"role": "user", "content": "hi"}])',
        "the model was trained without one; `Conversation` writes a history as it was trained",
    ),
}
GENERATE = {
    "greedy": Call("model.generate(**inputs, num_beams=1, do_sample=False, max_new_tokens=8)"),
    "beams": Call("model.generate(**inputs, num_beams=4, max_length=12, early_stopping=True)"),
    "several replies": Call("model.generate(**inputs, num_beams=4, num_return_sequences=3, max_length=10)"),
    "no repetition": Call(
        "model.generate(**inputs, num_beams=2, no_repeat_ngram_size=2, repetition_penalty=1.3, max_length=14)"
    ),
    "lengths": Call("model.generate(**inputs, min_length=9, max_length=12, length_penalty=2.0)"),
    "forbidden words": Call(
        'bad = tokenizer(["i", "cats"]).input_ids\nmodel.generate(**inputs, bad_words_ids=bad, max_length=12)'
    ),
    "sampling": Call(
        "model.generate(**inputs, do_sample=True, num_beams=1, top_k=20, top_p=0.9, temperature=0.7, max_length=12)",
        "the distribution is the same and the random numbers are others: `seed=` makes them repeatable",
    ),
    "a seed for all": Call(
        "transformers.set_seed(0)", "there is no seed for all: `generate(..., seed=0)`, `Conversation(..., seed=0)`"
    ),
    "scores": Call(
        "out = model.generate(**inputs, num_beams=3, max_length=8, return_dict_in_generate=True, output_scores=True)\n"
        "[out.sequences, out.sequences_scores, len(out.scores)]"
    ),
    "scores of each token": Call(
        "out = model.generate(**inputs, num_beams=1, max_length=8, return_dict_in_generate=True, output_scores=True)\n"
        "model.compute_transition_scores(out.sequences, out.scores, normalize_logits=True)"
    ),
    "a configuration of its own": Call(
        "model.generate(**inputs, generation_config=GenerationConfig(max_new_tokens=5, num_beams=2, "
        "decoder_start_token_id=1, eos_token_id=2, pad_token_id=0))"
    ),
    "settings changed in place": Call(
        "model.generation_config.max_new_tokens = 5\nmodel.generation_config.num_beams = 1\nmodel.generate(**inputs)",
        "settings are values: `model.generation_config = model.generation_config.replace(max_new_tokens=5)`",
    ),
    "a beginning of the reply": Call(
        "model.generate(**inputs, decoder_input_ids=tensor([[1, 5, 6]]), max_length=10, num_beams=2)"
    ),
    "states of the encoder": Call(
        "states = model.get_encoder()(inputs.input_ids, attention_mask=inputs.attention_mask)\n"
        "model.generate(encoder_outputs=states, attention_mask=inputs.attention_mask, max_length=10)"
    ),
    "a function that allows tokens": Call(
        "model.generate(**inputs, prefix_allowed_tokens_fn=lambda batch, ids: [5, 6, 2], max_length=8)"
    ),
    "a stopping criterion": Call(
        "stop = lambda ids, scores, **rest: tensor([ids.shape[1] >= 6] * len(ids))\n"
        "model.generate(**inputs, num_beams=1, max_length=12, stopping_criteria=[stop])"
    ),
    "a logits processor": Call(
        "def never_hello(ids, scores):\n    scores[:, 5] = -float('inf')\n    return scores\n"
        "model.generate(**inputs, num_beams=1, max_length=9, logits_processor=[never_hello])"
    ),
    "a streamer": Call(
        "model.generate(**inputs, num_beams=1, max_length=9, streamer=transformers.TextStreamer(tokenizer))",
        "a streamer is any object with `put` and `end`; `model.stream(...)` and `Conversation.stream` yield words",
    ),
    "an assistant model": Call(
        "model.generate(**inputs, num_beams=1, max_length=9, assistant_model=model)",
        "there is no assisted decoding; `prompt_lookup_num_tokens=` speeds up greedy search",
    ),
    "a batch without **": Call("model.generate(inputs, max_length=8)"),
    "too long a text": Call("model.generate(**tokenizer([UTTERANCE * 9], return_tensors=pt))"),
}
MODEL = {
    "logits": Call("model(**inputs, decoder_input_ids=tensor([[1, 5]])).logits"),
    "attentions": Call(
        "out = model(**inputs, decoder_input_ids=tensor([[1, 5]]), output_attentions=True)\n"
        "[out.cross_attentions[-1], out.encoder_attentions[0], out.decoder_attentions[1]]"
    ),
    "a tuple": Call("model(**inputs, decoder_input_ids=tensor([[1, 5]]), return_dict=False)[0]"),
    "the cache": Call(
        "first = model(**inputs, decoder_input_ids=tensor([[1, 5]]), use_cache=True)\n"
        "model(**inputs, decoder_input_ids=tensor([[6]]), past_key_values=first.past_key_values).logits"
    ),
    "no decoder input": Call("model(**inputs)"),
    "evaluation on a CPU": Call('type(model.eval().to("cpu"))'),
    "no gradients": Call(
        "with torch.no_grad():\n    out = model(**inputs, decoder_input_ids=tensor([[1]]))\nout.logits",
        "leave the line out: there are no gradients, and torch need not be there",
    ),
    "a GPU": Call("model.cuda()", "NumPy computes on the CPU"),
    "training": Call(
        "model.train()\nmodel(**inputs, labels=tensor([[5, 2]])).loss.backward()", "nothing is trained here"
    ),
    "half precision": Call(
        'BlenderbotSmallForConditionalGeneration.from_pretrained(name, torch_dtype="float16").dtype',
        '`dtype="float16"` keeps the large matrices so, and computes in float32',
    ),
    "where it goes": Call(
        'BlenderbotSmallForConditionalGeneration.from_pretrained(name, device_map="auto").num_parameters()',
        "NumPy computes on the CPU; leave `device_map` out",
    ),
    "how large it is": Call("model.num_parameters()"),
    "counted by hand": Call("sum(p.numel() for p in model.parameters())", "parameters are NumPy's arrays: `p.size`"),
    "names of weights": Call("sorted(model.state_dict())"),
    "a larger vocabulary": Call(
        "old = len(tokenizer)\nmatrix = model.resize_token_embeddings(old + 2).weight\n[list(matrix.shape), matrix[0]]"
    ),
    "a changed configuration": Call(
        "model.config.dropout = 0.0\nmodel.config.dropout",
        "a configuration is a value: `model.config.replace(dropout=0.0)` makes another for another model",
    ),
    "the model saved and loaded": Call(
        "folder = tempfile.mkdtemp()\nmodel.save_pretrained(folder)\n"
        "BlenderbotSmallForConditionalGeneration.from_pretrained(folder).generate(**inputs, max_length=9)"
    ),
    "head masks": Call(
        "model(**inputs, decoder_input_ids=tensor([[1]]), head_mask=tensor([[0.0, 1.0]]), decoder_head_mask="
        "tensor([[1.0, 0.0, 1.0]] * 2)).logits",
        "honoured as transformers 4 does in eager attention; transformers 5 ignores them",
    ),
}
REPORTED = {
    "NumPy's numbers": Call(
        "import numpy\nmodel.generate(**inputs, num_beams=numpy.int64(2), max_length=numpy.int32(10))"
    ),
    "an end token from an array": Call(
        "end = tensor([[5, 2]])[0, -1]\nmodel.generate(**inputs, eos_token_id=int(end), num_beams=1, max_length=9)"
    ),
    "a beginning with its mask": Call(
        "begun = {'decoder_input_ids': tensor([[1, 5]]), 'decoder_attention_mask': tensor([[1, 1]])}\n"
        "model.generate(**inputs, **begun, max_length=8, num_beams=1)"
    ),
    "settings in a dict": Call('model.generate(**inputs, generation_config={"num_beams": 1, "max_length": 9})'),
    "one function as a processor": Call(
        "model.generate(**inputs, num_beams=1, max_length=9, logits_processor=lambda ids, scores: scores)"
    ),
    "a tokenizer of two files": Call(
        'two = BlenderbotSmallTokenizer(vocab_file=name + "/vocab.json", merges_file=name + "/merges.txt")\n'
        'two("hello you").input_ids'
    ),
    "special tokens on loading": Call(
        'more = BlenderbotSmallTokenizer.from_pretrained(name, additional_special_tokens=["<a>"])\n'
        '[len(more), more("hi <a>you").input_ids]'
    ),
    "special tokens saved and loaded": Call(
        'tokenizer.add_special_tokens({"additional_special_tokens": ["<a>"]})\nfolder = tempfile.mkdtemp()\n'
        "tokenizer.save_pretrained(folder)\nagain = BlenderbotSmallTokenizer.from_pretrained(folder)\n"
        'again.decode(again("hi <a>you").input_ids, skip_special_tokens=True)'
    ),
    "an earlier name": Call('dict(tokenizer.encode_plus("hi", max_length=4, padding="max_length"))'),
    "ids of further special tokens": Call("tokenizer.additional_special_tokens_ids"),
    "a pad token by its id": Call(
        "tokenizer.pad_token_id = 2\n"
        '[tokenizer.pad_token, tokenizer("hi", padding="max_length", max_length=3).input_ids]'
    ),
    "names in the vocabulary": Call(
        '[tokenizer.vocab_size, tokenizer.get_vocab()["hello"], tokenizer.encoder["hello"]]'
    ),
}
GROUPS = {
    "From the model's page": DOCUMENTED,
    "Text and ids": TOKENIZER,
    "Replies": GENERATE,
    "The model": MODEL,
    "From reports": REPORTED,
}
CALLS = {name: call for group in GROUPS.values() for name, call in group.items()}
