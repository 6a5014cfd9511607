// All heads at a glance: a small heat map for each, to be chosen by a press or by the
// arrow keys. Chapter: multi-head attention.

import { neighbour, rove } from "./attention_strip.js";
import { HeatMap } from "./heat_map.js";
import { button, element } from "./parts.js";

const MANY = 8; // heads of a layer: more stand in one line, without their names

export class HeadGrid {
  constructor({ n_layer, n_head }, choose) { // `choose(layer, head)`
    this.maps = [];
    this.buttons = [];
    this.n_head = n_head;
    const dense = n_head > MANY;
    this.names = dense ? "a row for each layer" : "layer.head"; // how to read it
    const layers = Array.from({ length: n_layer }, (_, layer) => {
      const heads = Array.from({ length: n_head }, (_, head) => {
        const map = new HeatMap("");
        map.root.removeAttribute("role"); // the button has the name
        map.root.setAttribute("aria-hidden", "true");
        this.maps.push(map);
        const name = `layer ${layer}, head ${head}`;
        const one = button(map.root, () => choose(layer, head),
          { class: "mgw-head", "aria-label": name, title: dense ? name : null });
        if (!dense) one.append(sideName(`${layer}.${head}`));
        this.buttons.push(one);
        return one;
      });
      const side = dense ? [sideName(layer)] : [];
      return element("div", { class: "mgw-heads" }, ...side, ...heads);
    });
    if (dense) {
      const numbers = Array.from({ length: n_head }, (_, head) => sideName(head));
      layers.unshift(element("div", { class: "mgw-heads mgw-numbers" }, sideName(""),
        ...numbers));
    }
    const onkeydown = (event) => {
      const at = this.buttons.indexOf(event.target);
      const to = at < 0 ? null : neighbour(this.buttons, at, event);
      if (to === null) return;
      event.preventDefault();
      this.buttons[to].focus();
      choose(Math.floor(to / n_head), to % n_head);
    };
    const kind = dense ? "mgw-glance mgw-dense" : "mgw-glance";
    this.root = element("div", { class: kind, role: "group", onkeydown,
      "aria-label": "All heads: arrow keys choose one" }, ...layers);
    this.root.style.setProperty("--few", dense ? n_head : Math.min(4, n_head));
    this.resized = new ResizeObserver(() => this.maps.forEach((map) => map.draw()));
    this.resized.observe(this.root); // it may come into the page after its numbers
  }

  close() {
    this.resized.disconnect();
    this.maps.forEach((map) => map.close());
  }

  // tables: for each head of each layer T × T weights, null where the mask hides.
  show(tables, T) {
    tables.forEach((values, i) => this.maps[i].show(values, [T, T]));
  }

  mark(layer, head) {
    const at = layer * this.n_head + head;
    rove(this.buttons, at);
    this.buttons.forEach((one, i) =>
      one.setAttribute("aria-pressed", String(i === at)));
  }
}

// What a button's name says already.
const sideName = (words) => element("span", { "aria-hidden": "true" }, `${words}`);
