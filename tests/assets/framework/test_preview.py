"""Tables and plots for the page of an asset."""

import base64
import dataclasses
import struct
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, text

from seedtest_analytics.assets.framework.preview import (
    Forest,
    Plot,
    forest_plot,
    histogram,
    markdown_table,
    new_figures,
    table_preview,
)

FOREST = Forest(
    ["low", "high", "wide"],
    [0.5, 2.0, 1.0],
    lower=[0.25, 1.5, 0.2],
    upper=[0.9, 3.0, 9.0],
    is_marked=[True, True, False],
)


def lines(metadata: Any) -> list[str]:
    return str(metadata.value).split("\n")


def test_a_table_shortens_numbers_and_marks_what_is_missing() -> None:
    rows = [["a", 1_234_567, 0.123456, None, True], ["b", 0, 1e-9, "x", False]]
    assert lines(markdown_table(["name", "n", "p", "note", "is_new"], rows)) == [
        "| name | n | p | note | is_new |",
        "|---|---|---|---|---|",
        "| a | 1,234,567 | 0.1235 | – | True |",
        "| b | 0 | 1e-09 | x | False |",
    ]


def test_a_cell_cannot_break_the_table_or_become_markup() -> None:
    (*_, row) = lines(markdown_table(["topic"], [["a|b <script>\nc"]]))
    assert row == "| a&#124;b &lt;script&gt; c |"


def test_a_single_wide_row_is_shown_upright() -> None:
    assert lines(markdown_table(list("abcde"), [[1, 2, 3, 4, 5]]))[2:] == [
        f"| {c} | {n} |" for n, c in enumerate("abcde", 1)
    ]
    assert lines(markdown_table(list("abcd"), [[1, 2, 3, 4]]))[0] == "| a | b | c | d |"
    assert lines(markdown_table(list("ab"), [])) == ["| a | b |", "|---|---|"]


def test_a_preview_is_the_table_of_a_statements_rows(shared_database: Engine) -> None:
    with shared_database.connect() as connection:
        found = table_preview(connection, text("SELECT :n AS n, 'x|y' AS name"), parameters={"n": 2})
    assert lines(found) == ["| n | name |", "|---|---|", "| 2 | x&#124;y |"]


def size_of(metadata: Any) -> tuple[int, int]:
    """Width and height of the inline PNG."""
    head, encoded = str(metadata.value).removesuffix(")").split(",")
    assert head == "![plot](data:image/png;base64"
    image = base64.b64decode(encoded)
    assert image.startswith(b"\x89PNG")
    assert b"Software" not in image, "the image names no version of matplotlib"
    return struct.unpack(">II", image[16:24])  # type: ignore[return-value]


def test_a_figure_is_an_inline_image_that_is_the_same_every_time() -> None:
    values = list(np.linspace(-1, 1, 50))
    first, second = (histogram(values, "Ability", label="θ").of_week("plot", "2026-09-14") for _ in range(2))
    assert first == second
    assert size_of(first["plot_in_full"]) == (660, 308)
    figure, all_axes = new_figures(3, 9.0, height=2.0)
    assert len(all_axes) == 3
    for axes in all_axes:
        axes.set(xlabel="θ", ylabel="students")
    assert size_of(Plot(figure).of_week("plot", "2026-09-14")["plot_in_full"]) == (990, 220)


def thumbnail_of(plot: Plot) -> str:
    markdown = str(plot.of_week("plot", "2026-09-14")["plot"].value)
    assert len(markdown) < 1_000, "Dagster hides it behind a link"
    return markdown


def test_a_thumbnail_is_short_enough_to_be_shown_at_once_and_names_week_and_axes() -> None:
    values = np.random.default_rng(5).normal(size=400)
    markdown = thumbnail_of(histogram(list(values), "Ability", label="θ"))
    assert markdown.startswith("week of 2026-09-14\n\n→ θ, −2.7 to 2.77 · ↑ students, 0 to ")
    width, height = size_of(SimpleNamespace(value=markdown.rsplit("\n\n", 1)[1]))
    assert width >= 300
    assert height == pytest.approx(width * 2.8 / 6, abs=1)
    forest = thumbnail_of(forest_plot(FOREST, "Items", label="b", rows_are="item", limits=()))
    assert "· ↑ item\n" in forest, "rows that are names have no range"
    assert size_of(SimpleNamespace(value=forest.rsplit("\n\n", 1)[1]))[0] >= 300


