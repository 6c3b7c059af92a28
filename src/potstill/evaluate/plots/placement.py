"""Placement of names next to points, so that none covers another.

adjustText 1.4.0 is no substitute: with its defaults it leaves 21 pairs of names overlapping in the test's figure, and
the bytes of the figure differ between runs.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.path import Path
from matplotlib.text import Text
from matplotlib.transforms import Bbox, IdentityTransform

# Directions from a point to its name, in the order tried: next to it, then above and below.
DIRECTIONS = [(x, y) for y in (0, 0.6, -0.6, 1, -1) for x in (1, -1)] + [(0, 1), (0, -1)]
GAPS = (7, 14, 24, 36, 50, 66, 90, 120)  # points (1/72 inch) between the centre of a marker and its name
LEADER_GAP = 24  # above which a line connects the marker and its name


def place(axes: Axes, points: Sequence[tuple[float, float]], texts: Sequence[Text], taken: Sequence[Bbox]) -> None:
    """Move each text to the nearest free place next to its point, with a line to it if it is far.

    The placement is greedy, in the order given, which is fast, deterministic, and good enough for a few dozen points.
    If no place is free, a name covers a bar rather than another name.

    Args:
        axes: its limits and size are final.
        points: n pairs in data coordinates.
        texts: n texts of the axes, with `ha` and `va` "center" and the identity as their transform.
        taken: boxes in pixels that names should not cover, those around the points included.
    """
    pixel = axes.get_figure(root=True).dpi / 72  # type: ignore[union-attr]
    inside = axes.get_window_extent()
    names: list[Bbox] = []
    for point, text in zip(axes.transData.transform(points), texts, strict=True):
        extent = text.get_window_extent()
        half = np.array([extent.width, extent.height]) / 2
        # The boxes that contain the point are its own marker and bar, where its line starts.
        foreign = [box for box in taken if not box.contains(*point)]
        choices = []
        for gap in GAPS:
            for direction in np.array(DIRECTIONS):
                # Diagonal distances are shorter, so that a name is clearly its point's.
                distance = gap * pixel * (0.7 if direction.all() else 1)
                centre = point + direction * (half + distance)
                box = Bbox([centre - half, centre + half])
                end = point.clip(box.min, box.max)
                line = Path([point, end])
                outside = bool(np.any(box.min < inside.min) or np.any(box.max > inside.max))
                covered = sum(box.overlaps(name) for name in names) + outside
                touched = sum(box.overlaps(other) for other in taken)
                if gap >= LEADER_GAP:
                    covered += sum(line.intersects_bbox(name) for name in names)
                    touched += sum(line.intersects_bbox(other) for other in foreign)
                choices.append((covered, touched, gap, centre, box, end))
        *_, gap, centre, box, end = min(choices, key=lambda choice: choice[:2])
        text.set_position(centre)
        names.append(box)
        if gap >= LEADER_GAP:
            look: Any = {"color": text.get_color(), "lw": 0.6, "zorder": 1.5, "transform": IdentityTransform()}
            axes.add_artist(Line2D(*np.transpose([point, end]), **look))
