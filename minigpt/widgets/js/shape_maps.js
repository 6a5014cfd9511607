// An array of a forward pass as heat maps: a row for each token. Attention weights are
// a map for each head. Chapter: blocks.

import { HeatMap } from "./heat_map.js";
import { element, visible } from "./parts.js";

export const decimals = (number) => // "−1.250", with a minus as wide as a plus
  number.toFixed(3).replace(/^-(?=.*[1-9])/, "−").replace(/^-/, "");

// The heat maps of an array: {values, rows, columns}. What the mask hides is null.
export function planesOf({ letters }, { array, shape }) {
  if (letters === "T") return []; // ids have no size: they are names
  if (letters === "V") return [{ values: array, rows: 1, columns: shape[0] }];
  if (letters !== "H T T") {
    const [rows] = shape;
    return [{ values: array, rows, columns: array.length / rows }];
  }
  const [H, T] = shape;
  return Array.from({ length: H }, (_, h) => {
    const values = Array.from(array.subarray(h * T * T, (h + 1) * T * T));
    for (let i = 0; i < values.length; i++)
      if (i % T > Math.floor(i / T)) values[i] = null;
    return { values, rows: T, columns: T };
  });
}

// From which size on a number gets the full colour: few are larger.
export function fullColour({ letters }, { array }) {
  if (letters === "H T T" || letters === "V") return 1;
  const sizes = Float32Array.from(array, Math.abs).sort();
  return sizes[Math.floor(0.99 * (sizes.length - 1))] || 1;
}

// A token as it is named in a sentence.
export const tokenName = (piece, end) =>
  (end ? "the end token" : `“${visible(piece)}”`);

// One number in words: which token's, which channel's, and how much it is. `names` are
// the tokens of the text, `word(id)` is the name of any.
export function numberInWords(step, planes, at, { names, word, sizes }) {
  const [plane, row, column] = at;
  const { values, columns } = planes[plane], value = values[row * columns + column];
  const place = `${names[row]} (position ${row})`;
  if (step.letters === "V") return `${word(column)}: probability ${decimals(value)}`;
  if (step.letters === "T V")
    return `${place}: score ${decimals(value)} for ${word(column)}`;
  if (step.letters === "T H D") {
    const head = Math.floor(column / sizes.D);
    return `${place}, head ${head}, channel ${column % sizes.D}: ${decimals(value)}`;
  }
  if (step.letters === "H T T") {
    const other = `${names[column]} (position ${column})`;
    if (value === null) return `Head ${plane}: ${place} cannot see ${other}`;
    return `Head ${plane}: ${place} takes ${decimals(value)} from ${other}`;
  }
  const unit = step.letters === "T 4C" ? "neuron" : "channel";
  return `${place}, ${unit} ${column}: ${decimals(value)}`;
}

// The maps, small in a box or large in the panel; to be drawn when they are in the
// page.
export class ArrayMaps {
  constructor(step, heads) {
    const many = step.letters === "H T T" ? heads : 1;
    const label = `Heat map: ${step.title}, ${step.name}`;
    this.step = step;
    this.maps = Array.from({ length: many }, (_, h) =>
      new HeatMap(many > 1 ? `${label}, head ${h}` : label));
    this.frames = this.maps.map(({ root }, h) =>
      element("span", { class: "mgw-sw-frame", "data-head": h }, root));
    const kind = many > 1 ? "mgw-sw-many" : "mgw-sw-one";
    this.root = element("span", { class: `mgw-sw-maps ${kind}` }, ...this.frames);
    if (step.letters === "T H D") { // thin lines between the heads
      this.root.classList.add("mgw-sw-heads");
      this.root.style.setProperty("--heads", heads);
    }
  }

  draw(tensor) {
    this.planes = planesOf(this.step, tensor);
    const most = fullColour(this.step, tensor);
    const signed = this.step.letters.startsWith("T");
    this.planes.forEach(({ values, rows, columns }, i) =>
      this.maps[i].show(values, [rows, columns], { most, signed }));
    return most;
  }

  close() { for (const map of this.maps) map.close(); }
}
