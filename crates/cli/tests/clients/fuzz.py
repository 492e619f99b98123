#!/usr/bin/env python3
"""Lets schemathesis send requests according to the server's OpenAPI description. No answer may be a 5xx or differ
from the description, and the server must stay the same process.

Usage: fuzz.py PATH_OF_QUICKDRAW [DATABASE_URL]
"""
import os
import subprocess
import sys
import tempfile

from harness import TOKEN, WEBHOOK_SECRET, call, server, sink

CASES = os.environ.get("QUICKDRAW_FUZZ_CASES", "5")


def furnish(base, receiver):
    """Creates objects for the requests. All have the id 1; the user has the id 2."""
    call(base, "POST", "/api/v4/groups", {"name": "g", "path": "g"})
    call(base, "POST", "/api/v4/projects", {"name": "p", "namespace_id": 1})
    call(base, "POST", "/api/v4/users", {"username": "ida", "name": "Ida"})
    token = call(base, "POST", "/api/v4/users/2/personal_access_tokens", {"name": "t", "scopes": ["api"]})["token"]
    hook = {"url": f"{receiver}/{{a}}", "url_variables": [{"key": "a", "value": "x"}],
            "custom_headers": [{"key": "a", "value": "x"}]}
    for scope in ("/projects/1", "/groups/1", ""):
        call(base, "POST", f"/api/v4{scope}/hooks", hook)
    for scope in ("/projects/1", "/groups/1"):
        call(base, "POST", f"/api/v4{scope}/members", {"user_id": 2, "access_level": 30})
        call(base, "POST", f"/api/v4{scope}/access_tokens", {"name": "t", "scopes": ["api"]})
    call(base, "POST", "/api/v4/projects/1/hooks/1/test/push_events")
    call(base, "POST", "/api/v1/projects/1/events", {"trigger": "push_hooks", "payload": {"ref": "refs/heads/main"}})
    return token


def fuzz(base, folder, token, *selection):
    config = f"{folder}/schemathesis.toml"
    with open(config, "w") as file:
        # Ids of existing objects, so that requests get past the first lookup.
        file.write(f'''
base-url = "{base}"
headers = {{ "PRIVATE-TOKEN" = "{token}", "X-Gitlab-Token" = "{WEBHOOK_SECRET}" }}
[parameters]
"path.id" = "1"
"path.hook_id" = 1
"path.hook_event_id" = 1
"path.token_id" = "2"
"path.user_id" = 2
"path.key" = "a"
"path.name" = "time_to_merge"
''')
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
    command = [os.path.join(os.path.dirname(sys.executable), "schemathesis"), "--config-file", config, "run",
               f"{base}/api/v1/openapi.json", "--checks", checks, "-w", "2",
               "--no-color", "--warnings", "off", "--continue-on-failure", "--generation-database", "none", *selection]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(done.stdout[-600:] if done.returncode == 0 else done.stdout[-20000:])
    if done.returncode != 0:
        raise SystemExit("the fuzzer found a problem")


with sink() as receiver, server(*sys.argv[1:], QUICKDRAW__LIMITS__MANUAL_PER_MINUTE="0") as address:
    member = furnish(address, receiver)
    with tempfile.TemporaryDirectory() as folder:
        thorough, quick = ("--phases", "coverage,fuzzing", "-n", CASES), ("--phases", "fuzzing", "-n", "2")
        fuzz(address, folder, TOKEN, *thorough, "--exclude-method", "DELETE")
        fuzz(address, folder, member, *quick)
        fuzz(address, folder, "invalid-token", *quick)
        # Deletions come last, because other requests need the objects.
        fuzz(address, folder, TOKEN, *thorough, "--include-method", "DELETE")
print("the fuzzer found no problem")
