#!/usr/bin/env python3
"""Attacks its own server in every way that once stopped a server or showed foreign data, and in the worst ways that the
settings still allow. An attack succeeds if the process ends, if requests of other users fail or take seconds, if memory
exceeds a limit, or if foreign data is shown. Each attack prints its results.

Usage: attacks.py PATH_OF_QUICKDRAW [DATABASE_URL] [NAME…]
"""
import base64
import contextlib
import hashlib
import hmac
import http.client
import json
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse

from attacked import MIB, PATIENCE, Others, Server, Sink, together
from harness import TOKEN, WEBHOOK_SECRET, free_port

# The attacker has an address of its own, because connections are counted per address.
ATTACKER = "127.0.0.9"
PUSH = {
    "object_kind": "push", "event_name": "push", "ref": "refs/heads/main", "before": "a" * 40, "after": "b" * 40,
    "user_id": 4, "user_name": "Ida", "user_username": "ida", "user_email": "ida@example.com", "project_id": 15,
    "project": {"id": 15, "name": "Rope", "path_with_namespace": "gear/rope", "web_url": "http://git.example/gear/rope",
                "namespace": "Gear", "visibility_level": 0, "default_branch": "main"},
    "commits": [], "total_commits_count": 0,
}


def lists(part, length):
    """An object with a list that has this many bytes."""
    return '{"x":[%s]}' % of_length(part, length)


