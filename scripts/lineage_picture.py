"""Draws an acyclic graph as SVG, from top to bottom, with colours for light and dark surroundings.

Layers (Sugiyama): a node stands one layer below the lowest of its inputs, an edge over several layers gets a bend in each,
the order within a layer is that of the mean position of its neighbours, and the places are the least-squares ones that
keep the order and the distances. The same graph always gives the same picture.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

CHARACTER, LINE, PADDING = 7.3, 17.0, 10.0
"""Width of a character of the monospaced font, height of a line and space around a text, in pixels."""
GAP_X, GAP_Y, BEND_WIDTH = 26.0, 56.0, 12.0
SWEEPS = 24
STYLE = """
text { font: 12px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; fill: #1c2430; }
text.group { font-weight: bold; fill: var(--ink); }
rect.box { fill: #ffffff; stroke: var(--ink); stroke-width: 1.3; }
path { fill: none; stroke: #7a8699; stroke-width: 1.2; }
marker path { fill: #7a8699; stroke: none; }
rect.page { fill: #fbfcfe; }
g { --ink: hsl(var(--hue) 70% 32%); }
@media (prefers-color-scheme: dark) {
  text { fill: #e6ebf3; }
  rect.box { fill: #1d2531; }
  path { stroke: #8d99ad; }
  marker path { fill: #8d99ad; }
  rect.page { fill: #12171f; }
  g { --ink: hsl(var(--hue) 75% 72%); }
}
""".strip()


@dataclass(eq=False)
class Node:
    """A box with its lines, or the bend of an edge, which has none."""

    layer: int
    lines: tuple[str, ...] = ()
    group: str = ""
    above: list[Node] = field(default_factory=list)
    below: list[Node] = field(default_factory=list)
    x: float = 0.0

    @property
    def width(self) -> float:
        texts = (self.group, *self.lines)
        return max(map(len, texts)) * CHARACTER + 2 * PADDING if self.lines else BEND_WIDTH

    @property
    def height(self) -> float:
        return (len(self.lines) + 1) * LINE + PADDING if self.lines else 0.0


def reduced(inputs: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The same graph without edges that a longer way replaces."""
    above: dict[str, set[str]] = {}

    def all_above(name: str) -> set[str]:
        if name not in above:
            above[name] = inputs[name].union(*(all_above(parent) for parent in inputs[name]))
        return above[name]

    return {
        name: {parent for parent in parents if not any(parent in all_above(other) for other in parents)}
        for name, parents in inputs.items()
    }


def nodes_of(inputs: Mapping[str, set[str]], groups: Mapping[str, str]) -> list[Node]:
    """One node for all names of a group with the same inputs."""
    together: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for name, parents in sorted(reduced(inputs).items()):
        together.setdefault((groups[name], tuple(sorted(parents))), []).append(name)
    made: dict[str, Node] = {}

    def node(name: str) -> Node:
        if name not in made:
            (group, parents), names = next(one for one in together.items() if name in one[1])
            above = list(dict.fromkeys(node(parent) for parent in parents))
            layer = 1 + max((one.layer for one in above), default=-1)
            made.update(dict.fromkeys(names, Node(layer, tuple(names), group=group, above=above)))
        return made[name]

    return list(dict.fromkeys(node(name) for name in inputs))


def layers_of(nodes: Sequence[Node]) -> list[list[Node]]:
    """The nodes by layer, with a bend in each layer that an edge crosses. Bends of one node's edges are shared."""
    layers: list[list[Node]] = [[] for _ in range(1 + max(node.layer for node in nodes))]
    bends: dict[tuple[int, int], Node] = {}
    for node in nodes:
        layers[node.layer].append(node)
        parents, node.above = node.above, []
        for parent in parents:
            upper = parent
            for layer in range(parent.layer + 1, node.layer):
                key = id(parent), layer
                if key not in bends:
                    bends[key] = Node(layer)
                    layers[layer].append(bends[key])
                    _join(upper, bends[key])
                upper = bends[key]
            _join(upper, node)
    return layers


def _join(upper: Node, lower: Node) -> None:
    upper.below.append(lower)
    lower.above.append(upper)


def crossings(layers: Sequence[Sequence[Node]]) -> int:
    """Pairs of edges that cross."""
    found = 0
    for upper, lower in itertools.pairwise(layers):
        place = {id(node): number for number, node in enumerate(lower)}
        ends = [(number, place[id(below)]) for number, node in enumerate(upper) for below in node.below]
        found += sum((a < c and b > d) or (a > c and b < d) for i, (a, b) in enumerate(ends) for c, d in ends[:i])
    return found


def ordered(layers: list[list[Node]]) -> list[list[Node]]:
    """Each layer in the order of the mean place of its neighbours; the best of several sweeps down and up."""
    best = [list(layer) for layer in layers]
    for sweep in range(SWEEPS):
        is_down = sweep % 2 == 0
        for layer, neighbours in zip(*_pairs(layers, is_down=is_down), strict=True):
            place = {id(node): (number + 0.5) / len(neighbours) for number, node in enumerate(neighbours)}
            own = {id(node): (number + 0.5) / len(layer) for number, node in enumerate(layer)}
            layer.sort(key=_mean_place(place, own, is_down=is_down))
        if crossings(layers) < crossings(best):
            best = [list(layer) for layer in layers]
    return best


def _pairs(layers: list[list[Node]], *, is_down: bool) -> tuple[list[list[Node]], list[list[Node]]]:
    return (layers[1:], layers[:-1]) if is_down else (layers[-2::-1], layers[:0:-1])


def _mean_place(place: Mapping[int, float], own: Mapping[int, float], *, is_down: bool) -> Callable[[Node], float]:
    def of(node: Node) -> float:
        near = node.above if is_down else node.below
        return sum(place[id(one)] for one in near) / len(near) if near else own[id(node)]

    return of


def place(layers: Sequence[Sequence[Node]]) -> None:
    """Give every node the middle of its neighbours as far as the order and the distances allow."""
    for layer in layers:
        spread(layer, [0.0] * len(layer))
    for sweep in range(2 * SWEEPS):
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            wanted = []
            for node in layer:
                near = [*node.above, *node.below]
                wanted.append(sum(one.x for one in near) / len(near) if near else node.x)
            spread(layer, wanted)


def spread(layer: Sequence[Node], wanted: Sequence[float]) -> None:
    """The places nearest to the wanted ones (least squares) with the order kept and no two nodes too close."""
    offsets = [0.0]
    for left, right in itertools.pairwise(layer):
        offsets.append(offsets[-1] + (left.width + right.width) / 2 + GAP_X)
    blocks: list[tuple[float, int]] = []
    for want, offset in zip(wanted, offsets, strict=True):
        total, count = want - offset, 1
        while blocks and blocks[-1][0] / blocks[-1][1] >= total / count:
            more = blocks.pop()
            total, count = total + more[0], count + more[1]
        blocks.append((total, count))
    starts = [total / count for total, count in blocks for _ in range(count)]
    for node, start, offset in zip(layer, starts, offsets, strict=True):
        node.x = start + offset


def drawn(inputs: Mapping[str, set[str]], *, groups: Mapping[str, str]) -> str:
    """The picture. ``inputs`` has the names that each name depends on."""
    layers = ordered(layers_of(nodes_of(inputs, groups)))
    place(layers)
    nodes = [node for layer in layers for node in layer]
    left = min(node.x - node.width / 2 for node in nodes) - GAP_X
    width = max(node.x + node.width / 2 for node in nodes) + GAP_X - left
    tops, y = [], GAP_X
    heights = [max(node.height for node in layer) for layer in layers]
    for height in heights:
        tops.append(y)
        y += height + GAP_Y
    height = y - GAP_Y + GAP_X
    hues = {
        group: round(360 * number / len(set(groups.values())))
        for number, group in enumerate(sorted(set(groups.values())))
    }
    boxes = [_box(node, node.x - left, top=tops[node.layer], hue=hues[node.group]) for node in nodes if node.lines]
    edges = [
        _edge(
            (upper.x - left, tops[upper.layer] + upper.height),
            (lower.x - left, tops[lower.layer]),
            straight_to=tops[upper.layer] + heights[upper.layer],
            is_end=bool(lower.lines),
        )
        for upper in nodes
        for lower in upper.below
    ]
    size = f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}"'
    marker = (
        '<marker id="end" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z"/></marker>'
    )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="title">',
            '<title id="title">The assets and what they depend on</title>',
            f"<style>{STYLE}</style>",
            f"<defs>{marker}</defs>",
            '<rect class="page" width="100%" height="100%" rx="6"/>',
            *edges,
            *boxes,
            "</svg>",
        ]
    )


def _box(node: Node, x: float, *, top: float, hue: int) -> str:
    left = x - node.width / 2
    texts = [(node.group, ' class="group"'), *((line, "") for line in node.lines)]
    words = "".join(
        f'<text x="{left + PADDING:.1f}" y="{top + PADDING / 2 + LINE * (number + 0.75):.1f}"{kind}>{escape(text)}</text>'
        for number, (text, kind) in enumerate(texts)
    )
    box = f'<rect class="box" x="{left:.1f}" y="{top:.1f}" width="{node.width:.1f}" height="{node.height:.1f}" rx="4"/>'
    return f'<g style="--hue:{hue}">{box}{words}</g>'


def _edge(start: tuple[float, float], end: tuple[float, float], *, straight_to: float, is_end: bool) -> str:
    """Straight down to the end of the layer, then bent: it does not touch the boxes beside it."""
    (x1, y1), (x2, y2) = start, end
    middle = (straight_to + y2) / 2
    head = ' marker-end="url(#end)"' if is_end else ""
    return f'<path d="M{x1:.1f} {y1:.1f}V{straight_to:.1f}C{x1:.1f} {middle:.1f} {x2:.1f} {middle:.1f} {x2:.1f} {y2:.1f}"{head}/>'
