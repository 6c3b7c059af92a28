"""A server that all tests of the service share."""

import pytest

from tests.serving import serving


@pytest.fixture(scope="session")
def server(model):
    with serving(model, "--max-body", "10000", "--max-batch", "100", "--max-length", "200") as (_, place):
        yield place
