// The next token, and what temperature, top-k and top-p do to it. Chapter: generation.

import { underKernel } from "./kernel.js";
import { button, count, cut, element, slider, stillness, textField, voice }
  from "./parts.js";
import { samplingRemark } from "./sampling_remark.js";
import { seedField } from "./seed_field.js";
import { sentModel } from "./sent_model.js";
import { Story } from "./story.js";
import { openness, TokenBars } from "./token_bars.js";

const HOT = { min: 0, max: 3, step: 0.05 };
const PAUSE = 35; // milliseconds from token to token, to be read along
const READING = 20; // milliseconds between two paints, where a device is slow
const SAVED = 8; // tokens after which Python is told, while the model writes

export function samplingExplorer({ model, el, engine }) {
  const explorer = new SamplingExplorer(model, engine);
  el.replaceChildren(explorer.root);
  return () => explorer.close();
}

export const samplingExplorerModule = underKernel(samplingExplorer, sentModel);

class SamplingExplorer {
  constructor(model, engine) {
    const nothing = { timer: null, reading: null, written: null, note: "" };
    Object.assign(this, { model, engine, ...nothing });
    const V = engine.cfg.vocab_size;
    this.all = Math.min(V, Math.max(50, model.get("top_k") ?? 1) + 1); // the right end
    this.build();
    const draw = () => this.draw(), anew = () => this.begin();
    const follow = () => { // while it writes, a kernel's echo is older than the text
      const ids = model.get("new_ids"), old = this.written;
      if (!this.timer && ids !== old && ids.length + old.length) this.begin(ids);
    };
    this.listeners = {
      text: anew, seed: anew, new_ids: follow,
      temperature: draw, top_k: draw, top_p: draw, rows: draw,
    };
    for (const [name, listen] of Object.entries(this.listeners))
      model.on(`change:${name}`, listen);
    this.begin(model.get("new_ids"));
  }

  close() {
    this.stop();
    clearTimeout(this.reading);
    for (const [name, listen] of Object.entries(this.listeners))
      this.model.off(`change:${name}`, listen);
  }

  set(name, value) { // what the reader does; `draw` or `begin` follow by themselves
    this.model.set(name, value);
    this.model.save_changes();
  }

  renew(name, value) { // what lets all begin anew; where Python does it, it says so
    if (this.model.get(name) === value) return;
    this.model.set(name, value);
    this.keep([]);
  }

  build() {
    const V = this.engine.cfg.vocab_size;
    const set = (name) => (value) => this.set(name, value);
    const renew = (name) => (value) => this.renew(name, value);
    this.field = textField("Your text", (text, note) => this.type(text, note));
    this.seed = seedField(renew("seed"), (words) => this.say(words));
    this.sliders = {
      temperature: slider("temperature", HOT, set("temperature")),
      top_k: slider("top-k", { min: 1, max: this.all, step: 1 }, (k) =>
        this.set("top_k", k === this.all ? null : k)),
      top_p: slider("top-p", { min: 0.01, max: 1, step: 0.01 }, (p) =>
        this.set("top_p", p === 1 ? null : p)),
    };
    const press = () => (this.timer ? this.pause() : this.run());
    this.runs = button("Write", press, { class: "mgw-main" });
    this.story = new Story(this.engine.tok);
    this.message = element("p", { class: "mgw-message" });
    this.entropy = element("p", { class: "mgw-entropy" });
    this.bars = new TokenBars(this.engine.tok, (id) => this.choose(id));
    this.voice = voice();
    const controls = Object.values(this.sliders).map(({ root }) => root);
    this.root = element("div", { class: "mgw", role: "group",
      "aria-label": `Explorer of a model's next token, one of ${count(V)}` },
      this.field.root,
      this.story.root,
      element("div", { class: "mgw-buttons" }, this.runs,
        button("One token", () => this.single()),
        button("Write another", () => this.another()),
        button("Reset", () => { this.begin(); this.keep([]); }),
        this.seed.root),
      this.message,
      element("div", { class: "mgw-columns" },
        element("div", {}, element("p", { class: "mgw-name" }, "The next token"),
          this.bars.root),
        element("div", { class: "mgw-controls" }, ...controls, this.entropy)),
      this.voice.root);
  }

