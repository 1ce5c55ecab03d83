"""Download over HTTP in a way that a broken connection, or a kill, does not start again."""

from __future__ import annotations

import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import Message
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from pathlib import Path

_OFFLINE = "CELLHARNESS_OFFLINE"


def is_offline() -> bool:
    """Whether ``CELLHARNESS_OFFLINE`` forbids the network."""
    return os.environ.get(_OFFLINE, "").lower() not in ("", "0", "false", "no")


@contextmanager
def without_network() -> Iterator[None]:
    """Forbid the network for a while, in this process and those that it starts."""
    before = os.environ.get(_OFFLINE)
    os.environ[_OFFLINE] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_OFFLINE]
        else:
            os.environ[_OFFLINE] = before


class ResumingDownloader:
    """A pooch downloader over HTTP that continues a partial file.

    The bytes go to ``<folder>/<name>.part``. A broken connection is taken up where it ended by an
    HTTP Range request, within one call and between calls and processes; a server that ignores
    ranges is read from the start again.

    Parameters
    ----------
    partial
        The file that collects the bytes.
    attempts
        Tries in a row that bring no new byte before giving up.
    timeout
        Seconds without an answer or a byte that count as a broken connection.
    pause
        Seconds before the second try; doubled with each further one.
    verified
        Whether the caller checks a hash afterwards. If not, a partial file of an earlier call is
        continued only where the server can say that its file is still the same one.
    progress
        Called with (bytes there, bytes in all or None) after every block.
    """

    block = 1 << 20

    def __init__(
        self,
        partial: Path,
        *,
        attempts: int = 4,
        timeout: float = 30.0,
        pause: float = 0.5,
        verified: bool = True,
        progress: Callable[[int, int | None], None] | None = None,
    ) -> None:
        self.partial = partial
        self.attempts = attempts
        self.timeout = timeout
        self.pause = pause
        self.verified = verified
        self.progress = progress

    def __call__(self, url: str, output_file: str | Path, pooch_object: object) -> None:  # noqa: ARG002
        """Fetch `url` into the partial file and move it to `output_file` when it is whole."""
        if is_offline():
            msg = "--offline or CELLHARNESS_OFFLINE forbids the network"
            raise ConnectionError(msg)
        if not self.verified and not self._version():
            self.partial.unlink(missing_ok=True)
        fruitless = 0
        while True:
            before = self._have()
            try:
                if self._read_on(url):
                    break
                problem: Exception = ConnectionError("the connection ended before the file did")
            except urllib.error.HTTPError as error:
                if error.code < HTTPStatus.INTERNAL_SERVER_ERROR and error.code not in (408, 429):
                    raise
                problem = error
            except (OSError, HTTPException) as error:
                problem = error
            fruitless = 0 if self._have() > before else fruitless + 1
            if fruitless >= self.attempts:
                raise problem
            time.sleep(self.pause * 2**fruitless)
        self.partial.replace(output_file)
        self._mark.unlink(missing_ok=True)

    @property
    def _mark(self) -> Path:
        """The server's mark of the version that the partial file is of, kept beside it."""
        return self.partial.with_name(f"{self.partial.name}.version")

    def _version(self) -> str:
        return self._mark.read_text(encoding="utf-8") if self._mark.is_file() else ""

    def _have(self) -> int:
        return self.partial.stat().st_size if self.partial.exists() else 0

    def _read_on(self, url: str) -> bool:
        """Make one request and append what it brings; True when the file is whole."""
        start = self._have()
        request = urllib.request.Request(url, headers={"Accept-Encoding": "identity"})
        if start:
            request.add_header("Range", f"bytes={start}-")
            if version := self._version():
                # Of another version the server then sends the whole file.
                request.add_header("If-Range", version)
        try:
            response: HTTPResponse = urllib.request.urlopen(request, timeout=self.timeout)
        except urllib.error.HTTPError as error:
            if error.code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise
            if _range_of(error.headers.get("Content-Range"))[1] == start:
                return True
            # What is there cannot be the beginning of this file.
            self.partial.unlink()
            return False
        with response:
            resumed = response.status == HTTPStatus.PARTIAL_CONTENT
            if resumed:
                first, total = _range_of(response.headers.get("Content-Range"))
                if first != start:
                    msg = f"asked for bytes from {start} on, the server sent those from {first} on"
                    raise HTTPException(msg)
            else:
                self._mark.write_text(_version_of(response.headers), encoding="utf-8")
                length = response.headers.get("Content-Length")
                total = int(length) if length else None
            with self.partial.open("ab" if resumed else "wb") as file:
                while data := response.read(self.block):
                    file.write(data)
                    if self.progress is not None:
                        self.progress(file.tell(), total)
        # Without a length the end of the answer is all there is to go by; the hash is checked.
        return total is None or self._have() == total


def _range_of(content_range: str | None) -> tuple[int | None, int | None]:
    """First byte and whole size in a Content-Range header (``bytes 5-9/10``, ``bytes */10``)."""
    found = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", content_range or "")
    if found is None:
        return None, None
    first, total = found.groups()
    return int(first) if first else None, int(total) if total != "*" else None


def _version_of(headers: Message) -> str:
    """What identifies a file's version byte by byte: a strong ETag, or when it was changed."""
    tag = headers.get("ETag") or ""
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified") or ""
