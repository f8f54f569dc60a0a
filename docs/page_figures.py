"""A live Plotly figure as HTML: its JSON, its picture, and words for who sees neither; site.figures.js draws it."""

import html
import re
from pathlib import Path

from plotly.io.json import to_json_plotly
from plotly.offline import get_plotlyjs

WIDTH, HEIGHT = 760, 450
SITE = Path(__file__).parent / "site"


def figure_html(figure, number, address=None):
    """A figure, and in its ``states`` what controls choose among; its picture is at `address` until it is drawn."""
    alt = html.escape(describe(figure))
    name, spec = f"figure-{number}", to_json_plotly(figure).replace("<", "\\u003c")
    size = f'width="{WIDTH}" height="{height(figure)}"'
    still = f'<img class="still" src="{address}" alt="{alt}" {size} loading="lazy">' if address else ""
    title = html.escape(text_of(figure.get("layout", {}).get("title")))
    return (
        f'<figure class="plot" id="{name}" style="--height: {height(figure)}px">'
        f"<figcaption{'' if title else ' hidden'}>{title}</figcaption>"
        f'<div class="live" role="group" aria-label="{alt}" hidden></div>{still}'
        f'<script type="application/json">{spec}</script></figure>'
    )


def with_scripts(figure):
    """A figure's HTML after all that a page of its own needs to show it, and those that follow."""
    style, script = ((SITE / f"site.figures.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    return f"<style>{style}</style><script>{get_plotlyjs()}</script><script>{script}</script>{figure}"


def height(figure):
    return int(figure.get("layout", {}).get("height") or HEIGHT)


def describe(figure):
    """What a figure shows, in words: its title, its axes, the names of its curves, its controls."""
    layout = figure.get("layout", {})
    title, y, x = text_of(layout.get("title")), *(text_of(layout.get(k, {}).get("title")) for k in ("yaxis", "xaxis"))
    panels = [text_of(note) for note in layout.get("annotations", ()) if text_of(note)]
    names = list(dict.fromkeys(plain(str(trace["name"])) for trace in figure.get("data", ()) if trace.get("name")))
    controls = [control["name"] for control in figure.get("states", {}).get("controls", ())]
    words = [f"Plot: {title}." if title else "Plot."]
    if x or y:
        words.append(f"{y or 'Values'} against {x or 'number'}.")
    words += [f"Panels and notes: {', '.join(panels[:6])}."] if panels else []
    words += [f"Shown: {', '.join(names[:8])}."] if names else []
    words += [f"Controls: {', '.join(controls)}."] if controls else []
    return " ".join(words)


def text_of(title):
    """The words of a Plotly title, which is a dictionary, a string or nothing."""
    text = title.get("text", "") if isinstance(title, dict) else title
    return plain(str(text or ""))


def plain(text):
    """The words of a piece of HTML."""
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", "", text))).strip()
