"""Every argument of the originals' model calls, typed in from their sources: transformers 5.23.0 and 4.52.4.

Keys are the original, its class without prefix, and the method; `self` and `**kwargs` are left out, and what
transformers 5 allows inside its forward's `**kwargs` is listed apart. `tools/differential/signatures.py` holds this
table against the installed originals. It says nothing of what npblender does with an argument: see
`test_model_surface`.
"""

from __future__ import annotations

SOURCE = "input_ids attention_mask decoder_input_ids decoder_attention_mask"
HEADS = "head_mask decoder_head_mask cross_attn_head_mask"
RETURNS = "output_attentions output_hidden_states return_dict"
EMBEDS = "encoder_outputs past_key_values inputs_embeds decoder_inputs_embeds"
STATES = "input_ids attention_mask encoder_hidden_states encoder_attention_mask"
FLAX_TARGET = "decoder_attention_mask decoder_position_ids past_key_values"
FLAX = f"{RETURNS} train params dropout_rng"
GENERATE = (
    "inputs generation_config logits_processor stopping_criteria prefix_allowed_tokens_fn synced_gpus assistant_model "
    "streamer negative_prompt_ids negative_prompt_attention_mask"
)
KERAS = f"{SOURCE} decoder_position_ids {HEADS} {EMBEDS} use_cache {RETURNS}"
FLAX_DECODE = f"decoder_input_ids encoder_outputs encoder_attention_mask {FLAX_TARGET}"

KWARGS_5 = (
    "num_items_in_batch output_hidden_states output_attentions output_router_logits cu_seq_lens_q cu_seq_lens_k "
    "max_length_q max_length_k position_ids is_causal seq_idx"
)
"""What transformers 5 declares for the `**kwargs` of every forward (`TransformersKwargs`), used by this model or not;
`return_dict` is taken by a decorator besides."""

RESIZE = "new_num_tokens pad_to_multiple_of mean_resizing"
CROSS = "head_mask cross_attn_head_mask past_key_values inputs_embeds"
IN_4 = f"use_cache {RETURNS} cache_position"

SIGNATURES: dict[tuple[str, str, str], str] = {
    ("torch 4", "Model", "forward"): f"{SOURCE} {HEADS} {EMBEDS} {IN_4}",
    ("torch 4", "ForConditionalGeneration", "forward"): f"{SOURCE} {HEADS} {EMBEDS} labels {IN_4}",
    ("torch 4", "ForCausalLM", "forward"): f"{STATES} {CROSS} labels {IN_4}",
    ("torch 4", "Encoder", "forward"): f"input_ids attention_mask head_mask inputs_embeds {RETURNS}",
    ("torch 4", "Decoder", "forward"): f"{STATES} {CROSS} {IN_4}",
    ("torch 4", "ForConditionalGeneration", "resize_token_embeddings"): RESIZE,
    ("torch 4", "Model", "set_input_embeddings"): "value",
    ("torch 4", "ForConditionalGeneration", "generate"): f"{GENERATE} use_model_defaults custom_generate",
    ("torch 5", "Model", "forward"): f"{SOURCE} {EMBEDS} use_cache",
    ("torch 5", "ForConditionalGeneration", "forward"): f"{SOURCE} {EMBEDS} labels use_cache",
    ("torch 5", "ForCausalLM", "forward"): f"{STATES} past_key_values inputs_embeds labels use_cache logits_to_keep",
    ("torch 5", "Encoder", "forward"): "input_ids attention_mask inputs_embeds",
    ("torch 5", "Decoder", "forward"): f"{STATES} past_key_values inputs_embeds use_cache",
    ("torch 5", "ForConditionalGeneration", "resize_token_embeddings"): RESIZE,
    ("torch 5", "Model", "set_input_embeddings"): "value",
    ("torch 5", "ForConditionalGeneration", "generate"): f"{GENERATE} custom_generate",
    ("TF", "Model", "call"): f"{KERAS} training",
    ("TF", "ForConditionalGeneration", "call"): f"{KERAS} labels training",
    ("TF", "Encoder", "call"): f"input_ids inputs_embeds attention_mask head_mask {RETURNS} training",
    ("TF", "Decoder", "call"): (
        "input_ids inputs_embeds attention_mask position_ids encoder_hidden_states encoder_attention_mask head_mask "
        f"cross_attn_head_mask past_key_values use_cache {RETURNS} training"
    ),
    ("TF", "ForConditionalGeneration", "generate"): "inputs generation_config logits_processor seed",
    ("Flax", "PreTrainedModel", "generate"): "input_ids generation_config prng_key trace params logits_processor",
    ("Flax", "PreTrainedModel", "__call__"): f"{SOURCE} position_ids decoder_position_ids {FLAX}",
    ("Flax", "PreTrainedModel", "encode"): f"input_ids attention_mask position_ids {FLAX}",
    ("Flax", "PreTrainedModel", "decode"): f"{FLAX_DECODE} {FLAX}",
    ("Flax", "PreTrainedModel", "init_cache"): "batch_size max_length encoder_outputs",
    ("Flax", "ForConditionalGeneration", "decode"): f"{FLAX_DECODE} {RETURNS} deterministic params dropout_rng",
}


def names(original: str, class_name: str, method: str) -> list[str]:
    """The arguments of one method, with what transformers 5 takes besides in a forward."""
    listed = SIGNATURES[original, class_name, method].split()
    if original == "torch 5" and method == "forward":
        listed += [name for name in [*KWARGS_5.split(), "return_dict"] if name not in listed]
    return listed
