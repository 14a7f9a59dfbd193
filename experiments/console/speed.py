"""How fast the console is, in chromium: `python -m experiments.console.speed`. Wants an idle machine.

Give minutes to see instead whether memory grows: `python -m experiments.console.speed 60`.

live     512 x 512 pictures at 30 a second from a server of its own: what the page shows, and what both cost of a core
key      from a key press to the command that the bridge has accepted, over a run with a served twin
stop     from Esc to the bridge's word that the beam is blank, with five observers taking all pictures they can get
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright
from websockets.sync.client import connect

from agent.assemble import CHOICES
from agent.config import ReviewChoice, load
from agent.console import door
from agent.console.console import Console
from agent.console.feed import Feed
from agent.console.server import Server
from agent.loop import Review
from agent.review import Walls
from agent.run import begin
from agent.watched import Watched
from experiments.console.pictures import CONFIG, FLAGS, reached
from hardware_bridge.messages import Acquire, Capabilities, Command, InstrumentState
from hardware_bridge.microscope import Microscope
from hardware_bridge.observation import Observation
from policies.interface import Setup

RATE = 30.0
LIVE_S = 10.0
PRESSES = 60
STOPS = 10
OBSERVERS = 5


def pictures_of(state: InstrumentState) -> list[Observation]:
    """A few noisy images of 512 x 512 with particles in them."""
    rng, y, x = np.random.default_rng(7), *np.mgrid[:512, :512]
    acquire = Acquire(mode="HAADF", fov_nm=512.0, pixels_x=512, pixels_y=512, dwell_s=1e-6)
    made = []
    for step in range(8):
        places = rng.uniform(0, 512, (20, 2))
        mean = 8.0 + sum(40.0 * np.exp(-((y - a) ** 2 + (x - b) ** 2) / 200.0) for a, b in places)
        command = Command(id=f"live-{step}", acquire=acquire)
        data = rng.poisson(mean).astype(np.uint16)
        made.append(Observation(command=command, start_s=0.0, end_s=float(step), state=state, kind="frame", data=data))
    return made


def feeding(feed: Feed, rate: float, over: threading.Event, state: InstrumentState) -> threading.Thread:
    """A thread that shows pictures at a rate until ``over`` is set."""

    def show() -> None:
        images, number, due_s = pictures_of(state), 0, time.monotonic()
        while not over.is_set():
            of = images[number % len(images)]
            assert of.data is not None
            feed.look(of, 0)
            number += 1
            due_s = max(due_s + 1.0 / rate, time.monotonic() - 0.1)
            over.wait(max(0.0, due_s - time.monotonic()))

    thread = threading.Thread(target=show, daemon=True)
    thread.start()
    return thread


def serve_alone() -> None:
    """What the measured server runs: pictures and nothing else, until its input is closed."""
    config = load(CONFIG, ("instrument.kind=twin",), CHOICES)
    from agent import assemble

    with tempfile.TemporaryDirectory() as scratch, assemble.instrument(config, 1, Path(scratch)) as microscope:
        capabilities: Capabilities = microscope.describe()
        state = microscope.state()
    setup = Setup(
        capabilities=capabilities, limits=config.limits, card=assemble.card_of(config), start_s=0.0, end_s=600.0,
        max_electrons=1e9,
    )  # fmt: skip
    feed, over = Feed("live", setup, None), threading.Event()
    server = Server(Console("every", 60.0, lambda: None), feed, 0)
    thread = feeding(feed, RATE, over, state)
    print(json.dumps([server.door.address, server.door.operator]), flush=True)
    sys.stdin.read()
    over.set()
    thread.join()
    server.close()


def entered(browser: Browser, address: str, token: str) -> Page:
    """A page of the console, signed in."""
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.goto(address)
    page.fill("#enter-name", "ada")
    page.fill("#enter-token", token)
    page.press("#enter-token", "Enter")
    return page


def busy_s(root: int) -> float:
    """Processor time of a process and of all below it that live, from /proc."""
    parents, ticks = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(") ")[2].split()
            parents[int(stat.parent.name)], ticks[int(stat.parent.name)] = (
                int(fields[1]),
                int(fields[11]) + int(fields[12]),
            )
    below, count = {root}, 0
    while len(below) > count:
        count = len(below)
        below |= {child for child, parent in parents.items() if parent in below}
    return sum(ticks.get(each, 0) for each in below) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def streaming(browser: Browser) -> Iterator[tuple[int, Page]]:
    """A server of its own that streams, by its process id, and a page that shows it."""
    command = [sys.executable, "-m", "experiments.console.speed", "alone"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as alone:
        assert alone.stdout is not None
        assert alone.stdin is not None
        address, token = json.loads(alone.stdout.readline())
        page = entered(browser, address, token)
        yield alone.pid, page
        page.close()
        alone.stdin.close()


def live(browser: Browser) -> str:
    """What the page shows of 30 pictures a second, and what that costs."""
    with streaming(browser) as (server, page):
        page.evaluate("""() => { window.shown = 0; const put = CanvasRenderingContext2D.prototype.putImageData;
            CanvasRenderingContext2D.prototype.putImageData = function (...all) {
                if (this.canvas.id === "live") window.shown++; return put.apply(this, all); }; }""")
        time.sleep(2.0)
        own = os.getpid()
        before = page.evaluate("window.shown"), busy_s(server), busy_s(own) - busy_s(server), time.monotonic()
        time.sleep(LIVE_S)
        shown, served, all_s = page.evaluate("window.shown"), busy_s(server), busy_s(own)
        took_s = time.monotonic() - before[3]
    return (
        f"live: {(shown - before[0]) / took_s:.1f} of {RATE:g} pictures/s shown; server "
        f"{(served - before[1]) / took_s:.0%} of a core, with making them; browser, drawing without a graphics card, "
        f"{(all_s - served - before[2]) / took_s:.0%}"
    )


def memory(browser: Browser, minutes: float) -> Iterator[str]:
    """Memory of server and page as pictures stream by, ten times in as many minutes."""
    with streaming(browser) as (server, page):
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable")
        for step in range(11):
            session.send("HeapProfiler.collectGarbage")
            metrics = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
            pages = int(Path(f"/proc/{server}/statm").read_text().split()[1])
            resident_mb = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
            at_min, heap_mb = step * minutes / 10, metrics["JSHeapUsedSize"] / 1e6
            yield f"{at_min:.1f} min: server {resident_mb:.1f} MB resident, page {heap_mb:.2f} MB of heap"
            time.sleep(6.0 * minutes)


class Timed(Watched):
    """A run's observer that notes when the bridge has accepted a command, and when it has said that it stopped."""

    def __init__(self, folder: Path) -> None:
        self.reader, self.writer = open("/dev/null"), open("/dev/null", "w")  # noqa: SIM115 - closed with the process
        super().__init__(self.reader.fileno(), self.writer, folder, 0)
        self.accepted: list[float] = []
        self.blank: list[float] = []
        self.state: InstrumentState | None = None

    def review(self, microscope: Microscope, walls: Walls, choice: ReviewChoice) -> Review:
        """Note times around the calls of the microscope; everything else is as it is."""
        self.state = microscope.state()
        for name, times in (("submit", self.accepted), ("stop", self.blank)):
            setattr(microscope, name, _noting(getattr(microscope, name), times))
        return super().review(microscope, walls, choice)

    @property
    def feed(self) -> Feed:
        """What the screens show."""
        assert self._feed is not None
        return self._feed


