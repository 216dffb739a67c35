"""The picture of README and of the docs: `python docs/picture.py [ADDRESS]` while a page serves a finished demo.

ADDRESS: of that page (http://127.0.0.1:8501). Explore of the study *Demo*, as a browser of 1440 x 900 shows it, is
written to docs/screenshot.png. Take it again whenever what it shows has changed.
"""

import os
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium-headless-shell")
DRAWN = "[...document.querySelectorAll('.mixdesk-plot')].every(one => one._fullLayout || 'outOfSight' in one.dataset)"


def main() -> None:
    address = next(iter(sys.argv[1:]), "http://127.0.0.1:8501").rstrip("/")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 900}, color_scheme="light", reduced_motion="reduce")
        page.goto(f"{address}/explore?study=demo")
        page.locator(".mixdesk-meters tr").first.wait_for()
        page.wait_for_function(DRAWN)
        page.wait_for_timeout(2000)  # the desk fits its tracks to its room
        page.screenshot(path=str(Path(__file__).with_name("screenshot.png")))
        browser.close()


if __name__ == "__main__":
    main()
