// From logits to a token: temperature, top-k, top-p, a draw, as minigpt/sampling.py, in
// float64. `settings` are {temperature, top_k, top_p}. Chapter: generation.

const FEW = 100; // so many are found without ranking all

// What the settings make of logits (V): `probabilities` (V), which are drawn from, what
// they were `before` any cut, and for each token what `cut` it: "temperature", "top_k",
// "top_p" or "". Without a setting temperature is 1, and top_k and top_p keep all.
export function filter(logits, settings = {}) {
  const { temperature = 1, top_k = null, top_p = null } = settings;
  checkSettings(temperature, top_k, top_p);
  const scaled = scale(logits, temperature);
  const first = top_k === null ? scaled : keepTopK(scaled, top_k);
  const kept = top_p === null ? first : keepTopP(first, top_p);
  const cut = new Array(kept.length).fill(""); // a loop: GPT-2 has 50,257 tokens
  for (let i = 0; i < cut.length; i++) {
    if (kept[i] > -Infinity) continue;
    const cool = scaled[i] === -Infinity;
    cut[i] = cool ? "temperature" : first[i] === -Infinity ? "top_k" : "top_p";
  }
  const before = probabilities(scaled);
  const after = kept === scaled ? before : probabilities(kept);
  return { probabilities: after, before, cut };
}

export function distribution(logits, settings) { // (V) -> (V)
  return filter(logits, settings).probabilities;
}

// Logits over temperature, with the greatest at 0: before the division, so that no
// temperature overflows. At 0 only the greatest is left, and of equals the first.
export function scale(logits, temperature) { // (V) -> (V)
  const best = argmax(logits);
  const scaled = Float64Array.from(logits);
  if (temperature === 0) return scaled.map((_, i) => (i === best ? 0 : -Infinity));
  return scaled.map((logit) => (logit - logits[best]) / temperature);
}

// The k greatest logits (and those equal to the last of them), -Infinity elsewhere.
export function keepTopK(logits, k) { // (V) -> (V)
  if (k >= logits.length) return logits;
  const all = k > FEW; // then sorting is quicker
  const kth = all ? logits.slice().sort().at(-k) : logits[leaders(logits, k).at(-1)];
  return logits.map((logit) => (logit >= kth ? logit : -Infinity));
}

// The fewest greatest logits whose probabilities reach p, -Infinity elsewhere.
export function keepTopP(logits, p) { // (V) -> (V)
  if (p >= 1) return logits; // only rounding could drop something
  const share = shareOf(logits);
  const ranked = logits.slice().sort().reverse(); // without their places: quicker
  let n = 0; // how many are kept
  for (let cumulative = 0; n < ranked.length; n++) {
    cumulative += share(ranked[n]);
    const before = cumulative - share(ranked[n]); // what better tokens hold
    if (before >= p) break;
  }
  const last = ranked[n - 1];
  let equals = n - ranked.indexOf(last); // of those that equal it the first are kept
  const kept = (logit) => logit > last || (logit === last && equals-- > 0);
  return logits.map((logit) => (kept(logit) ? logit : -Infinity));
}

function shareOf(logits) { // what turns a logit into its probability: softmax
  const max = logits[argmax(logits)];
  let total = 0;
  for (const logit of logits) total += Math.exp(logit - max);
  return (logit) => Math.exp(logit - max) / total;
}

export function probabilities(logits) { // (V) -> (V)
  return Float64Array.from(logits).map(shareOf(logits));
}

// A place drawn with the probabilities p, by one number u in [0, 1).
export function sample(p, u) { // (V) -> ()
  const total = sum(p);
  let cumulative = 0;
  return p.findIndex((share) => {
    cumulative += share;
    return cumulative > u * total;
  });
}

export function entropy(p) { // (V) -> (): in nats
  return -sum(p.map((share) => (share > 0 ? share * Math.log(share) : 0)));
}

export function argmax(values) { // the place of the greatest; of equals the first
  return values.reduce((best, value, i) => (value > values[best] ? i : best), 0);
}

export function order(values) { // places, the greatest first; equals as they stand
  return Array.from(values.keys()).sort((a, b) => values[b] - values[a] || a - b);
}

// The n first of `order`.
export function leaders(values, n) {
  if (n > FEW) return order(values).slice(0, n);
  const found = [];
  for (let i = 0; i < values.length; i++) {
    if (found.length === n && !(values[i] > values[found[n - 1]])) continue;
    let at = found.length;
    while (at > 0 && values[i] > values[found[at - 1]]) at--;
    found.splice(at, 0, i);
    if (found.length > n) found.pop();
  }
  return found;
}

const sum = (values) => values.reduce((total, value) => total + value, 0);

function checkSettings(temperature, top_k, top_p) {
  if (!(Number.isFinite(temperature) && temperature >= 0))
    throw new RangeError(`temperature must be 0 (greedy) or more, not ${temperature}`);
  if (top_k !== null && !(Number.isInteger(top_k) && top_k >= 1))
    throw new RangeError(`top_k must be a whole number from 1, not ${top_k}`);
  if (top_p !== null && !(top_p > 0 && top_p <= 1))
    throw new RangeError(`top_p must be over 0 and at most 1, not ${top_p}`);
}
