"""Print the import graph of a package's children: `python scripts/import_graph.py [PACKAGE]`, by default the domains.

Rooms are the modules and folders directly below the package. An arrow is an import between two rooms. Floors count the
longest chain of imports. A circle is a set of rooms that import each other. Imports inside functions count, and so do
those behind TYPE_CHECKING.
"""

from __future__ import annotations

import sys
from graphlib import CycleError, TopologicalSorter

import grimp

DOMAINS = "seedtest_analytics.assets"


def rooms_and_arrows(package: str) -> dict[str, set[str]]:
    """Each room with the rooms that it imports."""
    graph = grimp.build_graph(package.split(".", maxsplit=1)[0])
    below = f"{package}."
    arrows: dict[str, set[str]] = {child.removeprefix(below): set() for child in graph.find_children(package)}
    for importer in graph.modules:
        for imported in graph.find_modules_directly_imported_by(importer):
            if importer.startswith(below) and imported.startswith(below):
                source, target = (name.removeprefix(below).split(".", maxsplit=1)[0] for name in (importer, imported))
                if source != target:
                    arrows[source].add(target)
    return arrows


def floors_of(arrows: dict[str, set[str]]) -> dict[str, int]:
    """The floor of each room: 1 for a room without imports, else one above the highest room that it imports."""
    floors: dict[str, int] = {}
    for room in TopologicalSorter(arrows).static_order():
        floors[room] = 1 + max((floors[target] for target in arrows[room]), default=0)
    return floors


def main(package: str) -> None:
    """Print one line with the counts, then each room with its floor and what it imports."""
    arrows = rooms_and_arrows(package)
    try:
        floors, circles = floors_of(arrows), 0
    except CycleError as error:
        print(f"circle: {' -> '.join(error.args[1])}")  # noqa: T201
        floors, circles = {}, 1
    n_arrows = sum(map(len, arrows.values()))
    print(f"rooms {len(arrows)}, floors {max(floors.values(), default=0)}, arrows {n_arrows}, circles {circles}")  # noqa: T201
    for room in sorted(arrows, key=lambda room: (-floors.get(room, 0), room)):
        print(f"{floors.get(room, 0)}  {room:16} {' '.join(sorted(arrows[room]))}")  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else DOMAINS)
