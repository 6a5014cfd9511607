// The engine of a model that Python sends: its weights are a message's buffer.

import { load } from "./engine.js";

export function sentModel(packed, { buffer, byteOffset, byteLength }) {
  const weights = new Uint8Array(buffer, byteOffset, byteLength);
  return { engine: load({ ...packed, weights }) };
}
