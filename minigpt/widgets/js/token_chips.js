// A text's tokens side by side, each a button with its id below. Chapter: tokenizer.

import { element, pressedAlone, visible } from "./parts.js";

const SLICE = 250; // tokens that are drawn at once
const TINTS = 5;

// What would not be seen, or would move what stands beside it: controls, spaces other
// than the common one, marks of direction, selectors of variants, private signs.
const UNSEEN =
  /[\u007f-\u00a0\ufe00-\ufe0f\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cn}]|(?! )\p{Zs}/gu;

// A token to be read on its own: "U+200B" for what is not seen, ◌ under a lone accent.
export function legible(piece) {
  const code = (c) => c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
  return visible(piece.replace(UNSEEN, (c) => `U+${code(c)}`))
    .replace(/^\p{M}/u, "◌$&");
}

// The names of ids, each made once.
export function namesOf(tok) {
  const known = new Map();
  return (id) => {
    if (!known.has(id)) known.set(id, legible(tok.pieces([id])[0]));
    return known.get(id);
  };
}

export class TokenChips {
  constructor(name, choose) { // `choose(place)` is told which token was pressed
    Object.assign(this, { name, choose, chips: [], at: 0, timer: null });
    const onkeydown = (event) => this.key(event);
    const onclick = ({ target }) => {
      const chip = target.closest(".mgw-chip");
      if (chip) this.press(this.chips.indexOf(chip));
    };
    this.root = element("div", { class: "mgw-chips", role: "toolbar", dir: "ltr",
      "aria-label": "Tokens: arrow keys move, Enter opens", onkeydown, onclick });
  }

  close() { clearTimeout(this.timer); }

  // `owners` says for each id which piece of the text it belongs to. What is far down
  // is drawn later, so that a long text keeps nobody waiting.
  show(ids, owners) {
    this.close();
    const focused = this.root.contains(document.activeElement);
    Object.assign(this, { ids, owners, chips: [] });
    this.at = Math.max(0, Math.min(this.at, ids.length - 1));
    this.root.replaceChildren();
    const next = () => {
      this.slice();
      if (this.chips.length < ids.length) this.timer = setTimeout(next);
      else this.timer = null;
      if (focused && this.chips[this.at]) this.move(this.at);
    };
    next();
  }

  slice() {
    const { ids, chips } = this, box = element("div");
    const end = Math.min(chips.length + SLICE, ids.length);
    for (let i = chips.length; i < end; i++) {
      const chip = this.chip(i);
      chips.push(chip);
      box.append(chip);
      if (this.name(ids[i]).endsWith("⏎") && i < end - 1)
        box.append(element("span", { class: "mgw-line-end" }));
    }
    if (box.firstChild) this.root.append(box);
  }

  chip(i) {
    const { ids, owners } = this, name = this.name(ids[i]);
    const ends = `${owners[i] !== owners[i - 1] ? " mgw-first" : ""}` +
      `${owners[i] !== owners[i + 1] ? " mgw-last" : ""}`;
    const chip = { type: "button", class: `mgw-chip mgw-tint-${i % TINTS}${ends}`,
      tabindex: i === this.at ? 0 : -1, "data-id": ids[i],
      "aria-label": `${name}, id ${ids[i]}` };
    const made = element("button", chip, element("bdi", {}, name));
    this.mark(made, i);
    return made;
  }

  // Mark the tokens of a piece.
  open(piece) {
    const before = this.opened;
    this.opened = piece;
    this.chips.forEach((chip, i) => {
      if ([before, piece].includes(this.owners[i])) this.mark(chip, i);
    });
  }

  mark(chip, i) {
    const open = this.owners[i] === this.opened;
    chip.classList.toggle("mgw-open", open);
    chip.setAttribute("aria-pressed", open);
  }

  press(place) {
    this.move(place);
    this.choose(place);
  }

  key(event) {
    const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1,
      Home: -Infinity, End: Infinity };
    const step = steps[event.key];
    if (!step || !pressedAlone(event)) return;
    event.preventDefault();
    this.move(Math.max(0, Math.min(this.chips.length - 1, this.at + step)));
  }

  move(place) { // one of them is reached by Tab, the others from there by arrow keys
    if (this.chips[this.at]) this.chips[this.at].tabIndex = -1; // or not drawn yet
    this.at = place;
    this.chips[place].tabIndex = 0;
    this.chips[place].focus();
  }
}
