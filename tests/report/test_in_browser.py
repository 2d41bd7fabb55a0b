"""The page in headless Chromium, by clicks and keys; its figures beside those of numpy."""

import numpy as np
import pytest

from detkit.detections.of_dataset import paired
from detkit.evaluate.hits import overlaps_of, voc_hits
from detkit.report import page
from support import summaries
from support.browser import open_browser

HOSTILE = "</script><img src=x onerror=\"document.title='broken'\">"
INTERVAL = {"difference": 0.1, "low": 0.04, "high": 0.17, "images": 8, "repeats": 1000}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(path of a page of two runs, the first summary, pairs of the first run)"""
    folder = tmp_path_factory.mktemp("page")
    first, dataset, detections = summaries.summary_of(folder)
    second, _, _ = summaries.summary_of(folder, seed=1, name="second")
    both = [summaries.renamed(one, dataset.class_names[0], HOSTILE) for one in (first, second)]
    differences = [None, {"voc": {"AP50": INTERVAL}}]
    path = summaries.write_page(folder / "page.html", both, dataset, differences)
    return path, both[0], paired(dataset, detections)


@pytest.fixture(scope="module")
def browser(made):
    """A Browser that shows the page."""
    with open_browser() as one:
        one.open(made[0])
        yield one


@pytest.fixture(autouse=True)
def fresh(browser, made):
    """The page as it was opened; at the end, nothing was written to the console."""
    browser.open(made[0])
    yield
    assert browser.errors() == []


def rows(browser, selector="#classes-table"):
    return [text.split("\t") for text in browser.texts(f"{selector} tbody tr")]


def to(browser, threshold):
    """Types a threshold into its field."""
    browser.run("const f = document.getElementById('threshold-number'); f.focus(); f.select()")
    browser.type("#threshold-number", str(threshold))


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.65, 1.0])
def test_the_classes_are_right_at_a_threshold(browser, made, threshold):
    to(browser, threshold)
    _, summary, pairs = made
    for label, row in enumerate(rows(browser)):
        hits = voc_hits(overlaps_of(pairs, label), 0.5)
        reached = hits.scores >= threshold
        detections, found = int(reached.sum()), int(hits.hit[reached].sum())
        precision = f"{100 * found / detections:.1f}" if detections else "–"
        f1 = 200 * found / (detections + hits.objects)
        shown = [precision, f"{100 * found / hits.objects:.1f}", f"{f1:.1f}"]
        name = " ".join(summary["class_names"][label].split())
        assert row[0] == name
        assert row[3:8] == [str(hits.objects), str(detections), *shown]


def test_a_head_sorts(browser):
    column = [float(row[1]) for row in rows(browser)]
    browser.click("#classes-table th:nth-child(2) button")
    assert [float(row[1]) for row in rows(browser)] == sorted(column, reverse=True)
    assert browser.run("return document.querySelector('th[aria-sort]').ariaSort") == "descending"
    browser.type("#classes-table th:nth-child(2) button", "{enter}")  # by the keyboard
    assert [float(row[1]) for row in rows(browser)] == sorted(column)
    to(browser, 0.9)
    assert [float(row[1]) for row in rows(browser)] == sorted(column)  # the order stays


def test_a_field_filters(browser):
    browser.type("#filter", "STA")
    assert [row[0] for row in rows(browser)] == ["star"]
    assert browser.texts("#filtered") == ["1 of 6"]


def test_the_slider_moves_everything(browser, made):
    """By keys: the number, the table, the matrix, the marks, the boxes and their captions."""
    to(browser, 0.2)
    selectors = ("#classes-table tbody", "#matrix tbody", "#at-threshold", "#pictures figcaption")
    before = [browser.texts(selector) for selector in selectors]
    marks = "return [...document.querySelectorAll('.mark')].map(m => m.getAttribute('cx'))"
    boxes = "return document.querySelectorAll('#pictures .hit, #pictures .alarm').length"
    marked, drawn = browser.run(marks), browser.run(boxes)
    browser.type("#threshold", "{right}" * 50)
    after = [browser.texts(selector) for selector in selectors]
    assert float(browser.run("return document.getElementById('threshold-number').value")) == 0.7
    assert all(one != other for one, other in zip(before, after))
    assert browser.run(marks) != marked
    assert 0 < browser.run(boxes) < drawn
    examples = made[1]["examples"]
    scores = [one["score"] for example in examples for one in example["detections"]]
    assert browser.run(boxes) == sum(score >= 0.7 for score in scores)


def test_a_page_begins_with_the_threshold_of_its_detector(browser, made, tmp_path):
    """And with the best F1 if the detector has none, whose button is then hidden."""
    hidden = "return document.getElementById('chosen').hidden"
    number = "return document.getElementById('threshold-number').value"
    assert browser.run(hidden)
    best = browser.run(number)
    first, dataset, _ = summaries.summary_of(tmp_path)
    first["about"]["threshold"] = {"text": "a score of 0.437 (f1, chosen on val)", "score": 0.43712}
    browser.open(summaries.write_page(tmp_path / "page.html", [first], dataset))
    assert browser.run(number) == "0.437"
    assert "a score of 0.437 (f1, chosen on val)" in browser.texts("#environment-table")[0]
    browser.click("#best-f1")
    assert browser.run(number) == best
    browser.click("#chosen")
    assert browser.run(number) == "0.437"


def test_the_matrix_is_that_of_the_threshold(browser, made):
    _, summary, _ = made
    to(browser, 0.5)
    confusion = summary["confusion"]
    expected = np.array(confusion["counts"][confusion["thresholds"].index(0.5)])
    cells = "return [...document.querySelectorAll('#matrix tbody tr')].map(r => "
    shown = browser.run(cells + "[...r.cells].slice(1).map(c => Number(c.innerText)))")
    assert (np.array([row[:-1] for row in shown[:-1]]) == expected).all()
    assert [row[-1] for row in shown[:-1]] == expected.sum(1).tolist()
    assert shown[-1][:-1] == expected.sum(0).tolist()
    assert "threshold 0.50." in browser.texts("#about-confusion")[0]


def test_confusions_are_listed_the_most_frequent_first(browser, made):
    _, summary, _ = made
    to(browser, 0.1)
    confusion = summary["confusion"]
    counts = np.array(confusion["counts"][confusion["thresholds"].index(0.1)])[:-1, :-1]
    wrong = np.sort(counts[~np.eye(len(counts), dtype=bool)])[::-1][:10]
    shown = browser.texts("#confused-pairs li")
    assert [int(text.rsplit(" ", 1)[1]) for text in shown] == wrong[wrong > 0].tolist()


def test_of_many_classes_the_matrix_adds_up_the_others(browser, made, tmp_path):
    _, summary, _ = made
    counts = np.random.default_rng(5).poisson(0.3, (1, 31, 31))
    counts[0, 3, 7] = counts[0, 29, 2] = 40
    names = [f"class {n}" for n in range(30)]
    classes = [{**summary["classes"][1], "name": name} for name in names]
    curves = [{**summary["curves"][1], "name": name} for name in ("all", *names)]
    confusion = {"iou": 0.5, "thresholds": [0.5], "counts": counts.tolist()}
    many = {**summary, "class_names": names, "classes": classes, "curves": curves}
    path = tmp_path / "many.html"
    path.write_text(page([{**many, "confusion": confusion, "examples": []}]))
    browser.open(path)
    heads = browser.texts("#matrix tbody th")
    assert heads[-3:] == ["10 others", "background", "sum"]
    assert {"class 2", "class 3", "class 7", "class 29"} <= set(heads)
    cells = "return [...document.querySelectorAll('#matrix tbody tr')].map(r => "
    shown = browser.run(cells + "[...r.cells].slice(1).map(c => Number(c.innerText)))")
    counts[0, -1, -1] = 0  # neither object nor detection
    kept = [int(head.split()[1]) for head in heads[:-3]] + [30]
    chosen = [*range(20), 21]
    assert (np.array(shown[:-1])[np.ix_(chosen, chosen)] == counts[0][np.ix_(kept, kept)]).all()
    assert np.sum([row[:-1] for row in shown[:-1]]) == counts.sum()


def test_a_legend_hides_and_a_chart_is_read(browser):
    lines = "return [...document.querySelectorAll('#pr-chart .line')].map(l => l.dataset.name)"
    assert len(browser.run(lines)) == 7
    browser.click("#legend button")
    assert "all classes" not in browser.run(lines)
    assert browser.texts("#legend button[aria-pressed=false]") == ["all classes"]
    browser.type("#threshold-chart svg", "{right}")
    assert browser.texts("#threshold-chart output")[0].startswith("threshold ")
    browser.click("#threshold-chart svg")  # its middle
    value = float(browser.run("return document.getElementById('threshold').value"))
    assert 0.4 < value < 0.6
    browser.run(
        "document.getElementById('measure').value = 'f1';"
        "document.getElementById('measure').dispatchEvent(new Event('change'))"
    )
    assert len(browser.run(lines.replace("pr-", "threshold-"))) == 6


def test_boxes_can_be_hidden_and_named(browser):
    alarms = "return document.querySelectorAll('#pictures .alarm').length"
    assert browser.run(alarms) > 0
    browser.click("#boxes-legend button:nth-of-type(5)")
    assert browser.run(alarms) == 0
    browser.click("#names")
    assert browser.run("return document.querySelectorAll('#pictures .box text').length") > 0
    loaded = "return [...document.images].every(i => i.complete && i.naturalWidth > 0)"
    assert browser.run(loaded)


def test_dark_and_light(browser):
    colour = "return getComputedStyle(document.body).backgroundColor"
    before = browser.run(colour)
    browser.click("#theme")
    assert browser.run(colour) != before
    browser.click("#theme")
    assert browser.run(colour) == before


def test_another_run_is_chosen(browser):
    table = "\n".join(browser.texts("#metrics-table"))
    assert "difference from first" in table
    assert "+10.0 [+4.0, +17.0]" in table
    before = rows(browser)
    browser.run(
        "const c = document.getElementById('run'); c.value = 1;c.dispatchEvent(new Event('change'))"
    )
    assert rows(browser) != before
    assert browser.texts("#judged")[0].startswith("second on data.val: 8 images")
    assert len(browser.run("return [...document.querySelectorAll('#runs-pr-chart .line')]")) == 2


def test_hostile_names_are_shown_as_text(browser):
    assert HOSTILE in browser.texts("#classes-table th")
    assert browser.run("return document.title") == "first and 1 other: data.val"
    assert browser.run("return document.querySelectorAll('script').length") == 2
    sources = "return [...document.images].filter(i => !i.src.startsWith('data:')).length"
    assert browser.run(sources) == 0


def test_it_fits_a_telephone(browser, tmp_path):
    browser.save_screenshot(tmp_path / "small.png", 400, 800)
    wide = "return document.documentElement.scrollWidth"
    assert browser.run(wide) <= 400
    browser.command("Emulation.clearDeviceMetricsOverride")


def test_settings_are_folded_and_filtered(browser):
    assert not browser.run("return document.querySelector('#about details').open")
    browser.click("#about summary")
    assert rows(browser, "#config-table") == [["train.lr", "0.01", "a.yaml:7"]]
    browser.type("#config-filter", "momentum")
    assert rows(browser, "#config-table") == []
