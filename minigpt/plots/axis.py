"""Axes for charts: round ticks, a map from data to drawing, a frame of lines."""

import math

import numpy as np

from minigpt.plots.scene import Scene

SMALL = 10.5  # the text of ticks and labels


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers from `low` to `high`, `about` as many as asked for."""
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = power * next(s for s in (1, 2, 2.5, 5, 10) if s * power >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [k * step for k in range(first, last + 1)]


def _tick(value: float) -> str:
    if abs(value) >= 1e5 or 0 < abs(value) < 1e-3:
        return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")
    return f"{float(f'{value:.6g}'):,}".removesuffix(".0")


class Axis:
    """A map from data to drawing, straight or logarithmic: `axis(value)`."""

    def __init__(self, values, start: float, end: float, log=False, pad=0.0):
        """`values`: what must fit; `start`, `end`: where on the drawing they go."""
        values = np.concatenate([np.ravel(np.asarray(v, float)) for v in values])
        values = values[np.isfinite(values) & ((values > 0) | (not log))]
        if not values.size:
            raise ValueError("nothing to draw: no value is a finite number")
        self.log, self.start, self.end = log, start, end
        low, high = self._turn(values.min()), self._turn(values.max())
        spare = (high - low) * pad or (0.0 if high > low else 0.5)
        self.low, self.high = low - spare, high + spare

    def _turn(self, value):
        return math.log10(value) if self.log else float(value)

    def __call__(self, value: float) -> float:
        share = (self._turn(value) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Round values on this axis."""
        if not self.log:
            return ticks(self.low, self.high)
        if self.high - self.low < 1:
            return ticks(10**self.low, 10**self.high)
        powers = range(math.ceil(self.low - 1e-9), math.floor(self.high + 1e-9) + 1)
        steps = (1,) if len(powers) > 2 else (1, 2, 5)
        marks = [
            s * 10.0**p for p in range(powers.start - 1, powers.stop) for s in steps
        ]
        return [
            m for m in marks if self.low - 1e-9 <= math.log10(m) <= self.high + 1e-9
        ]


def frame(scene: Scene, x: Axis, y: Axis, xlabel: str, ylabel: str) -> None:
    """Grid lines, tick labels and axis labels."""
    for value in y.ticks():
        ends = [(x.start, y(value)), (x.end, y(value))]
        scene.line(ends, width=0.8, opacity=0.16)
        scene.text(x.start - 6, y(value), _tick(value), SMALL, anchor="end")
    for value in x.ticks():
        scene.text(x(value), y.start + 12, _tick(value), SMALL, anchor="middle")
    scene.line([(x.start, y.start), (x.end, y.start)], width=1, opacity=0.6)
    middle = (x.start + x.end) / 2
    scene.text(middle, y.start + 30, xlabel, SMALL + 0.5, anchor="middle")
    scene.text(0, 8, ylabel, SMALL + 0.5)
