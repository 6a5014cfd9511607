// The widgets of a page without a kernel: each <div class="minigpt-widget"> holds a
// still picture, which gives way to the widget that it names.

import { load } from "./engine.js";
import { State } from "./parts.js";
import { samplingExplorer } from "./sampling_explorer.js";

export const WIDGETS = { SamplingExplorer: samplingExplorer };

const loaded = {}; // engines by the name of their model

export function mount(el) {
  const { widget, model: name, state } = el.dataset;
  const picture = [...el.childNodes];
  try {
    const packed = globalThis.minigpt.models?.[name];
    if (!packed) throw new Error(`the script with the model "${name}" did not load`);
    loaded[name] ??= load(packed);
    WIDGETS[widget]({ model: new State(JSON.parse(state)), el, engine: loaded[name] });
    el.dataset.alive = "";
  } catch (error) {
    console.error(error);
    const said = document.createElement("p");
    said.textContent = `This picture stays still: ${error.message}.`;
    el.replaceChildren(...picture, said);
  }
}

// The script is deferred: the page has been read. What follows waits until it is seen.
setTimeout(() => {
  document.querySelectorAll(".minigpt-widget[data-model]").forEach(mount);
});