  // Read the text anew, and after it the ids that were written already.
  begin(ids = []) {
    this.stop();
    this.note = "";
    const { tok } = this.engine, text = this.model.get("text");
    const [kept, note] = cut(text); // as Python may have set it
    if (note) {
      this.set("text", kept);
      return this.remind(note);
    }
    this.field.show(text);
    this.seed.show(this.model.get("seed"));
    const all = [...tok.first(text), ...ids];
    this.session = all.length ? this.engine.start(all, this.model.get("seed")) : null;
    this.written = ids;
    this.draw();
  }

  keep(ids, save = true) {
    this.written = ids; // so that `follow` knows its own doing
    this.model.set("new_ids", ids);
    if (save) this.model.save_changes();
  }

  type(text, note) {
    this.renew("text", text);
    if (note) this.remind(note);
  }

  remind(note) {
    this.note = `${note} The model sees ${this.engine.cfg.n_ctx} tokens at most.`;
    this.draw();
  }

  settings() {
    const names = ["temperature", "top_k", "top_p"];
    return Object.fromEntries(names.map((name) => [name, this.model.get(name)]));
  }

  ended() { return this.written.at(-1) === this.engine.tok.eot; }

  single() {
    this.pause();
    if (this.ended()) this.begin();
    this.write();
    this.finish();
  }

  run() {
    if (!this.session) return this.draw();
    if (this.ended()) this.begin();
    this.note = "";
    let left = this.model.get("max_new_tokens");
    const next = () => {
      if (this.reading || !this.session.read(READING)) // the page answers in between
        return (this.timer = setTimeout(next));
      const ended = !this.write() || --left <= 0;
      if (ended) return this.finish(left > 0 ? "" : "limit");
      this.timer = setTimeout(next, stillness() ? 0 : PAUSE);
      if (!stillness()) this.draw();
    };
    this.timer = setTimeout(next);
    this.runs.textContent = "Stop";
  }

  // One token more; false where a text ended.
  write() {
    if (!this.session) return false;
    let id;
    try {
      ({ id } = this.session.step(this.settings()));
    } catch (error) {
      this.say(error.message);
      return false;
    }
    const ids = [...this.written, id];
    this.keep(ids, ids.length % SAVED === 0);
    return id !== this.engine.tok.eot;
  }

  finish(why) { // writing came to an end, by itself or not
    this.stop();
    this.keep(this.written);
    const tokens = `${count(this.model.get("max_new_tokens"))} tokens`;
    this.note = why === "limit" ? `Stopped after ${tokens}: Write goes on.` : "";
    this.draw();
  }

  stop() {
    clearTimeout(this.timer);
    this.timer = null;
    this.runs.textContent = "Write";
  }

  pause() { if (this.timer) this.finish(); }

  another() {
    this.renew("seed", (this.model.get("seed") + 1) % 2 ** 31);
    this.run();
  }

  choose(id) { // a token of the reader's own choice, cut or not
    this.pause();
    this.session.append(id);
    this.note = "";
    this.keep([...this.written, id]);
    this.draw();
  }

  draw() {
    const { temperature, top_k, top_p } = this.settings(), { sliders } = this;
    const V = this.engine.cfg.vocab_size;
    sliders.temperature.show(temperature, temperature.toFixed(2));
    const ranked = top_k === null ? `all ${count(V)}` : `${top_k}`;
    sliders.top_k.show(top_k ?? this.all, ranked);
    sliders.top_p.show(top_p ?? 1, top_p === null ? "1.00, all" : top_p.toFixed(2));
    this.story.show(this.model.get("text"), this.written ?? [], this.timer !== null);
    this.look();
  }

  // What the model says of the text; on a slow device after some slices of reading.
  look() {
    clearTimeout(this.reading);
    const read = !this.session || this.session.read(READING);
    this.bars.root.setAttribute("aria-busy", !read);
    this.reading = read ? null : setTimeout(() => this.look());
    if (!read) return;
    if (!this.session) {
      this.bars.clear();
      return this.say("The text is empty: write a word.");
    }
    let found;
    try {
      found = this.session.chances(this.settings());
    } catch (error) {
      return this.say(error.message);
    }
    this.bars.show(found, this.model.get("rows"));
    this.say(this.note || samplingRemark(this));
    this.entropy.textContent = openness(found);
    const told = [this.message.textContent, this.story.spoken, openness(found)];
    if (!this.timer) this.voice.say(told.join(" "));
  }

  say(words) {
    if (this.message.textContent !== words) this.message.textContent = words;
    if (words && !this.timer) this.voice.say(words);
  }
}
