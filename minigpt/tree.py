"""Nested dicts and lists of arrays: the shape in which a GPT keeps its parameters.

A tree is an array, or a dict or list of trees. ``None`` stands for a leaf that is not
there, so that a tree can be split in two of the same structure and merged again.
Names are those of GPT-2's checkpoint: keys and list positions joined by dots.

Example: flatten({"h": [{"ln_1": {"weight": w}}]}) -> {"h.0.ln_1.weight": w}
"""


def map(function, tree, *others):
    """A tree of ``function(leaf, *leaves at the same place in others)``."""
    if isinstance(tree, dict):
        return {k: map(function, tree[k], *(o[k] for o in others)) for k in tree}
    if isinstance(tree, (list, tuple)):
        return [map(function, *items) for items in zip(tree, *others, strict=True)]
    return None if tree is None else function(tree, *others)


def flatten(tree, prefix=""):
    """``{"h.0.attn.c_attn.weight": array, …}`` in the tree's own order, no ``None``."""
    if tree is None:
        return {}
    if isinstance(tree, dict):
        items = tree.items()
    elif isinstance(tree, (list, tuple)):
        items = enumerate(tree)
    else:
        return {prefix: tree}
    flat = {}
    for key, child in items:
        flat |= flatten(child, f"{prefix}.{key}" if prefix else str(key))
    return flat


def unflatten(flat):
    """The tree that ``flatten`` came from; keys 0, 1, 2, … become a list.

    Raises ``ValueError`` when a name is both a leaf and a branch.
    """
    if set(flat) == {""}:
        return flat[""]
    root = {}
    for name, leaf in flat.items():
        *branches, last = name.split(".")
        node = root
        for key in branches:
            node = node.setdefault(key, {})
            if not isinstance(node, dict):
                break
        if not isinstance(node, dict) or last in node:
            raise ValueError(f"{name!r} is both an array and a branch of the tree")
        node[last] = leaf
    return _lists(root)


def split(tree, choose):
    """Two trees of the same structure: the leaves whose name ``choose(name)`` accepts,
    and the others. Where a leaf went to one, the other holds ``None``."""
    chosen = map_named(lambda name, leaf: leaf if choose(name) else None, tree)
    rest = map_named(lambda name, leaf: None if choose(name) else leaf, tree)
    return chosen, rest


def merge(tree, other):
    """One tree with the leaves of both; where both have one, that of ``other``.

    Keys that only one of them has are kept: this is how adapters join frozen weights.
    """
    if other is None:
        return tree
    if isinstance(tree, dict) and isinstance(other, dict):
        keys = [*tree, *(k for k in other if k not in tree)]
        return {k: merge(tree.get(k), other.get(k)) for k in keys}
    if isinstance(tree, (list, tuple)) and isinstance(other, (list, tuple)):
        return [merge(a, b) for a, b in zip(tree, other, strict=True)]
    return other


def map_named(function, tree, prefix=""):
    """A tree of ``function(name, leaf)``."""
    if isinstance(tree, dict):
        items = tree.items()
    elif isinstance(tree, (list, tuple)):
        items = enumerate(tree)
    else:
        return None if tree is None else function(prefix, tree)
    dot = f"{prefix}." if prefix else ""
    mapped = {k: map_named(function, child, f"{dot}{k}") for k, child in items}
    return mapped if isinstance(tree, dict) else list(mapped.values())


def size(tree):
    """The number of scalars in all leaves together."""
    return sum(leaf.size for leaf in flatten(tree).values())


def _lists(node):
    if not isinstance(node, dict):
        return node
    children = {key: _lists(child) for key, child in node.items()}
    if children and set(children) == {str(i) for i in range(len(children))}:
        return [children[str(i)] for i in range(len(children))]
    return children
