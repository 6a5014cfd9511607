"""Ctrl-C waits for the end of a step, and what was learned is kept."""

import signal
import threading

import numpy as np
import pytest
from small_model import CFG, same

import minigpt as mg
from minigpt.interrupt import HeldBack

IDS = np.tile(np.arange(13), 20)


def ctrl_c():
    signal.raise_signal(signal.SIGINT)


def test_the_first_waits_and_is_raised_at_the_end():
    done = []
    with pytest.raises(KeyboardInterrupt), HeldBack() as held:
        ctrl_c()
        done.append(held.came)
    assert done == [True]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_second_does_not_wait():
    with pytest.raises(KeyboardInterrupt), HeldBack() as held:
        ctrl_c()
        assert held.came
        ctrl_c()
        pytest.fail("the second one was held back, too")


def test_another_error_is_not_replaced_and_nothing_is_raised_for_nothing():
    with pytest.raises(ZeroDivisionError), HeldBack():
        ctrl_c()
        _ = 1 / 0
    with HeldBack() as held:
        pass
    assert not held.came


def test_a_handler_of_the_program_stays_in_charge():
    seen = []
    before = signal.signal(signal.SIGINT, lambda *_: seen.append("mine"))
    try:
        with HeldBack() as held:
            ctrl_c()
        assert seen == ["mine"] and not held.came
    finally:
        signal.signal(signal.SIGINT, before)


def test_outside_of_the_main_thread_nothing_is_changed():
    handlers = []

    def work():
        with HeldBack():
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert handlers == [signal.default_int_handler]


def fit(out, **settings):
    given = {"steps": 30, "batch_size": 4, "lr": 1e-2, "workers": 1}
    return mg.fit(mg.init(CFG), CFG, IDS, out=out, progress=False, **given | settings)


@pytest.mark.parametrize("step", [1, 7, 30])
def test_a_run_leaves_the_step_at_which_it_was_broken_off(tmp_path, step):
    def callback(record):
        if record["step"] == step:
            ctrl_c()

    whole = fit(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "broken", callback=callback)
    newest = sorted((tmp_path / "broken").glob("checkpoint-*"))[-1]
    assert newest.name == f"checkpoint-{step:08d}.safetensors"
    assert not (tmp_path / "broken" / "model.safetensors").exists()
    resumed = fit(tmp_path / "broken", resume=True)
    assert same(resumed.params, whole.params)
    assert len(resumed.history) == len(whole.history) == 30
