"""Workers in processes of their own: however a run ends, they end with it."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from small_model import CFG
from worker_runs import (
    IDS_,
    PARAMS,
    TARGETS,
    Mine,
    fit,
    plain,
    there,
)

import minigpt as mg
from minigpt import parallel


def test_a_process_that_is_killed_gets_a_sentence(nothing_left):
    def does():
        os.kill(os.getpid(), signal.SIGKILL)

    sentence = "process of worker 1 was killed by SIGKILL: .* workers=1"
    with parallel.step_function(there(does), 2) as gradient:
        for _ in range(2):  # and the next call does not hang
            with pytest.raises(RuntimeError, match=sentence):
                gradient(PARAMS, IDS_, TARGETS, CFG)


def test_a_process_that_ends_gets_a_sentence(nothing_left):
    def does():
        raise SystemExit(3)

    with pytest.raises(RuntimeError, match="worker 1 ended with code 3"):
        fit(loss=there(does))


def test_a_thread_that_stays_does_not_hold_up_the_sentence(nothing_left):
    def does():
        threading.Thread(target=threading.Event().wait).start()  # for ever
        raise SystemExit(3)

    with pytest.raises(RuntimeError, match="the process of worker 1"):
        fit(loss=there(does))


def test_a_callback_that_raises_ends_them(nothing_left):
    def callback(record):
        raise Mine

    with pytest.raises(Mine):
        fit(callback=callback)


def test_a_second_ctrl_c_does_not_wait_for_them(nothing_left):
    def does():
        threading.Event().wait()  # for ever

    waiting, here = there(does), os.getpid()

    def loss(*batch, **settings):
        if os.getpid() == here:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        return waiting(*batch, **settings)

    with pytest.raises(KeyboardInterrupt):
        fit(loss=loss)


def test_after_a_break_no_old_answer_is_taken_for_a_new_one(nothing_left):
    here = os.getpid()

    def loss(params, ids, *batch, **settings):
        if os.getpid() == here and ids[0, 0] == 12:
            raise KeyboardInterrupt
        return plain(params, ids, *batch, **settings)

    with parallel.step_function(loss, 2) as gradient:
        with pytest.raises(KeyboardInterrupt):
            gradient(PARAMS, np.full_like(IDS_, 12), TARGETS, CFG)
        with pytest.raises(RuntimeError, match="worker 1 was killed"):
            gradient(PARAMS, np.zeros_like(IDS_), TARGETS, CFG)


PROGRAM = """
import sys, worker_runs
def callback(record):
    print(record["step"], flush=True)
worker_runs.fit({out!r}, steps=10_000, callback=callback)
"""


@pytest.fixture
def program(tmp_path):
    path = [str(Path(__file__).parent), str(Path(mg.__file__).parents[1])]
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(out=str(tmp_path))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path)},
        start_new_session=True,
        text=True,
    ) as process:
        assert process.stdout.readline()
        yield process
        process.kill()


def test_they_end_with_the_process_that_is_killed(program):
    program.kill()
    # The workers write to the same pipes: their end comes when all of them are gone.
    assert "Traceback" not in program.communicate(timeout=60)[1]


def test_ctrl_c_in_a_terminal_leaves_a_checkpoint(program, tmp_path):
    os.killpg(program.pid, signal.SIGINT)
    told = program.communicate(timeout=60)[1]
    assert told.count("Traceback") == 1 and "KeyboardInterrupt" in told
    assert list(tmp_path.glob("checkpoint-*"))
    assert program.returncode != 0
