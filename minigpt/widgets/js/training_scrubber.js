// The saved moments of a training, to drag through: the loss with its floor, what the
// model wrote, where one head looked. Chapters: loss, training.

import { LossCurve } from "./loss_curve.js";
import { NotedAttention, notedName, notedWeight } from "./noted_attention.js";
import { button, choice, count, element, slider, voice } from "./parts.js";

const MOMENT_PACE = 1400; // milliseconds from moment to moment, to look at each

export function trainingScrubber({ model, el }) {
  const scrubber = new TrainingScrubber(model);
  el.replaceChildren(scrubber.root);
  scrubber.draw();
  return () => scrubber.close();
}

export const trainingScrubberModule = { render: trainingScrubber };

// By how much one loss is above another.
const percentAbove = (loss, least) => {
  const percent = 100 * (loss / least - 1);
  const digits = percent >= 100 ? count(Math.round(percent)) : percent.toFixed(1);
  return `${digits} %`;
};

// A text with its control characters as signs, and its spaces as they are.
const readableSample = (text) => text.replaceAll("\u007f", "␡")
  .replace(/[\u0000-\u0009\u000b-\u001f]/g, (c) =>
    String.fromCharCode(0x2400 + c.charCodeAt(0)));

const shortStep = (step) =>
  step < 1000 ? `${step}` : `${+(step / 1000).toPrecision(3)}k`;

class TrainingScrubber {
  constructor(model) {
    Object.assign(this, { model, timer: null, even: false, near: false });
    this.record = model.get("shown");
    this.moments = this.record.moments;
    this.build();
    const draw = () => this.draw();
    this.listeners = { moment: draw, sample: draw, query: draw };
    for (const [name, listen] of Object.entries(this.listeners))
      model.on(`change:${name}`, listen);
  }

  close() {
    this.stop();
    this.curve.close();
    this.noted?.close();
    for (const [name, listen] of Object.entries(this.listeners))
      this.model.off(`change:${name}`, listen);
  }

  set(name, value) { // what the reader does; `draw` follows by itself
    if (this.model.get(name) === value) return;
    this.model.set(name, value);
    this.model.save_changes();
  }

  go(moment) {
    this.stop();
    this.set("moment", moment);
  }

  build() {
    const last = this.moments.length - 1, { record } = this;
    const span = { min: 0, max: last, step: 1 };
    this.slider = slider("moment", span, (moment) => this.go(moment));
    this.plays = button("Play", () => this.play(), { class: "mgw-main" });
    const ticks = this.moments.map(({ step }) => element("span", {}, shortStep(step)));
    const hidden = { "aria-hidden": "true" }; // the slider says it
    this.ticks = element("div", { class: "mgw-scrub-ticks", ...hidden }, ...ticks);
    this.ticks.style.setProperty("--moments", ticks.length);
    this.curve = new LossCurve(record, (moment) => this.go(moment));
    this.figures = element("dl", { class: "mgw-scrub-figures" });
    this.voice = voice();
    if (record.moments[0].attention)
      this.noted = new NotedAttention(record, (token) => this.set("query", token));
    this.root = element("div", { class: "mgw", role: "group",
      "aria-label": `The saved moments of a training, ${this.moments.length} of them` },
      element("div", { class: "mgw-scrub" }, this.plays,
        element("div", {}, this.slider.root, this.ticks)),
      this.figures,
      element("div", { class: "mgw-scrub-halves" },
        element("div", {}, this.legend(), this.curve.root), this.samples()),
      this.noted?.root ?? "", this.voice.root);
  }

  legend() {
    const { record } = this, every = record.loss_every;
    const key = (kind, words) => element("span", { class: "mgw-curve-key" },
      element("i", { class: `mgw-curve-key-${kind}` }), words);
    const keys = [key("dot", "held-out texts")];
    if (record.loss.length)
      keys.push(key("line", `training${every > 1 ? `, means of ${every} steps` : ""}`));
    if (record.floor) keys.push(key("floor", `floor ${record.floor.toFixed(3)}`));
    const redraw = (name, yes) => (value) => {
      this[name] = value === yes;
      this.draw();
    };
    const steps = [["log", "logarithmic"], ["even", "even"]];
    const near = record.floor ? "near the floor" : "near the least";
    this.scales = [
      choice("loss", [["all", "all"], ["near", near]], redraw("near", "near")),
      choice("steps", steps, redraw("even", "even")),
    ];
    return element("div", { class: "mgw-curve-legend" },
      element("p", { class: "mgw-name" }, "Loss, nats a token"),
      element("p", { class: "mgw-curve-keys" }, ...keys),
      ...this.scales.map(({ root }) => root));
  }

