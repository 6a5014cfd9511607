"""Which array library an array belongs to: the one question that every forward asks."""


def array_namespace(x):
    """The library that ``x`` belongs to: numpy, jax.numpy, array_api_strict, …"""
    return x.__array_namespace__()
