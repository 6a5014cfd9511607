// Byte-pair encoding: text to ids and back, the same ids as minigpt/bpe.py gives.
// Sennrich, Haddow and Birch 2016; Radford and others 2019. Chapter: tokenizer.

// What counts as a letter grows with every version of Unicode, and ids must not change
// with the browser. So letters and digits are those of Unicode 16: what came in 15 and
// 16 is added for older browsers, what came later is taken away from newer ones.
export const UNICODE_16 = {
  letters: `1C89-1C8A A7CB-A7CD A7DA-A7DC 105C0-105F3 10D4A-10D65 10D6F-10D85
    10EC2-10EC4 1123F-11240 11380-11389 1138B 1138E 11390-113B5 113B7 113D1 113D3
    11BC0-11BE0 11F02 11F04-11F10 11F12-11F33 1342F 13441-13446 13460-143FA 16100-1611D
    16D40-16D6C 18CFF 1B132 1B155 1DF25-1DF2A 1E030-1E06D 1E4D0-1E4EB 1E5D0-1E5ED 1E5F0
    2B739 2EBF0-2EE5D 31350-323AF`,
  numbers: `10D40-10D49 116D0-116E3 11BF0-11BF9 11F50-11F59 16130-16139 16D70-16D79
    1CCF0-1CCF9 1D2C0-1D2D3 1E4F0-1E4F9 1E5F1-1E5FA`,
  later: `558 58B-58C 88F C5C CDC 208F 209D-209F A7CE-A7CF A7D2 A7D4 A7DD-A7F1 AB6C-AB6D
    107BB-107BF 10940-10959 10EC5-10EEE 11B0A 11DB0-11DF1 1246F-1247F 12550-12686
    16EA0-16ED3 16FF2-16FF6 187F8-187FF 18CD6-18CDA 18D09-191D2 1B123-1B128 1B168 1D6A6
    1DF1F-1DF24 1DF2B-1DFFF 1E6C0-1E6FF 2B73A-2B73F 2B81E 2CEA2-2CEAD 323B0-3FC3F`,
};

// GPT-2's pattern: endings like 's, then letters, digits or other signs, each with the
// one space before it, then white space; the last space goes with the word after it.
const PATTERN = (() => {
  const classes = Object.values(UNICODE_16).map((ranges) =>
    ranges.replace(/\w+/g, "\\u{$&}").replace(/\s/g, ""));
  const [letters, numbers, later] = classes;
  const L = `(?:[^\\P{L}${later}]|[${letters}])`;
  const N = `(?:[^\\P{N}${later}]|[${numbers}])`;
  const other = `(?:[^\\p{White_Space}\\p{L}\\p{N}${letters}${numbers}]|[${later}])`;
  const spaces = "\\p{White_Space}+(?!\\P{White_Space})|\\p{White_Space}+";
  const endings = "'(?:[sdmt]|ll|ve|re)";
  return new RegExp(`${endings}| ?${L}+| ?${N}+| ?${other}+|${spaces}`, "gu");
})();

// The pieces of a text, which no token crosses: "He's 20." -> ["He", "'s", " 20", "."]
export function split(text) {
  return text.match(PATTERN) ?? [];
}

// GPT-2's files number the bytes in their own order: first those that print.
const prints = (byte) => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
const BYTES = Array.from({ length: 256 }, (_, byte) => byte);
const GPT2_ORDER = [...BYTES.filter(prints), ...BYTES.filter((byte) => !prints(byte))];

const toBytes = (text) => new TextEncoder().encode(text);
const toText = (bytes, fatal = false) =>
  new TextDecoder("utf-8", { fatal, ignoreBOM: true }).decode(bytes);

const REMEMBERED = 50_000; // pieces whose ids are kept at hand, if they are
const SHORT = 50; // characters long at most

