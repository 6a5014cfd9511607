"""What is inside a model, in lines: shapes as a tree, parameters by part, memory."""

import itertools

from minigpt.cli import terminal

PARTS = (  # what it is called, what its arrays' names hold; the first that fits
    ("token embedding", "wte."),
    ("position embedding", "wpe."),
    ("attention", ".attn."),
    ("MLP", ".mlp."),
    ("layer norms", "ln_"),
    ("output", "lm_head."),
    ("labels", "head."),
    ("others", ""),
)


def lines(name, params, cfg, batch_size=1):
    """All of it, line by line."""
    yield (
        f"{name}: n_layer {cfg.n_layer}, n_head {cfg.n_head}, n_embd {cfg.n_embd:,}, "
        f"n_ctx {cfg.n_ctx:,}, vocab_size {cfg.vocab_size:,}"
    )
    yield ""
    yield from columns(tree_rows(params))
    yield ""
    yield from columns(part_rows(params))
    yield ""
    yield from columns(memory_rows(params, cfg, batch_size))


def tree_rows(params):
    """Rows of name, shape and number of parameters; equal blocks share theirs."""
    from minigpt import tree

    branches = [(key, child) for key, child in params.items() if key != "h"]
    at = list(params).index("h")
    branches[at:at] = folded(params["h"])
    yield "parameters", "", f"{tree.size(params):,}"
    for number, (key, child) in enumerate(branches, start=1):
        last = number == len(branches)
        flat = tree.flatten(child)
        if len(flat) == 1:
            ((leaf, array),) = flat.items()
            yield branch(last) + f"{key}.{leaf}", shape(array), f"{array.size:,}"
            continue
        yield branch(last) + key, "", f"{tree.size(child):,}"
        for n, (leaf, array) in enumerate(flat.items(), start=1):
            twig = branch(n == len(flat), under="" if last else "│")
            yield twig + leaf, shape(array), f"{array.size:,}"


def folded(blocks):
    """``(name, block)`` for every run of blocks with the same names and shapes."""
    from minigpt import tree

    def form(numbered):
        return [(name, a.shape) for name, a in tree.flatten(numbered[1]).items()]

    for _, run in itertools.groupby(enumerate(blocks), key=form):
        numbers, same = zip(*run, strict=True)
        many = f" to h.{numbers[-1]}, each" if len(numbers) > 1 else ""
        yield f"h.{numbers[0]}{many}", same[0]


def part_rows(params):
    """Rows of a part of the model, how many parameters it has, and their share."""
    from minigpt import tree

    counts, total = dict.fromkeys((part for part, _ in PARTS), 0), tree.size(params)
    for name, array in tree.flatten(params).items():
        counts[next(part for part, held in PARTS if held in name)] += array.size
    if not counts["output"]:
        counts = {"token embedding and output": counts.pop("token embedding")} | counts
    for part, count in counts.items():
        if count:
            yield part, f"{count:,}", f"{count / total:.1%}"


def memory_rows(params, cfg, batch_size):
    """Rows of what memory is needed for, and how much."""
    from minigpt import debug, tree

    arrays = list(tree.flatten(params).values())
    cache = 2 * cfg.n_layer * cfg.n_ctx * cfg.n_embd * arrays[0].itemsize
    weights = sum(a.nbytes for a in arrays)
    size = {"bytes_per_number": arrays[0].itemsize}
    activations = debug.memory(cfg, batch_size, **size)["activations"]
    training = 4 * weights + activations  # gradients, and AdamW's two averages
    texts = "one text" if batch_size == 1 else f"{batch_size:,} texts"
    yield f"weights, {arrays[0].dtype}", amount(weights)
    yield f"cache of {cfg.n_ctx:,} positions", amount(cache)
    yield f"training all of it, {texts} at a time, about", amount(training)


def columns(rows):
    """Rows as lines: the first cell to the left, the others to the right."""
    rows = list(rows)
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    for first, *others in rows:
        cells = zip(others, widths[1:], strict=True)
        yield "  ".join([first.ljust(widths[0]), *(c.rjust(w) for c, w in cells)])


def branch(last, under=None):
    """The lines that lead to a branch, or to a twig ``under`` one."""
    sign = ("└─ " if last else "├─ ") if terminal.shows("├└│") else "  "
    if under is None:
        return sign
    return (under.ljust(3) if terminal.shows("├└│") else "   ") + sign


def shape(array):
    """Rows × columns, as the terminal can show it."""
    return (" × " if terminal.shows("×") else " x ").join(f"{n:,}" for n in array.shape)


def amount(count):
    """Bytes in the unit that fits."""
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.2f} MB"
