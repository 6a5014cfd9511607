"""A run that was broken off goes on to the very bits of the unbroken one."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from small_model import CFG, same

import minigpt as mg
from minigpt import tree
from minigpt.checkpoint import read_tensors

CFG = dataclasses.replace(CFG, dropout=0.1)
IDS = np.tile(np.arange(13), 30)
TEXTS = [np.array([0, *range(n, n + n % 4 + 2), 0]) for n in range(1, 8)]
SETTINGS = {"steps": 30, "batch_size": 6, "warmup": 5, "lr": 1e-2, "seed": 3}
SETTINGS |= {"progress": False, "eval_every": 4, "save_every": 5, "workers": 2}


def fit(out, train=IDS, **settings):
    return mg.fit(mg.init(CFG), CFG, train, TEXTS, out=out, **SETTINGS | settings)


class Broken(Exception):
    """What the tests break a run off with."""


def break_at(step):
    def callback(record):
        if record["step"] == step:
            raise Broken

    return callback


def timeless(history):
    return [{k: v for k, v in r.items() if k != "seconds"} for r in history]


def assert_same_run(one, other):
    """All that two folders hold is equal but for the seconds that passed."""
    assert {p.name for p in one.iterdir()} == {p.name for p in other.iterdir()}
    for path in one.rglob("*.safetensors"):
        a, of_a = read_tensors(path)
        b, of_b = read_tensors(other / path.relative_to(one))
        assert same(a, b), path.name
        if "state" in of_a:
            a, b = json.loads(of_a["state"]), json.loads(of_b["state"])
            assert a | {"seconds": 0} == b | {"seconds": 0}
    lines = [(f / "history.jsonl").read_text().splitlines() for f in (one, other)]
    a, b = (timeless(map(json.loads, part)) for part in lines)
    assert a == b


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken")
    return folder, fit(folder)


@pytest.mark.parametrize("step", [3, 5, 12, 29])
def test_resumed_is_unbroken(unbroken, tmp_path, step):
    folder, result = unbroken
    with pytest.raises(Broken):
        fit(tmp_path, callback=break_at(step))
    resumed = fit(tmp_path, resume=True, workers=None)  # the checkpoint knows: two
    if step > 5:
        assert same(resumed.params, result.params)
        assert timeless(resumed.history) == timeless(result.history)
        assert_same_run(folder, tmp_path)
    else:  # no checkpoint yet: begun anew, as one worker
        assert len(resumed.history) == len(result.history)


def test_broken_off_three_times_with_whole_texts(tmp_path):
    whole = fit(tmp_path / "whole", TEXTS)
    for step in (7, 16, 24):
        with pytest.raises(Broken):
            fit(tmp_path / "broken", TEXTS, callback=break_at(step), resume=True)
    resumed = fit(tmp_path / "broken", TEXTS, resume=True)
    assert same(resumed.params, whole.params)
    assert_same_run(tmp_path / "whole", tmp_path / "broken")


def test_pending_losses_and_the_best_are_remembered(tmp_path):
    settings = {"steps": 300, "save_every": 50, "eval_every": 30}  # a record: 3 steps
    unlike = np.tile([1, 3], 50)  # what the model unlearns: the best comes early

    def train(out, **more):
        more = SETTINGS | settings | {"out": tmp_path / out} | more
        return mg.fit(mg.init(CFG), CFG, IDS, unlike, **more)

    values = [r["val_loss"] for r in train("whole").history if r["val_loss"]]
    assert min(values) == values[0] < values[2]
    with pytest.raises(Broken):
        train("broken", callback=break_at(63))
    train("broken", resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "broken")


PROGRAM = """
import time, test_resume
def callback(record):
    print(record["step"], flush=True)
    time.sleep(0.02)
