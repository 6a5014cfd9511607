// The model: a GPT of the second generation, whole, as minigpt/model.py is. Chapter:
// blocks. It reads one text at a time: T positions now, S known so far; C channels are
// H heads of D each; V tokens. Arrays are Float32Arrays, row after row; a weight is
// {data, shape}.

export function linear(x, { weight, bias }) { // (T, I), (I, O) -> (T, O)
  const [I, O] = weight.shape, w = weight.data, T = x.length / I;
  const y = new Float32Array(T * O), spare = new Float32Array(O);
  for (let t = 0; t < T; t += 2) { // two rows and four inputs at a time: 3 × as fast
    const u = Math.min(t + 1, T - 1);
    const row = y.subarray(t * O, (t + 1) * O);
    const next = u > t ? y.subarray(u * O, (u + 1) * O) : spare; // when T is odd
    if (bias) for (const sums of [row, next]) sums.set(bias.data);
    let i = 0;
    for (; i + 4 <= I; i += 4) {
      const m = t * I + i, a = x[m], b = x[m + 1], c = x[m + 2], d = x[m + 3];
      const n = u * I + i, e = x[n], f = x[n + 1], g = x[n + 2], h = x[n + 3];
      for (let o = 0, at = i * O; o < O; o++, at++) {
        const p = w[at], q = w[at + O], r = w[at + 2 * O], s = w[at + 3 * O];
        row[o] += a * p + b * q + c * r + d * s;
        next[o] += e * p + f * q + g * r + h * s;
      }
    }
    for (; i < I; i++)
      for (let o = 0; o < O; o++) {
        row[o] += x[t * I + i] * w[i * O + o];
        next[o] += x[u * I + i] * w[i * O + o];
      }
  }
  return y;
}

export function layerNorm(x, { weight, bias }, eps) { // (T, C) -> (T, C)
  const C = weight.data.length, y = new Float32Array(x.length);
  for (let at = 0; at < x.length; at += C) {
    let mean = 0, variance = 0;
    for (let c = 0; c < C; c++) mean += x[at + c] / C;
    for (let c = 0; c < C; c++) variance += (x[at + c] - mean) ** 2 / C;
    const scale = 1 / Math.sqrt(variance + eps);
    for (let c = 0; c < C; c++)
      y[at + c] = (x[at + c] - mean) * scale * weight.data[c] + bias.data[c];
  }
  return y;
}

export function gelu(x) { // (…) -> (…): GPT-2's tanh formula
  const inner = (u) => Math.sqrt(2 / Math.PI) * (u + 0.044715 * u * u * u);
  return x.map((u) => 0.5 * u * (1 + Math.tanh(inner(u))));
}

export function softmax(scores) { // (S) -> (S), in place: positive, with the sum 1
  let max = -Infinity, sum = 0;
  for (const score of scores) max = Math.max(max, score); // without it exp overflows
  for (let s = 0; s < scores.length; s++) sum += scores[s] = Math.exp(scores[s] - max);
  for (let s = 0; s < scores.length; s++) scores[s] /= sum;
  return scores;
}

const add = (x, y) => x.map((value, i) => value + y[i]);

// The keys and values of one block for all positions so far: they do not change when
// tokens follow, so each step computes one position only.
export class Cache {
  constructor({ n_ctx, n_embd }) {
    this.length = 0;
    this.keys = new Float32Array(n_ctx * n_embd);
    this.values = new Float32Array(n_ctx * n_embd);
  }

  extend(k, v, C) { // 2 x (T, C)
    this.keys.set(k, this.length * C);
    this.values.set(v, this.length * C);
    this.length += k.length / C;
  }
}

// How much each query takes from each key: softmax of q·k / √D over itself and what
// came before, 0 elsewhere. The queries are the last T of S positions.
// q (T, C), k (S, C) -> (H, T, S)
export function attentionWeights(q, k, S, { n_embd: C, n_head: H }) {
  const T = q.length / C, D = C / H;
  const weights = new Float32Array(H * T * S);
  for (let h = 0; h < H; h++)
    for (let t = 0; t < T; t++) {
      const seen = S - T + t + 1; // the causal mask: keys 0 to seen - 1
      const row = weights.subarray((h * T + t) * S, (h * T + t) * S + seen);
      for (let s = 0; s < seen; s++) {
        let dot = 0;
        for (let d = h * D; d < (h + 1) * D; d++) dot += q[t * C + d] * k[s * C + d];
        row[s] = dot / Math.sqrt(D);
      }
      softmax(row);
    }
  return weights;
}

