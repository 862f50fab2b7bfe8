"""Pages in a real browser: what axe-core finds, console errors, width, and sorting by keyboard.

    python -m tests.slow.browser AXE.min.js PAGE.html... [--pictures FOLDER]

Each page is looked at light and dark, 1280 and 390 pixels wide. Needs chromium and chromedriver, and the one file of
axe-core (npm package of that name). What axe finds is a fault, and so is anything that the browser logs, a page wider
than its window, and a table that Enter on a column's name leaves unsorted.
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
AXE = "const done = arguments[0]; axe.run({ resultTypes: ['violations'] }).then((found) => done(found.violations));"
OPEN = "document.querySelectorAll('details').forEach((each) => { each.open = true; });"
BUTTONS = "return [...document.querySelectorAll('th button')];"
COLUMN = """
const head = document.activeElement.closest("th");
const rows = [...head.closest("table").tBodies[0].rows].map((row) => row.cells[head.cellIndex].dataset.order);
return [head.getAttribute("aria-sort"), rows];
"""


class Browser:
    """A session of chromedriver, which speaks WebDriver: JSON over HTTP."""

    def __init__(self, url: str, profile: str) -> None:
        self.url = url
        chrome = {"args": [*FLAGS, f"--user-data-dir={profile}"], "binary": shutil.which("chromium")}
        wanted = {"browserName": "chrome", "goog:chromeOptions": chrome, "goog:loggingPrefs": {"browser": "ALL"}}
        self.url += f"/session/{self.ask('session', capabilities={'alwaysMatch': wanted})['sessionId']}"

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

    def look(self, page: Path, scheme: str, width: int) -> None:
        """Open a page as it is seen in a colour scheme and at a width."""
        feature = [{"name": "prefers-color-scheme", "value": scheme}]
        self.devtools("Emulation.setEmulatedMedia", features=feature)
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.devtools("Emulation.setDeviceMetricsOverride", **size)
        self.ask("url", url=page.resolve().as_uri())

    def picture(self, path: Path) -> None:
        """The whole page as PNG."""
        shot = self.devtools("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def logged(self) -> list[str]:
        """What the console said since it was last asked."""
        return [line["message"] for line in self.ask("se/log", type="browser")]


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser of its own, with nothing kept."""
    with tempfile.TemporaryDirectory() as profile:
        driver = subprocess.Popen(
            ["chromedriver", "--port=0", "--log-level=SEVERE"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert driver.stdout is not None
        try:
            said = next(line for line in driver.stdout if "successfully on port" in line)
            port = said.rstrip(". \n").rpartition(" ")[2]
            found = Browser(f"http://127.0.0.1:{port}", profile)
            try:
                yield found
            finally:
                urllib.request.urlopen(urllib.request.Request(found.url, method="DELETE"), timeout=60).close()
        finally:
            driver.terminate()
            driver.wait()


def faults(seen: Browser, axe: str) -> Iterator[str]:
    """What is wrong with the page that is open."""
    width, inner = seen.run("return [document.documentElement.scrollWidth, window.innerWidth];")
    if width > inner:
        yield f"{width} pixels wide in a window of {inner}"
    seen.run(OPEN)
    seen.run(axe)
    for found in seen.ask("execute/async", script=AXE, args=[]):
        said = f"{found['impact']}: {found['id']}, {len(found['nodes'])} times, first {found['nodes'][0]['html'][:120]}"
        yield said
    yield from (f"console: {line}" for line in seen.logged())


def unsorted(seen: Browser) -> Iterator[str]:
    """The columns that the keyboard does not sort, up and down."""
    seen.run(OPEN)
    for index in range(len(seen.run(BUTTONS))):
        seen.run(f"document.querySelectorAll('th button')[{index}].focus();")
        for wanted in ("ascending", "descending"):
            seen.press(ENTER)
            direction, values = seen.run(COLUMN)
            numbers = [float(value) for value in values if value is not None]  # words are ordered as English does
            if direction != wanted or numbers != sorted(numbers, reverse=wanted == "descending"):
                yield f"column {index} is not {wanted} after Enter"


def main(axe: Path, pages: list[Path], pictures: Path | None) -> int:
    """How many faults there are."""
    count, script = 0, axe.read_text(encoding="utf-8")
    with browser() as seen:
        for page in pages:
            for scheme in SCHEMES:
                for width in WIDTHS:
                    seen.look(page, scheme, width)
                    if pictures:
                        pictures.mkdir(parents=True, exist_ok=True)
                        seen.picture(pictures / f"{page.stem}-{scheme}-{width}.png")
                    found = list(faults(seen, script))
                    count += len(found)
                    print(f"{page.name}, {scheme}, {width}: {'; '.join(found) or 'nothing found'}", flush=True)
            seen.look(page, *SCHEMES[:1], WIDTHS[0])
            found = list(unsorted(seen))
            count += len(found)
            print(f"{page.name}, keyboard: {'; '.join(found) or f'{len(seen.run(BUTTONS))} columns sort'}", flush=True)
    return count


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("axe", type=Path)
    parser.add_argument("pages", type=Path, nargs="+")
    parser.add_argument("--pictures", type=Path)
    given = parser.parse_args()
    for path in (given.axe, *given.pages):
        if not path.is_file():
            parser.error(f"{path}: no such file")
    sys.exit(bool(main(given.axe, given.pages, given.pictures)))
