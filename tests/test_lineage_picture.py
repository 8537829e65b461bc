"""The picture of the assets: nothing overlaps, and a name is never markup."""

from __future__ import annotations

import itertools
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

import lineage_picture as picture  # noqa: E402

SVG = "{http://www.w3.org/2000/svg}"
GRAPH = {
    "a": set(),
    "b": {"a"},
    "c": {"a", "b"},
    "d": {"a", "c"},
    "e": {"a"},
    "alone": set(),
    "long_name_of_an_asset": {"e"},
}


def boxes(svg: str) -> list[tuple[float, float, float, float]]:
    found = ElementTree.fromstring(svg).iter(f"{SVG}rect")
    return [tuple(float(r.attrib[k]) for k in ("x", "y", "width", "height")) for r in found if r.get("class") == "box"]


@pytest.fixture(params=["small", "docs"])
def svg(request: pytest.FixtureRequest) -> str:
    if request.param == "docs":
        return (ROOT / "docs" / "lineage.svg").read_text(encoding="utf-8")
    return picture.drawn(GRAPH, groups={name: "of " + name for name in GRAPH})


def test_no_box_overlaps_another(svg: str) -> None:
    found = boxes(svg)
    assert len(found) >= len(GRAPH)
    for (x1, y1, w1, h1), (x2, y2, w2, h2) in itertools.combinations(found, 2):
        assert x1 + w1 < x2 or x2 + w2 < x1 or y1 + h1 < y2 or y2 + h2 < y1


def test_every_text_is_inside_its_box(svg: str) -> None:
    for group in ElementTree.fromstring(svg).iter(f"{SVG}g"):
        box = group[0].attrib
        for text in group[1:]:
            right = float(text.attrib["x"]) + len(text.text or "") * picture.CHARACTER
            assert right <= float(box["x"]) + float(box["width"])
            assert float(box["y"]) < float(text.attrib["y"]) < float(box["y"]) + float(box["height"])


def test_no_edge_goes_through_a_box(svg: str) -> None:
    """The upright part of an edge is the one that passes boxes of its layer."""
    for path in ElementTree.fromstring(svg).iter(f"{SVG}path"):
        upright = re.match(r"M([\d.]+) ([\d.]+)V([\d.]+)C", path.attrib["d"])
        if upright:
            x, top, bottom = map(float, upright.groups())
            assert not [b for b in boxes(svg) if b[0] < x < b[0] + b[2] and b[1] < bottom - 1 and b[1] + b[3] > top + 1]


def test_a_shorter_way_is_left_out() -> None:
    assert picture.reduced(GRAPH)["d"] == {"c"}
    assert picture.reduced(GRAPH)["c"] == {"b"}


def test_names_of_a_group_with_the_same_inputs_share_a_box() -> None:
    nodes = picture.nodes_of({"a": set(), "b": {"a"}, "c": {"a"}, "d": {"a"}}, dict(a="x", b="y", c="y", d="z"))
    assert [node.lines for node in nodes] == [("a",), ("b", "c"), ("d",)]


def test_the_order_has_few_crossings() -> None:
    """Two chains that begin in the wrong order."""
    graph = {"a": set(), "b": set(), "c": {"b"}, "d": {"a"}}
    layers = picture.layers_of(picture.nodes_of(graph, {name: name for name in graph}))
    layers[1].sort(key=lambda node: node.lines)
    assert picture.crossings(layers) == 1
    assert picture.crossings(picture.ordered(layers)) == 0


def test_a_name_is_text_in_the_picture() -> None:
    assert "&lt;b&gt;" in picture.drawn({"<b>": set()}, groups={"<b>": "x"})
