// The sliders for temperature, top-k and top-p. Chapter: generation.

import { count, slider } from "./parts.js";

const HOT = { min: 0, max: 3, step: 0.05 };

export function settingsOf(model) {
  const names = ["temperature", "top_k", "top_p"];
  return Object.fromEntries(names.map((name) => [name, model.get(name)]));
}

export class SamplingSliders {
  // For a vocabulary of V. `set(name, value)` is told what the reader moves; at their
  // right ends top-k and top-p are null, and keep all.
  constructor(V, top_k, set) {
    this.V = V;
    this.all = Math.min(V, Math.max(50, top_k ?? 1) + 1); // the right end
    this.sliders = {
      temperature: slider("temperature", HOT, (value) => set("temperature", value)),
      top_k: slider("top-k", { min: 1, max: this.all, step: 1 }, (k) =>
        set("top_k", k === this.all ? null : k)),
      top_p: slider("top-p", { min: 0.01, max: 1, step: 0.01 }, (p) =>
        set("top_p", p === 1 ? null : p)),
    };
    this.roots = Object.values(this.sliders).map(({ root }) => root);
  }

  show({ temperature, top_k, top_p }) {
    const { sliders } = this;
    sliders.temperature.show(temperature, temperature.toFixed(2));
    const ranked = top_k === null ? `all ${count(this.V)}` : `${top_k}`;
    sliders.top_k.show(top_k ?? this.all, ranked);
    sliders.top_p.show(top_p ?? 1, top_p === null ? "1.00, all" : top_p.toFixed(2));
  }
}
