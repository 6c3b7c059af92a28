import shutil

import pytest
import torch

from potstill.core.errors import PotstillError
from potstill.scoring import pretrained


def test_pickled_weights_are_not_loaded(bert, tmp_path, data):

    folder = shutil.copytree(bert, tmp_path / "pickled")
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(PotstillError, match="cannot be loaded as a text classifier"):
        pretrained.load(str(folder), data.labels)
