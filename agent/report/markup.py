"""The few pieces of HTML that the page is made of. What comes from a record goes through ``escape``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

__all__ = ["card", "code", "details", "escape", "facts", "grid", "listed", "said", "section", "table"]


def section(title: str, *parts: str) -> str:
    """A section under a heading."""
    return f"<section>\n<h2>{escape(title)}</h2>\n" + "\n".join(parts) + "\n</section>"


def said(text: str) -> str:
    """A plain sentence, such as one in the place of a picture."""
    return f"<p>{escape(text)}</p>"


def card(picture: str, caption: str) -> str:
    """A picture on a white card with its caption."""
    unbroken = escape(caption).replace("e/Å", "e/\N{WORD JOINER}Å")
    return f"<figure><div class=card>{picture}</div><figcaption>{unbroken}</figcaption></figure>"


def grid(cards: Iterable[str], columns: int) -> str:
    """Cards side by side, fewer on a narrow screen."""
    return f'<div class="grid of{columns}">' + "\n".join(cards) + "</div>"


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Names with what they are."""
    return "<dl>" + "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in pairs) + "</dl>"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: frozenset[int] = frozenset()) -> str:
    """A table of texts; the columns ``numbers`` are set flush right."""
    names = "".join(f"<th{_flush(n, numbers)}>{escape(name)}</th>" for n, name in enumerate(head))
    body = "".join(
        "<tr>" + "".join(f"<td{_flush(n, numbers)}>{escape(cell)}</td>" for n, cell in enumerate(row)) + "</tr>\n"
        for row in rows
    )
    return f"<div class=wide><table><thead><tr>{names}</tr></thead>\n<tbody>{body}</tbody></table></div>"


def _flush(column: int, numbers: frozenset[int]) -> str:
    return " class=n" if column in numbers else ""


def listed(items: Iterable[str]) -> str:
    """A list of texts."""
    return "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>"


def details(summary: str, content: str) -> str:
    """Something that opens on demand."""
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"


def code(text: str) -> str:
    """Lines of code."""
    return f"<pre><code>{escape(text)}</code></pre>"