// `state` is what tokenizer.json holds: `byte_order` (the byte of each of the ids 0 to
// 255), `merges` (pairs of ids, as learnt), `special_tokens` (names; the last ids).
export class Tokenizer {
  constructor({ byte_order, merges, special_tokens = [] }) {
    this.tokens = byte_order.map((byte) => Uint8Array.of(byte)); // id -> its bytes
    this.pairs = merges;
    this.merged = new Map(); // a pair of ids, as one number -> what they become
    this.vocab_size = 256 + merges.length + special_tokens.length;
    for (const [a, b] of merges) {
      this.merged.set(a * this.vocab_size + b, this.tokens.length);
      this.tokens.push(Uint8Array.of(...this.tokens[a], ...this.tokens[b]));
    }
    this.eot = null; // the id of "<|endoftext|>"
    for (const name of special_tokens) {
      if (name === "<|endoftext|>") this.eot = this.tokens.length;
      this.tokens.push(toBytes(name));
    }
    this.byteIds = [];
    byte_order.forEach((byte, id) => { this.byteIds[byte] = id; });
    this.isGpt2 = byte_order.every((byte, id) => byte === GPT2_ORDER[id]);
    this.remembered = new Map();
  }

  // The ids of any text; "<|endoftext|>" is text too. Half a surrogate pair, which
  // Python refuses, is read as U+FFFD.
  encode(text) {
    const ids = [];
    for (const piece of split(text)) {
      let known = this.remembered.get(piece);
      if (!known) {
        known = this.merge(this.bytesOf(piece));
        if (this.remembered.size >= REMEMBERED) this.remembered.clear();
        if (piece.length <= SHORT) this.remembered.set(piece, known);
      }
      for (const id of known) ids.push(id);
    }
    return ids;
  }

  // What a model reads first: one that learnt whole texts an end token, then the text.
  // GPT-2 learnt from windows of one long row, and reads a text as it is.
  first(text) {
    const ids = this.encode(text), plain = this.isGpt2 && ids.length > 0;
    return this.eot === null || plain ? ids : [this.eot, ...ids];
  }

  bytesOf(piece) { // the ids of its bytes, before any merge
    return Array.from(toBytes(piece), (byte) => this.byteIds[byte]);
  }

  // The tokens of one piece, from its bytes by all merges, the earliest learnt first.
  // `see(ids, newId)` is told after each.
  merge(ids, see) {
    const next = (a, b) => this.merged.get(a * this.vocab_size + b) ?? Infinity;
    for (;;) {
      let least = Infinity;
      for (let i = 1; i < ids.length; i++)
        least = Math.min(least, next(ids[i - 1], ids[i]));
      if (least === Infinity) return ids;
      // Wherever the pair stands, at once: merges of the new token were learnt later.
      const [a, b] = this.pairs[least - 256];
      const joined = [];
      for (let i = 0; i < ids.length; i++) {
        const here = ids[i] === a && ids[i + 1] === b;
        joined.push(here ? least : ids[i]);
        if (here) i++;
      }
      ids = joined;
      see?.(ids, least);
    }
  }

  // The text of some ids; bytes that are no valid UTF-8 become U+FFFD.
  decode(ids) {
    return toText(Uint8Array.from([...ids].flatMap((id) => [...this.bytes(id)])));
  }

  bytes(id) {
    if (this.tokens[id]) return this.tokens[id];
    throw new RangeError(`id ${id} is not in the vocabulary of ${this.vocab_size}`);
  }

  // The text of each token on its own; a byte that is part of a character as \xe2.
  pieces(ids) {
    return Array.from(ids, (id) => show(this.bytes(id)));
  }
}

function show(bytes) {
  if (bytes.length === 0) return "";
  for (let n = bytes.length; n > 0; n--) {
    try { // as many bytes as are whole characters
      return toText(bytes.subarray(0, n), true) + show(bytes.subarray(n));
    } catch { /* they are not */ }
  }
  return `\\x${bytes[0].toString(16).padStart(2, "0")}${show(bytes.subarray(1))}`;
}
