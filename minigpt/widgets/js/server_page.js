// The page of a server: the explorers, asking the model that it serves. They wait until
// it is loaded. Chapter: serving.

import { refusal } from "./answers.js";
import { attentionExplorer } from "./attention_explorer.js";
import { after, count, element, State } from "./parts.js";
import { RemoteEngine } from "./remote_engine.js";
import { samplingExplorer } from "./sampling_explorer.js";
import { openings } from "./server_texts.js";
import { tokenizerExplorer } from "./tokenizer_explorer.js";

const PAUSE_TO_ASK = 1000; // milliseconds

// The widgets by the names that the page gives their places: each draws itself.
const PLACES = {
  next: ({ engine, texts, el }) => samplingExplorer({ el, engine, model: new State({
    text: texts.next, temperature: 1, top_k: null, top_p: null, seed: 0, rows: 8,
    max_new_tokens: 80, new_ids: [] }) }),
  looks: ({ engine, texts, el }) => attentionExplorer({ el, engine, model: new State({
    text: texts.looks, layer: 0, head: texts.head, query: null }) }),
  tokens: ({ engine: { tok }, texts, el }) => {
    if (!tok.merge) throw new Error(`The model reads ${tok.one}s, each of them a ` +
      "token: there are no merges to show");
    return tokenizerExplorer({ el, tok, model: new State({
      text: texts.tokens, piece: texts.piece, step: null }) });
  },
};

const HUGE = [[1e9, "billion"], [1e6, "million"], [1e3, "thousand"]];

// A large number, to be read: 124 million.
export function roughly(n) {
  const [unit, name] = HUGE.find(([least]) => n >= least) ?? [1, ""];
  const shown = n / unit < 10 ? (n / unit).toFixed(1) : Math.round(n / unit);
  return `${shown} ${name}`.trim();
}

// A model's shape in words.
export function inWords({ config, parameters }) {
  const { n_layer, n_head, n_embd, n_ctx, vocab_size } = config;
  const layers = `${n_layer} layer${n_layer === 1 ? "" : "s"} of ${n_head} attention ` +
    `head${n_head === 1 ? "" : "s"}, ${count(n_embd)} channels wide.`;
  const reads = `It reads up to ${count(n_ctx)} tokens, from a vocabulary of ` +
    `${count(vocab_size)}.`;
  return `${parameters ? `${roughly(parameters)} parameters: ` : ""}${layers} ${reads}`;
}

// What a server tells, or why it does not: {answer} or {why, lasting}.
async function askServer(path) {
  try {
    const response = await fetch(path);
    if (response.ok) return { answer: await response.json() };
    return { why: await refusal(response), lasting: response.status < 500 };
  } catch {
    return { why: "The server does not answer: is it still running?" };
  }
}

// What GET api/model tells, once the model is loaded; `tell` hears what it waits for.
async function aboutModel(tell) {
  for (;;) {
    const health = await askServer("health");
    if (health.answer?.model_loaded) {
      const { answer, why, lasting } = await askServer("api/model");
      if (answer) return answer;
      if (lasting) throw new Error(why);
      tell(why);
    } else {
      tell(health.why ?? health.answer.detail ??
        "The model is being loaded. The explorers come as soon as it is there.");
    }
    await new Promise((go) => after(PAUSE_TO_ASK, go));
  }
}

async function openPage() {
  const status = document.querySelector("#status");
  const say = (words) => {
    if (status.textContent !== words) status.textContent = words;
  };
  const places = document.querySelectorAll("[data-place]");
  try {
    const about = await aboutModel(say);
    if (!about.tokenizer) throw new Error("There is no tokenizer: texts need one");
    const engine = new RemoteEngine(about);
    const known = engine.tok.vocab_size, writes = engine.cfg.vocab_size;
    if (known < writes) throw new Error(`The tokenizer knows ${count(known)} tokens ` +
      `and the model writes ${count(writes)}: they do not belong together`);
    say(inWords(about));
    const texts = openings(engine.tok);
    for (const el of places) {
      await new Promise((go) => after(0, go)); // the page answers in between
      putWidget(el, { engine, texts });
    }
  } catch (error) {
    say(`${error.message}.`);
  }
}

function putWidget(el, given) {
  try {
    PLACES[el.dataset.place]({ el, ...given });
  } catch (error) {
    el.replaceChildren(element("p", {}, `${error.message}.`));
    el.closest("section").querySelector(".try").hidden = true;
  }
  el.dataset.alive = "";
}

if (document.querySelector("[data-place]")) {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const follow = () => {
    document.documentElement.dataset.theme = dark.matches ? "dark" : "light";
  };
  dark.addEventListener("change", follow);
  follow();
  openPage();
}
