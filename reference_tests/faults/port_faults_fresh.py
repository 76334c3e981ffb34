"""Twenty-five mistakes from the trackers of other ports, each with its thread; the list that is counted.

They were written when the search for causes was final, from other threads than those before, and compared once.
"""

from reference_tests.faults.port_fault import PortFault

COUNTED = (18, 1, 6)
"""How many causes were right, half and wrong when it was first compared."""

SCORE = "s[j] = dot(q + (size_t)row * K, m->k + first + (size_t)j * K, K, 1);"
MIX = "mixed[here + c] = dot(p, m->v + first + c, L, K);"
CACHED = "memcpy(all + ((size_t)(b * H + h) * L + old + i) * K, new + (size_t)n * K, K * 4);"
OUT = 'T, D), T, D, D, text("%s.out_proj", module));'

FRESH = {
    "heads put together crosswise (ferritin-bio/ferritin 172)": PortFault(
        "The context of a head is turned before the heads are put together.",
        [(MIX, "mixed[(size_t)b * T * D + ((size_t)h * K + c) * T + i] = dot(p, m->v + first + c, L, K);")],
        "encoder.layers.0.self_attn.context",
        r"order|transpos|memory|laid|read as",
        r"heads?",
    ),
    "a softmax along the other axis (nerdai/llms-from-scratch-rs 30)": PortFault(
        "Weights add up to 1 over the queries.",
        [
            (
                '    record(text("%s.q", point), q, H, T, K), record(',
                "    for (int n = 0; n < B * H * L; n++) {\n"
                "        float *at = masked + (size_t)(n / L) * T * L + n % L, top = -3e38f, total = 0;\n"
                "        for (int i = 0; i < T; i++) top = fmaxf(top, at[(size_t)i * L]);\n"
                "        for (int i = 0; i < T; i++) total += expf(at[(size_t)i * L] - top);\n"
                "        for (int i = 0; i < T; i++)\n"
                "            w[at - masked + (size_t)i * L] = expf(at[(size_t)i * L] - top) / total;\n"
                "    }\n"
                '    record(text("%s.q", point), q, H, T, K), record(',
            )
        ],
        "encoder.layers.0.self_attn.weights",
        r"over the queries",
        r"axis",
    ),
    "the other token to start with (NielsRogge/Transformers-Tutorials 362)": PortFault(
        "The target begins with the token that ends replies.",
        [
            (
                "some[n] = target->data[n / new * T + past + n % new];",
                "some[n] = past + n % new ? target->data[n / new * T + past + n % new] : END;",
            )
        ],
        "decoder.embed.tokens",
        r"\b2 in place of 1\b",
        r"only at T = 0|rows? of",
    ),
    "a product of zeros (mitsuba-renderer/drjit-core 200)": PortFault(
        "For this width the library's kernel gives nothing but zeros.",
        [
            (
                'text("%s.ffn.hidden", point), project(x, T, D, F, text("%s.fc1", layer)), 0, T, F);',
                'text("%s.ffn.hidden", point), get((size_t)B * T * F * 4), 0, T, F);\n    (void)x;',
            )
        ],
        "encoder.layers.0.ffn.hidden",
        r"exactly 0",
        r"zeros?",
    ),
    "what lies behind a row is added (tenstorrent/tt-metal 22333)": PortFault(
        "Rows are taken in tiles of 16, and what fills the last tile is not zero but the next row.",
        [
            (
                'T, F, D, text("%s.fc2", layer));',
                'T, F, D, text("%s.fc2", layer));\n'
                '    const float *next = weight(text("%s.fc2", layer), ".weight");\n'
                "    for (int n = 0; n < B * T * D; n++)\n"
                "        for (int e = F; e < 16; e++)\n"
                "            if (n / D * F + e < B * T * F && n % D * F + e < D * F)\n"
                "                y[n] += h[n / D * F + e] * next[n % D * F + e];",
            )
        ],
        "encoder.layers.0.ffn.output",
        r"too many|next row|behind|more terms",
        r"terms?\b",
    ),
    "weights in the other byte order (safetensors/safetensors 307)": PortFault(
        "The numbers of the table are read as a big-endian machine does.",
        [
            (
                "t->data[i] = as_float(from + width * i, dtype);",
                "{\n            char turned[4] = {from[width * i + 3], from[width * i + 2], from[width * i + 1], "
                "from[width * i]};\n"
                '            t->data[i] = as_float(strstr(name, "shared") ? turned : from + width * i, dtype);\n'
                "        }",
            )
        ],
        "encoder.embed.tokens",
        r"bytes swapped|big-endian|byte order",
    ),
    "a norm whose weight is left aside (pytorch/pytorch 69208)": PortFault(
        "The fast kernel takes weight and bias together or neither.",
        [("* scale * gain[i] + bias[i];", "* scale * (gain[i] * 0 + 1) + bias[i];")],
        "encoder.embed.norm",
        r"weight not applied",
        r"weight|factor per column",
    ),
    "a norm that only scales and shifts (lwtnn/lwtnn 29)": PortFault(
        "Mean and deviation are taken for what training alone needs.",
        [
            (
                "*end++ = (x[i] - (float)mean) * scale * gain[i] + bias[i];",
                "*end++ = x[i] * gain[i] + bias[i] + 0 * scale;",
            )
        ],
        "encoder.embed.norm",
        r"mean.*(variance|deviation|root)|not normali[sz]ed|weight and bias alone|only scaled",
        r"mean|variance|no norm",
    ),
    "a matrix that is not loaded (spragunr/deep_q_rl 16)": PortFault(
        "The bias is loaded twice and the matrix never, which stays 0.",
        [
            (
                'T, F, D, text("%s.fc2", layer));',
                'T, F, D, text("%s.fc2", layer));\n'
                '    for (int n = 0; n < B * T * D; n++) y[n] = weight(text("%s.fc2", layer), ".bias")[n % D];',
            )
        ],
        "encoder.layers.0.ffn.output",
        r"bias alone|its product left out|weight.*(0|zero)|only its bias",
        r"\bbias\b|same in every row",
    ),
    "one cache for all layers (pclucas14/GansFallingShort 2)": PortFault(
        "The second layer appends to the keys and values of the first.",
        [
            (
                'remember(&own[n], x, T, HEADS[1], module, text("%s%s", prefix, module));',
                'remember(&own[0], x, T, HEADS[1], module, text("%s%s", prefix, module));',
            ),
            ("x = attend(x, T, HEADS[1], &own[n], mask,", "x = attend(x, T, HEADS[1], &own[0], mask,"),
        ],
        "decoder.layers.1.self_attn.scores",
        r"\bL is 18 where the reference has 9|keys of another layer|another layer's",
        r"\bL is",
    ),
    "a mask of floats, added (mlverse/torch 1208)": PortFault(
        "1 where a key is padding is added to its score.",
        [
            (
                "hidden[j] = (!mask || mask[b * wide + j]) && j <= past + i ? s[j] : -1e20f;",
                "hidden[j] = j <= past + i ? s[j] + (mask && !mask[b * wide + j]) : -1e20f;",
            )
        ],
        "encoder.layers.0.self_attn.masked_scores",
        r"added as 1",
        r"hides|mask",
    ),
    "a triangle of ones, added (pytorch/pytorch 21518)": PortFault(
        "The causal mask of zeros and ones is added to the scores.",
        [
            (
                "hidden[j] = (!mask || mask[b * wide + j]) && j <= past + i ? s[j] : -1e20f;",
                "hidden[j] = *point == 'e' || strstr(point, \"encoder_attn\") || !(past == 0)\n"
                "                ? (!mask || mask[b * wide + j]) && j <= past + i ? s[j] : -1e20f : s[j] + (j <= i);",
            )
        ],
        "decoder.layers.0.self_attn.masked_scores",
        r"added as 0 and 1",
        r"hides|mask",
    ),
    "values turned for some layers (openvinotoolkit/openvino 37214)": PortFault(
        "The cache of values is read as if its last two axes were exchanged.",
        [(MIX, "mixed[here + c] = dot(p, m->v + (size_t)(b * H + h) * L * K + (size_t)c * L, L, 1);")],
        "encoder.layers.0.self_attn.context",
        r"read as|transpos|exchanged",
        r"\bv\b|values",
    ),
    "keys written without their head's offset (vllm-project/vllm 29887)": PortFault(
        "All heads write to the place of the first, and the others' stay empty.",
        [(CACHED, "memcpy(all + ((size_t)(b * H + (value ? h : 0)) * L + old + i) * K, new + (size_t)n * K, K * 4);")],
        "encoder.layers.0.self_attn.scores",
        r"not written|exactly 0|last head|head \d",
        r"\bH = |heads?",
    ),
    "a cache of tokens before heads (vllm-project/vllm 42740)": PortFault(
        "Keys laid out as [H, L, K] are read as [L, H, K].",
        [(SCORE, "s[j] = dot(q + (size_t)row * K, m->k + (((size_t)b * L + j) * H + h) * K, K, 1);")],
        "encoder.layers.0.self_attn.scores",
        r"read as \[B, L, H, K\]",
        r"read as|another order|memory",
    ),
    "keys appended as values (mlc-ai/mlc-llm 2277)": PortFault(
        "The kernel that appends values reads from the keys.",
        [("        *kept = all;", "        *kept = value ? m->k : all;")],
        "encoder.layers.0.self_attn.context",
        r"self_attn\.k in place of .*self_attn\.v",
        r"\bv\b|values|keys",
    ),
    "states before the last layer (mosaicml/llm-foundry 210)": PortFault(
        "What a list of hidden states ends with is the input of the last layer.",
        [
            (
                "        x = attend(x, T, HEADS[0], &m, mask, T, T, own, own);",
                "        float *before = memcpy(get((size_t)B * T * D * 4), x, (size_t)B * T * D * 4);\n"
                "        x = attend(x, T, HEADS[0], &m, mask, T, T, own, own);",
            ),
            (
                "x = zero_pads(feed_forward(x, T, WIDTH[0], layer, layer), mask, T, layer);",
                "x = zero_pads(feed_forward(x, T, WIDTH[0], layer, layer), mask, T, layer);\n"
                "        if (n == LAYERS[0] - 1) x = before;",
            ),
        ],
        "encoder.states",
        r"encoder\.embed\.output",
        r"another point|layer",
    ),
    "no biases (OpenNMT/CTranslate2 297)": PortFault(
        "Linear maps are converted without a bias.",
        [
            ("*end++ = dot(x, w + (size_t)o * in, in, 1) + bias[o];", "*end++ = dot(x, w + (size_t)o * in, in, 1);"),
            (
                "static float *linear(const float *x, int rows, int in, int out, const float *w, const float *bias) {",
                "static float *linear(const float *x, int rows, int in, int out, const float *w, const float *bias) {\n"
                "    (void)bias;",
            ),
        ],
        "encoder.layers.0.self_attn.q",
        r"bias left out",
        r"\bbias\b",
    ),
    "rows of another stride (tenstorrent/tt-metal 6775)": PortFault(
        "Rows are written one behind the other and read as if each were padded by two.",
        [
            (
                'text("%s.ffn.hidden", point), project(x, T, D, F, text("%s.fc1", layer)), 0, T, F);',
                'text("%s.ffn.hidden", point), get((size_t)B * T * F * 4), 0, T, F);\n'
                '    float *packed = project(x, T, D, F, text("%s.fc1", layer));\n'
                "    for (int n = 0; n < B * T * F; n++) {\n"
                "        size_t at = (size_t)(n / F) * (F + 2) + n % F;\n"
                "        h[n] = at < (size_t)B * T * F ? packed[at] : 0;\n"
                "    }\n"
                '    record(text("%s.ffn.hidden", point), h, 0, T, F), points.all[points.count - 2] = '
                "points.all[points.count - 1], points.count--;",
            )
        ],
        "encoder.layers.0.ffn.hidden",
        r"stride|padded rows|rows of 12",
        r"memory|order",
    ),
    "tokens before heads (triton-lang/triton 2626)": PortFault(
        "[T, H, K] is given to a kernel that takes [H, T, K].",
        [
            (
                "for (int c = 0; c < K; c++) q[row * K + c] = y[here + c] / root;",
                "for (int c = 0; c < K; c++) q[row * K + c] = y[row * K + c] / root;",
            )
        ],
        "encoder.layers.0.self_attn.q",
        r"as it lies|without a transpose|flat order|\[B, T, H, K\]",
        r"order|memory",
    ),
    "heads put together as they lie (bytedance/lightseq 462)": PortFault(
        "[H, T, K] is taken for [T, H, K].",
        [(MIX, "mixed[(size_t)row * K + c] = dot(p, m->v + first + c, L, K);")],
        "encoder.layers.0.self_attn.context",
        r"without a transpose|flat order",
        r"order|heads?",
    ),
    "a norm as it is before training (freelw/cpp-transformer 6)": PortFault(
        "Weights stay 1 and biases 0.",
        [("* scale * gain[i] + bias[i];", "* scale * (gain[i] * 0 + 1) + 0 * bias[i];")],
        "encoder.embed.norm",
        r"neither weight nor bias",
        r"weight|bias",
    ),
    "a table of positions that is too short (ggml-org/whisper.cpp 3987)": PortFault(
        "Its length is read from another setting, and later positions get its last row.",
        [("places[n] = past + n % T;", "places[n] = past + n % T < 4 ? past + n % T : 4;")],
        "decoder.embed.positions",
        r"no larger than 4|clipped",
        r"positions|rows of",
    ),
    "pads at position 1 (unslothai/unsloth 3795)": PortFault(
        "Positions of pads are set to 1, which does not matter where pads are hidden.",
        [
            (
                "places[n - 1] = seen > 0 ? seen - 1 : 0)",
                "places[n - 1] = mask && !mask[n - 1] ? 1 : seen > 0 ? seen - 1 : 0)",
            )
        ],
        "encoder.embed.positions",
        r"\b1 in place of \d|\bpads?\b",
        r"rows of|positions",
    ),
    "a matrix of [in, out] (tinygrad/tinygrad 18103)": PortFault(
        "The map of values is stored the other way round.",
        [
            (
                "        float *new = get((size_t)B * T * D * 4), *all",
                '        const float *turned = weight(text("%s.v_proj", module), ".weight");\n'
                "        for (int o = 0; value && o < B * T * D; o++)\n"
                "            y[o] = dot(x + o / D * D, turned + o % D, D, D) + "
                'weight(text("%s.v_proj", module), ".bias")[o % D];\n'
                "        float *new = get((size_t)B * T * D * 4), *all",
            )
        ],
        "encoder.layers.0.self_attn.v",
        r"transposed",
        r"v_proj",
    ),
}
