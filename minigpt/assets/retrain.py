"""Makes the model that the book ships: `python -m minigpt.assets.retrain`.

From one seed: tells the stories, trains the tokenizer and the model, and writes
`minigpt/assets/tales/` with the weights in half precision, the configuration, the
tokenizer and the history of the training at twelve moments. It prints what was
reached, beside the floor and a 5-gram table that has seen the same stories.

The chapters on generation, training and looking-inside use what it leaves.
"""

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from minigpt import data, tales, train, tree
from minigpt.checkpoint import load, save, write
from minigpt.generate import generate
from minigpt.loss import next_token_loss
from minigpt.model import Config, gpt, init
from minigpt.ngram import NGram
from minigpt.tokenizer import BPETokenizer

FOLDER = Path(__file__).parent / "tales"
SEED = 2
STORIES, HELD_OUT = 160_000, 1_000  # to learn from, and to measure by
TOKENIZER_STORIES = 4_000  # the first ones, from which the tokenizer is trained
VOCAB_SIZE = 576
SHAPE = {"n_ctx": 96, "n_embd": 128, "n_layer": 2, "n_head": 8}
SETTINGS = train.Settings(
    steps=14_000,
    batch_size=16,
    lr=4e-3,
    min_lr=0.0,
    warmup=100,
    weight_decay=0.01,
    betas=(0.9, 0.95),
    clip=1.0,
    seed=SEED,
    data=0,
)
WORKERS = 2  # kept, for the same bits on the same machine
MOMENTS = (0, 20, 60, 150, 300, 500, 800, 1_200, 2_000, 3_500, 7_000, 14_000)
SHOWN = (  # the story whose attention is recorded; its last word needs a look back
    "Once there was a girl called Mia. She had a red kite. One day she took it to the "
    "hill. There she met a fox called Rex. Mia gave him the red kite. Where is the "
    "kite now? Rex has it."
)


def stories(count, seed):
    """The texts of so many tales."""
    rng = np.random.default_rng(seed)
    return [tales.story(rng).text for _ in range(count)]


def material():
    """The tokenizer, the stories to learn from and those held out, as ids."""
    texts = stories(STORIES, [SEED, 0])
    tok = BPETokenizer.train(
        "\n".join(texts[:TOKENIZER_STORIES]), VOCAB_SIZE, ("<|endoftext|>",)
    )
    held_out = stories(HELD_OUT, [SEED, 1])
    return tok, data.wrap(tok, texts), data.wrap(tok, held_out)


def start(tok):
    """The shape of the model, and its parameters before the first step.

    GPT-2's deviation of 0.02 suits its 768 channels and more; in so narrow a model the
    blocks pass on more of the signal, and learn sooner, with 1 / sqrt(n_embd).
    """
    cfg = Config(vocab_size=tok.vocab_size, **SHAPE)
    params = init(cfg, seed=SEED)
    widen = np.float32(1 / math.sqrt(cfg.n_embd) / 0.02)
    params["h"] = tree.map(lambda a: a * widen if a.ndim == 2 else a, params["h"])
    return params, cfg


def learn(params, cfg, texts, *, until=SETTINGS.steps, moment=None, progress=True):
    """Trains up to a step, and calls `moment(step, params)` at each of `MOMENTS`.

    Returns the parameters and the loss of every step.
    """
    state = train.State.fresh(params, SEED, WORKERS)
    with (
        train.at_work(state, next_token_loss, SETTINGS.batch_size) as team,
        tqdm(total=until, disable=not progress, mininterval=1) as bar,
    ):
        while True:
            if moment is not None and state.step in MOMENTS:
                moment(state.step, state.params)
            if state.step == until:
                break
            record = train.update(state, cfg, texts, SETTINGS, team)
            bar.update()
            bar.set_postfix(loss=f"{record['loss']:.3f}", refresh=False)
    return state.params, state.losses


def loss(params, cfg, texts):
    """The mean loss over whole stories, end token included, in nats a token."""
    return train.evaluate(params, cfg, texts, 50, batches=len(texts))


def write_stories(params, cfg, tok, count, seed):
    """So many texts from the model at temperature 1, unfiltered."""
    prompts, limit = np.full((count, 1), tok.eot), cfg.n_ctx - 1
    rows = generate(params, prompts, cfg, limit, seed=seed, stop=(tok.eot,))
    return [tok.decode(before_end(row[1:], tok.eot)) for row in rows]


def before_end(ids, eot):
    """The ids before the first end token."""
    return list(ids[: np.flatnonzero(ids == eot)[0]] if eot in ids else ids)


def consistency(texts):
    """The share of texts with which `tales.check` finds no fault."""
    return float(np.mean([tales.check(text).ok for text in texts]))


