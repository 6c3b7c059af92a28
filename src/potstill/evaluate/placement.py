"""Where to write the names of points so that none covers another."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.path import Path
from matplotlib.text import Text
from matplotlib.transforms import Bbox, IdentityTransform

# Where a name may stand, as the direction from its point: beside it first, then above and below.
DIRECTIONS = [(x, y) for y in (0, 0.6, -0.6, 1, -1) for x in (1, -1)] + [(0, 1), (0, -1)]
GAPS = (7, 14, 24, 36, 50, 66, 90, 120)  # points between a marker's middle and its name
LED = 24  # from this gap on a line leads from the point to its name


def place(axes: Axes, points: Sequence[tuple[float, float]], texts: Sequence[Text], taken: Sequence[Bbox]) -> None:
    """Move each text beside its point, to the nearest place that is free; a thin line leads to far ones.

    Greedy, in the order given: cheap, repeatable, and enough for a few dozen points. Where nothing
    is free, a name rather lies on a bar than on another name.

    Args:
        axes: with its limits set, and not resized afterwards.
        points: n pairs in data coordinates.
        texts: n texts of the axes, with `ha` and `va` "center" and the identity as their transform.
        taken: boxes in pixels to keep clear of, those around the points included.
    """
    pixel = axes.get_figure(root=True).dpi / 72  # type: ignore[union-attr]
    inside = axes.get_window_extent()
    names: list[Bbox] = []
    for point, text in zip(axes.transData.transform(points), texts, strict=True):
        extent = text.get_window_extent()
        half = np.array([extent.width, extent.height]) / 2
        # What a point lies in is its own marker and bar: its line starts there.
        foreign = [box for box in taken if not box.contains(*point)]
        choices = []
        for gap in GAPS:
            for direction in np.array(DIRECTIONS):
                # A slanted name is nearer, so that it reads as belonging to its point.
                reach = gap * pixel * (0.7 if direction.all() else 1)
                middle = point + direction * (half + reach)
                box = Bbox([middle - half, middle + half])
                end = point.clip(box.min, box.max)
                line = Path([point, end])
                covered = sum(box.overlaps(name) for name in names) + (not _holds(inside, box))
                touched = sum(box.overlaps(other) for other in taken)
                if gap >= LED:
                    covered += sum(line.intersects_bbox(name) for name in names)
                    touched += sum(line.intersects_bbox(other) for other in foreign)
                choices.append((covered, touched, gap, middle, box, end))
        *_, gap, middle, box, end = min(choices, key=lambda choice: choice[:2])
        text.set_position(middle)
        names.append(box)
        if gap >= LED:
            leader = Line2D(*np.transpose([point, end]), color=str(text.get_color()), lw=0.6, zorder=1.5)
            leader.set_transform(IdentityTransform())
            axes.add_artist(leader)


def _holds(outer: Bbox, inner: Bbox) -> bool:
    return bool(np.all(outer.min <= inner.min) and np.all(inner.max <= outer.max))
