"""A headless Chromium, driven by chromedriver in the words of the W3C's WebDriver.

No package is needed for that: each command is a request with JSON, https://www.w3.org/TR/webdriver.
"""

import base64
import contextlib
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key of an element's id, fixed by the W3C
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")
KEYS = {"right": "\ue014", "left": "\ue012", "tab": "\ue004", "enter": "\ue007", "down": "\ue015"}


class Browser:
    """A session of chromedriver at ``address``."""

    def __init__(self, address, binary, width=1280, flags=()):
        self._address = address
        options = {"binary": binary, "args": [*FLAGS, f"--window-size={width},1000", *flags]}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        session = self._send("POST", "session", {"capabilities": {"alwaysMatch": wanted}})
        self._session = f"session/{session['sessionId']}"

    def _send(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self._address}/{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(json.load(error)["value"]["message"]) from error

    def call(self, path, **body):
        """Sends a command of the session."""
        return self._send("POST", f"{self._session}/{path}", body)

    def open(self, path):
        """Opens a file."""
        self.call("url", url=path.resolve().as_uri())

    def run(self, script, *args):
        """Runs a function's body in the page and returns what it returns."""
        return self.call("execute/sync", script=script, args=list(args))

    def find(self, selector):
        """The only element of a CSS selector, or the first."""
        return self.call("element", using="css selector", value=selector)[ELEMENT]

    def click(self, selector):
        """Clicks the first element of a selector as a mouse does, and waits for what it draws."""
        self.call(f"element/{self.find(selector)}/click")
        self.settle()

    def type(self, selector, text):
        """Types into an element; names of KEYS in braces are keys: "{right}"."""
        for name, key in KEYS.items():
            text = text.replace(f"{{{name}}}", key)
        self.call(f"element/{self.find(selector)}/value", text=text)
        self.settle()

    def texts(self, selector):
        """The texts of all elements of a selector, as they are seen."""
        script = "return [...document.querySelectorAll(arguments[0])].map(e => e.innerText)"
        self.settle()
        return self.run(script, selector)

    def settle(self):
        """Waits until what was asked for is drawn."""
        script = (
            "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(done))"
        )
        self.call("execute/async", script=script, args=[])

    def errors(self):
        """The messages of the console."""
        return [entry["message"] for entry in self.call("se/log", type="browser")]

    def save_screenshot(self, path, width, height=None):
        """Writes a picture of the whole page at a width, or of its first ``height`` pixels."""
        self.command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height or 1000,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.settle()
        height = height or self.run("return document.documentElement.scrollHeight")
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        picture = self.command("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(picture["data"]))

    def command(self, name, **params):
        """Sends a command of Chromium's own protocol."""
        return self.call("goog/cdp/execute", cmd=name, params=params)

    def close(self):
        """Ends the session."""
        self._send("DELETE", self._session)


@contextlib.contextmanager
def open_browser(width=1280, flags=()):
    """Yields a Browser; a test is skipped if there is no Chromium with its driver."""
    binary = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("no chromium with chromedriver")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [driver, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait(port)
        browser = Browser(f"http://127.0.0.1:{port}", binary, width, flags)
        try:
            yield browser
        finally:
            browser.close()
    finally:
        process.terminate()
        process.wait()


def _wait(port, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise AssertionError(f"chromedriver does not answer at port {port}")
