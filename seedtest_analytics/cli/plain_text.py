"""Texts of files and data on the terminal: shown as they are, never as markup or as terminal control."""

from rich.markup import escape


def plain(text: str) -> str:
    """A text for a rich console. Markup is escaped, and a control character is shown as its code."""
    return escape("".join(c if c.isprintable() or c in " \n" else c.encode("unicode_escape").decode() for c in text))
