// The steps of a forward pass, from a text to its next token: what each is called, the
// letters of its shape, what it computes, where the book explains it. Chapter: blocks.

import { softmax } from "./model.js";
import { count } from "./parts.js";

export const WALKED = 24; // tokens at most: a row of a map stays wide enough to be seen

const CHAPTERS = { // where a step is explained: its words, and its place in the book
  tokenizer: ["Chapter 1: the tokenizer", "01-tokenizer.html"],
  embeddings: ["Chapter 2: embeddings", "02-embeddings.html"],
  attention: ["Chapter 3: attention", "03-attention.html"],
  mask: ["Chapter 4: the causal mask", "04-causal-mask.html"],
  heads: ["Chapter 5: heads", "05-multi-head.html"],
  norm: ["Chapter 6: layer norm",
    "06-blocks.html#layer-norm-the-same-loudness-everywhere"],
  stream: ["Chapter 6: the residual stream",
    "06-blocks.html#the-residual-stream-add-do-not-replace"],
  mlp: ["Chapter 6: the MLP", "06-blocks.html#the-mlp-thinking-at-one-position"],
  logits: ["Chapter 6: why logits", "06-blocks.html#why-logits-and-not-probabilities"],
  generation: ["Chapter 7: generation", "07-generation.html"],
};

const sizeOf = (leaves) =>
  Object.values(leaves).reduce((sum, { data }) => sum + data.length, 0);

const normStep = (name, parameters, says) => ({ name, title: "layer norm",
  letters: "T C", formula: "norm(x) · g + b", parameters, chapter: "norm", says });

const looksUp = (name, title, formula, parameters, says) => ({ name, title,
  letters: "T C", formula, parameters, chapter: "embeddings", says });

// All steps in order. `part` says in which group of boxes one stands: "begin", "end",
// "stream" for the sum that runs through, or "attention" or "mlp" of a `block`.
export function walkSteps({ params, cfg }) {
  const { n_embd: C, vocab_size: V } = cfg;
  const begin = [
    { name: "ids", title: "token ids", letters: "T", formula: "encode(text)",
      parameters: 0, chapter: "tokenizer",
      says: "The text is cut into tokens. Each is known by its number in the " +
        `vocabulary of ${count(V)}.` },
    looksUp("wte", "token embedding", "wte[ids]", sizeOf(params.wte),
      "For each token its row of a learned table: what the token is."),
    looksUp("wpe", "position embedding", "wpe[:T]", sizeOf(params.wpe),
      "For each position its row of a second table: where the token stands."),
  ].map((step) => ({ ...step, part: "begin" }));
  const first = streamStep("embedding", "x = wte[ids] + wpe[:T]",
    "The sum of the two is the residual stream: a row for each token. From here on " +
    "every part reads it, and adds to it.");
  const own = params.lm_head; // a table of its own to write with, or the one to read
  const end = [
    normStep("ln_f", sizeOf(params.ln_f),
      "The last norm brings the stream, however long it has become, back to a known " +
      "size."),
    { name: "logits", title: "logits", letters: "T V", chapter: "logits",
      formula: own ? "ln_f @ lm_headᵀ" : "ln_f @ wteᵀ",
      parameters: own ? sizeOf(own) : 0, again: !own,
      says: "For each position a score for every token that could follow: the " +
        `product of its row with a row of ${C} numbers for each token` +
        `${own ? "" : ", the same table that was read from at the beginning"}.` },
    { name: "softmax", title: "next token", letters: "V", parameters: 0,
      formula: "softmax(logits[-1])", chapter: "generation",
      says: "The last row of the logits as probabilities. No more is needed to write " +
        "on; the rows above predict tokens that are known." },
  ].map((step) => ({ ...step, part: "end" }));
  const blocks = params.h.flatMap((block, i) => blockSteps(block, i, cfg));
  return [...begin, first, ...blocks, ...end];
}

function streamStep(name, formula, says, block = null) {
  return { name, title: "residual stream", letters: "T C", formula, parameters: 0,
    chapter: "stream", part: "stream", says, block };
}

