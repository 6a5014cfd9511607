// One step of a forward pass as a box to be pressed: its name, its shape with the
// numbers of now, its heat map, its formula and its parameters. Chapter: blocks.

import { count, element, stillness, visible } from "./parts.js";
import { decimals, ArrayMaps } from "./shape_maps.js";
import { meanLength } from "./shape_steps.js";
import { order } from "./sampling.js";

const LIKELIEST = 5; // tokens that the last box names

export function parametersOf({ parameters, again }) {
  if (again) return "parameters: wte's again";
  return parameters ? `${count(parameters)} parameters` : "no parameters";
}

// A shape as children of an element: "(T, C) = (9, 128)", what depends on T marked.
export function shapeParts({ letters }, sizes) {
  const names = letters.split(" ");
  const marked = (words, name) =>
    (name === "T" ? element("b", {}, words) : words);
  const listed = (words) => names.flatMap((name, i) =>
    [i ? ", " : "(", marked(words(name), name), i === names.length - 1 ? ")" : ""]);
  return [
    element("span", {}, ...listed((name) => name)),
    element("span", {}, "= ", ...listed((name) => `${sizes[name]}`)),
  ];
}

export class ShapeBox {
  // `press(step)` is told of a press; `watch` is an IntersectionObserver, which calls
  // `draw` when the box comes into sight.
  constructor(step, cfg, press, watch) {
    Object.assign(this, { step, watch, shapeWords: "", drawn: null, seen: false });
    this.shape = element("span", { class: "mgw-sw-shape" });
    this.aside = element("span", { class: "mgw-sw-aside" });
    this.maps = step.name === "ids" ? null : new ArrayMaps(step, cfg.n_head);
    this.maps?.root.setAttribute("aria-hidden", "true"); // the panel has it in numbers
    this.inner = element("span", { class: "mgw-sw-inner" });
    this.button = element("button", { type: "button", class: "mgw-sw-box",
      "aria-expanded": "false", tabindex: "-1", onclick: () => press(step) },
      element("span", { class: "mgw-sw-head" },
        element("span", { class: "mgw-sw-title" }, step.title), this.shape, this.aside),
      this.maps?.root ?? "", this.inner,
      element("span", { class: "mgw-sw-foot" },
        element("span", { class: "mgw-sw-formula" }, step.formula),
        element("span", {}, parametersOf(step))));
    const kind = step.name.split(".").at(-1);
    this.root = element("li", { class: `mgw-sw-item mgw-sw-is-${kind}` }, this.button);
    watch.observe(this.button);
  }

  // What the step holds now. The map is drawn when it is seen.
  show(tensor, sizes, { ids, pieces }) {
    this.tensor = tensor;
    const words = tensor.shape.join(", ");
    if (words !== this.shapeWords) {
      this.shape.replaceChildren(...shapeParts(this.step, sizes));
      if (this.shapeWords && this.button.isConnected && !stillness())
        this.shape.animate([{ background: "var(--mgw-sw-mark)" }, {}], 1500);
    }
    this.shapeWords = words;
    if (this.step.part === "stream")
      this.aside.textContent = `mean length ${meanLength(tensor).toFixed(1)}`;
    if (this.step.letters === "V")
      this.inner.replaceChildren(...likeliestBars(tensor, pieces));
    if (this.step.letters === "T")
      this.inner.replaceChildren(...ids.map((id) => idChip(id, pieces)));
    if (this.seen) this.draw();
  }

  draw() {
    if (!this.maps || !this.tensor || this.drawn === this.tensor) return;
    this.maps.draw(this.tensor);
    this.drawn = this.tensor;
  }

  open(opened) { this.button.setAttribute("aria-expanded", String(opened)); }

  close() {
    this.watch.unobserve(this.button);
    this.maps?.close();
  }
}

function idChip(id, pieces) {
  const name = pieces.end(id) ? element("i", {}, "end") : visible(pieces.piece(id));
  return element("span", { class: "mgw-sw-chip" },
    element("span", { class: "mgw-token" }, name), element("small", {}, `${id}`));
}

function likeliestBars({ array }, pieces) { // the likeliest tokens
  return order(array).slice(0, LIKELIEST).map((id) =>
    element("span", { class: "mgw-sw-bar" },
      element("span", { class: "mgw-token" },
        pieces.end(id) ? "end" : visible(pieces.piece(id))),
      element("span", { class: "mgw-track" },
        element("i", { style: `width: ${100 * array[id]}%` })),
      element("span", { class: "mgw-share" }, decimals(array[id]))));
}
