// A text that grows, whoever computes: what minigpt/generate.py is in Python, in steps.

import { Random } from "./random.js";
import { entropy, filter, sample } from "./sampling.js";

// The ids themselves, where a model with a vocabulary of V can read them.
export function checkIds(ids, V) {
  const at = ids.findIndex((id) => !(Number.isInteger(id) && id >= 0 && id < V));
  if (at >= 0)
    throw new RangeError(`the id ${ids[at]} is not in the vocabulary of ${V}`);
  if (ids.length === 0)
    throw new RangeError("the text is empty: begin with the end token, tok.eot");
  return ids;
}

// What is to be read, and when, a subclass says: its `read(ms)` sets `known`.
export class GrowingText {
  constructor(engine, ids, seed) {
    Object.assign(this, { engine, ids: [...engine.check(ids)] });
    this.random = new Random(seed);
    this.known = null; // the logits after `ids`, once asked for
    this.waiting = ""; // why they are not there yet, where that takes long: a sentence
  }

  // Call `go` when it makes sense to `read` on; returns what calls it off.
  later(go) {
    const timer = setTimeout(go);
    return () => clearTimeout(timer);
  }

  close() {} // nobody wants to know any more

  logits() { // (V): for the token that follows
    this.read(Infinity);
    return this.known;
  }

  // The next token's logits, its chances at these settings (see `filter`), and their
  // entropy in nats.
  chances(settings) {
    const logits = this.logits();
    if (!logits.every(Number.isFinite))
      throw new RangeError("the model's logits are not finite: its weights are broken");
    const found = filter(logits, settings);
    return { logits, ...found, entropy: entropy(found.probabilities) };
  }

  // Choose the next token and append it: what `chances` gives, and the `id`.
  step(settings = {}) {
    const found = this.chances(settings);
    const greedy = settings.temperature === 0; // draws no number, as in Python
    const id = sample(found.probabilities, greedy ? 0 : this.random.next());
    this.append(id);
    return { id, ...found };
  }

  append(id) { // a token of one's own choice
    this.ids.push(...this.engine.check([id]));
    this.known = null;
  }
}

// A text of `words`, and `ids` after them: {session}, or where nothing can be read,
// {unread}, a sentence.
export function textFrom(engine, words, ids, seed) {
  try {
    const all = [...engine.tok.first(words), ...ids];
    if (all.length) return { session: engine.start(all, seed), unread: "" };
    return { session: null, unread: "The text is empty: write a word." };
  } catch (error) { // not every vocabulary has everything
    return { session: null, unread: error.message };
  }
}
