"""The page in a browser: nothing complains, nothing is wider than the window, tables sort, names are only names."""

from __future__ import annotations

import pytest
from report.browser import Browser
from report.fabricate import fabricate

from maskcl import report
from maskcl.results import config_hash

WIDTHS = {"phone": (390, True), "window": (1280, False)}
EVIL = "<img src=x onerror=document.title='hit'>$\\frac</script><script>document.title='hit'</script>"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    found = Browser(tmp_path_factory.mktemp("profile"))
    yield found
    found.close()


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Two methods, memory sizes and learning rates, with names that nobody should trust."""
    runs = []
    for size in (50, 1000):
        runs += fabricate(masks=[None, {"leak": 0.1}, {"value": "-inf"}], num_seeds=2, memory_size=size, num_tasks=3)
    for run in runs:
        run["experiment"] = run["config"]["scenario"]["dataset"] = EVIL
        run["method_title"] = {"er": EVIL, "derpp": "DER++"}[run["config"]["method"]["name"]]
        run["config_hash"] = config_hash(run["config"])
        run["origin"] = {"file": EVIL, "command": f"maskcl run {EVIL}", "date": "2026-01-02T00:00:00+00:00"}
    return report.write(tmp_path_factory.mktemp("page"), runs)


def test_what_is_wider_scrolls_in_its_own_box_on_a_phone(browser, page):
    browser.open(page, width=390, phone=True)
    moved = browser.run(
        """
        const box = document.querySelector('.scroll'), page = document.scrollingElement;
        box.scrollLeft = 1e6; page.scrollLeft = 1e6;
        return [box.scrollWidth > box.clientWidth, box.scrollLeft > 0, page.scrollLeft];
        """
    )
    assert moved == [True, True, 0]


@pytest.mark.parametrize(("width", "phone"), WIDTHS.values(), ids=WIDTHS)
def test_nothing_is_wider_than_the_window_and_nothing_complains(browser, page, width, phone):
    browser.open(page, width=width, phone=phone)
    browser.run("document.querySelectorAll('details').forEach((d) => (d.open = true))")
    assert browser.run("return innerWidth") == width
    assert browser.run("return document.documentElement.scrollWidth") <= width
    outside = browser.run(
        """
        const boxes = '.scroll *, .picture *';
        return [...document.querySelectorAll('body *')].filter((e) => !e.matches(boxes) &&
          e.getBoundingClientRect().right > innerWidth + 0.5).map((e) => e.tagName + '.' + e.className);
        """
    )
    assert outside == []
    pictures = "return [...document.images].map((i) => i.complete && i.naturalWidth > 0)"
    assert browser.run(pictures) == [True] * 4
    assert browser.console() == []


def test_names_stay_names(browser, page):
    browser.open(page, width=1280)
    assert browser.run("return document.title") == f"{EVIL} · maskcl"
    assert browser.run("return document.querySelector('h1').textContent") == EVIL
    assert browser.run("return document.querySelectorAll('img[onerror]').length + document.scripts.length") == 1
    assert EVIL in browser.run("return document.querySelector('dl code').textContent")


def test_tables_sort_by_number_and_back(browser, page):
    browser.open(page, width=1280)
    click = """
        const table = document.querySelector('table'), heads = [...table.tHead.rows[0].cells];
        const at = heads.findIndex((h) => h.textContent.trim() === NAME);
        heads[at].querySelector('button').click();
        return [heads[at].ariaSort, [...table.tBodies[0].rows].map((r) => r.cells[at].textContent.trim())];
    """

    def column(name):
        order, cells = browser.run(click.replace("NAME", f"'{name}'"))
        return order, cells

    def numbers(cells):
        return [float(cell.split("\u00a0")[0].replace("−", "-")) for cell in cells]

    order, high = column("Final accuracy")
    assert order == "descending"
    assert numbers(high) == sorted(numbers(high), reverse=True)
    order, low = column("Final accuracy")
    assert (order, numbers(low)) == ("ascending", sorted(numbers(low)))
    order, as_written = column("Final accuracy")
    assert order == "none"
    assert as_written not in (high, low)
    assert column("memory.size") == ("descending", ["1000"] * 6 + ["50"] * 6)
    masks = ["no mask", "leak\u00a0=\u00a00.1", "m\u00a0=\u00a0−∞"]
    assert column("Mask") == ("ascending", [mask for mask in masks for _ in range(4)])


def test_links_save_what_is_shown(browser, page):
    browser.open(page, width=1280)
    starts = browser.run("return [...document.querySelectorAll('.files a')].map((a) => a.href.slice(0, 15))")
    assert starts == ["data:image/svg+", "data:image/png;"] * 4


def test_dark_pages_have_light_letters_and_figures_turned_round(browser, page):
    def shades(dark):
        browser.open(page, width=1280, dark=dark)
        style = "getComputedStyle(document.querySelector('{}')).{}"
        found = [style.format("body", "backgroundColor"), style.format("body", "color"), style.format("img", "filter")]
        return browser.run(f"return [{', '.join(found)}]")

    assert shades(dark=False) == ["rgb(255, 255, 255)", "rgb(34, 38, 43)", "none"]
    paper, ink, turned = shades(dark=True)
    assert (paper, ink) == ("rgb(21, 24, 28)", "rgb(230, 232, 235)")
    assert turned.startswith("invert(")
