"""Data: real texts by name, and the batches that training reads.

A model learns to predict each token from those before it, so that a batch is ids, and
the same ids one place further as targets. Chapter: training.
"""

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minigpt.checkpoint import write

RAW = "https://raw.githubusercontent.com"
GPT2 = "https://openaipublic.blob.core.windows.net/gpt-2/encodings/main"


@dataclass(frozen=True)
class Source:
    """Where a file comes from, and under which licence."""

    url: str
    sha256: str
    licence: str
    citation: str
    member: str = ""  # the file's name inside the archive at ``url``


REGISTRY = {
    "tinyshakespeare.txt": Source(
        f"{RAW}/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
        "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        "public domain",
        "William Shakespeare; this selection: Andrej Karpathy, char-rnn, 2015",
    ),
    "gpt2/vocab.bpe": Source(
        f"{GPT2}/vocab.bpe",
        "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
        "modified MIT (OpenAI)",
        "Radford and others, Language models are unsupervised multitask learners, 2019",
    ),
    "gpt2/encoder.json": Source(
        f"{GPT2}/encoder.json",
        "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
        "modified MIT (OpenAI)",
        "Radford and others, Language models are unsupervised multitask learners, 2019",
    ),
    "sms-spam.tsv": Source(
        "https://archive.ics.uci.edu/static/public/228/sms+spam+collection.zip",
        "7d039a24a6083ed9ef0f806ebad56bbb976e3aeb8de05669173bfdc4996c239d",
        "CC BY 4.0",
        "Almeida, Gómez Hidalgo, Yamakami 2011, SMS Spam Collection, "
        "doi 10.24432/C5CC84",
        member="SMSSpamCollection",
    ),
    "instructions.json": Source(
        f"{RAW}/rasbt/LLMs-from-scratch/main/ch07/01_main-chapter-code/"
        "instruction-data.json",
        "7e09a9af353722ca15c18bc580f093f9c39d3178335a75177319cb1e1d163944",
        "Apache-2.0",
        "Sebastian Raschka, Build a Large Language Model (From Scratch), 2024",
    ),
    "tang300.json": Source(
        f"{RAW}/chinese-poetry/chinese-poetry/master/%E5%85%A8%E5%94%90%E8%AF%97/"
        "%E5%94%90%E8%AF%97%E4%B8%89%E7%99%BE%E9%A6%96.json",
        "d77a145f7470da2ed2f79515944563c062ffc43fceda07f195a36ead66b7e5c7",
        "MIT; the poems are in the public domain",
        "chinese-poetry contributors, Three Hundred Tang Poems",
    ),
}


