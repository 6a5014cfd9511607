// A text as tokens, and the merges that made each of them. Chapter: tokenizer.

import { underKernel } from "./kernel.js";
import { MergeLadder } from "./merge_ladder.js";
import { button, count, cut, element, textField, voice } from "./parts.js";
import { namesOf, TokenChips } from "./token_chips.js";
import { split, Tokenizer } from "./tokenizer.js";

// On a page the tokenizer is a part of the widget's state. Under a kernel it comes as a
// message, for GPT-2's would swell every notebook by half a megabyte.
export function tokenizerExplorer({ model, el, tok }) {
  tok ??= new Tokenizer(model.get("tokenizer"));
  const explorer = new TokenizerExplorer(model, tok);
  el.replaceChildren(explorer.root);
  return () => explorer.close();
}

export const tokenizerExplorerModule =
  underKernel(tokenizerExplorer, (sent) => ({ tok: new Tokenizer(sent.tokenizer) }));

// Put a text on the clipboard: false where the browser does not let us. The old way
// comes first: of a page from disk, the new one may wait for a leave that never comes.
export async function copyText(text) {
  const style = "position: fixed; top: 0; opacity: 0";
  const field = element("textarea", { readonly: true, style }, text);
  const focused = document.activeElement;
  document.body.append(field);
  field.select();
  const copied = document.execCommand?.("copy");
  field.remove();
  focused?.focus({ preventScroll: true });
  if (copied) return true;
  const late = (_, refuse) => setTimeout(refuse, 1000);
  try { // some pages have no clipboard: then nothing is to be late
    await Promise.race([navigator.clipboard.writeText(text), new Promise(late)]);
    return true;
  } catch {
    return false;
  }
}

class TokenizerExplorer {
  constructor(model, tok) {
    Object.assign(this, { model, tok, note: "" });
    this.build();
    this.listeners = {
      text: () => this.read(),
      piece: () => this.open(),
      step: () => this.draw(),
    };
    for (const [name, listen] of Object.entries(this.listeners))
      model.on(`change:${name}`, listen);
    this.read();
  }

  close() {
    this.chips.close();
    for (const [name, listen] of Object.entries(this.listeners))
      this.model.off(`change:${name}`, listen);
  }

  set(values) {
    for (const [name, value] of Object.entries(values)) this.model.set(name, value);
    this.model.save_changes();
  }

  build() {
    const name = namesOf(this.tok), { tok } = this;
    this.field = textField("Your text", (text, note) => this.type(text, note));
    this.message = element("p", { class: "mgw-message" });
    this.chips = new TokenChips(name, (place) => this.choose(place));
    this.ladder = new MergeLadder(tok, name, (step) => this.set({ step }));
    this.figures = ["characters", "bytes", "tokens", "characters a token"].map(
      (words) => [element("dt", {}, words), element("dd")]);
    this.list = element("p", { class: "mgw-ids", tabindex: 0, role: "group",
      "aria-label": "The ids" });
    this.copies = button("Copy ids", () => this.copy());
    this.voice = voice();
    const figures = this.figures.map((pair) => element("div", {}, ...pair));
    this.root = element("div", { class: "mgw mgw-tokenizer", role: "group",
      "aria-label": `Explorer of a tokenizer with ${count(tok.vocab_size)} tokens` },
      this.field.root, this.message,
      element("div", { class: "mgw-parts" },
        element("div", { class: "mgw-tokens" },
          element("p", { class: "mgw-name" }, "Its tokens"), this.chips.root),
        element("div", { class: "mgw-facts" },
          element("dl", {}, ...figures),
          element("div", { class: "mgw-ids-head" },
            element("p", { class: "mgw-name" }, "Its ids"), this.copies),
          this.list),
        this.ladder.root),
      this.voice.root);
  }

  type(text, note) {
    this.note = note;
    if (text !== this.model.get("text")) return this.set({ text, step: null });
    if (note) this.say(note); // else all stays, chips too: one may be being pressed
  }

  // The text anew: its pieces, their tokens.
  read() {
    const text = this.model.get("text"), [kept, note] = cut(text);
    if (note) return this.type(kept, note); // as Python may have set it
    this.field.show(text);
    const ids = [], owners = [];
    this.pieces = split(text);
    this.pieces.forEach((piece, owner) => {
      for (const id of this.tok.encode(piece)) {
        ids.push(id);
        owners.push(owner);
      }
    });
    Object.assign(this, { ids, owners });
    this.chips.show(ids, owners);
    this.count(text);
    this.list.textContent = `[${ids.join(", ")}]`;
    this.copies.textContent = "Copy ids";
    this.say(this.note || this.remark(text));
    this.note = "";
    this.open();
    this.voice.say(`${count(ids.length)} tokens. ${this.message.textContent}`);
  }

  count(text) {
    const characters = [...text].length, bytes = new TextEncoder().encode(text).length;
    const { length } = this.ids;
    const share = length ? (characters / length).toFixed(2) : "–";
    [characters, bytes, length].forEach((n, i) => {
      this.figures[i][1].textContent = count(n);
    });
    this.figures[3][1].textContent = share;
  }

  remark(text) { // what a reader may stumble over
    if (text === "") return "The text is empty: write a word.";
    const end = "<|endoftext|>";
    if (text.includes(end) && this.tok.eot !== null)
      return `${end} in a text is read as text. As a special token it has the id ` +
        `${this.tok.eot}, which is given only where a program asks for it.`;
    return "";
  }

  // The piece whose merges are shown.
  open() {
    const place = Math.min(this.model.get("piece"), this.pieces.length - 1);
    this.chips.open(place);
    this.ladder.open(this.pieces[place] ?? "");
    this.draw();
  }

  draw() {
    this.voice.say(this.ladder.show(this.model.get("step")));
  }

  choose(place) {
    this.set({ piece: this.owners[place], step: null });
  }

  async copy() {
    const copied = await copyText(this.list.textContent);
    if (copied) {
      this.copies.textContent = "Copied";
      return this.voice.say(`${count(this.ids.length)} ids are on the clipboard.`);
    }
    getSelection().selectAllChildren(this.list);
    this.say("The browser does not let us copy. The ids are selected: press Ctrl+C.");
    this.voice.say(this.message.textContent);
  }

  say(words) {
    if (this.message.textContent !== words) this.message.textContent = words;
  }
}
