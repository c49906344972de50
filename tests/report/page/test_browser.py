"""The report in a real browser, opened from disk: values under the pointer, keys, sorting, filters, dark, phone.

Needs Chromium and its driver (Debian: chromium, chromium-driver); skipped where they are absent.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace

import pandas as pd
import pytest
from fake_results import BASE, grid_frame, tune_frame
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from hptransfer.analysis.results import results_of
from hptransfer.report.page import render_report

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not installed (Debian: chromium chromium-driver)"
)
EVIL = '"><script>alert(1)</script><img src=x onerror=alert(2)>'


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[webdriver.Chrome]:
    """One headless Chromium with its own profile."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    profile = tmp_path_factory.mktemp("chromium")
    flags = ("headless", "no-sandbox", "disable-gpu", "disable-background-networking", "disable-dev-shm-usage")
    for flag in (*flags, f"user-data-dir={profile}", "window-size=1200,900"):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(str(DRIVER)))
    yield driver
    driver.quit()


@pytest.fixture
def show(browser, tmp_path) -> Callable[[str], webdriver.Chrome]:
    """Opens a page from disk on a wide light screen; afterwards nothing may have been said on the console."""

    def open_page(text: str) -> webdriver.Chrome:
        (tmp_path / "report.html").write_text(text, encoding="utf-8")
        screen(browser, 1200, 900)
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
        browser.get((tmp_path / "report.html").as_uri())
        browser.execute_script("sessionStorage.clear(); localStorage.clear()")
        return browser

    browser.get_log("browser")
    yield open_page
    assert browser.get_log("browser") == []


@pytest.fixture(scope="module")
def page(results) -> str:
    return render_report(results)


def screen(browser, width: int, height: int) -> None:
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def visible_rows(browser):
    return [row for row in browser.find_elements(By.CSS_SELECTOR, "#cells tbody tr") if row.is_displayed()]


def first_cells(browser, column: int) -> list[str]:
    return [row.find_elements(By.TAG_NAME, "td")[column].text for row in visible_rows(browser)]


def test_pointing_at_a_mark_shows_its_value(show, page):
    browser = show(page)
    plot = browser.find_element(By.CSS_SELECTOR, "#figure-lr .plot")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", plot)
    ActionChains(browser).move_to_element(plot.find_element(By.CSS_SELECTOR, ".mark")).perform()
    tip = browser.find_element(By.ID, "tip")
    assert tip.is_displayed()
    assert tip.text.startswith("SP, width 256, density")
    assert "loss 2." in tip.text
    assert "3 seeds" in tip.text
    ActionChains(browser).move_to_element(browser.find_element(By.TAG_NAME, "h2")).perform()
    assert not tip.is_displayed()


def test_arrow_keys_walk_along_the_points_and_speak_them(show, page):
    browser = show(page)
    plot = browser.find_element(By.CSS_SELECTOR, "#figure-stability .plot")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'}); arguments[0].focus()", plot)
    said = []
    for key in (Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_DOWN):
        browser.switch_to.active_element.send_keys(key)
        said.append(browser.find_element(By.ID, "live").get_attribute("textContent").split("\n")[0])
    assert said == ["SP, density 1", "SP, density 1/4", "μP, density 1/4"]
    browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert not browser.find_element(By.ID, "tip").is_displayed()


def test_the_map_of_regret_is_walked_with_arrow_keys(show, page):
    browser = show(page)
    browser.execute_script("document.querySelector('.heat td[tabindex=\"0\"]').focus()")
    browser.switch_to.active_element.send_keys(Keys.ARROW_DOWN)
    browser.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    assert browser.find_element(By.ID, "tip").text.startswith("width 128, density 1/4\nregret")


def test_other_slices_of_the_grid_can_be_chosen(show, page):
    browser = show(page)
    Select(browser.find_element(By.ID, "view-lr")).select_by_visible_text("by width, at density 1")
    keys = browser.find_elements(By.CSS_SELECTOR, "#figure-lr .keys li")
    assert [k.text for k in keys] == ["64", "128", "256", "transferred 2⁻⁷"]
    assert len(browser.find_elements(By.CSS_SELECTOR, "#figure-lr .plot")) == 3


def test_the_table_sorts_by_number_and_back(show, page, results):
    browser = show(page)
    head = browser.find_element(By.XPATH, "//table[@id='cells']//button[text()='regret']")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", head)
    head.click()
    raw = [float(r.find_elements(By.TAG_NAME, "td")[3].get_attribute("data-v")) for r in visible_rows(browser)]
    assert raw == sorted(results.judgement.cells["regret"].astype(float))
    head.click()
    assert head.find_element(By.XPATH, "..").get_attribute("aria-sort") == "descending"
    assert first_cells(browser, 0)[0] == "SP"


