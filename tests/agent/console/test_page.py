"""The page in a real browser: Debian's chromium, driven by mouse and by keys."""

import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright
from rehearsal import FLAGS, TITLE, Run

from agent.replay import opened

PHONE = {"width": 390, "height": 844}
DESK = {"width": 1400, "height": 1000}
MORE = [(DESK, "dark"), (PHONE, "light")]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium")
    assert path is not None, "chromium is needed: apt-get install chromium"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=[*FLAGS])
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser: Browser, run: Run) -> Iterator[Callable[..., Page]]:
    """Opens the page of the run; in the end nothing was asked of another server, and nothing went wrong in it."""
    asked: list[str] = []
    wrong: list[str] = []
    contexts = []

    def opened(size: dict[str, int] = DESK, scheme: str = "light", name: str = "ada", role: str = "operator") -> Page:
        context = browser.new_context(viewport=size, color_scheme=scheme)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if "Content Security Policy" in said.text else None)
        page.goto(run.door.address)
        page.fill("#enter-name", name)
        page.fill("#enter-token", getattr(run.door, role))
        page.press("#enter-token", "Enter")
        expect(page.locator("#title")).to_have_text(run.feed.run.title)
        return page

    yield opened
    for context in contexts:
        context.close()
    own = (run.door.address, run.door.address.replace("http", "ws"))
    assert [url for url in asked if not url.startswith(own)] == []
    assert asked
    assert wrong == []


def waits(page: Page, turn: int, may: bool = True) -> None:
    expect(page.locator("#ask-title")).to_have_text(f"Turn {turn} waits, beam blanked")
    if may:
        expect(page.locator("#approve")).to_be_enabled()


def test_a_run_is_driven_by_the_mouse(run: Run, open_page: Callable[..., Page]) -> None:
    run.start()
    page = open_page()
    waits(page, 0)
    expect(page.locator("#ask-does")).to_contain_text("HAADF 32 x 32 pixels over 256 nm at (-160, 0) nm")
    expect(page.locator("#ask-information")).to_have_text("0.02 ± 0.01")
    page.click("#approve")
    waits(page, 1)
    page.click("#ask-choices button:nth-child(3)")
    expect(page.locator("#ask-does")).to_contain_text("over 85.33 nm")
    page.click("#approve")
    waits(page, 2)
    page.click("#refuse")
    page.click("#reasons button:nth-child(2)")
    waits(page, 3)
    page.click("#modify")
    box = page.locator("#map").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.4 * box["height"], steps=3)
    page.mouse.up()
    expect(page.locator("#ask-information")).to_have_text("not predicted")
    page.click("#approve")
    waits(page, 4)
    page.click("#next-5")
    waits(page, 10)
    page.click("#pause")
    expect(page.locator("#ask-title")).to_have_text("Paused by ada: the beam is blanked")
    expect(page.locator("#approve")).to_be_disabled()
    page.click("#pause")
    waits(page, 10)
    page.click("#stop")
    expect(page.locator("#banner")).to_contain_text("Stopped by ada. The beam is blanked")
    run.thread.join(5.0)
    names = [command.id for command in run.ran]
    assert names == ["t0-0", "t1-2", "t3-0-edited", *(f"t{turn}-0" for turn in range(4, 10))]
    edited = run.ran[2].go
    expected_nm = 0.1 * run.feed.run.extent_nm * 1.12
    assert edited.stage_x_nm == pytest.approx(expected_nm, rel=0.02)
    assert edited.stage_y_nm == pytest.approx(-expected_nm, rel=0.02)
    assert run.halts == 1


