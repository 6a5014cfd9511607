// A model as a page holds it, safetensors in base64, read into a tree of arrays with
// the names of OpenAI's checkpoint, as minigpt/checkpoint.py does. Chapter: gpt2.

// Of the file's bytes: {wte: {weight: {data, shape}}, h: [{ln_1: …}, …], …}.
export function readTensors(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = 8 + Number(view.getBigUint64(0, true)); // where the tensors begin
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, start)));
  const params = {};
  for (const [name, { dtype, shape, data_offsets }] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    if (dtype !== "F16" && dtype !== "F32")
      throw new TypeError(`${name} is of type ${dtype}, and F16 and F32 are read here`);
    const [from, to] = data_offsets; // a copy, so that it begins where numbers may
    const { buffer } = bytes.slice(start + from, start + to);
    const data = dtype === "F32" ? new Float32Array(buffer) : halves(buffer);
    place(params, name.split("."), { data, shape });
  }
  return params;
}

let HALVES = null; // the number of each of 65,536 halves, asked for once

function halves(buffer) {
  const words = new Uint16Array(buffer), data = new Float32Array(words.length);
  HALVES ??= Float32Array.from({ length: 65536 }, (_, bits) => half(bits));
  for (let i = 0; i < data.length; i++) data[i] = HALVES[words[i]];
  return data;
}

// The number that 16 bits stand for: a sign, five bits of exponent, ten of fraction.
export function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31, fraction = (bits & 1023) / 1024;
  if (exponent === 0) return sign * fraction * 2 ** -14; // too small for a leading 1
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction) * 2 ** (exponent - 15);
}

// Put a leaf into a tree: "h.0.attn" leads through an object, a list, an object.
function place(tree, [name, ...rest], leaf) {
  if (rest.length === 0) tree[name] = leaf;
  else place((tree[name] ??= /^\d+$/.test(rest[0]) ? [] : {}), rest, leaf);
}

export function fromBase64(text) {
  const characters = atob(text), bytes = new Uint8Array(characters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = characters.charCodeAt(i);
  return bytes;
}
