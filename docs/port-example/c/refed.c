/* Answers re-fed cases with the functions of port.c: each operation alone, from the reference's own inputs.
 *
 *     cc -O2 -o refed docs/port-example/c/refed.c -lm
 *     npblender trace --model MODEL --input-ids 5,6,7 --decoder-input-ids 1,9 --refed --out CASES
 *     ./refed MODEL CASES ANSWERS
 *     npblender compare --refed CASES ANSWERS
 */
#define main port_main
#include "port.c"
#undef main
static File cases;
static char *entry, *after; /* the case in hand: where its JSON begins, and where the next one's does */
static char *member(const char *key) { /* the value of a member of the case in hand, or NULL */
    char *p = value_of(entry, key);
    return p && p < after ? p : NULL;
}
static char *named(const char *key) { /* the same as text: "x":["NAME"] or "weight":"NAME" */
    char *p = member(key);
    return p ? text("%.*s", (int)strcspn(p + 1, "\""), p + 1) : NULL;
}
/* A tensor of given.NAME: numbers, ids (I64) and masks (BOOL), all as floats. */
static Tensor given(const char *name) {
    char *said = value_of(cases.bytes + 8, text("given.%s", name)), *from = cases.bytes + 8 + *(uint64_t *)cases.bytes;
    if (!said) fail("no such input: ", name);
    char *shape = value_of(said, "shape"), *dtype = value_of(said, "dtype") + 1;
    Tensor t = {(char *)name, 0, {1, 1, 1, 1}, NULL};
    for (; *shape != ']'; shape += *shape == ',') t.shape[t.rank++] = strtol(shape, &shape, 10);
    t.data = get(size_of(&t) * 4), from += atol(value_of(said, "data_offsets"));
    for (size_t i = 0; i < size_of(&t); i++)
        t.data[i] = *dtype == 'I' ? ((int64_t *)from)[i] : *dtype == 'B' ? from[i] : ((float *)from)[i];
    return t;
}
/* An input by its role. Keys and values of several steps are put together along the axis of keys, [B, H, L, K]. */
static Tensor input(const char *role) {
    char *p = member(role);
    if (!p) fail("no input ", role);
    Tensor whole = {0};
    for (p += *p == '['; *p == '"'; p += *p == ',') {
        Tensor t = given(text("%.*s", (int)strcspn(p + 1, "\""), p + 1));
        p += strcspn(p + 1, "\"") + 2;
        if (!whole.data) { whole = t; continue; }
        Tensor both = whole;
        int old = whole.shape[2] * whole.shape[3], new = t.shape[2] * t.shape[3];
        both.shape[2] += t.shape[2], both.data = get(size_of(&both) * 4);
        for (int n = 0; n < t.shape[0] * t.shape[1]; n++) {
            memcpy(both.data + (size_t)n * (old + new), whole.data + (size_t)n * old, (size_t)old * 4);
            memcpy(both.data + (size_t)n * (old + new) + old, t.data + (size_t)n * new, (size_t)new * 4);
        }
        whole = both;
    }
    return whole;
}
static void answer(char *name, Tensor t) { t.name = name, points.all[points.count++] = t; }
static Tensor product(Tensor x) { /* op linear and logits: x [B, T, in] -> [B, T, out], or [B, H, T, K] */
    int rows = x.shape[0] * x.shape[1], in = x.shape[2];
    int out = find(&weights, text("model.%s", named("weight")))->shape[0];
    char *bias = named("bias");
    const float *b = bias ? weight(bias, "") : get((size_t)out * 4);
    float *y = linear(x.data, rows, in, out, weight(named("weight"), ""), b);
    int heads = member("heads") ? atoi(member("heads")) : 0, T = x.shape[1], K = heads ? out / heads : 0;
    float by = member("divide_by") ? atof(member("divide_by")) : 1;
    for (int n = 0; member("start_token") && n < rows; n++)
        y[(size_t)n * out + atoi(member("start_token"))] = atof(member("start_logit"));
    if (!heads) return (Tensor){NULL, 3, {x.shape[0], T, out}, y};
    Tensor t = {NULL, 4, {x.shape[0], heads, T, K}, get((size_t)rows * out * 4)};
    for (int n = 0; n < rows * out; n++) { /* [B, T, H, K] -> [B, H, T, K] */
        int b = n / (T * out), i = n / out % T, h = n / K % heads;
        t.data[((size_t)(b * heads + h) * T + i) * K + n % K] = y[n] / by;
    }
    return t;
}
static Tensor attention(Tensor a, Tensor b, int scores) { /* q k^T [B, H, T, L], or weights v with heads side by side */
    int H = a.shape[1], T = a.shape[2], L = b.shape[2], K = b.shape[3], wide = scores ? L : K;
    Tensor t = {NULL, scores ? 4 : 3, {a.shape[0], scores ? H : T, scores ? T : H * K, scores ? L : 1}, NULL};
    t.data = get(size_of(&t) * 4);
    for (int n = 0; n < a.shape[0] * H * T; n++)
        for (int j = 0; j < wide; j++) {
            const float *row = a.data + (size_t)n * a.shape[3], *other = b.data + (size_t)(n / T) * L * K;
            float sum = scores ? dot(row, other + (size_t)j * K, K, 1) : dot(row, other + j, L, K);
            t.data[scores ? (size_t)n * L + j : ((size_t)(n / (H * T) * T + n % T) * H + n / T % H) * K + j] = sum;
        }
    return t;
}
static Tensor normalized(Tensor x, int logs) { /* the softmax of every row, or its logarithm */
    int n = x.shape[x.rank - 1];
    float *y = get(size_of(&x) * 4);
    for (size_t at = 0; at < size_of(&x); at += n) {
        float top = x.data[at + largest(x.data + at, n)], total = exponentials(x.data + at, y + at, n);
        for (int i = 0; i < n; i++) y[at + i] = logs ? x.data[at + i] - top - logf(total) : y[at + i] / total;
    }
    x.data = y;
    return x;
}
static Tensor loss(Tensor x, Tensor labels) {
    Tensor logs = normalized(x, 1), t = {NULL, 0, {0}, get(4)};
    int counted = 0, n = x.shape[2];
    for (size_t i = 0; i < size_of(&labels); i++)
        if (labels.data[i] >= 0) *t.data -= logs.data[i * n + (int)labels.data[i]], counted++;
    *t.data /= counted;
    return t;
}
static Tensor each(const char *op) { /* what goes value by value, and embeddings */
    Tensor x = !strcmp(op, "embed") ? input("ids") : input(!strcmp(op, "add") ? "a" : "x"), other = x, y = x;
    if (!strcmp(op, "add")) other = input("b");
    if (!strcmp(op, "mask") || !strcmp(op, "zero_pads")) other = input("mask");
    if (!strcmp(op, "embed")) {
        const Tensor *table = find(&weights, text("model.%s", named("table")));
        y.shape[y.rank++] = table->shape[1], y.data = get(size_of(&y) * 4);
        for (size_t n = 0, D_ = table->shape[1]; n < size_of(&x); n++)
            memcpy(y.data + n * D_, table->data + (size_t)x.data[n] * D_, D_ * 4);
        return y;
    }
    y.data = get(size_of(&x) * 4);
    for (size_t n = 0, L = x.shape[x.rank - 1]; n < size_of(&x); n++) {
        float v = x.data[n];
        if (!strcmp(op, "add")) v += other.data[n];
        if (!strcmp(op, "scale")) v *= (float)atof(member("factor"));
        if (!strcmp(op, "zero_pads")) v *= other.data[n / x.shape[2]];
        if (!strcmp(op, "gelu")) v = 0.5f * v * (1 + erff(v * 0.70710678f));
        if (!strcmp(op, "mask")) { /* [B or 1, 1, T or 1, L] */
            size_t i = other.shape[2] > 1 ? n / L % x.shape[2] : 0;
            size_t b = other.shape[0] > 1 ? n / L / x.shape[2] / x.shape[1] : 0;
            v = other.data[(b * other.shape[2] + i) * L + n % L] ? v : (float)atof(member("value"));
        }
        y.data[n] = v;
    }
    return y;
}
int main(int count, char **arguments) {
    if (count != 4) fail("see the head of refed.c", "");
    load(arguments[1]), cases.bytes = read_file(arguments[2]), points.all = get(MOST * sizeof(Tensor));
    char *p = value_of(cases.bytes + 8, "cases"), *to = entry = get(*(uint64_t *)cases.bytes);
    for (p++; *p != '"'; p++) *to++ = *p == '\\' ? *++p : *p; /* JSON in a text of JSON: its quotes are escaped */
    for (*to = 0; (entry = strstr(entry, "{\"name\":")); entry = after) {
        after = strstr(entry + 1, "{\"name\":"), after = after ? after : to;
        char *name = named("name"), *op = named("op");
        Tensor x = {0};
        if (!strcmp(op, "linear") || !strcmp(op, "logits")) answer(name, product(input("x")));
        else if (!strcmp(op, "scores")) answer(name, attention(input("q"), input("k"), 1));
        else if (!strcmp(op, "context")) answer(name, attention(input("weights"), input("v"), 0));
        else if (!strcmp(op, "softmax") || !strcmp(op, "log_softmax")) answer(name, normalized(input("x"), *op == 'l'));
        else if (!strcmp(op, "cross_entropy")) answer(name, loss(input("x"), input("labels")));
        else if (!strcmp(op, "layer_norm")) {
            char *module = named("weight");
            x = input("x"), B = x.shape[0], module[strlen(module) - strlen(".weight")] = 0;
            layer_norm(x.data, x.shape[1], module, name); /* records it */
        } else answer(name, each(op));
        if (member("head_mask")) fail("head masks are not taken: ", name);
        if (!after[0]) break;
    }
    write_safetensors(arguments[3], &points);
    return 0;
}
