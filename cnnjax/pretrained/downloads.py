"""Published files of weights, kept in the cache once their hash was checked."""

import hashlib
import os
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from cnnjax.data.cache import cache_dir
from cnnjax.errors import CnnjaxError
from cnnjax.pretrained.passports import Passport

Open = Callable[[str], IO[bytes]]
"""(url) -> the bytes that are there."""

PIECE = 1 << 20


class _OnlySecure(HTTPRedirectHandler):
    def redirect_request(
        self, req: Request, fp: object, code: int, msg: str, headers: object, newurl: str
    ) -> Request | None:
        _check_secure(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def open_https(url: str) -> IO[bytes]:
    """Opens an https address, and redirections to https addresses only.

    Raises:
      CnnjaxError: an address of another kind.
      OSError: it cannot be reached.
    """
    _check_secure(url)
    return build_opener(_OnlySecure).open(
        Request(url, headers={"User-Agent": "cnnjax"}), timeout=60
    )


def _check_secure(url: str) -> None:
    if urlsplit(url).scheme != "https":
        raise CnnjaxError(f"{url!r} is no https address; weights come from no other; refused")


def weights_dir() -> Path:
    """Where downloaded files are kept: `weights` in `$CNNJAX_CACHE` or ~/.cache/cnnjax."""
    return cache_dir() / "weights"


def place_of(passport: Passport, folder: Path | None = None) -> Path:
    """The path of a published file in the cache, whether it is there or not."""
    suffix = "".join(Path(urlsplit(passport.url).path).suffixes[-1:])
    name = f"{passport.network}-{passport.source}-{passport.weights}{suffix}"
    return (folder or weights_dir()) / name


def fetch(
    passport: Passport,
    *,
    sha256: str | None = None,
    folder: Path | None = None,
    open_url: Open = open_https,
) -> Path:
    """The published file, from the cache or downloaded to it.

    It is written under another name and renamed once its hash was checked; the hash of a file that
    is in the cache already is checked too. Without a network, put the file there yourself.

    Args:
      passport: which.
      sha256: of the file, 64 digits, in place of what the source publishes; needed where it
        publishes nothing.
      folder: the cache; `weights_dir()` by default.
      open_url: what opens an address.

    Raises:
      CnnjaxError: no known hash, no connection, a file with another hash, or no place to write to.
    """
    path = place_of(passport, folder)
    digest = f"sha256:{check_sha256(sha256)}" if sha256 else passport.digest
    if not digest:
        raise CnnjaxError(
            f"no hash is published for {passport.url}, so that a download cannot be checked; "
            "download it yourself and give its path as the weights, or give its sha256"
        )
    if path.is_file():
        verify(path, digest)
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        file = temporary.open("xb")
    except OSError as error:
        raise CnnjaxError(
            f"cannot write to {path.parent}: {error.strerror or error}; set CNNJAX_CACHE to a "
            "folder that can be written"
        ) from None
    try:
        with file:
            _download(passport.url, file, path, open_url)
        verify(temporary, digest, called=passport.url)
        os.replace(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink()
    return path


def _download(url: str, file: IO[bytes], path: Path, open_url: Open) -> None:
    try:
        with open_url(url) as source:
            while piece := source.read(PIECE):
                file.write(piece)
    except CnnjaxError:
        raise
    except Exception as error:  # HTTP, TLS, names that are not found, a full disk
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise CnnjaxError(
            f"cannot download {url}: {reason}; without a network, get the file elsewhere and put "
            f"it at {path}"
        ) from None


def check_sha256(text: str) -> str:
    """The digits in small letters.

    Raises:
      CnnjaxError: not 64 hexadecimal digits.
    """
    if len(text) != 64 or set(text.lower()) - set("0123456789abcdef"):
        raise CnnjaxError(f"sha256 is {text!r}; expected 64 hexadecimal digits")
    return text.lower()


def verify(path: Path, digest: str, called: str | None = None) -> None:
    """Makes sure that a file has the hash "sha256:..." (all 64 or just the first digits) or
    "md5:...".

    Raises:
      CnnjaxError: it has another.
    """
    kind, _, expected = digest.partition(":")
    found = hash_of(path, kind)
    if not found.startswith(expected):
        raise CnnjaxError(
            f"{called or str(path)} has the {kind} {found[: len(expected)]}, expected {expected}: "
            "damaged, truncated or another file; "
            + ("nothing was kept; try again" if called else "delete it and get it again")
        )


def hash_of(path: Path, kind: str = "sha256") -> str:
    """The hash of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()
