// How one piece of a text grows from bytes into tokens, a merge a row. Chapter:
// tokenizer.

import { button, count, element, slider } from "./parts.js";
import { legible } from "./token_chips.js";

const LONGEST_PIECE = 64; // bytes of a piece whose steps are drawn
const PAIRS = 6; // pairs that could be joined, named one by one

const plural = (n, word) => `${count(n)} ${word}${n === 1 ? "" : "s"}`;

// A piece in bytes, and its tokens after each merge: {ids, made}.
export function growth(tok, piece) {
  const ids = tok.bytesOf(piece), rows = [{ ids, made: null }];
  if (ids.length > LONGEST_PIECE) return rows;
  tok.merge(ids, (ids, made) => rows.push({ ids, made }));
  return rows;
}

// The pairs of neighbours that have a merge, the earliest learnt first: ids of the
// tokens that they would become.
export function candidates(tok, ids) {
  const found = new Set();
  for (let i = 1; i < ids.length; i++)
    found.add(tok.merged.get(ids[i - 1] * tok.vocab_size + ids[i]));
  found.delete(undefined);
  return [...found].sort((a, b) => a - b);
}

export class MergeLadder {
  constructor(tok, name, moved) { // `moved(step)` is told what the reader does
    Object.assign(this, { tok, name, moved, rows: [], step: 0 });
    this.title = element("p", { class: "mgw-name" });
    this.slider = slider("merges done", { min: 0, max: 0, step: 1 }, moved);
    this.range = this.slider.root.querySelector("input");
    const to = (words, target) => button(words, () => {
      const step = target();
      if (step >= 0 && step < this.rows.length) moved(step);
    });
    this.buttons = [to("Bytes", () => 0), to("Previous", () => this.step - 1),
      to("Next", () => this.step + 1), to("All", () => this.rows.length - 1)];
    this.list = element("ol", { class: "mgw-ladder", tabindex: 0,
      "aria-label": "The piece after each merge" });
    this.rule = element("p", { class: "mgw-rule" });
    const controls = element("div", { class: "mgw-steps" },
      element("div", { class: "mgw-buttons" }, ...this.buttons), this.slider.root);
    this.root = element("div", { class: "mgw-growth" }, this.title, controls,
      this.list, this.rule);
    this.controls = controls;
  }

  // Open a piece; "" closes.
  open(piece) {
    this.root.hidden = piece === "";
    this.rows = growth(this.tok, piece);
    this.bytes = this.rows[0].ids.length;
    this.piece = legible(piece);
    this.range.max = this.rows.length - 1;
    this.controls.hidden = this.rows.length === 1;
  }

  // The rows up to a step, null for all; returns what a voice says of it.
  show(step) {
    const last = this.rows.length - 1;
    this.step = Math.min(step ?? last, last);
    this.slider.show(this.step, `${this.step} of ${last}`);
    const ends = [this.step === 0, this.step === 0, this.step === last,
      this.step === last];
    this.buttons.forEach((one, i) => one.setAttribute("aria-disabled", ends[i]));
    const whole = this.bytes <= LONGEST_PIECE;
    const rows = whole ? this.rows.slice(0, this.step + 1) : [];
    this.list.hidden = !whole;
    this.list.replaceChildren(...rows.map((row, i) => this.row(row, i)));
    this.title.replaceChildren("How ", this.code(this.short()), this.outcome());
    this.rule.replaceChildren(...this.reason());
    return this.told();
  }

  short() {
    const signs = [...this.piece];
    return signs.length > 24 ? `${signs.slice(0, 24).join("")}…` : this.piece;
  }

  outcome() {
    const tokens = plural(this.rows.at(-1).ids.length, "token");
    if (this.bytes > LONGEST_PIECE) return " is joined";
    return this.rows.length === 1 ? ` stays ${tokens}` : ` became ${tokens}`;
  }

  row({ ids, made }, place) {
    const next = this.rows[place + 1]?.made, [a, b] = this.tok.pairs[next - 256] ?? [];
    const cells = [], wide = this.rows[0].ids.some((id) => this.name(id).length > 3);
    let joining = false; // whether this token is the second of a pair
    ids.forEach((id, i) => {
      const first = !joining && id === a && ids[i + 1] === b;
      const kind = `${id === made ? " mgw-made" : ""}` +
        `${first ? " mgw-left" : joining ? " mgw-right" : ""}`;
      const span = this.tok.bytes(id).length;
      cells.push(element("bdi", { class: `mgw-cell${kind}`,
        style: `grid-column: span ${span}` }, this.name(id)));
      joining = first;
    });
    const row = { class: `mgw-row${wide ? " mgw-wide-cells" : ""}`, dir: "ltr",
      style: `--bytes: ${this.bytes}` };
    return element("li", {}, element("p", {}, ...this.words(ids, made)),
      element("div", row, ...cells));
  }

  code(words) { return element("code", {}, element("bdi", {}, words)); }

  words(ids, made) { // what led to a row
    if (made === null)
      return [element("b", {}, plural(ids.length, "byte"))];
    const [a, b] = this.tok.pairs[made - 256].map((id) => this.code(this.name(id)));
    const learnt = `merge ${count(made - 255)}, id ${made}`;
    return [a, "\u00a0+\u00a0", b, " → ", this.code(this.name(made)),
      element("small", {}, learnt)];
  }

  reason() { // which pair comes next, and why
    const { tok, rows, step, bytes } = this, merges = count(tok.pairs.length);
    if (bytes > LONGEST_PIECE)
      return [`The steps are drawn for pieces of up to ${LONGEST_PIECE} bytes, and ` +
        `this one has ${count(bytes)}.`];
    const found = candidates(tok, rows[step].ids);
    if (found.length === 0)
      return [rows.length === 1 ? "It has no merge" : "Finished", ": ",
        bytes === 1 ? "a single byte has no neighbour to be joined with."
          : rows[step].ids.length === 1 ? "nothing is left to be joined."
            : `none of the ${merges} merges joins two neighbours here.`];
    const named = found.slice(0, PAIRS).flatMap((id, i) => [i ? ", " : "",
      ...this.pair(id), ` (merge ${count(id - 255)})`]);
    const more = found.length > PAIRS ? `, and ${found.length - PAIRS} more` : "";
    if (found.length === 1)
      return ["One pair of neighbours here was learnt, and is joined next: ", ...named,
        "."];
    return [`${found.length} pairs of neighbours here were learnt: `, ...named, more,
      ". The one that was learnt first is joined next: ", ...this.pair(found[0]), "."];
  }

  pair(id) {
    const [a, b] = this.tok.pairs[id - 256];
    return [this.code(this.name(a)), "\u00a0+\u00a0", this.code(this.name(b))];
  }

  told() {
    const row = this.list.lastChild?.firstChild.textContent ?? "";
    return `${this.title.textContent}. Step ${this.step}: ${row}. ` +
      this.rule.textContent;
  }
}
