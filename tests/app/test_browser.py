"""The app in a browser: Chromium without a screen chooses a run, moves a slider, draws."""

import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

import genbench

pytestmark = pytest.mark.extras

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
FLAGS = ["--no-sandbox", "--enable-unsafe-swiftshader"]  # as root, and without a graphics card
SMALL = {"epochs": 2, "evaluation": "none", "device": "cpu"}
WAIT = 30_000  # milliseconds


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """The address of the app over two runs, which is stopped as a user stops it."""
    pytest.importorskip("gradio")
    folder = tmp_path_factory.mktemp("app")
    genbench.fit("cvae", latent_dim=2, folder=folder / "runs" / "old", **SMALL)
    genbench.fit("pca", latent_dim=4, folder=folder / "runs" / "new", **SMALL)
    genbench.fit([[0.0], [1.0], [2.0]] * 20, model="pca", folder=folder / "runs" / "data", **SMALL)
    command = [sys.executable, "-m", "genbench", "app", "runs", "browser=false"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as server:
        line = server.stdout.readline()
        yield re.search(r"http://127\.0\.0\.1:\d+/", line)[0]
        server.send_signal(signal.SIGINT)
        assert server.wait(20) == 128 + signal.SIGINT


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM:
        pytest.skip("there is no Chromium here")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


def shown(page, name, other_than=None):
    """The picture in a frame of the page, once it is another than that."""
    image = page.locator(f"#{name} img")
    image.wait_for(timeout=WAIT)
    ends = time.monotonic() + WAIT / 1000
    while (source := image.get_attribute("src")) == other_than:
        assert time.monotonic() < ends, f"{name} has not changed"
        page.wait_for_timeout(50)
    return source


def test_one_chooses_a_run_and_looks_at_its_codes_samples_and_reconstructions(app, browser):
    page = browser.new_page(viewport={"width": 1200, "height": 1000})
    asked, faults = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda fault: faults.append(fault))
    page.goto(app)
    first = shown(page, "decoded")
    assert "pca on digits: done" in page.locator("#about").inner_text()

    page.locator("#z1 input[type=range]").focus()
    page.keyboard.press("End")
    moved = shown(page, "decoded", first)
    page.locator("#start input").click()
    page.get_by_role("option", name="a test point").click()
    moved = shown(page, "decoded", moved)

    page.locator("#run input").click()
    assert page.get_by_role("option").count() == 2, "no file holds the data of the third run"
    page.get_by_role("option", name=re.compile("cvae on digits")).click()
    page.locator("#about", has_text="cvae on digits: done (2 epochs").wait_for(timeout=WAIT)
    assert shown(page, "decoded", moved) != first

    page.get_by_role("tab", name="samples").click()
    samples = shown(page, "samples")
    page.locator("#seed input").fill("1")
    page.get_by_role("button", name="draw", exact=True).click()
    shown(page, "samples", samples)

    page.get_by_role("tab", name="reconstruct a drawing").click()
    page.locator("#pad canvas").first.wait_for(timeout=WAIT)
    page.wait_for_timeout(500)
    pad = page.locator("#pad canvas").first.bounding_box()
    middle, top = pad["x"] + pad["width"] / 2, pad["y"] + pad["height"] * 0.3
    page.mouse.move(middle, top)
    page.mouse.down()
    page.mouse.move(middle, top + pad["height"] * 0.4, steps=20)
    page.mouse.up()
    page.get_by_role("button", name="reconstruct", exact=True).click()
    seen, again = shown(page, "seen"), shown(page, "again")
    assert ink(page, "seen") > 0.05, "the stroke has reached the model"
    page.get_by_role("button", name="take this test image").click()
    page.wait_for_timeout(500)
    page.get_by_role("button", name="reconstruct", exact=True).click()
    shown(page, "seen", seen), shown(page, "again", again)

    assert not faults
    elsewhere = [url for url in asked if not url.startswith((app, "data:", "blob:"))]
    assert not elsewhere, "nothing is fetched from, or sent to, the network"


def ink(page, name):
    """The mean brightness of a picture in the page, from 0 to 1."""
    script = """image => {
        const canvas = document.createElement('canvas');
        [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
        const context = canvas.getContext('2d');
        context.drawImage(image, 0, 0);
        const data = context.getImageData(0, 0, canvas.width, canvas.height).data;
        return data.filter((_, i) => i % 4 == 0).reduce((a, b) => a + b) / data.length * 4 / 255;
    }"""
    return page.locator(f"#{name} img").evaluate(script)
