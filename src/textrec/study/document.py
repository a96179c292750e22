"""A report as a list of blocks, written as Markdown or as one HTML page that needs nothing else."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["Block", "Figure", "Heading", "Paragraph", "Table", "as_html", "as_markdown"]


@dataclass(frozen=True)
class Heading:
    """A heading of level 1 to 3."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Paragraph:
    """Text; `**bold**` and `` `code` `` are understood."""

    text: str


@dataclass(frozen=True)
class Table:
    """Cells are text; the first `left` columns stand left, the others right."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: int = 1


@dataclass(frozen=True)
class Figure:
    """A drawing that stands in `plots/` as SVG and PNG."""

    name: str
    caption: str
    svg: str


Block = Heading | Paragraph | Table | Figure

STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #111; background: #fff; max-width: 80rem; margin: 2rem auto;
  padding: 0 1rem; }
h1, h2, h3 { line-height: 1.2; } h2 { margin-top: 2.5rem; border-bottom: 1px solid #999; } h3 { margin-top: 1.8rem; }
p { max-width: 60rem; } code { font-size: 0.9em; background: #f2f2f2; padding: 0 0.2em; }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.25rem 0.5rem; border-bottom: 1px solid #ddd; text-align: right; white-space: nowrap; }
th { border-bottom: 2px solid #555; } .left { text-align: left; } tbody tr:hover { background: #f6f6f6; }
figure { margin: 1.5rem 0; } figcaption { font-size: 0.9rem; color: #333; max-width: 60rem; }
svg { max-width: 100%; height: auto; }
nav ul { columns: 2; padding-left: 1.2rem; } a { color: #0645ad; }
@media print { body { max-width: none; } h2, figure, table { break-inside: avoid; } nav { display: none; } }
"""


def as_markdown(blocks: Iterable[Block]) -> str:
    """GitHub's Markdown; figures are linked as `plots/NAME.svg`."""
    return "\n\n".join(_markdown(block) for block in blocks) + "\n"


def markdown_table(table: Table) -> str:
    """A table as Markdown."""
    marks = [":--" if place < table.left else "--:" for place in range(len(table.columns))]
    lines = [table.columns, marks, *table.rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def as_html(title: str, blocks: Sequence[Block]) -> str:
    """One page: style and drawings inside, no script, nothing from elsewhere."""
    entries = [block for block in blocks if isinstance(block, Heading) and block.level == 2]
    links = "".join(f'<li><a href="#{_anchor(entry.text)}">{html.escape(entry.text)}</a></li>' for entry in entries)
    body = [_html(block, number) for number, block in enumerate(blocks)]
    first = next((place for place, block in enumerate(blocks) if block in entries), len(blocks))
    body.insert(first, f'<nav aria-label="Contents"><ul>{links}</ul></nav>')
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(body)
        + "\n</main>\n</body>\n</html>\n"
    )


def _markdown(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"{'#' * level} {text}"
        case Paragraph(text):
            return text
        case Table():
            return markdown_table(block)
        case Figure(name, caption, _):
            return f"![{caption}](plots/{name}.svg)\n\n*{caption}*"


def _html(block: Block, number: int) -> str:
    match block:
        case Heading(text, level):
            place = f' id="{_anchor(text)}"' if level == 2 else ""  # lower headings stand in several sections
            return f"<h{level}{place}>{_inline(text)}</h{level}>"
        case Paragraph(text):
            return f"<p>{_inline(text)}</p>"
        case Table(columns, rows, left):
            head = "".join(_cell("th", text, place < left) for place, text in enumerate(columns))
            body = "".join(
                f"<tr>{''.join(_cell('td', text, place < left) for place, text in enumerate(row))}</tr>\n"
                for row in rows
            )
            return f'<div class="scroll"><table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table></div>'
        case Figure(_, caption, svg):
            drawing = _embedded(svg, f"f{number}-", caption)
            return f"<figure>{drawing}<figcaption>{_inline(caption)}</figcaption></figure>"


def _cell(tag: str, text: str, left: bool) -> str:
    kind = ' class="left"' if left else ""
    scope = ' scope="col"' if tag == "th" else ""
    return f"<{tag}{scope}{kind}>{_inline(text)}</{tag}>"


def _inline(text: str) -> str:
    safe = html.escape(text, quote=False)
    safe = re.sub(r"`([^`]+)`", r"<code>\1</code>", safe)
    return re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", safe)


def _embedded(svg: str, prefix: str, label: str) -> str:
    """The `<svg>` element alone, its ids made different from those of the other drawings on the page."""
    element = svg[svg.index("<svg") :]
    element = re.sub(r'\bid="', f'id="{prefix}', element)
    element = re.sub(r'(href="#|url\(#)', rf"\g<1>{prefix}", element)
    return element.replace("<svg", f'<svg role="img" aria-label="{html.escape(label)}"', 1)


def _anchor(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
