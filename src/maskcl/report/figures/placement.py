"""Labels beside points without overlaps: each takes the free place nearest to its point."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["place_labels"]

_RADII = (7.0, 11.0, 16.0, 22.0, 29.0, 37.0, 46.0, 56.0)
_ANGLES = tuple(math.radians(a) for a in (0, 180, 30, 150, -30, -150, 60, 120, -60, -120, 90, -90))
_TRIED = tuple(itertools.product(_RADII, _ANGLES))
_DIRECTIONS = np.array([(math.cos(angle), math.sin(angle)) for _, angle in _TRIED])
_FAR = 13.0
"""Points of distance beyond which a thin line ties the label to its point."""


def place_labels(
    axes: Axes,
    points: npt.NDArray[np.float64],
    texts: Sequence[str],
    colours: Sequence[str],
    *,
    bars: npt.NDArray[np.float64] | None = None,
    keep_off: npt.NDArray[np.float64] | None = None,
    **style: Any,
) -> None:
    """Write one label beside each point. The axes' limits and layout must be final.

    Args:
        axes: Where.
        points: Data coordinates [N, 2].
        texts: Labels.
        colours: Their colours.
        bars: Half lengths of error bars, data units [N, 2], which labels keep off; NaN for none.
        keep_off: Further points that labels keep off, [M, 2].
        style: Further text properties, e.g. fontsize.
    """
    figure: Any = axes.figure
    renderer, unit = figure.canvas.get_renderer(), figure.dpi / 72
    centres = axes.transData.transform(points)
    frame = axes.get_window_extent(renderer)
    radii = np.array([[radius] for radius, _ in _TRIED])
    taken = [_box(x, y, 5 * unit, 5 * unit) for x, y in centres]
    if bars is not None:
        reach = np.nan_to_num(np.abs(axes.transData.transform(points + np.nan_to_num(bars)) - centres))
        taken += [_box(x, y, dx, 1.5 * unit) for (x, y), (dx, _) in zip(centres, reach, strict=True)]
        taken += [_box(x, y, 1.5 * unit, dy) for (x, y), (_, dy) in zip(centres, reach, strict=True)]
    if keep_off is not None:
        taken += [_box(x, y, 3 * unit, 3 * unit) for x, y in axes.transData.transform(keep_off)]
    crowding = [sum(np.hypot(*(centres - c).T) < 40 * unit) for c in centres]
    for i in np.argsort(crowding)[::-1]:  # the most crowded chooses first: it has the fewest free places
        label = axes.text(0, 0, texts[i], color=colours[i], ha="center", va="center", **style)
        extent = label.get_window_extent(renderer)
        half = extent.width / 2 + unit, extent.height / 2 + 0.5 * unit
        places = centres[i] + _DIRECTIONS * (radii * unit + np.abs(_DIRECTIONS) * half)
        low, high = places - half, places + half
        outside = (low < frame.min).any(1) | (high > frame.max).any(1)
        cost = _overlaps(low, high, np.array(taken)) + 1e6 * outside
        chosen = int(np.lexsort((radii[:, 0], cost))[0])
        centre, radius = places[chosen], float(radii[chosen, 0])
        taken.append(_box(centre[0], centre[1], *half))
        x, y = axes.transData.inverted().transform(centre)
        label.set_position((x, y))
        if radius > _FAR:
            start, end = axes.transData.inverted().transform([centres[i], _edge(centre, half, centres[i])])
            axes.plot(*zip(start, end, strict=True), color=colours[i], linewidth=0.6, alpha=0.6, zorder=1.5)


def _box(x: float, y: float, half_width: float, half_height: float) -> tuple[float, float, float, float]:
    return x - half_width, y - half_height, x + half_width, y + half_height


def _overlaps(low: Any, high: Any, boxes: Any) -> Any:
    """How much of each candidate, from low to high [P, 2], lies in boxes [B, 4]: sums of areas, [P].

    All at once: one by one, the labels of 300 settings took a third of a report's time.
    """
    sides = np.minimum(high[:, None], boxes[None, :, 2:]) - np.maximum(low[:, None], boxes[None, :, :2])
    return np.maximum(sides, 0).prod(-1).sum(-1)


def _edge(centre: Any, half: tuple[float, float], point: Any) -> Any:
    """Where the line from a label's centre to its point leaves the label."""
    offset = point - centre
    scale = min(h / abs(o) if o else math.inf for h, o in zip(half, offset, strict=True))
    return centre + offset * min(scale, 1.0)
