// Drives a server with @gitbeaker/rest, as a TypeScript tool would. launch.py starts the server and a receiver.
//
// Usage: node gitbeaker.mjs, in a folder where @gitbeaker/rest is installed.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

const require = createRequire(path.join(process.cwd(), "here.js"));
const { Gitlab } = await import(pathToFileURL(require.resolve("@gitbeaker/rest")));

const { QUICKDRAW_URL: host, QUICKDRAW_TOKEN: TOKEN, RECEIVER_URL: receiver } = process.env;
let received = 0;

const delivery = async () => {
  const answer = await fetch(`${receiver}/${received}`);
  assert.equal(answer.status, 200, "no delivery arrived");
  received += 1;
  return answer.json();
};

const refused = async (promise, status) => {
  await assert.rejects(promise, (error) => {
    assert.equal(error.cause?.response?.status, status, String(error));
    return true;
  });
};

async function drive(url) {
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
  // This client has no method for the test of a project hook.
  const tested = await fetch(`${host}/api/v4/projects/${project.id}/hooks/${hook.id}/test/push_events`, {
    method: "POST",
    headers: { "private-token": TOKEN },
  });
  assert.equal(tested.status, 201);
  const { headers } = await delivery();
  assert.equal(headers["X-Gitlab-Event"], "Push Hook");
  assert.equal(headers["X-Team"], "rope");

  for (let number = 0; number < 24; number += 1) {
    await api.ProjectHooks.add(project.id, `https://example.com/${number}`);
  }
  assert.equal((await api.ProjectHooks.all(project.id)).length, 25, "all pages were read");
  assert.equal((await api.ProjectHooks.all(project.id, { perPage: 10, page: 3, maxPages: 1 })).length, 5);

  const ofGroup = await api.GroupHooks.add(group.id, url, { subgroupEvents: true });
  assert.equal(ofGroup.subgroup_events, true);
  await api.GroupHooks.remove(group.id, ofGroup.id);
  const ofSystem = await api.SystemHooks.add(url);
  await api.SystemHooks.test(ofSystem.id);
  assert.match((await delivery()).body, /project_create/);
  await api.SystemHooks.remove(ofSystem.id);

  await refused(api.ProjectHooks.add(project.id, "ftp://example.com"), 422);
  await refused(api.ProjectHooks.show(project.id, 99999), 404);
  await refused(api.Projects.show("no/such"), 404);
  await refused(new Gitlab({ host, token: "wrong" }).Projects.show("gear/rope"), 401);
  await api.ProjectHooks.remove(project.id, hook.id);
  await api.Groups.remove(group.id);
  await refused(api.Groups.show("gear"), 404);
}

await drive(`${receiver}/in`);
console.log("@gitbeaker/rest: all checks passed");
