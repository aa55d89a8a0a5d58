"""One HTML page that needs nothing but itself: no script, no font, no picture from elsewhere.

Every text is escaped where it enters the page, so that the name of a folder or a class cannot be
anything but text; and a content security policy forbids what could be fetched or run.
"""

import html
import io
import re
from collections.abc import Iterable, Sequence

from matplotlib.figure import Figure

from cnnjax.studies.figures import house_style

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1b1f24; background: #fff; margin: 2rem auto;
  max-width: 62rem; padding: 0 1.2rem; }
h1 { font-size: 1.6rem; line-height: 1.25; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
.verdict { background: #eef4fb; border-left: 5px solid #1f5fa8; padding: .8rem 1.1rem; }
.verdict p { margin: .3rem 0; } .lead { font-size: 1.15rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid #d8dee4; }
th { border-bottom: 2px solid #57606a; vertical-align: bottom; }
th:first-child, td:first-child, td.text, th.text { text-align: left; }
tr.marked td { background: #eef4fb; font-weight: 600; }
pre { background: #f6f8fa; padding: .8rem 1rem; white-space: pre-wrap; overflow-wrap: anywhere; }
code { font-family: ui-monospace, monospace; font-size: .92em; }
figure { margin: 1rem 0; } figure svg { max-width: 100%; height: auto; }
figcaption, .note { color: #57606a; font-size: .92rem; }
"""

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def escape(text: object) -> str:
    """Text as it may stand anywhere in a page; what is no Unicode (a file's name) is replaced.

    >>> escape('<b>"cats" & dogs')
    '&lt;b&gt;&quot;cats&quot; &amp; dogs'
    """
    return html.escape(str(text).encode("utf-8", "replace").decode("utf-8"))


def page(title: str, parts: Iterable[str]) -> str:
    """The whole page.

    Args:
      title: as text.
      parts: as HTML, made by the functions of this file.
    """
    return (
        "<!DOCTYPE html>\n"
        '<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{escape(title)}</h1>\n" + "\n".join(parts) + "\n</body>\n</html>\n"
    )


def heading(text: str) -> str:
    """The heading of a section."""
    return f"<h2>{escape(text)}</h2>"


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph; `kind` is "note" for small print, "lead" for what comes first."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def box(parts: Iterable[str]) -> str:
    """Parts that stand out."""
    return '<div class="verdict">\n' + "\n".join(parts) + "\n</div>"


def listing(items: Iterable[str]) -> str:
    """A list of texts."""
    return "<ul>\n" + "\n".join(f"<li>{escape(item)}</li>" for item in items) + "\n</ul>"


def command(text: str) -> str:
    """A command line, to be copied."""
    return f"<pre><code>{escape(text)}</code></pre>"


def table(
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    marked: int | None = None,
    texts: Sequence[int] = (),
) -> str:
    """A table; numbers are to be formatted by the caller.

    Args:
      columns: their headings.
      rows: the cells; None is an empty one.
      marked: the row that stands out.
      texts: numbers of the columns, besides the first, that hold text rather than numbers.
    """

    def cell(tag: str, position: int, content: object) -> str:
        kind = ' class="text"' if position in texts else ""
        return f"<{tag}{kind}>{'' if content is None else escape(content)}</{tag}>"

    head = "".join(cell("th", i, column) for i, column in enumerate(columns))
    lines = []
    for number, row in enumerate(rows):
        kind = ' class="marked"' if number == marked else ""
        lines.append(f"<tr{kind}>{''.join(cell('td', i, c) for i, c in enumerate(row))}</tr>")
    body = "\n".join(lines)
    return (
        f'<div class="scroll"><table>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody>\n</table></div>"
    )


def drawing(figure: Figure, caption: str) -> str:
    """A figure inlined as SVG, as one picture with its caption as the text for those who hear it.

    Args:
      figure: to draw.
      caption: what it shows.
    """
    text = io.StringIO()
    with house_style():
        figure.savefig(text, format="svg", metadata={"Date": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = svg.replace("<svg ", f'<svg role="img" aria-label="{escape(caption)}" ', 1)
    return f"<figure>\n{svg}\n<figcaption>{escape(caption)}</figcaption>\n</figure>"
