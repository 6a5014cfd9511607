// A model that answers in the page: what minigpt/generate.py is in Python, in steps.

import { fromBase64, readTensors } from "./checkpoint.js";
import { gpt, newCaches, transpose } from "./model.js";
import { checkIds, GrowingText } from "./session.js";
import { Tokenizer } from "./tokenizer.js";

// The `Engine` of a packed model: `config` and `tokenizer` are what their JSON files
// hold, `weights` is safetensors, as base64 or bytes.
export function load({ config, tokenizer, weights }) {
  const bytes = typeof weights === "string" ? fromBase64(weights) : weights;
  return new Engine(readTensors(bytes), config, tokenizer && new Tokenizer(tokenizer));
}

export class Engine {
  constructor(params, cfg, tok) {
    // A model without an `lm_head` writes with the rows that it reads with.
    const unembed = transpose((params.lm_head ?? params.wte).weight); // (C, V)
    Object.assign(this, { params: { ...params, unembed }, cfg, tok });
  }

  // A text to be continued: the ids that it begins with, and a seed.
  start(ids, seed = 0) {
    return new Session(this, ids, seed);
  }

  // Everything that happens to a text of at most n_ctx ids: {name: {array, shape}}.
  look(ids) {
    const seen = {};
    const tap = (name, array, shape) => { seen[name] = { array, shape }; };
    gpt(this.params, this.check(ids), this.cfg, { tap });
    return seen;
  }

  // The attention weights of every layer, (H, T, T): row t says where position t looks.
  attention(ids) {
    const seen = this.look(ids);
    return this.params.h.map((_, i) => seen[`h.${i}.attn.weights`].array);
  }

  check(ids) { return checkIds(ids, this.cfg.vocab_size); }
}

const READ_AT_ONCE = 8; // tokens: on a slow phone they take 10 ms

// Nothing is computed before it is asked for; a call of `logits`, `chances` or `step`
// reads one token (of a prompt, and when the window slides, n_ctx).
export class Session extends GrowingText {
  caches = null;

  // Read on for about `ms` milliseconds: whether all is read. Who calls it again and
  // again lets a page answer in between; `logits` then have nothing left to read.
  read(ms) {
    const { params, cfg } = this.engine, end = performance.now() + ms;
    this.caches ??= newCaches(cfg);
    while (!this.known) {
      const left = this.ids.slice(-cfg.n_ctx).slice(this.caches[0].length);
      const piece = left.slice(0, READ_AT_ONCE), { caches } = this;
      const logits = gpt(params, piece, cfg, { caches, last: true });
      if (piece.length === left.length) this.known = logits;
      else if (performance.now() >= end) return false;
    }
    return true;
  }

  append(id) {
    super.append(id);
    if (this.ids.length > this.engine.cfg.n_ctx) this.caches = null; // it slides
  }
}
