#!/usr/bin/env python3
"""Signs people in at an OpenID Connect provider of the certified library oidc-provider, as a browser does.

Usage: oidc.py FOLDER_OF_NODE_MODULES PATH_OF_QUICKDRAW [DATABASE_URL]
"""
import html
import http.cookiejar
import os
import re
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request

from harness import call, free_port, server

HERE = os.path.dirname(os.path.abspath(__file__))


class Browser:
    """Follows redirects and keeps cookies."""

    def __init__(self):
        jar = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))

    def open(self, address, fields=None):
        body = None if fields is None else urllib.parse.urlencode(fields).encode()
        with self.opener.open(address, body) as answer:
            return answer.url, answer.read().decode()

    def sign_in(self, base, login):
        address, page = self.open(f"{base}/-/sign_in")
        link = re.search(r'href="(/-/sign_in/oidc[^"]*)">Sign in with Test ID', page)
        address, page = self.open(base + html.unescape(link.group(1)))

        # The provider asks who it is, and then whether the server may know that.
        for fields in {"prompt": "login", "login": login, "password": "any"}, {"prompt": "consent"}:
            form = re.search(r'<form[^>]* action="([^"]+)"', page)
            address, page = self.open(urllib.parse.urljoin(address, html.unescape(form.group(1))), fields)
        return address, page


def user(base, username):
    found = call(base, "GET", f"/api/v4/users?username={username}")
    assert len(found) == 1, found
    return found[0]


def check(base):
    for login, is_admin in ("ida", False), ("olga", True):
        address, page = Browser().sign_in(base, login)
        assert address == f"{base}/", address
        assert f"Signed in as <strong>{login}</strong>" in page, page

        known = user(base, login)
        assert known["name"] == f"{login} of the provider", known
        assert (known["email"], known["is_admin"]) == (f"{login}@climb.example", is_admin), known

        # The second time, it is the same user.
        Browser().sign_in(base, login)
        assert user(base, login)["id"] == known["id"]

    try:
        Browser().sign_in(base, "stranger")
    except urllib.error.HTTPError as error:
        assert error.code == 403 and "none of the groups" in error.read().decode()
    else:
        raise AssertionError("a stranger is signed in")


def main(modules, program, database=None):
    own, port = free_port(), free_port()
    callback = f"http://127.0.0.1:{own}/-/sign_in/oidc/callback"
    command = ["node", os.path.join(HERE, "oidc_provider.mjs"), str(port), callback]
    provider = subprocess.Popen(command, cwd=modules, stdout=subprocess.PIPE, text=True)
    try:
        while provider.stdout.readline().strip() != "ready":
            assert provider.poll() is None, "the provider ended"

        settings = {"ISSUER": f"http://127.0.0.1:{port}", "CLIENT_ID": "quickdraw", "NAME": "Test ID",
                    "CLIENT_SECRET": "a-secret-of-the-client", "ALLOWED_GROUPS": '["climbers"]',
                    "ADMIN_GROUPS": '["owners"]'}
        settings = {f"QUICKDRAW__OIDC__{name}": value for name, value in settings.items()}
        with server(program, database, own, **settings) as base:
            check(base)
    finally:
        provider.terminate()
        provider.wait()


main(*sys.argv[1:])
