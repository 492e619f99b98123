// The data that pages show: people with every role, and hostile texts and secrets wherever the API accepts a text.

import assert from "node:assert/strict";
import http from "node:http";
import { canary, hostile, hostileAll } from "./texts.mjs";

const LEVELS = { guest: 10, reporter: 20, developer: 30, maintainer: 40, owner: 50 };
const COMMIT = "b".repeat(40);

/** Calls of the API with one token. */
export class Api {
  constructor(base, token) {
    Object.assign(this, { base, token });
  }

  async call(method, path, body) {
    const headers = { "PRIVATE-TOKEN": this.token, "Content-Type": "application/json" };
    const answer = await fetch(this.base + path, { method, headers, body: body && JSON.stringify(body) });
    const text = await answer.text();
    assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${text}`);
    return text && JSON.parse(text);
  }

  get(path) {
    return this.call("GET", path);
  }

  post(path, body) {
    return this.call("POST", path, body);
  }
}

const STATUSES = { "/fail": 500, "/refuse": 404 };

/** A receiver that answers `/ok` and `/echo` with 200, `/fail` with 500 and `/refuse` with 404, all with hostile texts. */
async function receiver() {
  const server = http.createServer((request, response) => {
    let body = "";
    request.on("data", (part) => { body += part; });
    request.on("end", () => {
      response.statusCode = STATUSES[`/${request.url.split("/")[1]}`] ?? 200;
      response.setHeader("X-Answer", hostile("response-header", 1));
      response.setHeader("Set-Cookie", `session=${canary("cookie")}`);
      const secrets = request.url.startsWith("/echo") ? JSON.stringify(request.headers) : "";
      response.end(hostileAll("response-body") + secrets);
    });
  });
  await new Promise((ready) => { server.listen(0, "127.0.0.1", ready); });
  server.unref();
  return { url: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
}

const push = (number) => ({
  trigger: "push_hooks",
  user: { id: 4, name: hostile("person", number), username: "ida" },
  object: {
    ref: `refs/heads/${hostile("branch", number)}`,
    before: "a".repeat(40),
    after: COMMIT,
    commits: [{ id: COMMIT, message: hostileAll("commit"), author: { name: hostile("author"), email: "ida@example.com" } }],
  },
});

const issue = (number) => ({
  trigger: "issue_hooks",
  user: { id: 4, name: hostile("person", number), username: "ida" },
  object: { id: 301 + number, iid: 23 + number, title: hostileAll("title"), state: "opened", action: "update" },
});

/** Sends hostile texts and a secret to an inspector. */
async function inspect(url) {
  const answer = await fetch(`${url}?q=${encodeURIComponent(hostile("query"))}`, {
    method: "POST",
    body: JSON.stringify({ [hostile("inspected-body", 1)]: hostileAll("inspected-body") }),
    headers: { "X-Gitlab-Event": hostile("header", 2), "X-Gitlab-Token": canary("inspector") },
  });
  assert.equal(answer.status, 200);
}

/** Fills a server through its API, and returns what pages and journeys need to know. */
export async function fill(base, rootToken) {
  const admin = new Api(base, rootToken);
  const sink = await receiver();
  const group = await admin.post("/api/v4/groups", { name: hostile("group"), path: "gear", description: hostile("words") });
  const project = await admin.post("/api/v4/projects", { name: hostile("project", 1), path: "rope", namespace_id: group.id });
  await admin.post("/api/v4/projects", { name: "Sea", path: "sea", namespace_id: group.id });
  const other = await admin.post("/api/v4/groups", { name: "Other", path: "other" });

  const tokens = { admin: rootToken };
  const people = { admin: await admin.get("/api/v4/user") };
  const person = async (name) => {
    const user = await admin.post("/api/v4/users", { username: name, name: hostile(`user-${name}`, 2), email: `${name}@example.com`, password: canary(name) });
    const token = { name: hostile("token-name", 3), scopes: ["api"] };
    tokens[name] = (await admin.post(`/api/v4/users/${user.id}/personal_access_tokens`, token)).token;
    people[name] = user;
    return user.id;
  };
  for (const [name, level] of Object.entries(LEVELS)) {
    const member = { user_id: await person(name), access_level: level };
    await admin.post(`/api/v4/${name === "owner" ? "groups" : "projects"}/${name === "owner" ? group.id : project.id}/members`, member);
  }
  await admin.post(`/api/v4/groups/${other.id}/members`, { user_id: await person("outsider"), access_level: LEVELS.owner });

  const hook = (name, path, more) => ({
    url: `${sink.url}/${path}/{part}?q=${encodeURIComponent(hostile("url"))}`,
    name: hostile(name, 4),
    description: hostile("description", 5),
    url_variables: [{ key: "part", value: canary("url") }],
    custom_headers: [{ key: "X-Secret", value: canary("header") }],
    token: canary("token"),
    push_events: true,
    issues_events: true,
    branch_filter_strategy: "all_branches",
    ...more,
  });
  const hooks = `/api/v4/projects/${project.id}/hooks`;
  const good = await admin.post(hooks, hook("hook", "echo"));
  const bad = await admin.post(hooks, hook("failing", "fail", { retry: "gitlab" }));
  const refused = await admin.post(hooks, hook("refused", "refuse", { retry: "gitlab" }));
  await admin.post(hooks, hook("filtered", "ok", {
    branch_filter_strategy: "wildcard",
    push_events_branch_filter: `${hostile("filter").replace(" ", "")}*`,
    custom_webhook_template: `{"text": "${"hostile-template"} <b>{{project.name}}</b>"}`,
  }));
  const ofGroup = await admin.post(`/api/v4/groups/${group.id}/hooks`, hook("group-hook", "ok"));
  const ofInstance = await admin.post("/api/v4/hooks", { url: `${sink.url}/ok`, name: hostile("system-hook"), push_events: true, token: canary("token") });
  const source = await admin.post("/api/v1/sources", { name: hostile("source", 5), secret: canary("source") });
  const events = [];
  for (let number = 0; number < 7; number += 1) {
    events.push((await admin.post(`/api/v1/projects/${project.id}/events`, push(number))).id);
    events.push((await admin.post(`/api/v1/projects/${project.id}/events`, issue(number))).id);
  }

  const attempts = await soon("deliveries of both webhooks", async () => {
    const [one, two] = await Promise.all([admin.get(`${hooks}/${good.id}/events`), admin.get(`${hooks}/${bad.id}/events`)]);
    return one.length > 0 && two.length > 0 && [one[0], two[0]];
  });
  await admin.post(`/api/v4/users/${people.admin.id}/personal_access_tokens`, { name: hostile("token-name", 3), scopes: ["read_api"] });
  await soon("the states of failing webhooks", async () => {
    const [one, two] = await Promise.all([admin.get(`${hooks}/${bad.id}`), admin.get(`${hooks}/${refused.id}`)]);
    return one.alert_status === "temporarily_disabled" && two.alert_status === "disabled";
  });
  const deliveries = await admin.get(`/api/v1/deliveries?project=${project.id}&hook=${good.id}`);
  const replay = await admin.post("/api/v1/replays", { project: "gear/rope", hook: good.id, since: new Date(Date.now() - 3_600_000).toISOString(), rate: 5 });
  const notification = await admin.post("/api/v1/notifications", {
    name: hostile("rule", 5), project: "gear/rope", kinds: ["hook_failing"], channel: "slack", url: `${sink.url}/ok/${canary("chat")}`,
  });
  await admin.post(`/api/v4/projects/${project.id}/access_tokens`, {
    name: hostile("project-token"), scopes: ["api"], access_level: LEVELS.maintainer,
  });
  // Two events whose predecessors never arrived.
  const late = push(1);
  Object.assign(late.object, { before: "c".repeat(40), after: "d".repeat(40) });
  for (const event of [late, issue(20)]) await admin.post(`/api/v1/projects/${project.id}/events`, event);
  const alert = await admin.post("/api/v1/insights/alerts", { name: hostile("alert", 5), metric: "silence", above: 259_200, each_project: true });
  const gaps = await soon("the gaps of the project", async () => {
    const found = await admin.get("/api/v1/insights/completeness?missing=true");
    return found.items.length > 0 && found.items;
  });
  const inspector = await new Api(base, tokens.maintainer).post("/api/v1/inspectors", {
    name: hostile("inspector", 5), secret: canary("inspector"), body: hostile("answer"), headers: { "X-Webhook-Note": hostile("answer-header") },
  });
  await inspect(inspector.url);
  const inspected = await admin.get(`/api/v1/inspectors/${inspector.id}/requests`);
  const setup = await admin.post("/api/v1/setup_links", {});
  const portal = await admin.post("/api/v1/portal_sessions", { project: "gear/rope", access: "manage" });
  const names = {
    setup: setup.url.split("/").at(-1),
    portal: portal.url.split("/").at(-1),
    project: "gear/rope",
    group: "gear",
    hook: good.id,
    failing: bad.id,
    groupHook: ofGroup.id,
    systemHook: ofInstance.id,
    attempt: attempts[0].id,
    failure: attempts[1].id,
    event: events[0],
    delivery: deliveries.items[0].id,
    replay: replay.id,
    notification: notification.id,
    member: people.maintainer.id,
    token: (await admin.get(`/api/v4/personal_access_tokens?user_id=${people.maintainer.id}`))[0].id,
    source: source.id,
    alert: alert.id,
    sourceProject: gaps[0].source_project_id,
    inspector: inspector.id,
    inspected: inspected.items[0].id,
  };
  return { base, admin, sink, tokens, people, names, project, group, events };
}

/** Repeats a question until the answer is true, for at most 20 seconds. */
export async function soon(what, question) {
  for (let tries = 0; tries < 100; tries += 1) {
    const answer = await question();
    if (answer) return answer;
    await new Promise((later) => { setTimeout(later, 200); });
  }
  return assert.fail(`${what} did not come`);
}
