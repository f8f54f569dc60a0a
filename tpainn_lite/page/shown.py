"""One output for notebooks and for pages: an anywidget, HTML that needs nothing else, a still picture, words.

A scene (a dict) and a script (an ES module with `render` for anywidget and `show` for pages) make a box that answers to
its reader without a kernel.  Where no script may run, the picture stands in its place, or what is seen, in words.
"""

import base64
import hashlib
import html
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


class Shown:
    """What an explanation returns: one output in several formats.

    ``scene`` is what the page gets, ``html`` a page's part that needs nothing else, ``widget`` the same for notebooks
    (None without anywidget), ``png`` a picture of how it begins (or None) and ``alt`` what is seen, in words.
    """

    def __init__(self, scene: dict[str, Any], scripts: tuple[str, ...], picture: bytes | None = None):
        self.scene, self.png, self.alt = scene, picture, scene["alt"]
        self.script = "".join(map(source, scripts))
        self.widget = _widget(scene, scripts)

    @property
    def html(self) -> str:
        """A picture or words, the scene as JSON, and the script that brings it to life."""
        text = json.dumps(self.scene, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
        name = hashlib.sha256(text.encode()).hexdigest()[:12]
        still = f"<p>{html.escape(self.alt)}</p>" if self.png is None else (
            f'<img src="data:image/png;base64,{_text(self.png)}" alt="{html.escape(self.alt)}" style="max-width: 100%">'
        )  # fmt: skip
        start = (
            f"for (const place of document.querySelectorAll('[data-shown=\"{name}\"]:not([data-alive])')) {{\n"
            '    place.dataset.alive = "yes";\n'
            "    show(place, JSON.parse(place.nextElementSibling.textContent));\n}"
        )
        return (
            f'<div class="tpainn-shown" data-shown="{name}">{still}</div>'
            f'<script type="application/json">{text}</script>'
            f'<script type="module">{self.script}\n{start}\n</script>'
        )

    def _repr_mimebundle_(self, include=None, exclude=None):
        bundle = self.widget._repr_mimebundle_() if self.widget is not None else None
        live = bundle[0] if isinstance(bundle, tuple) else bundle or {}
        picture = {} if self.png is None else {"image/png": _text(self.png)}
        return dict(live) | {"text/html": self.html, "text/plain": self.alt} | picture


@lru_cache
def source(name: str) -> str:
    """The text of a file of this folder."""
    return (FOLDER / name).read_text(encoding="utf-8")


def _text(content):
    return base64.b64encode(content).decode()


def _widget(scene, scripts):
    """An anywidget that shows the scene, or None where that package is missing."""
    try:
        return _widget_class(scripts)(scene=scene)
    except ImportError:
        return None


@lru_cache
def _widget_class(scripts):
    import anywidget
    import traitlets

    class ShownWidget(anywidget.AnyWidget):
        """The scene, as the page gets it."""

        _esm = "".join(map(source, scripts))
        scene = traitlets.Dict().tag(sync=True)

    return ShownWidget
