// One head's attention over a noted text: the text shaded by where one token looks, and
// all rows as a heat map. Chapters: loss, training.

import { HeatMap } from "./heat_map.js";
import { element, pressedAlone, visible } from "./parts.js";

const NOTED_SHARE = 0.1; // shares from here on are written under their token
const NOTED_KEYS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

// A token as a sentence names it.
export const notedName = (token) => visible(token.trim()) || visible(token);

export class NotedAttention {
  // `ask(query)` is told whose look the reader wants to see.
  constructor({ tokens, layer, head }, ask) {
    Object.assign(this, { tokens, ask });
    const T = tokens.length;
    const apart = (i) => tokens[i + 1]?.startsWith(" "); // a space belongs to the next
    this.words = tokens.map((token, i) => element("span", {
      role: "option",
      class: `mgw-noted-token${apart(i) ? " mgw-noted-apart" : ""}`,
      onclick: () => ask(i) },
      element("span", {}, notedName(token)), element("small")));
    this.text = element("div", { role: "listbox", class: "mgw-noted",
      "aria-label": "The text: choose the token whose look is shown" }, ...this.words);
    this.text.addEventListener("keydown", (event) => this.step(event));
    this.map = new HeatMap(`Attention of ${T} tokens, a row each`);
    this.row = element("i", { class: "mgw-noted-row" });
    this.hint = element("p", { class: "mgw-noted-hint" });
    const on = (name, listen) => this.map.root.addEventListener(name, listen);
    on("pointermove", (event) => this.tell(...this.map.at(event)));
    on("pointerleave", () => this.tell());
    on("click", (event) => ask(this.map.at(event)[0]));
    const which = layer === undefined ? "One head"
      : `Head ${head} of layer ${layer}`;
    this.said = element("p", { class: "mgw-noted-look" });
    this.seen = new ResizeObserver(() => this.map.draw()); // once it is in the page
    this.seen.observe(this.map.root);
    const map = element("div", { class: "mgw-noted-map" }, this.map.root, this.row);
    this.root = element("div", { class: "mgw-scrub-halves" },
      element("div", {},
        element("p", { class: "mgw-name" }, `${which}: where a token looks`),
        this.said, this.text),
      element("div", {}, map, this.hint));
  }

  close() {
    this.seen.disconnect();
    this.map.close();
  }

  // weights: thousandths, row after row, each of which ends at its token.
  show(weights, query, said) {
    Object.assign(this, { weights, query });
    const T = this.tokens.length, values = new Array(T * T).fill(null);
    for (let row = 0; row < T; row++)
      for (let key = 0; key <= row; key++)
        values[row * T + key] = notedWeight(weights, row, key);
    this.map.show(values, [T, T]);
    this.row.style.top = `${(100 * query) / T}%`;
    this.row.style.height = `${100 / T}%`;
    this.said.textContent = said;
    this.words.forEach((word, key) => this.shade(word, key));
    this.tell();
  }

  shade(word, key) {
    const { query } = this, share = notedWeight(this.weights, query, key);
    word.style.setProperty("--share", key > query ? 0 : share);
    word.classList.toggle("mgw-noted-later", key > query);
    word.setAttribute("aria-selected", key === query);
    word.tabIndex = key === query ? 0 : -1;
    const digits = key <= query && share >= NOTED_SHARE ? share.toFixed(2) : "";
    word.lastChild.textContent = digits;
    const where = key > query ? "comes later" : `share ${share.toFixed(2)}`;
    word.setAttribute("aria-label", `${notedName(this.tokens[key])}, ${where}`);
  }

  tell(row, key) { // what is under the pointer
    const name = (place) => notedName(this.tokens[place]);
    const at = row === undefined || key > row ? null
      : notedWeight(this.weights, row, key).toFixed(3);
    this.hint.textContent = at === null
      ? "A row for each token, from the first on top; press one, or a token."
      : `“${name(row)}” looks ${at} at “${name(key)}”`;
  }

  step(event) {
    const end = this.tokens.length - 1;
    let to = { Home: 0, End: end }[event.key];
    if (event.key in NOTED_KEYS) to = this.query + NOTED_KEYS[event.key];
    if (to === undefined || !pressedAlone(event)) return;
    event.preventDefault();
    this.ask(Math.max(0, Math.min(end, to)));
    this.words[this.query].focus();
  }
}

// The share of its attention that a token gives to one that is not after it.
export function notedWeight(weights, row, key) {
  return weights[(row * (row + 1)) / 2 + key] / 1000;
}
