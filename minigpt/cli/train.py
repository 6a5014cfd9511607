"""`minigpt train`: a model of one's own, from a text."""

import click

from minigpt.cli import corpus, files, training

WHOLE = click.IntRange(min=1)
SAMPLE = 100  # tokens
SHAPE = ("n_layer", "n_embd", "n_head", "n_ctx", "dropout")


@click.command()
@click.argument("file", shell_complete=files.completions(".txt", corpus.SHIPPED))
@click.option(
    "--tokenizer",
    "kind",
    type=click.Choice(["char", "word", "bpe", "gpt2"]),
    default="bpe",
    show_default=True,
    help="What a token is: a character, a word, a run of bytes learned from the text, "
    "or one of GPT-2's.",
)
@click.option(
    "--vocab-size",
    type=click.IntRange(min=257),
    default=512,
    show_default=True,
    help="How many tokens to learn, for --tokenizer bpe.",
)
@click.option(
    "--lines",
    is_flag=True,
    help="Each line is a text of its own, which begins and ends; otherwise the file is "
    "one long text.",
)
@click.option("--n-layer", type=WHOLE, default=4, show_default=True, help="Blocks.")
@click.option("--n-embd", type=WHOLE, default=128, show_default=True, help="Channels.")
@click.option(
    "--n-head",
    type=WHOLE,
    default=4,
    show_default=True,
    help="Attention heads in a block.",
)
@click.option(
    "--n-ctx",
    type=WHOLE,
    default=128,
    show_default=True,
    help="Positions: how many tokens the model can look at.",
)
@click.option(
    "--dropout",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.0,
    show_default=True,
    help="The share of numbers that are set to 0 in training.",
)
@training.training_options(steps=1000, batch_size=16, lr=1e-3)
@click.pass_context
def train(ctx, file, kind, vocab_size, lines, out, val_share, **given):
    """Train a GPT on the text in FILE.

    "-" reads the text from standard input. FILE may also be "tales", the book's own
    small world, or tinyshakespeare.txt, which is fetched once. Where a text has
    <|endoftext|> in it, there one document ends and the next begins. Ctrl-C keeps what
    was learned, and --resume goes on.

    \b
    minigpt train tinyshakespeare.txt --tokenizer char --steps 2000
    minigpt train tales --vocab-size 576 --lr 4e-3
    """
    import minigpt as mg
    from minigpt import data, tales

    out = training.run_folder(out, file, given["resume"])
    shape = {name: given.pop(name) for name in SHAPE}
    wanted = given["steps"] * given["batch_size"]
    text = corpus.read(file, lines, wanted, given["seed"])
    tok = corpus.tokenizer(kind, text, vocab_size)
    cfg = mg.Config(vocab_size=tok.vocab_size, **shape)
    ids = corpus.encode(tok, text)
    learned, held_out = data.split(ids, val_share) if val_share else (ids, None)
    data.check(learned, cfg, "the text to learn from")
    if val_share:
        data.check(held_out, cfg, "the text held out")
    training.keep(out, tok)
    params = mg.init(cfg, given["seed"])
    describe(params, tok, learned, held_out)
    whole = isinstance(text, list)
    told = whole and file == corpus.SHIPPED
    floor = ("the world's own", tales.floor(tok)) if told else None

    def finish():
        training.complete_best(out, tok)

    with training.kept(ctx, out, finish, floor):
        settings = training.settings_of_run(out=out, **given)
        sample = sampler(tok, cfg, text, ids, given["seed"])
        run = mg.fit(params, cfg, learned, held_out, sampler=sample, **settings)
    if run.history:  # not where its file is gone, and nothing was left to do
        report(run.history[-1], tok, out, whole)


def describe(params, tok, learned, held_out):
    """Two lines: what is learned from, and what learns."""
    import minigpt as mg

    def tokens(part):
        if isinstance(part, list):
            return f"{len(part):,} texts ({sum(map(len, part)):,} tokens)"
        return f"{len(part):,} tokens"

    kept = f", {tokens(held_out)} held out" if held_out is not None else ""
    print(f"{tokens(learned)} to learn from{kept}; {tok.vocab_size:,} different ones")
    print(f"a model of {mg.tree.size(params):,} parameters", flush=True)


def sampler(tok, cfg, text, ids, seed):
    """A function for `mg.fit`: what the model writes by itself, or on a new line."""
    from minigpt.generate import stream
    from minigpt.streaming import pieces

    start = [tok.eot]
    if tok.eot is None:
        start = tok.encode("\n")[:1] if "\n" in text else ids[:1]
    settings = {"temperature": 0.8, "seed": seed}

    def sample(params):
        new_ids = stream(params, start, cfg, min(SAMPLE, cfg.n_ctx), **settings)
        return "".join(pieces(tok, new_ids)).strip()

    return sample


def report(last, tok, out, whole):
    """What was reached, and what to do with it."""
    from minigpt.streaming import is_gpt2

    told = [f"loss {last['loss']:.3f}"]
    if last["val_loss"] is not None:
        told.append(f"on held-out data {last['val_loss']:.3f} nats a token")
    print(
        f"{', '.join(told)}, after {last['seconds']:.0f} s; the curve: {out}/loss.png"
    )
    begin = " --eot" if whole and is_gpt2(tok) else ""
    prompt = "" if tok.eot is not None and not is_gpt2(tok) else ' "…"'
    print(f"Let it write:  minigpt generate{prompt} --model {out}{begin}")