test_resume.fit({out!r}, callback=callback, resume=True)
"""


def test_a_killed_process_is_resumed(unbroken, tmp_path):
    path = [str(Path(__file__).parent), str(Path(mg.__file__).parents[1])]
    for step in (11, 23):
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM.format(out=str(tmp_path))],
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(path)},
            text=True,
        )
        with process:
            for line in process.stdout:
                if int(line) >= step:
                    process.send_signal(signal.SIGKILL)
                    break
        assert process.returncode == -signal.SIGKILL
        assert not (tmp_path / "model.safetensors").exists()
    half = tmp_path / ".checkpoint-00000025.safetensors.1.tmp"
    half.write_bytes(b"half a checkpoint")
    with open(tmp_path / "history.jsonl", "a") as file:
        file.write('{"step": 24, "los')  # and half a line
    resumed = fit(tmp_path, resume=True)
    assert same(resumed.params, unbroken[1].params)
    assert timeless(resumed.history) == timeless(unbroken[1].history)
    assert_same_run(unbroken[0], tmp_path)


def test_a_part_of_a_model_is_trained_and_resumed(tmp_path):
    part, rest = tree.split(mg.init(CFG), lambda name: name.startswith("h.1.mlp"))

    def loss(part, ids, targets, cfg, **settings):
        return mg.next_token_loss(tree.merge(rest, part), ids, targets, cfg, **settings)

    def train(out, **settings):
        settings = SETTINGS | {"out": tmp_path / out, "loss": loss} | settings
        return mg.fit(part, CFG, IDS, **settings).params

    whole = train("whole")
    assert list(tree.flatten(whole)) == list(tree.flatten(part))
    assert not same(whole, part)
    with pytest.raises(Broken):
        train("broken", callback=break_at(12))
    assert same(train("broken", resume=True), whole)


def test_a_finished_run_is_given_back(unbroken):
    folder, result = unbroken
    again = fit(folder, resume=True)
    assert same(again.params, result.params)
    assert timeless(again.history) == timeless(result.history)


def test_nothing_is_overwritten(unbroken, tmp_path):
    with pytest.raises(ValueError, match="holds a run or a model already"):
        fit(unbroken[0])
    mg.save(tmp_path, mg.init(CFG), CFG)
    for resume in (False, True):
        with pytest.raises(ValueError, match="holds a run or a model already"):
            fit(tmp_path, resume=resume)


@pytest.mark.parametrize(
    "changed, sentence",
    [
        ({"lr": 2e-2}, r"trained with lr=0\.01, and now it is 0\.02"),
        ({"steps": 31}, "steps=30, and now it is 31"),
        ({"batch_size": 7}, "batch_size=6, and now it is 7"),
        ({"betas": (0.9, 0.99)}, r"betas=\[0\.9, 0\.95\]"),
        ({"seed": 4}, "seed=3, and now it is 4"),
        ({"train": IDS[:-1]}, "data="),
        ({"train": TEXTS}, "data="),
    ],
)
def test_another_run_is_not_resumed(unbroken, changed, sentence):
    with pytest.raises(ValueError, match=sentence):
        fit(unbroken[0], resume=True, **changed)


def test_another_model_is_not_resumed(unbroken):
    other = dataclasses.replace(CFG, n_layer=1)
    with pytest.raises(ValueError, match="trained with n_layer=2, and now it is 1"):
        mg.fit(mg.init(other), other, IDS, out=unbroken[0], resume=True, **SETTINGS)
    more = mg.init(CFG) | {"lm_head": {"weight": np.ones((13, 12), np.float32)}}
    sentence = r"params\.lm_head\.weight: expected \(13, 12\), found nothing"
    with pytest.raises(ValueError, match=sentence):
        mg.fit(more, CFG, IDS, out=unbroken[0], resume=True, **SETTINGS)


def test_the_same_ids_cut_elsewhere_are_other_data():
    texts = [np.array([0, 1, 2]), np.array([3, 4])]
    cut = [np.array([0, 1]), np.array([2, 3, 4])]
    assert mg.run.checksum(texts) != mg.run.checksum(cut)
    assert mg.run.checksum(texts) != mg.run.checksum(np.arange(5))


def test_a_damaged_checkpoint_gets_a_sentence(tmp_path):
    with pytest.raises(Broken):
        fit(tmp_path, callback=break_at(12))
    newest = sorted(tmp_path.glob("checkpoint-*"))[-1]
    newest.write_bytes(newest.read_bytes()[:-100])
    with pytest.raises(ValueError, match="damaged or was cut short"):
        fit(tmp_path, resume=True)
