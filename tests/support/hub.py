"""A hub on this machine: the few endpoints that downloading needs, over HTTP, from folders."""

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """Repositories are the folders owner/name below `root`; whoever asks for one of `refused` gets that status."""

    def __init__(self, root: Path):
        self.root, self.refused, self.corrupt = root, {}, set()
        self.requests: list[str] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self):
                hub.answer(self, body=False)

            def do_GET(self):
                hub.answer(self, body=True)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, request: BaseHTTPRequestHandler, body: bool) -> None:
        path = request.path.partition("?")[0].strip("/")
        self.requests.append(f"{request.command} {path}")
        words = path.removeprefix("api/models/").split("/")
        name = "/".join(words[:2])
        headers, content, status = {}, b"", 200
        if name in self.refused:
            status, code = self.refused[name]
            headers = {"X-Error-Code": code, "X-Error-Message": code}
        elif not (self.root / name).is_dir():
            status, headers = 404, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}
        elif path.startswith("api/models/") and words[2] == "revision":
            if words[3] not in ("main", COMMIT):
                status, headers = 404, {"X-Error-Code": "RevisionNotFound", "X-Error-Message": "Invalid rev"}
            content = json.dumps({"id": name, "modelId": name, "sha": COMMIT, "siblings": []}).encode()
        elif path.startswith("api/models/") and words[2] == "tree":
            content = json.dumps(self.tree(self.root / name)).encode()
        elif words[2] == "resolve":
            file = self.root / name / "/".join(words[4:])
            content = file.read_bytes()
            about = self.describe(file, self.root / name)
            headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{about.get("lfs", about)["oid"]}"'}
            if file.name in self.corrupt:
                content = content[:-1] + bytes([content[-1] ^ 1])
        request.send_response(status)
        for key, value in headers.items():
            request.send_header(key, value)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        if body:
            request.wfile.write(content)

    def describe(self, file: Path, repository: Path) -> dict:
        data = file.read_bytes()
        about = {
            "type": "file",
            "path": file.relative_to(repository).as_posix(),
            "size": len(data),
            "oid": hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest(),
        }
        if file.suffix == ".safetensors":
            about["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
        return about

    def tree(self, repository: Path) -> list[dict]:
        return [self.describe(file, repository) for file in sorted(repository.rglob("*")) if file.is_file()]


@contextlib.contextmanager
def running_hub(root: Path) -> Iterator[Hub]:
    hub = Hub(root)
    thread = threading.Thread(target=hub.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.server.shutdown()
        hub.server.server_close()
        thread.join()