def test_filters_narrow_the_table_and_say_how_far(show, page):
    browser = show(page)
    Select(browser.find_element(By.ID, "filter-series")).select_by_visible_text("μP")
    Select(browser.find_element(By.ID, "filter-density")).select_by_visible_text("1/16")
    assert first_cells(browser, 0) == ["μP"] * 3
    assert first_cells(browser, 2) == ["1/16"] * 3
    assert browser.find_element(By.ID, "count").text == "3 of 27 cells"


def test_dark_follows_the_system_until_the_reader_chooses(show, page):
    browser = show(page)

    def ground() -> str:
        return browser.execute_script("return getComputedStyle(document.body).backgroundColor")

    assert ground() == "rgb(255, 255, 255)"
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    assert ground() == "rgb(15, 18, 22)"
    browser.find_element(By.ID, "theme").click()
    assert ground() == "rgb(255, 255, 255)"
    browser.refresh()
    assert ground() == "rgb(255, 255, 255)"


def test_print_is_light_and_whole_even_from_a_dark_page(show, page):
    browser = show(page)
    browser.find_element(By.ID, "theme").click()
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": []})
    assert browser.execute_script("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    table = browser.execute_script("const t = document.querySelector('.tall'); return [t.scrollHeight, t.clientHeight]")
    assert table[0] == table[1]  # nothing is hidden behind a scroll bar
    assert not browser.find_element(By.ID, "theme").is_displayed()
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})


@pytest.mark.parametrize("width", [320, 380, 768])
def test_a_phone_never_scrolls_sideways(show, width):
    frame = pd.concat([grid_frame(octaves=(-9, -8, -7, -6), noise=0.02), tune_frame()], ignore_index=True)
    study = {"name": "demo", "question": "Does it hold on " + "averylongword" * 12 + "?"}
    progress = {"planned": 100, "stored": 40, "in_flight": 2}
    narrow = results_of(frame, name="d" * 90, uri="r" * 90, study=study, base=BASE, progress=progress)
    browser = show(render_report(narrow))
    screen(browser, width, 800)
    wide = browser.execute_script("return document.documentElement.scrollWidth")
    assert wide <= width


def test_hostile_names_do_nothing(show):
    frame = grid_frame(rules=(EVIL, "supar"), widths=(64,), densities=(1, 0.25))
    browser = show(render_report(results_of(frame, name=EVIL, uri=EVIL, study={"name": EVIL, "question": EVIL})))
    assert browser.find_elements(By.CSS_SELECTOR, "main img") == []
    assert browser.find_element(By.TAG_NAME, "h1").text == EVIL
    titles = [c.text for c in browser.find_elements(By.CSS_SELECTOR, "#figure-lr figcaption")]
    assert titles == ["SμPar", EVIL]


def test_an_open_page_follows_a_running_study_and_keeps_its_place(show, results, tmp_path, monkeypatch):
    monkeypatch.setattr("hptransfer.report.page.page.REFRESH_S", 1)
    running = replace(results, progress={"planned": 100, "stored": 40, "in_flight": 2})
    browser = show(render_report(running))
    assert "40 of 100" in browser.find_element(By.CLASS_NAME, "running").text
    Select(browser.find_element(By.ID, "filter-series")).select_by_visible_text("SμPar")
    browser.execute_script("window.scrollTo(0, 700)")
    (tmp_path / "report.html").write_text(render_report(replace(running, progress=None)), encoding="utf-8")
    done = WebDriverWait(browser, 20).until(lambda b: not b.find_elements(By.CLASS_NAME, "running"))
    assert done
    assert len(visible_rows(browser)) == 9
    assert browser.execute_script("return window.scrollY") == pytest.approx(700, abs=80)


def test_nothing_overlaps_in_the_axes_of_a_panel(show, page):
    """No two tick labels of one axis touch, on a wide screen and on a phone."""
    browser = show(page)
    script = """
      const bad = [];
      for (const svg of document.querySelectorAll('.plot')) {
        const boxes = [...svg.querySelectorAll('text')].map((t) => [t.textContent, t.getBoundingClientRect()]);
        boxes.forEach(([a, p], i) => boxes.slice(i + 1).forEach(([b, q]) => {
          const wide = Math.min(p.right, q.right) - Math.max(p.left, q.left);
          const high = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
          if (wide > 0.5 && high > 3) bad.push([svg.getAttribute('aria-label').slice(0, 40), a, b]);
        }));
      }
      return bad;
    """
    for width in (1200, 380):
        screen(browser, width, 900)
        assert browser.execute_script(script) == []
