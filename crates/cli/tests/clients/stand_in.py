"""A stand-in for the part of GitLab's API that `quickdraw connect gitlab` uses, with one project. Its test of a webhook
really posts to the URL of the webhook, with the token that the webhook was given.
"""
import http.server
import json
import threading
import urllib.error
import urllib.parse
import urllib.request
import uuid

TOKEN = "glpat-stand-in"
SECRETS = ("token", "signing_token")


class GitLab(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        path = urllib.parse.urlsplit(self.path).path.removeprefix("/api/v4/")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("PRIVATE-TOKEN") != TOKEN:
            return self.send(401, {"message": "401 Unauthorized"})
        route = getattr(self, f"{self.command.lower()}_{path.replace('/', '_')}", None)
        # The only webhook has the id 1.
        status, shown = route(json.loads(body) if body else None) if route else (404, {"message": "404 Not Found"})
        self.send(status, shown)

    do_GET = do_POST = do_PUT = answer

    def send(self, status, shown):
        text = json.dumps(shown).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass

    @property
    def base(self):
        return f"http://127.0.0.1:{self.server.server_port}"

    @property
    def project(self):
        return {"id": 15, "name": "Rope", "path_with_namespace": "gear/rope", "web_url": f"{self.base}/gear/rope",
                "default_branch": "main", "archived": False}

    def get_version(self, _):
        return 200, {"version": "18.5.2-ee", "revision": "x"}

    def get_user(self, _):
        return 200, {"id": 1, "username": "ida", "is_admin": True}

    def get_projects(self, _):
        return 200, [self.project]

    def get_projects_15_hooks(self, _):
        return 200, [shown(hook) for hook in self.server.hooks]

    def post_projects_15_hooks(self, given):
        self.server.hooks.append({"id": 1, "alert_status": "executable"} | given)
        return 201, shown(self.server.hooks[0])

    def post_projects_15_hooks_1_test_push_events(self, _):
        push = {"object_kind": "push", "event_name": "push", "ref": "refs/heads/main", "before": "a" * 40,
                "after": "b" * 40, "commits": [], "project_id": 15, "project": self.project}
        hook = self.server.hooks[0]
        headers = {"Content-Type": "application/json", "X-Gitlab-Event": "Push Hook", "X-Gitlab-Token": hook["token"],
                   "X-Gitlab-Instance": self.base, "Idempotency-Key": str(uuid.uuid4())}
        request = urllib.request.Request(hook["url"], json.dumps(push).encode(), headers)
        try:
            with urllib.request.urlopen(request) as answer:
                status, text = answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read().decode()
        self.server.requests.insert(0, {"response_status": str(status), "response_body": text})
        return (201, {"message": "201 Created"}) if status == 200 else (422, {"message": text})

    def get_projects_15_hooks_1_events(self, _):
        return 200, self.server.requests


def shown(hook):
    """A webhook without its secrets."""
    public = {name: value for name, value in hook.items() if name not in SECRETS}
    return public | {f"{name}_present": name in hook for name in SECRETS}


def start():
    """Starts a GitLab that runs until the program ends, and returns its base URL."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), GitLab)
    server.hooks, server.requests = [], []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"