  samples() {
    this.choices = this.moments[0].samples.map((_, i) =>
      button("", () => this.set("sample", i)));
    this.text = element("p", { class: "mgw-written" });
    this.verdict = element("p", { class: "mgw-verdict" });
    return element("div", { class: "mgw-wrote" },
      element("p", { class: "mgw-name" }, "What the model wrote then"),
      element("div", { class: "mgw-samples", role: "group", "aria-label": "sample" },
        ...this.choices),
      this.text, this.verdict);
  }

  play() {
    if (this.timer) return this.finish();
    const last = this.moments.length - 1;
    const from = this.model.get("moment");
    if (from === last) this.set("moment", 0);
    const next = () => {
      this.set("moment", Math.min(last, this.model.get("moment") + 1));
      if (this.model.get("moment") === last) return this.finish();
      this.timer = setTimeout(next, MOMENT_PACE);
    };
    this.timer = setTimeout(next, from === last ? MOMENT_PACE : MOMENT_PACE / 2);
    this.plays.textContent = "Stop";
  }

  stop() {
    clearTimeout(this.timer);
    this.timer = null;
    this.plays.textContent = "Play";
  }

  finish() {
    this.stop();
    this.draw();
  }

  draw() {
    const at = this.model.get("moment"), now = this.moments[at];
    const words = `step ${count(now.step)}`;
    this.slider.show(at, words);
    [...this.ticks.children].forEach((tick, i) =>
      tick.classList.toggle("mgw-scrub-now", i === at));
    const facts = this.facts(now);
    this.figures.replaceChildren(...facts.map(([name, value]) =>
      element("div", {}, element("dt", {}, name), element("dd", {}, value))));
    const look = this.look(at);
    const loss = facts.map(([name, value]) => `${name} ${value}`).join(", ");
    const place = `moment ${at + 1} of ${this.moments.length}`;
    const told = `Step ${count(now.step)}, ${place}: ${loss}.`;
    this.curve.show({ moment: at, even: this.even, near: this.near,
      shares: this.shares, said: `The loss against the steps. ${told}` });
    this.scales[0].show(this.near ? "near" : "all");
    this.scales[1].show(this.even ? "even" : "log");
    const verdict = this.write(now);
    this.noted?.show(now.attention, this.model.get("query"), look);
    if (!this.timer) this.voice.say(`${told} ${verdict} ${look}`);
  }

  facts({ val_loss: loss }) {
    const { floor, perfect } = this.record;
    const facts = [["loss on held-out texts", `${loss.toFixed(4)} nats`],
      ["perplexity", Math.exp(loss).toFixed(2)]];
    if (floor) facts.push(["above the floor", percentAbove(loss, floor)]);
    const best = "above the perfect loss on these very texts";
    if (perfect) facts.push([best, percentAbove(loss, perfect)]);
    return facts;
  }

  // What the model wrote, and what the checker of tales says of it.
  write({ samples, verdicts }) {
    const chosen = this.model.get("sample");
    this.text.textContent = readableSample(samples[chosen]);
    this.choices.forEach((one, i) => {
      const sign = !verdicts ? "" : verdicts[i][0] ? " ✗" : " ✓";
      one.textContent = `${i + 1}${sign}`;
      one.setAttribute("aria-pressed", i === chosen);
      const word = !verdicts ? "" : verdicts[i][0] ? ", not sound" : ", sound";
      one.setAttribute("aria-label", `sample ${i + 1}${word}`);
    });
    if (!verdicts) return "";
    const [faults, first] = verdicts[chosen], more = faults - 1;
    const others = more > 0 ? ` (and ${count(more)} more)` : "";
    const words = faults
      ? `Not sound: ${readableSample(first)}${others}` : "A sound tale.";
    this.verdict.textContent = `${faults ? "✗" : "✓"} ${words}`;
    return words;
  }

  // Where the token that is asked about looks: at what it looks at most in the end, and
  // at what it looks at most now, in words. `shares` are the former at every moment.
  look(at) {
    if (!this.noted) return "";
    const query = this.model.get("query"), { tokens } = this.record;
    const row = (moment) => Array.from({ length: query + 1 }, (_, key) =>
      notedWeight(moment.attention, query, key));
    const most = (shares) => shares.indexOf(Math.max(...shares));
    const key = most(row(this.moments.at(-1))), now = row(this.moments[at]);
    const name = (place) => `“${notedName(tokens[place])}”`;
    const pair = `${name(query)} looks`, aim = name(key);
    if (this.shares?.query !== query)
      this.shares = { query, words: `how much ${pair} at ${aim}`,
        values: this.moments.map((m) => notedWeight(m.attention, query, key)) };
    const first = most(now), said = `${pair} ${now[key].toFixed(2)} at ${aim}`;
    return first === key ? `${said}, the most.`
      : `${said}, and most, ${now[first].toFixed(2)}, at ${name(first)}.`;
  }
}
