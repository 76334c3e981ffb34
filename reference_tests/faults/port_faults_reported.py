"""Twenty-five mistakes that were reported in the trackers of other ports, each with its thread; the third list.

They were written when the search for causes was as it had come out of the first two lists, and before any was compared.
"""

from reference_tests.faults.port_fault import PortFault

COUNTED = (14, 7, 4)
"""How many causes were right, half and wrong when it was first compared."""

REPORTED = {
    "BERT's epsilon (nomic-ai/gpt4all 1946)": PortFault(
        "1e-12 in every norm.",
        [("variance / D + 1e-5f", "variance / D + 1e-12f")],
        "encoder.embed.norm",
        r"\beps\b.*1e-12",
        r"\beps",
    ),
    "a bias on every rank (huggingface/text-generation-inference 1036)": PortFault(
        "Two ranks add the output map's bias before their parts are added.",
        [
            (
                'T, D), T, D, D, text("%s.out_proj", module));',
                'T, D), T, D, D, text("%s.out_proj", module));\n'
                '    for (int i = 0; i < B * T * D; i++) y[i] += weight(text("%s.out_proj", module), ".bias")[i % D];',
            )
        ],
        "encoder.layers.0.self_attn.output",
        r"bias.*twice",
        r"bias",
    ),
    "fused heads cut as [H, 3, K] (lablup/mlxcel 928)": PortFault(
        "Queries, keys and values are rows of one matrix [3, H, K], read as [H, 3, K].",
        [
            (
                "static float *project(const float *x, int T, int in, int out, const char *module) {",
                "static float *project(const float *x, int T, int in, int out, const char *module) {\n"
                '    const char *last = strstr(module, "self_attn.") ? strrchr(module, \'.\') + 1 : "o";\n'
                '    if (strchr("qkv", *last)) {\n'
                '        int which = strchr("qkv", *last) - "qkv", H = HEADS[*module == \'d\'], K = D / H;\n'
                "        float *w = get((size_t)D * D * 4), *b = get((size_t)D * 4);\n"
                "        for (int o = 0; o < D; o++) {\n"
                "            int row = o / K * 3 * K + which * K + o % K;\n"
                '            char *from = text("%.*s%c_proj", (int)(last - module), module, "qkv"[row / D]);\n'
                '            memcpy(w + (size_t)o * D, weight(from, ".weight") + (size_t)(row % D) * D, D * 4);\n'
                '            b[o] = weight(from, ".bias")[row % D];\n'
                "        }\n"
                "        return linear(x, B * T, in, out, w, b);\n"
                "    }",
            )
        ],
        "encoder.layers.0.self_attn.q",
        r"fused|interleav|\[H, 3, K\]|q, k and v",
        r"\bH = |k_proj|v_proj|heads",
    ),
    "embeddings without their scale (OpenNMT/CTranslate2 1760)": PortFault(
        "The factor is not looked for.",
        [('SCALE = number(json, "scale_embedding", 1) ? sqrtf(D) : 1;', "SCALE = 1;")],
        "encoder.embed.scaled",
        r"no factor|sqrt\(24\)|factor.*left out",
        r"\btimes\b",
    ),
    "the head's bias left out (vllm-project/vllm 46835)": PortFault(
        "final_logits_bias is skipped with the tied head.",
        [
            (
                'weight("shared", ".weight"), weight("final_logits_bias", ""));',
                'weight("shared", ".weight"), get((size_t)V * 4));',
            )
        ],
        "logits",
        r"bias.*left out",
        r"bias|per column",
        "tiny/final_bias",
    ),
    "keys where values are reordered (huggingface/transformers 34232)": PortFault(
        "After the first step the cache of values holds keys.",
        [
            (
                "mixed[here + c] = dot(p, m->v + first + c, L, K);",
                "mixed[here + c] = dot(p, (past && past != wide ? m->k : m->v) + first + c, L, K);",
            )
        ],
        "step1.decoder.layers.0.self_attn.context",
        r"\.k\b.*in place of.*\.v\b|\bkeys?\b.*(in place of|as|for).*\bvalues?",
        r"\bv\b|values",
        "tiny/steps",
    ),
    "a mask cut at the number of heads (huggingface/transformers 36477)": PortFault(
        "The mask is cut to the length of another axis, and keys behind it are hidden.",
        [("(!mask || mask[b * wide + j])", "(!mask || (j < H && mask[b * wide + j]))")],
        "encoder.layers.0.self_attn.masked_scores",
        r"= 4\.\.6",
        r"\bhidden\b|mask",
    ),
    "pads of the target seen (pytorch/torchtune 1250)": PortFault(
        "The mask of a batch is causal only.",
        [("own, cross, seen ? seen->data : NULL, T, source_mask", "own, cross, seen ? NULL : NULL, T, source_mask")],
        "decoder.layers.0.self_attn.masked_scores",
        r"pads? (are )?(attended|seen)|causal mask alone",
        r"hid(es|den)|mask",
        "tiny/target_mask",
    ),
    "a causal mask from the upper left (lucidrains/x-transformers 187)": PortFault(
        "With a cache the mask is that of a square.",
        [("&& j <= past + i ? s[j]", "&& j <= (past == wide ? past : 0) + i ? s[j]")],
        "step1.decoder.layers.0.self_attn.masked_scores",
        r"upper left|corner",
        r"\bhidden\b|mask",
        "tiny/steps",
    ),
    "padding of the source seen (ggml-org/whisper.cpp 3941)": PortFault(
        "Cross-attention runs over buffers padded with zeros to a multiple of 16.",
        [
            (
                "        for (int j = 0; j < L; j++) p[j] /= total;",
                '        if (strstr(point, "encoder_attn")) '
                "total += ((L + 15) / 16 * 16 - L) * expf(0 - hidden[largest(hidden, L)]);\n"
                "        for (int j = 0; j < L; j++) p[j] /= total;",
            )
        ],
        "decoder.layers.0.encoder_attn.weights",
        r"padding|score 0",
        r"(factor|amount) per",
    ),
    "a grid of no tile (ml-explore/mlx 4250)": PortFault(
        "The number of tiles is rounded down: with fewer keys than a tile nothing runs.",
        [
            (
                "s[j] = dot(q + (size_t)row * K, m->k + first + (size_t)j * K, K, 1);",
                "s[j] = j < L / 8 * 8 ? dot(q + (size_t)row * K, m->k + first + (size_t)j * K, K, 1) : 0;",
            )
        ],
        "encoder.layers.0.self_attn.scores",
        r"exactly 0|not (written|computed)",
        r"\bzeros?\b",
    ),
    "rows behind a tile from the tile before (ml-explore/mlx 3856)": PortFault(
        "An offset is clamped, so that the rows left over are written with those of the last tile.",
        [
            (
                'T, F, D, text("%s.fc2", layer));',
                'T, F, D, text("%s.fc2", layer));\n'
                "    for (int r = B * T / 8 * 8; B * T > 8 && r < B * T; r++) "
                "memcpy(y + (size_t)r * D, y + (size_t)(r - 8) * D, D * 4);",
            )
        ],
        "encoder.layers.0.ffn.output",
        r"(holds|same as|copies|equal).*(row|slice|another|earlier|\d)|(rows?|slices?) .*(of|from) (another|the)",
        r"only at B = 4",
    ),
    "groups that do not divide a row (karpathy/llama2.c 532)": PortFault(
        "Rows are quantized in groups of 16, and the 8 left over stay 0.",
        [
            (
                'float *y = project(x, T, D, D, text("%s.q_proj", module)), *q =',
                "float *few = get((size_t)D * D * 4), *groups;\n"
                '    groups = in_int8(weight(text("%s.q_proj", module), ".weight"), D, D);\n'
                "    for (int i = 0; i < D * D; i++) few[i] = i % D < D / 16 * 16 ? groups[i] : 0;\n"
                '    float *y = linear(x, B * T, D, D, few, weight(text("%s.q_proj", module), ".bias")), *q =',
            )
        ],
        "encoder.layers.0.self_attn.q",
        r"last 8 terms|int8|8 bits",
        r"left out|quanti[sz]ed",
    ),
    "heads shared that are not (ml-explore/mlx 3480)": PortFault(
        "The keys of every second head are taken for two heads.",
        [
            (
                "s[j] = dot(q + (size_t)row * K, m->k + first + (size_t)j * K, K, 1);",
                "s[j] = dot(q + (size_t)row * K, m->k + ((size_t)(b * H + h / 2 * 2) * L + j) * K, K, 1);",
            )
        ],
        "encoder.layers.0.self_attn.scores",
        r"of head|of the (next|head)|heads? shared|h // 2",
        r"\bH = ",
    ),
    "a softmax of exp(x) alone (pytorch/executorch 18407)": PortFault(
        "The largest score is not taken off.",
        [("float top = x[largest(x, n)];", "float top = n == V ? x[largest(x, n)] : 0;")],
        "encoder.layers.0.self_attn.weights",
        r"largest|maximum|overflow|every key|all keys|hides all",
        r"NaN",
    ),
    "a denominator in float16 (huggingface/candle 3727)": PortFault(
        "The sum of exponentials is kept in half precision.",
        [
            (
                "total += y[i] = expf(x[i] - top);",
                "y[i] = expf(x[i] - top), total = n == V ? total + y[i] : shortened(total + y[i], 11, 1);",
            )
        ],
        "encoder.layers.0.self_attn.weights",
        r"(half|float16).*\bsum|\bsum.*(half|float16)",
        r"factor per|half|float16",
    ),
    "exponentials in half precision (ggml-org/llama.cpp 4742)": PortFault(
        "The softmax is computed on halves.",
        [
            (
                "total += y[i] = expf(x[i] - top);",
                "total += y[i] = shortened(expf(shortened(x[i] - top, 11, 1)), 11, 1);",
            )
        ],
        "encoder.layers.0.self_attn.weights",
        r"half|float16",
        r"precision|approximat",
    ),
    "the decoder's norm after positions (huggingface/transformers 11046)": PortFault(
        "The decoder's embedding is built as the encoder's is.",
        [
            (
                "return add(layer_norm(x, T, norm, normed), p, T, sum);",
                "return layer_norm(add(x, p, T, sum), T, norm, normed);",
            )
        ],
        "decoder.embed.norm",
        r"after the positions|positions.*(before|first)|norm.*after",
        r"positions",
    ),
    "the first norm for the second (ml-explore/mlx 1636)": PortFault(
        "Cross-attention ends with the norm of self-attention.",
        [
            (
                'y, T, text("%s_layer_norm", module), point);',
                'y, T, !strstr(module, "encoder_attn") ? text("%s_layer_norm", module)\n'
                '    : text("%.*sself_attn_layer_norm", (int)strlen(module) - 12, module), point);',
            )
        ],
        "decoder.layers.0.encoder_attn.norm",
        r"self_attn_layer_norm",
        r"parameters|weight|gain",
    ),
    "a last norm once more (pytorch/pytorch 50086)": PortFault(
        "The encoder ends with a norm behind that of its last layer.",
        [
            (
                '    record("encoder.states", x, 0, T, D);',
                '    char *last = text("encoder.layers.%d.final_layer_norm", LAYERS[0] - 1);\n'
                '    x = layer_norm(x, T, last, "spare"), points.count--;\n'
                '    record("encoder.states", x, 0, T, D);',
            )
        ],
        "encoder.states",
        r"norm.*(twice|again|once more|after the last|applied)|(another|a second|one more) norm",
        r"norm",
    ),
    "queries divided by the root of D (lucidrains/vit-pytorch 65)": PortFault(
        "The width of all heads in place of one.",
        [("root = sqrtf(K);", "root = sqrtf(D);")],
        "encoder.layers.0.self_attn.q",
        r"sqrt\(D\)|root of D",
        r"\btimes\b",
    ),
    "queries divided by the root of H (tenstorrent/tt-metal 56789)": PortFault(
        "The number of heads in place of their size.",
        [("root = sqrtf(K);", "root = sqrtf(H);")],
        "encoder.layers.0.self_attn.q",
        r"sqrt\(H\)|number of heads|root of H",
        r"\btimes\b",
    ),
    "queries times the root (esceptico/perceiver-io 9)": PortFault(
        "1 / sqrt(K) is a factor, and it is divided by.",
        [("q[row * K + c] = y[here + c] / root;", "q[row * K + c] = y[here + c] * root;")],
        "encoder.layers.0.self_attn.q",
        r"multiplied by sqrt|times sqrt|times 1/6|times 0\.1667",
        r"\btimes\b",
    ),
    "an exponential with a floor (torch-spyre/torch-spyre 4522)": PortFault(
        "exp of what is hidden stays at the smallest half and not at 0.",
        [
            (
                "total += y[i] = expf(x[i] - top);",
                "total += y[i] = n == V ? expf(x[i] - top) : fmaxf(expf(x[i] - top), 6.1e-5f);",
            )
        ],
        "encoder.layers.0.self_attn.weights",
        r"hidden|underflow|floor|not 0|smallest|least",
        r"approximat|clipped",
    ),
    "no causal mask (JohnSnowLabs/spark-nlp 2149)": PortFault(
        "The decoder's mask is filled with zeros.",
        [("&& j <= past + i ? s[j]", "? s[j]")],
        "decoder.layers.0.self_attn.masked_scores",
        r"no (causal )?mask|causal mask (is )?missing",
        r"hid(es|den)|mask",
    ),
}
