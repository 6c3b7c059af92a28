"""Every way to run shards."""

from functools import partial

import pytest

from potstill.engine import local
from potstill.engine import ray as on_ray

ENGINES = {
    "one": partial(local.each, processes=1),
    "two": partial(local.each, processes=2),
    "ray": partial(on_ray.each, actors=2, address=None, gpu=False),
}


everywhere = pytest.mark.parametrize(
    "engine", [pytest.param(ENGINES[name], id=name, marks=[pytest.mark.slow] * (name != "one")) for name in ENGINES]
)
