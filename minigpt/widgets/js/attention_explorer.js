// Where the tokens of a text look, in every head. Chapters: attention, causal mask,
// multi-head attention.

import { HeadGrid } from "./attention_heads.js";
import { AttentionMap } from "./attention_map.js";
import { tokenSign, TokenStrip } from "./attention_strip.js";
import { underKernel } from "./kernel.js";
import { count, cut, element, hear, textField, visible, voice } from "./parts.js";
import { sentModel } from "./sent_model.js";

const LOOKS_NAMED = 4; // tokens that the sentence names
const ROUNDING = 1e-5; // a server may add up a longer text in another order
const SAVE = 200; // milliseconds after which Python is told what the arrow keys chose

export function attentionExplorer({ model, el, engine }) {
  const explorer = new AttentionExplorer(model, engine);
  el.replaceChildren(explorer.root);
  explorer.begin(); // heat maps are drawn when they are in the page
  return () => explorer.close();
}

export const attentionExplorerModule = underKernel(attentionExplorer, sentModel);

class AttentionExplorer {
  constructor(model, engine) {
    Object.assign(this, { model, engine, ids: [], note: "", timer: null });
    this.asking = null; // what calls off a question to the model
    this.most = engine.attentionTokens ?? engine.cfg.n_ctx; // that are shown
    this.pointed = { row: null, column: null }; // where a mouse is
    this.build();
    const head = () => this.drawHead(), look = () => this.drawLook();
    const text = () => this.read();
    this.deafen = hear(model, { text, layer: head, head, query: look });
  }

  close() {
    if (this.timer) this.save();
    this.asking?.abort();
    this.deafen();
    for (const part of [this.heads, this.map, this.strip]) part.close();
  }

  save() {
    clearTimeout(this.timer);
    this.timer = null;
    this.model.save_changes();
  }

