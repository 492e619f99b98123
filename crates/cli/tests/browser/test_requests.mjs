// Journeys about the requests of a webhook: test, find out why it failed, mend it, send again, pause, delete.

import assert from "node:assert/strict";
import { Visitor } from "./browser.mjs";
import { field, follow, hookOf, journey, press, shows, tabTo } from "./steps.mjs";
import { CANARY, canary, word } from "./texts.mjs";

/** Adds a webhook through the API, and opens its page. */
async function newHook(visitor, world, name, path, more = {}) {
  const hook = await world.admin.post(`/api/v4/projects/${world.project.id}/hooks`, {
    name, url: `${world.sink.url}/${path}`, token: canary("token"), issues_events: true, ...more,
  });
  await visitor.go(`/gear/rope/-/hooks/${hook.id}`);
  return hook;
}

/** The newest row of the recent events of a webhook. */
const recentRow = ({ page }) => page.getByRole("table", { name: "Recent events, newest first" }).locator("tbody tr").first();

export async function a_webhook_is_tested_and_its_request_is_shown_and_sent_again(all) {
  await journey(all, "maintainer", async (visitor, name) => {
    await newHook(visitor, all.world, `tested ${name}`, "echo");
    await field(visitor, "Kind of event").selectOption({ label: "Issues events" });
    await press(visitor, "Test");
    await shows(visitor, "The test succeeded");

    // GitLab's four columns: status, trigger, elapsed time, time.
    const row = recentRow(visitor);
    for (const column of ["Status", "Trigger", "Elapsed time", "Request time"]) {
      assert.notEqual(await row.locator(`[data-label="${column}"]`).innerText(), "", column);
    }
    assert.match(await row.locator('[data-label="Status"]').innerText(), /200/);
    await row.getByRole("link", { name: /View details/ }).click();

    for (const part of ["Response", "Request"]) await visitor.page.getByRole("heading", { name: part, exact: true }).waitFor();
    for (const text of ["X-Gitlab-Event", "Idempotency-Key", "object_kind", word("response-body")]) await shows(visitor, text);
    assert.ok(!(await visitor.page.content()).includes(CANARY), "a secret is shown");

    const first = visitor.page.url();
    await press(visitor, "Resend request");
    await visitor.page.waitForURL((url) => url.href !== first);
    assert.match(await visitor.page.locator("h1").innerText(), /200/);
  });
}

export async function a_failure_is_explained_and_mended(all) {
  await journey(all, "maintainer", async (visitor, name) => {
    const hook = await newHook(visitor, all.world, `mended ${name}`, "refuse");
    await field(visitor, "Kind of event").selectOption({ label: "Issues events" });
    await press(visitor, "Test");
    await shows(visitor, "The test failed");
    await recentRow(visitor).getByRole("link", { name: /View details/ }).click();
    assert.match(await visitor.page.locator("h1").innerText(), /404/);

    await visitor.go(`/gear/rope/-/hooks/${hook.id}`);
    await follow(visitor, "Edit");
    await field(visitor, "URL").fill(`${all.world.sink.url}/ok`);
    await press(visitor, "Save changes");
    await shows(visitor, "The changes are saved");
    await field(visitor, "Kind of event").selectOption({ label: "Issues events" });
    await press(visitor, "Test");
    await shows(visitor, "The test succeeded");
  });
}

export async function a_request_to_another_url_is_not_sent_again(all) {
  await journey(all, "maintainer", async (visitor, name) => {
    const hook = await newHook(visitor, all.world, `changed ${name}`, "ok");
    await field(visitor, "Kind of event").selectOption({ label: "Issues events" });
    await press(visitor, "Test");
    await shows(visitor, "The test succeeded");
    await recentRow(visitor).getByRole("link", { name: /View details/ }).click();
    const { pathname } = new URL(visitor.page.url());
    await all.world.admin.call("PUT", `/api/v4/projects/${all.world.project.id}/hooks/${hook.id}`, { url: `${all.world.sink.url}/echo` });
    await visitor.go(pathname);
    await press(visitor, "Resend request");
    await shows(visitor, /URL/i, ".notice, .error, main p");
    assert.match(await visitor.text(), /changed|another|no longer/i);
  });
}

export async function a_disabled_webhook_is_enabled_by_a_test(all) {
  const { world } = all;
  await journey(all, "maintainer", async (visitor, name) => {
    const hook = await newHook(visitor, world, `enabled ${name}`, "refuse");
    for (let failures = 0; failures < 4; failures += 1) {
      await world.admin.call("POST", `/api/v4/projects/${world.project.id}/hooks/${hook.id}/test/issues_events`).catch(() => {});
    }
    await visitor.go("/gear/rope/-/hooks");
    const card = visitor.page.locator(".card").filter({ hasText: `enabled ${name}` });
    const before = await card.locator(".badge").first().innerText();
    await world.admin.call("PUT", `/api/v4/projects/${world.project.id}/hooks/${hook.id}`, { url: `${world.sink.url}/ok` });
    await visitor.go(`/gear/rope/-/hooks/${hook.id}`);
    await field(visitor, "Kind of event").selectOption({ label: "Issues events" });
    await press(visitor, "Test");
    await shows(visitor, "The test succeeded");
    await visitor.page.locator("h1 .badge", { hasText: "Healthy" }).waitFor();
    assert.notEqual(before, "");
  });
}

export async function a_webhook_is_paused_resumed_and_deleted(all) {
  await journey(all, "maintainer", async (visitor, name) => {
    const hook = await newHook(visitor, all.world, `deleted ${name}`, "ok");
    await press(visitor, "Pause");
    await visitor.page.locator("h1 .badge", { hasText: "Paused" }).waitFor();
    await press(visitor, "Resume");
    await visitor.page.locator("h1 .badge", { hasText: "Healthy" }).waitFor();
    await press(visitor, "Delete");
    await visitor.confirm();
    await visitor.page.waitForURL((url) => url.pathname === "/gear/rope/-/hooks");
    assert.equal((await visitor.go(`/gear/rope/-/hooks/${hook.id}`)).status(), 404);
  });
}

export async function a_webhook_is_tested_sent_again_and_deleted_with_the_keyboard({ browser, world, base }) {
  const visitor = await Visitor.open(browser, base);
  const { keyboard } = visitor.page;
  await visitor.signIn(world.tokens.maintainer);
  await newHook(visitor, world, "keys only", "ok", { push_events: true });
  await tabTo(visitor, "form[action$='/test'] button");
  await keyboard.press("Enter");
  await shows(visitor, "The test succeeded");
  await tabTo(visitor, "tbody a");
  await keyboard.press("Enter");
  await visitor.page.waitForURL("**/events/*");
  const first = visitor.page.url();
  await tabTo(visitor, "form[action$='/resend'] button");
  await keyboard.press("Enter");
  await visitor.page.waitForURL((url) => url.href !== first);

  const hook = await hookOf(world, "keys only");
  await visitor.go(`/gear/rope/-/hooks/${hook.id}`);
  await tabTo(visitor, "form[action$='/delete'] button");
  await keyboard.press("Enter");
  await tabTo(visitor, "dialog button.danger", { isFirst: true });
  await keyboard.press("Enter");
  await visitor.page.waitForURL((url) => url.pathname === "/gear/rope/-/hooks");
  assert.deepEqual(visitor.takeFaults(), []);
  await visitor.close();
}
