import pytest


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory):
    """One cache for the whole run, so that the glyphs are drawn once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def cache(monkeypatch, shared_cache):
    """No test reads or writes the cache of whoever runs it."""
    monkeypatch.setenv("CNNJAX_CACHE", str(shared_cache))
    return shared_cache
