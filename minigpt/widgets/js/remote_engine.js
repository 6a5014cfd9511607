// A model that answers from a server: what engine.js is where the weights are at hand.
// GPT-2's 500 MB cannot go to a browser. Chapter: serving.

import { Answers } from "./answers.js";
import { tokenizerOf } from "./lookup_tokenizer.js";
import { checkIds, GrowingText } from "./session.js";

const DRAWN = 600_000; // attention weights that a page draws at once

export class RemoteEngine {
  // What GET api/model tells, and where from.
  constructor({ config, tokenizer }, address = "") {
    const { n_layer, n_head, n_ctx } = config, heads = n_layer * n_head;
    const attentionTokens = Math.min(n_ctx, Math.floor(Math.sqrt(DRAWN / heads)));
    Object.assign(this, { cfg: config, tok: tokenizerOf(tokenizer), attentionTokens });
    this.answers = new Answers(address);
  }

  // A text to be continued: the ids that it begins with, and a seed.
  start(ids, seed = 0) {
    return new RemoteText(this, ids, seed);
  }

  // The attention weights of every layer, (H, T, T), once they are there. `signal`
  // calls it off; `tell` hears why it takes long, in a sentence.
  async attention(ids, { signal, tell } = {}) {
    const { n_layer, n_head } = this.cfg, size = n_head * ids.length ** 2;
    const body = { ids: this.check(ids) };
    const all = await this.answers.ask("api/attention", body, { signal, tell });
    checkSize(all, n_layer * size);
    return Array.from({ length: n_layer }, (_, i) =>
      all.subarray(i * size, (i + 1) * size));
  }

  check(ids) { return checkIds(ids, this.cfg.vocab_size); }
}

function checkSize(numbers, expected) {
  if (numbers.length !== expected)
    throw new RangeError(`The server sent ${numbers.length} numbers, and the page ` +
      `expected ${expected}: was another model started there? Reload the page.`);
}

export class RemoteText extends GrowingText {
  asking = null; // what calls off the question that is under way
  failure = null; // why there is no answer
  sleepers = new Set(); // who wants to hear when there is something new

  // Whether the server has answered. `logits` then are there, or raise why not.
  read() {
    const { ids, engine } = this;
    if (!this.known && !this.failure && !this.asking) {
      const body = { ids: ids.slice(-engine.cfg.n_ctx) };
      this.known = engine.answers.kept("api/logits", body);
      if (!this.known) this.ask(body);
    }
    return !this.asking;
  }

  async ask(body) {
    const { signal } = (this.asking = new AbortController());
    const { answers, cfg } = this.engine;
    const tell = (why) => { if (!signal.aborted) this.wake(why); };
    let logits = null, failure = null;
    try {
      logits = await answers.ask("api/logits", body, { signal, tell });
      checkSize(logits, cfg.vocab_size);
    } catch (error) {
      failure = error;
    }
    if (signal.aborted) return; // nobody wants to know any more
    Object.assign(this, { known: logits, failure, asking: null });
    this.wake("");
  }

  wake(why) {
    this.waiting = why;
    for (const go of [...this.sleepers]) if (this.sleepers.delete(go)) go();
  }

  later(go) {
    if (!this.asking) return super.later(go);
    this.sleepers.add(go);
    return () => this.sleepers.delete(go);
  }

  forget() {
    this.asking?.abort();
    Object.assign(this, { asking: null, failure: null });
  }

  close() {
    this.forget();
    this.sleepers.clear();
  }

  logits() {
    if (!this.read()) throw new Error("The model is still reading.");
    if (this.failure) throw this.failure;
    return this.known;
  }

  append(id) {
    super.append(id);
    this.forget();
    super.later(() => this.wake("")); // who slept asks for the longer text
  }
}
