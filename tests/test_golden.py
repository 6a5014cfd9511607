"""GPT-2's numbers as Hugging Face computed them, kept in golden/ and needing no torch.

golden/make_golden.py says how they were made; both precisions are held to the float64
numbers, because the weights are float32 to begin with.
"""

import json

import numpy as np
import pytest
from golden.make_golden import CASES, FOLDER, columns, digest, weights

import minigpt as mg

LOGITS = {"float32": 1e-4, "float64": 1e-9}  # absolute
GRADIENTS = {"float32": 1e-5, "float64": 1e-10}  # of each tensor's norm
SMALL = [name for name in CASES if name != "124M"]


@pytest.fixture(scope="module")
def golden():
    """Files by the names of the cases."""
    texts = {path.stem: path.read_text("utf-8") for path in FOLDER.glob("*.json")}
    return {name: json.loads(text) for name, text in texts.items()}


def test_every_case_has_its_file(golden):
    assert sorted(golden) == sorted(CASES)
    assert sum(p.stat().st_size for p in FOLDER.glob("*.json")) < 100_000


def agrees(case, wanted, dtype):
    flat = weights(case.cfg, case.seed, case.untied)
    assert digest(flat) == wanted["weights sha256"], "other weights were drawn"
    flat = {name: a.astype(dtype, copy=False) for name, a in flat.items()}
    params, cfg, atol = mg.tree.unflatten(flat), case.cfg, LOGITS[dtype]
    ids, targets = np.array(wanted["ids"]), np.array(wanted["targets"])

    logits = mg.gpt(params, ids, cfg)
    assert logits.dtype == dtype
    kept = logits[..., columns(cfg)]
    np.testing.assert_allclose(kept, wanted["logits"], rtol=0, atol=atol)
    total = np.log(np.exp(logits.astype(np.float64)).sum(axis=-1))
    np.testing.assert_allclose(total, wanted["logsumexp"], rtol=0, atol=atol)

    assert wanted["least gap"] > 10 * LOGITS["float32"]  # no tie: one right answer
    count = len(wanted["greedy"][0]) - ids.shape[1]
    for cache in (True, False):
        out = mg.generate(params, ids, cfg, count, temperature=0, cache=cache)
        assert out.tolist() == wanted["greedy"]

    loss, grads = mg.value_and_grad(mg.next_token_loss)(params, ids, targets, cfg)
    assert float(loss) == pytest.approx(wanted["loss"], rel=GRADIENTS[dtype])
    grads = mg.tree.flatten(grads)
    assert set(grads) == set(wanted["gradients"])
    for name, (norm, product) in wanted["gradients"].items():
        g, w = grads[name].astype(np.float64), flat[name].astype(np.float64)
        assert np.linalg.norm(g) == pytest.approx(norm, rel=GRADIENTS[dtype]), name
        within = GRADIENTS[dtype] * norm * np.linalg.norm(w)
        assert (g * w).sum() == pytest.approx(product, rel=0, abs=within), name


@pytest.mark.parametrize("dtype", LOGITS)
@pytest.mark.parametrize("name", SMALL)
def test_golden_numbers(golden, name, dtype):
    agrees(CASES[name], golden[name], dtype)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", LOGITS)
def test_golden_numbers_at_the_shape_of_gpt2(golden, dtype):
    agrees(CASES["124M"], golden["124M"], dtype)
