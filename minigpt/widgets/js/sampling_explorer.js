// The next token, and what temperature, top-k and top-p do to it. Chapter: generation.

import { underKernel } from "./kernel.js";
import { after, button, count, cut, element, hear, stillness, textField, voice }
  from "./parts.js";
import { samplingRemark } from "./sampling_remark.js";
import { SamplingSliders, settingsOf } from "./sampling_sliders.js";
import { seedField } from "./seed_field.js";
import { sentModel } from "./sent_model.js";
import { textFrom } from "./session.js";
import { Story } from "./story.js";
import { openness, TokenBars } from "./token_bars.js";

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
    // What calls off the next token, and the next look; tokens asked for one by one.
    const nothing = { timer: null, reading: null, owed: 0, written: null };
    Object.assign(this, { model, engine, note: "", told: "", ...nothing });
    this.build();
    const draw = () => this.draw(), anew = () => this.begin();
    const follow = () => { // while it writes, a kernel's echo is older than the text
      const ids = model.get("new_ids"), old = this.written;
      if (!this.timer && ids !== old && ids.length + old.length) this.begin(ids);
    };
    this.deafen = hear(model, {
      text: anew, seed: anew, new_ids: follow,
      temperature: draw, top_k: draw, top_p: draw, rows: draw,
    });
    this.begin(model.get("new_ids"));
  }

  close() {
    this.stop();
    this.reading?.();
    this.session?.close();
    this.deafen();
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
    const renew = (name) => (value) => this.renew(name, value);
    this.field = textField("Your text", (text, note) => this.type(text, note));
    this.seed = seedField(renew("seed"), (words) => this.say(words));
    this.sliders = new SamplingSliders(V, this.model.get("top_k"),
      (name, value) => this.set(name, value));
    const press = () => (this.timer ? this.pause() : this.run());
    this.runs = button("Write", press, { class: "mgw-main" });
    this.story = new Story(this.engine.tok);
    this.message = element("p", { class: "mgw-message" });
    this.entropy = element("p", { class: "mgw-entropy" });
    this.bars = new TokenBars(this.engine.tok, (id) => this.choose(id));
    this.voice = voice();
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
        element("div", { class: "mgw-controls" }, ...this.sliders.roots,
          this.entropy)),
      this.voice.root);
  }

  // Read the text anew, and after it the ids that were written already.
  begin(ids = []) {
    this.stop();
    this.note = "";
    const text = this.model.get("text"), seed = this.model.get("seed");
    const [kept, note] = cut(text); // as Python may have set it
    if (note) {
      this.set("text", kept);
      return this.remind(note);
    }
    this.field.show(text);
    this.seed.show(seed);
    this.written = ids;
    this.session?.close();
    Object.assign(this, textFrom(this.engine, text, ids, seed));
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

  ended() { return this.written.at(-1) === this.engine.tok.eot; }

  single() {
    this.pause();
    if (this.ended()) this.begin();
    this.owed++;
    this.pay();
  }

  // One of the tokens asked for one by one; where a server reads, once it has.
  pay() {
    if (this.session && !this.session.read(Infinity)) return this.look();
    const left = this.write() ? this.owed - 1 : 0;
    this.finish();
    this.owed = left;
    if (left > 0) this.look();
  }

  run() {
    if (!this.session) return this.draw();
    if (this.ended()) this.begin();
    this.note = "";
    let left = this.model.get("max_new_tokens");
    const next = () => {
      if (this.reading || !this.reads()) // the page answers in between
        return (this.timer = this.session.later(next));
      const ended = !this.write() || --left <= 0;
      if (ended) return this.finish(left > 0 ? "" : "limit");
      this.timer = after(stillness() ? 0 : PAUSE, next);
      if (!stillness()) this.draw();
    };
    this.timer = after(0, next);
    this.runs.textContent = "Stop";
  }

  // Whether the model has read the text; where that takes long, it is said why.
  reads() {
    const { session } = this, read = session.read(READING);
    if (session.waiting !== this.told) this.say((this.told = session.waiting));
    return read;
  }

  // One token more; false where a text ended.
  write() {
    try {
      const id = this.session?.step(settingsOf(this.model)).id;
      if (id !== undefined) this.written = [...this.written, id];
    } catch (error) {
      this.say(error.message);
      return false;
    }
    this.keep(this.written, this.written.length % SAVED === 0);
    return this.session !== null && !this.ended();
  }

  finish(why) { // writing came to an end, by itself or not
    this.stop();
    this.keep(this.written);
    const tokens = `${count(this.model.get("max_new_tokens"))} tokens`;
    this.note = why === "limit" ? `Stopped after ${tokens}: Write goes on.` : "";
    this.draw();
  }

  stop() {
    this.timer?.();
    this.timer = null;
    this.owed = 0;
    this.runs.textContent = "Write";
  }

  pause() { if (this.timer) this.finish(); }

  another() {
    this.renew("seed", (this.model.get("seed") + 1) % 2 ** 31);
    this.run();
  }

  choose(id) { // a token of the reader's own choice, cut or not
    this.pause();
    this.owed = 0;
    this.session.append(id);
    this.note = "";
    this.keep([...this.written, id]);
    this.draw();
  }

  draw() {
    this.sliders.show(settingsOf(this.model));
    this.story.show(this.model.get("text"), this.written ?? [], this.timer !== null);
    this.look();
  }

  // What the model says of the text; on a slow device after some slices of reading.
  look() {
    const { session } = this;
    this.reading?.();
    const read = !session || this.reads();
    this.bars.root.setAttribute("aria-busy", !read);
    this.reading = read ? null : session.later(() => this.look());
    if (!read) return;
    if (!session) {
      this.bars.clear();
      return this.say(this.unread);
    }
    if (this.owed) return this.pay();
    let found;
    try {
      found = session.chances(settingsOf(this.model));
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
