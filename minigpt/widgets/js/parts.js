// What the widgets share: elements, a slider, a voice for screen readers, and a state
// that a page keeps where under a kernel Python does.

// An element: attributes by name ("onclick" and the like listen; null and false leave
// out), then its children. A style is set by script: as an attribute, a page with a
// strict Content-Security-Policy would leave it out.
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "style") made.style.cssText = value;
    else if (value === true) made.setAttribute(name, "");
    else if (value !== null && value !== false) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

export function button(words, press, attributes = {}) {
  return element("button", { type: "button", onclick: press, ...attributes }, words);
}

// An id that no other element has, of another script of the same widget either.
export const ownId = (name) => `${name}-${Math.random().toString(36).slice(2)}`;

// A slider with its name and value: {root, show(value, words)}. `moved(value)` is told
// what the reader does; `show` is for everybody else.
export function slider(name, { min, max, step }, moved) {
  const shown = element("span", { class: "mgw-value", "aria-hidden": "true" });
  const range = { type: "range", min, max, step, "aria-label": name };
  const oninput = () => moved(Number(input.value));
  const input = element("input", { ...range, oninput });
  const title = element("span", { class: "mgw-name" }, name);
  const show = (value, words) => {
    if (Number(input.value) !== value) input.value = value;
    if (shown.textContent !== words) shown.textContent = words;
    input.setAttribute("aria-valuetext", words);
  };
  return { root: element("label", { class: "mgw-slider" }, title, shown, input), show };
}

// A choice of one among a few: {root, show(value)}. `options` are pairs of a value, a
// string, and its words.
export function choice(name, options, chosen) {
  const entries = options.map(([value, words]) => element("option", { value }, words));
  const onchange = () => chosen(select.value);
  const select = element("select", { onchange }, ...entries);
  const title = element("span", { class: "mgw-name" }, name);
  const show = (value) => { select.value = value; };
  return { root: element("label", { class: "mgw-choice" }, title, select), show };
}

export const LONGEST = 5000; // characters of a text; a model sees far fewer

// What is kept of a text that is too long, its end and no half character before it, and
// a sentence that says so: [text, note].
export function cut(text) {
  if (text.length <= LONGEST) return [text, ""];
  const kept = text.slice(-LONGEST).replace(/^[\udc00-\udfff]/, "");
  return [kept, `The text had ${count(text.length)} characters. Its last ` +
    `${count(kept.length)} are kept.`];
}

// Whether a key is pressed alone: with Alt or Control it is the browser's.
export const pressedAlone = ({ altKey, ctrlKey, metaKey }) =>
  !(altKey || ctrlKey || metaKey);

// A field for a text: {root, show(text)}. `changed(text, note)` is told what the reader
// wrote, as `cut` leaves it, when they pause or leave the field. Half a character,
// which Python refuses, is U+FFFD.
export function textField(name, changed, rows = 2) {
  let timer = null;
  const tell = () => {
    clearTimeout(timer);
    const whole = input.value.replace(/[\ud800-\udfff]/gu, "\ufffd");
    const [text, note] = cut(whole);
    show(text);
    changed(text, note);
  };
  const oninput = (event) => { // not at every letter: a text is read as a whole
    clearTimeout(timer);
    if (!event.isComposing) timer = setTimeout(tell, 150); // nor half a Chinese word
  };
  const input = element("textarea", {
    rows, dir: "auto", spellcheck: "false", autocomplete: "off", oninput,
    oncompositionend: oninput, onchange: tell });
  const title = element("span", { class: "mgw-name" }, name);
  const show = (text) => { if (input.value !== text) input.value = text; };
  return { root: element("label", { class: "mgw-text" }, title, input), show };
}

// Call `go` after some milliseconds; returns what calls it off.
export function after(ms, go) {
  const timer = setTimeout(go, ms);
  return () => clearTimeout(timer);
}

// Hear of changes: {name: listener}; returns what ends it.
export function hear(model, listeners) {
  const all = Object.entries(listeners);
  for (const [name, listen] of all) model.on(`change:${name}`, listen);
  return () => {
    for (const [name, listen] of all) model.off(`change:${name}`, listen);
  };
}

// A place that is read aloud when it changes, and not seen: {root, say(words)}. Of what
// comes quickly, as from a slider that is being moved, only the last is said.
export function voice(wait = 500) {
  const root = element("p", { class: "mgw-voice", role: "status" });
  let timer = null;
  const say = (words) => {
    clearTimeout(timer);
    timer = setTimeout(() => { root.textContent = words; }, wait);
  };
  return { root, say };
}

export const count = (n) => n.toLocaleString("en-GB"); // 1,234

// A token as the book prints it: a space is ␣, a line break is ⏎.
export function visible(text) {
  const sign = (c) => String.fromCodePoint(0x2400 + c.charCodeAt(0));
  return text.replaceAll(" ", "␣").replaceAll("\n", "⏎").replaceAll("\t", "⇥")
    .replace(/[\u0000-\u001f]/g, sign);
}

export const stillness = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

// What a widget knows, with the methods that anywidget's model has: one source serves
// both. Who sets a value hears of the change as everybody does.
export class State {
  constructor(values) {
    this.values = { ...values };
    this.listeners = new Map();
  }

  get(name) { return this.values[name]; }

  set(name, value) {
    if (this.values[name] === value) return;
    this.values[name] = value;
    for (const listen of this.listeners.get(`change:${name}`) ?? []) listen();
  }

  on(event, listen) {
    if (!this.listeners.has(event)) this.listeners.set(event, new Set());
    this.listeners.get(event).add(listen);
  }

  off(event, listen) { this.listeners.get(event)?.delete(listen); }

  save_changes() {} // there is no Python that wants them
}
