#!/usr/bin/env python3
"""Drives its own server with python-gitlab, as a script of a platform team would.

Usage: python_gitlab.py PATH_OF_QUICKDRAW [DATABASE_URL]
"""
import json
import os
import sys

import gitlab

from harness import TOKEN, Sink, server, sink


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
    hook.save()  # sends the URL and every list back as they were read
    hook = project.hooks.get(hook.id)
    assert hook.name == "changed" and hook.token_present and hook.custom_headers == [{"key": "X-Team"}], hook
    hook.test("push_events")
    headers, body = Sink.got[-1]
    assert headers["X-Gitlab-Event"] == "Push Hook" and headers["X-Gitlab-Token"] == "s3cret", headers
    assert headers["X-Team"] == "rope" and json.loads(body)["object_kind"] == "push", headers
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
    assert [seen.username for seen in project.members_all.list()] == ["ida"] and gear.members.list() == []
    assert [seen.id for seen in ida.users.list(username="IDA")] == [user.id]
    assert [seen.username for seen in root.users.list(search="ida")] == ["ida"]
    member.access_level = gitlab.const.DEVELOPER_ACCESS
    member.save()
    refused(lambda: ida.projects.get(project.id).hooks.list(get_all=True), 403, "403 Forbidden")
    project.members.delete(user.id)

    bot = project.access_tokens.create({"name": "ci", "scopes": ["read_api"], "access_level": 40})
    reader = gitlab.Gitlab(base, private_token=bot.token)
    reader.auth()
    assert reader.user.bot and len(reader.projects.get(project.id).hooks.list(get_all=True)) == 26
    refused(lambda: reader.projects.get(project.id).hooks.create({"url": sink_url}), 403, "")
    bot.rotate()
    refused(reader.auth, 401, "401 Unauthorized")
    reader = gitlab.Gitlab(base, private_token=bot.token)
    reader.auth()
    states = [found.active for found in project.access_tokens.list()]
    assert states == [False, True], states
    assert gear.access_tokens.list() == []
    bot.delete()
    refused(reader.auth, 401, "401 Unauthorized")
    keyed = root.http_list("/groups", query_data={"pagination": "keyset", "per_page": 1}, iterator=True)
    assert [group["full_path"] for group in keyed] == ["gear", "gear/ropes"]

    hook.delete()
    project.delete()
    gear.delete()
    refused(lambda: root.groups.get("gear"), 404, "404 Group Not Found")


def run_the_guide(base, sink_url):
    """Runs the snippet of the guide, with the URLs and the token replaced."""
    guide = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../../docs/guide/api.md")
    with open(guide, encoding="utf-8") as page:
        snippet = page.read().split("```python\n")[1].split("```")[0]
    for written, here in [
        ("http://127.0.0.1:8000", base),
        ("http://127.0.0.1:9100/in", sink_url),
        ('open("quickdraw-data/root-token").read().strip()', repr(TOKEN)),
    ]:
        assert written in snippet, f"the guide does not contain {written}"
        snippet = snippet.replace(written, here)
    before = len(Sink.got)
    exec(snippet, {})
    assert len(Sink.got) == before + 1, "the test of the guide's hook was delivered"


with sink() as receiver, server(*sys.argv[1:]) as address:
    drive(address, f"{receiver}/in")
    run_the_guide(address, f"{receiver}/in")
print("python-gitlab", gitlab.__version__, "passed all checks")
