// The weights of one head as a large heat map: a row for each token that looks, a
// column for each that is looked at, nothing above the diagonal. Chapter: causal mask.

import { tokenSign } from "./attention_strip.js";
import { HeatMap } from "./heat_map.js";
import { element } from "./parts.js";

const READABLE = 13; // pixels that a label needs
const ROOMY = 27; // pixels that a number needs

export class AttentionMap {
  // `point(row, column)` is told where a mouse is, or (null, null); `choose` where it
  // pressed. The column is null above the diagonal.
  constructor(point, choose) {
    this.heat = new HeatMap("");
    this.unseen = element("div", { class: "mgw-hidden" });
    this.cells = element("div", { class: "mgw-weights", "aria-hidden": "true" });
    this.row = element("div", { class: "mgw-mark" });
    this.column = element("div", { class: "mgw-mark mgw-mark-key" });
    const at = (tell) => (event) => {
      if (!this.names?.length) return;
      const [row, column] = this.heat.at(event);
      tell(row, column <= row ? column : null);
    };
    const moved = at(point);
    this.square = element("div", { class: "mgw-square", onclick: at(choose),
      onpointermove: (event) => { if (event.pointerType === "mouse") moved(event); },
      onpointerleave: () => point(null, null) },
      this.unseen, this.heat.root, this.cells, this.column, this.row);
    this.across = element("div", { class: "mgw-across" });
    this.down = element("div", { class: "mgw-down" });
    this.root = element("div", { class: "mgw-attention" },
      element("div", { class: "mgw-corner" }, element("span", {}, "looked at →"),
        element("span", {}, "looking ↓")),
      this.across, this.down, this.square);
    for (const side of [this.across, this.down])
      side.setAttribute("aria-hidden", "true"); // the tokens are buttons elsewhere
    this.resized = new ResizeObserver(() => {
      this.heat.draw(); // it may come into the page after its numbers
      this.label();
    });
    this.resized.observe(this.square);
  }

  close() {
    this.resized.disconnect();
    this.heat.close();
  }

  // names: texts of the tokens, null for an end token. values: T × T, null where the
  // mask hides. label: what it is, in words.
  show(names, values, label) {
    const T = names.length;
    Object.assign(this, { names, values });
    this.heat.root.setAttribute("aria-label", label);
    this.heat.show(values, [T, T]);
    this.unseen.style.clipPath = `polygon(${stairs(T)})`;
  }

  // Row `query` and column `key` stand out.
  mark(query, key) {
    Object.assign(this, { query, key });
    this.label();
  }

  label() {
    const T = this.names?.length, { query, key } = this;
    if (!T || !this.square.offsetWidth || query === undefined) return;
    const side = this.square.offsetWidth / T, part = (n) => `${(100 * n) / T}%`;
    const place = (name, i) => {
      const marked = i === query ? "mgw-asks" : i === key ? "mgw-pointed" : "";
      const span = element("span", { class: marked }, name ?? tokenSign("end"));
      span.style.setProperty("--at", part(i + 0.5));
      return span;
    };
    const all = side >= READABLE, labels = (shown) =>
      this.names.flatMap((name, i) => (all || i === shown ? [place(name, i)] : []));
    this.down.replaceChildren(...labels(query));
    this.across.replaceChildren(...labels(key));
    const one = part(1);
    const wide = part(query + 1);
    Object.assign(this.row.style, { top: part(query), height: one, width: wide });
    const high = part(T - key);
    Object.assign(this.column.style, { left: part(key), width: one, top: part(key),
      height: high });
    this.count(side >= ROOMY);
  }

  count(roomy) { // the numbers themselves, where they fit
    const T = this.names.length;
    this.cells.style.setProperty("--tokens", T);
    const cell = (value) => {
      if (value === null) return element("span");
      const style = `--share: ${Math.round(50 * Math.sqrt(value))}%`;
      return element("span", { class: "mgw-weight", style }, value.toFixed(2));
    };
    this.cells.replaceChildren(...(roomy ? Array.from(this.values, cell) : []));
  }
}

// What lies above the diagonal of T × T cells, as the corners of a polygon.
function stairs(T) {
  const points = [[T, 0]];
  for (let i = T; i > 0; i--) points.push([i, i - 1], [i - 1, i - 1]);
  return points.map((point) => point.map((n) => `${(100 * n) / T}%`).join(" ")).join();
}