def of_length(part, length):
    return ",".join([part] * (length // (len(part) + 1)))


# Attacks by users who may create hooks against users who may not.

def branch_filter(server):
    status, answer = server.hook("http://127.0.0.1:8000/", branch_filter_strategy="regex",
                                 push_events_branch_filter="(?:(?=(?:a?){9000}[^b])a)*c(?!x)")
    assert status == 422 and "too large" in str(answer), (status, answer)
    # The costliest expression with look-around that can be saved.
    url = Sink().url
    assert server.hook(url, branch_filter_strategy="regex", push_events_branch_filter="(?:(?=(?:a?){900}[^b])a)*c(?!x)")[0] == 201
    with Others(server, "one expression with look-around"):
        together(*[lambda: server.event(server.mine, {"ref": "refs/heads/" + "a" * 1000})] * 3)
    server.stop()
    server.start()


def branch_filters(server):
    url = Sink().url
    regex = {"branch_filter_strategy": "regex"}
    status, answer = server.hook(url, **regex, push_events_branch_filter="(?:a?){10071}[^a]")
    assert status == 422 and "too large" in str(answer), (status, answer)
    made = 0
    while server.hook(url, **regex, push_events_branch_filter="(?:a?){900}[^a]")[0] == 201:
        made += 1
    assert 1 < made < 100, "all filters of a project together have a limit"
    with Others(server, f"{made} costly expressions"):
        together(*[lambda: server.event(server.mine, {"ref": "refs/heads/" + "a" * 1000})] * 3)


def wide_classes(server):
    url = Sink().url
    texts = [f"(?i){wide * count}" for wide, count in (("[!-\U0010ffff]", 790), (r"\p{Any}", 500), (r"[\s\S]", 600), ("a", 3000))]
    texts += ["(?i)" + "[" * 60 + "a" + r"\P{Greek}b]" * 60, "[" + r"\pL" * 1300 + "]", "(?i)" + "[!-\U0010ffff]" * 4]
    save = lambda text: lambda: server.hook(url, branch_filter_strategy="regex", push_events_branch_filter=text)[0]
    filters = urllib.parse.quote(json.dumps({"any": [{"field": "a", "matches": "(?i)" + "[!-\U0010ffff]" * 4}] * 10}))
    follow = lambda: server.call("GET", f"/api/v1/stream?project={server.mine}&filter={filters}", token=server.maintainer,
                                 Accept="application/json")[0]
    with Others(server, "expressions with wide classes are saved"):
        statuses = together(*map(save, texts), follow, follow, follow)
    assert statuses[:4] == [422] * 4, statuses
    server.stop()
    server.start()
    with Others(server, "expressions with wide classes are compiled at their first use"):
        assert server.event(server.mine) == 202


def event_filters(server):
    text, url = "".join(random.choices("ab", k=900_000)), Sink().url
    many = lambda test: {"any": [{"field": "x.*", **test(at)} for at in range(90)]}
    long = "a" * 7_800
    for what, most, one, payload in (
        ("names of 8 kB", 60, {"field": f"x.*.{long}", "exists": True}, {"x": [{"a": 1, "b": 2}] * 1000}),
        ("names of 8 kB in a large body", 10, {"field": f"x.*.{long}", "exists": True}, {"x": [{"a": 1, "b": 2}] * 25_000}),
        ("numbers", 10, many(lambda at: {"over": at + 9}), {"x": [1.2345678901] * 40_000}),
        ("wildcards", 10, {"field": "x", "like": f"*{'a' * 3900}b"}, {"x": "a" * 900_000}),
        ("expressions", 10, {"any": [{"field": "x", "matches": f"[ab]*a[ab]{{{150 + at}}}[^ab]"} for at in range(10)]}, {"x": text}),
    ):
        made = []
        while len(made) < most and (answer := server.hook(url, event_filter=json.dumps(one)))[0] == 201:
            made.append(answer[1]["id"])
        payload = json.dumps({"ref": "refs/heads/main"} | payload, separators=(",", ":"))
        with Others(server, f"{len(made)} filters with {what}, {len(payload) >> 10} KiB"):
            together(*[lambda: server.event(server.mine, payload)] * 2)
        for hook in made:
            server.want("DELETE", f"/api/v4/projects/{server.mine}/hooks/{hook}")


def stream_filter(server):
    large = json.dumps({"any": [{"field": "x", "matches": f"[ab]*a[ab]{{{892 - at}}}[^ab]"} for at in range(10)]})
    status, _ = server.call("GET", f"/api/v1/stream?project={server.mine}&filter={urllib.parse.quote(large)}", token=server.maintainer)
    assert status == 400, status
    # Another project also has a filter, whose bodies are read in turns with the others.
    ordinary = {"url": Sink().url, "push_events": True, "event_filter": json.dumps({"branch": "main"})}
    server.want("POST", f"/api/v4/projects/{server.theirs}/hooks", ordinary)
    costly = json.dumps({"any": [{"field": "x", "matches": f"[ab]*a[ab]{{{150 + at}}}[^ab]"} for at in range(10)]})
    following = follow(server, f"/api/v1/stream?project={server.mine}&filter={urllib.parse.quote(costly)}", 10, 2)
    assert len(following) == 20
    with Others(server, f"{len(following)} followers with costly filters", {"pad": "x" * 20_000}):
        for _ in range(2):
            assert server.event(server.mine, {"x": "".join(random.choices("ab", k=900_000))}) == 202
        server.until(lambda: all(b"push_hooks" in got for got in following), 120)


def follow(server, path, bots, each):
    """Opens streams of bots that a maintainer created. Returns the received bytes of each accepted stream."""
    following = []
    for bot in range(bots):
        body = {"name": f"b{bot}", "scopes": ["read_api"], "access_level": 40}
        token = server.want("POST", f"/api/v4/projects/{server.mine}/access_tokens", body, token=server.maintainer)["token"]
        for _ in range(each):
            stream = socket.create_connection(("127.0.0.1", server.port), source_address=(ATTACKER, 0))
            stream.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nPRIVATE-TOKEN: {token}\r\nAccept: text/event-stream\r\n\r\n".encode())
            got = bytearray(stream.recv(300))
            if b" 200 " not in got[:16]:
                continue
            following.append(got)

            def read(stream=stream, got=got):
                with contextlib.suppress(OSError):
                    while part := stream.recv(MIB):
                        got.extend(part[:200])

            threading.Thread(target=read, daemon=True).start()
    return following


def streams(server):
    following = follow(server, f"/api/v1/stream?project={server.mine}", 10, 10)
    with Others(server, f"{len(following)} of 100 streams of ten bots"), contextlib.closing(
            http.client.HTTPConnection("127.0.0.1", server.port, PATIENCE)) as connection:
        connection.request("GET", "/api/v1/stream", headers={"PRIVATE-TOKEN": TOKEN, "Accept": "text/event-stream"})
        assert connection.getresponse().status == 200, "the administrator has no stream"
    assert len(following) <= 20


# Small requests that cause large work.

def history(server):
    sink = Sink()
    page = lambda hook: server.call("GET", f"/api/v4/projects/{server.mine}/hooks/{hook}/events", token=server.maintainer)
    rows = lambda hook: str(page(hook)[1]).count("execution_duration")
    places = "".join("{{x.%d}}" % (400_000 - at) for at in range(300))
    for what, template, payload, count in (
        ("680 times a list of 20 kB", "[" + ",".join(["{{x}}"] * 680) + "]", lists("1", 20_000), 2),
        ("300 places of a long list", '["' + places + '"]', lists("1", 900_000), 3),
        ("names that reach deep", '["{{' + ".".join("a" * 100) + '}}"]', '{"a":' * 100 + '"' + "x" * 900_000 + '"' + "}" * 100, 3),
        ("events of 1 MB that nest", None, lists("[" * 90 + "]" * 90, 900_000), 3),
    ):
        status, hook = server.hook(sink.url, custom_webhook_template=template)
        assert status == 201, hook
        with Others(server, f"deliveries and history of {what}"):
            for at in range(count):
                assert server.event(server.mine, payload[:-1] + ',"n":%d}' % at) == 202
            # A body that is nested too deeply also ends as an attempt, with the reason.
            server.until(lambda: rows(hook["id"]) >= count, 90)
            assert all(answer[0] in (200, 429, 503) for answer in together(*[lambda: page(hook["id"])] * 3))
        server.want("DELETE", f"/api/v4/projects/{server.mine}/hooks/{hook['id']}")


def parameters(server):
    for what, part in (("nested lists", "[" * 100 + "1" + "]" * 100), ("objects", '{"a":1}')):
        body = lists(part, MIB - 5000).encode()
        head = f"GET /api/v4/projects HTTP/1.1\r\nHost: x\r\nPRIVATE-TOKEN: {server.guest}\r\nContent-Type: application/json\r\n" \
               f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()

        def send():
            with socket.create_connection(("127.0.0.1", server.port), source_address=(ATTACKER, 0)) as connection:
                with contextlib.suppress(OSError):
                    connection.sendall(head + body)
                    return connection.recv(16)

        with Others(server, f"100 readers with 1 MiB of {what}"):
            answers = together(*[send] * 100)
        assert any(b" 413 " in (answer or b"") for answer in answers), answers[:3]


def projection(server):
    commit = '{"id":"%s","message":"m","timestamp":"2026-11-02T14:27:31+02:00","author":{"name":"a","email":"a@b"},"added":[%s]}'
    settled = lambda: server.count("quickdraw_projection_pending") == 0
    for what, more in (
        ("nested lists", lists("[" * 100 + "]" * 100, 24_000_000)),
        ("objects", lists('{"a":1}', 24_000_000)),
        ("paths", '{"commits":[' + commit % ("c" * 40, of_length('"a/b.txt"', 24_000_000)) + "]}"),
        ("commits", '{"commits":[' + of_length(commit % ("d" * 40, ""), 24_000_000) + "]}"),
    ):
        body = (json.dumps(PUSH)[:-1] + "," + more[1:]).encode()
        with Others(server, f"24 MB of {what}"):
            assert server.receive(body, what)[0] == 200
            server.until(settled)
    # The next start does not repeat the work.
    server.stop()
    server.start()
    server.until(settled)


def slow_bodies(server):
    """Senders of long bodies that leave out the end, and readers with long parameters."""
    body, parameters_ = b'{"a":"' + b"x" * 24 * MIB, b'{"a":"' + b"x" * (MIB - 4096)
    head = "%s HTTP/1.1\r\nHost: x\r\n%s\r\nContent-Type: application/json\r\nX-Gitlab-Event: Push Hook\r\nContent-Length: %d\r\n\r\n"
    received = (head % ("POST /api/v1/webhooks/gitlab", f"X-Gitlab-Token: {WEBHOOK_SECRET}", len(body) + 9)).encode() + body
    asked = (head % ("GET /api/v4/projects", f"PRIVATE-TOKEN: {server.guest}", len(parameters_) + 9)).encode() + parameters_
    held = []

    def hold(text, source):
        connection = socket.create_connection(("127.0.0.1", server.port), source_address=(source, 0))
        held.append(connection)
        connection.settimeout(2)
        with contextlib.suppress(OSError):
            connection.sendall(text)

    together(*[lambda: hold(received, ATTACKER)] * 15, *[lambda: hold(asked, ATTACKER)] * 150, *[lambda: hold(asked, "127.0.0.8")] * 150)
    with Others(server, f"{len(held)} connections with unfinished bodies"):
        time.sleep(5)
    for connection in held:
        connection.close()


# Attacks on data of others.

def replay(server):
    key = b"a-receivers-key-of-32-bytes-long"
    secret = "whsec_" + base64.b64encode(key).decode()
    path = urllib.parse.urlparse(server.want("POST", "/api/v1/sources", {"secret": secret, "mode": "signature"})["url"]).path
    body, now = json.dumps(PUSH).encode(), str(int(time.time()))
    signature = "v1," + base64.b64encode(hmac.new(key, f"one.{now}.".encode() + body, hashlib.sha256).digest()).decode()
    words = []
    for instance in ("a", "a", "b", "c"):
        status, answer = server.call("POST", path, token=None, raw=body, X_Gitlab_Event="Push Hook", webhook_id="one",
                                     X_Gitlab_Instance=f"https://{server.name}{instance}.example", webhook_timestamp=now,
                                     webhook_signature=signature)
        words.append(answer.get("status") or status)
    print(f"  the same request for four instances: {words}")
    assert words[:2] == ["accepted", "duplicate"] and "accepted" not in words[2:], words


def squat(server):
    sink = Sink()
    assert server.hook(sink.url)[0] == 201
    server.want("PUT", f"/api/v4/projects/{server.mine}", {"path": "payroll"}, token=server.maintainer)
    theirs = {**PUSH, "project_id": 500, "project": {**PUSH["project"], "id": 500, "path_with_namespace": f"{server.name}a/payroll"}}
    assert server.receive(theirs, "squat", X_Gitlab_Instance=f"https://{server.name}.example")[0] == 200
    assert server.event(server.mine, {"mark": "mine"}) == 202
    server.until(lambda: any(b"mine" in body for body in sink.got))
    print(f"  events for the attacker's project at the path: {len(sink.got)}")
    assert len(sink.got) == 1, sink.got


def forge(server):
    sink, one = Sink(), f"https://{server.name}one.example"
    source = lambda secret: urllib.parse.urlparse(server.want("POST", "/api/v1/sources", {"secret": secret})["url"]).path
    first, second = source("of-the-first-gitlab"), source("of-the-second-gitlab")
    server.want("POST", "/api/v4/hooks", {"url": sink.url, "push_events": True})
    push = lambda who: {**PUSH, "user_name": who, "project_id": 77, "project": {**PUSH["project"], "id": 77, "path_with_namespace": f"{server.name}a/p"}}
    assert server.receive(push("real"), "a", first, "of-the-first-gitlab", X_Gitlab_Instance=one)[0] == 200
    status, _ = server.receive(push("forged"), "b", second, "of-the-second-gitlab", X_Gitlab_Instance=one)
    assert server.receive(push("again"), "c", first, "of-the-first-gitlab", X_Gitlab_Instance=one)[0] == 200
    server.until(lambda: any(b"again" in body for body in sink.got))
    print(f"  a push for another GitLab with the secret of this one: {status}")
    assert status == 403 and not any(b"forged" in body for body in sink.got), status


def errors(server):
    status, hook = server.hook("http://{v}.nowhere.invalid/", url_variables=[{"key": "v", "value": "canary-in-host"}])
    assert status == 201, hook
    echo = Sink(lambda headers: (500, json.dumps(dict(headers)).encode()))
    secrets = ['canary"token', "canary\\token", "canary/token%21"]
    hooks = [hook["id"]] + [server.hook(echo.url, token=secret)[1]["id"] for secret in secrets]
    shown = ""
    for hook in hooks:
        path = f"/api/v4/projects/{server.mine}/hooks/{hook}"
        shown += json.dumps(server.call("POST", f"{path}/test/push_events", token=server.maintainer))
        shown += json.dumps(server.call("GET", f"{path}/events", token=server.maintainer))
    shown += json.dumps(server.call("GET", "/api/v1/attempts"))
    files = [os.path.join(server.folder.name, name) for name in os.listdir(server.folder.name)]
    stored = sum(open(file, "rb").read().count(b"canary") for file in files if os.path.isfile(file))
    print(f"  secrets in answers: {shown.count('canary')}, in files: {stored}")
    assert "canary" not in shown and stored == 0


def status_list(server):
    hook = server.hook(Sink().url)[1]["id"]
    path = f"/api/v4/projects/{server.mine}/hooks/{hook}/events?status="
    for status in ("200," * 2500 + "200", ",".join(map(str, range(100, 600)))):
        assert server.call("GET", path + status, token=server.maintainer)[0] == 400
    assert server.call("GET", path + ",".join(map(str, range(200, 300))), token=server.maintainer)[0] == 200


def core(server):
    assert server.hook(Sink().url, token="canary-in-core")[0] == 201
    assert resource.prlimit(server.process.pid, resource.RLIMIT_CORE) == (0, 0), "core dumps are not switched off"
    with contextlib.suppress(PermissionError):
        # Root can lift the limit from outside.
        resource.prlimit(server.process.pid, resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    server.process.send_signal(signal.SIGABRT)
    server.process.wait()
    dumps = [name for name in os.listdir(server.folder.name) if name.startswith("core")]
    print(f"  core dumps: {dumps}")
    assert not dumps


def own(program):
    """Runs in its own network with a public address. The server listens on all addresses, without local networks."""
    port = free_port()
    server = Server(program, port=port, QUICKDRAW_LISTEN=f"0.0.0.0:{port}", QUICKDRAW_ALLOW_LOCAL_NETWORKS="false")
    try:
        for address in (f"44.1.2.3:{port}", f"[::ffff:44.1.2.3]:{port}"):
            status, answer = server.hook(f"http://{address}/api/v1/webhooks/gitlab", token=WEBHOOK_SECRET)
            print(f"  a hook to our own address {address}: {status} {str(answer)[:120]}")
            assert status == 422, answer
    finally:
        server.close()


def in_own_network(program):
    script = 'ip link set lo up && ip addr add 44.1.2.3/32 dev lo && exec "$@"'
    inside = ["sh", "-c", script, "sh", sys.executable, os.path.abspath(__file__), "--inside", os.path.abspath(program)]
    for unshare in (["unshare", "-n"], ["unshare", "-rn"]):
        if subprocess.run([*unshare, "ip", "link"], capture_output=True, check=False).returncode == 0:
            return subprocess.run([*unshare, *inside], check=True)
    print("  skipped: this machine cannot create a network namespace")


# Attacks in one group share a server.
GROUPS = (
    (branch_filter, branch_filters), (wide_classes,), (event_filters,), (streams,), (stream_filter,), (history,),
    (parameters, slow_bodies), (projection,), (replay, forge, squat, status_list, errors, core),
)


def main(program, *rest):
    if program == "--inside":
        return own(*rest)
    database = next((one for one in rest if "://" in one), None)
    names = [one for one in rest if "://" not in one]
    began = time.monotonic()
    for group in GROUPS:
        attacks = [attack for attack in group if not names or attack.__name__ in names]
        if not attacks:
            continue
        server = Server(program, database)
        try:
            for attack in attacks:
                print(attack.__name__, flush=True)
                attack(server)
        finally:
            server.close()
    if not names or "own" in names:
        print("own", flush=True)
        in_own_network(program)
    print(f"no attack succeeded ({time.monotonic() - began:.0f} s)")


if __name__ == "__main__":
    main(*sys.argv[1:])
