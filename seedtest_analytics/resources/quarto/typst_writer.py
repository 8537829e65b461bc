"""From a rendered page (HTML) to Typst, so that the PDF shows the same document.

The writer knows the elements that the reports use, and reads any page that has no others. Text becomes Typst strings and
never Typst code, so no name is markup there. ``quarto/report.typ`` has the design: one Typst function for each class that
looks different on paper. What a page opens on demand (the numbers of its charts) comes last, in small print.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = frozenset({"meta", "link", "br", "img", "input", "hr", "base"})
SKIPPED = frozenset({"style", "script", "template", "summary"})
BLOCKS = frozenset({"p", "ul", "table", "figure", "section", "article", "dl", "h1", "h2", "h3", "div"})
STYLED = frozenset(
    {"lead", "value", "note", "missing", "because", "meaning", "evidence", "tone", "finding", "ends", "student"}
)
"""Classes with a function of the same name in ``report.typ``."""
_SVG_DROPPED = re.compile(r"<(title|desc)>.*?</\1>", re.DOTALL)


@dataclass
class Element:
    """An element of the page; a child is an element or text. ``source`` is the markup of an SVG."""

    tag: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    children: list[Element | str] = field(default_factory=list)
    source: str = ""

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of the element."""
        return tuple(self.attributes.get("class", "").split())

    def find(self, *tags: str) -> Iterator[Element]:
        """Descendants with one of the tags, in the order of the page; not inside one another."""
        for child in self.children:
            if isinstance(child, Element):
                if child.tag in tags:
                    yield child
                else:
                    yield from child.find(*tags)

    @property
    def text(self) -> str:
        """The words inside."""
        return "".join(child if isinstance(child, str) else child.text for child in self.children)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("root")
        self._open = [self.root]
        self._svg: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {key: value or "" for key, value in attrs})
        if tag == "svg":
            self._svg = []
        if self._svg is not None:
            self._svg.append(self.get_starttag_text() or "")
        self._open[-1].children.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._svg is not None:
            self._svg.append(self.get_starttag_text() or "")
        else:
            self._open[-1].children.append(Element(tag))

    def handle_endtag(self, tag: str) -> None:
        if len(self._open) > 1:
            element = self._open.pop()
            if self._svg is not None:
                self._svg.append(f"</{tag}>")
                if tag == "svg":
                    element.source, self._svg = "".join(self._svg), None

    def handle_data(self, data: str) -> None:
        self._open[-1].children.append(data)
        if self._svg is not None:
            self._svg.append(html.escape(data))


