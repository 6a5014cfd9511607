"""How fast tokenizers encode and learn Tiny Shakespeare, 1.1 million characters.

    python benchmarks/encoding.py [--rounds 5]

Encoding with GPT-2's vocabulary: the first time in a fresh process (cold), once the
process has seen the text (warm), and one piece of 100,000 letters (long). Learning:
1,000 merges. Every measurement has a process of its own, which loads its files before
the clock starts, and contenders take turns. Needs tinyshakespeare.txt and gpt2/*, which
`minigpt.data` finds or fetches.
"""

import time
from collections import Counter
from pathlib import Path

import textbook_bpe as textbook
from rounds import Contender, alternate, command, machine, serve

from minigpt import bpe, data
from minigpt.gpt2_files import byte_alphabet
from minigpt.tokenizer import BPETokenizer

HERE = Path(__file__).resolve().parent
MERGES, FEW, LONG = 1_000, 5, "a" * 100_000
ENCODERS = "minigpt", "tiktoken", "Hugging Face tokenizers", "textbook loop, no cache"
RECOUNTS = "recount different pieces", "recount all pieces", "recount text as one list"
LEARNERS = (
    "minigpt",
    "Hugging Face tokenizers",
    *(f"{name}, {part}" for name in RECOUNTS for part in ("first", "last")),
)


# ---------------------------------------------------------------- contenders


def encoder(name, text):
    """A function without arguments that encodes the text, ready to be timed."""
    files = [str(data.fetch(f"gpt2/{file}")) for file in ("vocab.bpe", "encoder.json")]
    if name == "tiktoken":
        import tiktoken.load
        from tiktoken_ext.openai_public import r50k_pat_str

        ranks = tiktoken.load.data_gym_to_mergeable_bpe_ranks(*files)
        made = {"pat_str": r50k_pat_str, "mergeable_ranks": ranks, "special_tokens": {}}
        reference = tiktoken.Encoding("gpt2", **made)
        return lambda: reference.encode_ordinary(text)
    if name == "Hugging Face tokenizers":
        tokenizers, tok = hugging_face()
        tok.model = tokenizers.models.BPE.from_file(*reversed(files))
        return lambda: tok.encode_batch_fast([text])[0].ids  # faster than tok.encode
    tok = BPETokenizer.from_gpt2(*files)
    if name == "minigpt":
        return lambda: tok.encode(text)
    byte_ids = {byte: i for i, byte in enumerate(tok.byte_order)}
    merges = textbook.merge_table(tok)
    return lambda: textbook.encode(text, merges, byte_ids)


def learner(name, text):
    """A function without arguments that learns merges and gives the new tokens."""
    if name == "minigpt":
        return lambda: BPETokenizer.train(text, 256 + MERGES).tokens[256:]
    if name == "Hugging Face tokenizers":
        return hugging_face_learner(text)
    counted = Counter([text] if "one list" in name else bpe.split(text))
    parts = Counter({part.encode(): times for part, times in counted.items()})
    known = 0 if name.endswith("first") else MERGES - FEW
    tok = BPETokenizer(bpe.learn_merges(parts, known))
    merges = textbook.merge_table(tok)
    words = [(bpe.apply_merges(part, merges), n) for part, n in parts.items()]
    if "all pieces" in name:
        words = [(word, 1) for word, times in words for _ in range(times)]
    return lambda: textbook.learn(words, tok.tokens, FEW)


def hugging_face():
    import tokenizers

    tok = tokenizers.Tokenizer(tokenizers.models.BPE())
    tok.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    return tokenizers, tok


def hugging_face_learner(text):
    tokenizers, tok = hugging_face()
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    settings = {"initial_alphabet": alphabet, "show_progress": False}
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=256 + MERGES, **settings)
    lines = text.splitlines(keepends=True)  # so that it can use all cores
    byte_of = {character: byte for byte, character in byte_alphabet().items()}

    def learn():
        tok.train_from_iterator(lines, trainer)
        ids = tok.get_vocab()
        names = sorted(ids, key=ids.get)[256:]
        return [bytes([byte_of[character] for character in name]) for name in names]

    return learn


