"""What must hold for the finished site: links lead somewhere, nothing is asked of the network, pictures have words."""

import json
import re
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup
from site_text import SiteError

FROZEN = r"(answer|stands here) in the live notebook\."  # what build_page says in place of a control
LOADED = {"script": "src", "img": "src", "source": "srcset", "iframe": "src", "video": "src", "audio": "src"}


def check_site(out, megabytes):
    """Raise SiteError with everything that is wrong with the pages in a folder."""
    pages = {path.name: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser") for path in out.glob("*.html")}
    anchors = {name: [tag["id"] for tag in page.find_all(id=True)] for name, page in pages.items()}
    problems = []
    for name, page in sorted(pages.items()):
        twice = sorted({anchor for anchor in anchors[name] if anchors[name].count(anchor) > 1})
        problems += [f"{name}: the anchor {anchor!r} is there twice" for anchor in twice]
        problems += [f"{name}: {problem}" for problem in wrong_links(name, page, anchors, out)]
        problems += [f"{name}: {problem}" for problem in wrong_resources(page, out)]
        problems += [f"{name}: a control that stands still" for _ in page.find_all(string=re.compile(FROZEN))]
        problems += [f"{name}: a picture without words: {tag.get('src')}" for tag in page("img") if not tag.get("alt")]
    problems += [f"{path.name} asks the network" for path in out.glob("*.css") if asks_network(path.read_text())]
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) / 1e6
    if size > megabytes:
        problems.append(f"{size:.0f} MB; at most {megabytes}")
    if problems:
        raise SiteError("\n".join(problems))


def wrong_links(name, page, anchors, out):
    """Links within the site that lead nowhere, links elsewhere that are no addresses."""
    for tag in page.find_all("a", href=True):
        url = tag["href"]
        parts = urlsplit(url)
        if parts.scheme:
            if parts.scheme not in ("http", "https") or not re.fullmatch(r"[\w.-]+\.\w+", parts.netloc) or " " in url:
                yield f"{url} is no address"
            continue
        target = unquote(parts.path) or name
        if not (out / target).is_file():
            yield f"a link leads to {target}, which is not there"
        elif parts.fragment and unquote(parts.fragment) not in anchors.get(target, ()):
            yield f"{target} has no anchor {parts.fragment!r}"


def wrong_resources(page, out):
    """Whatever a page loads must lie in the site."""
    loaded = [tag[key] for kind, key in LOADED.items() for tag in page.find_all(kind) if tag.get(key)]
    loaded += [tag["href"] for tag in page.find_all("link", href=True)]
    for url in loaded:
        parts = urlsplit(url)
        if parts.scheme not in ("", "data") or parts.netloc:
            yield f"{url} is asked of the network"
        elif not parts.scheme and not (out / unquote(parts.path)).is_file():
            yield f"{url} is not there"
    for style in [*page("style"), *page.find_all(style=True)]:
        if asks_network(style.get("style") or style.text):
            yield "a style asks the network"


def asks_network(style):
    return bool(re.search(r"url\(\s*['\"]?(?:https?:)?//|@import", style))


def search_index(bodies):
    """The script that the search box loads: an entry for each section of each page.

    Parameters
    ----------
    bodies : dict
        {name of the page: (its title, HTML of its content)}.
    """
    entries = [entry for name, (title, body) in bodies.items() for entry in sections(name, title, body)]
    return f"window.SEARCH = {json.dumps(entries, ensure_ascii=False, separators=(',', ':'))};\n"


def sections(name, title, body):
    """[page, its title, anchor, heading, text] of each section; what code printed is left out."""
    page = BeautifulSoup(body, "html.parser")
    for tag in page.select(".output, script"):
        tag.decompose()
    for tag in page.find_all(["p", "li", "td", "th", "pre", "div", "summary", "dt", "dd"]):
        tag.append(" ")  # words of two blocks stay apart
    found = [[name, title, "", title, []]]
    for piece in page.find_all(string=True):
        heading = piece.find_parent(re.compile(r"^h[1-6]$"))
        if heading is not None and heading.get("id"):
            if heading["id"] != found[-1][2]:
                found.append([name, title, heading["id"], heading.get_text(), []])
        else:
            found[-1][4].append(str(piece))
    for *place, texts in found:
        text = re.sub(r"\s+", " ", "".join(texts)).strip()
        if text or place[2]:
            yield [*place, text]
