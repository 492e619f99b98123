"""A server and a receiver for client programs."""
import contextlib
import http.server
import json
import os
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request

TOKEN = "clients-root-token-0123456789"
WEBHOOK_SECRET = "clients-webhook-secret-0123456789"


class Sink(http.server.BaseHTTPRequestHandler):
    """A receiver that reads headers by their exact case and bodies by Content-Length, as simple receivers do."""

    got = []
    arrived = threading.Condition()

    def do_POST(self):
        request = (dict(self.headers), self.rfile.read(int(self.headers["Content-Length"])))
        with Sink.arrived:
            Sink.got.append(request)
            Sink.arrived.notify_all()
        self.answer(200, b"ok")

    def do_GET(self):
        """Answers `/N` with request number N, for clients in other languages. Waits for it for at most 20 seconds."""
        number = int(self.path.strip("/"))
        with Sink.arrived:
            if not Sink.arrived.wait_for(lambda: len(Sink.got) > number, timeout=20):
                return self.answer(404, b"")
            headers, body = Sink.got[number]
        self.answer(200, json.dumps({"headers": headers, "body": body.decode()}).encode())

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def sink():
    """Starts a receiver and yields its base URL."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def server(program, database=None, port=None, **settings):
    """Starts a server in an empty folder and yields its base URL. The process must still run at the end."""
    base = f"http://127.0.0.1:{port or free_port()}"
    with tempfile.TemporaryDirectory() as folder:
        environment = {"QUICKDRAW_LISTEN": base.removeprefix("http://"), "QUICKDRAW_ROOT_TOKEN": TOKEN,
                       "QUICKDRAW_EXTERNAL_URL": base, "QUICKDRAW_ALLOW_LOCAL_NETWORKS": "true",
                       "GITLAB_WEBHOOK_SECRET": WEBHOOK_SECRET, "QUICKDRAW__TELEMETRY__LOG": "warn",
                       "QUICKDRAW__SOURCE__RATE_LIMIT": "off", "QUICKDRAW__SOURCE__SENDER_RATE_LIMIT": "off"} | settings
        if database:
            environment |= {"QUICKDRAW_DATABASE_URL": database,
                            "QUICKDRAW_KEY": "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="}
        process = subprocess.Popen([os.path.abspath(program), "serve"], cwd=folder, env=os.environ | environment,
                                   stdout=subprocess.DEVNULL)
        try:
            for _ in range(600):
                try:
                    urllib.request.urlopen(f"{base}/api/v1/ready")
                    break
                except OSError:
                    time.sleep(0.05)
            yield base
            assert process.poll() is None, "the server ended"
            urllib.request.urlopen(f"{base}/api/v1/ready")
            with open(f"/proc/{process.pid}/status") as status:
                print(next(line for line in status if line.startswith("VmHWM")).replace("VmHWM:", "peak memory").strip())
        finally:
            process.terminate()
            process.wait()


def call(base, method, path, body=None, token=TOKEN, expect=(200, 201, 202, 204)):
    """Makes one request and returns the JSON of the answer."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"PRIVATE-TOKEN": token, "Content-Type": "application/json"}
    request = urllib.request.Request(base + path, data=data, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request) as response:
            status, text = response.status, response.read()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read()
    assert status in expect, f"{method} {path}: {status} {text}"
    return json.loads(text) if text else None
