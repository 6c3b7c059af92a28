"""Where the numbers of the report come from."""

from potstill.core import files, paths
from potstill.report import origin


def test_resources_of_teachers_that_are_not_listed_and_of_stages_that_were_pulled_are_left_out(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "RESOURCES", tmp_path)
    cost = {"seconds": 1.5, "core_seconds": 2.0, "peak_megabytes": 9.0}
    for stage in origin.STAGES[:-1]:
        for name in [f"{stage}/bert", f"{stage}/minilm"] if stage in ("teacher", "label") else [stage]:
            files.write_json(tmp_path / f"{name}.json", cost)
    files.write_json(tmp_path / "label/mine.json", {"dollars": 9})
    found = origin.stage_resources({"teacher": ["minilm", "bert"], "label": ["minilm"]})
    assert list(found)[:6] == ["prepare", "baseline", "teacher bert", "teacher minilm", "pool", "label minilm"]
    assert len(found) == len(origin.STAGES)
    assert "evaluate" not in found
