// The widgets of a page without a kernel: each <div class="minigpt-widget"> holds a
// still picture, which gives way to the widget that it names.

import { attentionExplorer } from "./attention_explorer.js";
import { load } from "./engine.js";
import { State } from "./parts.js";
import { samplingExplorer } from "./sampling_explorer.js";
import { shapeWalk } from "./shape_walk.js";
import { tokenizerExplorer } from "./tokenizer_explorer.js";
import { trainingScrubber } from "./training_scrubber.js";

export const WIDGETS = {
  AttentionExplorer: attentionExplorer,
  SamplingExplorer: samplingExplorer,
  ShapeWalk: shapeWalk,
  TokenizerExplorer: tokenizerExplorer,
  TrainingScrubber: trainingScrubber,
};

const loaded = {}; // engines by the name of their model

function engineOf(name) {
  const packed = globalThis.minigpt.models?.[name];
  if (!packed) throw new Error(`the script with the model "${name}" did not load`);
  return (loaded[name] ??= load(packed));
}

export const nextTask = () => new Promise((go) => setTimeout(go));

export async function mount(el) {
  const { widget, model: name, state } = el.dataset;
  const picture = [...el.childNodes];
  try {
    const engine = name ? engineOf(name) : null; // some widgets need no model
    await nextTask(); // the page answers in between
    WIDGETS[widget]({ model: new State(JSON.parse(state)), el, engine });
    el.dataset.alive = "";
  } catch (error) {
    console.error(error);
    const said = document.createElement("p");
    said.textContent = `This picture stays still: ${error.message}.`;
    el.replaceChildren(...picture, said);
  }
}

// The script is deferred: the page has been read. What follows waits until it is seen,
// and comes one by one.
(async () => {
  for (const el of document.querySelectorAll(".minigpt-widget[data-model]")) {
    await nextTask();
    await mount(el);
  }
})();
