"""Thumbnails: plots small enough for Dagster to show them on an asset's page without a click.

Dagster shows Markdown of less than 1,000 characters at once, and longer Markdown behind a link. A thumbnail is a picture
of few colours without any text; its caption names the axes and their ranges.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from seedtest_analytics.assets.framework.untrusted import escaped

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN_AT_ONCE = 1_000
"""Characters of Markdown from which Dagster hides it behind a link."""
WIDTHS = (340, 240, 160, 100)
"""Pixels, widest first. The picture is drawn once and made smaller, because drawing takes most of the time."""
COLOURS = 4


def thumbnail(figure: Figure, title: str) -> dg.MetadataValue:
    """The largest thumbnail of the figure that is shown at once, below the title and the caption.

    The texts of the figure are gone afterwards. A figure that fits at no width has its caption alone.
    """
    caption = f"{title}\n\n{_caption(figure)}"
    figure.set_layout_engine("none")  # the axes stay where the full picture has them
    _hide_text(figure)
    picture = _drawn(figure, WIDTHS[0])
    for width in WIDTHS:
        markdown = f"{caption}\n\n![plot](data:image/png;base64,{_encoded(picture, width)})"
        if len(markdown) < SHOWN_AT_ONCE:
            return dg.MetadataValue.md(markdown)
    return dg.MetadataValue.md(caption)


def _caption(figure: Figure) -> str:
    """Label and range of the axes of the first plot; categories have no range."""
    axes = figure.axes[0]
    labels = {"→": axes.get_xlabel() or figure.get_supxlabel(), "↑": axes.get_ylabel() or figure.get_supylabel()}
    # The data's own ends: the limits of the axes have a margin, such as a probability of 1.05.
    data = axes.dataLim
    limits = {"→": (data.intervalx, axes.xaxis), "↑": (data.intervaly, axes.yaxis)}
    return " · ".join(f"{arrow} {_shown(label)}{_range(*limits[arrow])}" for arrow, label in labels.items())


def _shown(label: str) -> str:
    """A label may contain text from data; for matplotlib its $ are escaped."""
    return escaped(label.replace(r"\$", "$"))


def _range(limits: Sequence[float], axis: Any) -> str:
    from matplotlib.category import StrCategoryLocator
    from matplotlib.dates import DateLocator, num2date
    from matplotlib.ticker import FixedLocator

    locator = axis.get_major_locator()
    if isinstance(locator, FixedLocator | StrCategoryLocator) or not all(math.isfinite(value) for value in limits):
        return ""
    if isinstance(locator, DateLocator):
        first, last = (num2date(value).date().isoformat() for value in limits)  # type: ignore[no-untyped-call]
    else:
        first, last = (f"{value:.3g}".replace("-", "−") for value in limits)
    return f", {first} to {last}"


def _hide_text(figure: Figure) -> None:
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_visible(False)
    for legend in [legend for axes in figure.axes if (legend := axes.get_legend()) is not None]:
        legend.remove()
    # Soft edges are colours that a small picture has no room for.
    for artist in figure.findobj(lambda artist: hasattr(artist, "set_antialiased")):
        artist.set_antialiased(False)  # type: ignore[attr-defined]


def _drawn(figure: Figure, width: int) -> Any:
    from PIL import Image

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=width / figure.get_figwidth())
    return Image.open(buffer).convert("RGB")


def _encoded(picture: Any, width: int) -> str:
    from PIL import Image

    small = picture.resize((width, picture.height * width // picture.width), Image.Resampling.BOX)
    buffer = io.BytesIO()
    small.quantize(COLOURS, dither=0).save(buffer, format="png", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()
