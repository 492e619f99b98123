// Drives a server of its own with @gitbeaker/rest, as a TypeScript tool would.
//
// Usage: node gitbeaker.mjs PATH_OF_QUICKDRAW [DATABASE_URL], in a folder where @gitbeaker/rest is installed.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";

const require = createRequire(path.join(process.cwd(), "here.js"));
const { Gitlab } = await import(pathToFileURL(require.resolve("@gitbeaker/rest")));

const TOKEN = "clients-root-token-0123456789";
const got = [];
const sink = http.createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    got.push({ headers: request.headers, body: Buffer.concat(parts).toString() });
    response.end("ok");
  });
});
await new Promise((ready) => sink.listen(0, "127.0.0.1", ready));

const freePort = () =>
  new Promise((done) => {
    const probe = net.createServer().listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => done(port));
    });
  });

const refused = async (promise, status) => {
  await assert.rejects(promise, (error) => {
    assert.equal(error.cause?.response?.status, status, String(error));
    return true;
  });
};

async function drive(host, url) {
  const api = new Gitlab({ host, token: TOKEN });
  const group = await api.Groups.create("Gear", "gear");
  const project = await api.Projects.create({ name: "Rope", path: "rope", namespaceId: group.id });
  assert.equal((await api.Projects.show("gear/rope")).id, project.id);

  const hook = await api.ProjectHooks.add("gear/rope", url, {
    pushEvents: true,
    token: "s3cret",
    customHeaders: [{ key: "X-Team", value: "rope" }],
  });
  assert.deepEqual(hook.custom_headers, [{ key: "X-Team" }]);
  const edited = await api.ProjectHooks.edit(project.id, hook.id, url, { name: "changed" });
  assert.equal(edited.name, "changed");
  assert.equal(edited.token_present, true);
  // This client has no method for the test of a project's hook.
  const tested = await fetch(`${host}/api/v4/projects/${project.id}/hooks/${hook.id}/test/push_events`, {
    method: "POST",
    headers: { "private-token": TOKEN },
  });
  assert.equal(tested.status, 201);
  assert.equal(got.at(-1).headers["x-gitlab-event"], "Push Hook");
  assert.equal(got.at(-1).headers["x-team"], "rope");

  for (let number = 0; number < 24; number += 1) {
    await api.ProjectHooks.add(project.id, `https://example.com/${number}`);
  }
  assert.equal((await api.ProjectHooks.all(project.id)).length, 25, "every page was followed");
  assert.equal((await api.ProjectHooks.all(project.id, { perPage: 10, page: 3, maxPages: 1 })).length, 5);

  const ofGroup = await api.GroupHooks.add(group.id, url, { subgroupEvents: true });
  assert.equal(ofGroup.subgroup_events, true);
  await api.GroupHooks.remove(group.id, ofGroup.id);
  const ofSystem = await api.SystemHooks.add(url);
  await api.SystemHooks.test(ofSystem.id);
  assert.match(got.at(-1).body, /project_create/);
  await api.SystemHooks.remove(ofSystem.id);

  await refused(api.ProjectHooks.add(project.id, "ftp://example.com"), 422);
  await refused(api.ProjectHooks.show(project.id, 99999), 404);
  await refused(api.Projects.show("no/such"), 404);
  await refused(new Gitlab({ host, token: "wrong" }).Projects.show("gear/rope"), 401);
  await api.ProjectHooks.remove(project.id, hook.id);
  await api.Groups.remove(group.id);
  await refused(api.Groups.show("gear"), 404);
}

const port = await freePort();
const host = `http://127.0.0.1:${port}`;
const folder = mkdtempSync(path.join(tmpdir(), "quickdraw-gitbeaker-"));
const settings = {
  QUICKDRAW_LISTEN: `127.0.0.1:${port}`,
  QUICKDRAW_ROOT_TOKEN: TOKEN,
  QUICKDRAW_EXTERNAL_URL: host,
  QUICKDRAW_ALLOW_LOCAL_NETWORKS: "true",
  QUICKDRAW__TELEMETRY__LOG: "warn",
};
if (process.argv[3]) {
  settings.QUICKDRAW_DATABASE_URL = process.argv[3];
  settings.QUICKDRAW_KEY = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
}
const program = path.resolve(process.argv[2]);
const server = spawn(program, ["serve"], {
  cwd: folder,
  env: { ...process.env, ...settings },
  stdio: ["ignore", "ignore", "inherit"],
});
try {
  for (let tries = 0; tries < 600; tries += 1) {
    const there = await fetch(`${host}/api/v1/ready`).then((answer) => answer.ok, () => false);
    if (there) break;
    await new Promise((later) => setTimeout(later, 50));
  }
  await drive(host, `http://127.0.0.1:${sink.address().port}/in`);
} finally {
  const ended = new Promise((done) => server.on("exit", done));
  server.kill("SIGTERM");
  await ended;
  sink.close();
  rmSync(folder, { recursive: true, force: true });
}
console.log("@gitbeaker/rest is content");
process.exit(0);