def test_a_run_is_driven_by_keys_alone(run: Run, open_page: Callable[..., Page]) -> None:
    run.start()
    page = open_page()
    press = page.keyboard.press
    waits(page, 0)
    press("a")
    waits(page, 1)
    press("1")
    press("Enter")
    waits(page, 2)
    press("r")
    press("3")
    waits(page, 3)
    press("m")
    press("ArrowRight")
    press("ArrowRight")
    expect(page.locator("#ask-choices button.chosen")).to_contain_text("yours")
    press("u")
    expect(page.locator("#ask-choices")).not_to_contain_text("yours")
    press("ArrowRight")
    press("ArrowRight")
    expect(page.locator("#ask-choices button.chosen")).to_contain_text("yours")
    press("a")
    waits(page, 4)
    press("t")
    expect(page.locator("#take-over")).to_contain_text("Hand back")
    press("t")
    press("p")
    expect(page.locator("#ask-title")).to_have_text("Paused by ada: the beam is blanked")
    press("p")
    waits(page, 4)
    press("?")
    expect(page.locator("#keys")).to_be_visible()
    press("Escape")
    run.thread.join(5.0)
    assert run.halts == 1, "Esc stops, whatever is open"
    assert [command.id for command in run.ran] == ["t0-0", "t1-1", "t3-0-edited"]
    assert run.ran[2].go.stage_x_nm == pytest.approx(-40.0 + 2 * 256.0 / 8, abs=0.01)


def test_no_key_works_while_somebody_types(run: Run, open_page: Callable[..., Page]) -> None:
    run.start()
    page = open_page()
    waits(page, 0)
    page.keyboard.press("m")
    page.focus("#edit-text")
    page.keyboard.type("art p1")
    page.keyboard.press("Escape")
    assert run.halts == 0
    page.fill("#edit-text", "dwell_s=0.5")
    page.keyboard.press("Enter")
    expect(page.locator("#edit-told")).to_contain_text("dwell_s = 0.5 refused (range): limit 1e-07..0.1")
    page.fill("#edit-text", "dwell_s=4e-6")
    page.keyboard.press("Enter")
    expect(page.locator("#ask-choices button.chosen")).to_contain_text("dwell_s 2e-06 -> 4e-06")
    assert run.ran == []
    assert run.console.status().paused_by == ""


def test_a_second_operator_looks_on_until_taking_the_lease(run: Run, open_page: Callable[..., Page]) -> None:
    run.start()
    ada, bob, eve = open_page(), open_page(name="bob"), open_page(name="eve", role="observer")
    waits(ada, 0)
    ada.click("#lease")
    expect(bob.locator("#banner")).to_contain_text("ada decides, at another screen. You may take the lease")
    expect(eve.locator("#banner")).to_contain_text("You look on as eve")
    for page in (bob, eve):
        expect(page.locator("#approve")).to_be_disabled()
        page.keyboard.press("a")
    bob.click("#lease")
    expect(ada.locator("#approve")).to_be_disabled()
    bob.keyboard.press("1")
    bob.keyboard.press("a")
    waits(ada, 1, may=False)
    assert [command.id for command in run.ran] == ["t0-1"]
    eve.keyboard.press("Escape")
    expect(ada.locator("#banner")).to_contain_text("Stopped by eve")


def test_it_says_when_it_hears_nothing_and_what_it_shows_is_how_old(run: Run, open_page: Callable[..., Page]) -> None:
    run.start()
    page = open_page()
    waits(page, 0)
    expect(page.locator("#link-text")).to_contain_text("bench")
    run.feed.end = lambda: None  # type: ignore[method-assign] # as if its process were killed
    run.server.close()
    expect(page.locator("#link-text")).to_contain_text("no connection, what is shown is")
    page.keyboard.press("a")
    expect(page.locator("#edit-told")).to_contain_text("there is no connection")
    assert run.ran == []


def test_the_envelope_is_set_and_a_command_copied(run: Run, open_page: Callable[..., Page]) -> None:
    run.start()
    page = open_page()
    waits(page, 0)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click("#copy")
    expect(page.locator("#copy")).to_have_text("Copied")
    scope: dict[str, object] = {}
    exec(page.evaluate("navigator.clipboard.readText()"), scope)  # noqa: S102 - it is to be run
    question = run.console.status().question
    assert question is not None
    assert scope["command"] == question.choices[0].command
    page.click("summary")
    page.fill("#envelope-text", "stage_x_nm=nothing")
    page.keyboard.press("Enter")
    expect(page.locator("#notice")).to_contain_text("expected KEY=LOW..HIGH")
    page.fill("#envelope-text", "stage_x_nm=-5000..100")
    page.keyboard.press("Enter")
    expect(page.locator("#notice")).to_contain_text("passes limits.ranges.stage_x_nm = -1000..1000")
    page.fill("#envelope-text", "stage_x_nm=-100..100 stage_y_nm=-10..10")
    page.keyboard.press("Enter")
    expect(page.locator("#envelope-told")).to_have_text("stage_x_nm=-100..100 stage_y_nm=-10..10")
    page.select_option("#mode", "outside")
    page.locator("#ask-title").click()
    page.keyboard.press("a")
    waits(page, 1)  # at (-120, 0) nm, the next at -80 is inside
    page.keyboard.press("a")
    waits(page, 7)
    assert [command.id for command in run.ran] == [f"t{turn}-0" for turn in range(7)]


