"""No other framework is needed, and none is imported when it is there."""

import subprocess
import sys

PROGRAM = """
import sys
blocked = ("torch", "tensorflow", "jax", "jaxlib", "sklearn", "transformers", "keras")
for name in blocked:
    sys.modules[name] = None  # any import of it raises ModuleNotFoundError

import numpy as np
import minigpt as mg

cfg = mg.Config(vocab_size=13, n_ctx=8, n_embd=12, n_layer=2, n_head=3)
ids = np.tile(np.arange(13), 20)
result = mg.fit(mg.init(cfg), cfg, ids, ids, steps=10, batch_size=4, lr=1e-2,
                progress=False)
first, last = result.history[0]["loss"], result.history[-1]["loss"]
assert len(result.history) == 10 and last < first, (first, last)
assert mg.generate(result.params, [1], cfg, 12, seed=0).shape == (13,)
assert not [name for name in blocked if sys.modules[name] is not None]
print("trained")
"""


def test_ten_steps_without_any_other_framework():
    command = [sys.executable, "-W", "error", "-c", PROGRAM]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (run.returncode, run.stdout) == (0, "trained\n"), run.stderr
