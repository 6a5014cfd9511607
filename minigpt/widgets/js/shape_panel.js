// One step, opened: what it does, its numbers in figures, and a large heat map in which
// a pointer or the arrow keys find every single one. Chapter: blocks.

import { button, element, pressedAlone, visible } from "./parts.js";
import { parametersOf, shapeParts } from "./shape_box.js";
import { ArrayMaps, decimals, numberInWords, tokenName } from "./shape_maps.js";
import { chapterOf, figuresOf } from "./shape_steps.js";

const FIGURES = ["minimum", "maximum", "mean", "deviation"];

export class ShapePanel {
  // `acts` are what its buttons do: previous, next, walk, close. With `linked` the
  // book's chapters are pages beside this one. `say` is read aloud.
  constructor(id, acts, linked, say) {
    Object.assign(this, { linked, say, maps: null, step: null });
    this.walk = button("Walk on", acts.walk);
    this.previous = button("Previous", acts.previous);
    this.next = button("Next", acts.next);
    this.title = element("p", { class: "mgw-sw-name" });
    this.nav = element("div", { class: "mgw-buttons mgw-sw-nav" }, this.title,
      this.previous, this.next, this.walk, button("Close", acts.close));
    this.says = element("p", { class: "mgw-sw-says" });
    this.facts = element("dl"); // themes style a list that has a class
    this.place = element("div");
    this.readout = element("p", { class: "mgw-sw-readout" });
    this.root = element("li", { class: "mgw-sw-panel", id }, this.nav, this.says,
      element("div", { class: "mgw-sw-facts" }, this.facts), this.place, this.readout);
  }

  // `text` knows the tokens: {ids, pieces, sizes}.
  show(step, tensor, cfg, text, [first, last]) {
    const same = this.step === step;
    Object.assign(this, { step, tensor, text });
    this.title.replaceChildren(element("b", {}, step.title), " ",
      element("code", {}, step.name));
    this.previous.disabled = first;
    this.next.disabled = last;
    const [words, href] = chapterOf(step);
    const link = this.linked ? element("a", { href }, words) : `${words}.`;
    this.says.replaceChildren(`${step.says} `, link);
    this.facts.replaceChildren(...this.figures(step, tensor).flatMap(([name, value]) =>
      [element("div", {}, element("dt", {}, name), element("dd", {}, ...value))]));
    if (!same) this.build(step, cfg);
    this.draw();
  }

  figures(step, tensor) {
    const shape = ["shape", shapeParts(step, this.text.sizes)];
    const learned = ["learned", [parametersOf(step)]];
    if (!this.counts(step)) return [shape, learned];
    const found = figuresOf(tensor.array);
    return [shape, ...FIGURES.map((name) => [name, [decimals(found[name])]]), learned];
  }

  counts({ letters }) { return letters !== "T"; } // ids are names, not amounts

  build(step, cfg) { // a large map, where the old one stood
    this.clear();
    this.maps = this.counts(step) ? new ArrayMaps(step, cfg.n_head) : null;
    this.at = null;
    this.place.replaceChildren();
    this.readout.textContent = "";
    if (!this.maps) return;
    this.rows = element("ol", { class: "mgw-sw-rows", "aria-hidden": "true" });
    this.mark = element("span", { class: "mgw-sw-mark" });
    const point = (event) => this.point(event);
    const words = "arrow keys go from number to number";
    const large = element("div", { class: "mgw-sw-large", tabindex: "0", role: "group",
      "aria-label": `${step.title}, all numbers: ${words}`,
      onpointermove: point, onpointerdown: point,
      onkeydown: (event) => this.key(event) },
      this.rows, this.maps.root);
    this.scale = element("p", { class: "mgw-sw-scale" });
    this.place.append(large, this.scale);
    this.arrived = new ResizeObserver(() => {
      if (this.drawn !== this.tensor) this.draw(); // it came into the page after them
    });
    this.arrived.observe(large);
  }

  draw() { // not before it is in the page
    if (!this.maps || !this.root.isConnected) return;
    this.drawn = this.tensor;
    const { letters } = this.step, { ids, pieces } = this.text;
    const most = this.maps.draw(this.tensor);
    this.names = ids.map((id) => tokenName(pieces.piece(id), pieces.end(id)));
    const labelled = this.maps.maps.length === 1 && letters !== "V";
    this.rows.replaceChildren(...(labelled ? ids : []).map((id) =>
      element("li", {}, pieces.end(id) ? "end" : visible(pieces.piece(id)))));
    this.place.style.setProperty("--rows", this.maps.planes[0].rows);
    const signed = letters.startsWith("T"), ends = signed ? decimals(most) : "1";
    this.scale.replaceChildren(signed ? `−${ends}` : "0",
      element("i", { class: signed ? "mgw-sw-signed" : "" }), ends);
    const within = this.at && this.at.every((n, i) => n < this.limits()[i]);
    if (within) this.read(...this.at);
    else this.rest();
  }

  rest() { // no number is chosen
    this.at = null;
    this.mark.remove();
    this.readout.textContent =
      "Point at a number, or go to the map and use the arrow keys.";
  }

  limits() {
    const { planes } = this.maps, [{ rows, columns }] = planes;
    return [planes.length, rows, columns];
  }

  point(event) {
    const plane = this.maps.maps.findIndex(({ root }) => root === event.target);
    if (plane >= 0) this.read(plane, ...this.maps.maps[plane].at(event));
  }

  key(event) {
    const [many, rows, columns] = this.limits();
    const [plane, row, column] = this.at ?? [0, 0, -1];
    const along = plane * columns + column; // heads lie side by side
    const [down, across] = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1],
      ArrowRight: [0, 1], Home: [0, -along], End: [0, many * columns - 1 - along],
    }[event.key] ?? [];
    if (down === undefined || !pressedAlone(event)) return;
    event.preventDefault();
    const within = (i, n) => Math.max(0, Math.min(n - 1, i));
    const to = within(along + across, many * columns);
    this.read(Math.floor(to / columns), within(row + down, rows), to % columns);
    this.say(this.readout.textContent);
  }

  read(plane, row, column) { // one number
    this.at = [plane, row, column];
    const { pieces, sizes } = this.text, { names } = this;
    const word = (id) => tokenName(pieces.piece(id), pieces.end(id));
    this.readout.textContent =
      numberInWords(this.step, this.maps.planes, this.at, { names, word, sizes });
    const [, rows, columns] = this.limits();
    const spot = { left: column / columns, top: row / rows, width: 1 / columns,
      height: 1 / rows };
    for (const [side, share] of Object.entries(spot))
      this.mark.style[side] = `${100 * share}%`;
    this.maps.frames[plane].append(this.mark);
  }

  clear() {
    this.maps?.close();
    this.arrived?.disconnect();
    this.maps = this.arrived = this.drawn = null;
  }

  close() {
    this.clear();
    this.step = null;
    this.root.remove();
  }
}
