"""Fine-tuning: a trained model learns a task, from few examples and often in part.

Two tasks: to name the label of a text, by a head that is read at its last token, and to
answer a prompt, where only the answer is learned. Both are `mg.fit` on data that says
which predictions count (`data.Example`). Chapter: fine-tuning.
"""

import fnmatch

import numpy as np

from minigpt import data, ops, tree
from minigpt.generate import generate
from minigpt.loss import next_token_loss
from minigpt.model import gpt
from minigpt.sampling import probabilities
from minigpt.train import Result, fit

# ---------------------------------------------------------------- labels


def add_head(params, n_labels, seed=0):
    """``params`` and a fresh ``head``, its weight (K, C): a row for each label, as
    ``wte`` has one for each token. The arrays of ``params`` are shared, not copied."""
    if n_labels < 2:
        raise ValueError(
            f"a classifier needs at least 2 labels to choose from, not {n_labels}"
        )
    table = params["wte"]["weight"]
    if n_labels > len(table):  # labels travel as ids
        raise ValueError(f"{n_labels} labels are more than the {len(table)} tokens")
    rows = np.random.default_rng(seed).standard_normal((n_labels, table.shape[1]))
    return params | {"head": {"weight": (0.02 * rows).astype(table.dtype)}}


def labelled(tok, texts, labels, n_ctx=None):
    """Each text as an end token, its ids and its label (a whole number below K), as if
    the label were the token that follows. Only this last prediction counts.

    Texts that do not fit into ``n_ctx`` positions are cut: the model never sees how
    they end. Without ``n_ctx`` none is.
    """
    _check_count(texts, labels, "texts", "labels")
    if any(not isinstance(n, int | np.integer) or n < 0 for n in labels):
        raise ValueError("labels are whole numbers from 0: number their names first")
    return [
        _example([_end(tok), *tok.encode(text)][:n_ctx], [label])
        for text, label in zip(texts, labels, strict=True)
    ]


def classify(params, ids, cfg, *, rng=None):  # (B, T) -> (B, T, K)
    """Logits for every label at every position: the GPT with its head exchanged.

    Each position has seen the text up to itself, so that the last REAL token of a
    text, before any padding, speaks for all of it. ``rng`` turns dropout on.
    """
    return gpt(params | {"lm_head": params["head"]}, ids, cfg, rng=rng)


def label_loss(params, ids, targets, cfg, *, mask=None, rng=None):
    """Mean cross-entropy in nats of the labels, the ``targets`` (B, T) where ``mask``
    (B, T) is True. For `mg.fit` and `tune` on texts that are `labelled`."""
    labels = targets if mask is None else targets * mask  # elsewhere stand tokens
    return ops.cross_entropy(classify(params, ids, cfg, rng=rng), labels, mask)


def predict(params, cfg, examples, batch_size=32):  # N examples -> (N, K)
    """The probability of each label for each text that is `labelled` (whatever its
    label), read at the last token of the text.

    Raises ``ValueError`` for examples of which more than a label counts, and for none.
    """
    if not examples or any(np.sum(e.counts) != 1 for e in examples):
        raise ValueError("what is predicted are texts that are labelled, at least one")
    rows = []
    for first in range(0, len(examples), batch_size):
        ids, _, mask = data.padded(examples[first : first + batch_size])
        rows.append(probabilities(classify(params, ids, cfg)[mask]))
    return np.concatenate(rows)


def labels_of(examples):  # N examples -> (N,)
    """The true labels of texts that are `labelled`."""
    return np.array([example.ids[-1] for example in examples])


def accuracy(predicted, expected):  # 2 x (N,) -> a number
    """The share of predictions that are right; rows of probabilities (N, K) stand for
    their greatest."""
    predicted, expected = _numbers(predicted), _numbers(expected)
    _check_count(predicted, expected, "predictions", "labels")
    return float(np.mean(predicted == expected))


def confusion(predicted, expected, n_labels):  # 2 x (N,) -> (K, K)
    """How often each true label (row) was given each label (column)."""
    predicted, expected = _numbers(predicted), _numbers(expected)
    _check_count(predicted, expected, "predictions", "labels")
    table = np.zeros((n_labels, n_labels), np.int64)
    np.add.at(table, (expected, predicted), 1)
    return table


def _check_labels(params, examples):
    K = len(params["head"]["weight"]) if "head" in params else 0
    wrong = [int(label) for label in labels_of(examples) if label >= K]
    if wrong:
        raise ValueError(
            f"the label {wrong[0]} has no row in a head of {K}: labels are below K, "
            "and add_head(params, K) makes the head"
        )


def _numbers(labels):
    labels = np.asarray(labels)
    return labels.argmax(axis=-1) if labels.ndim == 2 else labels


def _check_count(these, those, name, other):
    if len(these) != len(those) or len(these) == 0:
        raise ValueError(
            f"there are {len(these)} {name} and {len(those)} {other}: as many of the "
            "one as of the other are needed, and at least one"
        )