def attention(params, cfg, ids):
    """The attention of every head: (n_layer, n_head, T, T)."""
    tap = {}
    gpt(params, ids[None], cfg, tap=tap)
    return np.stack([tap[f"h.{i}.attn.weights"][0] for i in range(cfg.n_layer)])


class History:
    """What the model could do at each moment of its training."""

    def __init__(self, cfg, tok, held_out):
        self.cfg, self.tok, self.held_out = cfg, tok, held_out
        self.ids = np.array([tok.eot, *tok.encode(SHOWN)])
        self.moments, self.weights = [], []

    def __call__(self, step, params):
        moment = {"step": step, "val_loss": loss(params, self.cfg, self.held_out)}
        moment["samples"] = write_stories(params, self.cfg, self.tok, 3, SEED)
        self.moments.append(moment)
        self.weights.append(attention(params, self.cfg, self.ids))

    def head(self):
        """The layer and head that, to answer, looks most at where the answer stands."""
        answer = self.tok.encode(" " + tales.sentences(SHOWN)[-1])
        ask = len(self.ids) - 1 - len(answer)
        there = np.flatnonzero(self.ids[: ask + 1] == self.ids[ask + 1])
        looks = self.weights[-1][:, :, ask, there].sum(-1)
        return tuple(int(i) for i in np.unravel_index(looks.argmax(), looks.shape))

    def as_dict(self, losses):
        """Everything as JSON can hold it; each row of attention ends at its token."""
        layer, head = self.head()
        for moment, weights in zip(self.moments, self.weights, strict=True):
            rows = weights[layer, head].astype(float).round(3).tolist()
            moment["attention"] = [row[: t + 1] for t, row in enumerate(rows)]
            moment["val_loss"] = round(moment["val_loss"], 5)
        means = np.reshape(losses[: len(losses) // 50 * 50], (-1, 50)).mean(-1)
        return {
            "floor": round(tales.floor(self.tok), 5),
            "perfect": round(cost(self.tok, self.held_out), 5),
            "layer": layer,
            "head": head,
            "tokens": [self.tok.decode([i]) for i in self.ids],
            "loss_every": 50,
            "loss": means.round(4).tolist(),
            "moments": self.moments,
        }


def cost(tok, texts):
    """What these very texts cost the world that told them, in nats a token.

    It is the `floor` but for the luck of the draw, which a model's loss on the same
    texts shares: their difference is known ten times as well as either.
    """
    nats = -sum(tales.log_prob(tok.decode(ids[1:-1])) for ids in texts)
    return nats / sum(len(ids) - 1 for ids in texts)


def report(name, value, own, texts):
    """A line of the table that is printed at the end."""
    above = 100 * (value / own - 1)
    print(
        f"{name}: {value:.4f} nats a token, {above:.1f} % above the world's own; "
        f"{consistency(texts):.1%} of {len(texts)} stories consistent"
    )


def table_stories(table, tok, count, limit):
    """So many texts from an n-gram table."""
    rng = np.random.default_rng([SEED, 3])
    rows = (table.sample(rng, tok.eot, limit, stop=tok.eot) for _ in range(count))
    return [tok.decode(before_end(row, tok.eot)) for row in rows]


def main(folder=FOLDER):
    """Trains, writes the model into the folder, and prints what was reached."""
    started = time.perf_counter()
    tok, texts, held_out = material()
    params, cfg = start(tok)
    longest = tales.longest(tok)
    if longest + 1 > cfg.n_ctx:
        raise ValueError(
            f"A tale can have {longest} tokens, and n_ctx={cfg.n_ctx} leaves room for "
            f"{cfg.n_ctx - 1}: raise n_ctx."
        )
    history = History(cfg, tok, held_out)
    params, losses = learn(params, cfg, texts, moment=history)
    half = tree.map(lambda a: a.astype(np.float16), params)
    save(folder, half, cfg, tok)
    told = json.dumps(history.as_dict(losses), ensure_ascii=False, allow_nan=False)
    write(Path(folder) / "history.json", (told + "\n").encode())
    minutes = (time.perf_counter() - started) / 60

    (params, cfg, tok), own = load(folder), cost(tok, held_out)
    print(
        f"floor: {tales.floor(tok):.4f} nats a token, exact; {tales.entropy():.2f} a "
        f"story; on the {HELD_OUT} held-out stories {own:.4f}"
    )
    table = NGram(5, tok.vocab_size).fit(texts)
    written = table_stories(table, tok, HELD_OUT, cfg.n_ctx)
    report("5-gram table", table.loss(held_out), own, written)
    written = write_stories(params, cfg, tok, HELD_OUT, [SEED, 2])
    report("shipped model", loss(params, cfg, held_out), own, written)
    size = (Path(folder) / "model.safetensors").stat().st_size
    print(
        f"{tree.size(params):,} parameters, {size / 1e6:.2f} MB, {minutes:.1f} minutes"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", default=FOLDER, help="where the model is written")
    main(parser.parse_args().folder)
