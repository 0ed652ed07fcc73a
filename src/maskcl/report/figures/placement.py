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
        best, centre, radius = (math.inf, 0.0), centres[i], 0.0
        for r, angle in itertools.product(_RADII, _ANGLES):
            direction = np.array([math.cos(angle), math.sin(angle)])
            place = centres[i] + direction * (r * unit + np.abs(direction) * half)
            candidate = _box(place[0], place[1], *half)
            outside = (
                candidate[0] < frame.x0 or candidate[1] < frame.y0 or candidate[2] > frame.x1 or candidate[3] > frame.y1
            )
            cost = sum(_overlap(candidate, other) for other in taken) + (1e6 if outside else 0.0), r
            if cost < best:
                best, centre, radius = cost, place, r
        taken.append(_box(centre[0], centre[1], *half))
        x, y = axes.transData.inverted().transform(centre)
        label.set_position((x, y))
        if radius > _FAR:
            start, end = axes.transData.inverted().transform([centres[i], _edge(centre, half, centres[i])])
            axes.plot(*zip(start, end, strict=True), color=colours[i], linewidth=0.6, alpha=0.6, zorder=1.5)


def _box(x: float, y: float, half_width: float, half_height: float) -> tuple[float, float, float, float]:
    return x - half_width, y - half_height, x + half_width, y + half_height


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return width * height if width > 0 and height > 0 else 0.0


def _edge(centre: Any, half: tuple[float, float], point: Any) -> Any:
    """Where the line from a label's centre to its point leaves the label."""
    offset = point - centre
    scale = min(h / abs(o) if o else math.inf for h, o in zip(half, offset, strict=True))
    return centre + offset * min(scale, 1.0)
