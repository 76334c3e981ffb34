// BlenderbotSmall's forward pass in plain JavaScript: float32 between operations, double inside one.
//
// Tensors are {shape, data} in C order; masks are functions of row, query and key. Names of weights are those of the
// model's file, names of what is recorded are npblender's. It was first written from memory of BART; what was wrong
// with it then can be brought back by name, as `MISTAKES` lists it, so that README.md's reports can be seen again.

export const MISTAKES = [
  "column-positions",
  "pads-kept",
  "hidden-infinite",
  "tanh-gelu",
  "norm-behind-positions",
  "start-token-free",
  "no-final-bias",
];

export class Model {
  /** `record(name, tensor)` hears every intermediate. */
  constructor(config, weights, record, mistakes = []) {
    Object.assign(this, { config, weights, record });
    this.makes = Object.fromEntries(MISTAKES.map((name) => [name, mistakes.includes(name)]));
  }

  // --- operations -----------------------------------------------------------------------------------------------

  weight(name) {
    const found = this.weights[`model.${name}`] ?? this.weights[name];
    if (found === undefined) throw new Error(`there is no weight ${name}`);
    return found;
  }

  linear(x, name) {
    return product(x, this.weight(`${name}.weight`), this.weight(`${name}.bias`));
  }

  layerNorm(x, name) {
    const gain = this.weight(`${name}.weight`).data, bias = this.weight(`${name}.bias`).data;
    const width = gain.length, y = empty(...x.shape);
    for (let at = 0; at < x.data.length; at += width) {
      let mean = 0, variance = 0;
      for (let i = 0; i < width; i++) mean += x.data[at + i] / width;
      for (let i = 0; i < width; i++) variance += (x.data[at + i] - mean) ** 2 / width;
      const scale = 1 / Math.sqrt(variance + 1e-5);
      for (let i = 0; i < width; i++) y.data[at + i] = (x.data[at + i] - mean) * scale * gain[i] + bias[i];
    }
    return y;
  }

  /** Ids [B, T] -> rows of a table, [B, T, D]. */
  lookUp(ids, name) {
    const table = this.weight(name), width = table.shape[1], y = empty(ids.length, ids[0].length, width);
    ids.flat().forEach((id, n) => y.data.set(table.data.subarray(id * width, (id + 1) * width), n * width));
    return y;
  }

