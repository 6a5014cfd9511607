// The loss of a training against its steps, its floor, and the saved moments to drag
// through; below, on the same axis, a share for each moment. Chapters: loss, training.

import { count, element } from "./parts.js";

const CURVE = {
  left: 46, right: 14, top: 12, height: 190, bars: 56, gap: 34, foot: 24,
};
const NEAR_FLOOR = 1.5; // how far above the floor "near the floor" reaches

// An element of SVG, as `element` makes one of HTML.
function curvePart(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  Object.entries(attributes).forEach((pair) => made.setAttribute(...pair));
  made.append(...children);
  return made;
}

// Round numbers from low to high, at most `most` of them.
export function lossTicks(low, high, most = 6) {
  const power = 10 ** Math.floor(Math.log10((high - low) / most));
  const fits = (s) => (high - low) / (s * power) <= most;
  const step = power * [1, 2, 2.5, 5, 10].find(fits);
  const first = Math.ceil(low / step - 1e-9), last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
}

export class LossCurve {
  // `pick(moment)` is told which moment the reader points at.
  constructor(record, pick) {
    Object.assign(this, { record, pick, state: null });
    this.steps = record.moments.map(({ step }) => step);
    this.unit = this.steps.find((step) => step > 0) ?? 1; // where the logarithm begins
    this.root = element("div", { class: "mgw-curve" });
    this.seen = new ResizeObserver(() => this.draw());
    this.seen.observe(this.root);
    this.root.addEventListener("pointerdown", (event) => {
      this.root.setPointerCapture(event.pointerId);
      this.follow(event);
    });
    this.root.addEventListener("pointermove", (event) => {
      if (this.root.hasPointerCapture(event.pointerId)) this.follow(event);
    });
  }

  close() { this.seen.disconnect(); }

  // What is to be seen: the moment, the scales (`even` steps or logarithmic; `near` the
  // floor or all), shares for the moments or none, words for those who cannot see it.
  show(state) {
    const before = this.state, drawn = ["even", "near", "shares"];
    const anew = drawn.some((name) => before?.[name] !== state[name]);
    this.state = state;
    if (anew) this.draw();
    else this.mark();
  }

  scales(width) {
    const { floor, loss, loss_every: every, moments } = this.record;
    const losses = [...moments.map((m) => m.val_loss), ...loss, floor ?? Infinity];
    const lowest = Math.min(...losses), highest = Math.max(...losses.filter(isFinite));
    const bottom = this.state.near ? lowest * 0.96 : 0;
    const top = this.state.near ? (floor ?? lowest) * NEAR_FLOOR : highest * 1.04;
    const last = Math.max(this.steps.at(-1), loss.length * every, this.unit);
    const along = (s) => (this.state.even ? s / last
      : Math.log1p(s / this.unit) / Math.log1p(last / this.unit));
    const { left, right, height } = CURVE, room = width - left - right;
    const up = (value) => (value - bottom) / (top - bottom);
    return { bottom, top, last, left, room, right: width - right,
      x: (step) => left + 8 + (room - 16) * along(step),
      y: (value) => CURVE.top + height * (1 - up(value)) };
  }

  draw() {
    const width = this.root.clientWidth;
    if (!this.state || !width) return;
    const { shares } = this.state;
    const below = CURVE.top + CURVE.height; // where the bars' part begins
    const height = below + (shares ? CURVE.gap + CURVE.bars : 0) + CURVE.foot;
    const { left, room } = (this.scale = this.scales(width));
    this.svg = curvePart("svg", { width, height, viewBox: `0 0 ${width} ${height}`,
      role: "img" });
    this.frame(width, height);
    const view = [left, CURVE.top, room, CURVE.height];
    const plot = curvePart("svg", { x: left, y: CURVE.top, width: room,
      height: CURVE.height, viewBox: view.join(" ") });
    this.svg.append(plot);
    this.lines(plot);
    if (shares) this.bars(below + CURVE.gap);
    this.cursor = curvePart("g", { class: "mgw-curve-cursor" },
      curvePart("line", { y1: CURVE.top, y2: height - CURVE.foot }), curvePart("path"));
    this.svg.append(this.cursor);
    if (shares)
      this.svg.append(curvePart("text", { class: "mgw-curve-title", x: left,
        y: below + CURVE.gap - 9 }, shares.words));
    this.root.replaceChildren(this.svg);
    this.mark();
  }

