import io
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pytest

from potstill import cli
from potstill.core.errors import PotstillError
from potstill.label.logits import FILE, label
from potstill.label.params import LabelParams
from potstill.scoring import inference, model, pretrained
from tests.project import ROOT
from tests.students import student
from tests.tables import make_pool
from tests.tasks import make_texts


@pytest.fixture(scope="session")
def teacher(bert, data, tmp_path_factory):
    """A folder as the stage `teacher` writes it; it has learnt nothing."""
    folder = tmp_path_factory.mktemp("teacher")
    network, tokenizer = pretrained.load(str(bert), data.labels)
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    model.describe(folder, "checkpoint", data.labels, 16)
    return folder


def settings(**changes):
    found = LabelParams.load(ROOT / "params.yaml").model_dump() | {"workers": 2, "precision": "fp32"}
    return LabelParams(**found | changes)


@pytest.mark.slow
def test_a_teacher_labels_alike_on_both_engines_and_through_a_store(teacher, tmp_path):
    texts = make_texts(300, 5)["text"].tolist()
    pool = Path(make_pool(tmp_path / "pool.parquet", texts, 64))
    found = {}
    for name, params in {
        "one": settings(workers=1),
        "two": settings(),
        "ray": settings(engine="ray"),
        "store": settings(storage=str(tmp_path / "shared")),
    }.items():
        counted = []
        label(teacher, pool, tmp_path / name, params, tmp_path / "scratch", counted.append)
        assert sum(counted) == len(texts)
        assert not list(Path(params.storage or tmp_path / "scratch").iterdir())
        found[name] = (tmp_path / name / FILE).read_bytes()
    assert len(set(found.values())) == 1
    logits = pd.read_parquet(tmp_path / "one").to_numpy()
    np.testing.assert_allclose(logits, model.load(teacher, precision="fp32").logits(texts), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "share"), inference.ROUNDING.items())
def test_another_cut_of_the_pool_moves_logits_by_no_more_than_is_promised(teacher, tmp_path, precision, share):
    texts = make_texts(300, 5)["text"].tolist()
    found = []
    for rows in (17, 64, 300):
        pool = Path(make_pool(tmp_path / f"{rows}.parquet", texts, rows))
        label(teacher, pool, tmp_path / str(rows), settings(workers=1, precision=precision), tmp_path / "scratch")
        found.append(pd.read_parquet(tmp_path / str(rows)).to_numpy())
    limit = share * np.abs(found).max()
    for cut in found[1:]:
        np.testing.assert_allclose(cut, found[0], atol=limit, rtol=0)


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    """A server of S3, whose key whoever is started from here has, and its file system."""
    pytest.importorskip("s3fs", reason="needs s3fs: make test-faults installs it")
    from tests.servers import S3

    (tmp_path / "server").mkdir()
    server = S3(tmp_path / "server")
    server.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.secret["access_key_id"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.secret["secret_access_key"])
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    yield server
    server.close()


@pytest.mark.slow
@pytest.mark.faults
def test_labels_and_answers_go_through_a_store(bucket, teacher, tmp_path, monkeypatch):
    texts = make_texts(200, 5)["text"].tolist()
    pool = Path(make_pool(tmp_path / "pool.parquet", texts, 64))
    label(teacher, pool, tmp_path / "here", settings(), tmp_path / "scratch")
    for engine in ("local", "ray"):
        params = settings(engine=engine, storage=f"s3://bucket/{engine}")
        label(teacher, pool, tmp_path / engine, params, tmp_path / "unused")
        assert (tmp_path / engine / FILE).read_bytes() == (tmp_path / "here" / FILE).read_bytes()
        assert not [path for path in bucket.files.find(f"bucket/{engine}") if teacher.name in path]

    student("attention").save(tmp_path / "student.pot")
    bucket.files.put_file(str(pool), "bucket/in/pool.parquet")
    monkeypatch.chdir(tmp_path)
    command = ["predict", "student.pot", "s3://bucket/in/*.parquet", "-o", "s3://bucket/out", "--engine", "ray"]
    cli.execute(command)
    cli.execute(["predict", "student.pot", str(pool), "-o", "here.parquet"])
    written = sorted(path for path in bucket.files.find("bucket/out") if path.endswith(".parquet"))
    found = pd.concat([pd.read_parquet(io.BytesIO(bucket.files.cat_file(path))) for path in written])
    pd.testing.assert_frame_equal(found.reset_index(drop=True), pd.read_parquet("here.parquet"))

    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "open-barley")
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    with pytest.raises(
        PotstillError, match=r"s3://bucket/in/\*.parquet: it cannot be reached \(.*signature"
    ) as refused:
        cli.execute(command)
    assert "open-barley" not in str(refused.value)