  activation(x) {
    if (this.makes["tanh-gelu"]) {
      return map(x, (v) => 0.5 * v * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3))));
    }
    return map(x, (v) => 0.5 * v * (1 + erf(v / Math.SQRT2)));
  }

  // --- blocks ---------------------------------------------------------------------------------------------------

  queries(x, name, point, heads) {
    const root = Math.sqrt(x.shape[2] / heads);
    const q = splitHeads(map(this.linear(x, `${name}.q_proj`), (value) => value / root), heads);
    this.record(`${point}.q`, q);
    return q;
  }

  keysAndValues(x, name, point, heads) {
    const k = splitHeads(this.linear(x, `${name}.k_proj`), heads);
    this.record(`${point}.k`, k);
    const v = splitHeads(this.linear(x, `${name}.v_proj`), heads);
    this.record(`${point}.v`, v);
    return { k, v };
  }

  /** Queries [B, H, T, K] over keys and values [B, H, L, K] -> [B, T, D]. `sees(b, i, j)` is the mask. */
  attend(q, { k, v }, sees, name, point) {
    const [batch, heads, length, size] = q.shape, keys = k.shape[2];
    const scores = empty(batch, heads, length, keys), masked = empty(...scores.shape);
    const weights = empty(...scores.shape), mixed = empty(batch, length, heads * size);
    const hidden = this.makes["hidden-infinite"] ? -Infinity : -1e20; // finite: a row of hidden keys is uniform, not NaN
    let row = 0; // of the scores, in C order
    for (let b = 0; b < batch; b++) {
      for (let h = 0; h < heads; h++) {
        const first = (b * heads + h) * keys * size; // where this head's keys begin
        for (let i = 0; i < length; i++, row++) {
          for (let j = 0; j < keys; j++) {
            let sum = 0;
            for (let c = 0; c < size; c++) sum += q.data[row * size + c] * k.data[first + j * size + c];
            scores.data[row * keys + j] = sum;
            masked.data[row * keys + j] = sees(b, i, j) ? sum : hidden;
          }
          const of_row = [row * keys, (row + 1) * keys];
          softmax(masked.data.subarray(...of_row), weights.data.subarray(...of_row));
          for (let c = 0; c < size; c++) {
            let sum = 0;
            for (let j = 0; j < keys; j++) sum += weights.data[row * keys + j] * v.data[first + j * size + c];
            mixed.data[((b * length + i) * heads + h) * size + c] = sum;
          }
        }
      }
    }
    this.record(`${point}.scores`, scores);
    this.record(`${point}.masked_scores`, masked);
    this.record(`${point}.weights`, weights);
    this.record(`${point}.context`, mixed);
    const output = this.linear(mixed, `${name}.out_proj`);
    this.record(`${point}.output`, output);
    return output;
  }

  addAndNorm(x, output, norm, point) {
    const sum = add(x, output);
    this.record(`${point}.sum`, sum);
    const normed = this.layerNorm(sum, norm);
    this.record(`${point}.norm`, normed);
    return normed;
  }

  feedForward(x, layer, point) {
    const hidden = this.linear(x, `${layer}.fc1`);
    this.record(`${point}.hidden`, hidden);
    const active = this.activation(hidden);
    this.record(`${point}.activation`, active);
    const output = this.linear(active, `${layer}.fc2`);
    this.record(`${point}.output`, output);
    return this.addAndNorm(x, output, `${layer}.final_layer_norm`, point);
  }

  /** Ids and their positions [B, T] -> what the first layer gets, [B, T, D]. */
  embed(ids, places, side, point) {
    const tokens = this.lookUp(ids, "shared.weight");
    this.record(`${point}.embed.tokens`, tokens);
    const scale = this.config.scale_embedding ? Math.sqrt(this.config.d_model) : 1;
    const scaled = map(tokens, (value) => value * scale);
    this.record(`${point}.embed.scaled`, scaled);
    const positions = this.lookUp(places, `${side}.embed_positions.weight`);
    this.record(`${point}.embed.positions`, positions);
    const norm = (y) => {
      const normed = this.layerNorm(y, `${side}.layernorm_embedding`);
      this.record(`${point}.embed.norm`, normed);
      return normed;
    };
    const move = (y) => {
      const sum = add(y, positions);
      this.record(`${point}.embed.sum`, sum);
      return sum;
    };
    return side === "encoder" || this.makes["norm-behind-positions"] ? norm(move(scaled)) : move(norm(scaled));
  }

  /** How many tokens before this one are no pads; a pad before all of them is at 0, too. */
  sourcePositions(mask) {
    if (this.makes["column-positions"]) return mask.map((row) => row.map((_, i) => i));
    return mask.map((row) => row.map((_, i) => Math.max(0, row.slice(0, i + 1).filter((kept) => kept).length - 1)));
  }

  /** States [B, S, D] with zeros at pads. */
  zeroPads(x, mask) {
    if (this.makes["pads-kept"]) return x;
    const kept = mask.flat(), width = x.shape[2];
    return { shape: x.shape, data: x.data.map((value, i) => value * kept[Math.floor(i / width)]) };
  }

  // --- the model ------------------------------------------------------------------------------------------------

  /** Ids and mask [B, S] -> states [B, S, D]. */
  encode(ids, mask) {
    const heads = this.config.encoder_attention_heads;
    const sees = (b, i, j) => mask[b][j] === 1;
    let x = this.zeroPads(this.embed(ids, this.sourcePositions(mask), "encoder", "encoder"), mask);
    this.record("encoder.embed.output", x);
    for (let n = 0; n < this.config.encoder_layers; n++) {
      const layer = `encoder.layers.${n}`, own = `${layer}.self_attn`;
      const q = this.queries(x, own, own, heads);
      const output = this.attend(q, this.keysAndValues(x, own, own, heads), sees, own, own);
      x = this.addAndNorm(x, output, `${layer}.self_attn_layer_norm`, own);
      x = this.zeroPads(this.feedForward(x, layer, `${layer}.ffn`), mask);
      this.record(`${layer}.output`, x);
    }
    this.record("encoder.states", x);
    return x;
  }

  /** The cache before the first token: no keys of its own, and each layer's of the source. */
  start(states) {
    const heads = this.config.decoder_attention_heads, layers = [];
    for (let n = 0; n < this.config.decoder_layers; n++) {
      const name = `decoder.layers.${n}.encoder_attn`;
      layers.push({ own: null, cross: this.keysAndValues(states, name, name, heads) });
    }
    return { length: 0, layers };
  }

  /** New ids [B, T] behind a cache, which grows by them -> log-probabilities [B, T, V]. Masks: [B, S], [B, L]. */
  decode(ids, cache, sourceMask, targetMask, prefix) {
    const heads = this.config.decoder_attention_heads, past = cache.length;
    const seesTarget = (b, i, j) => j <= past + i && targetMask[b][j] === 1;
    const seesSource = (b, i, j) => sourceMask[b][j] === 1;
    const places = ids.map((row) => row.map((_, i) => past + i));
    let x = this.embed(ids, places, "decoder", `${prefix}decoder`);
    this.record(`${prefix}decoder.embed.output`, x);
    for (const [n, memory] of cache.layers.entries()) {
      const layer = `decoder.layers.${n}`, point = prefix + layer;
      const own = `${layer}.self_attn`, cross = `${layer}.encoder_attn`;
      let q = this.queries(x, own, `${point}.self_attn`, heads);
      memory.own = join(memory.own, this.keysAndValues(x, own, `${point}.self_attn`, heads));
      let output = this.attend(q, memory.own, seesTarget, own, `${point}.self_attn`);
      x = this.addAndNorm(x, output, `${layer}.self_attn_layer_norm`, `${point}.self_attn`);
      q = this.queries(x, cross, `${point}.encoder_attn`, heads);
      output = this.attend(q, memory.cross, seesSource, cross, `${point}.encoder_attn`);
      x = this.addAndNorm(x, output, `${layer}.encoder_attn_layer_norm`, `${point}.encoder_attn`);
      x = this.feedForward(x, layer, `${point}.ffn`);
      this.record(`${point}.output`, x);
    }
    cache.length += ids[0].length;
    this.record(`${prefix}decoder.states`, x);
    const bias = this.makes["no-final-bias"] ? undefined : this.weight("final_logits_bias");
    const logits = product(x, this.weight("shared.weight"), bias);
    if (!this.makes["start-token-free"]) {
      const width = logits.shape[2], start = this.config.decoder_start_token_id;
      for (let at = start; at < logits.data.length; at += width) logits.data[at] = -1e20; // never said
    }
    this.record(`${prefix}logits`, logits);
    const logProbabilities = logSoftmax(logits);
    this.record(`${prefix}log_probabilities`, logProbabilities);
    return logProbabilities;
  }

  /** The mean of what the labels [B, T] lose; -100 does not count. */
  loss(logProbabilities, labels) {
    const width = logProbabilities.shape[2], mean = empty();
    const losses = labels.flat().flatMap((label, n) => (label < 0 ? [] : [-logProbabilities.data[n * width + label]]));
    mean.data[0] = losses.reduce((a, b) => a + b, 0) / losses.length;
    this.record("loss", mean);
  }
}

