"""A model small enough to solve by hand: two numbers a token, one layer a side, one head.

Every LayerNorm sees two numbers, so all it can do is to keep the sign of half their difference h and squash it to
h / sqrt(h^2 + 1e-5). The weights are chosen so that this is rational. The embedding norms see h = 0.0015, where the
root is 0.0035, or h = 0.0045 with 0.0055: they give 3/7 and 9/11, and epsilon is most of it. All later norms see a
difference of +-0.99999, h = 0.499995, where the root is 0.500005: they give +-99999/100001, so with a norm's weight of
a * RATIO they give +-a. (A small h there would magnify the rounding errors of what came before.) Softmaxes are over
two scores that differ by ln 3: they give 3/4 and 1/4.

Source ids [2, 0], target ids [1, 2]. The comments carry the numbers along.
"""

import math

from npblender.config import BlenderbotSmallConfig

R2 = math.sqrt(2.0)
LN3 = math.log(3.0)
RATIO = 100001 / 99999

CONFIG = BlenderbotSmallConfig(
    vocab_size=3,
    d_model=2,
    encoder_layers=1,
    decoder_layers=1,
    encoder_attention_heads=1,
    decoder_attention_heads=1,
    encoder_ffn_dim=1,
    decoder_ffn_dim=1,
    max_position_embeddings=4,
    activation_function="relu",
    scale_embedding=True,
)

SOURCE, TARGET, LABELS = [2, 0], [1, 2], [1, -100]

NOTHING = [[0.0, 0.0], [0.0, 0.0]]


def first_only(a: float) -> list[list[float]]:
    """The matrix that keeps a times the first number."""
    return [[a, 0.0], [0.0, 0.0]]