def test_the_run_is_steered(run: Run, open_page: Callable[..., Page]) -> None:
    run.start()
    page = open_page()
    waits(page, 0)
    page.keyboard.press("s")
    expect(page.locator("#steer-question")).to_be_focused()
    expect(page.locator("#steer-question")).to_have_value(TITLE)
    expect(page.locator("#steer-clear")).to_be_disabled()
    page.fill("#steer-electrons", "1e12")
    page.keyboard.press("Enter")
    expect(page.locator("#steer-wrong")).to_contain_text("budget.electrons=1e12 is above limits.max_electrons")
    assert run.console.standing.steering == ()
    page.fill("#steer-electrons", "2e8")
    page.fill("#steer-question", "Where = do they grow?")
    page.fill('#steer-weights input[name="count"]', "2")
    page.click("#steer-draw")
    box = page.locator("#map").bounding_box()
    assert box is not None
    for step, (right, down) in enumerate([(0.6, 0.3), (0.8, 0.5)]):
        page.mouse.move(box["x"] + right * box["width"], box["y"] + down * box["height"], steps=3)
        page.mouse.up() if step else page.mouse.down()
    page.click("#steer .approve")
    waits(page, 1)
    expect(page.locator("#title")).to_have_text("Where = do they grow?")
    edge_nm = run.feed.run.extent_nm * 1.12
    *others, regions = run.console.standing.steering
    assert others == ['goal.question="Where = do they grow?"', "budget.electrons=2e8", "goal.weights.count=2"]
    found = [float(value) for value in re.findall(r"-?\d+\.\d", regions)]
    assert found == pytest.approx([0.1 * edge_nm, 0.3 * edge_nm, -0.2 * edge_nm, 0.0], abs=0.01 * edge_nm)
    expect(page.locator("#dose-all-told")).to_contain_text("of 2·10⁸")
    page.click("#steer-undo")
    expect(page.locator("#title")).to_have_text(TITLE)
    page.select_option("#mode", "none")
    expect(page.locator("#steer-electrons")).to_be_disabled()


def test_it_says_when_the_run_has_ended(run: Run, open_page: Callable[..., Page]) -> None:
    run.start()
    page = open_page()
    waits(page, 0)
    page.keyboard.press("Escape")
    run.thread.join(5.0)
    run.server.close()
    expect(page.locator("#link-text")).to_contain_text("the run has ended")
    expect(page.locator("#banner")).to_contain_text("adaptem run --resume goes on with it")


SIZES = [(DESK, "light"), (PHONE, "dark"), *(pytest.param(*each, marks=pytest.mark.slow) for each in MORE)]


