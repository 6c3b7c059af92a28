"""Where the numbers of the report come from."""

from potstill.core import files, paths
from potstill.report import origin


def test_resources_of_teachers_that_are_not_listed_are_left_out(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "METRICS", tmp_path)
    cost = {"resources": {"seconds": 1.5, "core_seconds": 2.0, "peak_megabytes": 9.0}}
    for stage in origin.STAGES:
        names = ["bert", "minilm"] if stage in ("teacher", "label") else [""]
        for name in names:
            files.write_json(tmp_path / stage / name / "resources.json", cost)
    files.write_json(tmp_path / "label" / "mine" / "resources.json", {"dollars": 9})
    found = origin.stage_resources({"teacher": ["minilm", "bert"], "label": ["minilm"]})
    assert list(found)[:6] == ["prepare", "baseline", "teacher bert", "teacher minilm", "pool", "label minilm"]
    assert len(found) == len(origin.STAGES) + 1