  frame(width, height) {
    const { x, y, bottom, top, last, left, right } = this.scale;
    const write = (at, words, anchor = "middle") => this.svg.append(
      curvePart("text", { x: at[0], y: at[1], "text-anchor": anchor }, words));
    for (const value of lossTicks(bottom, top)) {
      const at = y(value), name = `${+value.toPrecision(6)}`;
      this.svg.append(curvePart("line", { class: "mgw-curve-grid", x1: left, x2: right,
        y1: at, y2: at }));
      write([left - 6, at + 4], name, "end");
    }
    const taken = []; // labels that would touch one that is there are left out
    for (const step of this.state.even ? lossTicks(0, last, 5) : this.powers(last)) {
      const half = 3.3 * count(step).length + 3, at = x(step);
      if (at + half > width + 3) continue;
      if (taken.some(([other, room]) => Math.abs(other - at) < room + half)) continue;
      write([at, height - 6], count(step));
      taken.push([at, half]);
    }
  }

  powers(last) { // 0, then round steps from the first moment on, the roundest first
    const found = [0];
    for (const step of [1, 5, 2])
      for (let power = step; power <= last; power *= 10)
        if (power >= this.unit) found.push(power);
    return found;
  }

  lines(plot) {
    const { x, y, left, right } = this.scale;
    const { floor, loss, loss_every: every } = this.record;
    const path = loss.map((value, i) => // the middle of the steps that it is a mean of
      `${i ? "L" : "M"}${x(every * (i + 0.5)).toFixed(1)} ${y(value).toFixed(1)}`);
    plot.append(curvePart("path", { class: "mgw-curve-line", d: path.join("") }));
    if (floor) {
      plot.append(curvePart("line", { class: "mgw-curve-floor", x1: left, x2: right,
        y1: y(floor), y2: y(floor) }));
    }
    for (const { step, val_loss } of this.record.moments)
      plot.append(curvePart("circle", { class: "mgw-curve-dot", r: 4, cx: x(step),
        cy: y(val_loss) }));
  }

  bars(top) { // the shares: a stem for each moment
    const { x, left } = this.scale, { values } = this.state.shares;
    const y = (share) => top + CURVE.bars * (1 - share);
    const [from, to] = [x(0) - 8, x(this.scale.last) + 8];
    for (const value of [0, 1]) {
      const across = { x1: from, x2: to, y1: y(value), y2: y(value) };
      this.svg.append(curvePart("line", { class: "mgw-curve-grid", ...across }),
        curvePart("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" },
          value));
    }
    values.forEach((share, i) => {
      const along = { x1: x(this.steps[i]), x2: x(this.steps[i]) };
      const up = { y1: y(0), y2: y(share) };
      this.svg.append(curvePart("line", { class: "mgw-curve-stem", ...along, ...up }));
    });
  }

  mark() { // the present moment
    if (!this.cursor) return;
    const { x, y, top } = this.scale, { moment, said } = this.state;
    const { step, val_loss } = this.record.moments[moment];
    const [line, sign] = this.cursor.children, above = val_loss > top;
    this.cursor.style.transform = `translateX(${x(step)}px)`;
    line.setAttribute("x1", 0);
    const at = above ? CURVE.top : y(val_loss); // an arrow where it is out of sight
    sign.setAttribute("d", above ? `M0 ${at}l7 11h-14z`
      : `M-7 ${at}a7 7 0 1 0 14 0a7 7 0 1 0 -14 0z`);
    this.svg.setAttribute("aria-label", said);
  }

  follow(event) { // the moment that is nearest to the pointer
    const at = event.clientX - this.svg.getBoundingClientRect().left;
    const far = this.steps.map((step) => Math.abs(this.scale.x(step) - at));
    this.pick(far.indexOf(Math.min(...far)));
  }
}