@pytest.mark.parametrize(("size", "scheme"), SIZES)
def test_axe_finds_nothing_serious(run: Run, open_page: Callable[..., Page], size: dict[str, int], scheme: str) -> None:
    run.start()
    page = open_page(size, scheme)
    for turn in range(3):
        waits(page, turn)
        page.keyboard.press("a")
    waits(page, 3)
    page.keyboard.press("m")
    found = Axe().run(page).response["violations"]
    page.keyboard.press("m")
    page.keyboard.press("r")
    found += Axe().run(page).response["violations"]
    page.keyboard.press("?")
    found += Axe().run(page).response["violations"]
    serious = [each for each in found if each["impact"] in ("serious", "critical")]
    assert [(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in serious] == []
    heights = page.evaluate("""() => [...document.querySelectorAll("button")]
        .filter(button => button.offsetParent).map(button => button.getBoundingClientRect().height)""")
    assert min(heights) >= 44
    if size == PHONE:
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_labels_of_edges_do_not_meet(run: Run, open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.evaluate("""() => { window.labels = []; const draw = CanvasRenderingContext2D.prototype.fillText;
        CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
            if (this.canvas.closest("#spectrum") && /^[A-Z][a-z]?$/.test(text))
                window.labels.push([text, x, x + this.measureText(text).width, y]);
            return draw.apply(this, arguments); }; }""")
    run.start()
    for turn in range(3):
        waits(page, turn)
        page.keyboard.press("a")
    expect(page.locator("#spectrum-told")).to_contain_text("turn 2")
    page.wait_for_function("window.labels.length > 1")
    labels = page.evaluate("window.labels")
    names = {name for name, *_ in labels}
    assert names == {"N", "Ti"}, "what perception knows between 400 and 528 eV"
    last = {name: rest for name, *rest in labels}
    (one, one_ends, row), (other, _, other_row) = last["N"], last["Ti"]
    assert row != other_row or one_ends < other or one > other


def test_a_key_meant_for_the_question_before_does_not_answer_the_next(run: Run, open_page: Callable[..., Page]) -> None:
    run.start()
    page = open_page()
    waits(page, 0)
    # As a key that bounces: some find the same question, some the next one; all but the first decide nothing.
    page.evaluate("""() => { const press = () => document.body.dispatchEvent(
            new KeyboardEvent("keydown", { key: "a", bubbles: true }));
        new MutationObserver(press).observe(document.getElementById("ask-title"), { childList: true });
        press(); press(); }""")
    waits(page, 1)
    time.sleep(0.1)
    assert [command.id for command in run.ran] == ["t0-0"]


def test_a_picture_is_shown_as_it_came(run: Run, open_page: Callable[..., Page]) -> None:
    run.start()
    page = open_page()
    waits(page, 0)
    page.keyboard.press("a")
    waits(page, 1)
    expect(page.locator("#live-told")).to_contain_text("HAADF, turn 0")
    picture = run.feed.picture
    assert picture is not None
    sent = picture.message[-64 * 64 :]
    shown = page.evaluate("""() => { const live = document.getElementById("live");
        const { data } = live.getContext("2d").getImageData(0, 0, live.width, live.height);
        return [...data].filter((_, at) => at % 4 == 0); }""")
    assert shown == list(sent), "scale bar and marker lie over it"
    over = page.locator("#live-over").bounding_box()
    assert over is not None
    assert page.evaluate("document.getElementById('live-over').width") == round(over["width"])
    page.select_option("#colours", "viridis")
    page.check("#fft")
    time.sleep(0.2)
    assert page.evaluate("document.getElementById('live').width") == 64


def test_a_record_is_replayed(browser: Browser, recorded: Path) -> None:
    with opened(recorded, "raster", 0) as door:
        page = browser.new_page()
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(f"{door.address}/#{door.observer}")
        page.fill("#enter-name", "eve")
        page.press("#enter-name", "Enter")
        expect(page.locator("#replay-told")).to_have_text("4 of 4")
        expect(page.locator("#ask-title")).to_contain_text("Turn 3: approved by envelope")
        expect(page.locator("#ask-rival")).to_contain_text("It agreed with 4 of 4 so far.")
        page.locator("#ask-title").click()
        page.keyboard.press("ArrowLeft")
        expect(page.locator("#replay-told")).to_have_text("3 of 4")
        expect(page.locator("#turns li")).to_have_count(3)
        page.locator("#replay-turn").fill("0")
        expect(page.locator("#ask-title")).to_contain_text("Turn 0: ")
        expect(page.locator("#live-told")).to_contain_text("HAADF, turn 0")
        page.select_option("#replay-speed", "1000000")
        page.keyboard.press("Tab")
        page.locator("#ask-title").click()
        page.keyboard.press(" ")
        expect(page.locator("#replay-told")).to_have_text("4 of 4")
        with page.expect_download() as download:
            page.locator("[id='run-hyperspy.zip']").click()
        assert download.value.suggested_filename == "run-hyperspy.zip"
        page.select_option("#under", "dose")
        expect(page.locator("#map-told")).to_contain_text("e/Å²")
        assert not page.locator("#approve").is_visible()
        assert not page.locator("#stop").is_visible()
        assert wrong == []
        page.close()
