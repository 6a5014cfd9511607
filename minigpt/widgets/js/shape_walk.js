// A text on its way through the whole model, step by step: every array with its shape,
// its numbers, and the residual stream that runs through all. Chapter: blocks.

import { underKernel } from "./kernel.js";
import { button, count, cut, element, ownId, State, textField, voice }
  from "./parts.js";
import { sentModel } from "./sent_model.js";
import { ShapePanel } from "./shape_panel.js";
import { tokenName } from "./shape_maps.js";
import { sizesOf, WALKED, walkSteps, walkThrough } from "./shape_steps.js";
import { ShapeWay } from "./shape_way.js";
import { order } from "./sampling.js";

const WALK_PACE = 3000; // milliseconds for a step, to be read

export function shapeWalk({ model, el, engine }) {
  const view = new ShapeWalkView(model, engine);
  el.replaceChildren(view.root);
  view.begin();
  return () => view.close();
}

export const shapeWalkModule = underKernel(shapeWalk, sentModel);

class ShapeWalkView {
  constructor(model, engine) {
    Object.assign(this, { model, engine, timer: null, T: null, text: null });
    this.steps = walkSteps(engine);
    this.build();
    this.listeners = { text: () => this.read(), opened: () => this.reveal() };
    for (const [name, listen] of Object.entries(this.listeners))
      model.on(`change:${name}`, listen);
  }

  begin() { // once it is in the page: nothing is drawn elsewhere
    this.read();
    this.reveal();
  }

  close() {
    this.stop();
    this.panel.close();
    this.way.close();
    for (const [name, listen] of Object.entries(this.listeners))
      this.model.off(`change:${name}`, listen);
  }

  set(name, value) { // what the reader does; `read` or `reveal` follow by themselves
    this.model.set(name, value);
    this.model.save_changes();
  }

  build() {
    const walk = (anew) => (this.timer ? this.stop() : this.walk(anew));
    this.field = textField("Your text", (text, note) => this.type(text, note), 1);
    this.walks = button("Walk through", () => walk(true), { class: "mgw-main" });
    this.folds = button("", () => this.way.foldAll());
    this.message = element("p", { class: "mgw-message" });
    this.letters = element("ul", { class: "mgw-sw-letters" });
    this.voice = voice();
    const say = (words) => this.voice.say(words);
    this.panel = new ShapePanel(ownId("mgw-sw-panel"), {
      walk: () => walk(false), previous: () => this.pass(-1), next: () => this.pass(1),
      close: () => this.shut() }, this.model instanceof State, say);
    this.way = new ShapeWay(this.steps, this.engine.cfg, {
      press: (step) => this.press(step), folded: (words) => this.refolded(words) });
    for (const { button: box } of this.way.boxes)
      box.setAttribute("aria-controls", this.panel.root.id);
    this.root = element("div", { class: "mgw mgw-sw", role: "group",
      "aria-label": "The whole model at work, array by array",
      onkeydown: (event) => { if (event.key === "Escape") this.shut(); } },
      this.field.root,
      element("div", { class: "mgw-buttons" }, this.walks, this.folds),
      this.message, this.letters, this.way.root, this.voice.root);
    this.refolded("");
  }

  type(text, note) {
    this.note = note; // for `read`, which follows where it is another text
    if (text !== this.model.get("text")) this.set("text", text);
    else if (note) this.read();
  }

  read() { // the text, through the whole model
    const { engine } = this, text = this.model.get("text"), [kept, cutNote] = cut(text);
    if (cutNote) return this.type(kept, cutNote); // as Python may have set it
    this.field.show(text);
    const { ids, lost, seen } = walkThrough(engine, text);
    if (!seen) return this.tell("The text is empty: write a word.");
    const sizes = sizesOf(engine.cfg, ids.length), before = this.T;
    this.T = ids.length;
    const end = (id) => id === engine.tok.eot;
    this.text = { ids, sizes, seen,
      pieces: { piece: (id) => engine.tok.pieces([id])[0], end } };
    this.way.show(seen, sizes, this.text);
    this.count(sizes);
    this.refresh();
    const first = `${this.note ?? ""} ${lost ? this.shortened(lost) : ""}`.trim();
    this.note = "";
    const more = before === null ? "" : this.foretold(seen); // a page is not read out
    this.tell(first || this.change(before), more);
  }

  shortened(lost) {
    return `The text has ${count(lost + this.T)} tokens. The last ${this.T} walk, as ` +
      "if it began with them.";
  }

  change(before) { // what another text has changed
    if (before === null) return "";
    if (before === this.T)
      return `T is ${before} as before: other numbers, in arrays of the same shapes.`;
    const changed = this.steps.filter(({ letters }) => letters.includes("T")).length;
    return `T was ${before} and is ${this.T}: ${changed} of ${this.steps.length} ` +
      "arrays have another shape. No parameter has changed.";
  }

