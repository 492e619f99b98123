#!/usr/bin/env python3
"""Runs the receivers of the guide about signatures, as the page itself shows them, against deliveries of a server.

Each receiver must accept deliveries, and refuse requests with a wrong signature, an old time or a changed body.

Usage: signatures.py PATH_OF_QUICKDRAW [DATABASE_URL] [LANGUAGE…]
"""
import base64
import contextlib
import hashlib
import hmac
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from harness import Sink, call, free_port, server, sink

ROOT = pathlib.Path(__file__).resolve().parents[4]
PAGE = ROOT / "docs/guide/verifying-signatures.md"
LANGUAGES = ["Python", "Node.js", "Go", "Ruby", "PHP", "Java", "Rust", "Shell"]
TOKEN = "signatures-token-0123456789"
KEY = bytes(range(32))
SIGNING_TOKEN = "whsec_" + base64.b64encode(KEY).decode()
SIGNED, SHARED = {"signing_token": SIGNING_TOKEN}, {"token": TOKEN}


def example(language):
    """The files of an example and the command that starts it."""
    section = re.search(rf"^## {re.escape(language)}\n(.*?)^## ", PAGE.read_text(), re.MULTILINE | re.DOTALL)[1]
    saved = re.findall(r"^Save as `([^`]+)`(.*?)^```\w+\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    files = {name: code for name, _, code in saved}
    commands = [command for _, text, _ in saved for command in re.findall(r"and run `([^`]+)`", text)]
    assert len(commands) == 1, (language, files.keys(), commands)
    return files, commands[0]


@contextlib.contextmanager
def running(language, secrets):
    """Starts an example and yields its URL."""
    files, command = example(language)
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        for name, code in files.items():
            path = pathlib.Path(folder, name)
            path.parent.mkdir(exist_ok=True)
            path.write_text(code)
        # Cargo takes the versions that this repository uses.
        shutil.copy(ROOT / "Cargo.lock", folder)
        target = os.environ.get("CARGO_TARGET_DIR", ROOT / "target")
        environment = os.environ | secrets | {
            "PORT": str(port), "CARGO_TARGET_DIR": f"{target}/examples", "GO111MODULE": "off", "GOFLAGS": ""}
        process = subprocess.Popen(command.replace("9200", str(port)), shell=True, cwd=folder, env=environment,
                                   start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            wait_for(port, process, language)
            yield f"http://127.0.0.1:{port}/"
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.communicate()


def wait_for(port, process, language):
    """Waits for at most five minutes, because some languages compile first."""
    for _ in range(3000):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise AssertionError(f"the receiver in {language} does not listen: {process.stderr.read().decode()}")


def deliver(base, url, secrets):
    """Delivers a test to a new hook."""
    hook = call(base, "POST", "/api/v4/projects/1/hooks", {"url": url, "push_events": True} | secrets)["id"]
    answer = call(base, "POST", f"/api/v4/projects/1/hooks/{hook}/test/push_events", expect=(201, 422))
    assert answer["message"] == "201 Created", (url, answer)


def recorded(base, receiver, secrets):
    """A request as it is delivered: headers with names in lower case, and the body."""
    deliver(base, receiver, secrets)
    headers, body = Sink.got[-1]
    assert "ö".encode() in body or b"\\u00f6" in body, "a body that is not ASCII"
    return {name.lower(): value for name, value in headers.items()}, body


def send(url, headers, body):
    omitted = ("host", "content-length", "connection", "accept-encoding")
    sent = {name: value for name, value in headers.items() if name not in omitted}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=body, headers=sent)) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code


def signed_at(headers, body, timestamp):
    """The same request, signed with the right key for another time."""
    message = f"{headers['webhook-id']}.{timestamp}.".encode() + body
    signature = base64.b64encode(hmac.digest(KEY, message, "sha256")).decode()
    return headers | {"webhook-timestamp": str(timestamp), "webhook-signature": f"v1,{signature}"}


def check(url, language, cases):
    for name, expected, headers, body in cases:
        status = send(url, headers, body)
        assert status == expected, f"{language}, {name}: {status} in place of {expected}"


def signature_cases(headers, body):
    now = int(time.time())
    later = str(int(headers["webhook-timestamp"]) + 1)
    wrong = "v1," + base64.b64encode(bytes(32)).decode()
    without = {name: value for name, value in headers.items() if not name.startswith("webhook-")}
    return [
        ("the delivery", 204, headers, body),
        ("two signatures", 204, headers | {"webhook-signature": f"{wrong} {headers['webhook-signature']}"}, body),
        ("a wrong signature", 401, headers | {"webhook-signature": wrong}, body),
        ("another id", 401, headers | {"webhook-id": "another"}, body),
        ("a changed body", 401, headers, body + b" "),
        ("a time that was changed", 401, headers | {"webhook-timestamp": later}, body),
        ("an old time", 401, signed_at(headers, body, now - 600), body),
        ("a time in the future", 401, signed_at(headers, body, now + 600), body),
        ("no number as time", 401, signed_at(headers, body, "soon"), body),
        ("no signature", 401, without, body),
    ]


def token_cases(headers, body):
    wrong = "sha256=" + hashlib.sha256(body).hexdigest()
    without = lambda omitted: {name: value for name, value in headers.items() if name != omitted}
    return [
        ("the delivery", 204, headers, body),
        ("a wrong signature", 401, headers | {"x-hub-signature-256": wrong}, body),
        ("a wrong token", 401, headers | {"x-gitlab-token": TOKEN + "0"}, body),
        ("a changed body", 401, headers, body + b" "),
        ("no signature", 401, without("x-hub-signature-256"), body),
        ("no token", 401, without("x-gitlab-token"), body),
    ]


arguments = [argument for argument in sys.argv[1:] if argument not in LANGUAGES]
languages = [argument for argument in sys.argv[1:] if argument in LANGUAGES] or LANGUAGES
with server(*arguments, QUICKDRAW__LIMITS__MANUAL_PER_MINUTE="0") as address, sink() as receiver:
    call(address, "POST", "/api/v4/groups", {"name": "g", "path": "g"})
    call(address, "POST", "/api/v4/projects", {"name": "Röpe", "path": "rope", "namespace_id": 1})
    for language in languages:
        with running(language, {"WEBHOOK_SIGNING_TOKEN": SIGNING_TOKEN, "WEBHOOK_TOKEN": ""}) as url:
            deliver(address, url, SIGNED)
            check(url, language, signature_cases(*recorded(address, receiver, SIGNED)))
        with running(language, {"WEBHOOK_SIGNING_TOKEN": "", "WEBHOOK_TOKEN": TOKEN}) as url:
            deliver(address, url, SHARED)
            check(url, language, token_cases(*recorded(address, receiver, SHARED)))
        print(f"{language}: deliveries are accepted, and forged requests are refused", flush=True)