def fetch(name):
    """The path of a file of the `REGISTRY`, downloaded when it is not here yet.

    The folder in the environment variable MINIGPT_DATA is looked at first, then the
    user's cache. Raises ``ValueError`` for an unknown name or a file with the wrong
    sha256, ``OSError`` when it cannot be downloaded, with what to do by hand.
    """
    if name not in REGISTRY:
        raise ValueError(f"there is no data named {name!r}: choose of {list(REGISTRY)}")
    source = REGISTRY[name]
    for folder in (os.environ.get("MINIGPT_DATA"), cache_folder()):
        if folder and (path := Path(folder) / name).is_file():
            return _checked(path, source.sha256)
    path = cache_folder() / name
    try:
        content = _download(source)
    except Exception as error:  # no network has many names
        inside = f" (the file {source.member} inside it)" if source.member else ""
        raise OSError(
            f"{name} is not here and could not be downloaded "
            f"({type(error).__name__}). Without a network: get {source.url}{inside} "
            f"elsewhere and put it at {path}, or set MINIGPT_DATA to a folder that "
            f"holds {name}"
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != source.sha256:
        raise ValueError(
            f"what {source.url} gave is not the published {name}: its sha256 is "
            f"{found} and should be {source.sha256}. It was not kept"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, content)
    return path


def read(name):
    """The text of a file of the `REGISTRY`."""
    return fetch(name).read_text("utf-8")


def cache_folder():
    """Where downloads are kept, by the system's custom."""
    import pooch

    return Path(pooch.os_cache("minigpt"))


def _download(source):
    """The bytes of a file, fetched into a folder that is gone afterwards."""
    import pooch

    pooch.get_logger().setLevel("WARNING")
    unzip = pooch.Unzip(members=[source.member]) if source.member else None
    with tempfile.TemporaryDirectory() as folder:
        settings = {"path": folder, "processor": unzip, "progressbar": True}
        got = pooch.retrieve(source.url, known_hash=None, fname="got", **settings)
        return Path(got[0] if unzip else got).read_bytes()


def _checked(path, sha256):
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != sha256:
        raise ValueError(
            f"{path} is not the published file: its sha256 is {found} and should be "
            f"{sha256}. Remove it to have it downloaded again"
        )
    return path


# ---------------------------------------------------------------- batches


@dataclass(frozen=True, eq=False)
class Example:
    """A text's ids (N,) of which only a part is learned: ``counts`` (N - 1,) is True
    for the predictions that count. NumPy takes it for its ids. Chapter: fine-tuning."""

    ids: np.ndarray
    counts: np.ndarray

    def __post_init__(self):
        if np.shape(self.counts) != (len(self) - 1,) or not np.any(self.counts):
            raise ValueError(
                f"{len(self)} ids make {len(self) - 1} predictions, of which at least "
                f"one must count, and counts are {np.asarray(self.counts).tolist()}"
            )

    def __len__(self):
        return len(self.ids)

    def __array__(self, dtype=None, copy=None):
        return np.array(self.ids, dtype)


def wrap(tok, texts):
    """Each text's ids between two end tokens, so that a model learns how texts begin
    (from an end) and that they end."""
    return [np.array([tok.eot, *tok.encode(text), tok.eot]) for text in texts]


def random_windows(ids, n_ctx, batch_size, rng):  # (N,) -> 3 of (B, T)
    """Inputs, targets and no mask, of windows that begin at random places."""
    starts = rng.integers(0, len(ids) - n_ctx, batch_size)
    windows = ids[starts[:, None] + np.arange(n_ctx + 1)]
    return windows[:, :-1], windows[:, 1:], None


def even_windows(ids, n_ctx, count):  # (N,) -> (count or fewer, n_ctx + 1)
    """Windows spread evenly over a text, side by side where there is room for fewer."""
    count = max(1, min(count, (len(ids) - 1) // n_ctx))
    starts = np.linspace(0, len(ids) - n_ctx - 1, count).astype(int)
    return ids[starts[:, None] + np.arange(n_ctx + 1)]


def padded(texts):  # list of (N_i,) -> 3 of (B, T)
    """Inputs, targets and mask of whole texts, as wide as the longest.

    The shorter are filled up with zeros that the mask leaves out of the loss; they
    stand at the end, where the causal mask keeps every real token from seeing them.
    """
    table = np.zeros((len(texts), max(map(len, texts))), np.int64)
    mask = np.zeros(table[:, 1:].shape, bool)
    for row, counts, text in zip(table, mask, texts, strict=True):
        row[: len(text)] = text
        counts[: len(text) - 1] = getattr(text, "counts", True)
    return table[:, :-1], table[:, 1:], mask


def random_texts(texts, batch_size, rng):
    """`padded` of texts drawn at random."""
    return padded([texts[i] for i in rng.integers(0, len(texts), batch_size)])


def split(data, share=0.1):
    """``(training, validation)``: the last ``share`` of ids or of texts is held out."""
    if not 0 < share < 1:
        raise ValueError(f"the share held out must be between 0 and 1, not {share!r}")
    cut = len(data) - max(1, round(len(data) * share))
    return data[:cut], data[cut:]


def check(data, cfg, name="train"):
    """``data`` as ids (N,) or as a list of ids or examples, as training reads them.

    Raises ``ValueError`` for what the model cannot learn from: nothing, too little,
    texts longer than its context, ids outside of its vocabulary.
    """
    if len(data) == 0:
        raise ValueError(f"{name} is empty: there is nothing to learn from")
    data = [data] if isinstance(data, Example) else data  # and no windows of it
    whole = isinstance(data, list | tuple) and not np.isscalar(data[0])
    texts = [np.asarray(t) for t in data] if whole else [np.asarray(data)]
    if not all(t.ndim == 1 and np.issubdtype(t.dtype, np.integer) for t in texts):
        raise ValueError(f"{name} must be token ids (N,), or a list of such texts")
    shortest, longest = min(map(len, texts)), max(map(len, texts))
    if whole and longest > cfg.n_ctx + 1:
        raise ValueError(
            f"a text of {name} has {longest} tokens, and the model reads at most "
            f"n_ctx + 1 = {cfg.n_ctx + 1}: shorten it or choose a greater n_ctx"
        )
    least = 2 if whole else cfg.n_ctx + 1
    if shortest < least:
        raise ValueError(
            f"{name} has {shortest} tokens in a row, and at least {least} are needed"
            + ("" if whole else f" to fill n_ctx={cfg.n_ctx} and one target")
        )
    low, high = min(t.min() for t in texts), max(t.max() for t in texts)
    if low < 0 or high >= cfg.vocab_size:
        raise ValueError(
            f"{name} holds the id {low if low < 0 else high}, outside of the model's "
            f"vocabulary of {cfg.vocab_size}"
        )
    both = zip(data, texts, strict=True)
    return [d if isinstance(d, Example) else t for d, t in both] if whole else texts[0]
