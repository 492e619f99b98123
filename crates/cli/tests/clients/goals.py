#!/usr/bin/env python3
"""Runs the commands of the guide about goals, each section in an empty folder, and checks what they reach. Only
addresses differ from the guide: a stand-in is the GitLab.

Usage: goals.py PATH_OF_QUICKDRAW [SECTION…]
"""
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

import stand_in
from harness import free_port

PAGE = pathlib.Path(__file__).resolve().parents[4] / "docs/guide/goals.md"
MOST = 10


def commands(section):
    """The commands of a section; a command with `\\` at the end of its line continues."""
    text = re.search(rf"^## {re.escape(section)}\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL)[1]
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def repository(folder):
    """A repository with commits of two people."""
    git = lambda *words: subprocess.run(["git", "-C", folder, *words], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["git", "init", "-q", "-b", "main", folder], check=True)
    for name, number in (("Ida Berg", 3), ("Jo Lind", 2)):
        for change in range(number):
            author = f"{name} <{name.split()[0].lower()}@climb.example>"
            git("-c", "user.name=x", "-c", "user.email=x@climb.example", "commit", "-q", "--allow-empty",
                f"--author={author}", "-m", f"Change {change}")


def run(program, section, check):
    lines = commands(section)
    assert 0 < len(lines) <= MOST, f"{section} has {len(lines)} commands"
    port = free_port()
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as beside:
        os.symlink(program, f"{beside}/quickdraw")
        repository(f"{beside}/rope")
        gitlab = stand_in.start()
        pathlib.Path(folder, "gitlab-token").write_text(stand_in.TOKEN)
        script = "\n".join(lines).replace("https://gitlab.example.com", gitlab)
        script = script.replace("~/src/rope", f"{beside}/rope").replace("127.0.0.1:8000", f"127.0.0.1:{port}")
        for fixed in sorted(set(re.findall(r"\b91\d\d\b", script))):
            script = re.sub(rf"\b{fixed}\b", str(free_port()), script)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("QUICKDRAW")} | {
            "PATH": f"{beside}:{os.environ['PATH']}", "QUICKDRAW_LISTEN": f"127.0.0.1:{port}",
            "QUICKDRAW_URL": f"http://127.0.0.1:{port}"}
        with open(f"{beside}/output", "w+") as output:
            process = subprocess.Popen(["bash", "-euo", "pipefail", "-c", script], cwd=folder, env=environment,
                                       stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                                       start_new_session=True)
            try:
                status = process.wait(timeout=120)
                said = lambda: pathlib.Path(output.name).read_text()
                assert status == 0, f"{section} ended with {status}: {said()}"
                check(said, f"http://127.0.0.1:{port}", pathlib.Path(folder, "quickdraw-data/root-token").read_text().strip())
            finally:
                os.killpg(process.pid, signal.SIGTERM)
    print(f"{section}: {len(lines)} commands", flush=True)


def eventually(condition, said):
    for _ in range(200):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError(said())


def delivered(base, token, number):
    """Checks that there are this many deliveries, and that all have arrived."""
    request = urllib.request.Request(f"{base}/api/v1/deliveries", headers={"PRIVATE-TOKEN": token})
    with urllib.request.urlopen(request) as response:
        states = [one["state"] for one in json.load(response)["items"]]
    return states == ["delivered"] * number


def check_send(said, base, token):
    eventually(lambda: delivered(base, token, 1) and "signature ok" in said(), said)


def check_relay(said, base, token):
    assert "1 created" in said() and "test arrived" in said(), said()
    eventually(lambda: delivered(base, token, 5) and said().count("Push Hook") >= 5, said)


def check_insights(said, base, token):
    for row in ("commits,Ida Berg,3,", "commits,Jo Lind,2,", "commits,Climbers,5,"):
        assert row in said(), f"{row}: {said()}"


CHECKS = {
    "Send an event to a webhook": check_send,
    "Relay everything of one GitLab to five services": check_relay,
    "See the numbers of a team by person": check_insights,
}
for name in sys.argv[2:] or CHECKS:
    run(os.path.abspath(sys.argv[1]), name, CHECKS[name])
