import pandas as pd
import pytest

from potstill import cli
from potstill.core.errors import PotstillError
from tests.students import student
from tests.tables import make_pool


@pytest.mark.slow
def test_predict_on_ray_answers_as_predict_does_and_goes_on_where_it_stopped(tmp_path, capsys):
    student("bigru").save(tmp_path / "student.pot")
    texts = [f"the ab not good {i}" for i in range(50)]
    (tmp_path / "in").mkdir()
    make_pool(tmp_path / "in/a.parquet", texts[:30], 8)
    make_pool(tmp_path / "in/b.parquet", texts[30:], 8)
    make_pool(tmp_path / "all.parquet", texts, 50)
    model, one, many = (str(tmp_path / name) for name in ("student.pot", "one.parquet", "many"))
    options = ["--top-k", "2", "--threshold", "0.3"]
    cli.execute(["predict", model, str(tmp_path / "all.parquet"), "-o", one, *options])
    command = ["predict", model, str(tmp_path / "in/*.parquet"), "-o", many, *options, "--engine", "ray"]
    cli.execute([*command, "--workers", "2"])
    assert "50 texts classified" in capsys.readouterr().err
    pd.testing.assert_frame_equal(pd.read_parquet(many), pd.read_parquet(one))
    (tmp_path / "many/_000003.done").unlink()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "many").glob("*.parquet")}
    cli.execute(command)
    written = [path.name for path, time_ in before.items() if path.stat().st_mtime_ns != time_]
    assert written == ["000003.parquet"]
    with pytest.raises(PotstillError, match="holds the results of another model or input"):
        cli.execute([*command[:-4], "--engine", "ray"])


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ((), r"found: -, a stream"),
        (("in.parquet", "-o", "out", "--skip-bad"), "does not support --fallback, --keep, --overwrite and --skip-bad"),
        (("in.parquet", "-o", "out"), "in.parquet: no such file"),
        (("*.parquet", "-o", "out"), "no Parquet file. Name one"),
        (("nowhere://in.parquet", "-o", "out"), "Protocol not known: nowhere"),
        (("in", "-o", "in"), "in: it is part of the input"),
        (("in", "-o", "./in/answers/new"), "is part of the input"),
        (("in/*.parquet", "-o", "in/"), "is part of the input"),
        (("in", "-o", "file"), "it is a file"),
        (("in/*.parquet", "-o", "in/a.parquet"), "it is a file"),
    ],
)
def test_predict_on_ray_says_what_is_wrong(tmp_path, monkeypatch, options, reason):
    (tmp_path / "in").mkdir()
    for name in ("file", "in/a.parquet"):
        make_pool(tmp_path / name, ["a"], 1)
    student("mlp").save(tmp_path / "student.pot")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PotstillError, match=reason):
        cli.execute(["predict", "student.pot", *options, "--engine", "ray"])
