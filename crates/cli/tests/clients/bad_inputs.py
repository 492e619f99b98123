#!/usr/bin/env python3
"""Prepares a server for the cases of bad_inputs.jsonl, and runs the program that sends them and judges the answers.

Usage: bad_inputs.py PATH_OF_QUICKDRAW [DATABASE_URL]
"""
import base64
import json
import pathlib
import subprocess
import sys
import tempfile

from harness import WEBHOOK_SECRET, call, server, sink


def furnish(base, sinks):
    v4 = lambda method, path, body=None: call(base, method, f"/api/v4{path}", body)
    group = v4("POST", "/groups", {"name": "g", "path": "g"})["id"]
    project, other = (v4("POST", "/projects", {"name": name, "namespace_id": group})["id"] for name in ("p", "other"))
    url = f"{sinks[0]}/hook/{{secretpart}}"
    hooks = [v4("POST", f"/projects/{id}/hooks", {"url": url, "url_variables": {"secretpart": "masked-1"}, "token": "t"})["id"]
             for id in (project, other)]
    events = []
    for id, hook in zip((project, other), hooks):
        v4("POST", f"/projects/{id}/hooks/{hook}/test/push_events")
        events.append(v4("GET", f"/projects/{id}/hooks/{hook}/events")[0]["id"])

    def person(name, scope, level, **token):
        user = v4("POST", "/users", {"username": name, "name": name})["id"]
        v4("POST", f"{scope}/members", {"user_id": user, "access_level": level})
        return v4("POST", f"/users/{user}/personal_access_tokens", {"name": "t", "scopes": ["api"]} | token)

    here = f"/projects/{project}"
    source = lambda **settings: call(base, "POST", "/api/v1/sources", {"rate_limit": None, "sender_rate_limit": None} | settings)["url"].removeprefix(base)
    signing = "whsec_" + base64.b64encode(b"a-receivers-key-of-32-bytes-long").decode()
    revoked = person("revoked", here, 40)
    v4("DELETE", f"/personal_access_tokens/{revoked['id']}")
    return {
        "HOST": base.removeprefix("http://"), "HEALTH": "/api/v1/health", "API": "/api/v4",
        "RX_SIG": source(mode="signature", secret=signing), "RX_SIG_SECRET": signing, "RX_SIG2_SECRET": signing,
        "RX_HUB": source(mode="signature", secret="hub-secret-123"), "RX_HUB_SECRET": "hub-secret-123",
        "RX_IPLIST": source(addresses=["198.51.100.77"], secret="ip-list-secret"),
        "RX": "/api/v1/webhooks/gitlab", "RX_TOKEN": WEBHOOK_SECRET, "RX2_TOKEN": "another-receivers-token",
        "PID": project, "GID": group, "HID": hooks[0], "EID": events[0], "OTHER_HID": hooks[1], "OTHER_EID": events[1],
        "PAT": person("maintainer", here, 40)["token"], "PAT_DEV": person("developer", here, 30)["token"],
        "PAT_OWNER": person("owner", f"/groups/{group}", 50)["token"],
        "PAT_OTHER": person("other", f"/projects/{other}", 40)["token"],
        "PAT_READ": person("reader", here, 40, scopes=["read_api"])["token"], "PAT_REVOKED": revoked["token"],
        "SINK": sinks[0], "SINK2": sinks[1], "SINK2_HOST": sinks[1].removeprefix("http://"), "HOOK_URL": url,
    }


here = pathlib.Path(__file__).parent
judge, cases = here / "judge.py", here / "bad_inputs.jsonl"
with sink() as one, sink() as two, server(*sys.argv[1:]) as address, tempfile.NamedTemporaryFile("w", suffix=".json") as context:
    json.dump(furnish(address, (one, two)), context)
    context.flush()
    done = subprocess.run([sys.executable, judge, cases, context.name], stdout=subprocess.PIPE, text=True)
    print(done.stdout[-600:] if done.returncode == 0 else done.stdout)
    if done.returncode != 0:
        raise SystemExit("a bad input got an unexpected answer")
