"""What the processor can do at most: a large product of two matrices.

A training step is mostly such products, of smaller matrices; none of them can be done
at a higher speed than a large one, which uses each number that it reads very often.
"""

import time

import numpy as np

PRODUCTS = "NumPy's matrix product", "PyTorch's matrix product"


def product(name, n):
    """A function that multiplies two matrices (n, n) of single precision."""
    a, b = np.random.default_rng(0).random((2, n, n), dtype=np.float32)
    if name == PRODUCTS[0]:
        out = np.empty_like(a)
        return lambda: np.matmul(a, b, out=out)
    import torch

    from minigpt.parallel import processors

    torch.set_num_threads(processors())
    a, b = torch.from_numpy(a), torch.from_numpy(b)
    out = torch.empty_like(a)
    return lambda: torch.matmul(a, b, out=out)


def seconds(multiply, times):
    """Seconds of one product, after one that is not counted."""
    multiply()
    began = time.perf_counter()
    for _ in range(times):
        multiply()
    return (time.perf_counter() - began) / times