// For each query the average of the values, by these weights; the heads side by side.
// weights (H, T, S), v (S, C) -> (T, C)
export function average(weights, v, S, { n_embd: C, n_head: H }) {
  const T = weights.length / H / S, D = C / H;
  const y = new Float32Array(T * C);
  for (let h = 0; h < H; h++)
    for (let t = 0; t < T; t++)
      for (let s = 0; s < S - T + t + 1; s++) {
        const share = weights[(h * T + t) * S + s];
        for (let d = h * D; d < (h + 1) * D; d++) y[t * C + d] += share * v[s * C + d];
      }
  return y;
}

// Causal attention of a text to itself. With `last` only the last position asks.
function selfAttention(x, params, cfg, cache, tap, last) { // (T, C) -> (T, C), (1, C)
  const { n_embd: C, n_head: H } = cfg, T = x.length / C;
  const qkv = linear(x, params.c_attn); // (T, 3 C)
  const [q, k, v] = ["q", "k", "v"].map((name, part) => { // three of (T, C)
    const array = new Float32Array(T * C);
    for (let t = 0, from = part * C; t < T; t++, from += 3 * C)
      array.set(qkv.subarray(from, from + C), t * C);
    return tap(`attn.${name}`, array, [T, H, C / H]);
  });
  cache.extend(k, v, C);
  const S = cache.length, rows = last ? 1 : T;
  const weights = attentionWeights(q.subarray(-rows * C), cache.keys, S, cfg);
  tap("attn.weights", weights, [H, rows, S]);
  const heads = average(weights, cache.values, S, cfg);
  return linear(tap("attn.heads", heads, [rows, H, C / H]), params.c_proj);
}

// Tokens look at each other, then each thinks alone; both only add to the residual
// stream x, and read it through a layer norm.
function block(x, params, cfg, cache, tap, last) { // (T, C) -> (T, C), (1, C)
  const C = cfg.n_embd, eps = cfg.layer_norm_eps, T = x.length / C;
  const seen = tap("ln_1", layerNorm(x, params.ln_1, eps), [T, C]);
  const looked = selfAttention(seen, params.attn, cfg, cache, tap, last);
  const rows = last ? 1 : T;
  x = add(x.subarray(-rows * C), tap("attn", looked, [rows, C]));
  const alone = tap("ln_2", layerNorm(x, params.ln_2, eps), [rows, C]);
  return add(x, tap("mlp", mlp(alone, params.mlp, tap), [rows, C]));
}

function mlp(x, params, tap) { // (T, C) -> (T, C)
  const hidden = gelu(linear(x, params.c_fc)); // (T, 4 C)
  const wide = params.c_proj.weight.shape[0];
  return linear(tap("mlp.hidden", hidden, [hidden.length / wide, wide]), params.c_proj);
}

// Logits for the token that follows each position: T ids -> (T, V).
//
// `caches`, one for each block, hold earlier positions, and are extended. `last` gives
// the last position only, (1, V), and spares what only the others need. `tap(name,
// array, shape)` sees "embedding", "h.0.attn.weights", "h.0", …, "ln_f" and "logits",
// and may change the numbers in them.
export function gpt(params, ids, cfg, { caches = newCaches(cfg), last, tap } = {}) {
  const C = cfg.n_embd, start = caches[0].length, T = ids.length;
  if (start + T > cfg.n_ctx)
    throw new RangeError(`${start + T} tokens are more than ${cfg.n_ctx} positions`);
  const see = (name, array, shape) => (tap?.(name, array, shape), array);
  const wte = params.wte.weight.data, wpe = params.wpe.weight.data;
  let x = new Float32Array(T * C);
  ids.forEach((id, t) => {
    for (let c = 0; c < C; c++)
      x[t * C + c] = wte[id * C + c] + wpe[(start + t) * C + c];
  });
  x = see("embedding", x, [T, C]);
  params.h.forEach((h, i) => {
    const only = last && i === params.h.length - 1;
    const inner = (name, array, shape) => see(`h.${i}.${name}`, array, shape);
    x = block(x, h, cfg, caches[i], inner, only);
    x = see(`h.${i}`, x, [x.length / C, C]);
  });
  x = see("ln_f", layerNorm(x, params.ln_f, cfg.layer_norm_eps), [x.length / C, C]);
  const logits = linear(x, { weight: params.unembed });
  return see("logits", logits, [x.length / C, cfg.vocab_size]);
}

export function newCaches(cfg) {
  return Array.from({ length: cfg.n_layer }, () => new Cache(cfg));
}

export function transpose({ data, shape: [I, O] }) { // (I, O) -> (O, I)
  const turned = data.map((_, at) => data[(at % I) * O + Math.floor(at / I)]);
  return { data: turned, shape: [O, I] };
}
