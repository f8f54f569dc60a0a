"""Markdown of the notebooks and of docs/ as HTML that needs no network: formulas as MathML, links within the site."""

import html
import posixpath
import re
from urllib.parse import unquote, urlsplit

from latex2mathml.converter import convert
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from page_figures import plain as plain

SOURCE = "https://github.com/tpainn-lite/tpainn-lite/blob/main/"
LONG = 16  # letters of code that fit into the cell of a table


class SiteError(Exception):
    """Something about the site is wrong; the message says what, and where."""


class SiteRenderer(IPythonRenderer):
    """mistune's renderer with the site's anchors, tables, formulas, links and pictures.

    One renderer makes one page: it remembers the page's headings.

    Parameters
    ----------
    folder : str
        Of the source, relative to the repository: "notebooks" or "docs".
    pages : dict
        {path of a source in the repository: its page in the site}.
    exists : callable(path in the repository) -> bool
    picture : callable(path in the repository) -> str
        Puts a picture into the site and gives its address there.
    """

    def __init__(self, folder, pages, exists, picture):
        super().__init__(escape=False)
        self.folder, self.pages, self.exists, self.picture = folder, pages, exists, picture
        self.headings = []  # (level, anchor, HTML)

    def heading(self, text, level, **_):
        """A heading with an anchor; each anchor is used once."""
        anchor = slug(text)
        taken = {name for _, name, _ in self.headings}
        anchor = next(a for a in [anchor, *(f"{anchor}-{k}" for k in range(1, 99))] if a not in taken)
        self.headings.append((level, anchor, text))
        return f'<h{level} id="{anchor}">{text}</h{level}>\n'

    def table(self, text):
        """A table that scrolls sideways by itself where the window is narrow; an empty heading is no heading."""
        text = re.sub(r"<th( [^>]*)?></th>", "<td></td>", text)
        columns = len(re.findall("<t[hd]", text.split("</tr>")[0]))
        kind = "numbers" if text.count(" ± ") > 2 else "broad" if columns > 3 else "plain"
        return f'<div class="wide"><table class="{kind}">\n{text}</table></div>\n'

    def codespan(self, text):
        """Code in a line; a long name may be broken behind its dots, dashes and slashes."""
        text = html.escape(text, quote=False)
        if len(text) > LONG:
            text = re.sub(r"(?<=[a-z0-9])([_./(=])(?=[^\s_./)=;])", r"\1<wbr>", text)
        return f"<code>{text}</code>"

    def inline_math(self, body):
        return mathml(body, "inline")

    def block_math(self, body):
        return f'<div class="wide formula">{mathml(body, "block")}</div>'

    def link(self, text, url, title=None):
        return f'<a href="{html.escape(self.address(url))}">{text}</a>'

    def image(self, text, url, title=None):
        """A picture of the repository; one from the network (a badge) gives way to its words."""
        if urlsplit(url).scheme in ("http", "https"):
            return text
        if not text:
            raise SiteError(f"the picture {url} has no words that say what it shows")
        return f'<img src="{self.picture(self.in_repository(url))}" alt="{html.escape(text)}">'

    def block_html(self, text):
        """A folded answer is written as one line of HTML; what is in it is Markdown, too."""
        folded = re.fullmatch(r"\s*<details><summary>(.*?)</summary>(.*?)</details>\s*", text, flags=re.DOTALL)
        if not folded:
            return super().block_html(text)
        question, answer = (self.inline(part) for part in folded.groups())
        return f"<details><summary>{question}</summary><p>{answer}</p></details>\n"

    def inline(self, text):
        """A line of Markdown as HTML, without the paragraph around it."""
        return re.sub(r"^<p>|</p>\s*$", "", MarkdownWithMath(self).render(text).strip())

    def address(self, url):
        """Where a link of the source leads from the site: to a page of it, or to the repository."""
        parts = urlsplit(url)
        if parts.scheme or not parts.path:
            return url
        path = self.in_repository(parts.path)
        anchor = f"#{parts.fragment}" if parts.fragment else ""
        return (self.pages.get(path) or SOURCE + path) + anchor

    def in_repository(self, path):
        """The path of a file, relative to the repository."""
        path = posixpath.normpath(posixpath.join(self.folder, unquote(path)))
        if not self.exists(path):
            raise SiteError(f"a link of {self.folder}/ leads to {path}, which is not there")
        return path


def markdown(text, renderer):
    """Markdown as HTML."""
    return MarkdownWithMath(renderer).render(text)


def slug(heading):
    """The anchor of a heading, as GitHub makes it, so that links work in both places.

    >>> slug("1 · Cheap labels from a <code>force field</code>")
    '1--cheap-labels-from-a-force-field'
    """
    words = html.unescape(re.sub(r"<[^>]+>", "", heading)).strip().lower()
    return re.sub(r"[^\w\- ]", "", words).replace(" ", "-") or "section"


def mathml(formula, display):
    """A LaTeX formula as MathML; a command that is not known is an error."""
    symbols = {r"\langle": "⟨", r"\rangle": "⟩"}  # the converter leaves these as they are behind \Big
    text = formula
    for name, sign in symbols.items():
        text = re.sub(re.escape(name) + r"(?![a-zA-Z])", sign, text)
    made = convert(text, display=display)
    made = re.sub(r"<mi>([⟨⟩])</mi>", r'<mo stretchy="false">\1</mo>', made)
    made = re.sub(r'<mi mathvariant="bold">([A-Za-z])</mi>', lambda m: f"<mi>{bold(m[1])}</mi>", made)
    if "\\" in made:
        raise SiteError(f"this formula has a command that cannot be shown: {formula}")
    return made


def bold(letter):
    """The bold mathematical letter: browsers know no other way to print one in a formula."""
    start, first = (0x1D400, "A") if letter.isupper() else (0x1D41A, "a")
    return chr(start + ord(letter) - ord(first))