PARAMETERS = {
    # times sqrt(2): 0 -> (0, 0), 1 -> (.003, 0), 2 -> (.009, 0)
    "shared.weight": [[0.0, 0.0], [0.003 / R2, 0.0], [0.009 / R2, 0.0]],
    # Encoder embedding: (.009, 0) + (-.006, 0) = (.003, 0), h = .0015, 3/7; (0, 0) + (0, .003), -3/7.
    "encoder.embed_positions.weight": [[-0.006, 0.0], [0.0, 0.003], [0.0, 0.0], [0.0, 0.0]],
    "encoder.layernorm_embedding.weight": [7.0, 14.0],
    "encoder.layernorm_embedding.bias": [0.0, 1.0],  # x = (3, 1 - 6) = (3, -5) and (-3, 1 + 6) = (-3, 7)
    # Scores: q is (ln3/18) x0 (times sqrt 2, divided by it), k is x0; 9 ln3/18 = ln3/2, so rows differ by ln 3.
    "encoder.layers.0.self_attn.q_proj.weight": first_only(R2 * LN3 / 18.0),
    "encoder.layers.0.self_attn.q_proj.bias": [0.0, 0.0],
    "encoder.layers.0.self_attn.k_proj.weight": first_only(1.0),
    "encoder.layers.0.self_attn.k_proj.bias": [0.0, 0.0],
    "encoder.layers.0.self_attn.v_proj.weight": first_only(1.0),
    "encoder.layers.0.self_attn.v_proj.bias": [0.0, 2.0],  # v = (3, 2) and (-3, 2)
    # Weights (3/4, 1/4) and (1/4, 3/4): context (1.5, 2) and (-1.5, 2).
    "encoder.layers.0.self_attn.out_proj.weight": first_only(-5.33334),
    "encoder.layers.0.self_attn.out_proj.bias": [1.0, 0.0],  # output (-7.00001, 0) and (9.00001, 0)
    # Sums (-4.00001, -5), difference +.99999; (6.00001, 7), difference -.99999.
    "encoder.layers.0.self_attn_layer_norm.weight": [2.0 * RATIO, 0.0],
    "encoder.layers.0.self_attn_layer_norm.bias": [3.0, 5.0],  # x = (5, 5) and (1, 5)
    "encoder.layers.0.fc1.weight": [[2.0, 0.0]],
    "encoder.layers.0.fc1.bias": [-6.0],  # 4 and -4; relu: 4 and 0
    "encoder.layers.0.fc2.weight": [[-0.500005], [0.0]],  # -2.00002 and 0
    "encoder.layers.0.fc2.bias": [3.00001, 0.0],
    # Sums (5.99999, 5) and (4.00001, 5).
    "encoder.layers.0.final_layer_norm.weight": [15.0 * RATIO, 0.0],
    "encoder.layers.0.final_layer_norm.bias": [48.0, 1.0],  # states (63, 1) and (33, 1)
    # Decoder embedding: the norm first: (.003, 0) and (.009, 0): 3/7 and 9/11, so (33, 0) and (63, 0).
    "decoder.layernorm_embedding.weight": [77.0, 0.0],
    "decoder.layernorm_embedding.bias": [0.0, 0.0],
    "decoder.embed_positions.weight": [[-30.0, 1.0], [-66.0, 4.0], [0.0, 0.0], [0.0, 0.0]],  # x = (3, 1) and (-3, 4)
    # As in the encoder, but the first token does not see the second: weights (1, 0) and (1/4, 3/4).
    "decoder.layers.0.self_attn.q_proj.weight": first_only(R2 * LN3 / 18.0),
    "decoder.layers.0.self_attn.q_proj.bias": [0.0, 0.0],
    "decoder.layers.0.self_attn.k_proj.weight": first_only(1.0),
    "decoder.layers.0.self_attn.k_proj.bias": [0.0, 0.0],
    "decoder.layers.0.self_attn.v_proj.weight": first_only(1.0),
    "decoder.layers.0.self_attn.v_proj.bias": [0.0, 0.0],  # context (3, 0) and (3/4 - 9/4, 0) = (-1.5, 0)
    "decoder.layers.0.self_attn.out_proj.weight": first_only(-1.55556),
    "decoder.layers.0.self_attn.out_proj.bias": [3.66667, 0.0],  # output (-1.00001, 0) and (6.00001, 0)
    # Sums (1.99999, 1) and (3.00001, 4).
    "decoder.layers.0.self_attn_layer_norm.weight": [9.0 * RATIO, 0.0],
    "decoder.layers.0.self_attn_layer_norm.bias": [0.0, 1.0],  # x = (9, 1) and (-9, 1)
    # Cross-attention: q is (ln3/9) x0 = ln3 and -ln3; k is x0/30 - 1.6 = 1/2 and -1/2.
    "decoder.layers.0.encoder_attn.q_proj.weight": first_only(R2 * LN3 / 9.0),
    "decoder.layers.0.encoder_attn.q_proj.bias": [0.0, 0.0],
    "decoder.layers.0.encoder_attn.k_proj.weight": first_only(1.0 / 30.0),
    "decoder.layers.0.encoder_attn.k_proj.bias": [-1.6, 0.0],
    "decoder.layers.0.encoder_attn.v_proj.weight": first_only(1.0 / 3.0),
    "decoder.layers.0.encoder_attn.v_proj.bias": [0.0, 0.0],  # v = (21, 0) and (11, 0)
    # Weights (3/4, 1/4) and (1/4, 3/4): context (18.5, 0) and (13.5, 0).
    "decoder.layers.0.encoder_attn.out_proj.weight": first_only(-3.200004),
    "decoder.layers.0.encoder_attn.out_proj.bias": [52.200064, 0.0],  # output (-7.00001, 0) and (9.00001, 0)
    # Sums (1.99999, 1) and (0.00001, 1).
    "decoder.layers.0.encoder_attn_layer_norm.weight": [3.0 * RATIO, 0.0],
    "decoder.layers.0.encoder_attn_layer_norm.bias": [0.0, 2.0],  # x = (3, 2) and (-3, 2)
    "decoder.layers.0.fc1.weight": [[1.0, 0.0]],
    "decoder.layers.0.fc1.bias": [-1.0],  # 2 and -4; relu: 2 and 0
    "decoder.layers.0.fc2.weight": [[-2.00001], [0.0]],  # -4.00002 and 0
    "decoder.layers.0.fc2.bias": [4.00001, 0.0],
    # Sums (2.99999, 2) and (1.00001, 2).
    "decoder.layers.0.final_layer_norm.weight": [15.0 * RATIO, 0.0],
    "decoder.layers.0.final_layer_norm.bias": [48.0, 1.0],  # states (63, 1) and (33, 1)
    # Products (0, .189/sqrt2, .567/sqrt2) in the first row; the bias makes them (0, ln 2, ln 5).
    "final_logits_bias": [[0.0, math.log(2.0) - 0.189 / R2, math.log(5.0) - 0.567 / R2]],
}

