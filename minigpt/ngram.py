"""An n-gram table with back-off: the model that a GPT has to beat.

It predicts the next token from the last `order - 1` tokens by counting. A context that
was seen n times, with m different tokens after it, gives each of those tokens its count
less a discount d; what the discounts free, d m / n, goes to the prediction of the
context that is one token shorter, and so down to the uniform distribution:

    P(w | context) = max(count - d, 0) / n + (d m / n) P(w | shorter context)

Absolute discounting, interpolated: Ney, Essen and Kneser, "On structuring probabilistic
dependences in stochastic language modelling" (1994), whose estimate of d from the
counts of counts is used. The chapters on training-loss and training compare with it;
with `order=2` it is the bigram model.
"""

import math

import numpy as np


class NGram:
    """A table of n-grams, of `order` tokens at most, over `vocab_size` tokens.

    Raises `ValueError` if the order is below 1, or if order and vocabulary are so
    large that an n-gram does not fit into 64 bits.
    """

    def __init__(self, order, vocab_size):
        if order < 1 or vocab_size < 1:
            raise ValueError(
                f"order={order} and vocab_size={vocab_size} were given; both must be "
                "at least 1."
            )
        if order * math.log2(vocab_size) >= 63:
            raise ValueError(
                f"{order} tokens of a vocabulary of {vocab_size} do not fit into 64 "
                f"bits; an order up to {int(62.9 / math.log2(vocab_size))} does."
            )
        self.order, self.vocab_size = order, vocab_size
        self.levels = []  # one _Level per length of context, 0 to order - 1

    def fit(self, texts):
        """Counts the n-grams of the texts, and returns the table itself.

        `texts` is a 1-D array of ids, or a list of them; none is read across into the
        next, so give whole texts with the end token before and after. Fitting again
        forgets what was counted before.
        """
        ids, age = self._join(texts)
        self.levels = []
        for k in range(self.order):
            context = self._contexts(ids, k)
            whole = age >= max(k, 1)  # the first token of a text is given
            self.levels.append(_Level(context[whole], ids[whole], self.vocab_size))
        return self

    def log_probs(self, text):
        """The log-probability of each token after the first: (T,) -> (T - 1,) nats."""
        return np.concatenate([np.zeros(0), *self._score([text])])

    def loss(self, texts):
        """The mean of -log P over every predicted token of the texts, in nats."""
        return -float(np.concatenate(self._score(texts)).mean())

    def probs(self, context=()):
        """The distribution of the token after a context: (T,) -> (V,), sums to 1."""
        self._check_fitted()
        p = np.full(self.vocab_size, 1 / self.vocab_size)
        key = 0
        for k, level in enumerate(self.levels[: len(context) + 1]):
            if k:
                key += int(context[-k]) * self.vocab_size ** (k - 1)
            tokens, counts, freed, total = level.after(key)
            if not total:
                break  # a longer context was not seen either
            p *= freed / total
            p[tokens] += counts / total
        return p

    def table(self):
        """For `order=2`, every row of P(next | token): (V, V)."""
        if self.order != 2:
            raise ValueError(
                f"A table of pairs needs order=2, and this model has {self.order}; "
                "ask probs(context) for one row."
            )
        return np.stack([self.probs([token]) for token in range(self.vocab_size)])

    def sample(self, rng, start, max_new_tokens, stop=None):
        """New ids that continue `start`, drawn one at a time, as a 1-D array.

        `rng` is a `numpy.random.Generator`; the id `stop` ends the text and is its
        last.
        """
        ids = [int(token) for token in np.atleast_1d(start)]
        given = len(ids)
        while len(ids) - given < max_new_tokens:
            p = self.probs(ids[-(self.order - 1) :] if self.order > 1 else [])
            cumulative = p.cumsum()
            ids.append(int(cumulative.searchsorted(rng.random() * cumulative[-1])))
            if ids[-1] == stop:
                break
        return np.array(ids[given:], dtype=np.int64)

    def _score(self, texts):
        self._check_fitted()
        ids, age = self._join(texts)
        p = np.full(len(ids), 1 / self.vocab_size)
        for k, level in enumerate(self.levels):
            whole = age >= max(k, 1)
            context = self._contexts(ids, k)[whole]
            p[whole] = level.refine(p[whole], context, ids[whole])
        ends = np.flatnonzero(age == 0)[1:]
        return [np.log(part[1:]) for part in np.split(p, ends)]

    def _join(self, texts):
        """The texts' ids one after the other, and each one's place in its text."""
        if isinstance(texts, np.ndarray) and texts.ndim == 1:
            texts = [texts]
        texts = [np.asarray(text, dtype=np.int64) for text in texts]
        if not texts or min(len(text) for text in texts) < 2:
            raise ValueError(
                "The table counts texts of at least two ids each; give a 1-D array, "
                "or a list of them."
            )
        ids = np.concatenate(texts)
        if ids.min() < 0 or ids.max() >= self.vocab_size:
            raise ValueError(
                f"The ids run from {ids.min()} to {ids.max()}; a vocabulary of "
                f"{self.vocab_size} has 0 to {self.vocab_size - 1}."
            )
        return ids, np.concatenate([np.arange(len(text)) for text in texts])

    def _contexts(self, ids, k):
        """The k ids before each position, as one number; of no use across texts."""
        key = np.zeros(len(ids), dtype=np.int64)
        for back in range(1, k + 1):
            key[back:] += ids[:-back] * self.vocab_size ** (back - 1)
        return key

    def _check_fitted(self):
        if not self.levels:
            raise ValueError("The table is empty: call fit(texts) first.")


class _Level:
    """The counts for one length of context, as sorted arrays."""

    def __init__(self, contexts, tokens, vocab_size):
        self.vocab_size = vocab_size
        self.keys, self.counts = np.unique(
            contexts * vocab_size + tokens, return_counts=True
        )
        self.contexts, self.starts = np.unique(
            self.keys // vocab_size, return_index=True
        )
        self.bounds = np.append(self.starts, len(self.keys))
        self.kinds = np.diff(self.bounds)  # different tokens after each context
        running = np.append(0, self.counts.cumsum())
        self.totals = np.diff(running[self.bounds])
        once, twice = (int((self.counts == n).sum()) for n in (1, 2))
        self.discount = (once + 1) / (once + 2 * twice + 2)  # one added: never 0 or 1

    def after(self, context):
        """The tokens after a context, their counts, what is freed, and the total."""
        i = int(self.contexts.searchsorted(context))
        if i == len(self.contexts) or self.contexts[i] != context:
            return np.zeros(0, np.int64), np.zeros(0), 0.0, 0
        rows = slice(self.bounds[i], self.bounds[i + 1])
        counts = self.counts[rows] - self.discount
        freed = self.discount * int(self.kinds[i])
        return self.keys[rows] % self.vocab_size, counts, freed, int(self.totals[i])

    def refine(self, p, contexts, tokens):
        """P(token | shorter context) -> P(token | context), for many at once."""
        i, known = _find(self.contexts, contexts)
        j, seen = _find(self.keys, contexts * self.vocab_size + tokens)
        counts = np.where(seen, self.counts[j] - self.discount, 0.0)
        mixed = (counts + self.discount * self.kinds[i] * p) / self.totals[i]
        return np.where(known, mixed, p)


def _find(table, keys):
    """Where each key stands in a sorted table, and whether it is there."""
    at = np.minimum(table.searchsorted(keys), len(table) - 1)
    return at, table[at] == keys
