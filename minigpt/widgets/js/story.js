// A text that grows: what the reader wrote, and in bold what came after.

import { element } from "./parts.js";

export class Story {
  constructor(tok) {
    this.tok = tok;
    this.root = element("p", { class: "mgw-story" });
    this.spoken = ""; // for a voice: what came after
  }

  // An end token is shown as a sign, not as text. `growing` shows where.
  show(text, ids, growing) {
    const { tok } = this, parts = [text];
    let from = 0;
    ids.forEach((id, i) => {
      if (id !== tok.eot) return;
      parts.push(element("b", {}, tok.decode(ids.slice(from, i))),
        element("span", { class: "mgw-end" }, "end of text"));
      from = i + 1;
    });
    parts.push(element("b", {}, tok.decode(ids.slice(from))));
    if (growing) parts.push(element("span", { class: "mgw-caret" }, " "));
    this.root.replaceChildren(...parts);
    if (growing) this.root.scrollTop = this.root.scrollHeight;
    this.spoken = ids.length ? `Written: ${tok.decode(ids).slice(-300)}.` : "";
  }
}
