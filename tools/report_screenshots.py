#!/usr/bin/env python3
"""Screenshots of a report in light and dark, by a headless Chromium, and a check that the page asks
the network for nothing.

    report_screenshots.py report.html OUT_DIR [WIDTH] [HEIGHT]

Writes OUT_DIR/light.png and OUT_DIR/dark.png. Needs `chromium` on the path.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

# The names of Blink's setting: 0 dark, 1 light.
SCHEMES = {"light": 1, "dark": 0}
# How Chromium's network log says that no page asked.
NONE = "not an origin"


def shoot(page: pathlib.Path, out: pathlib.Path, scheme: str, width: int, height: int) -> list[str]:
    """Takes a screenshot; the URLs that the browser asked for on the page's behalf."""
    with tempfile.TemporaryDirectory() as profile:
        log = pathlib.Path(profile) / "net.json"
        command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                   "--disable-background-networking", "--disable-component-update",
                   f"--user-data-dir={profile}/user", f"--log-net-log={log}",
                   f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}",
                   f"--window-size={width},{height}", f"--screenshot={out}", page.resolve().as_uri()]
        subprocess.run(command, check=True, timeout=120, capture_output=True)
        events = json.loads(log.read_text()).get("events", [])
    # Requests of the page have an origin; the browser's own errands have none.
    asked = (event.get("params", {}) for event in events)
    urls = {str(params["url"]) for params in asked
            if "url" in params and params.get("initiator", NONE) != NONE}
    return sorted(url for url in urls if not url.startswith(("file:", "data:")))


def main() -> None:
    page, folder = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    width, height = (int(number) for number in (sys.argv[3:5] + ["1280", "5200"][len(sys.argv) - 3:]))
    folder.mkdir(parents=True, exist_ok=True)
    asked = set()
    for scheme in SCHEMES:
        asked.update(shoot(page, folder / f"{scheme}.png", scheme, width, height))
    for url in sorted(asked):
        print(f"asked for {url}")
    print(f"{page}: light.png and dark.png in {folder}, {len(asked)} request(s)")
    sys.exit(bool(asked))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main()
