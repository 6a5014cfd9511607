// A text as tokens to be pressed, with arcs from one of them to those it looks at, as
// thick as the weight is large. Lines wrap as text does. Chapter: attention.

import { element, pressedAlone } from "./parts.js";

const SVG = "http://www.w3.org/2000/svg";
const LEAST = 0.02; // a smaller weight gets no arc and no number

// An end token is shown as a sign, not as text.
export const tokenSign = (name) => element("span", { class: "mgw-sign" }, name);

// The button to which an arrow key leads from one of several that stand in lines, or
// null for another key.
export function neighbour(buttons, at, event) {
  const { key } = event;
  if (!pressedAlone(event)) return null;
  const end = buttons.length - 1;
  const along = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: end }[key];
  if (along !== undefined) return Math.max(0, Math.min(end, along));
  if (key !== "ArrowUp" && key !== "ArrowDown") return null;
  const boxes = buttons.map((one) => one.getBoundingClientRect()), here = boxes[at];
  const far = ({ left, right, top }) => { // the next line first, then the nearest in it
    const down = (top - here.top) * (key === "ArrowDown" ? 1 : -1);
    const aside = Math.abs(left + right - here.left - here.right);
    return down < 4 ? Infinity : down * 1e4 + aside;
  };
  const distances = boxes.map(far), least = Math.min(...distances);
  return least === Infinity ? at : distances.indexOf(least);
}

// Which button of several the Tab key reaches, and the arrow keys move on.
export function rove(buttons, at) {
  buttons.forEach((one, i) => { one.tabIndex = i === at ? 0 : -1; });
}

export class TokenStrip {
  // `choose(position)` is told what is pressed, `point(position)` over which token a
  // mouse is, or null.
  constructor(choose, point) {
    Object.assign(this, { choose, chips: [], state: null });
    const at = ({ target }) => {
      const chip = target.closest("button");
      return chip ? this.chips.indexOf(chip) : null;
    };
    this.arcs = document.createElementNS(SVG, "svg");
    this.arcs.setAttribute("aria-hidden", "true");
    this.list = element("div", { class: "mgw-lookers" });
    this.root = element("div", { class: "mgw-strip", role: "group",
      "aria-label": "The tokens: arrow keys choose which one looks",
      onclick: (event) => { if (at(event) !== null) choose(at(event)); },
      onkeydown: (event) => this.press(event, at(event)),
      onpointerover: (event) => {
        if (event.pointerType === "mouse") point(at(event));
      },
      onpointerleave: () => point(null) },
      element("div", { class: "mgw-lines" }, this.arcs, this.list));
    this.resized = new ResizeObserver(() => this.draw());
    this.resized.observe(this.list);
  }

  close() { this.resized.disconnect(); }

  press(event, at) {
    const to = at === null ? null : neighbour(this.chips, at, event);
    if (to === null) return;
    event.preventDefault(); // the page does not scroll
    this.chips[to].focus();
    this.choose(to);
  }

  // Other tokens; `names` are their texts, null an end token.
  write(names) {
    const focused = this.chips.indexOf(document.activeElement);
    this.chips = names.map((name) => {
      const words = name ?? tokenSign("end of text");
      const piece = element("span", { class: "mgw-piece" }, words);
      const number = element("span", { class: "mgw-number" });
      return element("button", { type: "button", class: "mgw-looker" }, piece, number);
    });
    this.list.replaceChildren(...this.chips);
    if (focused >= 0) this.chips[Math.min(focused, names.length - 1)]?.focus();
  }

  // How `query` looks: a weight for each token up to it. `chosen` stays marked while a
  // mouse previews another; `key` is marked too.
  show(names, { weights, query, chosen, key }) {
    const moved = this.state?.chosen !== chosen;
    this.state = { weights, query, chosen, key };
    rove(this.chips, chosen);
    this.chips.forEach((chip, i) => {
      const seen = i <= query, weight = seen ? weights[i] : 0;
      const words = weight >= LEAST || (seen && i === key) ? weight.toFixed(2) : "";
      const share = seen ? `gets ${weight.toFixed(2)}` : "is hidden";
      const name = names[i] ?? "the end token";
      chip.lastChild.textContent = words;
      chip.style.setProperty("--share", `${Math.round(50 * Math.sqrt(weight))}%`);
      chip.setAttribute("aria-label", `${name}: ${share}`);
      chip.setAttribute("aria-pressed", String(i === chosen));
      chip.classList.toggle("mgw-asks", i === query);
      chip.classList.toggle("mgw-unseen", !seen);
      chip.classList.toggle("mgw-pointed", i === key);
    });
    if (moved) this.reveal();
    this.draw();
  }

  reveal() { // scrolls the strip, never the page
    const chip = this.chips[this.state.chosen], { root } = this;
    if (!chip || root.scrollHeight <= root.clientHeight) return;
    const middle = chip.offsetTop + chip.offsetHeight / 2;
    root.scrollTop = middle - root.clientHeight / 2;
  }

  draw() {
    if (!this.state || !this.list.offsetWidth) return;
    const { weights, query, key } = this.state, arcs = [];
    const { offsetWidth: width, offsetHeight: height } = this.list;
    this.arcs.setAttribute("viewBox", `0 0 ${width} ${height}`);
    for (let i = 0; i <= query && i < this.chips.length; i++) {
      if (weights[i] < LEAST && i !== key) continue;
      const arc = document.createElementNS(SVG, "path");
      arc.setAttribute("d", arcBetween(this.chips[query], this.chips[i]));
      arc.setAttribute("stroke-width", (1 + 7 * weights[i]).toFixed(2));
      arc.setAttribute("class", i === key ? "mgw-arc mgw-pointed" : "mgw-arc");
      arcs.push(arc);
    }
    this.arcs.replaceChildren(...arcs);
  }
}

// A path over a line of tokens, or up from one line to another.
function arcBetween(from, to) {
  const x = from.offsetLeft + from.offsetWidth / 2, y = from.offsetTop;
  const a = to.offsetLeft + to.offsetWidth / 2, b = to.offsetTop;
  if (from === to) // a loop
    return `M ${x - 7} ${y} C ${x - 14} ${y - 18} ${x + 14} ${y - 18} ${x + 7} ${y}`;
  if (Math.abs(y - b) < 4) {
    const top = y - 9 - Math.min(17, Math.abs(x - a) / 12);
    return `M ${x} ${y} C ${x} ${top} ${a} ${top} ${a} ${b}`;
  }
  const end = b + to.offsetHeight, bend = Math.min(60, (y - end) * 0.6);
  return `M ${x} ${y} C ${x} ${y - bend} ${a} ${end + bend} ${a} ${end}`;
}
