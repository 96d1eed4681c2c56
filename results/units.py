"""Numbers as people read them: multiply-adds, bytes, percentages, milliseconds."""

from __future__ import annotations

import math

DASH = "–"
_DECIMAL = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_BINARY = ((2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"))


def count(value: float) -> str:
    """Return a number with three digits and a decimal prefix: ``12.3 M``."""
    for scale, prefix in _DECIMAL:
        if abs(value) >= 0.9995 * scale:
            return f"{_three_digits(value / scale)} {prefix}"
    return _three_digits(value)


def size(value: float) -> str:
    """Return a number of bytes with a binary prefix: ``40.5 KiB``."""
    for scale, prefix in _BINARY:
        if abs(value) >= 0.9995 * scale:
            return f"{_three_digits(value / scale)} {prefix}"
    return f"{value:.0f} B"


def percent(fraction: float) -> str:
    """Return a fraction as a percentage with one decimal: ``81.3 %``."""
    return f"{100 * fraction:.1f} %"


def accuracy(mean: float, spread: float, seeds: int) -> str:
    """Return an accuracy as mean and spread, ``81.3 ± 0.4 %``; without spread where there was one seed."""
    return f"{100 * mean:.1f} ± {100 * spread:.1f} %" if seeds > 1 else percent(mean)


def chance(probability: float) -> str:
    """Return a probability as a whole percentage, ``87 %``; no certainty but that of 0 and 1 themselves."""
    if math.isnan(probability):
        return DASH
    if 0 < probability < 0.005:
        return "< 1 %"
    return "> 99 %" if 0.995 <= probability < 1 else f"{100 * probability:.0f} %"


def milliseconds(value: float) -> str:
    """Return a duration given in milliseconds: ``1.82 ms``."""
    return f"{_three_digits(value)} ms"


def duration(seconds: float) -> str:
    """Return a duration in seconds as ``38 s``, ``4 min 10 s`` or ``2 h 5 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def log_ticks(low: float, high: float) -> list[float]:
    """Return the 1, 2, 5 steps of every decade within [low, high]; only the decades if those are many.

    Raises:
        ValueError: ``low`` is not positive or above ``high``.
    """
    if not 0 < low <= high:
        raise ValueError(f"no logarithmic ticks between {low} and {high}")
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if math.log10(high / low) <= 3 else (1,)
    return [step * 10.0**decade for decade in decades for step in steps if low <= step * 10.0**decade <= high]


def _three_digits(value: float) -> str:
    rounded = float(f"{value:.3g}")
    if abs(rounded) >= 100 or rounded == int(rounded):
        return f"{rounded:.0f}"
    return f"{rounded:.1f}" if abs(rounded) >= 10 else f"{rounded:.2f}"