  foretold({ softmax: { array } }) {
    const [id] = order(array), { pieces } = this.text;
    const name = tokenName(pieces.piece(id), pieces.end(id));
    return `Likeliest next: ${name}, ${array[id].toFixed(3)}.`;
  }

  count({ T, C, H, D, V }) { // the letters that all shapes are written with
    const parameters = this.steps.reduce((sum, step) => sum + step.parameters, 0);
    const L = this.engine.cfg.n_layer;
    const entries = [["T", T, "tokens"], ["C", C, "channels"], ["H", H, "heads"],
      ["D", D, "per head"], ["V", V, "vocabulary"], ["", L, "blocks"],
      ["", count(parameters), "parameters"]];
    this.letters.replaceChildren(...entries.map(([letter, size, words]) =>
      element("li", {}, letter ? element("b", {}, letter) : "",
        `${letter ? " = " : ""}${size} `, element("span", {}, words))));
  }

  tell(words, more = "") {
    this.message.textContent = words;
    if (words || more) this.voice.say(`${words} ${more}`.trim());
  }

  // ---- which box is opened

  opened() {
    return this.steps.find(({ name }) => name === this.model.get("opened")) ?? null;
  }

  press(step) { // a box: open it, or shut it
    this.stop();
    const { button: box } = this.way.box(step.name);
    this.steady(box, () =>
      this.set("opened", this.opened() === step ? "" : step.name));
  }

  shut() {
    const step = this.opened();
    this.stop();
    if (!step) return;
    const box = this.way.box(step.name).button;
    const within = this.panel.root.contains(document.activeElement);
    this.set("opened", "");
    if (within) box.focus();
  }

  pass(by) { // to the box before or after
    this.stop();
    this.go(by);
  }

  go(by) {
    const at = this.steps.indexOf(this.opened());
    const to = Math.max(0, Math.min(this.steps.length - 1, at + by));
    const { nav } = this.panel, move = () => this.set("opened", this.steps[to].name);
    if (nav.isConnected) this.steady(nav, move);
    else move();
    const { top, bottom } = nav.getBoundingClientRect();
    if (top < 0 || bottom > innerHeight) // a reader may have gone elsewhere
      this.panel.root.scrollIntoView({ block: "nearest" });
    this.voice.say(`${this.steps[to].title}, ${this.steps[to].name}.`);
  }

  // Change the page, and let `mark` stand where the reader sees it.
  steady(mark, act) {
    const before = mark.getBoundingClientRect().top;
    act();
    let up = this.root.parentElement;
    const scrolls = (el) => el.scrollHeight > el.clientHeight + 1 &&
      /auto|scroll/.test(getComputedStyle(el).overflowY);
    while (up && !scrolls(up)) up = up.parentElement;
    const by = mark.getBoundingClientRect().top - before;
    (up ?? document.scrollingElement).scrollBy({ top: by, behavior: "instant" });
  }

  reveal() { // the panel of the opened box, right below it
    const step = this.opened(), { panel, way } = this;
    for (const box of way.boxes) box.open(box.step === step);
    if (!step || !this.text) return panel.close();
    way.unfold(step.block);
    const active = document.activeElement, within = panel.root.contains(active);
    way.box(step.name).root.after(panel.root);
    way.rove(this.steps.indexOf(step));
    this.refresh();
    if (!within) return;
    const kept = active.disabled ? panel.nav.querySelector("button:enabled") : active;
    kept.focus({ preventScroll: true });
  }

  holds({ root }) { return this.root.contains(root); } // in a page or not yet

  refresh() { // the panel's numbers
    const step = this.opened(), at = this.steps.indexOf(step);
    if (!step || !this.holds(this.panel)) return;
    const ends = [at === 0, at === this.steps.length - 1];
    const tensor = this.text.seen[step.name];
    this.panel.show(step, tensor, this.engine.cfg, this.text, ends);
  }

  refolded(words) {
    const unfolded = this.way?.allUnfolded();
    this.folds.textContent = unfolded ? "Fold all blocks" : "Unfold all blocks";
    const step = this.opened();
    if (step && this.text && !this.holds(this.way.box(step.name)))
      this.set("opened", "");
    else if (this.text && !this.holds(this.panel)) this.reveal();
    if (words) this.voice.say(words);
  }

  // ---- from box to box

  walk(anew) { // from the text, or from where it stands
    if (anew || this.opened() === this.steps.at(-1)) this.set("opened", "");
    const next = () => {
      this.go(1);
      const more = this.opened() !== this.steps.at(-1);
      this.timer = more ? setTimeout(next, WALK_PACE) : null;
      this.name();
    };
    next();
  }

  stop() {
    clearTimeout(this.timer);
    this.timer = null;
    this.name();
  }

  name() {
    this.walks.textContent = this.timer ? "Stop" : "Walk through";
    this.panel.walk.textContent = this.timer ? "Stop" : "Walk on";
  }
}
