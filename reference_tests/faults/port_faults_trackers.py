"""Twenty-five mistakes from the trackers of other ports, each with its thread; the fourth list.

They were written when the search for causes was as the third list had left it, and before any was compared.
"""

from reference_tests.faults.port_fault import PortFault

COUNTED = (18, 5, 2)
"""How many causes were right, half and wrong when it was first compared."""

TRACKERS = {
    "target positions counted by tokens (huggingface/transformers 20624)": PortFault(
        "Positions of the target leave out what its mask hides.",
        [
            (
                "float *y = decode(some, new, past, own, cross, seen ? seen->data : NULL,",
                "shown = seen ? seen->data : NULL, shown_width = T;\n"
                "        float *y = decode(some, new, past, own, cross, seen ? seen->data : NULL,",
            ),
            (
                "static float *decode(const float *ids,",
                "static float *shown;\nstatic int shown_width;\nstatic float *decode(const float *ids,",
            ),
            (
                "places[n] = past + n % T;",
                "places[n] = past + n % T;\n"
                "    for (int n = 0; shown && n < B * T; n++) {\n"
                "        int count = 0;\n"
                "        for (int j = 0; j <= past + n % T; j++) count += shown[n / T * shown_width + j] != 0;\n"
                "        places[n] = count > 0 ? count - 1 : 0;\n"
                "    }",
            ),
        ],
        "prefill.decoder.embed.positions",
        r"by tokens|pads? left out|\bmask",
        r"positions|rows of",
        "tiny/masks_in_steps",
    ),
    "source positions by column (huggingface/transformers 48028)": PortFault(
        "Positions of the source are 0, 1, 2 in every row, whatever its pads.",
        [("places[n - 1] = seen > 0 ? seen - 1 : 0)", "places[n - 1] = (n - 1) % T)")],
        "encoder.embed.positions",
        r"by columns?",
        r"B = |row",
    ),
    "the unbiased variance (LBANN/lbann 2024)": PortFault(
        "Divided by n - 1.",
        [("variance / D + 1e-5f", "variance / (D - 1) + 1e-5f")],
        "encoder.embed.norm",
        r"n - 1",
        r"variance|factor per",
    ),
    "an epsilon between two models' (nomic-ai/gpt4all 1946)": PortFault(
        "5e-6, as a compromise.",
        [("variance / D + 1e-5f", "variance / D + 5e-6f")],
        "encoder.embed.norm",
        r"\beps 5e-06",
        r"\beps",
    ),
    "partial sums that were not written (microsoft/onnxruntime 19387)": PortFault(
        "Of the sums of 16 elements each, the last, which is not full, is not written.",
        [
            (
                "for (int i = 0; i < D; i++) mean += x[i];",
                "for (int i = 0; i < D / 16 * 16; i++) mean += x[i];",
            ),
            (
                "for (int i = 0; i < D; i++) variance +=",
                "for (int i = 0; i < D / 16 * 16; i++) variance +=",
            ),
        ],
        "encoder.embed.norm",
        r"last 8 terms",
        r"mean|variance|sum",
    ),
    "one residual more (lucidrains/alphafold3-pytorch 305)": PortFault(
        "The feed-forward block adds its input twice.",
        [
            (
                'return add_and_norm(x, y, T, text("%s.final_layer_norm", layer), text("%s.ffn", point));',
                "float *twice = get((size_t)B * T * D * 4);\n"
                "    for (int i = 0; i < B * T * D; i++) twice[i] = x[i] + x[i];\n"
                '    return add_and_norm(twice, y, T, text("%s.final_layer_norm", layer), text("%s.ffn", point));',
            )
        ],
        "encoder.layers.0.ffn.sum",
        r"added twice|times 2|twice",
        r"self_attn\.norm",
    ),
    "a mask of the batch taken for heads (lucidrains/graph-transformer-pytorch 2)": PortFault(
        "The mask's first axis meets the heads.",
        [("mask[b * wide + j]", "mask[h % B * wide + j]")],
        "encoder.layers.0.self_attn.masked_scores",
        r"\bheads?\b",
        r"hid(es|den)|mask",
    ),
    "every head is head 0 (BobMcDear/attorch 14)": PortFault(
        "An offset divided by a stride is 0 for every head.",
        [
            (
                "s[j] = dot(q + (size_t)row * K, m->k + first + (size_t)j * K, K, 1);",
                "s[j] = dot(q + (size_t)(b * H * T + i) * K, m->k + ((size_t)b * H * L + j) * K, K, 1);",
            ),
            (
                "for (int row = 0; row < B * H * T; row++) { /* of scores [B, H, T, L] */",
                "for (int row = 0; row < B * H * T; row++)\n"
                "        for (int c = 0; c < K; c++)\n"
                "            q[row * K + c] =\n"
                "                y[((size_t)(row / (H * T) * T + row % T) * H + row / T % H) * K + c] / root;\n"
                "    for (int row = 0; row < B * H * T; row++) {",
            ),
        ],
        "encoder.layers.0.self_attn.scores",
        r"H = 0|head 0",
        r"\bH\b|heads?",
    ),
    "a scale of a half (BobMcDear/attorch 14)": PortFault(
        "0.5 in place of 1 / sqrt(K).",
        [("q[row * K + c] = y[here + c] / root;", "q[row * K + c] = y[here + c] * 0.5f;")],
        "encoder.layers.0.self_attn.q",
        r"times 0\.816|queries divided by",
        r"\btimes\b",
    ),
    "scores by the size, not its root (charliezchen/scaling-matrix-preconditioning 2)": PortFault(
        "1 / K in place of 1 / sqrt(K).",
        [("root = sqrtf(K);", "root = K;")],
        "encoder.layers.0.self_attn.q",
        r"sqrt\(K\) twice|divided by K",
        r"\btimes\b",
    ),
    "GELU by a sigmoid of 1.773 x (ml-explore/mlx 744)": PortFault(
        "A fast approximation with another constant.",
        [("0.5f * h[i] * (1 + erff(h[i] * 0.70710678f))", "h[i] / (1 + expf(-1.773f * h[i]))")],
        "encoder.layers.0.ffn.activation",
        r"sigmoid|1\.77",
        r"approximat|another function",
    ),
    "two coefficients swapped (huggingface/transformers 11514)": PortFault(
        "tanh(0.044715 x (1 + 0.79788 x^2)).",
        [
            (
                "0.5f * h[i] * (1 + erff(h[i] * 0.70710678f))",
                "0.5f * h[i] * (1 + tanhf(h[i] * 0.044715f * (1 + 0.79788456f * h[i] * h[i])))",
            )
        ],
        "encoder.layers.0.ffn.activation",
        r"tanh|coefficient|swapped",
        r"approximat|another function",
    ),
    "GELU that is 0 too soon (tenstorrent/tt-metal 5578)": PortFault(
        "Below -1 the result is 0.",
        [("(1 + erff(h[i] * 0.70710678f)); /* GELU */", "(h[i] < -1 ? 0 : 1 + erff(h[i] * 0.70710678f));")],
        "encoder.layers.0.ffn.activation",
        r"below|negative|clipped",
        r"exactly 0",
    ),
    "GELU without its x (tensorflow/tfjs 8224)": PortFault(
        "The factor x is missing.",
        [("0.5f * h[i] * (1 + erff(h[i] * 0.70710678f))", "0.5f * (1 + erff(h[i] * 0.70710678f))")],
        "encoder.layers.0.ffn.activation",
        r"without x|distribution alone|missing",
        r"another function",
    ),
    "a table of GELU in halves (antonellof/ferrox 237)": PortFault(
        "A table is looked up by the half nearest to x and holds halves.",
        [
            (
                "h[i] = 0.5f * h[i] * (1 + erff(h[i] * 0.70710678f)); /* GELU */",
                "{\n        float x16 = shortened(h[i], 11, 1);\n"
                "        h[i] = shortened(0.5f * x16 * (1 + erff(x16 * 0.70710678f)), 11, 1);\n    }",
            )
        ],
        "encoder.layers.0.ffn.activation",
        r"half|float16",
        r"precision|approximat",
    ),
    "BART's two unused rows (huggingface/transformers 22359)": PortFault(
        "Positions begin at 2.",
        [("places[n - 1] = seen > 0 ? seen - 1 : 0)", "places[n - 1] = seen > 0 ? seen + 1 : 2)")],
        "encoder.embed.positions",
        r"\+2",
        r"moved|positions",
    ),
    "the pad's row kept at 0 (k2-fsa/icefall 1206)": PortFault(
        "padding_idx makes the embedding of id 0 zeros.",
        [
            (
                "memcpy(x + (size_t)n * D, tokens + (size_t)ids[n] * D, D * 4);",
                "if (ids[n] != 0) memcpy(x + (size_t)n * D, tokens + (size_t)ids[n] * D, D * 4);",
            )
        ],
        "encoder.embed.tokens",
        r"exactly 0|row 0|\bpad",
        r"B = ",
    ),
    "keys counted twice in a prompt (vllm-project/vllm 38321)": PortFault(
        "In cross-attention of several queries the first keys come twice and the last never.",
        [
            (
                "s[j] = dot(q + (size_t)row * K, m->k + first + (size_t)j * K, K, 1);",
                'int key = T > 1 && strstr(point, "encoder_attn") && j >= T ? j - T : j;\n'
                "            s[j] = dot(q + (size_t)row * K, m->k + first + (size_t)key * K, K, 1);",
            )
        ],
        "prefill.decoder.layers.0.encoder_attn.scores",
        r"\bholds?\b|in another order|keys moved|twice",
        r"\bL\b|keys",
        "tiny/steps",
    ),
    "the norms of the layer before (bytedance/lightseq 260)": PortFault(
        "An export gives every layer the self-attention norm of the one before it.",
        [
            (
                'y, T, text("%s_layer_norm", module), point);',
                "y, T, strstr(module, \"layers.1.self_attn\") && *module == 'd'\n"
                '    ? "decoder.layers.0.self_attn_layer_norm" : text("%s_layer_norm", module), point);',
            )
        ],
        "decoder.layers.1.self_attn.norm",
        r"decoder\.layers\.0\.self_attn_layer_norm",
        r"parameters|weight|gain",
    ),
    "a cache of another order (NVIDIA/FasterTransformer 270)": PortFault(
        "Cross-attention reads keys laid out by rows as laid out by tokens.",
        [
            (
                "s[j] = dot(q + (size_t)row * K, m->k + first + (size_t)j * K, K, 1);",
                'int turned = strstr(point, "encoder_attn") != NULL;\n'
                "            s[j] = dot(q + (size_t)row * K, m->k + (turned ? ((size_t)(j * B + b) * H + h) * K\n"
                "                       : first + (size_t)j * K), K, 1);",
            )
        ],
        "decoder.layers.0.encoder_attn.scores",
        r"in memory|memory order|laid|another order|\[L, B",
        r"\bB = |\brow|keys",
    ),
    "the norm before the block (dmlc/gluon-nlp 1488)": PortFault(
        "Queries are made of normed states.",
        [
            (
                'float *y = project(x, T, D, D, text("%s.q_proj", module)), *q =',
                'float *normed = layer_norm(x, T, text("%s_layer_norm", module), "spare");\n'
                "    points.count -= points.all != NULL;\n"
                '    float *y = project(normed, T, D, D, text("%s.q_proj", module)), *q =',
            )
        ],
        "encoder.layers.0.self_attn.q",
        r"pre-norm|applied to its input",
        r"norm",
    ),
    "no norm of the embedding (facebookresearch/fairseq 1758)": PortFault(
        "layernorm_embedding was deleted from the file, and the encoder goes on without it.",
        [
            (
                "if (*side == 'e') return layer_norm(add(x, p, T, sum), T, norm, normed);",
                "if (*side == 'e') return record(normed, add(x, p, T, sum), 0, T, D);",
            )
        ],
        "encoder.embed.norm",
        r"no norm|norm left out|encoder\.embed\.sum",
        r"norm",
    ),
    "targets shifted once more (ThilinaRajapakse/simpletransformers 958)": PortFault(
        "shift_tokens_right is called on what is shifted already.",
        [
            (
                "some[n] = target->data[n / new * T + past + n % new];",
                "some[n] = past + n % new ? target->data[n / new * T + past + n % new - 1] : START;",
            )
        ],
        "decoder.embed.tokens",
        r"shift|roll|moved",
        r"rows of|in place of",
    ),
    "a mean of means (huggingface/trl 5575)": PortFault(
        "The loss is averaged for each row, and then over rows.",
        [
            (
                "if (labels && labels->data[n] >= 0) loss -= l[(int)labels->data[n]], counted++;",
                "int own_labels = 0, rows = 0;\n"
                "            for (int i = 0; labels && i < B * T; i++) {\n"
                "                own_labels += i / T == n / T && labels->data[i] >= 0;\n"
                "                rows += labels->data[i] >= 0 && (i % T == 0 || labels->data[i - 1] < 0);\n"
                "            }\n"
                "            if (labels && labels->data[n] >= 0) loss -= l[(int)labels->data[n]] / own_labels;\n"
                "            counted = rows;",
            )
        ],
        "loss",
        r"rows' means|means of (the )?rows|per row",
        r"\btimes\b|mean",
    ),
    "a share of the bias from one rank alone (pytorch/torchtitan 4332)": PortFault(
        "Every rank adds its share, a half, but one of two ranks runs.",
        [
            (
                'T, D), T, D, D, text("%s.out_proj", module));',
                'T, D), T, D, D, text("%s.out_proj", module));\n'
                "    for (int i = 0; i < B * T * D; i++)\n"
                '        y[i] -= weight(text("%s.out_proj", module), ".bias")[i % D] / 2;',
            )
        ],
        "encoder.layers.0.self_attn.output",
        r"bias.*(half|0\.5)|(half|0\.5).*bias",
        r"bias|per column",
    ),
}
