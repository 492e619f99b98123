// Journeys of administrators: users, tokens, audit log, health, settings, guard and support bundle.

import assert from "node:assert/strict";
import { field, follow, journey, press, shows } from "./steps.mjs";
import { CANARY, canary, hostile, word } from "./texts.mjs";
import { Api } from "./world.mjs";

/** The row of a table that has a text. */
const row = ({ page }, text) => page.getByRole("row").filter({ hasText: text });

export async function an_administrator_creates_changes_blocks_and_deletes_a_user(all) {
  await journey(all, "admin", async (visitor, name) => {
    const username = `new-${name}`;
    await visitor.go("/admin/users");
    await follow(visitor, "New user");
    await field(visitor, "Name").fill(hostile(name));
    await field(visitor, "Username").fill("maintainer");
    await field(visitor, "Password (optional)").fill("short");
    await press(visitor, "Create user");
    await visitor.page.locator("[role=alert]").waitFor();
    assert.equal(await field(visitor, "Username").inputValue(), "maintainer");
    assert.equal(await field(visitor, "Password (optional)").inputValue(), "");

    assert.notEqual(await visitor.page.locator("#password-error").innerText(), "");
    await field(visitor, "Password (optional)").fill(canary(name));
    await press(visitor, "Create user");
    await visitor.page.locator("#username-error").getByText("taken").waitFor();
    await field(visitor, "Username").fill(username);
    await field(visitor, "Email (optional)").fill(`${username}@example.com`);
    await field(visitor, "Password (optional)").fill(canary(name));
    await press(visitor, "Create user");
    await shows(visitor, "The user is created");
    assert.ok(!(await visitor.page.content()).includes(CANARY), "the password is shown");

    const { page } = visitor;
    await page.locator("#admin").check();
    await page.locator("#email").fill("");
    await press(visitor, "Save changes");
    await shows(visitor, "The changes are saved");
    assert.equal(await page.locator("#admin").isChecked(), true);
    assert.equal(await page.locator("#email").inputValue(), "");
    await page.locator("#admin").uncheck();
    await press(visitor, "Save changes");
    await shows(visitor, "The changes are saved");
    assert.equal(await page.locator("#admin").isChecked(), false);

    await press(visitor, "Block");
    await visitor.confirm();
    await shows(visitor, "The user is blocked");
    await visitor.go("/admin/users?kind=blocked");
    await row(visitor, username).getByRole("link").click();
    await press(visitor, "Unblock");
    await shows(visitor, "The user is unblocked");

    await press(visitor, "Delete");
    await visitor.confirm();
    await shows(visitor, "The user is deleted");
    await visitor.go(`/admin/users?search=${username}`);
    await shows(visitor, "No user of this list");
  });
}

export async function an_administrator_makes_a_token_for_a_user_and_revokes_it(all) {
  await journey(all, "admin", async (visitor, name) => {
    const { member } = all.world.names;
    await visitor.go(`/admin/users/${member}`);
    await press(visitor, "Create access token");
    await shows(visitor, "Choose at least one scope");
    await field(visitor, "Name of the token").fill(hostile(name));
    await visitor.page.locator("#scope-read_api").check();
    await press(visitor, "Create access token");
    const token = await visitor.page.locator("#token").innerText();
    assert.equal((await new Api(all.base, token).get("/api/v4/user")).username, "maintainer");

    await follow(visitor, "Go to the access tokens");
    assert.equal(new URL(visitor.page.url()).pathname, `/admin/users/${member}`);
    assert.ok(!(await visitor.page.content()).includes(token), "the token is shown again");

    await visitor.go(`/admin/access_tokens?search=${word(name)}`);
    assert.match(await row(visitor, word(name)).innerText(), /maintainer/);
    await row(visitor, word(name)).getByRole("button").click();
    await visitor.confirm();
    await shows(visitor, "The access token is revoked");
    await assert.rejects(new Api(all.base, token).get("/api/v4/user"), /401/);
    await visitor.go("/admin/access_tokens?state=inactive");
    assert.match(await row(visitor, word(name)).innerText(), /Revoked/);
  });
}