  later() { // a key that is held down is one message, not thirty a second
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.save(), SAVE);
  }

  build() {
    const { n_layer, n_head } = this.engine.cfg;
    const point = (row, column = null) => this.point(row, column);
    this.field = textField("Your text", (text, note) => this.type(text, note));
    this.message = element("p", { class: "mgw-message" });
    this.strip = new TokenStrip((query) => this.choose(query), point);
    this.sentence = element("p", { class: "mgw-look" });
    this.heads = new HeadGrid(this.engine.cfg, (layer, head) => {
      this.model.set("layer", layer);
      this.model.set("head", head);
      this.later();
    });
    this.title = element("p", { class: "mgw-name" });
    this.map = new AttentionMap(point, (row, column) => {
      this.choose(row);
      this.point(row, column); // a finger marks what it touched
    });
    this.voice = voice();
    const many = `All ${count(n_layer * n_head)} heads at a glance`;
    this.root = element("div", { class: "mgw mgw-looks", role: "group",
      "aria-label": "Explorer of a model's attention" },
      this.field.root, this.message, this.strip.root, this.sentence,
      element("div", { class: "mgw-columns" },
        element("div", {}, element("p", { class: "mgw-name" }, many, " ",
          element("span", { class: "mgw-soft" }, this.heads.names)), this.heads.root),
        element("div", {}, this.title, this.map.root)),
      this.voice.root);
  }

  begin() {
    this.heads.mark(this.model.get("layer"), this.model.get("head"));
    this.read();
  }

  type(text, note) {
    const same = text === this.model.get("text");
    if (same && !note) return; // the field was left: what was said of it stays
    this.note = note;
    if (same) this.read(); // the end of a longer text that was read already
    else this.model.set("text", text); // which reads it
    this.save();
  }

  // Ask the model where every token of the text looks. An engine may answer later:
  // what was there stays until then, and of several questions the last counts.
  read() {
    const [kept, note] = cut(this.model.get("text")); // as Python may have set it
    if (note) return this.type(kept, note);
    this.field.show(kept);
    this.asking?.abort();
    const asking = this.asking = new AbortController(), { signal } = asking;
    const current = (go) => (found) => { if (!signal.aborted) go(found); };
    let all;
    try {
      all = this.engine.tok.first(kept);
    } catch (error) { // not every vocabulary has everything
      return this.take([], [], 0, error.message);
    }
    const ids = all.slice(-this.most), lost = all.length - ids.length;
    const tell = current((words) => { if (words) this.say(words); });
    const answer = ids.length ? this.engine.attention(ids, { signal, tell }) : [];
    if (!answer.then) return this.take(ids, answer, lost);
    this.root.setAttribute("aria-busy", true);
    answer.then(current((weights) => this.take(ids, weights, lost)),
      current((error) => this.take([], [], 0, error.message)));
  }

  // The weights of these tokens; where there are none, why.
  take(ids, weights, lost, why = "The text is empty: write a word.") {
    const { tok, cfg } = this.engine, before = this.ids, old = this.weights;
    Object.assign(this, { ids, weights });
    this.root.setAttribute("aria-busy", false);
    this.names = tok.pieces(ids).map((piece, i) =>
      ids[i] === tok.eot ? null : visible(piece));
    this.point(null, null, false);
    this.say(this.note || this.remark(before, old, lost), lost);
    this.note = "";
    this.strip.write(this.names);
    this.root.classList.toggle("mgw-empty", ids.length === 0);
    if (!ids.length) return this.clear(why);
    this.heads.show(this.weights.flatMap((_, layer) =>
      Array.from({ length: cfg.n_head }, (_, head) => this.table(layer, head))),
      ids.length);
    this.drawHead();
  }

  clear(why) {
    this.sentence.replaceChildren();
    this.say(why);
    this.voice.say(why);
  }

  say(words, lost = 0) {
    const { most } = this, sees = most === this.engine.cfg.n_ctx ?
      `The model sees ${most} tokens at most` : `${most} tokens are shown at most`;
    const far = lost === 0 ? "" : ` ${sees}: the last ${most} are shown, ` +
      `${count(lost)} before them are left out.`;
    this.message.textContent = `${words}${far}`.trim();
  }

  // What became of the rows that were there before the text changed.
  remark(before, old, lost) {
    const { ids, weights } = this, was = before.length, T = ids.length;
    if (!was || !T || lost) return "";
    let same = 0;
    while (same < Math.min(was, T) && before[same] === ids[same]) same++;
    if (same === 0 || (same === was && was === T)) return "";
    const H = this.engine.cfg.n_head;
    for (let layer = 0; layer < weights.length; layer++)
      for (let h = 0; h < H; h++)
        for (let t = 0; t < same; t++)
          for (let s = 0; s <= t; s++) {
            const now = weights[layer][(h * T + t) * T + s];
            const then = old[layer][(h * was + t) * was + s];
            if (Math.abs(now - then) > ROUNDING) return "";
          }
    const kept = same === 1 ? "The row of the first token is" :
      `The rows of the first ${same} tokens are`;
    return `${kept} what ${same === 1 ? "it was" : "they were"}, in every head.`;
  }

  table(layer, head) { // T × T, null where the mask hides
    const T = this.ids.length, weights = this.weights[layer], table = [];
    for (let t = 0, from = head * T * T; t < T; t++, from += T)
      for (let s = 0; s < T; s++) table.push(s <= t ? weights[from + s] : null);
    return table;
  }

  choose(query) { // a token that looks, by a press or a key
    this.point(null, null, false);
    this.model.set("query", query === this.ids.length - 1 ? null : query);
    this.drawLook();
    this.later();
  }

  point(row, column, draw = true) { // a mouse moves: nobody else is told
    if (row === this.pointed.row && column === this.pointed.column) return;
    this.pointed = { row, column };
    if (draw) this.drawLook(false);
  }

  drawHead() {
    if (!this.ids.length) return;
    const layer = this.model.get("layer"), head = this.model.get("head");
    this.heads.mark(layer, head);
    this.title.textContent = `Layer ${layer}, head ${head}`;
    this.map.show(this.names, this.table(layer, head),
      `Attention weights of layer ${layer}, head ${head}: a row for each of ` +
      `${this.ids.length} tokens that look, a column for each looked at.`);
    this.drawLook();
  }

  drawLook(aloud = true) {
    const T = this.ids.length;
    if (!T) return;
    const chosen = Math.min(this.model.get("query") ?? T - 1, T - 1);
    const query = this.pointed.row ?? chosen, key = this.pointed.column;
    const from = (this.model.get("head") * T + query) * T;
    const layer = this.weights[this.model.get("layer")];
    const weights = layer.subarray(from, from + query + 1);
    this.strip.show(this.names, { weights, query, chosen, key });
    this.map.mark(query, key ?? weights.indexOf(Math.max(...weights)));
    this.tell(weights, query, key);
    if (aloud) this.voice.say(`${this.title.textContent}. ` +
      `${this.sentence.textContent} ${this.message.textContent}`);
  }

  // Where a token looks, in a sentence.
  tell(weights, query, key) {
    const name = (i) => (this.names[i] === null ? tokenSign("end of text") :
      element("span", { class: "mgw-word" }, this.names[i]));
    const order = [...weights.keys()].sort((a, b) => weights[b] - weights[a] || a - b);
    const large = (i, n) => n === 0 || weights[i] >= 0.01;
    const named = order.slice(0, LOOKS_NAMED).filter(large);
    if (key !== null && !named.includes(key)) named[named.length - 1] = key;
    const parts = named.flatMap((i, n) => {
      const itself = i === query ? "itself" : name(i);
      return [`${n ? ", " : ""}${weights[i].toFixed(2)} at `, itself];
    });
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const rest = named.reduce((left, i) => left - weights[i], total);
    const others = order.length - named.length;
    if (others > 0) parts.push(`, ${Math.max(0, rest).toFixed(2)} at ` +
      (others === 1 ? "one other" : `${others} others`));
    const sum = order.length > 1 ? `; ${total.toFixed(2)} in all.` : ".";
    this.sentence.replaceChildren(name(query), " looks ", ...parts, sum);
  }
}
