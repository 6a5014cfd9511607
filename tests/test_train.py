"""Training: it learns, its history says how, and what cannot be gets a sentence."""

import dataclasses
import json
import math

import numpy as np
import pytest
from small_model import CFG, close, same

import minigpt as mg
from minigpt import data, train, tree

IDS = np.tile([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], 30)
TEXTS = [np.array([0, *range(start, start + 4), 0]) for start in range(1, 9)]
QUICK = {"steps": 20, "batch_size": 4, "progress": False}


def fit(ids=IDS, val=None, cfg=CFG, **settings):
    return mg.fit(mg.init(cfg), cfg, ids, val, **QUICK | settings)


def test_it_learns_a_circle_of_tokens():
    result = fit(IDS, IDS, steps=150, lr=1e-2, batch_size=8)
    assert result.history[0]["loss"] > 2.3 and result.history[-1]["val_loss"] < 0.05
    out = mg.generate(result.params, [1, 2, 3], CFG, 20, temperature=0)
    assert out.tolist() == (IDS[:23]).tolist()


def test_it_learns_whole_texts():
    floor = math.log(8) / 5  # eight texts of five tokens: only the first is a surprise
    result = fit(TEXTS, TEXTS, steps=200, lr=1e-2, batch_size=8)
    assert floor - 0.01 < result.history[-1]["val_loss"] < floor + 0.1


def test_the_records():
    result = fit(val=IDS, steps=250, eval_every=100)
    steps = [r["step"] for r in result.history]
    assert steps == list(range(2, 251, 2))
    names = ["step", "loss", "val_loss", "lr", "grad_norm", "seconds"]
    assert all(list(r) == names for r in result.history)
    assert [r["step"] for r in result.history if r["val_loss"]] == [100, 200, 250]
    assert all(type(r[n]) is float for r in result.history for n in names[3:])
    seconds = [r["seconds"] for r in result.history]
    assert seconds == sorted(seconds) and seconds[-1] > 0
    assert result.history[-1]["lr"] == pytest.approx(1e-4)


def test_the_loss_in_a_record_is_the_mean_since_the_last():
    losses = [r["loss"] for r in fit(steps=20).history]  # a record each step
    every = [r["loss"] for r in fit(steps=20, val=IDS, eval_every=20).history]
    assert every == losses
    assert fit(steps=200).history[0]["loss"] == pytest.approx(
        np.mean([float(x) for x in first_losses(2, steps=200)]), rel=1e-6
    )


def first_losses(count, steps):
    """The losses of the first steps, from the pieces of training by hand."""
    settings = mg.train.Settings(steps, 4, 1e-3, 1e-4, 0, 0.1, (0.9, 0.95), 1.0, 0, 0)
    state = mg.train.State.fresh(mg.init(CFG), 0, 1)
    with train.at_work(state, mg.next_token_loss, 4) as team:
        for _ in range(count):
            yield train.update(state, CFG, IDS, settings, team)["loss"]


def test_parameters_are_copied_and_seeds_decide():
    params = mg.init(CFG)
    before = tree.map(np.copy, params)
    one = mg.fit(params, CFG, IDS, **QUICK).params
    assert same(params, before) and not close(one, before, 1e-3)
    assert same(one, fit().params)
    assert not same(one, fit(seed=1).params)
    assert {a.dtype for a in tree.flatten(one).values()} == {np.dtype("f4")}


def test_workers_agree():
    one, again, two = (fit(TEXTS, workers=n).params for n in (2, 2, 1))
    assert same(one, again) and close(one, two, 1e-3)
    assert same(fit(workers=9).params, fit(workers=9).params)  # more than rows


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_a_loop_of_ones_own_gives_the_same_bits(workers):
    cfg = dataclasses.replace(CFG, n_embd=96, n_layer=1)  # one matrix has half of it
    params, rng = mg.init(cfg), np.random.default_rng(7)
    state = mg.optim.adamw_init(params)
    with mg.parallel.step_function(mg.next_token_loss, workers) as gradient:
        for _ in range(20):
            ids, targets, mask = data.random_texts(TEXTS, 4, rng)
            _, grads = gradient(params, ids, targets, cfg, mask=mask)
            assert mg.optim.clip(grads, 0.1) > 0.1
            mg.optim.adamw_update(params, grads, state, lr=1e-3)
    settings = {"lr": 1e-3, "min_lr": 1e-3, "clip": 0.1, "seed": 7}
    assert same(fit(TEXTS, cfg=cfg, workers=workers, **settings).params, params)


def test_dropout_trains_with_noise_of_its_own_seed():
    cfg = dataclasses.replace(CFG, dropout=0.2)
    one, again, other = (fit(cfg=cfg, seed=s) for s in (0, 0, 1))
    assert same(one.params, again.params) and not same(one.params, other.params)
    assert not same(one.params, fit().params)


def test_each_step_and_worker_has_its_own_noise(tmp_path):
    def loss(params, ids, targets, cfg, *, mask=None, rng=None):
        with open(tmp_path / "drawn", "a") as file:
            print(rng.random(), file=file)
        return mg.next_token_loss(params, ids, targets, cfg, mask=mask)

    fit(cfg=dataclasses.replace(CFG, dropout=0.2), loss=loss, workers=2)
    drawn = (tmp_path / "drawn").read_text().splitlines()
    assert len(set(drawn)) == len(drawn) == 40


