// A field for the seed of random numbers. Chapter: generation.

import { element } from "./parts.js";

const SEEDS = 2 ** 31;

// {root, show(seed)}. `changed(seed)` is told what the reader chose, and `say(words)`
// why a number cannot be one: the old one then stands there again.
export function seedField(changed, say) {
  let seed = 0;
  const onchange = () => {
    const wanted = Number(input.value || NaN);
    if (Number.isInteger(wanted) && wanted >= 0 && wanted < SEEDS)
      return changed(wanted);
    input.value = seed;
    say("A seed is a whole number from 0 to 2,147,483,647: the old one stays.");
  };
  const input = element("input", {
    type: "number", min: 0, max: SEEDS - 1, inputmode: "numeric", onchange });
  const show = (value) => { input.value = seed = value; };
  return { root: element("label", { class: "mgw-seed" }, "seed", input), show };
}