def _noting(call: Callable[..., Any], times: list[float]) -> Callable[..., Any]:
    def noting(*given: Any) -> Any:
        done = call(*given)
        times.append(time.monotonic())
        return done

    return noting


@contextlib.contextmanager
def running(folder: Path) -> Iterator[tuple[Timed, door.Door]]:
    """A run that asks, over the bridge, in a thread of this process."""
    config = load(CONFIG, ("review.mode=approval", "policy.name=raster", "review.timeout_s=600"), CHOICES)
    observer = Timed(folder)
    thread = threading.Thread(target=lambda: begin(config, 7, folder, observer))
    thread.start()
    opened, console = reached(folder)
    try:
        yield observer, opened
    finally:
        from experiments.console.pictures import DRIVER

        with contextlib.suppress(ConnectionError):
            console.stop(DRIVER)
        thread.join(30.0)
        observer.close()


def keys(browser: Browser, scratch: Path) -> list[float]:
    """From key press to accepted command, in s."""
    took = []
    with running(scratch / "keys") as (observer, opened):
        page = entered(browser, opened.address, opened.operator)
        for turn in range(PRESSES):
            page.wait_for_selector(f"#ask.waits:has-text('Turn {turn} waits') #approve:enabled")
            done, begun = len(observer.accepted), time.monotonic()
            page.keyboard.press("a")
            while len(observer.accepted) == done:
                time.sleep(0.0005)
            took.append(observer.accepted[-1] - begun)
        page.close()
    return took


def looking_on(opened: door.Door, over: threading.Event) -> None:
    """An observer that takes every picture it can get."""
    with connect(opened.address.replace("http", "ws") + "/live", max_size=None) as socket:
        socket.send(json.dumps({"token": opened.observer, "name": "eve", "screen": f"s{threading.get_ident()}"}))
        while not over.is_set():
            with contextlib.suppress(TimeoutError):
                if isinstance(socket.recv(0.2), bytes):
                    socket.send("next")


def stops(browser: Browser, scratch: Path) -> list[float]:
    """From Esc to the bridge's word that the beam is blank, in s, with observers and a stream as fast as it goes."""
    took = []
    for number in range(STOPS):
        over = threading.Event()
        with running(scratch / f"stop-{number}") as (observer, opened):
            assert observer.state is not None
            others = [threading.Thread(target=looking_on, args=(opened, over)) for _ in range(OBSERVERS)]
            others.append(feeding(observer.feed, 1000.0, over, observer.state))
            for other in others[:-1]:
                other.start()
            page = entered(browser, opened.address, opened.operator)
            page.wait_for_selector("#ask.waits #approve:enabled")
            time.sleep(0.5)
            begun = time.monotonic()
            page.keyboard.press("Escape")
            while not observer.blank:
                time.sleep(0.0005)
            took.append(observer.blank[0] - begun)
            over.set()
            page.close()
            for other in others:
                other.join(5.0)
    return took


def told(name: str, took: list[float]) -> str:
    """Median, 99th percentile and longest, in ms."""
    median, high = np.quantile(took, (0.5, 0.99))
    longest = f"longest {1e3 * max(took):.0f} ms of {len(took)}"
    return f"{name}: median {1e3 * median:.0f} ms, p99 {1e3 * high:.0f} ms, {longest}"


def main() -> None:
    """Measure all of it."""
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=[*FLAGS])
        print(live(browser), flush=True)
        print(told("key press to accepted command", keys(browser, Path(scratch))), flush=True)
        print(told("Esc to blank", stops(browser, Path(scratch))), flush=True)
        browser.close()


def main_memory(minutes: float) -> None:
    """See whether memory grows."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=[*FLAGS])
        for line in memory(browser, minutes):
            print(line, flush=True)
        browser.close()


if __name__ == "__main__":
    if sys.argv[1:] == ["alone"]:
        serve_alone()
    elif sys.argv[1:]:
        main_memory(float(sys.argv[1]))
    else:
        main()
