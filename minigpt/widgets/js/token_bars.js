// The likeliest tokens as bars: what they hold, what is cut. Chapter: generation.

import { button, count, element, visible } from "./parts.js";
import { leaders } from "./sampling.js";

const CUTS = { temperature: "temperature", top_k: "top-k", top_p: "top-p" };
const ONE_DIGIT = { minimumFractionDigits: 1, maximumFractionDigits: 1 };
const digits = (share) => share.toFixed(3);

// How open the choice is, in a sentence.
export function openness({ entropy, cut }) {
  const equal = Math.exp(entropy).toLocaleString("en-GB", ONE_DIGIT);
  const kept = cut.filter((kind) => !kind).length;
  return `Entropy ${digits(entropy)} nats: as open as a choice among ${equal} equal ` +
    `tokens. ${count(kept)} of ${count(cut.length)} tokens can be drawn.`;
}

export class TokenBars {
  constructor(tok, choose) { // `choose(id)` is told which bar was pressed
    Object.assign(this, { tok, choose, ids: [] });
    this.root = element("ol", { class: "mgw-bars" });
  }

  clear() {
    this.root.replaceChildren();
  }

  // The `rows` likeliest tokens, whatever is cut of them; all others as the last row.
  // The first argument is what `Session.chances` gives.
  show({ logits, probabilities, before, cut }, rows) {
    this.ids = leaders(logits, rows);
    const names = this.tok.pieces(this.ids).map(visible);
    let rest = 1, restBefore = 1;
    this.ids.forEach((id, place) => {
      rest -= probabilities[id];
      restBefore -= before[id];
      this.draw(place, names[place], probabilities[id], before[id], cut[id]);
    });
    const others = logits.length - this.ids.length;
    if (others > 0) {
      const unseen = cut.filter((_, id) => !this.ids.includes(id));
      const cutAll = unseen.every(Boolean) ? unseen[0] : "";
      const shares = [Math.max(0, rest), Math.max(0, restBefore)];
      this.draw(this.ids.length, `${count(others)} others`, ...shares, cutAll);
    }
    const length = this.ids.length + (others > 0 ? 1 : 0);
    while (this.root.children.length > length) this.root.lastChild.remove();
  }

  // One row. Rows stay where they are, so that one that is pressed keeps the focus.
  draw(place, name, share, before, cut) {
    const token = place < this.ids.length;
    const row = this.row(place, token);
    const [label, track, number] = row.firstChild.children;
    label.textContent = name;
    number.textContent = cut ? `cut: ${CUTS[cut]}` : digits(share);
    track.firstChild.style.width = `${100 * before}%`;
    track.lastChild.style.width = `${100 * share}%`;
    row.classList.toggle("mgw-cut", Boolean(cut));
    let words = `probability ${digits(share)}`;
    if (cut) words = `cut by ${CUTS[cut]}, ${digits(before)} before`;
    if (token) row.firstChild.setAttribute("aria-label", `choose ${name}: ${words}`);
  }

  row(place, token) { // the row that is there, if it is of this kind, or a new one
    const old = this.root.children[place];
    if (old?.dataset.token === String(token)) return old;
    const press = () => this.choose(this.ids[place]);
    const bar = token ? button("", press) : element("div");
    const track = element("span", { class: "mgw-track" },
      element("i", { class: "mgw-before" }), element("i"));
    bar.append(element("span", { class: "mgw-token" }), track,
      element("span", { class: "mgw-share" }));
    const row = element("li", { "data-token": String(token) }, bar);
    if (old) old.replaceWith(row);
    else this.root.append(row);
    return row;
  }
}
