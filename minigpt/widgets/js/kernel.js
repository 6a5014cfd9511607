// A widget under a kernel, as anywidget wants it. The weights come once, as a message:
// they would swell every notebook if they were part of the widget's state.

import { load } from "./engine.js";

const engines = new WeakMap(); // anywidget's model of a widget -> promise of an Engine

const WAITING =
  "Waiting for the model. If nothing happens, run this cell: it needs a kernel.";

// `widget({model, el, engine})` draws itself into `el` and returns what clears it away.
export function underKernel(widget) {
  return {
    async render({ model, el }) {
      el.textContent = WAITING;
      if (!engines.has(model)) engines.set(model, ask(model));
      return widget({ model, el, engine: await engines.get(model) });
    },
  };
}

function ask(model) {
  return new Promise((resolve) => {
    model.on("msg:custom", ({ kind, packed }, [weights] = []) => {
      if (kind !== "model") return;
      const { buffer, byteOffset, byteLength } = weights;
      const bytes = new Uint8Array(buffer, byteOffset, byteLength);
      resolve(load({ ...packed, weights: bytes }));
    });
    model.send({ kind: "model" });
  });
}
