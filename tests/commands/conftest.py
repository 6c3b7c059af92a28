"""Fixtures of the tests of the commands."""

import dataclasses

import pytest

from tests.command import ODD_LABELS
from tests.students import student


@pytest.fixture
def odd(tmp_path):
    dataclasses.replace(student("mlp"), labels=ODD_LABELS).save(tmp_path / "odd.pot")
    return tmp_path / "odd.pot"
