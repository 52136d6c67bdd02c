"""A store of every backend, closed at the end."""

import pytest
from store_kit import BACKENDS, open_store


@pytest.fixture(params=BACKENDS)
def url(request, tmp_path):
    return BACKENDS[request.param](tmp_path)


@pytest.fixture
def opened():
    """Opens stores that are closed at the end of the test."""
    stores = []

    def opening(url, *args, **options):
        stores.append(open_store(url, *args, **options))
        return stores[-1]

    yield opening
    for store in stores:
        store.close()


@pytest.fixture
def store(url, opened):
    return opened(url)