def test_a_plot_too_rich_for_a_thumbnail_keeps_its_caption(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seedtest_analytics.assets.framework.thumbnail.SHOWN_AT_ONCE", 200)
    figure, (axes,) = new_figures(1, 6.0, height=3.0)
    axes.imshow(np.random.default_rng(6).normal(size=(200, 200)), aspect="auto")
    axes.set(xlabel="week", ylabel="student")
    markdown = thumbnail_of(Plot(figure))
    assert "![plot]" not in markdown
    assert "→ week" in markdown


def test_a_plot_names_its_week_beside_its_title() -> None:
    plot = histogram([0.0, 1.0], "Ability", label="θ")
    plot.of_week("plot", "2026-09-14")
    assert plot.figure.axes[0].get_title(loc="left") == "Ability, week of 2026-09-14"
    plot = histogram([0.0, 1.0], "A" * 60, label="θ")
    plot.of_week("plot", "2026-09-14")
    assert plot.figure.axes[0].get_title(loc="left") == "A" * 60 + "\nweek of 2026-09-14"
    figure, panels = new_figures(2, 9.0, height=2.0)
    for panel, title in zip(panels, ("left", "right"), strict=True):
        panel.set_title(title, loc="left")
    figure.supxlabel("week")
    figure.supylabel("score")
    Plot(figure).of_week("plot", "2026-09-14")
    assert figure.get_suptitle() == "Week of 2026-09-14"
    figure.suptitle("Lines")
    Plot(figure).of_week("plot", "2026-09-14")
    assert figure.get_suptitle() == "Lines, week of 2026-09-14"


@pytest.mark.parametrize(("named", "missing"), [("xlabel", "y"), ("ylabel", "x")])
def test_a_plot_without_a_label_of_an_axis_is_an_error(named: str, missing: str) -> None:
    figure, (axes,) = new_figures(1, 6.0, height=3.0)
    axes.set(**{named: "θ"})
    axes.set_title("Ability", loc="left")
    with pytest.raises(ValueError, match=f"the plot 'Ability' has no label of axis {missing}"):
        Plot(figure).of_week("plot", "2026-09-14")


def test_a_forest_plot_draws_a_row_for_each_estimate_from_top_to_bottom() -> None:
    plot = forest_plot(FOREST, "Items", label="change of b", rows_are="item", limits=(-0.5, 0.5))
    (axes,) = plot.figure.axes
    assert axes.get_ylabel() == "item"
    assert [label.get_text() for label in axes.get_yticklabels()] == FOREST.labels
    assert list(axes.get_yticks()) == [2, 1, 0]
    intervals = axes.collections[0].get_segments()
    assert [(s[0][0], s[1][0], s[0][1]) for s in intervals] == [(0.25, 0.9, 2), (1.5, 3.0, 1), (0.2, 9.0, 0)]
    points = axes.collections[1].get_offsets()
    assert points.tolist() == [[0.5, 2], [2.0, 1], [1.0, 0]]
    assert [tuple(line.get_xdata()) for line in axes.lines] == [(-0.5, -0.5), (0.5, 0.5), (0.0, 0.0)]
    assert [line.get_linestyle() for line in axes.lines] == [":", ":", "-"]
    green, grey = axes.collections[1].get_facecolors()[[0, 2]]
    assert green[1] > green[0]
    assert not np.allclose(green, grey)
    assert (axes.get_title(loc="left"), axes.get_xlabel(), axes.get_xscale()) == ("Items", "change of b", "linear")


def test_a_row_that_cannot_be_judged_is_hollow_and_dashed_and_the_legend_says_so() -> None:
    forest = dataclasses.replace(FOREST, is_marked=[True, False, False], is_open=[False, False, True])
    plot = forest_plot(forest, "Items", label="b", rows_are="item", limits=(), marked="moved", unmarked="no drift")
    (axes,) = plot.figure.axes
    marked, judged, hollow = axes.collections[1].get_facecolors()
    assert hollow[:3].tolist() == [1.0, 1.0, 1.0]
    assert not np.allclose(marked, judged)
    solid, also_solid, dashed = axes.collections[0].get_linestyles()
    assert (solid[1], also_solid[1]) == (None, None)
    assert dashed[1] is not None
    (legend,) = plot.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["moved", "no drift", "cannot be judged"]


def test_ratios_are_drawn_on_a_logarithmic_axis_with_round_ticks() -> None:
    plot = forest_plot(
        FOREST, "Effects", label="hazard ratio", rows_are="covariate", limits=(), no_effect=1.0, is_log=True
    )
    (axes,) = plot.figure.axes
    assert axes.get_xscale() == "log"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.2", "0.5", "1", "2", "5", "10"]
    assert tuple(axes.lines[0].get_xdata()) == (1.0, 1.0)


def test_a_forest_plot_grows_with_its_rows() -> None:
    one = Forest(["a"], [0.0], lower=[-1.0], upper=[1.0], is_marked=[False])
    plots = [forest_plot(forest, "Items", label="b", rows_are="item", limits=()) for forest in (FOREST, one)]
    (_, tall), (_, low) = (size_of(plot.of_week("plot", "2026-09-14")["plot_in_full"]) for plot in plots)
    assert tall > low