const empty = (...shape) => ({ shape, data: new Float32Array(shape.reduce((a, b) => a * b, 1)) });
const map = (x, f) => ({ shape: x.shape, data: x.data.map(f) });
const add = (x, y) => ({ shape: x.shape, data: x.data.map((value, i) => value + y.data[i]) });

/** x [..., D] times the transpose of weight [F, D], plus bias [F]. */
function product(x, weight, bias) {
  const [rows, width] = weight.shape, y = empty(...x.shape.slice(0, -1), rows);
  for (let n = 0; n < x.data.length / width; n++) {
    for (let row = 0; row < rows; row++) {
      let sum = bias === undefined ? 0 : bias.data[row];
      for (let i = 0; i < width; i++) sum += x.data[n * width + i] * weight.data[row * width + i];
      y.data[n * rows + row] = sum;
    }
  }
  return y;
}

/** [B, T, D] -> [B, H, T, K]. */
function splitHeads(x, heads) {
  const [batch, length, width] = x.shape, size = width / heads, y = empty(batch, heads, length, size);
  for (let b = 0; b < batch; b++) {
    for (let h = 0; h < heads; h++) {
      for (let i = 0; i < length; i++) {
        const from = (b * length + i) * width + h * size;
        y.data.set(x.data.subarray(from, from + size), ((b * heads + h) * length + i) * size);
      }
    }
  }
  return y;
}

/** Keys and values of earlier tokens and of new ones, [B, H, L, K] and [B, H, T, K] -> [B, H, L + T, K]. */
function join(old, added) {
  if (old === null) return added;
  const both = (one, other) => {
    const [batch, heads, length, size] = one.shape, more = other.shape[2];
    const y = empty(batch, heads, length + more, size);
    for (let n = 0; n < batch * heads; n++) {
      y.data.set(one.data.subarray(n * length * size, (n + 1) * length * size), n * (length + more) * size);
      y.data.set(other.data.subarray(n * more * size, (n + 1) * more * size), (n * (length + more) + length) * size);
    }
    return y;
  };
  return { k: both(old.k, added.k), v: both(old.v, added.v) };
}

/** Abramowitz and Stegun, 7.1.26. */
function erf(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const series = [1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592].reduce((sum, c) => (sum + c) * t, 0);
  return Math.sign(x) * (1 - series * Math.exp(-x * x));
}

function softmax(scores, weights) {
  const top = Math.max(...scores);
  const powers = Array.from(scores, (score) => Math.exp(score - top));
  const total = powers.reduce((a, b) => a + b, 0);
  powers.forEach((power, j) => { weights[j] = power / total; });
}

function logSoftmax(logits) {
  const width = logits.shape.at(-1), y = empty(...logits.shape);
  for (let at = 0; at < logits.data.length; at += width) {
    const row = logits.data.subarray(at, at + width), top = Math.max(...row);
    const total = Math.log(row.reduce((sum, value) => sum + Math.exp(value - top), 0));
    row.forEach((value, i) => { y.data[at + i] = value - top - total; });
  }
  return y;
}