# ---------------------------------------------------------------- answers


def prompt(instruction, text=""):
    """The instruction format of this book: the text (if any), the instruction, and the
    place where the response begins. The response follows after a blank.

    >>> prompt("who has the kite?", "Mia lost the kite. Rex found it.")
    'Mia lost the kite. Rex found it. Q: who has the kite? A:'
    """
    return f"{text} Q: {instruction} A:" if text else f"Q: {instruction} A:"


def answered(tok, prompts, answers, *, whole=False):
    """Each prompt with its answer between two end tokens. Only the answer counts, with
    the end token after it; with ``whole`` the prompt is learned as well."""
    _check_count(prompts, answers, "prompts", "answers")
    return [
        _example([_end(tok), *tok.encode(p)], [*tok.encode(" " + a), tok.eot], whole)
        for p, a in zip(prompts, answers, strict=True)
    ]


def reply(params, cfg, tok, prompts, max_new_tokens=16, batch_size=32):
    """The model's answers to prompts, greedily, up to the end token; ``batch_size``
    prompts are answered together."""
    texts = [np.array([_end(tok), *tok.encode(p)]) for p in prompts]
    settings, answers = {"temperature": 0, "stop": tok.eot}, []
    for first in range(0, len(texts), batch_size):
        batch = texts[first : first + batch_size]
        whole = generate(params, batch, cfg, max_new_tokens, **settings)
        for text, ids in zip(batch, whole, strict=True):
            new = [*ids[len(text) :].tolist(), tok.eot]
            answers.append(tok.decode(new[: new.index(tok.eot)]).strip())
    return answers


def exact_match(answers, expected):
    """The share of answers that are the expected text, letter by letter."""
    _check_count(answers, expected, "answers", "expected")
    return float(np.mean([a == e for a, e in zip(answers, expected, strict=True)]))


def _end(tok):
    """The end token, with which every text begins here."""
    if tok.eot is None:
        raise ValueError(
            "this tokenizer has no end token, with which every text begins: make it "
            "with special_tokens=('<|endoftext|>',)"
        )
    return tok.eot


def _example(given, learned, whole=False):
    """The ids of both; the predictions of ``learned`` count, or with ``whole`` all."""
    ids = np.array([*given, *learned])
    return data.Example(ids, np.arange(1, len(ids)) >= (0 if whole else len(given)))


# ---------------------------------------------------------------- a part of a model


def matching(params, patterns):
    """The names of the parameters that one of ``patterns`` matches, as in file names:
    ``"h.1.*"``, ``"*.attn.*"``, ``"*.bias"``. The name of a branch stands for all
    below it: ``"head"``, ``"h.1"``. A pattern that begins with ``!`` takes out again;
    where the first one does, it takes out of all.

    Raises ``ValueError`` for a pattern that matches nothing, as a misspelt one does,
    and where nothing is left.
    """
    patterns = [patterns] if isinstance(patterns, str) else list(patterns)
    names, chosen = list(tree.flatten(params)), set()
    if patterns and patterns[0].startswith("!"):
        chosen = set(names)
    for pattern in patterns:
        bare = pattern.removeprefix("!")
        found = {n for n in names if fnmatch.fnmatchcase(f"{n}.", f"{bare}.*")}
        if not found:
            raise ValueError(
                f"no parameter is named {bare!r}: the names go from {names[0]!r} to "
                f"{names[-1]!r}, see mg.tree.flatten(params)"
            )
        chosen = chosen - found if pattern.startswith("!") else chosen | found
    if not chosen:
        raise ValueError(f"the patterns {patterns} leave no parameter to train")
    return [name for name in names if name in chosen]


def tune(
    params, cfg, train, val=None, *, trained="*", loss=next_token_loss, **settings
):
    """`mg.fit` of the parameters that ``trained`` names (see `matching`), from
    ``params``; returns a `Result` with the whole tree.

    The others are frozen: they stay as they are to the last bit, and since no tape
    watches them, their gradients, averages and weight decay cost nothing. Arrays of
    frozen parameters are shared with ``params``. Name what the loss does not read with
    ``!``: weight decay would shrink it. ``settings`` are those of `mg.fit`. The models
    in a folder ``out`` are whole; its checkpoints hold the trained part and a checksum
    of the frozen: resume from the same ``params`` and ``loss``.
    """
    if loss is label_loss:
        for examples in (train, val or []):
            _check_labels(params, examples)
    names = set(matching(params, trained))
    part, frozen = tree.split(params, names.__contains__)

    def loss_of_part(part, *batch, **more):
        return loss(tree.merge(frozen, part), *batch, **more)

    if sampler := settings.get("sampler"):
        settings["sampler"] = lambda part: sampler(tree.merge(frozen, part))
    settings |= {"loss": loss_of_part, "frozen": frozen}
    result = fit(part, cfg, train, val, **settings)
    return Result(tree.merge(frozen, result.params), result.history)
