// What a reader of the sampling explorer may stumble over. Chapter: generation.

import { count } from "./parts.js";

export function samplingRemark({ engine: { cfg, tok }, model, session, written }) {
  const lost = session.ids.length - cfg.n_ctx;
  if (lost > 0)
    return `The model sees the last ${cfg.n_ctx} tokens only: ${count(lost)} at the ` +
      "beginning are out of its sight.";
  if (written.length > 0 && written.at(-1) === tok.eot)
    return "The text has come to its end; Write begins again from yours. The bars " +
      "are a mere guess: the model never read beyond an end.";
  if (model.get("temperature") === 0)
    return "At temperature 0 every seed writes the same.";
  return "";
}
