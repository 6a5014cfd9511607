"""Measured effects with their uncertainty: a dot and a whisker for each."""

from collections.abc import Sequence

from minigpt.plots.axis import SMALL, Axis
from minigpt.plots.picture import Picture, picture
from minigpt.plots.scene import Scene, text_width, visible


def effects(
    labels: Sequence[str],
    means: Sequence[float],
    errors: Sequence[float],
    alt: str,
    *,
    title: str = "",
    highlight: Sequence[int] = (),
) -> Picture:
    """A dot for each mean, and a line from two standard errors below to two above.

    Roughly 95 of 100 such lines would hold the true mean. The dashed line is zero: no
    effect. Raises `ValueError` where there is not one mean and one error a label.
    """
    means, errors = [float(v) for v in means], [float(v) for v in errors]
    words = [visible(label) for label in labels]
    if not len(words) == len(means) == len(errors):
        raise ValueError(
            f"{len(words)} labels, {len(means)} means and {len(errors)} errors: give "
            "one of each"
        )
    left = min(max((text_width(w, 12) for w in words), default=0) + 10, 190)
    top, line = (26 if title else 4), 19
    scene = Scene(400, top + line * len(words) + 24)
    ends = [m + 2 * s * e for m, e in zip(means, errors, strict=True) for s in (-1, 1)]
    x = Axis([[0.0], ends], left + 6, 388, pad=0.02)
    low = top + line * len(words) + 2
    if title:
        scene.text(0, 9, title, 12, weight="bold")
    for value in x.ticks():
        scene.line([(x(value), top), (x(value), low)], width=0.8, opacity=0.16)
        scene.text(
            x(value), low + 12, f"{value:.4g}".replace("-", "−"), SMALL, anchor="middle"
        )
    scene.line([(x(0.0), top), (x(0.0), low)], width=1.2, dash="4 3", opacity=0.8)
    for k, (word, mean, error) in enumerate(zip(words, means, errors, strict=True)):
        y = top + line * (k + 0.5)
        colour = "orange" if k in set(highlight) else "blue"
        weight = "bold" if k in set(highlight) else ""
        scene.text(left - 4, y, word, 12, anchor="end", weight=weight)
        whisker = [(x(mean - 2 * error), y), (x(mean + 2 * error), y)]
        scene.line(whisker, stroke=colour, width=2.4, opacity=0.65)
        scene.dot(x(mean), y, 4, f"{word}: {mean:.3g} ± {error:.2g}", fill=colour)
    return picture(scene, alt)
