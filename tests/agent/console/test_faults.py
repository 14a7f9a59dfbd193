"""What goes wrong around a real browser: it is killed, the network is cut, the server is another one."""

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from msgspec.structs import replace
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright
from rehearsal import ADA, FLAGS, Run

from agent.console.console import Console
from agent.console.feed import Feed
from agent.console.server import Server
from agent.console.words import Approve
from hardware_bridge.messages import Command


class Wire:
    """A network between a browser and the console: passes bytes on until it is cut, then nothing comes or goes."""

    def __init__(self, port: int) -> None:
        self._to, self.cut, self._closed = port, threading.Event(), threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._to))
            self._sockets += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        try:
            while data := one.recv(65536):
                while self.cut.is_set() and not self._closed.is_set():
                    time.sleep(0.01)
                other.sendall(data)
        except OSError:
            pass
        for each in (one, other):
            each.close()

    def close(self) -> None:
        self._closed.set()
        self._listening.close()
        for each in self._sockets:
            each.close()


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=[*FLAGS])
    yield chromium
    chromium.close()


def entered(page: Page, address: str, token: str) -> Page:
    page.goto(address)
    page.fill("#enter-name", "ada")
    page.fill("#enter-token", token)
    page.press("#enter-token", "Enter")
    return page


def waits(page: Page, turn: int) -> None:
    expect(page.locator("#ask-title")).to_have_text(f"Turn {turn} waits, beam blanked")
    expect(page.locator("#approve")).to_be_enabled()


def names(ran: list[Command]) -> list[str]:
    return [command.id for command in ran]


@pytest.mark.parametrize("cut_s", [1.0, pytest.param(30.0, marks=pytest.mark.slow)])
def test_a_network_that_is_cut_decides_nothing_twice(run: Run, browser: Browser, cut_s: float) -> None:
    wire = Wire(int(run.door.address.rpartition(":")[2]))
    run.server.door = replace(run.door, address=f"http://127.0.0.1:{wire.port}")
    run.start()
    page = entered(browser.new_page(), run.server.door.address, run.door.operator)
    try:
        waits(page, 0)
        wire.cut.set()
        page.keyboard.press("a")
        page.keyboard.press("a")
        expect(page.locator("#link-text")).to_contain_text("what is shown is", timeout=10_000)
        time.sleep(cut_s)
        if cut_s > 5.0:
            expect(page.locator("#link")).to_have_class("link lost")
            expect(page.locator("#link-text")).to_contain_text("no connection, what is shown is")
        assert run.ran == [], "what was pressed has not arrived"
        wire.cut.clear()
        waits(page, 1)
        page.keyboard.press("a")
        waits(page, 2)
        assert names(run.ran) == ["t0-0", "t1-0"]
    finally:
        page.close()
        wire.close()


def test_what_was_decided_elsewhere_meanwhile_stands(run: Run, browser: Browser) -> None:
    wire = Wire(int(run.door.address.rpartition(":")[2]))
    run.server.door = replace(run.door, address=f"http://127.0.0.1:{wire.port}")
    run.start()
    page = entered(browser.new_page(), run.server.door.address, run.door.operator)
    try:
        waits(page, 0)
        wire.cut.set()
        page.keyboard.press("a")
        question = run.console.status().question
        assert question is not None
        run.client.answer(ADA, question.id, Approve(revision=question.revision, choice=2))
        while not run.ran:
            time.sleep(0.01)
        wire.cut.clear()
        expect(page.locator("#ask-title")).to_have_text("Turn 1 waits, beam blanked")
        time.sleep(0.3)
        assert names(run.ran) == ["t0-2"], "the late answer was to a question that is decided"
    finally:
        page.close()
        wire.close()


@pytest.mark.slow
def test_a_killed_browser_leaves_the_question_and_the_lease_to_others(
    run: Run, playwright: Playwright, tmp_path: Path
) -> None:
    run.start()
    path = shutil.which("chromium")
    assert path is not None
    chromium = subprocess.Popen(
        [path, *FLAGS, f"--user-data-dir={tmp_path}", "--remote-debugging-port=0"],
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        port = tmp_path / "DevToolsActivePort"
        while not port.exists() or not port.read_text().strip():
            time.sleep(0.05)
        browser = playwright.chromium.connect_over_cdp(f"http://127.0.0.1:{port.read_text().split()[0]}")
        page = entered(browser.new_page(), run.door.address, run.door.operator)
        waits(page, 0)
        page.keyboard.press("a")
        waits(page, 1)
    finally:
        os.killpg(chromium.pid, signal.SIGKILL)
        chromium.wait()
    time.sleep(0.5)
    assert names(run.ran) == ["t0-0"]
    question = run.console.status().question
    assert question is not None
    assert (question.state, question.turn) == ("proposed", 1)
    run.console.take_lease(ADA, force=True)
    run.client.answer(ADA, question.id, Approve(revision=question.revision))
    while len(run.ran) < 2:
        time.sleep(0.01)
    assert names(run.ran) == ["t0-0", "t1-0"]


def test_a_server_that_is_started_anew_takes_no_old_decision(run: Run, browser: Browser) -> None:
    run.start()
    page = entered(browser.new_page(), run.door.address, run.door.operator)
    waits(page, 0)
    port = int(run.door.address.rpartition(":")[2])
    run.server.close()
    expect(page.locator("#link")).to_have_class("link lost")
    page.keyboard.press("a")
    expect(page.locator("#edit-told")).to_contain_text("there is no connection")
    feed = Feed("The same run, resumed", run.setup, 50)
    again = Server(Console("every", 60.0, lambda: None), feed, port)
    try:
        with urlopen(again.door.address, timeout=5.0) as reply:
            assert reply.status == 200
        expect(page.locator("#enter-told")).to_contain_text("no token of this run", timeout=10_000)
        assert run.ran == []
        page.fill("#enter-token", again.door.operator)
        page.press("#enter-token", "Enter")
        expect(page.locator("#title")).to_have_text("The same run, resumed")
        expect(page.locator("#turns li")).to_have_count(0)
    finally:
        page.close()
        again.close()
