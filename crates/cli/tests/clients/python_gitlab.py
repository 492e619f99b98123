#!/usr/bin/env python3
"""Drives a server of its own with python-gitlab, as a script of a platform team would.

Usage: python_gitlab.py PATH_OF_QUICKDRAW [DATABASE_URL]
"""
import http.server
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import gitlab

TOKEN = "clients-root-token-0123456789"


class Sink(http.server.BaseHTTPRequestHandler):
    """Reads header names by exact spelling and bodies by Content-Length, as simple receivers do."""

    got = []

    def do_POST(self):
        Sink.got.append((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def refused(call, status, text):
    try:
        call()
    except gitlab.exceptions.GitlabError as error:
        assert error.response_code == status and text in str(error.error_message), error
    else:
        raise AssertionError(f"not refused with {status} {text}")


def drive(base, sink_url):
    root = gitlab.Gitlab(base, private_token=TOKEN)
    root.auth()
    assert root.user.username == "root" and root.version()[0].startswith("19."), root.version()

    gear = root.groups.create({"name": "Gear", "path": "gear"})
    ropes = root.groups.create({"name": "Ropes", "path": "ropes", "parent_id": gear.id})
    root.projects.create({"name": "Static", "path": "static", "namespace_id": ropes.id})
    project = root.projects.get("gear/ropes/static")

    assert [group.full_path for group in gear.subgroups.list()] == ["gear/ropes"]
    assert [found.id for found in root.projects.list(search="stat")] == [project.id]
    project.description = "Low stretch"
    project.save()
    slings = root.groups.create({"name": "Slings", "path": "slings"})
    project.transfer("slings")
    assert root.projects.get(project.id).path_with_namespace == "slings/static"
    project.transfer(ropes.id)
    project = root.projects.get("gear/ropes/static")
    assert project.description == "Low stretch" and len(slings.projects.list()) == 0
    slings.delete()

    hook = project.hooks.create({"url": sink_url, "push_events": True, "token": "s3cret",
                                 "custom_headers": [{"key": "X-Team", "value": "rope"}]})
    hook = project.hooks.get(hook.id)
    hook.name = "changed"
    hook.save()  # sends the url and every list back as it was read
    hook = project.hooks.get(hook.id)
    assert hook.name == "changed" and hook.token_present and hook.custom_headers == [{"key": "X-Team"}], hook
    hook.test("push_events")
    headers, body = Sink.got[-1]
    assert headers["X-Gitlab-Event"] == "Push Hook" and headers["X-Gitlab-Token"] == "s3cret", headers
    assert headers["X-Team"] == "rope" and b'"object_kind": "push"' in body, headers
    path = f"/projects/{project.id}/hooks/{hook.id}/events"
    log = root.http_list(path)
    assert [entry["response_status"] for entry in log] == ["200"] and "s3cret" not in str(log), log
    assert root.http_post(f"{path}/{log[0]['id']}/resend") == {"response_status": 200}
    assert Sink.got[-1][1] == body and Sink.got[-1][0]["Idempotency-Key"] == headers["Idempotency-Key"]

    for number in range(25):
        project.hooks.create({"url": f"https://example.com/{number}"})
    pages = project.hooks.list(iterator=True, per_page=10)
    assert (pages.total, pages.total_pages, len(list(pages))) == (26, 3, 26)
    assert len(project.hooks.list(page=3, per_page=10)) == 6

    group_hook = gear.hooks.create({"url": sink_url, "subgroup_events": True})
    assert group_hook.subgroup_events and group_hook.group_id == gear.id
    system_hook = root.hooks.create({"url": sink_url})
    system_hook.delete()

    refused(lambda: project.hooks.create({"url": "ftp://example.com"}), 422, "Invalid url given")
    refused(lambda: project.hooks.get(99999), 404, "404 Not found")
    refused(lambda: root.projects.get("no/such"), 404, "404 Project Not Found")
    refused(lambda: gitlab.Gitlab(base, private_token="wrong").auth(), 401, "401 Unauthorized")
    hook.url = "http://169.254.169.254/"
    refused(hook.save, 422, "metadata")

    user = root.users.create({"username": "ida", "name": "Ida", "email": "ida@climb.example", "reset_password": True})
    token = user.personal_access_tokens.create({"name": "script", "scopes": ["api"]})
    member = project.members.create({"user_id": user.id, "access_level": gitlab.const.MAINTAINER_ACCESS})
    ida = gitlab.Gitlab(base, private_token=token.token)
    ida.auth()
    assert len(ida.projects.get(project.id).hooks.list(get_all=True)) == 26
    assert [seen.id for seen in ida.projects.list()] == [project.id] and ida.groups.list() == []
    refused(lambda: ida.groups.get(gear.id), 404, "404 Group Not Found")
    member.access_level = gitlab.const.DEVELOPER_ACCESS
    member.save()
    refused(lambda: ida.projects.get(project.id).hooks.list(get_all=True), 403, "403 Forbidden")
    project.members.delete(user.id)

    hook.delete()
    project.delete()
    gear.delete()
    refused(lambda: root.groups.get("gear"), 404, "404 Group Not Found")


def main():
    sink = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    threading.Thread(target=sink.serve_forever, daemon=True).start()
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder:
        settings = {"QUICKDRAW_LISTEN": f"127.0.0.1:{port}", "QUICKDRAW_ROOT_TOKEN": TOKEN,
                    "QUICKDRAW_EXTERNAL_URL": base, "QUICKDRAW_ALLOW_LOCAL_NETWORKS": "true",
                    "QUICKDRAW__TELEMETRY__LOG": "warn"}
        if len(sys.argv) > 2:
            settings |= {"QUICKDRAW_DATABASE_URL": sys.argv[2],
                         "QUICKDRAW_KEY": "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="}
        server = subprocess.Popen([os.path.abspath(sys.argv[1]), "serve"], cwd=folder, env=os.environ | settings,
                                  stdout=subprocess.DEVNULL)
        try:
            for _ in range(600):
                try:
                    urllib.request.urlopen(f"{base}/api/v1/ready")
                    break
                except OSError:
                    time.sleep(0.05)
            drive(base, f"http://127.0.0.1:{sink.server_port}/in")
        finally:
            server.terminate()
            server.wait()
    print("python-gitlab", gitlab.__version__, "is content")


main()
