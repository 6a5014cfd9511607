"""The primitives: every piece of arithmetic in the model, and its derivative under it.

Each forward asks its argument for the array namespace, so the same line runs on NumPy,
on JAX and on any library of the array API standard. The rules are NumPy. What is made
here is changed in place; what comes in never is.

Shapes: B batch, T time (tokens), S positions seen, C channels, H heads, D head size,
V vocabulary. Chapter: backpropagation derives every rule.
"""

import numpy as np

from minigpt.autodiff import Traced
from minigpt.ops.arithmetic import add, linear, matmul, multiply, sum
from minigpt.ops.fused import attention
from minigpt.ops.namespace import array_namespace
from minigpt.ops.neural import cross_entropy, gelu, layer_norm, relu, softmax
from minigpt.ops.shaping import embed, getitem, reshape, transpose

__all__ = ["add", "array_namespace", "attention", "cross_entropy", "embed", "gelu"]
__all__ += ["getitem", "layer_norm", "linear", "matmul", "multiply", "relu", "reshape"]
__all__ += ["softmax", "sum", "transpose"]

# With these a traced array reads like any other: x + y, x @ y, x[..., :C].
Traced.__add__ = Traced.__radd__ = lambda self, other: add(self, other)
Traced.__mul__ = Traced.__rmul__ = lambda self, other: multiply(self, other)
Traced.__neg__ = lambda self: multiply(self, -1.0)
Traced.__sub__ = lambda self, other: add(self, -other)
Traced.__rsub__ = lambda self, other: add(-self, other)
Traced.__truediv__ = lambda self, number: multiply(self, 1.0 / number)
Traced.__matmul__ = lambda self, other: matmul(self, other)
Traced.__rmatmul__ = lambda self, other: matmul(other, self)
Traced.__getitem__ = lambda self, key: getitem(self, key=key)
Traced.ufuncs |= {np.add: add, np.multiply: multiply, np.matmul: matmul}
Traced.ufuncs[np.subtract] = lambda a, b: add(a, -b)
Traced.ufuncs[np.true_divide] = lambda a, number: multiply(a, 1.0 / number)
