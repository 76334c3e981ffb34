/* BlenderbotSmall in one file of C99: safetensors, tokenizer, forward pass with a cache, greedy replies, traces.
 *
 *     cc -O2 -o port docs/port-example/c/port.c -lm
 *     ./port trace MODEL REFERENCE OUT     run the inputs of a trace, and write every intermediate under its name
 *     ./port reply MODEL TEXT              a greedy reply: its ids, then its text
 *     ./port ids MODEL TEXT                the ids of a text
 *
 * MODEL is a folder with config.json, model.safetensors (F32, F16 or BF16), vocab.json and merges.txt; it is run as
 * ParlAI does (the dialect "parlai"). Every sum is a plain float32 loop from left to right; -DSUM=double -DLANES=4 adds
 * in double, with four accumulators. The machine is little-endian. Memory is not freed, since a run is short. Beyond
 * ASCII the tokenizer lower-cases Latin-1 alone, and knows letters from other signs by blocks of Unicode. */
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifndef SUM
#define SUM float /* what sums are added in, and in how many accumulators */
#define LANES 1
#endif
enum { MOST = 1 << 14, LONG = 1024, LONGEST = 40 }; /* tensors; bytes of a path or word; tokens of a reply */
typedef struct { char *name; int rank, shape[4]; float *data; } Tensor; /* in C order */
typedef struct { char *bytes; int count; Tensor *all; } File; /* of safetensors; `all` are those in use */
typedef struct { float *k, *v; int length; } Memory; /* keys and values [B, H, length, K] */
static void fail(const char *why, const char *what) { fprintf(stderr, "port: %s%s\n", why, what), exit(2); }
static void *get(size_t bytes) {
    void *p = calloc(bytes + 1, 1);
    return p ? p : (fail("out of memory", ""), p);
}
static char *text(const char *format, ...) { /* as printf writes it */
    va_list values;
    char made[LONG];
    va_start(values, format);
    vsnprintf(made, LONG, format, values);
    va_end(values);
    return strcpy(get(strlen(made)), made);
}

/* --- files --- */
static char *read_file(const char *path) { /* the whole file and a zero byte */
    FILE *f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END)) fail("cannot read ", path);
    size_t size = ftell(f);
    char *bytes = get(size);
    rewind(f);
    if (fread(bytes, 1, size, f) != size || fclose(f)) fail("cannot read ", path);
    return bytes;
}
static char *value_of(char *json, const char *key) { /* where the value of a member begins, or NULL */
    char *wanted = text("\"%s\":", key), *p = strstr(json, wanted);
    return p ? p + strlen(wanted) + strspn(p + strlen(wanted), " [\n") : NULL;
}
static double number(char *json, const char *key, double usual) {
    char *p = value_of(json, key);
    return !p || *p == 'n' ? usual : *p == 't' ? 1 : *p == 'f' ? 0 : atof(p);
}
static size_t size_of(const Tensor *t) {
    size_t n = 1;
    for (int i = 0; i < t->rank; i++) n *= t->shape[i];
    return n;
}
static float as_float(const char *bytes, const char *dtype) { /* F32, F16, BF16, and I32, whose ids are below 2^24 */
    union { uint32_t bits; float value; } x = {0};
    memcpy(&x, bytes, dtype[1] == '3' ? 4 : 2);
    int exponent = x.bits >> 10 & 31, mantissa = (x.bits & 1023) + (exponent ? 1024 : 0);
    if (*dtype == 'I') return (int32_t)x.bits;
    if (dtype[1] == '1') return ldexpf(x.bits >> 15 ? -mantissa : mantissa, (exponent ? exponent : 1) - 25);
    x.bits <<= *dtype == 'B' ? 16 : 0;
    return x.value;
}
static Tensor *find(File *f, const char *name) { /* a tensor, its numbers as floats; NULL if there is none */
    for (int i = 0; i < f->count; i++)
        if (!strcmp(f->all[i].name, name)) return &f->all[i];
    char *entry = value_of(f->bytes + 8, name), *from = f->bytes + 8 + *(uint64_t *)f->bytes;
    if (!entry) return NULL;
    char *shape = value_of(entry, "shape"), *dtype = value_of(entry, "dtype") + 1;
    int width = !strncmp(dtype, "F32", 3) || !strncmp(dtype, "I32", 3) ? 4 : 2;
    if (width == 2 && strncmp(dtype, "F16", 3) && strncmp(dtype, "BF16", 4)) fail("its dtype is not read: ", name);
    Tensor *t = &f->all[f->count++];
    for (t->name = text("%s", name); *shape != ']'; shape += *shape == ',')
        t->shape[t->rank++] = strtol(shape, &shape, 10);
    t->data = get(size_of(t) * 4), from += atol(value_of(entry, "data_offsets"));
    for (size_t i = 0; i < size_of(t); i++) t->data[i] = as_float(from + width * i, dtype);
    return t;
}
static void write_safetensors(const char *path, const File *f) { /* as F32 */
    FILE *out = fopen(path, "wb");
    if (!out) fail("cannot write ", path);
    char *header = get((size_t)f->count * 256 + 16), *p = header + 8;
    size_t at = 0;
    for (const Tensor *t = f->all; t < f->all + f->count; at += size_of(t++) * 4) {
        p += sprintf(p, "%c\"%s\":{\"dtype\":\"F32\",\"shape\":[", at ? ',' : '{', t->name);
        for (int d = 0; d < t->rank; d++) p += sprintf(p, "%s%d", d ? "," : "", t->shape[d]);
        p += sprintf(p, "],\"data_offsets\":[%zu,%zu]}", at, at + size_of(t) * 4);
    }
    for (*p++ = '}'; (p - header) % 8; *p++ = ' ') {}
    *(uint64_t *)header = p - header - 8;
    fwrite(header, 1, p - header, out);
    for (const Tensor *t = f->all; t < f->all + f->count; t++) fwrite(t->data, 4, size_of(t), out);
    if (fclose(out)) fail("cannot write ", path);
}