def test_settings_reach_the_optimiser():
    base = fit().params
    for changed in (
        {"lr": 2e-3},
        {"min_lr": 0.0},
        {"warmup": 5},
        {"weight_decay": 0.5},
        {"betas": (0.8, 0.95)},
        {"betas": (0.9, 0.9)},
        {"batch_size": 5},
    ):
        assert not same(base, fit(**changed).params), changed
    norms = [r["grad_norm"] for r in fit(clip=None).history]
    assert max(norms) > 0.2
    assert not same(fit(clip=0.1).params, base)


def test_callback_sampler_and_silence(capsys):
    seen = []
    samples = iter("ab")
    settings = {"callback": seen.append, "sampler": lambda params: next(samples)}
    result = fit(val=IDS, eval_every=10, **settings)
    assert seen == result.history
    assert [r["sample"] for r in seen if "sample" in r] == ["a", "b"]
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_progress_is_shown(capsys):
    fit(progress=True, sampler=lambda params: "Once upon")
    captured = capsys.readouterr()
    assert "20/20" in captured.err and "loss=" in captured.err
    assert "step 20: Once upon" in captured.out


def test_evaluate_is_the_exact_mean():
    params = mg.init(CFG, 3)
    total = count = 0
    for text in TEXTS:
        n = len(text) - 1
        loss = mg.next_token_loss(params, text[None, :-1], text[None, 1:], CFG)
        total, count = total + n * float(loss), count + n
    value = train.evaluate(params, CFG, TEXTS, batch_size=3)
    assert value == pytest.approx(total / count, rel=1e-5)
    assert type(value) is float


def test_a_folder_holds_the_run(tmp_path):
    result = fit(val=IDS, out=tmp_path, save_every=6, keep=2, eval_every=5)
    names = sorted(p.name for p in tmp_path.iterdir())
    last = [f"checkpoint-{n:08d}.safetensors" for n in (18, 20)]
    assert names == ["best", *last, "config.json", "history.jsonl", "model.safetensors"]
    lines = (tmp_path / "history.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == result.history
    params, cfg, tokenizer = mg.load(tmp_path)
    assert same(params, result.params) and cfg == CFG and tokenizer is None
    best = mg.load(tmp_path / "best")[0]
    least = min(r["val_loss"] for r in result.history if r["val_loss"] is not None)
    assert train.evaluate(best, CFG, IDS, 4) == least


def test_the_best_is_kept_when_it_gets_worse(tmp_path):
    other = np.tile([1, 3], 50)  # what it must not learn from IDS
    result = fit(val=other, out=tmp_path, steps=60, lr=1e-2, eval_every=1)
    values = [r["val_loss"] for r in result.history]
    assert min(values) < values[-1]
    best = mg.load(tmp_path / "best")[0]
    assert train.evaluate(best, CFG, other, 4) == min(values)


@pytest.mark.parametrize("lr, nan", [(1e30, False), (1e-3, True)])
def test_a_loss_that_is_no_number_stops_with_a_sentence(lr, nan):
    params = mg.init(CFG)
    if nan:
        params["ln_f"]["weight"][0] = np.nan
    sentence = r"at step \d+ the loss is nan.* learning rate of .* try a lower lr"
    with pytest.raises(FloatingPointError, match=sentence):
        mg.fit(params, CFG, IDS, **QUICK | {"lr": lr})


def test_a_validation_loss_that_is_no_number_stops_too(tmp_path):
    with pytest.raises(FloatingPointError, match="the validation loss is nan"):
        fit(val=IDS, lr=1e30, steps=1, out=tmp_path)
    assert not (tmp_path / "model.safetensors").exists()


@pytest.mark.parametrize(
    "settings, sentence",
    [
        ({"steps": 0}, "steps must be at least 1, and it is 0"),
        ({"steps": 2.5}, "steps must be of the kind int"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"lr": 0}, "lr must be a positive number"),
        ({"lr": math.nan}, "lr must be a positive number"),
        ({"min_lr": 1.0}, "min_lr must be between 0 and lr"),
        ({"warmup": 21}, "warmup must be between 0 and steps"),
        ({"weight_decay": -0.1}, "weight_decay must be 0 or more"),
        ({"betas": (0.9, 1.0)}, "betas must be two numbers"),
        ({"betas": (0.9,)}, "betas must be two numbers"),
        ({"betas": 0.9}, "betas must be of the kind tuple"),
        ({"clip": -1.0}, "clip must be 0"),
        ({"seed": -1}, "seed must be a whole number from 0"),
        ({"seed": None}, "seed must be of the kind int"),
        ({"workers": 0}, "workers must be 1 or more, or None, and it is 0"),
        ({"workers": 1.5}, "workers must be 1 or more"),
        ({"resume": True}, "resume=True needs out="),
        ({"ids": []}, "train is empty"),
        ({"ids": IDS[:8]}, "train has 8 tokens in a row, and at least 9"),
        ({"val": IDS[:3]}, "val has 3 tokens in a row"),
        ({"ids": IDS + 1}, "train holds the id 13, outside"),
    ],
)
def test_what_cannot_be_gets_a_sentence(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        fit(**settings)


def test_numpys_numbers_are_settings_too(tmp_path):
    settings = {"steps": np.int64(4), "lr": np.float32(1e-3), "seed": np.int32(1)}
    result = fit(out=tmp_path, **settings)
    assert len(result.history) == 4


def test_windows_of_one_length_are_drawn():
    ids, targets, mask = train.draw(IDS, CFG, 5, np.random.default_rng(0))
    assert ids.shape == targets.shape == (5, 8) and mask is None
    texts = data.check(TEXTS, CFG)
    ids, targets, mask = train.draw(texts, CFG, 5, np.random.default_rng(0))
    assert ids.shape == targets.shape == mask.shape == (5, 5) and mask.all()
