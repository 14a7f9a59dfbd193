"""Pictures of every state of the console, of a real run: `python -m experiments.console.pictures FOLDER`.

Wants chromium. Look at them after each change of the page: would a microscopist like it?
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from agent.console import door
from agent.console.client import RemoteConsole
from agent.console.words import Approve, Person
from agent.eventlog import RecordError
from agent.replay import opened as replayed

CONFIG = "experiments/in_situ_growth/config.toml"
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
DESK, PHONE = (1400, 900), (390, 844)
SETTLED_S = 0.8
DRIVER = Person(name="ada", role="operator", screen="pictures")


@contextlib.contextmanager
def running(folder: Path, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    """A run that asks, in a process of its own; ended with the context."""
    command = [sys.executable, "-m", "agent.cli", "run", CONFIG, "--out", str(folder), "--approve", "--port", "0"]
    settings = ["instrument.kind=twin", "review.timeout_s=600", *more]
    command += [word for setting in settings for word in ("--set", setting)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30.0)


def reached(folder: Path, timeout_s: float = 60.0) -> tuple[door.Door, RemoteConsole]:
    """The door of a run that has just been started, and a client of it.

    Raises:
        RecordError: it did not open in time.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            found = door.read(folder)
            return found, RemoteConsole(found.address, found.operator)
        except RecordError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def until_asked(console: RemoteConsole) -> None:
    """Wait until a question waits."""
    while (question := console.status().question) is None or question.state != "proposed":
        time.sleep(0.05)


def advance(console: RemoteConsole, turns: int) -> None:
    """Approve so many turns, the alternative at every fourth, and have the next one wait."""
    for turn in range(turns):
        until_asked(console)
        question = console.status().question
        assert question is not None
        choice = 1 if turn % 4 == 3 and len(question.choices) > 1 else 0
        console.answer(DRIVER, question.id, Approve(revision=question.revision, choice=choice))
    until_asked(console)
    console.leave(DRIVER)


class Camera:
    """Takes the pictures of one screen."""

    def __init__(self, browser: Browser, folder: Path, opened: door.Door, size: tuple[int, int], scheme: str) -> None:
        self._folder, self._name = folder, f"{'phone' if size == PHONE else 'desk'}-{scheme}"
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme="dark" if scheme == "dark" else "light"
        )
        self.page: Page = context.new_page()
        self.page.goto(opened.address)
        self.take("enter")

    def enter(self, name: str, token: str) -> None:
        """Sign in."""
        self.page.fill("#enter-name", name)
        self.page.fill("#enter-token", token)
        self.page.press("#enter-token", "Enter")

    def take(self, state: str) -> None:
        """One picture."""
        time.sleep(SETTLED_S)
        self.page.screenshot(path=self._folder / f"{self._name}-{state}.png", full_page="phone" in self._name)

    def press(self, *keys: str) -> None:
        """Press keys."""
        for key in keys:
            self.page.keyboard.press(key)


def states(camera: Camera, opened: door.Door, console: RemoteConsole) -> None:
    """Go through the states of one screen, and leave the question as it was."""
    camera.enter("ada", opened.operator)
    camera.take("waits")
    camera.press("1", "m", "ArrowLeft", "ArrowUp")
    camera.take("modified")
    camera.press("m", "r")
    camera.take("refusing")
    camera.press("r", "t")
    camera.take("taken-over")
    camera.press("t", "p")
    camera.take("paused")
    camera.press("p", "s")
    camera.take("steering")
    camera.page.locator("#steer-title").click()
    camera.press("?")
    camera.take("keys")
    camera.page.click("#keys button")
    camera.page.select_option("#under", "dose")
    camera.page.select_option("#colours", "inferno")
    camera.page.check("#fft")
    camera.take("dose-and-fft")
    console.take_lease(Person(name="bob", role="operator", screen="elsewhere"), force=True)
    camera.take("held-by-another")
    console.leave(Person(name="bob", role="operator", screen="elsewhere"))


def main(folder: Path) -> None:
    """Take all pictures into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    path = shutil.which("chromium")
    if path is None:
        raise SystemExit("chromium is needed: apt-get install chromium")
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*FLAGS])
        with running(Path(scratch) / "run"):
            opened, console = reached(Path(scratch) / "run")
            advance(console, 40)
            cameras = [
                Camera(browser, folder, opened, size, scheme) for size in (DESK, PHONE) for scheme in ("light", "dark")
            ]
            for camera in cameras:
                states(camera, opened, console)
                camera.page.reload()
            cameras[0].press("Escape")
            cameras[0].take("stopped")
        cameras[0].take("gone")
        with replayed(Path(scratch) / "run", "raster", 0) as again:
            camera = Camera(browser, folder, again, DESK, "light")
            camera.enter("ada", again.operator)
            camera.press("ArrowLeft", "ArrowLeft")
            camera.take("replay")
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
