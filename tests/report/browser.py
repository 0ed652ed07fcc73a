"""A headless Chromium, driven through chromedriver's own protocol (W3C WebDriver): JSON over HTTP, no library."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update", "--hide-scrollbars")  # fmt: skip


class Browser:
    """One chromedriver; pages are opened one after the other."""

    def __init__(self, folder):
        self.chromium = next((found for name in NAMES if (found := shutil.which(name))), None)
        driver = shutil.which("chromedriver")
        if self.chromium is None or driver is None:
            pytest.skip("chromium and chromedriver are not installed (Debian: chromium, chromium-driver)")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.folder, self.root, self.session, self.window = folder, f"http://127.0.0.1:{port}", None, None
        self.driver = subprocess.Popen([driver, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def close(self):
        self._leave()
        self.driver.terminate()
        self.driver.wait(10)

    def open(self, path, *, width, phone=False, dark=False):
        """Open a file in a window, or on a phone, of so many pixels; the last one is used again if it is like that."""
        if self.window != (width, phone, dark):
            self._leave()
            flags = [*FLAGS, f"--user-data-dir={self.folder}", f"--window-size={width},1000"]
            flags += [f"--blink-settings=preferredColorScheme={0 if dark else 1}"]
            options = {"binary": self.chromium, "args": flags}
            if phone:
                options["mobileEmulation"] = {"deviceMetrics": {"width": width, "height": 844, "pixelRatio": 2}}
            asked = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
            self.session = self._wait_for_session({"capabilities": {"alwaysMatch": asked}})
            self.window = width, phone, dark
        self._ask("POST", f"/session/{self.session}/url", {"url": path.resolve().as_uri()})

    def run(self, script):
        """What a function's body of JavaScript returns."""
        return self._ask("POST", f"/session/{self.session}/execute/sync", {"script": script, "args": []})

    def console(self):
        """What the page has complained about since it was asked last."""
        return self._ask("POST", f"/session/{self.session}/se/log", {"type": "browser"})

    def _leave(self):
        if self.session is not None:
            self._ask("DELETE", f"/session/{self.session}")
            self.session = None

    def _wait_for_session(self, body):
        for _ in range(100):  # the driver takes a moment to listen
            try:
                return self._ask("POST", "/session", body)["sessionId"]
            except urllib.error.HTTPError as error:
                said = json.loads(error.read())["value"]["message"]
                pytest.skip(f"chromium does not start here: {said.splitlines()[0]}")
            except urllib.error.URLError:
                time.sleep(0.1)
        pytest.skip("chromedriver does not answer")

    def _ask(self, verb, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.root + path, data, {"Content-Type": "application/json"}, method=verb)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=60) as answer:
            return json.loads(answer.read())["value"]
