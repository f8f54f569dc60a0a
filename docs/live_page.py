"""A page in which ethanol moves, under weights that have learnt from 0 to 1,000 DFT labels: build/live.html, 4 MB.

python docs/live_page.py                      # or: make live
python docs/live_page.py --picture            # docs/live.png anew, README's picture of it; needs Chromium, Playwright
"""

import argparse
import shutil
import sys
from pathlib import Path

from site_stills import BROWSERS

import tpainn_lite as tp
from tpainn_lite.structures.files import write_text

ROOT = Path(__file__).resolve().parents[1]
PAGE, PICTURE = ROOT / "build" / "live.html", ROOT / "docs" / "live.png"
HEAD = '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
TITLE = "<title>Ethanol, and DFT labels on a slider</title>"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--picture", action="store_true", help="draw README's picture of the page")
    args = parser.parse_args()
    write_text(PAGE, HEAD + TITLE + tp.live(tp.molecule("CCO"), tp.load_label_slider()).html)
    print(f"{PAGE.relative_to(ROOT)}: open it in a browser; it needs no network")
    if args.picture:
        draw()


def draw():
    """The page after some seconds, with the slider at ten labels."""
    from playwright.sync_api import sync_playwright

    chromium = next(filter(None, map(shutil.which, BROWSERS)), None) or sys.exit("no Chromium is here to draw with")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 900, "height": 652})
        page.goto(PAGE.as_uri())
        page.get_by_label("DFT labels").press("ArrowRight")
        page.wait_for_timeout(4000)
        page.screenshot(path=PICTURE)
        browser.close()


if __name__ == "__main__":
    main()
