// Characters or words to ids and back, as minigpt.CharTokenizer and WordTokenizer.
// Chapter: tokenizer.

import { count, visible } from "./parts.js";
import { Tokenizer } from "./tokenizer.js";

// The tokenizer of a `state`, as Python packs it, whatever its kind.
export function tokenizerOf(state) {
  return state.merges ? new Tokenizer(state) : new LookupTokenizer(state);
}

const LETTER = "[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}]";
const SPACE = "\\p{White_Space}";
const WORDS = new RegExp(
  `${LETTER}+(?:['\\u2019]${LETTER}+)*|${SPACE}|(?!${LETTER}|${SPACE})[^]`, "gu");

// `state`: `kind` ("characters" or "words"), `tokens` (in the order of their ids), and
// `special_tokens` (names; the last ids).
export class LookupTokenizer {
  constructor({ kind, tokens, special_tokens = [] }) {
    this.one = kind.slice(0, -1); // "character", "word"
    this.texts = [...tokens, ...special_tokens];
    this.vocab_size = this.texts.length;
    this.known = new Map(tokens.map((token, id) => [token, id]));
    const end = special_tokens.indexOf("<|endoftext|>");
    this.eot = end < 0 ? null : tokens.length + end;
  }

  split(text) {
    return this.one === "character" ? [...text] : text.match(WORDS) ?? [];
  }

  // Raises RangeError for what the vocabulary lacks.
  encode(text) {
    return this.split(text).map((piece) => {
      const id = this.known.get(piece);
      if (id !== undefined) return id;
      throw new RangeError(`The ${this.one} ${visible(piece)} is not in the model's ` +
        `vocabulary of ${count(this.known.size)} ${this.one}s: it never saw one.`);
    });
  }

  first(text) {
    return this.eot === null ? this.encode(text) : [this.eot, ...this.encode(text)];
  }

  decode(ids) { return this.pieces(ids).join(""); }

  pieces(ids) {
    return Array.from(ids, (id) => {
      if (this.texts[id] !== undefined) return this.texts[id];
      throw new RangeError(`id ${id} is not in the vocabulary of ${this.vocab_size}`);
    });
  }
}