function blockSteps({ ln_1, attn, ln_2, mlp }, i, { n_embd: C }) {
  const third = (C + 1) * C; // c_attn makes queries, keys and values in one product
  const projection = (letter, title, says) => ({ name: `attn.${letter}`, title,
    letters: "T H D", formula: `ln_1 @ W_${letter} + b_${letter}`, parameters: third,
    chapter: "attention", says });
  const attention = [
    normStep("ln_1", sizeOf(ln_1), "A copy of the stream: each row gets mean 0 and " +
      "variance 1, and is scaled and shifted as learned. So attention need not care " +
      "how long the stream has become."),
    projection("q", "queries",
      "What each token looks for, a short vector in each head."),
    projection("k", "keys", "By what each token can be found."),
    projection("v", "values", "What each token hands to those that look at it."),
    { name: "attn.weights", title: "attention weights", letters: "H T T",
      formula: "softmax(q @ kᵀ / √D)", parameters: 0, chapter: "mask",
      says: "A map for each head: a row says where its token looks, and sums to 1. " +
        "The mask keeps what comes later empty. Here alone do tokens meet." },
    { name: "attn.heads", title: "heads", letters: "T H D", formula: "weights @ v",
      parameters: 0, chapter: "heads",
      says: "For each token the average of the values by these weights, head beside " +
        "head." },
    { name: "attn", title: "c_proj", letters: "T C", formula: "heads @ W + b",
      parameters: sizeOf(attn.c_proj), chapter: "heads",
      says: "One matrix mixes what the heads have found. The result is what " +
        "attention adds to the stream." },
  ].map((step) => ({ ...step, part: "attention" }));
  const alone = [
    normStep("ln_2", sizeOf(ln_2), "A copy of the stream again, as attention has " +
      "left it, with mean 0 and variance 1 in each row."),
    { name: "mlp.hidden", title: "hidden layer", letters: "T 4C",
      formula: "gelu(ln_2 @ W_1 + b_1)", parameters: sizeOf(mlp.c_fc), chapter: "mlp",
      says: "Neurons that look at each token alone. GELU leaves next to nothing of " +
        "what is negative: most of them are silent." },
    { name: "mlp", title: "MLP", letters: "T C", formula: "hidden @ W_2 + b_2",
      parameters: sizeOf(mlp.c_proj), chapter: "mlp",
      says: "What the neurons that fire write. The MLP adds it to the stream." },
  ].map((step) => ({ ...step, part: "mlp" }));
  const halfway = streamStep("halfway", "x = x + c_proj",
    "What was there stays, and attention's result is added to it.");
  const whole = streamStep("", "x = x + MLP",
    "What was there stays, and the MLP's result is added to it: the block is done.");
  return [...attention, halfway, ...alone, whole].map((step) => ({ ...step, block: i,
    name: [`h.${i}`, step.name].filter(Boolean).join(".") }));
}

export const chapterOf = (step) => CHAPTERS[step.chapter];

// The sizes behind the letters, for T tokens.
export function sizesOf({ n_embd: C, n_head: H, vocab_size: V }, T) {
  return { T, C, H, D: C / H, "4C": 4 * C, V };
}

// All that the steps compute of a text: the ids that are read, how many at the text's
// beginning are not, and what was `seen` by name, {array, shape} as `Engine.look` has.
export function walkThrough(engine, text) {
  const { params, cfg } = engine, C = cfg.n_embd, all = engine.tok.first(text);
  if (all.length === 0) return { ids: [], lost: 0, seen: null };
  const ids = all.slice(-Math.min(WALKED, cfg.n_ctx)), T = ids.length;
  const seen = engine.look(ids), wte = params.wte.weight.data;
  const rows = new Float32Array(T * C);
  ids.forEach((id, t) => rows.set(wte.subarray(id * C, (id + 1) * C), t * C));
  seen.ids = { array: ids, shape: [T] };
  seen.wte = { array: rows, shape: [T, C] };
  seen.wpe = { array: params.wpe.weight.data.slice(0, T * C), shape: [T, C] };
  params.h.forEach((_, i) => {
    const before = seen[i ? `h.${i - 1}` : "embedding"].array;
    const added = seen[`h.${i}.attn`].array;
    const array = before.map((value, at) => value + added[at]);
    seen[`h.${i}.halfway`] = { array, shape: [T, C] };
  });
  const last = softmax(seen.logits.array.slice(-cfg.vocab_size));
  seen.softmax = { array: last, shape: [cfg.vocab_size] };
  return { ids, lost: all.length - T, seen };
}

// Smallest, largest, mean and deviation of an array's numbers.
export function figuresOf(array) {
  let minimum = Infinity, maximum = -Infinity, sum = 0, squares = 0;
  for (const value of array) {
    minimum = Math.min(minimum, value);
    maximum = Math.max(maximum, value);
    sum += value;
  }
  const mean = sum / array.length;
  for (const value of array) squares += (value - mean) ** 2;
  return { minimum, maximum, mean, deviation: Math.sqrt(squares / array.length) };
}

// The mean length of the rows of an array.
export function meanLength({ array, shape: [T, C] }) {
  let sum = 0;
  for (let t = 0; t < T; t++)
    sum += Math.hypot(...array.subarray(t * C, (t + 1) * C));
  return sum / T;
}
