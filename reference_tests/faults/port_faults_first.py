"""Twenty-five mistakes of porters, the first list: written before the search for causes was looked at."""

from reference_tests.faults.port_fault import PortFault

COUNTED = (14, 3, 8)
"""How many causes were right, half and wrong when it was first compared."""

MANY = r"\b(2|3|4|twice|thrice|several times|more than once)\b"

FIRST = {
    "keys cached in float16": PortFault(
        "The cache keeps keys in half precision, while the trace shows them before.",
        [
            (
                "memcpy(all + ((size_t)(b * H + h) * L + old + i) * K, new + (size_t)n * K, K * 4);",
                "for (int c = 0; c < K; c++)\n"
                "                all[((size_t)(b * H + h) * L + old + i) * K + c] =\n"
                "                    value ? new[n * K + c] : shortened(new[n * K + c], 11, 1);",
            ),
        ],
        "encoder.layers.0.self_attn.scores",
        r"(half|float16).*(\bk\b|keys?)|(\bk\b|keys?).*(half|float16)",
        r"half|float16",
    ),
    "matrices cut to bfloat16": PortFault(
        "A converter keeps the upper two bytes of every matrix of a projection, without rounding.",
        [
            (
                "t->data[i] = as_float(from + width * i, dtype);",
                "{\n            t->data[i] = as_float(from + width * i, dtype);\n"
                '            if (strstr(name, "_proj.w") || strstr(name, "fc")) '
                "((uint32_t *)t->data)[i] &= 0xFFFF0000;\n        }",
            )
        ],
        "encoder.layers.0.self_attn.q",
        r"bfloat16",
        r"precision|2\^-8",
    ),
    "feed-forward matrices in int8": PortFault(
        "The first matrix of the feed-forward block is quantized to 8 bits, a scale for each row.",
        [
            (
                'project(x, T, D, F, text("%s.fc1", layer))',
                'linear(x, B * T, D, F, in_int8(weight(text("%s.fc1", layer), ".weight"), F, D), '
                'weight(text("%s.fc1", layer), ".bias"))',
            )
        ],
        "encoder.layers.0.ffn.hidden",
        r"int8|8.?bits?\b",
        r"quanti[sz]ed|precision",
    ),
    "a quick exponential": PortFault(
        "expf is made of the exponent's bits and a straight line between them.",
        [("total += y[i] = expf(x[i] - top);", "total += y[i] = fast_exp(x[i] - top);")],
        "encoder.layers.0.self_attn.weights",
        r"approximat.*(exp|softmax)|(exp|softmax).*approximat",
        r"approximat|relative error",
    ),
    "a quick inverse root": PortFault(
        "1 / sqrt is made by a magic number and one step of Newton's method.",
        [("float scale = 1 / sqrtf(variance / D + 1e-5f);", "float scale = fast_root(variance / D + 1e-5f);")],
        "encoder.embed.norm",
        r"approximat.*(root|sqrt)|(root|sqrt).*approximat",
        r"approximat|one (amount|factor) per (row|token)|\btimes\b",
    ),
    "GELU by tanh": PortFault(
        "The formula of GPT-2.",
        [
            (
                "0.5f * h[i] * (1 + erff(h[i] * 0.70710678f))",
                "0.5f * h[i] * (1 + tanhf(0.79788456f * (h[i] + 0.044715f * h[i] * h[i] * h[i])))",
            )
        ],
        "encoder.layers.0.ffn.activation",
        r"tanh|gelu_new",
    ),
    "eps of 1e-6": PortFault(
        "The norms' epsilon of other models.",
        [("variance / D + 1e-5f", "variance / D + 1e-6f")],
        "encoder.embed.norm",
        r"\beps\w*.*1e-0?6",
        r"\beps",
    ),
    "the rest of a vector loop left out": PortFault(
        "Products take four elements at a time, and what is left behind the last four is not added.",
        [("for (int i = 0; i < n; i++) sums[i % LANES]", "for (int i = 0; i < n / 4 * 4; i++) sums[i % LANES]")],
        "encoder.layers.0.self_attn.scores",
        r"(last|final|trailing) .*(left out|missing|not (added|summed))|(left out|missing).*(last|final|trailing)",
        r"left out|missing|not (added|summed)",
    ),
    "a bias for every tile": PortFault(
        "A sum cut into four tiles adds the bias with each of them.",
        [
            (
                'T, F, D, text("%s.fc2", layer));',
                'T, F, D, text("%s.fc2", layer));\n'
                '    for (int i = 0; i < B * T * D; i++) y[i] += 3 * weight(text("%s.fc2", layer), ".bias")[i % D];',
            )
        ],
        "encoder.layers.0.ffn.output",
        rf"bias.*{MANY}|{MANY}.*bias",
        r"bias",
    ),
    "the mask the other way round": PortFault(
        "1 is taken for hidden.",
        [("(!mask || mask[b * wide + j])", "(!mask || !mask[b * wide + j])")],
        "encoder.layers.0.self_attn.masked_scores",
        r"invert|opposite|other way|turned round|negat|1 (means|is taken)",
        r"hid(es|den)|mask",
    ),
    "positions too far after the prompt": PortFault(
        "After the prompt, positions count from the cache's length plus one.",
        [("places[n] = past + n % T;", "places[n] = past + (past > 0) + n % T;")],
        "step1.decoder.embed.positions",
        r"shifted by|rolled by|off by one|next row|row.*(1|one) (later|further|too)|position.*\+ ?1|later by",
        r"position",
        "tiny/steps",
    ),
    "the table of tokens from its second row": PortFault(
        "The file has a row of padding before the first token that this table lacks.",
        [
            (
                "memcpy(x + (size_t)n * D, tokens + (size_t)ids[n] * D, D * 4);",
                "memcpy(x + (size_t)n * D, tokens + ((size_t)ids[n] + 1) % V * D, D * 4);",
            )
        ],
        "encoder.embed.tokens",
        r"(id|row|token|table).*(\+ ?1\b|by (1|one)|next)|next row|one row",
        r"\brow|\bid\b|table|shift",
    ),
    "the residual overwritten": PortFault(
        "The block's output is written over its input before the two are added.",
        [
            (
                'layer_norm(add(x, y, T, text("%s.sum", point)), T, norm, text("%s.norm", point));',
                'layer_norm(add(y, y, T, text("%s.sum", point)), T, norm, text("%s.norm", point));',
            )
        ],
        "encoder.layers.0.self_attn.sum",
        rf"(output).*{MANY}|{MANY}.*output|output.*factor of 2|output times|output in place of",
        r"output|residual",
    ),
    "rows behind the last full tile": PortFault(
        "Rows are shared out to four threads, and those left over are not computed.",
        [
            (
                "return linear(x, B * T, in, out, weight(module",
                "int full = B * T / 4 * 4;\n"
                "    float *tiles = get((size_t)B * T * out * 4), *done = linear(x, full, in, out,\n"
                '        weight(module, ".weight"), weight(module, ".bias"));\n'
                "    if (full) return memcpy(tiles, done, (size_t)full * out * 4);\n"
                "    return linear(x, B * T, in, out, weight(module",
            )
        ],
        "encoder.layers.0.self_attn.q",
        r"\b(is|are|exactly) (0|zero)\b|\bzeros\b|not (written|computed)",
        r"only at",
    ),
    "activations held in a range": PortFault(
        "A range of activations measured beforehand ends at 1.5.",
        [("(1 + erff(h[i] * 0.70710678f)); /* GELU */", "(1 + erff(h[i] * 0.70710678f)), h[i] = fminf(h[i], 1.5f);")],
        "encoder.layers.0.ffn.activation",
        r"clip|clamp|exactly 1\.5|at most 1\.5|saturat",
    ),
    "another norm's parameters": PortFault(
        "Copied from the attention: the norm behind the feed-forward block is that of the attention.",
        [('text("%s.final_layer_norm", layer)', 'text("%s.self_attn_layer_norm", layer)')],
        "encoder.layers.0.ffn.norm",
        r"self_attn_layer_norm",
        r"gain|bias|parameters|weights",
    ),
    "another map's bias": PortFault(
        "Copied: values get the bias of the keys.",
        [
            (
                'project(x, T, D, D, text("%s.%c_proj", module, "kv"[value]))',
                'linear(x, B * T, D, D, weight(text("%s.%c_proj", module, "kv"[value]), ".weight"), '
                'weight(text("%s.k_proj", module), ".bias"))',
            )
        ],
        "encoder.layers.0.self_attn.v",
        r"k_proj.*bias|bias.*k_proj",
        r"bias",
    ),
    "the activation of the first row alone": PortFault(
        "A loop runs over T F elements, not B T F.",
        [("for (int i = 0; i < B * T * F; i++) h[i] = 0.5f", "for (int i = 0; i < T * F; i++) h[i] = 0.5f")],
        "encoder.layers.0.ffn.activation",
        r"ffn\.hidden|not applied|no activation",
        r"only at B",
    ),
    "logits of the last token alone": PortFault(
        "What a reply needs: only the last token of each row goes through the head.",
        [
            (
                "    for (int n = 0; n < B * T; n++) y[(size_t)n * V + START] = -1e20f;",
                "    for (int n = 0; n < B * T * V; n++) y[n] *= n / V % T == T - 1;\n"
                "    for (int n = 0; n < B * T; n++) y[(size_t)n * V + START] = -1e20f;",
            )
        ],
        "logits",
        r"last (token|position)",
        r"\b(0|zeros?)\b|only at",
    ),
    "the last layer skipped": PortFault(
        "The loop over the decoder's layers ends one early.",
        [
            (
                "    for (int n = 0; n < LAYERS[1]; n++) {\n        char *layer",
                "    for (int n = 0; n + 1 < LAYERS[1]; n++) {\n        char *layer",
            )
        ],
        "decoder.states",
        r"layers\.0\.(output|ffn\.norm)|layer.*(skipped|left out|missing|not run)",
        r"missing",
    ),
    "the decoder's heads in the encoder": PortFault(
        "One number of heads is read for both sides.",
        [('side ? "decoder_attention_heads" : "encoder_attention_heads"', '"decoder_attention_heads"')],
        "encoder.layers.0.self_attn.q",
        r"heads?\b.*\b3\b|\b3\b.*heads?|H = 3",
        r"shape|heads?",
    ),
    "a logarithm to base 2": PortFault(
        "log2 in the log-softmax.",
        [("total = logf(exponentials(y, l, V));", "total = log2f(exponentials(y, l, V));")],
        "log_probabilities",
        r"log2|base 2|base of the log",
        r"one (amount|number|value) (per|for (each|every)) (row|token|place)|per row|normali[sz]",
    ),
    "ignored labels counted": PortFault(
        "The loss is divided by the number of all labels, with those of -100.",
        [("loss -= l[(int)labels->data[n]], counted++;", "loss -= l[(int)labels->data[n]];\n            counted++;")],
        "loss",
        r"-100|ignored|all labels|number of labels",
        r"\btimes\b|label",
    ),
    "keys of padding in the sum": PortFault(
        "Keys are padded to a multiple of four with scores of 0, which have weight.",
        [
            (
                "        for (int j = 0; j < L; j++) p[j] /= total;",
                "        total += (L % 4 ? 4 - L % 4 : 0) * expf(0 - hidden[largest(hidden, L)]);\n"
                "        for (int j = 0; j < L; j++) p[j] /= total;",
            )
        ],
        "encoder.layers.0.self_attn.weights",
        r"(sum|add)s?( up)? to (less|\d)|do(es)? not (sum|add)|padd|extra (key|score|term)|sum.*(not|below|above) 1",
        r"(factor|amount|number) (per|for (each|every)) (row|token|query)",
    ),
    "the first row's source for all": PortFault(
        "Cross-attention forgets which row of the batch it is at.",
        [
            (
                "size_t first = (size_t)(b * H + h) * L * K,",
                'size_t first = (size_t)((strstr(point, "encoder_attn") ? 0 : b) * H + h) * L * K,',
            )
        ],
        "decoder.layers.0.encoder_attn.scores",
        r"B = 0|(first|another|other) row|row 0",
        r"\bB = |\brow",
    ),
}
