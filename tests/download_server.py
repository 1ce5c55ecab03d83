"""A web server on this machine that can do what a bad connection does."""

from __future__ import annotations

import http.server
import socket


class Server(http.server.ThreadingHTTPServer):
    """Serves one content; can cut connections, ignore ranges, and fail."""

    daemon_threads = True

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = content
        self.cut_after: list[int] = []
        self.ranges = True
        self.fail: list[int] = []
        self.fail_later: list[int] = []
        self.asked: list[str | None] = []
        self.etag = ""
        self.url = f"http://127.0.0.1:{self.server_port}/Tuning.zip?download=1"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server, content = self.server, self.server.content
        asked = self.headers.get("Range")
        server.asked.append(asked)
        if server.fail:
            self.send_error(server.fail.pop(0))
            return
        if asked and server.etag and self.headers.get("If-Range", server.etag) != server.etag:
            asked = None
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and server.ranges else 0
        if start and start >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            last = len(content) - 1
            self.send_header("Content-Range", f"bytes {start}-{last}/{len(content)}")
        if server.etag:
            self.send_header("ETag", server.etag)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        body = content[start:]
        if server.cut_after:
            body = body[: server.cut_after.pop(0)]
            self.wfile.write(body)
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            server.fail, server.fail_later = server.fail_later, []
        else:
            self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass
