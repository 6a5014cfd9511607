// The boxes of a forward pass from top to bottom, along the residual stream, in blocks
// that fold. Chapter: blocks.

import { button, count, element, pressedAlone } from "./parts.js";
import { ShapeBox } from "./shape_box.js";
import { meanLength } from "./shape_steps.js";

const BRANCHES = {
  attention: ["Attention", "tokens look at each other"],
  mlp: ["MLP", "each token is thought about alone"],
};
const WAY_KEYS = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1,
  Home: -Infinity, End: Infinity };

export class ShapeWay {
  // `press(step)` is told of a box that is pressed, `folded(words)` when blocks were
  // folded or unfolded.
  constructor(steps, cfg, { press, folded }) {
    Object.assign(this, { steps, folded });
    this.watch = new IntersectionObserver((entries) => this.see(entries),
      { rootMargin: "300px 0px" });
    this.boxes = steps.map((step) => new ShapeBox(step, cfg, press, this.watch));
    this.blocks = Array.from({ length: cfg.n_layer }, (_, i) => i);
    this.unfolded = new Set([0]);
    this.at = 0; // the box that the Tab key reaches
    this.root = element("div", { class: "mgw-sw-way", role: "group",
      "aria-label": "The steps: arrow keys go from box to box",
      onkeydown: (event) => this.key(event),
      onfocusin: ({ target }) => this.rove(this.boxes.findIndex((box) =>
        box.button === target)) });
    this.layOut();
  }

  close() {
    this.watch.disconnect();
    for (const box of this.boxes) box.close();
  }

  box(name) { return this.boxes.find(({ step }) => step.name === name); }

  see(entries) { // maps are drawn where somebody looks
    for (const { target, isIntersecting } of entries) {
      const box = this.boxes.find(({ button: its }) => its === target);
      box.seen = isIntersecting;
      if (isIntersecting) box.draw();
    }
  }

  show(seen, sizes, text) {
    this.root.style.setProperty("--T", sizes.T); // as many rows in each map
    for (const box of this.boxes) box.show(seen[box.step.name], sizes, text);
    this.widen(seen);
  }

  // What is folded is not in the page.
  layOut() {
    const of = (part, block = null) => this.boxes.filter(({ step }) =>
      step.part === part && (step.block ?? null) === block);
    const grid = (boxes) =>
      element("ul", { class: "mgw-sw-grid" }, ...boxes.map(({ root }) => root));
    const group = (kind, ...children) =>
      element("div", { class: `mgw-sw-part mgw-sw-${kind}` }, ...children);
    const sum = (box) => group("sum", grid([box]));
    const branch = (kind, i) => {
      const [title, words] = BRANCHES[kind];
      return group("branch", element("p", { class: "mgw-sw-says" },
        element("b", {}, title), `: ${words}`), grid(of(kind, i)));
    };
    const rows = [group("begin", grid(of("begin"))), sum(of("stream")[0])];
    for (const i of this.blocks) {
      const open = this.unfolded.has(i), [halfway, whole] = of("stream", i);
      rows.push(group("block", this.foldButton(i, open)));
      if (open) rows.push(branch("attention", i), sum(halfway), branch("mlp", i));
      rows.push(sum(whole));
    }
    this.root.replaceChildren(...rows, group("end", grid(of("end"))));
    this.rove(this.at);
    if (this.lengths) this.widen();
  }

  foldButton(i, open) {
    const used = this.steps.filter(({ block }) => block === i)
      .reduce((sum, { parameters }) => sum + parameters, 0);
    const words = open ? "" : "attention and MLP, ";
    return button(element("span", {}, element("b", {}, `Block ${i}`),
      element("span", { class: "mgw-sw-aside" }, `${words}${count(used)} parameters`)),
    () => this.fold(i),
    { class: "mgw-sw-fold", "data-block": i, "aria-expanded": String(open) });
  }

  fold(i) {
    if (!this.unfolded.delete(i)) this.unfolded.add(i);
    this.refold();
    this.root.querySelector(`[data-block="${i}"]`).focus({ preventScroll: true });
  }

  allUnfolded() { return this.unfolded.size === this.blocks.length; }

  foldAll() {
    this.unfolded = new Set(this.allUnfolded() ? [] : this.blocks);
    this.refold();
  }

  unfold(i) {
    if (i === null || i === undefined || this.unfolded.has(i)) return;
    this.unfolded.add(i);
    this.refold();
  }

  refold() {
    this.layOut();
    const [open, all] = [this.unfolded.size, this.blocks.length];
    this.folded(`${open} of ${all} blocks ${open === 1 ? "is" : "are"} unfolded.`);
  }

  // The line of the stream is as thick as the logarithm of its rows' mean length, up to
  // the next box that adds to it.
  widen(seen) {
    if (seen)
      this.lengths = new Map(this.boxes.filter(({ step }) => step.part === "stream")
        .map((box) => [box, meanLength(seen[box.step.name])]));
    let width = 0;
    for (const part of this.root.children) {
      part.style.setProperty("--before", `${width}px`);
      const box = [...this.lengths.keys()].find(({ root }) => part.contains(root));
      if (box) width = 2 + 1.6 * Math.log2(1 + Math.max(0, this.lengths.get(box)));
      part.style.setProperty("--after", `${width}px`);
    }
  }

  mounted() { return this.boxes.filter(({ root }) => root.isConnected); }

  key(event) {
    const boxes = this.mounted();
    const at = boxes.findIndex((box) => box.button === event.target);
    if (at < 0 || !(event.key in WAY_KEYS) || !pressedAlone(event)) return;
    event.preventDefault(); // the page follows the focus
    const to = Math.max(0, Math.min(boxes.length - 1, at + WAY_KEYS[event.key]));
    boxes[to].button.focus();
  }

  rove(at) {
    if (at < 0) return; // something else has the focus
    const there = (box) => this.root.contains(box.root);
    this.at = there(this.boxes[at]) ? at : 0;
    this.boxes.forEach((box, i) => { box.button.tabIndex = i === this.at ? 0 : -1; });
  }
}
