"""A server under attack, requests of other users during an attack, and a receiver. Used by attacks.py."""
import base64
import contextlib
import http.client
import http.server
import json
import os
import random
import resource
import signal
import subprocess
import tempfile
import threading
import time

from harness import TOKEN, WEBHOOK_SECRET, free_port

MIB = 1 << 20
# Longest time, in seconds, that a request of another user may take. It allows for a machine that also builds something.
PATIENCE = 10
# Limit of the server's address space, in bytes: a few times its size at rest.
ROOM = 3 << 30
# Limit of the server's memory, in MiB.
MOST_MEMORY = 768


class Server:
    """A server with a project for the attacker and a project for other users."""

    def __init__(self, program, database=None, port=None, **settings):
        self.program, self.folder = os.path.abspath(program), tempfile.TemporaryDirectory()
        self.port = port or free_port()
        self.environment = os.environ | {
            "QUICKDRAW_LISTEN": f"127.0.0.1:{self.port}", "QUICKDRAW_EXTERNAL_URL": f"http://127.0.0.1:{self.port}",
            "QUICKDRAW_ROOT_TOKEN": TOKEN, "GITLAB_WEBHOOK_SECRET": WEBHOOK_SECRET, "QUICKDRAW_ALLOW_LOCAL_NETWORKS": "true",
            "QUICKDRAW__SOURCE__RATE_LIMIT": "off", "QUICKDRAW__SOURCE__SENDER_RATE_LIMIT": "off", "QUICKDRAW__DELIVERY__AUTO_DISABLE": "off",
            "QUICKDRAW__TELEMETRY__LOG": "warn"} | settings
        if database:
            key = base64.b64encode(b"\1" * 32).decode()
            self.environment |= {"QUICKDRAW_DATABASE_URL": database, "QUICKDRAW_KEY": key}
        self.start()
        # Servers may share a database, so each uses its own names.
        self.name = f"g{random.randrange(10**9)}"
        self.mine, self.theirs = self.project(f"{self.name}a"), self.project(f"{self.name}b")
        self.maintainer, self.guest = self.person(40), self.person(10, "read_api")

    def start(self):
        self.process = subprocess.Popen([self.program, "serve"], cwd=self.folder.name, env=self.environment,
                                        stdout=subprocess.DEVNULL)
        resource.prlimit(self.process.pid, resource.RLIMIT_AS, (ROOM, ROOM))
        for _ in range(1200):
            with contextlib.suppress(OSError):
                if self.call("GET", "/api/v1/ready")[0] == 200:
                    return
            assert self.process.poll() is None, "the server did not start"
            time.sleep(0.05)
        raise SystemExit("the server is not ready")

    def stop(self):
        """Stops the server. An attacked server must still stop in good order."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(60) == 0, "the server did not stop in good order"

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.folder.cleanup()

    def call(self, method, path, body=None, token=TOKEN, raw=None, timeout=120, source=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout, source and (source, 0))
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        headers |= {"Content-Type": "application/json"} | ({"PRIVATE-TOKEN": token} if token else {})
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        with contextlib.closing(connection):
            connection.request(method, path, data, headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        if len(text) > MIB // 4:
            # Parsing much JSON would delay the other threads of this program.
            return answer.status, text
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, text

    def want(self, method, path, body=None, **rest):
        status, answer = self.call(method, path, body, **rest)
        assert status in (200, 201, 202, 204), f"{method} {path}: {status} {str(answer)[:300]}"
        return answer

    def project(self, group, name="p"):
        group = self.want("POST", "/api/v4/groups", {"name": group, "path": group})["id"]
        return self.want("POST", "/api/v4/projects", {"name": name, "path": name, "namespace_id": group})["id"]

    def person(self, level, scope="api"):
        name = f"u{random.randrange(10**9)}"
        user = self.want("POST", "/api/v4/users", {"username": name, "name": name})["id"]
        self.want("POST", f"/api/v4/projects/{self.mine}/members", {"user_id": user, "access_level": level})
        return self.want("POST", f"/api/v4/users/{user}/personal_access_tokens", {"name": "t", "scopes": [scope]})["token"]

    def hook(self, url, **settings):
        """Tries to create a hook as the attacker, and returns the status and the answer."""
        return self.call("POST", f"/api/v4/projects/{self.mine}/hooks", {"url": url, "push_events": True} | settings,
                         token=self.maintainer)

    def event(self, project, payload=None, timeout=120):
        """Reports an event with a payload. A string is sent as it is."""
        payload = payload if isinstance(payload, str) else json.dumps({"ref": "refs/heads/main", "n": random.random()} | (payload or {}))
        body = '{"trigger":"push_hooks","payload":%s}' % payload
        return self.call("POST", f"/api/v1/projects/{project}/events", raw=body.encode(), timeout=timeout)[0]

    def receive(self, body, key, path="/api/v1/webhooks/gitlab", token=WEBHOOK_SECRET, **headers):
        headers |= {"X_Gitlab_Event": "Push Hook", "X_Gitlab_Token": token, "Idempotency_Key": key}
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.call("POST", path, token=None, raw=raw, **headers)

    def peak(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM"))

    def count(self, metric):
        lines = [line for line in self.call("GET", "/metrics")[1].splitlines() if line.startswith(metric)]
        return sum(float(line.split()[-1]) for line in lines)

    def until(self, what, seconds=60):
        end = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < end and self.process.poll() is None, "the expected state was not reached"
            time.sleep(0.05)


class Others:
    """Requests of other users during an attack. None of them may fail or take long."""

    def __init__(self, server, what, payload=None):
        self.server, self.what, self.payload, self.going = server, what, payload, True
        self.waits, self.failed = {"health": [0], "an event of another user": [0]}, []

    def __enter__(self):
        asks = {"health": lambda: self.server.call("GET", "/api/v1/health", timeout=PATIENCE)[0],
                "an event of another user": lambda: self.server.event(self.server.theirs, self.payload, PATIENCE)}
        self.threads = [threading.Thread(target=self.ask, args=each, daemon=True) for each in asks.items()]
        for thread in self.threads:
            thread.start()

    def ask(self, name, ask):
        while self.going:
            began = time.monotonic()
            try:
                status = ask()
            except (OSError, http.client.HTTPException) as error:
                status = type(error).__name__
            self.waits[name].append(time.monotonic() - began)
            if status not in (200, 202):
                self.failed.append((name, status))
            time.sleep(0.03)

    def __exit__(self, kind, *_):
        self.going = False
        for thread in self.threads:
            thread.join()
        ended = self.server.process.poll()
        peak = self.server.peak() if ended is None else 0
        waits = ", ".join(f"{name} takes up to {max(waits) * 1000:.0f} ms" for name, waits in self.waits.items())
        print(f"  {self.what}: {waits}, peak {peak} MiB", flush=True)
        if kind is None:
            assert ended is None, f"{self.what}: the process ended with {ended}"
            assert peak <= MOST_MEMORY, f"{self.what}: the process used {peak} MiB"
            assert not self.failed, f"{self.what}: requests of other users failed: {self.failed[:3]}"
            assert all(max(waits) <= PATIENCE for waits in self.waits.values()), f"{self.what}: other users wait too long: {self.waits}"


class Sink:
    """A receiver that records the bodies of requests, at most 1 MiB of each."""

    def __init__(self, answer=lambda headers: (200, b"")):
        self.got, sink = [], self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                length, body = int(self.headers["Content-Length"]), b""
                while length > 0:
                    part = self.rfile.read(min(length, MIB))
                    length -= len(part)
                    body = (body + part)[:MIB]
                status, text = answer(self.headers)
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)
                sink.got.append(body)

            def log_message(self, *_):
                pass

        listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        listener.daemon_threads = True
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{listener.server_port}/"


def together(*works):
    """Runs functions at the same time and returns their results."""
    given = [None] * len(works)

    def do(at, work):
        given[at] = work()

    threads = [threading.Thread(target=do, args=each) for each in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return given