def contender(name, figure):
    """The side of a process that measures one figure, once or more often."""
    text = LONG if figure == "long" else data.read("tinyshakespeare.txt")
    try:
        run = learner(name, text) if figure == "learn" else encoder(name, text)
    except ModuleNotFoundError as error:
        return serve({"missing": f"{error.name} is not installed"}, None)

    def do(task):
        if task == "result":
            return [i if isinstance(i, int) else i.hex() for i in run()]
        if figure == "warm":
            run()
        began = time.perf_counter()
        run()
        return time.perf_counter() - began

    serve({}, do)


# ---------------------------------------------------------------- the table


def fresh(figure, who):
    """What asks a new process each time."""

    def ask(task):
        process = Contender(__file__, who, figure)
        answer = process(task)
        process.close()
        return answer

    return ask


def measure(rounds=5):
    """A dict for every row of the table: ``figure`` (one of `HEADS`), ``who``, and
    either ``missing`` (why) or seconds (``median``, ``least``, ``greatest``; for
    all merges, where a few were measured), ``ratio`` to minigpt's median, and ``same``,
    the share of its ids or tokens that minigpt has as well."""
    plan = [(figure, who) for figure in ("cold", "warm") for who in ENCODERS]
    plan += [("long", who) for who in ENCODERS[:3]]  # the loop would take minutes
    plan += [("learn", who) for who in LEARNERS]
    results, missing = {}, {}
    for figure, who in plan:
        process = Contender(__file__, who, figure)
        missing[figure, who] = process.ready.get("missing")
        if not missing[figure, who]:
            results[figure, who] = process("result")
        process.close()
    pairs = [((figure, who), fresh(figure, who), "time") for figure, who in results]
    times = alternate(pairs, rounds)
    rows = []
    for key in plan:
        row = {"figure": key[0], "who": key[1]}
        if missing[key]:
            rows.append(row | {"missing": missing[key]})
            continue
        scale = MERGES / FEW if key[1].startswith("recount") else 1
        row |= {name: t * scale for name, t in times[key].items()}
        row["ratio"] = row["median"] / times[key[0], "minigpt"]["median"]
        row["same"] = share(results[key], results[key[0], "minigpt"], key[0])
        rows.append(row)
    return rows


def share(found, ours, figure):
    if figure == "learn":
        return len(set(found) & set(ours)) / len(found)
    return float(found == ours)


HEADS = {
    "cold": "Encode with GPT-2's vocabulary, the first time",
    "warm": "Encode with GPT-2's vocabulary, the same text again",
    "long": f"Encode {len(LONG):,} times the letter a",
    "learn": f"Learn {MERGES:,} merges (of recounts, {FEW}, times {MERGES // FEW})",
}


def show(rows, rounds):
    for name, value in machine().items():
        print(f"{name:10} {value}")
    print(f"\nTiny Shakespeare; medians of {rounds} rounds that took turns")
    n, figure = len(data.read("tinyshakespeare.txt")), None
    for row in rows:
        if row["figure"] != figure:
            figure = row["figure"]
            print(f"\n{HEADS[figure]}")
            print(f"{'':34}{'seconds':>8} {'(from to)':17} {'Mchar/s':>8}"
                  f"{'× ours':>9} {'the same':>9}")  # fmt: skip
        if "missing" in row:
            print(f"  {row['who']:32} {row['missing']}")
            continue
        length = {"long": len(LONG), "learn": 0}.get(figure, n)
        speed = f"{length / row['median'] / 1e6:.2f}" if length else ""
        spread = f"({row['least']:.3f} {row['greatest']:.3f})"
        print(f"  {row['who']:32}{row['median']:8.3f} {spread:17} {speed:>8}"
              f"{row['ratio']:9.2f} {row['same']:9.0%}")  # fmt: skip


if __name__ == "__main__":
    command(__doc__, contender, lambda rounds: show(measure(rounds), rounds))
