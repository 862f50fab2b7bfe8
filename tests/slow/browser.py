"""Checks pages in a real browser: axe-core, console messages, width, and sorting by keyboard.

    python -m tests.slow.browser AXE.min.js PAGE.html... [--pictures FOLDER]

Each page is opened light and dark, 1280 and 390 pixels wide. This needs chromium, chromedriver, and the script of
axe-core (the npm package of that name). A fault is a violation that axe finds, a message in the browser's console, a
page wider than its window, or a table that Enter on the title of a column leaves unsorted.
"""

import argparse
import base64
import json
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-prefers-reduced-motion",
)
SCHEMES, WIDTHS = ("light", "dark"), (1280, 390)
ENTER, TAB = "\ue007", "\ue004"
AXE = "const done = arguments[0]; axe.run({ resultTypes: ['violations'] }).then((results) => done(results.violations));"
OPEN = "document.querySelectorAll('details').forEach((element) => { element.open = true; });"
BUTTONS = "return [...document.querySelectorAll('th button')];"
COLUMN = """
const head = document.activeElement.closest("th");
const rows = [...head.closest("table").tBodies[0].rows].map((row) => row.cells[head.cellIndex].dataset.order);
return [head.getAttribute("aria-sort"), rows];
"""


class Browser:
    """A session of chromedriver, over the WebDriver protocol: JSON over HTTP."""

    def __init__(self, url: str, profile: str) -> None:
        self.url = url
        chrome = {"args": [*FLAGS, f"--user-data-dir={profile}"], "binary": shutil.which("chromium")}
        capabilities = {"browserName": "chrome", "goog:chromeOptions": chrome, "goog:loggingPrefs": {"browser": "ALL"}}
        self.url += f"/session/{self.ask('session', capabilities={'alwaysMatch': capabilities})['sessionId']}"

    def ask(self, path: str, **body: Any) -> Any:
        content = json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/{path}", content, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=300) as answer:
            return json.load(answer)["value"]

    def run(self, script: str) -> Any:
        return self.ask("execute/sync", script=script, args=[])

    def press(self, key: str) -> None:
        keys = [{"type": kind, "value": key} for kind in ("keyDown", "keyUp")]
        self.ask("actions", actions=[{"type": "key", "id": "keys", "actions": keys}])

    def devtools(self, command: str, **params: Any) -> Any:
        return self.ask("goog/cdp/execute", cmd=command, params=params)

    def open_page(self, page: Path, scheme: str, width: int) -> None:
        """Opens a page in a colour scheme and at a width in pixels."""
        feature = [{"name": "prefers-color-scheme", "value": scheme}]
        self.devtools("Emulation.setEmulatedMedia", features=feature)
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.devtools("Emulation.setDeviceMetricsOverride", **size)
        self.ask("url", url=page.resolve().as_uri())

    def save_picture(self, path: Path) -> None:
        """Saves the whole page as PNG."""
        shot = self.devtools("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def console_messages(self) -> list[str]:
        """Returns the console messages since the last call."""
        return [line["message"] for line in self.ask("se/log", type="browser")]


@contextmanager
def browser() -> Iterator[Browser]:
    """Starts a browser with an empty profile."""
    with tempfile.TemporaryDirectory() as profile:
        driver = subprocess.Popen(
            ["chromedriver", "--port=0", "--log-level=SEVERE"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert driver.stdout is not None
        try:
            line = next(line for line in driver.stdout if "successfully on port" in line)
            port = line.rstrip(". \n").rpartition(" ")[2]
            session = Browser(f"http://127.0.0.1:{port}", profile)
            try:
                yield session
            finally:
                urllib.request.urlopen(urllib.request.Request(session.url, method="DELETE"), timeout=60).close()
        finally:
            driver.terminate()
            driver.wait()


def faults(session: Browser, axe: str) -> Iterator[str]:
    """Yields the faults of the open page, except unsorted tables."""
    width, inner = session.run("return [document.documentElement.scrollWidth, window.innerWidth];")
    if width > inner:
        yield f"{width} pixels wide in a window of {inner}"
    session.run(OPEN)
    session.run(axe)
    for violation in session.ask("execute/async", script=AXE, args=[]):
        nodes = violation["nodes"]
        yield f"{violation['impact']}: {violation['id']}, {len(nodes)} times, first {nodes[0]['html'][:120]}"
    yield from (f"console: {line}" for line in session.console_messages())


def unsorted_columns(session: Browser) -> Iterator[str]:
    """Yields the columns that the keyboard does not sort in both directions."""
    session.run(OPEN)
    for index in range(len(session.run(BUTTONS))):
        session.run(f"document.querySelectorAll('th button')[{index}].focus();")
        for order in ("ascending", "descending"):
            session.press(ENTER)
            direction, values = session.run(COLUMN)
            numbers = [float(value) for value in values if value is not None]  # words are ordered as English does
            if direction != order or numbers != sorted(numbers, reverse=order == "descending"):
                yield f"column {index} is not {order} after Enter"


def main(axe: Path, pages: list[Path], pictures: Path | None) -> int:
    """Prints the faults of pages and returns how many there are."""
    count, script = 0, axe.read_text(encoding="utf-8")
    with browser() as session:
        for page in pages:
            for scheme in SCHEMES:
                for width in WIDTHS:
                    session.open_page(page, scheme, width)
                    if pictures:
                        pictures.mkdir(parents=True, exist_ok=True)
                        session.save_picture(pictures / f"{page.stem}-{scheme}-{width}.png")
                    page_faults = list(faults(session, script))
                    count += len(page_faults)
                    print(f"{page.name}, {scheme}, {width}: {'; '.join(page_faults) or 'no fault'}", flush=True)
            session.open_page(page, *SCHEMES[:1], WIDTHS[0])
            unsorted = list(unsorted_columns(session))
            count += len(unsorted)
            sorted_text = f"{len(session.run(BUTTONS))} columns sort"
            print(f"{page.name}, keyboard: {'; '.join(unsorted) or sorted_text}", flush=True)
    return count


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("axe", type=Path)
    parser.add_argument("pages", type=Path, nargs="+")
    parser.add_argument("--pictures", type=Path)
    arguments = parser.parse_args()
    for path in (arguments.axe, *arguments.pages):
        if not path.is_file():
            parser.error(f"{path}: no such file")
    sys.exit(bool(main(arguments.axe, arguments.pages, arguments.pictures)))