/* --- the model: B rows of T new tokens, width D, H heads of K --- */
static File weights, points; /* points: what a trace records */
static int D, V, LAYERS[2], HEADS[2], WIDTH[2], START, END, B = 1; /* [0] is the encoder's, [1] the decoder's */
static float SCALE;
static void load(const char *folder) {
    char *json = read_file(text("%s/config.json", folder));
    for (int side = 0; side < 2; side++) {
        LAYERS[side] = number(json, side ? "decoder_layers" : "encoder_layers", 8);
        WIDTH[side] = number(json, side ? "decoder_ffn_dim" : "encoder_ffn_dim", 2048);
        HEADS[side] = number(json, side ? "decoder_attention_heads" : "encoder_attention_heads", 16);
    }
    D = number(json, "d_model", 512), V = number(json, "vocab_size", 54944);
    SCALE = number(json, "scale_embedding", 1) ? sqrtf(D) : 1;
    START = number(json, "decoder_start_token_id", 1), END = number(json, "eos_token_id", 2);
    weights = (File){read_file(text("%s/model.safetensors", folder)), 0, get(MOST * sizeof(Tensor))};
}
static const float *weight(const char *module, const char *name) {
    Tensor *t = find(&weights, text("%s%s", module, name)); /* the originals' files begin every name with "model." */
    if (!t && !(t = find(&weights, text("model.%s%s", module, name)))) fail("there is no weight ", module);
    return t->data;
}
static float *record(char *name, float *data, int H, int T, int width) { /* [B, H, T, width]; H or T = 0: without it */
    Tensor t = H ? (Tensor){name, 4, {B, H, T, width}, NULL} : (Tensor){name, T ? 3 : 0, {B, T, width}, NULL};
    if (points.all) t.data = memcpy(get(size_of(&t) * 4), data, size_of(&t) * 4), points.all[points.count++] = t;
    return data;
}
static float dot(const float *a, const float *b, int n, int stride) { /* the sum of a[i] * b[i * stride] */
    SUM sums[LANES] = {0};
    for (int i = 0; i < n; i++) sums[i % LANES] += (SUM)a[i] * b[(size_t)i * stride];
    for (int lane = 1; lane < LANES; lane++) sums[0] += sums[lane];
    return sums[0];
}
static float *linear(const float *x, int rows, int in, int out, const float *w, const float *bias) {
    float *y = get((size_t)rows * out * 4), *end = y; /* x [rows, in], w [out, in] -> [rows, out] */
    for (; rows--; x += in)
        for (int o = 0; o < out; o++) *end++ = dot(x, w + (size_t)o * in, in, 1) + bias[o];
    return y;
}
static float *project(const float *x, int T, int in, int out, const char *module) {
    return linear(x, B * T, in, out, weight(module, ".weight"), weight(module, ".bias"));
}
static float *layer_norm(const float *x, int T, const char *module, char *point) {
    const float *gain = weight(module, ".weight"), *bias = weight(module, ".bias");
    float *y = get((size_t)B * T * D * 4), *end = y;
    for (int n = 0; n < B * T; n++, x += D) {
        SUM mean = 0, variance = 0;
        for (int i = 0; i < D; i++) mean += x[i];
        mean /= D;
        for (int i = 0; i < D; i++) variance += (x[i] - mean) * (x[i] - mean);
        float scale = 1 / sqrtf(variance / D + 1e-5f);
        for (int i = 0; i < D; i++) *end++ = (x[i] - (float)mean) * scale * gain[i] + bias[i];
    }
    return record(point, y, 0, T, D);
}
static int largest(const float *x, int n) {
    int best = 0;
    for (int i = 1; i < n; i++) best = x[i] > x[best] ? i : best;
    return best;
}
static float exponentials(const float *x, float *y, int n) { /* y = exp(x - the largest x); their sum */
    float top = x[largest(x, n)];
    SUM total = 0;
    for (int i = 0; i < n; i++) total += y[i] = expf(x[i] - top);
    return total;
}
static float *add(const float *x, const float *y, int T, char *point) {
    float *z = get((size_t)B * T * D * 4);
    for (int i = 0; i < B * T * D; i++) z[i] = x[i] + y[i];
    return record(point, z, 0, T, D);
}
static float *add_and_norm(const float *x, float *y, int T, const char *norm, const char *point) {
    record(text("%s.output", point), y, 0, T, D);
    return layer_norm(add(x, y, T, text("%s.sum", point)), T, norm, text("%s.norm", point));
}
/* Puts keys and values of x [B, T, D] behind those that are there. */
static void remember(Memory *m, const float *x, int T, int H, const char *module, const char *point) {
    int K = D / H, old = m->length, L = m->length += T;
    for (int value = 0; value < 2; value++) {
        float *y = project(x, T, D, D, text("%s.%c_proj", module, "kv"[value])), **kept = value ? &m->v : &m->k;
        float *new = get((size_t)B * T * D * 4), *all = get((size_t)B * L * D * 4);
        for (int n = 0; n < B * H * T; n++) { /* [B, T, H, K] -> [B, H, T, K] */
            int b = n / (H * T), h = n / T % H, i = n % T;
            memcpy(new + (size_t)n * K, y + ((size_t)(b * T + i) * H + h) * K, K * 4);
            memcpy(all + ((size_t)(b * H + h) * L + old + i) * K, new + (size_t)n * K, K * 4);
        }
        for (int n = 0; old && n < B * H; n++)
            memcpy(all + (size_t)n * L * K, *kept + (size_t)n * old * K, (size_t)old * K * 4);
        *kept = all;
        record(text("%s.%c", point, "kv"[value]), new, H, T, K);
    }
}
/* x [B, T, D] over keys and values. mask [B, wide] or NULL: which are seen; query i sees none behind past + i. */
static float *attend(const float *x, int T, int H, const Memory *m, const float *mask, int wide, int past,
                     const char *module, const char *point) {
    int K = D / H, L = m->length;
    float *y = project(x, T, D, D, text("%s.q_proj", module)), *q = get((size_t)B * T * D * 4), root = sqrtf(K);
    size_t many = (size_t)B * H * T * L * 4;
    float *scores = get(many), *masked = get(many), *w = get(many), *mixed = get((size_t)B * T * D * 4);
    for (int row = 0; row < B * H * T; row++) { /* of scores [B, H, T, L] */
        int b = row / (H * T), h = row / T % H, i = row % T;
        size_t first = (size_t)(b * H + h) * L * K, here = ((size_t)(b * T + i) * H + h) * K;
        float *s = scores + (size_t)row * L, *hidden = masked + (size_t)row * L, *p = w + (size_t)row * L;
        for (int c = 0; c < K; c++) q[row * K + c] = y[here + c] / root;
        for (int j = 0; j < L; j++) {
            s[j] = dot(q + (size_t)row * K, m->k + first + (size_t)j * K, K, 1);
            hidden[j] = (!mask || mask[b * wide + j]) && j <= past + i ? s[j] : -1e20f; /* pads alone: not NaN */
        }
        float total = exponentials(hidden, p, L);
        for (int j = 0; j < L; j++) p[j] /= total;
        for (int c = 0; c < K; c++) mixed[here + c] = dot(p, m->v + first + c, L, K);
    }
    record(text("%s.q", point), q, H, T, K), record(text("%s.scores", point), scores, H, T, L);
    record(text("%s.masked_scores", point), masked, H, T, L), record(text("%s.weights", point), w, H, T, L);
    y = project(record(text("%s.context", point), mixed, 0, T, D), T, D, D, text("%s.out_proj", module));
    return add_and_norm(x, y, T, text("%s_layer_norm", module), point);
}
static float *feed_forward(const float *x, int T, int F, const char *layer, const char *point) {
    float *h = record(text("%s.ffn.hidden", point), project(x, T, D, F, text("%s.fc1", layer)), 0, T, F);
    for (int i = 0; i < B * T * F; i++) h[i] = 0.5f * h[i] * (1 + erff(h[i] * 0.70710678f)); /* GELU */
    float *y = project(record(text("%s.ffn.activation", point), h, 0, T, F), T, F, D, text("%s.fc2", layer));
    return add_and_norm(x, y, T, text("%s.final_layer_norm", layer), text("%s.ffn", point));
}
static float *embed(const float *ids, const int *places, int T, const char *side, const char *prefix) {
    char *point = text("%s%s.embed", prefix, side), *sum = text("%s.sum", point), *normed = text("%s.norm", point);
    char *norm = text("%s.layernorm_embedding", side);
    const float *tokens = weight("shared", ".weight"), *learned = weight(side, ".embed_positions.weight");
    float *x = get((size_t)B * T * D * 4), *p = get((size_t)B * T * D * 4);
    for (int n = 0; n < B * T; n++) {
        memcpy(x + (size_t)n * D, tokens + (size_t)ids[n] * D, D * 4);
        memcpy(p + (size_t)n * D, learned + (size_t)places[n] * D, D * 4);
    }
    record(text("%s.tokens", point), x, 0, T, D), record(text("%s.positions", point), p, 0, T, D);
    for (int i = 0; i < B * T * D; i++) x[i] *= SCALE;
    record(text("%s.scaled", point), x, 0, T, D);
    if (*side == 'e') return layer_norm(add(x, p, T, sum), T, norm, normed);
    return add(layer_norm(x, T, norm, normed), p, T, sum); /* the decoder's norm comes before the positions */
}
static float *zero_pads(float *x, const float *mask, int T, const char *point) {
    for (int i = 0; mask && i < B * T * D; i++) x[i] *= mask[i / D];
    return record(text("%s.output", point), x, 0, T, D);
}
/* Ids and mask [B, T] -> states [B, T, D] -> a Memory of the source for each of the decoder's layers. */
static Memory *encode(const float *ids, const float *mask, int T) {
    int *places = get(sizeof(int) * B * T); /* how many tokens before this one are no pads */
    for (int n = 0, seen = 0; n < B * T; n++, places[n - 1] = seen > 0 ? seen - 1 : 0)
        seen = (n % T ? seen : 0) + (!mask || mask[n]);
    float *x = zero_pads(embed(ids, places, T, "encoder", ""), mask, T, "encoder.embed");
    for (int n = 0; n < LAYERS[0]; n++) {
        char *layer = text("encoder.layers.%d", n), *own = text("%s.self_attn", layer);
        Memory m = {0};
        remember(&m, x, T, HEADS[0], own, own);
        x = attend(x, T, HEADS[0], &m, mask, T, T, own, own);
        x = zero_pads(feed_forward(x, T, WIDTH[0], layer, layer), mask, T, layer);
    }
    Memory *cross = get(sizeof(Memory) * LAYERS[1]);
    record("encoder.states", x, 0, T, D);
    for (int n = 0; n < LAYERS[1]; n++) {
        char *name = text("decoder.layers.%d.encoder_attn", n);
        remember(&cross[n], x, T, HEADS[1], name, name);
    }
    return cross;
}
/* New ids [B, T] behind `past` others -> logits [B, T, V]. own, cross: a Memory a layer. Masks [B, wide], [B, S]. */
static float *decode(const float *ids, int T, int past, Memory *own, Memory *cross, const float *mask, int wide,
                     const float *source_mask, const char *prefix) {
    int *places = get(sizeof(int) * B * T), S = cross->length;
    for (int n = 0; n < B * T; n++) places[n] = past + n % T;
    float *x = record(text("%sdecoder.embed.output", prefix), embed(ids, places, T, "decoder", prefix), 0, T, D);
    for (int n = 0; n < LAYERS[1]; n++) {
        char *layer = text("decoder.layers.%d", n), *module = text("%s.self_attn", layer);
        remember(&own[n], x, T, HEADS[1], module, text("%s%s", prefix, module));
        x = attend(x, T, HEADS[1], &own[n], mask, wide, past, module, text("%s%s", prefix, module));
        module = text("%s.encoder_attn", layer);
        x = attend(x, T, HEADS[1], &cross[n], source_mask, S, S, module, text("%s%s", prefix, module));
        x = feed_forward(x, T, WIDTH[1], layer, text("%s%s", prefix, layer));
        record(text("%s%s.output", prefix, layer), x, 0, T, D);
    }
    record(text("%sdecoder.states", prefix), x, 0, T, D);
    float *y = linear(x, B * T, D, V, weight("shared", ".weight"), weight("final_logits_bias", ""));
    for (int n = 0; n < B * T; n++) y[(size_t)n * V + START] = -1e20f; /* ParlAI never says the start token */
    return record(text("%slogits", prefix), y, 0, T, V);
}
static void trace(const char *reference, const char *out) {
    File f = {read_file(reference), 0, get(MOST * sizeof(Tensor))};
    Tensor *ids = find(&f, "inputs.input_ids"), *target = find(&f, "inputs.decoder_input_ids");
    Tensor *mask = find(&f, "inputs.attention_mask"), *seen = find(&f, "inputs.decoder_attention_mask");
    Tensor *labels = find(&f, "inputs.labels"), *prefill = find(&f, "inputs.prefill");
    if (!ids || !target || find(&f, "inputs.head_mask")) fail("inputs that this port does not take: ", reference);
    float *source_mask = mask ? mask->data : NULL, loss = 0;
    int T = target->shape[1], counted = 0;
    B = ids->shape[0], points.all = get(MOST * sizeof(Tensor));
    Memory *cross = encode(ids->data, source_mask, ids->shape[1]), *own = get(sizeof(Memory) * LAYERS[1]);
    for (int step = 0, past = 0, new = prefill ? prefill->data[0] : T; past < T; past += new, new = 1, step++) {
        char *prefix = prefill ? step ? text("step%d.", step) : "prefill." : "";
        float *some = get(sizeof(float) * B * new), *logs = get((size_t)B * new * V * 4);
        for (int n = 0; n < B * new; n++) some[n] = target->data[n / new * T + past + n % new];
        float *y = decode(some, new, past, own, cross, seen ? seen->data : NULL, T, source_mask, prefix);
        for (int n = 0; n < B * new; n++, y += V) {
            float *l = logs + (size_t)n * V, top = y[largest(y, V)], total = logf(exponentials(y, l, V));
            for (int v = 0; v < V; v++) l[v] = y[v] - top - total;
            if (labels && labels->data[n] >= 0) loss -= l[(int)labels->data[n]], counted++;
        }
        record(text("%slog_probabilities", prefix), logs, 0, new, V);
    }
    if (labels) loss /= counted, record("loss", &loss, 0, 0, 0);
    write_safetensors(out, &points);
}

