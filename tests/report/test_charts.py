"""Charts of the report."""

from xml.etree import ElementTree

from potstill.evaluate.plots import figure
from potstill.report import charts
from potstill.report.facts import collect
from tests.report.inputs import LADDER, PARAMS, make


def test_a_chart_has_the_pages_colours_and_tooltips():
    rows = collect(make(), PARAMS)["models"]
    svg = charts.inline(lambda path: figure.size_figure(rows, "minilm", path, titled=False), "Size & all")
    root = ElementTree.fromstring(svg)
    tips = [element.get("data-tip") for element in root.iter() if element.get("data-tip")]
    assert len(tips) == len(rows)
    assert any(tip.startswith("student: 9") and "2,500 parameters" in tip for tip in tips)
    assert root.get("aria-label") == "Size & all"
    assert "var(--ink)" in svg
    assert "#1f2933" not in svg
    # Ids are unique in the page.
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert ids
    assert all(name.startswith("size-all-") for name in ids)


def test_equal_numbers_give_equal_charts():
    rows = collect(make(), PARAMS)["ablation"]["sources"]
    one, two = (charts.inline(lambda path: charts.bars(rows, "accuracy", path), "Bars") for _ in range(2))
    assert one == two


def test_the_ladder_shows_the_candidates_that_were_trained(tmp_path):
    svg = charts.inline(lambda path: charts.ladder(LADDER, 0.93, 0.01, "accuracy", path), "Ladder")
    tips = [element.get("data-tip") for element in ElementTree.fromstring(svg).iter() if element.get("data-tip")]
    assert tips == ["one: 85.0%, 1 kB, too inaccurate", "two: 92.5%, 5 kB, chosen"]
    for label in ("teacher", "1 point below", "chosen: two"):
        assert label in svg
    assert "below" not in charts.inline(lambda path: charts.ladder(LADDER, None, 0.01, "accuracy", path), "Ladder")
    charts.ladder(LADDER, 0.93, 0.01, "accuracy", tmp_path / "ladder.png")
    assert (tmp_path / "ladder.png").read_bytes().startswith(b"\x89PNG")
