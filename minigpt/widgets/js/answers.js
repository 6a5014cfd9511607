// Numbers that a server answers with. It is asked again while it is gone or busy, and
// the last answers are kept. Chapter: serving.

import { after } from "./parts.js";

const KEPT = 8_000_000; // numbers that are kept: 32 MB
const PATIENCE = 400; // milliseconds that need no explanation
const PAUSES = { first: 500, longest: 5000 }; // milliseconds from question to question
const STILL_READING = "The model is reading…";
const GONE = "The server does not answer: is it still running? This page asks again.";
const PASSING = [408, 425, 429, 500, 502, 503, 504]; // what may be over a little later

// What a server says of a request that it refuses, in a sentence.
export async function refusal(response) {
  const { detail } = await response.json().catch(() => ({}));
  if (typeof detail === "string") return detail;
  const first = detail?.[0]?.msg; // FastAPI's list
  return first ?? `The server answers with ${response.status} ${response.statusText}.`;
}

export class Answers {
  constructor(address = "") { // "" is the page's own
    Object.assign(this, { address, known: new Map(), size: 0 });
  }

  // The answer to the same question, where it is still there.
  kept(path, body) {
    return this.known.get(`${path} ${JSON.stringify(body)}`) ?? null;
  }

  keep(path, body, numbers) {
    if (this.kept(path, body)) return;
    this.known.set(`${path} ${JSON.stringify(body)}`, numbers);
    this.size += numbers.length;
    for (const [oldest, { length }] of this.known) {
      if (this.size <= KEPT) break;
      this.known.delete(oldest);
      this.size -= length;
    }
  }

  // The numbers that the server answers to `body` with. `signal` calls it off; `tell`
  // hears why it takes long, and "" when that is over.
  async ask(path, body, { signal, tell = () => {} } = {}) {
    const kept = this.kept(path, body);
    if (kept) return kept;
    const calm = after(PATIENCE, () => tell(STILL_READING));
    try {
      const numbers = await this.insist(path, body, signal, (why) => {
        calm();
        tell(why);
      });
      this.keep(path, body, numbers);
      return numbers;
    } finally {
      calm();
    }
  }

  async insist(path, body, signal, tell) {
    const headers = { "Content-Type": "application/json",
      Accept: "application/octet-stream" };
    const request = { method: "POST", headers, body: JSON.stringify(body), signal };
    for (let pause = PAUSES.first; ; pause = Math.min(2 * pause, PAUSES.longest)) {
      const { response, numbers } = await this.once(path, request);
      if (numbers) return numbers;
      const why = response ? await refusal(response) : GONE;
      if (response && !PASSING.includes(response.status)) throw new RangeError(why);
      tell(why);
      const wanted = 1000 * Number(response?.headers.get("Retry-After"));
      await rest(wanted || pause, signal);
    }
  }

  async once(path, request) { // {} where nobody answers
    try {
      const response = await fetch(this.address + path, request);
      if (!response.ok) return { response };
      return { numbers: new Float32Array(await response.arrayBuffer()) };
    } catch (error) {
      if (request.signal?.aborted) throw error;
      return {};
    }
  }
}

function rest(ms, signal) {
  return new Promise((go, refuse) => {
    const stop = () => {
      calm();
      refuse(signal.reason);
    };
    const calm = after(ms, () => {
      signal?.removeEventListener("abort", stop);
      go();
    });
    signal?.addEventListener("abort", stop);
  });
}
