"""Downloads: checked by their hash, kept whole or not at all, over https alone."""

import hashlib
import io
from urllib.error import URLError

import pytest

from cnnjax import CnnjaxError
from cnnjax.pretrained import downloads
from cnnjax.pretrained.downloads import fetch, open_https, place_of, weights_dir
from cnnjax.pretrained.passports import published

CONTENT = b"weights" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def passport():
    return published("resnet18", "torchvision")._replace(digest=f"sha256:{SHA256[:8]}")


@pytest.fixture
def server(tmp_path):
    """Real files in place of a network; `.asked` are the addresses it was asked for."""

    class Server:
        asked = ()
        content = CONTENT

        def __call__(self, url):
            self.asked += (url,)
            path = tmp_path / "remote"
            path.write_bytes(self.content)
            return path.open("rb")

    return Server()


def test_a_file_is_downloaded_once_and_checked(passport, server, tmp_path):
    for _ in range(2):
        path = fetch(passport, folder=tmp_path / "cache", open_url=server)
        assert path.read_bytes() == CONTENT
    assert server.asked == (passport.url,)
    assert path == place_of(passport, tmp_path / "cache")
    assert path.name == "resnet18-torchvision-IMAGENET1K_V1.pth"
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("digest", [f"sha256:{SHA256}", f"md5:{hashlib.md5(CONTENT).hexdigest()}"])
def test_each_kind_of_hash_is_understood(passport, server, tmp_path, digest):
    assert fetch(passport._replace(digest=digest), folder=tmp_path, open_url=server).is_file()
    server.content = b"other"
    (place_of(passport, tmp_path)).unlink()
    with pytest.raises(CnnjaxError, match=r"has the (sha256|md5)"):
        fetch(passport._replace(digest=digest), folder=tmp_path, open_url=server)


def test_a_wrong_hash_leaves_nothing_behind(passport, server, tmp_path):
    server.content = CONTENT[:-1]
    with pytest.raises(CnnjaxError, match="damaged, truncated or another file; nothing was kept"):
        fetch(passport, folder=tmp_path / "cache", open_url=server)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_file_that_was_put_there_by_hand_is_checked_and_needs_no_network(
    passport, server, tmp_path
):
    path = place_of(passport, tmp_path)
    path.write_bytes(CONTENT)
    assert fetch(passport, folder=tmp_path, open_url=server) == path
    path.write_bytes(b"tampered")
    with pytest.raises(CnnjaxError, match="delete it and get it again"):
        fetch(passport, folder=tmp_path, open_url=server)
    assert server.asked == ()
    assert path.read_bytes() == b"tampered"


def test_without_a_network_the_line_says_where_to_put_the_file(passport, tmp_path):
    def unreachable(url):
        raise URLError("Name or service not known")

    with pytest.raises(CnnjaxError, match="without a network") as error:
        fetch(passport, folder=tmp_path, open_url=unreachable)
    assert str(place_of(passport, tmp_path)) in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_connection_that_breaks_leaves_nothing_behind(passport, tmp_path):
    class Broken(io.BytesIO):
        def read(self, size=-1):
            if self.tell():
                raise ConnectionResetError("reset by peer")
            return super().read(10)

    with pytest.raises(CnnjaxError, match="reset by peer"):
        fetch(passport, folder=tmp_path, open_url=lambda url: Broken(CONTENT))
    assert list(tmp_path.iterdir()) == []


def test_where_no_hash_is_published_the_user_has_to_give_one(server, tmp_path):
    passport = published("mobilenet_v2", "keras")
    assert passport.digest == ""
    with pytest.raises(CnnjaxError, match="no hash is published"):
        fetch(passport, folder=tmp_path, open_url=server)
    assert fetch(passport, sha256=SHA256.upper(), folder=tmp_path, open_url=server).is_file()
    with pytest.raises(CnnjaxError, match="expected 64 hexadecimal digits"):
        fetch(passport, sha256="abc", folder=tmp_path, open_url=server)


@pytest.mark.parametrize("url", ["http://a.example/w.pth", "file:///etc/passwd", "ftp://a/b"])
def test_no_other_way_than_https_is_taken(url):
    with pytest.raises(CnnjaxError, match=r"is no https address; .* refused"):
        open_https(url)


def test_no_redirection_leads_away_from_https():
    handler = downloads._OnlySecure()
    request = downloads.Request("https://a.example/w.pth")
    with pytest.raises(CnnjaxError, match="is no https address"):
        handler.redirect_request(request, None, 302, "Found", {}, "http://b.example/w.pth")
    moved = handler.redirect_request(request, None, 302, "Found", {}, "https://b.example/w.pth")
    assert moved.full_url == "https://b.example/w.pth"


def test_the_cache_is_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("CNNJAX_CACHE", str(tmp_path))
    assert weights_dir() == tmp_path / "weights"


def test_a_cache_that_cannot_be_written_is_told(passport, server, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CnnjaxError, match="set CNNJAX_CACHE"):
        fetch(passport, folder=tmp_path / "file" / "cache", open_url=server)
