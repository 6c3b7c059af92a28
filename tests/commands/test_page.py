"""`potstill page`."""

import dataclasses
import re

import pytest

from potstill import cli
from tests.students import student


@pytest.mark.parametrize("thresholds", [None, [0.5, 0.5, 0.5]])
def test_long_names_are_cut_in_a_pages_title_and_whole_in_its_tooltip(thresholds, tmp_path):
    labels = ["a" * 3000, '"' * 3000, "short"]
    dataclasses.replace(student("mlp"), labels=labels, thresholds=thresholds).save(tmp_path / "a.pot")
    cli.execute(["page", str(tmp_path / "a.pot"), "-o", str(tmp_path / "a.html")])
    html = (tmp_path / "a.html").read_text("utf-8")
    title = re.search("<title>(.*)</title>", html)[1]
    assert f"{'a' * 49}…, {'&quot;' * 49}…{',' if thresholds else ' or'} short?" in title
    whole, heading = re.search('<h1 title="(.*)">(.*)</h1>', html).groups()
    assert heading == title
    assert "a" * 3000 in whole
    assert "&quot;" * 3000 in whole
