// Numbers as a heat map, drawn on a canvas: it has as many pixels as numbers, and the
// browser enlarges them. The colours are the book's: they follow its theme.

import { element } from "./parts.js";

// What to call when light becomes dark or dark becomes light; returns what ends it.
export function onTheme(listen) {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const seen = new MutationObserver(listen);
  const names = ["data-theme", "data-mode", "data-jp-theme-light"];
  for (const root of [document.documentElement, document.body])
    seen.observe(root, { attributeFilter: names });
  dark.addEventListener("change", listen);
  return () => {
    seen.disconnect();
    dark.removeEventListener("change", listen);
  };
}

// A colour of the style sheet, "--plus" or any other, as [red, green, blue].
function colour(el, name) {
  const probe = element("span", { style: `color: var(${name})` });
  el.append(probe);
  const pixel = element("canvas", { width: 1, height: 1 });
  const canvas = pixel.getContext("2d", { willReadFrequently: true });
  canvas.fillStyle = getComputedStyle(probe).color;
  probe.remove();
  canvas.fillRect(0, 0, 1, 1);
  return canvas.getImageData(0, 0, 1, 1).data;
}

// The colours above and below zero; asked for once where many maps are drawn at once.
let palette = null;

function coloursAt(el) {
  if (!palette) queueMicrotask(() => { palette = null; });
  return (palette ??= [colour(el, "--plus"), colour(el, "--minus")]);
}

export class HeatMap {
  // `label` says what it is to those who do not see it. The element `root` is a canvas:
  // its size on the screen is the style sheet's; call `close` when it goes.
  constructor(label) {
    const named = { role: "img", "aria-label": label };
    this.root = element("canvas", { class: "mgw-heat", ...named });
    this.close = onTheme(() => this.draw());
  }

  // values: rows × columns numbers from 0 to `most`, or with `signed` from -most to
  // most; null stays empty, as what a causal mask hides. Not drawn before it is in
  // the page.
  show(values, [rows, columns], { most = 1, signed = false } = {}) {
    Object.assign(this, { values, rows, columns, most, signed });
    this.draw();
  }

  draw() {
    if (!this.values || !this.root.isConnected) return;
    const { root, values, rows, columns, most } = this;
    Object.assign(root, { width: columns, height: rows });
    const canvas = root.getContext("2d"), image = canvas.createImageData(columns, rows);
    const [plus, minus] = coloursAt(root.parentElement);
    for (let i = 0; i < rows * columns; i++) {
      if (values[i] === null) continue;
      const share = Math.max(this.signed ? -1 : 0, Math.min(1, values[i] / most || 0));
      image.data.set(share < 0 ? minus : plus, 4 * i);
      image.data[4 * i + 3] = Math.round(255 * Math.sqrt(Math.abs(share)));
    }
    canvas.putImageData(image, 0, 0);
  }

  // The cell under a pointer: [row, column].
  at(event) {
    const { left, top, width, height } = this.root.getBoundingClientRect();
    const row = Math.floor(((event.clientY - top) / height) * this.rows);
    const column = Math.floor(((event.clientX - left) / width) * this.columns);
    const within = (i, n) => Math.max(0, Math.min(n - 1, i));
    return [within(row, this.rows), within(column, this.columns)];
  }
}
