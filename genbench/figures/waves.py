"""Pictures of signals [n, channels, length]: a panel for each, with a line per channel."""

from collections.abc import Sequence

import numpy as np
import torch

from genbench.figures.canvas import CLASSES, ORANGE, Page, unmathed
from genbench.figures.ranges import axis_range

WIDE, HIGH = 190, 110  # pixels of a panel
MOST_PANELS = 24
MOST_LINES = 8  # channels of a signal that are drawn


def shown_of(signals: torch.Tensor) -> torch.Tensor:
    """The first of signals [n, channels, length], and of each its first channels."""
    return signals[:MOST_PANELS, :MOST_LINES].detach().cpu().double()


def waves(
    signals: torch.Tensor,
    page: Page,
    captions: Sequence[str] = (),
    again: torch.Tensor | None = None,
    columns: int = 4,
) -> torch.Tensor:
    """A panel per signal [n, channels, length], a line per channel; with `again`, what became of
    each, as thinner lines of another colour over it.
    """
    values = shown_of(signals).numpy()
    others = None if again is None else shown_of(again).numpy()
    n, channels, length = values.shape
    columns = min(columns, n)
    rows = -(-n // columns)
    top = 16 * bool(captions)
    canvas = page.canvas(WIDE * columns + 40, (HIGH + top) * rows + 50)
    panels = canvas.panels(rows, columns)
    ends = axis_range(values, *([] if others is None else [others]), margin=0.05)
    time = np.arange(length)
    for axes in panels.flat[n:]:
        axes.set_axis_off()
    for i, axes in enumerate(panels.flat[:n]):
        for channel in range(channels):
            colour = CLASSES[channel % len(CLASSES)] if others is None else canvas.theme.soft
            name = f"channel {channel + 1}" if others is None else "original"
            axes.plot(time, values[i, channel], color=colour, lw=1.3, label=unmathed(name))
            if others is not None:
                colour = ORANGE if channels == 1 else CLASSES[channel % len(CLASSES)]
                name = "reconstructed" if channels == 1 else f"channel {channel + 1} reconstructed"
                axes.plot(time, others[i, channel], color=colour, lw=1, label=unmathed(name))
        axes.set_ylim(ends)
        axes.locator_params(nbins=4)
        axes.tick_params(labelsize=7, labelleft=i % columns == 0, labelbottom=i + columns >= n)
        if captions:
            axes.set_title(unmathed(captions[i]), size=8, color=canvas.theme.ink)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    named = dict(zip(labels, handles))
    if len(named) > 1:  # below the panels, as it may be wider than one
        canvas.figure.legend(
            [*named.values()],
            [*named],
            loc="outside lower left",
            ncols=len(named),
            frameon=False,
            fontsize=8,
            labelcolor=canvas.theme.ink,
        )
    return canvas.picture()


def fans(
    points: torch.Tensor, page: Page, captions: Sequence[str], columns: int = 4
) -> torch.Tensor:
    """A panel per line of signals [k, steps, channels, length], in which the first is dark and the
    last is light.
    """
    import matplotlib

    values = points[:MOST_PANELS, :, :MOST_LINES].detach().cpu().double().numpy()
    k, steps, channels, length = values.shape
    columns = min(columns, k)
    rows = -(-k // columns)
    canvas = page.canvas(WIDE * columns + 40, (HIGH + 16) * rows + 30)
    panels = canvas.panels(rows, columns)
    ends = axis_range(values, margin=0.05)
    shades = matplotlib.colormaps["viridis"](np.linspace(0, 0.9, steps))
    for axes in panels.flat[k:]:
        axes.set_axis_off()
    for i, axes in enumerate(panels.flat[:k]):
        for step in range(steps):
            for channel in range(channels):
                axes.plot(np.arange(length), values[i, step, channel], color=shades[step], lw=0.9)
        axes.set_ylim(ends)
        axes.locator_params(nbins=4)
        axes.tick_params(labelsize=7, labelleft=i % columns == 0, labelbottom=i + columns >= k)
        axes.set_title(unmathed(captions[i]), size=8, color=canvas.theme.ink)
    return canvas.picture()
