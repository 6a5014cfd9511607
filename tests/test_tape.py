"""The tape keeps what the rules read, nothing else, and no longer than they need it."""

import gc
import tracemalloc
import weakref

import numpy as np
from small_model import CFG, batch, noisy

import minigpt as mg
from minigpt import ops, tree
from minigpt.autodiff import Primitive, Traced, value_and_grad
from minigpt.tape import Tape


def test_frozen_parameters_leave_no_record():
    ids, targets, _ = batch()
    tape = Tape()
    params = noisy()
    top = {"ln_f": tree.map_named(tape.watch, params["ln_f"])}
    mg.next_token_loss(params | top, ids, targets, CFG)
    names = [record.primitive.__name__ for record in tape.records]
    assert names == ["layer_norm", "linear", "cross_entropy"]


def test_only_what_a_rule_reads_is_kept():
    tape = Tape()
    a = tape.watch("a", np.ones((50, 40)))
    y = a + np.ones((50, 40))
    big = weakref.ref(y.value)
    ops.reshape(y + 1.0, shape=(40, 50))
    del y
    gc.collect()
    assert big() is None and len(tape.records) == 3


def test_the_tape_is_popped_as_it_is_read():
    tape, left = Tape(), []

    def forward(x):
        return x + 1.0

    step = Primitive(forward)
    step.vjp(lambda _y, _x: (lambda dy: left.append(len(tape.records)) or dy,))
    x = tape.watch("x", np.ones(()))
    for _ in range(5):
        x = step(x)
    tape.backward(x)
    assert left == [4, 3, 2, 1, 0] and tape.records == []


def test_memory_falls_as_gradients_are_made():
    n, depth = 100_000, 20

    def loss(x):
        for _ in range(depth):
            x = x * 1.01
        return ops.sum(x)

    tracemalloc.start()
    value_and_grad(loss)(np.ones(n))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < (depth + 5) * n * 8  # not twice the depth


def test_plain_calls_leave_nothing():
    assert not isinstance(mg.gpt(noisy(), batch()[0], CFG), Traced)
