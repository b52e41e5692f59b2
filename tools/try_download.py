"""Downloads a model with `model check --model owner/name` from a hub of its own on this machine.

    cargo build --release --features hub
    python tools/try_download.py PROGRAM MODEL_DIRECTORY

Serves the directory as the Hugging Face hub would (list of files with hashes, redirect-free files with
commit and ETag), runs the program with HF_ENDPOINT and an empty cache, checks that the cached files are
those of the directory, that a second run downloads nothing, and that a file whose hash is wrong is
refused and removed.
"""

import hashlib
import http.server
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading

program, directory = sys.argv[1], pathlib.Path(sys.argv[2])
COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = ".safetensors"
requests, damage = [], set()


def git_hash(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Hub(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body, headers=(), head=False):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if not head:
            self.wfile.write(body)

    def do_HEAD(self):
        self.do_GET(head=True)

    def do_GET(self, head=False):
        path = self.path.split("?")[0]
        requests.append(f"{self.command} {self.path}")
        if path.startswith("/api/models/tiny/model/tree/"):
            files = []
            for file in sorted(directory.iterdir()):
                data = file.read_bytes()
                entry = {"type": "file", "path": file.name, "size": len(data), "oid": git_hash(data)}
                if file.name.endswith(LARGE):
                    sha = hashlib.sha256(data).hexdigest()
                    entry["lfs"] = {"oid": sha, "size": len(data), "pointerSize": 134}
                files.append(entry)
            return self.answer(
                200, json.dumps(files).encode(), [("Content-Type", "application/json")], head
            )
        if path.startswith("/api/models/tiny/model"):
            about = {"id": "tiny/model", "modelId": "tiny/model", "sha": COMMIT, "siblings": []}
            return self.answer(
                200, json.dumps(about).encode(), [("Content-Type", "application/json")], head
            )
        prefix = "/tiny/model/resolve/"
        if path.startswith(prefix):
            name = path[len(prefix) :].split("/", 1)[1]
            file = directory / name
            if file.is_file():
                data = file.read_bytes()
                etag = hashlib.sha256(data).hexdigest() if name.endswith(LARGE) else git_hash(data)
                if name in damage:
                    data = data[:-1] + bytes([data[-1] ^ 1])
                headers = [("X-Repo-Commit", COMMIT), ("ETag", f'"{etag}"')]
                if name.endswith(LARGE):
                    headers += [("X-Linked-Etag", f'"{etag}"'), ("X-Linked-Size", str(len(data)))]
                return self.answer(200, data, headers, head)
        return self.answer(404, b"{}", [("X-Error-Code", "EntryNotFound")], head)


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
threading.Thread(target=server.serve_forever, daemon=True).start()


def run(cache):
    requests.clear()
    environment = {
        **os.environ,
        "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
        "HF_HOME": cache,
        "NO_COLOR": "1",
    }
    argv = [program, "model", "check", "--model", "tiny/model"]
    answer = subprocess.run(argv, capture_output=True, text=True, env=environment)
    return answer.returncode, answer.stdout, answer.stderr


with tempfile.TemporaryDirectory() as cache:
    code, stdout, stderr = run(cache)
    print(stderr, stdout, *requests, sep="\n")
    assert code == 0, code
    found = {p.name: p.read_bytes() for p in pathlib.Path(cache).rglob("snapshots/*/*")}
    for name, data in found.items():
        assert data == (directory / name).read_bytes(), name
    print(f"{len(found)} files equal: {', '.join(sorted(found))}")
    code, _, stderr = run(cache)
    assert code == 0 and not requests, (code, stderr, requests)
    print("the second run asked the hub for nothing")

for name in ("model.safetensors", "tokenizer.json"):
    damage = {name}
    with tempfile.TemporaryDirectory() as cache:
        code, _, stderr = run(cache)
        assert code == 1 and f"{name} has the hash" in stderr, (code, stderr)
        left = [p.name for p in pathlib.Path(cache).rglob("snapshots/*/*")]
        assert name not in left, left
        damage = set()
        code, _, stderr = run(cache)
        assert code == 0, (code, stderr)
        print(f"damaged {name}: refused, removed, and whole after another run")