/* --- text: the tables are searched as they stand in their files --- */
static char *vocabulary, *merges;
static void load_texts(const char *folder) {
    char *p = vocabulary = read_file(text("%s/vocab.json", folder)), *to = p;
    merges = read_file(text("%s/merges.txt", folder)); /* a line a merge, in the order of learning */
    for (unsigned c, low; *p; p++) { /* \u2019 becomes the character, in UTF-8 */
        while (*p && (p[0] != '\\' || p[1] != 'u' || sscanf(p + 2, "%4x", &c) != 1)) *to++ = *p++;
        if (!*p) break;
        if (c >> 10 == 54 && sscanf(p += 6, "\\u%4x", &low) == 1) c = 0x10000 + ((c & 1023) << 10 | (low & 1023));
        int more = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
        *to++ = more ? (0xF00 >> more & 0xFF) | c >> 6 * more : c;
        for (p += 5; more--;) *to++ = 0x80 | (c >> 6 * more & 63);
    }
    *to = 0;
}
static int spell(const char *word, int length, float *ids) { /* byte-pair encoding of one word; how many ids */
    char *part[LONG], *first;
    int count = 0, at = 0;
    for (int size = 1; length; word += size, length -= size, size = 1) { /* a part a character */
        while (size < length && (word[size] & 0xC0) == 0x80) size++;
        part[count++] = text("%.*s%s", size, word, size == length ? "</w>" : "");
    }
    do { /* the pair that was learned first is merged, until none is left that was learned */
        first = NULL;
        for (int i = 0; i + 1 < count; i++) {
            char *found = strstr(merges, text("\n%s %s\n", part[i], part[i + 1]));
            if (found && (!first || found < first)) first = found, at = i;
        }
        if (first) part[at] = text("%s%s", part[at], part[at + 1]);
        if (first) memmove(part + at + 1, part + at + 2, (--count - at - 1) * sizeof *part);
    } while (first);
    for (int i = 0; i < count; i++) {
        char *mark = strchr("\"\\", *part[i]) ? "\\" : ""; /* as JSON writes them */
        if (i + 1 == count) part[i][strlen(part[i]) - 4] = 0;
        char *token = text("%s%s%s", mark, part[i], i + 1 < count ? "@@" : "");
        ids[i] = number(vocabulary, token, number(vocabulary, "__unk__", 3));
    }
    return count;
}
static int kind_of(unsigned c) { /* 0: white space, 1: a sign by itself, 2: letters, digits and _, which make words */
    static const unsigned signs[] = {0x80, 0xA9, 0xAB, 0xB1, 0xB4, 0xB8, 0xBB, 0xBB, 0xBF, 0xBF, 0xD7, 0xD7, 0x300,
        0x36F, 0x900, 0x903, 0x93A, 0x94F, 0x200B, 0x206F, 0x20A0, 0x20FF, 0x2190, 0x245F, 0x2500, 0x2BFF, 0x3001,
        0x3004, 0x3008, 0x3020, 0xE000, 0xF8FF, 0xFE00, 0xFE6F, 0xFF01, 0xFF0F, 0x1F000, 0x1FAFF};
    if (c <= ' ' || c == 0x85 || c == 0xA0 || (c >= 0x2000 && c <= 0x200A) || c == 0x3000) return 0;
    if (c < 0x80) return strchr("!\"#$%&'()*+,-./:;<=>?@[\\]^`{|}~\x7f", c) ? 1 : 2;
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i += 2)
        if (c >= signs[i] && c <= signs[i + 1]) return 1;
    return 2;
}
static int tokenize(char *p, float *ids) { /* as ParlAI cuts: words, and every other sign by itself; lower-cases p */
    char *word = NULL;
    int count = 0;
    for (int size = 1; *p; p += size) {
        unsigned c = (unsigned char)*p;
        for (size = 1, c &= c < 0x80 ? 0x7F : c < 0xE0 ? 31 : c < 0xF0 ? 15 : 7; (p[size] & 0xC0) == 0x80; size++)
            c = c << 6 | (p[size] & 63);
        if ((c >= 'A' && c <= 'Z') || (c >= 0xC0 && c <= 0xDE && c != 0xD7)) p[size - 1] += 32;
        int kind = kind_of(c);
        if (kind == 2 && !word) word = p;
        if (word && (kind < 2 || !p[size]))
            count += spell(word, p + (kind == 2) * size - word, ids + count), word = NULL;
        if (kind == 1) count += spell(p, size, ids + count);
        if (c == '\n') ids[count++] = number(vocabulary, "__newln__", 4);
    }
    return count;
}
static void reply(char *said) {
    float ids[4 * LONG], next = START;
    Memory *cross = encode(ids, NULL, tokenize(said, ids)), *own = get(sizeof(Memory) * LAYERS[1]);
    char *written = "";
    for (int n = 0; n < LONGEST && next != END; n++) {
        printf("%g ", next = largest(decode(&next, 1, n, own, cross, NULL, 0, NULL, ""), V));
        char *end = strstr(vocabulary, text("\": %g,", next)), *token = end;
        while (token && token[-1] != '"') token--;
        if (token && next != END) written = text("%s%.*s ", written, (int)(end - token), token);
        for (char *at; (at = strstr(written, "@@ "));) memmove(at, at + 3, strlen(at + 3) + 1);
    }
    printf("\n%s\n", written);
}
int main(int count, char **given) {
    float ids[4 * LONG];
    if (count < 4 + (count > 1 && *given[1] == 't')) fail("see the head of port.c", "");
    if (*given[1] != 't') load_texts(given[2]);
    if (*given[1] != 'i') load(given[2]);
    if (*given[1] == 't') trace(given[3], given[4]);
    if (*given[1] == 'r') reply(given[3]);
    for (int i = 0, n = *given[1] == 'i' ? tokenize(given[3], ids) : 0; i < n; i++) printf("%g\n", ids[i]);
    return 0;
}
