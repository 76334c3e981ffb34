"""Twenty-five more mistakes of porters, the second list: written and compared together with the first."""

from reference_tests.faults.port_fault import PortFault

COUNTED = (17, 3, 5)
"""How many causes were right, half and wrong when it was first compared."""

SECOND = {
    "a norm without its bias": PortFault(
        "The last parameter of the norm is not read.",
        [("* scale * gain[i] + bias[i];", "* scale * gain[i] + 0 * bias[i];")],
        "encoder.embed.norm",
        r"bias",
        r"per column",
    ),
    "a norm of 1 + gain": PortFault(
        "Another family of models stores the gain less 1.",
        [("* scale * gain[i] + bias[i];", "* scale * (1 + gain[i]) + bias[i];")],
        "encoder.embed.norm",
        r"1 \+|plus 1|gain.*\b1\b|norm(ali[sz]ed)? .*(twice|again|added)",
        r"gain|weight",
    ),
    "activations in half precision": PortFault(
        "A matrix library takes its left operand in float16.",
        [
            (
                'float *y = project(record(text("%s.ffn.activation", point), h, 0, T, F), T,',
                'h = memcpy(get((size_t)B * T * F * 4), record(text("%s.ffn.activation", point), h, 0, T, F), '
                "(size_t)B * T * F * 4);\n"
                "    for (int i = 0; i < B * T * F; i++) h[i] = shortened(h[i], 11, 1);\n"
                "    float *y = project(h, T,",
            )
        ],
        "encoder.layers.0.ffn.output",
        r"(half|float16).*(activation|input|\bx\b|operand)|(activation|input|\bx\b|operand).*(half|float16)",
        r"half|float16",
    ),
    "one matrix transposed": PortFault(
        "The output map is stored [in, out] and read [out, in], which fits since it is square.",
        [
            (
                'T, D), T, D, D, text("%s.out_proj", module));',
                'T, D), T, D, D, text("%s.out_proj", module));\n'
                "    for (int n = 0; n < B * T * D; n++)\n"
                '        y[n] = dot(mixed + n / D * D, weight(text("%s.out_proj", module), ".weight") + n % D, D, D) + '
                'weight(text("%s.out_proj", module), ".bias")[n % D];',
            )
        ],
        "encoder.layers.0.self_attn.output",
        r"transpos",
        r"matrix|out_proj",
    ),
    "slots of the cache off by one": PortFault(
        "New keys go into the cache one slot too far, the last of them into the first.",
        [
            (
                "memcpy(all + ((size_t)(b * H + h) * L + old + i) * K,",
                "memcpy(all + ((size_t)(b * H + h) * L + old + (i + !value) % T) * K,",
            )
        ],
        "encoder.layers.0.self_attn.scores",
        r"roll|shift|rotat|off by one|keys moved by",
        r"order|another key|permut",
    ),
    "the first row's mask for all": PortFault(
        "The mask is read without its row.",
        [("mask[b * wide + j]", "mask[j]")],
        "encoder.layers.0.self_attn.masked_scores",
        r"B = 0|(first|another|other) row|row 0",
        r"hid(es|den)|\bmask|B = ",
    ),
    "hidden scores of -1e-9": PortFault(
        "A sign of the exponent: hidden scores are next to 0 and not far below.",
        [("? s[j] : -1e20f;", "? s[j] : -1e-9f;")],
        "encoder.layers.0.self_attn.masked_scores",
        r"hid(es|den)|\bmask",
        r"only at",
    ),
    "erf of another argument": PortFault(
        "x times the root of 2 and not divided by it.",
        [("erff(h[i] * 0.70710678f)", "erff(h[i] * 1.41421356f)")],
        "encoder.layers.0.ffn.activation",
        r"erf.*(argument|times|root|sqrt)|argument|gelu\(2 ?x\)|of twice",
        r"steeper|another function|factor",
    ),
    "SiLU for GELU": PortFault(
        "x times its sigmoid.",
        [("0.5f * h[i] * (1 + erff(h[i] * 0.70710678f))", "h[i] / (1 + expf(-h[i]))")],
        "encoder.layers.0.ffn.activation",
        r"silu|swish|sigmoid\(x\)",
        r"sigmoid|another function",
    ),
    "powers of 2 in the softmax": PortFault(
        "The shader has exp2 only, and the factor log2(e) was left out.",
        [("total += y[i] = expf(x[i] - top);", "total += y[i] = exp2f(x[i] - top);")],
        "encoder.layers.0.self_attn.weights",
        r"exp2|base 2|power.*2|2\^|0\.693|log\(2\)|1\.4427",
        r"temperature|scaled|sharp|flat",
    ),
    "positions carried on from row to row": PortFault(
        "The counter is not set back at a new row of the batch.",
        [("seen = (n % T ? seen : 0) + (!mask || mask[n]);", "seen = seen + (!mask || mask[n]);")],
        "encoder.embed.positions",
        r"shift|later|position.*(plus|off|carried)|behind",
        r"\bB = |\brow",
    ),
    "embeddings times D": PortFault(
        "The root was forgotten.",
        [("? sqrtf(D) : 1;", "? D : 1;")],
        "encoder.embed.scaled",
        r"times 1/sqrt|times 0\.2|sqrt\(24\)|D and not sqrt",
        r"\btimes\b",
    ),
    "a residual from too early": PortFault(
        "The feed-forward block adds the layer's input and not its own.",
        [
            (
                "x = zero_pads(feed_forward(x, T, WIDTH[0], layer, layer), mask, T, layer);",
                "early = x, x = zero_pads(feed_forward(now, T, WIDTH[0], layer, layer), mask, T, layer), early = NULL;",
            ),
            (
                "        x = attend(x, T, HEADS[0], &m, mask, T, T, own, own);",
                "        float *now = attend(x, T, HEADS[0], &m, mask, T, T, own, own);",
            ),
            (
                "static float *add_and_norm(const float *x, float *y,",
                "static const float *early;\nstatic float *add_and_norm(const float *x, float *y,",
            ),
            (
                'layer_norm(add(x, y, T, text("%s.sum", point)), T, norm,',
                'layer_norm(add(early ? early : x, y, T, text("%s.sum", point)), T, norm,',
            ),
        ],
        "encoder.layers.0.ffn.sum",
        r"embed\.output|input of the layer|layer's input",
        r"residual|self_attn\.norm",
    ),
    "columns behind the last full tile": PortFault(
        "Matrices are taken four rows at a time, and what is left over is not computed.",
        [
            (
                "*end++ = dot(x, w + (size_t)o * in, in, 1) + bias[o];",
                "*end++ = o < out / 4 * 4 ? dot(x, w + (size_t)o * in, in, 1) + bias[o] : 0;",
            )
        ],
        "encoder.layers.0.ffn.hidden",
        r"\b(is|are|exactly) (0|zero)\b|\bzeros\b|not (written|computed)",
        r"only at",
    ),
    "keys without a bias": PortFault(
        "As in a model of speech that has none there.",
        [
            (
                'project(x, T, D, D, text("%s.%c_proj", module, "kv"[value]))',
                'linear(x, B * T, D, D, weight(text("%s.%c_proj", module, "kv"[value]), ".weight"), '
                'value ? weight(text("%s.v_proj", module), ".bias") : get((size_t)D * 4))',
            )
        ],
        "encoder.layers.0.self_attn.k",
        r"bias",
        r"per column",
    ),
    "values cached in bfloat16": PortFault(
        "The cache keeps values in bfloat16, while the trace shows them before.",
        [
            (
                "memcpy(all + ((size_t)(b * H + h) * L + old + i) * K, new + (size_t)n * K, K * 4);",
                "for (int c = 0; c < K; c++)\n"
                "                all[((size_t)(b * H + h) * L + old + i) * K + c] =\n"
                "                    value ? shortened(new[n * K + c], 8, 1) : new[n * K + c];",
            )
        ],
        "encoder.layers.0.self_attn.context",
        r"bfloat16.*(\bv\b|values?)|(\bv\b|values?).*bfloat16",
        r"bfloat16",
    ),
    "activations in int8": PortFault(
        "The output map gets what attention found in 8 bits, a scale for each token.",
        [
            (
                'record(text("%s.context", point), mixed, 0, T, D), T, D, D,',
                'in_int8(record(text("%s.context", point), mixed, 0, T, D), B * T, D), T, D, D,',
            )
        ],
        "encoder.layers.0.self_attn.output",
        r"(int8|8.?bits?\b).*(context|input|\bx\b|operand|token)|(context|input|\bx\b|operand).*(int8|8.?bit)",
        r"int8|8.?bits?\b",
    ),
    "the head's matrix in float16": PortFault(
        "The largest matrix is kept in half precision for the head.",
        [
            (
                'y = linear(x, B * T, D, V, weight("shared", ".weight"), weight("final_logits_bias", ""));',
                "h = get((size_t)V * D * 4);\n"
                '    for (int i = 0; i < V * D; i++) h[i] = shortened(weight("shared", ".weight")[i], 11, 1);\n'
                '    float *y = linear(x, B * T, D, V, h, weight("final_logits_bias", ""));',
            )
        ],
        "logits",
        r"(half|float16).*(weight|shared|matrix|table)|(weight|shared|matrix|table).*(half|float16)",
        r"half|float16",
    ),
    "a vocabulary of whole tiles": PortFault(
        "The table is padded to a multiple of 64 tokens, whose logits are not cut off.",
        [
            (
                '    return record(text("%slogits", prefix), y, 0, T, V);',
                "    int padded = (V + 63) / 64 * 64;\n    float *z = get((size_t)B * T * padded * 4);\n"
                "    for (int n = 0; n < B * T; n++) memcpy(z + (size_t)n * padded, y + (size_t)n * V, V * 4);\n"
                '    record(text("%slogits", prefix), z, 0, T, padded);\n    return y;',
            )
        ],
        "logits",
        r"padd?(ed|ing)|vocabulary",
        r"shape|wider|first 48",
    ),
    "the final bias from its second number": PortFault(
        "The pointer to it is one too far.",
        [
            (
                'weight("shared", ".weight"), weight("final_logits_bias", ""));',
                'weight("shared", ".weight"), memcpy(get((size_t)V * 4), weight("final_logits_bias", "") + 1, '
                "(size_t)(V - 1) * 4));",
            )
        ],
        "logits",
        r"bias.*(shift|roll|off by|later|next)|(shift|roll|off by).*bias",
        r"bias|per column",
        "tiny/final_bias",
    ),
    "logits divided by the root of D": PortFault(
        "As another family does where the head shares the table.",
        [
            (
                '    return record(text("%slogits", prefix), y, 0, T, V);',
                "    for (int n = 0; n < B * T * V; n++) y[n] = n % V == START ? y[n] : y[n] / sqrtf(D);\n"
                '    return record(text("%slogits", prefix), y, 0, T, V);',
            )
        ],
        "logits",
        r"times (sqrt\(24\)|4\.89\d*)",
        r"\btimes\b",
    ),
    "the largest score taken off once": PortFault(
        "The exponentials are of x - max; max itself is forgotten in the difference.",
        [("l[v] = y[v] - top - total;", "l[v] = y[v] - total;")],
        "log_probabilities",
        r"largest|max",
        r"one (amount|number|value).*(per|for (each|every)|in every) (row|token|place)|normali[sz]|per row",
    ),
    "a loss that is a sum": PortFault(
        "The mean is forgotten.",
        [("loss /= counted, record(", "record(")],
        "loss",
        r"\bsum\b|\bmean\b|number of (labels|tokens)|\blabels\b",
        r"\btimes\b",
    ),
    "another map's matrix": PortFault(
        "Copied: cross-attention ends with the output map of self-attention.",
        [
            (
                'T, D), T, D, D, text("%s.out_proj", module));',
                'T, D), T, D, D, strstr(module, "encoder_attn")\n'
                '                ? text("%.*sself_attn.out_proj", (int)strlen(module) - 12, module)\n'
                '                : text("%s.out_proj", module));',
            )
        ],
        "decoder.layers.0.encoder_attn.output",
        r"self_attn\.out_proj",
        r"another (module|matrix|map)|weights",
    ),
    "ids in one byte": PortFault(
        "The buffer of ids is of unsigned bytes.",
        [("tokens + (size_t)ids[n] * D, D * 4);", "tokens + (size_t)((int)ids[n] & 255) * D, D * 4);")],
        "encoder.embed.tokens",
        r"256|modulo|one byte|8 bits|wrap",
        r"\bid\b|\bids\b|rows? of the table|other rows",
        "demo/exchange",
    ),
}
