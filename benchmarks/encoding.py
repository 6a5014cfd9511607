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

import memory
import report
import textbook_bpe as textbook
from rounds import Contender, alternate, command, serve

from minigpt import bpe, data
from minigpt.gpt2_files import byte_alphabet
from minigpt.tokenizer import BPETokenizer

TITLE = "(c, d) Tokenizers"
MERGES, FEW, LONG = 1_000, 5, "a" * 100_000
QUICK = 20_000  # characters of the text
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


def contender(name, argument):
    """The side of a process that measures one figure, once or more often, of as many
    characters as are asked for."""
    figure, length = argument.split()
    text = LONG if figure == "long" else data.read("tinyshakespeare.txt")
    text = text[: int(length)]
    try:
        run = learner(name, text) if figure == "learn" else encoder(name, text)
    except ModuleNotFoundError as error:
        return serve({"missing": f"{error.name} is not installed"}, None)

    def do(task):
        if task == "result":
            return [i if isinstance(i, int) else i.hex() for i in run()]
        if figure == "warm":
            run()
        if task == "peak":
            return memory.peak(run)["bytes"]
        began = time.perf_counter()
        run()
        return time.perf_counter() - began

    serve({}, do)


# ---------------------------------------------------------------- the table


def fresh(figure, who, length):
    """What asks a new process each time."""

    def ask(task):
        process = Contender(__file__, who, f"{figure} {length}")
        answer = process(task)
        process.close()
        return answer

    return ask


def measure(rounds=5, quick=False):
    """``{"rows", "characters"}``, with a dict for every row of the table: ``figure``
    (one of `HEADS`), ``who``, and either ``missing`` (why) or seconds (``median``,
    ``least``, ``greatest``; for all merges, where a few were measured), ``ratio`` to
    minigpt's median, ``same``, the share of its ids or tokens that minigpt has as well,
    and ``peak``, bytes above the resting size."""
    plan = [(figure, who) for figure in ("cold", "warm") for who in ENCODERS]
    plan += [("long", who) for who in ENCODERS[:3]]  # the loop would take minutes
    plan += [("learn", who) for who in LEARNERS]
    length = QUICK if quick else len(data.read("tinyshakespeare.txt"))
    results, peaks, missing, asks = {}, {}, {}, {}
    for key in plan:
        process = Contender(__file__, key[1], f"{key[0]} {length}")
        missing[key] = process.ready.get("missing")
        process.close()
        if not missing[key]:
            asks[key] = fresh(*key, length)
            results[key], peaks[key] = asks[key]("result"), asks[key]("peak")
    times = alternate([(key, ask, "time") for key, ask in asks.items()], rounds)
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
        rows.append(row | {"peak": peaks[key]})
    return {"rows": rows, "characters": length}


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


def tables(found):
    """One table a figure."""
    return [figure_table(found, figure) for figure in HEADS]


def figure_table(found, figure):
    n = {"long": len(LONG), "learn": 0}.get(figure, found["characters"])
    lines = []
    for row in found["rows"]:
        if row["figure"] != figure:
            continue
        if "missing" in row:
            lines.append(report.missing(row["who"], row["missing"], 6))
            continue
        speed = f"{n / row['median'] / 1e6:.2f}" if n else None
        ratio, size = report.number(row["ratio"]), report.megabytes(row["peak"])
        same = f"{row['same']:.0%}"
        lines.append((row["who"], report.spread(row, 1.0), speed, ratio, same, size))
    heads = "", "seconds", "million characters a second", "× minigpt", "the same"
    return report.table(HEADS[figure], (*heads, "peak MB"), lines)


def reached(found):
    """What is to be reached, see `report.targets`."""
    cold = ratio(found, "cold", "tiktoken")
    counts = [ratio(found, "learn", f"{RECOUNTS[1]}, {e}") for e in ("first", "last")]
    few = None if None in counts else min(counts)
    return [
        ("the first encode: seconds / tiktoken", cold and 1.0 / cold, "<= 10"),
        (f"{MERGES:,} merges: seconds of recounting all pieces / ours", few, ">= 50"),
    ]


def ratio(found, figure, who):
    for row in found["rows"]:
        if (row["figure"], row["who"]) == (figure, who):
            return row.get("ratio")
    return None


if __name__ == "__main__":
    command(__doc__, contender, measure, tables)