export async function the_audit_log_is_filtered_and_speaks_in_sentences(all) {
  await journey(all, "admin", async (visitor) => {
    const { member } = all.world.names;
    await visitor.go("/admin/audit");
    await field(visitor, "Path begins with").fill("/api/v4/projects/");
    await field(visitor, "Method").selectOption("POST");
    await press(visitor, "Filter");
    await shows(visitor, `created a webhook of the project ${all.world.names.project}`);
    await shows(visitor, "added a member of the project");

    await field(visitor, "Status").fill("many");
    await press(visitor, "Filter");
    await visitor.page.locator("[role=alert]").waitFor();
    await shows(visitor, "status must be an HTTP status");

    await visitor.go(`/admin/users/${member}`);
    await follow(visitor, "Audit log of this user");
    assert.equal(await field(visitor, "Username").inputValue(), "maintainer");

    await visitor.go("/admin/audit");
    await follow(visitor, "Older entries");
    assert.match(visitor.page.url(), /before=\d+/);
  });
}

export async function the_health_page_names_each_worker_by_its_task(all) {
  await journey(all, "admin", async (visitor) => {
    await visitor.go("/admin/health");
    for (const part of ["Database", "Queues", "Nodes", "Workers of this node", "Keys"]) {
      await visitor.page.getByRole("heading", { name: part, exact: true }).waitFor();
    }
    await shows(visitor, "This node");
    const names = await visitor.page.locator("td .tag").allInnerTexts();
    const cells = await visitor.page.locator("td:has(.tag)").allInnerTexts();
    assert.ok(names.length > 10, "the workers are listed");
    cells.forEach((cell, index) => assert.notEqual(cell.trim(), names[index], "a worker without a task in words"));
  });
}

export async function silent_mode_is_turned_on_and_off_after_a_question(all) {
  await journey(all, "admin", async (visitor) => {
    await visitor.go("/admin/settings");
    await shows(visitor, "server.external_url");
    await press(visitor, "Turn on silent mode");
    await visitor.confirm();
    await shows(visitor, "Silent mode is on. Events are kept");
    assert.equal((await all.world.admin.get("/api/v4/application/settings")).silent_mode_enabled, true);
    await press(visitor, "Turn off silent mode");
    await visitor.confirm();
    await shows(visitor, "Silent mode is off");
    assert.equal((await all.world.admin.get("/api/v4/application/settings")).silent_mode_enabled, false);
  });
}

export async function the_settings_name_their_origin(all) {
  await journey(all, "admin", async (visitor) => {
    await visitor.go("/admin/settings");
    await follow(visitor, "Without defaults");
    const origins = await visitor.page.locator('[data-label="Origin"]').allInnerTexts();
    assert.ok(origins.length > 0 && origins.every((origin) => /Environment|Settings file/.test(origin)), origins.join());
    const token = visitor.page.getByRole("row").filter({ hasText: "server.root_token" });
    assert.match(await token.innerText(), /Secret, set/);
  });
}

export async function the_guard_names_the_rule_that_blocks_a_url(all) {
  await journey(all, "admin", async (visitor) => {
    await visitor.go("/admin/guard");
    await press(visitor, "Test URL");
    await shows(visitor, "Enter a URL");
    await field(visitor, "URL").fill("http://169.254.169.254/latest");
    await press(visitor, "Test URL");
    await shows(visitor, "Blocked");
    await visitor.page.locator("dd code").getByText("metadata", { exact: true }).waitFor();
    assert.equal(await field(visitor, "URL").inputValue(), "http://169.254.169.254/latest");

    await field(visitor, "URL").fill(hostile("tested"));
    await press(visitor, "Test URL");
    await shows(visitor, "Invalid");
  });
}

export async function the_support_bundle_is_downloaded_with_the_session(all) {
  await journey(all, "admin", async (visitor) => {
    await visitor.go("/admin/support_bundle");
    await shows(visitor, "hooks.json");
    const [file] = await Promise.all([visitor.page.waitForEvent("download"), press(visitor, "Download support bundle")]);
    assert.match(file.suggestedFilename(), /^quickdraw-support-\d+\.tar\.gz$/);
  });
}
