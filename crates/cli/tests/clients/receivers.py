#!/usr/bin/env python3
"""Delivers to receivers of other projects, which must verify and accept the requests.

Usage: receivers.py FOLDER_OF_NODE_MODULES PATH_OF_QUICKDRAW [DATABASE_URL]
"""
import base64
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time

from harness import call, free_port, server

TOKEN = "receivers-token-0123456789"
SIGNING = ["whsec_" + base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2)]


@contextlib.contextmanager
def running(*command, **options):
    process = subprocess.Popen(command, **options)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def wait_for(port):
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
    raise AssertionError(f"no server listens on {port}")


def hook(base, url, **settings):
    return call(base, "POST", "/api/v4/projects/1/hooks", {"url": url, "push_events": True} | settings)["id"]


def test(base, number, verified=True):
    answer = call(base, "POST", f"/api/v4/projects/1/hooks/{number}/test/push_events", expect=(201, 422))
    assert (answer["message"] == "201 Created") == verified, answer


def signatures(base, modules):
    environment = os.environ | {"SECRETS": json.dumps(SIGNING), "TOKEN": TOKEN}
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "verify.mjs")
    with running("node", script, cwd=modules, env=environment, stdout=subprocess.PIPE, text=True) as node:
        at = f"http://127.0.0.1:{node.stdout.readline().strip()}"
        change = lambda number, **settings: call(base, "PUT", f"/api/v4/projects/1/hooks/{number}", settings)
        test(base, hook(base, f"{at}/hub", token=TOKEN))
        test(base, hook(base, f"{at}/hub", token="another"), verified=False)
        template = hook(base, f"{at}/standard/0", signing_token=SIGNING[0], custom_webhook_template='{"ref": "{{ref}} ä"}')
        test(base, template)
        # While a token is being replaced, receivers with either token accept. After that, only the new token is valid.
        old, new = (hook(base, f"{at}/standard/{number}", signing_token=SIGNING[0]) for number in (0, 1))
        test(base, old)
        test(base, new, verified=False)
        for number in (old, new):
            assert change(number, signing_token=SIGNING[1])["previous_signing_token_until"]
            test(base, number)
            assert not change(number, signing_token=SIGNING[1], signing_token_overlap=0)["previous_signing_token_until"]
        test(base, old, verified=False)
        test(base, new)


def webhook(base, folder):
    """Delivers to Debian's adnanh/webhook."""
    rule = lambda kind, name: {"match": {"type": kind, "secret": TOKEN, "value": TOKEN,
                                         "parameter": {"source": "header", "name": name}}}
    hooks = [{"id": name, "execute-command": "/bin/true", "trigger-rule": rule(*one),
              "trigger-rule-mismatch-http-response-code": 401}
             for name, one in (("token", ("value", "X-Gitlab-Token")),
                               ("signed", ("payload-hmac-sha256", "X-Hub-Signature-256")))]
    with open(f"{folder}/hooks.json", "w") as file:
        json.dump(hooks, file)
    port = free_port()
    with running("webhook", "-hooks", file.name, "-ip", "127.0.0.1", "-port", str(port), stderr=subprocess.DEVNULL):
        wait_for(port)
        for name in ("token", "signed"):
            test(base, hook(base, f"http://127.0.0.1:{port}/hooks/{name}", token=TOKEN))
            test(base, hook(base, f"http://127.0.0.1:{port}/hooks/{name}", token="wrong"), verified=False)


def yagwr(base, folder):
    """Delivers to yagwr. It always answers 200, and runs a command if the headers have their documented case."""
    done = f"{folder}/body.json"
    rule = {"condition": {"ALL": [f"gitlab_token = {TOKEN}", "gitlab_event = Push Hook"]}, "action": f"cat > {done}.new && mv {done}.new {done}"}
    with open(f"{folder}/rules.yaml", "w") as file:
        json.dump([rule], file)
    port = free_port()
    program = os.path.join(os.path.dirname(sys.executable), "yagwr")
    with running(program, "--host", "127.0.0.1", "-p", str(port), "-q", file.name, stderr=subprocess.DEVNULL):
        wait_for(port)
        test(base, hook(base, f"http://127.0.0.1:{port}/", token=TOKEN))
        for _ in range(200):
            if os.path.exists(done):
                break
            time.sleep(0.05)
        with open(done) as file:
            assert json.load(file)["object_kind"] == "push"


MASTER = """
from buildbot.plugins import schedulers, util, worker
c = BuildmasterConfig = dict(
    title="x", titleURL="http://x/", buildbotURL="http://x/", buildbotNetUsageData=None, change_source=[],
    workers=[worker.Worker("w", "p")], protocols=dict(pb=dict(port="tcp:0:interface=127.0.0.1")),
    builders=[util.BuilderConfig(name="b", workernames=["w"], factory=util.BuildFactory())],
    schedulers=[schedulers.ForceScheduler(name="f", builderNames=["b"])], db=dict(db_url="sqlite:///state.sqlite"),
    www=dict(port="tcp:%d:interface=127.0.0.1", plugins={}, change_hook_dialects=dict(gitlab=dict(secret="%s"))))
"""


def buildbot(base, folder):
    """Delivers to Buildbot, which reads a push, a merge request and a comment on it as changes."""
    port, program = free_port(), os.path.join(os.path.dirname(sys.executable), "buildbot")
    subprocess.run([program, "create-master", "-r", f"{folder}/master"], check=True, stdout=subprocess.DEVNULL)
    with open(f"{folder}/master/master.cfg", "w") as file:
        file.write(MASTER % (port, TOKEN))
    with running(program, "start", "--nodaemon", f"{folder}/master", stdout=subprocess.DEVNULL):
        wait_for(port)
        url = f"http://127.0.0.1:{port}/change_hook/gitlab"
        test(base, hook(base, url, token="wrong"), verified=False)
        test(base, hook(base, url, token=TOKEN, merge_requests_events=True, note_events=True))
        commit = {"id": "6dcb09b5b57875f334f61aebed695e2e4193db5e", "message": "m", "url": "https://x/",
                  "timestamp": "2026-11-20T10:55:00+01:00", "author": {"name": "Ida", "email": "ida@example.com"}}
        request = {"id": 99, "iid": 5, "title": "Grease", "description": "d", "action": "open", "state": "opened",
                   "source_branch": "grease", "target_branch": "main", "last_commit": commit}
        for trigger, thing in (("merge_request_hooks", request),
                               ("note_hooks", {"note": "Nice", "id": 1, "merge_request": request})):
            call(base, "POST", "/api/v1/projects/1/events", {"trigger": trigger, "object": thing}, expect=(202,))
        for _ in range(200):
            changes = call(f"http://127.0.0.1:{port}", "GET", "/api/v2/changes")["changes"]
            if len(changes) == 3:
                break
            time.sleep(0.05)
        kinds = {change["category"]: change for change in changes}
        assert kinds.keys() == {"push", "merge_request", "note"}, changes
        assert kinds["merge_request"]["branch"] == "main" and kinds["note"]["revision"] == commit["id"], changes


modules, *rest = sys.argv[1:]
with server(*rest, QUICKDRAW__LIMITS__MANUAL_PER_MINUTE="0") as address, tempfile.TemporaryDirectory() as scratch:
    call(address, "POST", "/api/v4/groups", {"name": "g", "path": "g"})
    call(address, "POST", "/api/v4/projects", {"name": "p", "namespace_id": 1})
    signatures(address, modules)
    webhook(address, scratch)
    yagwr(address, scratch)
    buildbot(address, scratch)
print("standardwebhooks, octokit, webhook, yagwr and Buildbot accepted all deliveries")