# The loss of label 1 in the first row, where the probabilities are 1/8, 2/8 and 5/8.
LOSS = math.log(4.0)

POINTS = {
    "encoder.embed.tokens": [[0.009 / R2, 0.0], [0.0, 0.0]],
    "encoder.embed.scaled": [[0.009, 0.0], [0.0, 0.0]],
    "encoder.embed.positions": [[-0.006, 0.0], [0.0, 0.003]],
    "encoder.embed.sum": [[0.003, 0.0], [0.0, 0.003]],
    "encoder.embed.norm": [[3.0, -5.0], [-3.0, 7.0]],
    "encoder.embed.output": [[3.0, -5.0], [-3.0, 7.0]],
    "encoder.layers.0.self_attn.q": [[[LN3 / 6.0, 0.0], [-LN3 / 6.0, 0.0]]],
    "encoder.layers.0.self_attn.k": [[[3.0, 0.0], [-3.0, 0.0]]],
    "encoder.layers.0.self_attn.v": [[[3.0, 2.0], [-3.0, 2.0]]],
    "encoder.layers.0.self_attn.scores": [[[LN3 / 2.0, -LN3 / 2.0], [-LN3 / 2.0, LN3 / 2.0]]],
    "encoder.layers.0.self_attn.masked_scores": [[[LN3 / 2.0, -LN3 / 2.0], [-LN3 / 2.0, LN3 / 2.0]]],
    "encoder.layers.0.self_attn.weights": [[[0.75, 0.25], [0.25, 0.75]]],
    "encoder.layers.0.self_attn.context": [[1.5, 2.0], [-1.5, 2.0]],
    "encoder.layers.0.self_attn.output": [[-7.00001, 0.0], [9.00001, 0.0]],
    "encoder.layers.0.self_attn.sum": [[-4.00001, -5.0], [6.00001, 7.0]],
    "encoder.layers.0.self_attn.norm": [[5.0, 5.0], [1.0, 5.0]],
    "encoder.layers.0.ffn.hidden": [[4.0], [-4.0]],
    "encoder.layers.0.ffn.activation": [[4.0], [0.0]],
    "encoder.layers.0.ffn.output": [[0.99999, 0.0], [3.00001, 0.0]],
    "encoder.layers.0.ffn.sum": [[5.99999, 5.0], [4.00001, 5.0]],
    "encoder.layers.0.ffn.norm": [[63.0, 1.0], [33.0, 1.0]],
    "encoder.layers.0.output": [[63.0, 1.0], [33.0, 1.0]],
    "encoder.states": [[63.0, 1.0], [33.0, 1.0]],
    "decoder.layers.0.encoder_attn.k": [[[0.5, 0.0], [-0.5, 0.0]]],
    "decoder.layers.0.encoder_attn.v": [[[21.0, 0.0], [11.0, 0.0]]],
    "decoder.embed.tokens": [[0.003 / R2, 0.0], [0.009 / R2, 0.0]],
    "decoder.embed.scaled": [[0.003, 0.0], [0.009, 0.0]],
    "decoder.embed.norm": [[33.0, 0.0], [63.0, 0.0]],
    "decoder.embed.positions": [[-30.0, 1.0], [-66.0, 4.0]],
    "decoder.embed.sum": [[3.0, 1.0], [-3.0, 4.0]],
    "decoder.embed.output": [[3.0, 1.0], [-3.0, 4.0]],
    "decoder.layers.0.self_attn.q": [[[LN3 / 6.0, 0.0], [-LN3 / 6.0, 0.0]]],
    "decoder.layers.0.self_attn.k": [[[3.0, 0.0], [-3.0, 0.0]]],
    "decoder.layers.0.self_attn.v": [[[3.0, 0.0], [-3.0, 0.0]]],
    "decoder.layers.0.self_attn.scores": [[[LN3 / 2.0, -LN3 / 2.0], [-LN3 / 2.0, LN3 / 2.0]]],
    "decoder.layers.0.self_attn.masked_scores": [[[LN3 / 2.0, None], [-LN3 / 2.0, LN3 / 2.0]]],  # None: hidden
    "decoder.layers.0.self_attn.weights": [[[1.0, 0.0], [0.25, 0.75]]],
    "decoder.layers.0.self_attn.context": [[3.0, 0.0], [-1.5, 0.0]],
    "decoder.layers.0.self_attn.output": [[-1.00001, 0.0], [6.00001, 0.0]],
    "decoder.layers.0.self_attn.sum": [[1.99999, 1.0], [3.00001, 4.0]],
    "decoder.layers.0.self_attn.norm": [[9.0, 1.0], [-9.0, 1.0]],
    "decoder.layers.0.encoder_attn.q": [[[LN3, 0.0], [-LN3, 0.0]]],
    "decoder.layers.0.encoder_attn.scores": [[[LN3 / 2.0, -LN3 / 2.0], [-LN3 / 2.0, LN3 / 2.0]]],
    "decoder.layers.0.encoder_attn.masked_scores": [[[LN3 / 2.0, -LN3 / 2.0], [-LN3 / 2.0, LN3 / 2.0]]],
    "decoder.layers.0.encoder_attn.weights": [[[0.75, 0.25], [0.25, 0.75]]],
    "decoder.layers.0.encoder_attn.context": [[18.5, 0.0], [13.5, 0.0]],
    "decoder.layers.0.encoder_attn.output": [[-7.00001, 0.0], [9.00001, 0.0]],
    "decoder.layers.0.encoder_attn.sum": [[1.99999, 1.0], [0.00001, 1.0]],
    "decoder.layers.0.encoder_attn.norm": [[3.0, 2.0], [-3.0, 2.0]],
    "decoder.layers.0.ffn.hidden": [[2.0], [-4.0]],
    "decoder.layers.0.ffn.activation": [[2.0], [0.0]],
    "decoder.layers.0.ffn.output": [[-0.00001, 0.0], [4.00001, 0.0]],
    "decoder.layers.0.ffn.sum": [[2.99999, 2.0], [1.00001, 2.0]],
    "decoder.layers.0.ffn.norm": [[63.0, 1.0], [33.0, 1.0]],
    "decoder.layers.0.output": [[63.0, 1.0], [33.0, 1.0]],
    "decoder.states": [[63.0, 1.0], [33.0, 1.0]],
    # The second row's products are (0, .099/sqrt2, .297/sqrt2), so .09/sqrt2 and .27/sqrt2 below ln 2 and ln 5.
    "logits": [
        [0.0, math.log(2.0), math.log(5.0)],
        [0.0, math.log(2.0) - 0.09 / R2, math.log(5.0) - 0.27 / R2],
    ],
    "log_probabilities": [
        [-math.log(8.0), -math.log(4.0), -math.log(1.6)],
        None,  # of the second row no simple numbers come out
    ],
}