def read_page(page: str) -> Element:
    """The elements of a page."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    return reader.root


class TypstWriter:
    """Writes the body of a page as Typst markup.

    ``glyphs`` are the code points that the fonts have; any other character is shown as ``[U+1F600]``. ``chart_style`` is
    the style sheet of the charts.
    """

    def __init__(self, glyphs: Collection[int], chart_style: str) -> None:
        self._glyphs, self._chart_style = glyphs, chart_style
        self._numbers: list[tuple[str, Element]] = []
        self._title = ""

    def document(self, page: Element) -> str:
        """The page, followed by the numbers of its charts."""
        (main,) = page.find("main") if any(page.find("main")) else page.find("body")
        body = self._inside(main)
        numbers = "".join(f"#number-table({_string(title)})[{self._inside(table)}]\n" for title, table in self._numbers)
        return body + (f"\n#numbers[{numbers}]\n" if numbers else "")

    def string(self, text: str) -> str:
        """A Typst string, with what no font shows made visible."""
        return _string("".join(c if self._is_shown(c) else f"[U+{ord(c):04X}]" for c in text))

    def _is_shown(self, character: str) -> bool:
        return character in "\n\u200c\u200d" or ord(character) in self._glyphs

    def _inside(self, element: Element) -> str:
        return "".join(self._text(c) if isinstance(c, str) else self._element(c) for c in element.children)

    def _text(self, text: str) -> str:
        shown = re.sub(r"\s+", " ", text)
        if not shown.strip():
            return " " if shown else ""
        return f"#{self.string(shown)};"

    def _element(self, element: Element) -> str:
        if element.tag in SKIPPED or "narrow" in element.classes:
            return ""
        write = self._WRITERS.get(element.tag)
        made = self._inside(element) if write is None else write(self, element)
        for name in element.classes:
            if name in STYLED:
                made = f"#{name}[{made.strip()}]"
        if element.tag == "p" and element.attributes.get("aria-hidden"):
            return ""
        return f"\n\n{made}\n\n" if element.tag in BLOCKS else made

    def _heading(self, element: Element) -> str:
        return f"#heading(level: {element.tag[1]})[{self._inside(element).strip()}]"

    def _strong(self, element: Element) -> str:
        return f"#strong[{self._inside(element)}]"

    def _list(self, element: Element) -> str:
        items = [item for item in element.children if isinstance(item, Element) and item.tag == "li"]
        if "advice" in element.classes:
            return "\n".join(f"#advice({_string(' '.join(i.classes))})[{self._inside(i)}]" for i in items)
        return f"#list({', '.join(f'[{self._inside(i).strip()}]' for i in items)})"

    def _span(self, element: Element) -> str:
        if "level" in element.classes:
            return f"#level({_string(element.classes[-1])})[{self._inside(element)}]"
        if "key" in element.classes:
            return f"#key({_string(element.classes[-1])})"
        return self._inside(element)

    def _facts(self, element: Element) -> str:
        pairs = zip(element.find("dt"), element.find("dd"), strict=True)
        return f"#facts({', '.join(f'[{self._inside(a)}], [{self._inside(b)}]' for a, b in pairs)})"

    def _div(self, element: Element) -> str:
        if not {"pair", "cards"} & set(element.classes):
            return self._inside(element)
        parts = [f"[{self._element(c).strip()}]" for c in element.children if isinstance(c, Element)]
        return f"#{'pair' if 'pair' in element.classes else 'cards'}({', '.join(parts)})"

    def _table(self, element: Element) -> str:
        caption = "".join(self._inside(c) for c in element.find("caption")).strip()
        rows = [list(row.find("th", "td")) for row in element.find("tr")]
        head, body = rows[0], rows[1:]
        columns = len(head)
        cells = ", ".join(self._cell(cell) for row in body for cell in row)
        header = ", ".join(f"[{self._inside(cell).strip()}]" for cell in head)
        kind = next((name for name in ("calendar", "prose") if name in element.classes), "rows")
        made = f"#{kind}({columns}, ({header}{',' if header else ''}), ({cells}{',' if cells else ''}))"
        return f"{made}\n#note[{caption}]" if caption else made

    def _cell(self, cell: Element) -> str:
        content = f"[{self._inside(cell).strip()}]"
        if cell.tag == "th":
            return f"row-name{content}"
        shade = next((name for name in cell.classes if name.startswith("shade")), None)
        return f"shade({shade[-1]}){content}" if shade else content

    def _figure(self, element: Element) -> str:
        captions = [c for c in element.children if isinstance(c, Element) and c.tag == "figcaption"]
        rest = Element("div", children=[c for c in element.children if c not in captions])
        heading = next((h.text for h in rest.find("h3")), "")
        charts = [svg for svg in rest.find("svg") if "narrow" not in svg.classes]
        self._title = heading or next((t.text for svg in charts for t in svg.find("title")), "")
        caption = "".join(self._inside(c) for c in captions).strip()
        return f"{self._inside(rest).strip()}\n#note[{caption}]"

    def _details(self, element: Element) -> str:
        self._numbers += [(self.string(self._title)[1:-1], table) for table in element.find("div")]
        return ""

    def _svg(self, element: Element) -> str:
        words = [part.text for name in ("title", "desc") for part in element.find(name)]
        width = float(element.attributes.get("width", "100"))
        source = _SVG_DROPPED.sub("", element.source)
        start = source.index(">") + 1
        source = f"{source[:start]}<style>{self._chart_style}</style>{source[start:]}"
        if "xmlns=" not in source[:start]:
            source = source.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
        is_inline = {"spark", "share", "gauge"} & set(element.classes)
        name = "small-chart" if is_inline else "chart"
        return f"#{name}({self.string(source)}, {self.string('. '.join(words))}, {width:g})"

    _WRITERS: Mapping[str, Callable[[TypstWriter, Element], str]] = {
        "h1": _heading,
        "h2": _heading,
        "h3": _heading,
        "strong": _strong,
        "ul": _list,
        "span": _span,
        "dl": _facts,
        "div": _div,
        "table": _table,
        "figure": _figure,
        "details": _details,
        "svg": _svg,
    }


def _string(text: str) -> str:
    """Text as a Typst string literal."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'
