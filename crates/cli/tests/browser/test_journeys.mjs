// The things that people do with pages, with scripts and without.

import assert from "node:assert/strict";
import { Visitor } from "./browser.mjs";
import { field, follow, hookOf, journey, press, shows, tabTo } from "./steps.mjs";
import { CANARY, canary, hostile, word } from "./texts.mjs";
import { Api } from "./world.mjs";

export async function a_stranger_signs_in_and_gets_to_the_page_that_was_wanted(all) {
  await journey(all, null, async (visitor) => {
    await visitor.go("/gear/rope/-/hooks");
    assert.equal(new URL(visitor.page.url()).pathname, "/-/sign_in");
    await visitor.signInHere(all.world.tokens.maintainer);
    assert.equal(new URL(visitor.page.url()).pathname, "/gear/rope/-/hooks");
  });
}

export async function a_wrong_token_is_refused_with_the_way_to_mend_it(all) {
  await journey(all, null, async (visitor) => {
    await visitor.go("/-/sign_in");
    await visitor.page.locator("summary", { hasText: "access token" }).click();
    await visitor.page.locator("#token").fill(canary("wrong"));
    await visitor.page.locator("#token").press("Enter");
    await shows(visitor, "This token is not valid");
    assert.ok(!(await visitor.page.content()).includes(CANARY), "the token came back");
  });
}

export async function a_person_signs_in_with_a_password(all) {
  await journey(all, null, async (visitor) => {
    await visitor.go("/gear/rope/-/hooks");
    await field(visitor, "Username").fill("maintainer");
    await field(visitor, "Password").fill("a wrong password");
    await press(visitor, "Sign in");
    await visitor.page.locator("[role=alert]").waitFor();
    assert.equal(await field(visitor, "Username").inputValue(), "maintainer");
    await field(visitor, "Password").fill(canary("maintainer"));
    await press(visitor, "Sign in");
    await visitor.page.waitForURL("**/gear/rope/-/hooks");
  });
}

export async function an_access_token_is_shown_once_and_revoked(all) {
  await journey(all, "owner", async (visitor, name) => {
    await visitor.go("/-/profile/tokens");
    await field(visitor, "Name").fill(hostile(name));
    await visitor.page.getByLabel("read_api", { exact: true }).check();
    await press(visitor, "Create token");
    const token = await visitor.page.locator("#new-token").innerText();
    assert.equal((await new Api(all.base, token).get("/api/v4/user")).username, "owner");
    await visitor.go("/-/profile/tokens");
    assert.ok(!(await visitor.page.content()).includes(token), "the token is shown again");

    await visitor.page.getByRole("row").filter({ hasText: word(name) }).getByRole("button").click();
    await visitor.confirm();
    await visitor.page.getByRole("row").filter({ hasText: word(name) }).waitFor({ state: "detached" });
    await assert.rejects(new Api(all.base, token).get("/api/v4/user"), /401/);
  });
}

export async function a_portal_link_shows_the_webhooks_of_its_project_only(all) {
  await journey(all, null, async (visitor) => {
    await visitor.go(`/-/portal/${all.world.names.portal}`);
    assert.equal(new URL(visitor.page.url()).pathname, "/gear/rope/-/hooks");
    await shows(visitor, word("hook"));
    for (const page of ["/gear/sea/-/hooks", "/groups/gear/-/hooks", "/admin/hooks", "/-/profile"]) {
      assert.ok((await visitor.go(page)).status() >= 400, page);
    }
    // An altered link, and one that never was.
    const { portal } = all.world.names;
    for (const link of [`${portal}0`, portal.slice(0, -1) + (portal.endsWith("0") ? "1" : "0"), "x"]) {
      assert.ok((await visitor.go(`/-/portal/${link}`)).status() >= 400, link);
    }
  });
}

export async function a_person_signs_out(all) {
  await journey(all, "maintainer", async (visitor) => {
    await visitor.go("/");
    await visitor.page.locator(".menu summary").click();
    await visitor.page.getByRole("button", { name: "Sign out" }).click();
    await visitor.page.waitForURL("**/-/sign_in*");
    await visitor.go("/gear/rope/-/hooks");
    assert.equal(new URL(visitor.page.url()).pathname, "/-/sign_in");
  });
}

export async function a_person_without_the_role_reads_why_there_is_no_page(all) {
  await journey(all, "developer", async (visitor) => {
    const answer = await visitor.go("/gear/rope/-/hooks");
    assert.equal(answer.status(), 403);
    await shows(visitor, "Your role does not allow this");
  });
}

export async function a_maintainer_adds_a_webhook_with_a_masked_url_and_edits_it(all) {
  const { world } = all;
  await journey(all, "maintainer", async (visitor, name) => {
    await visitor.go("/gear/rope/-/hooks");
    await follow(visitor, "Add webhook");
    await field(visitor, "URL").fill(`${world.sink.url}/ok/{secret_part}`);
    await field(visitor, "How it looks in the UI").first().fill("secret_part");
    await field(visitor, "Sensitive portion of URL").first().fill(canary("typed"));
    await field(visitor, "Name (optional)").fill(hostile(name));
    await field(visitor, "Secret token").fill(canary("typed-token"));
    await field(visitor, "Header name").first().fill("X-Team");
    await field(visitor, "Header value").first().fill(canary("typed-header"));
    await press(visitor, "Add webhook");

    // The page that shows the result has the name, and no secret.
    await visitor.page.waitForURL((url) => /\/hooks(\/\d+)?$/.test(url.pathname));
    await visitor.go("/gear/rope/-/hooks");
    await shows(visitor, word(name));
    await shows(visitor, "{secret_part}");
    assert.ok(!(await visitor.page.content()).includes(CANARY), "a secret is shown");

    const hook = await hookOf(world, word(name));
    assert.deepEqual(hook.url_variables, [{ key: "secret_part" }]);
    await visitor.go(`/gear/rope/-/hooks/${hook.id}/edit`);
    await field(visitor, "Description (optional)").fill("changed");
    await press(visitor, "Save changes");
    await visitor.page.waitForURL((url) => !url.pathname.endsWith("/edit"));
    const edited = await hookOf(world, word(name));
    assert.equal(edited.description, "changed");
    assert.equal(edited.token_present, true, "an untouched secret stays");
    assert.deepEqual(edited.custom_headers, [{ key: "X-Team" }], "an untouched header stays");
  });
}

export async function the_list_says_which_webhooks_work_and_what_they_are_called_for(all) {
  await journey(all, "maintainer", async (visitor) => {
    await visitor.go("/gear/rope/-/hooks");
    const states = { hook: "Healthy", failing: "Temporarily disabled", refused: "Disabled" };
    for (const [name, state] of Object.entries(states)) {
      const card = visitor.page.locator(".card").filter({ hasText: `${word(name)} ` });
      await card.locator(".badge", { hasText: new RegExp(`${state}$`) }).first().waitFor();
      for (const tag of ["Push events", "Issues events", "SSL verification: enabled"]) {
        await card.locator(".tag", { hasText: tag }).waitFor();
      }
    }
  });
}

export async function a_webhook_page_has_the_addresses_of_gitblixt_and_gitlab(all) {
  await journey(all, "admin", async (visitor) => {
    for (const address of ["/gear/rope/-/settings/hooks", "/gear/rope/-/hooks", "/groups/gear/-/hooks", "/admin/hooks"]) {
      assert.equal((await visitor.go(address)).status(), 200, address);
      const here = visitor.page.getByRole("navigation", { name: "Sections" }).getByRole("link", { name: "Webhooks" });
      assert.equal(await here.getAttribute("aria-current"), "page", address);
    }
  });
}

export async function triggers_and_ssl_verification_are_chosen_by_boxes(all) {
  const { world } = all;
  await journey(all, "maintainer", async (visitor, name) => {
    await visitor.go("/gear/rope/-/hooks/new");
    await field(visitor, "URL").fill(`${world.sink.url}/ok`);
    await field(visitor, "Name (optional)").fill(`boxes ${name}`);
    await visitor.page.locator("#push_events").uncheck();
    await visitor.page.locator("#tag_push_events").check();
    await field(visitor, "Enable SSL verification").uncheck();
    await press(visitor, "Add webhook");
    await visitor.page.waitForURL((url) => !url.pathname.endsWith("/new"));
    const hook = await hookOf(world, `boxes ${name}`);
    assert.deepEqual([hook.push_events, hook.tag_push_events, hook.enable_ssl_verification], [false, true, false]);
  });
}

export async function a_branch_filter_is_tried_with_recent_pushes(all) {
  await journey(all, "maintainer", async (visitor) => {
    await visitor.go("/gear/rope/-/hooks/new");
    await field(visitor, "URL").fill("https://example.com/");
    await visitor.page.locator("#wildcard").check();
    await field(visitor, "Branch filter").fill("hostile-*");
    await press(visitor, "Try filters with recent pushes");
    await shows(visitor, /filters match \d+ of the last \d+ pushes/);
    await shows(visitor, "Nothing was saved");
    assert.equal(await field(visitor, "Branch filter").inputValue(), "hostile-*");
  });
}

export async function a_form_that_is_refused_keeps_what_was_typed_except_secrets(all) {
  await journey(all, "maintainer", async (visitor) => {
    await visitor.go("/gear/rope/-/hooks/new");
    await field(visitor, "URL").fill("ftp://example.com");
    await field(visitor, "Name (optional)").fill("kept");
    await field(visitor, "Secret token").fill(canary("typed"));
    await press(visitor, "Add webhook");
    await visitor.page.locator("[role=alert]").waitFor();
    assert.equal(await field(visitor, "URL").inputValue(), "ftp://example.com");
    assert.equal(await field(visitor, "Name (optional)").inputValue(), "kept");
    assert.equal(await field(visitor, "Secret token").inputValue(), "");
    assert.equal(await field(visitor, "URL").getAttribute("aria-invalid"), "true");
    // The error stands beside its field, and the summary leads to the field.
    const error = visitor.page.locator("#url-error");
    assert.notEqual(await error.innerText(), "");
    assert.match(await field(visitor, "URL").getAttribute("aria-describedby"), /url-error/);
    assert.equal(await visitor.page.locator("[role=alert] a").first().getAttribute("href"), "#url");
    assert.ok(!(await visitor.page.content()).includes(CANARY), "the secret came back");
  });
}

export async function the_verdict_about_a_url_is_shown_before_it_is_saved(all) {
  await journey(all, "maintainer", async (visitor) => {
    await visitor.go("/gear/rope/-/hooks/new");
    await field(visitor, "URL").fill("http://169.254.169.254/latest");
    await press(visitor, "Check URL");
    await shows(visitor, "Nothing was saved");
    assert.equal(await field(visitor, "URL").inputValue(), "http://169.254.169.254/latest");
  });
}

export async function a_template_is_previewed_with_a_real_event(all) {
  await journey(all, "maintainer", async (visitor) => {
    await visitor.go("/gear/rope/-/hooks/new");
    await field(visitor, "URL").fill("https://example.com/");
    await field(visitor, "Custom webhook template (optional)").fill('{"text": "{{user_name}}"}');
    await press(visitor, "Preview with a recent push");
    await shows(visitor, word("person"), "main pre");
  });
}

export async function everything_is_possible_with_the_keyboard_alone({ browser, world, base }) {
  const visitor = await Visitor.open(browser, base);
  const { keyboard } = visitor.page;
  await visitor.go("/-/sign_in");
  await tabTo(visitor, "#username");
  await keyboard.type("maintainer");
  await tabTo(visitor, "#password");
  await keyboard.type(canary("maintainer"));
  await keyboard.press("Enter");
  await visitor.page.waitForURL((url) => url.pathname === "/");

  await tabTo(visitor, "a[href='/gear/rope']");
  await keyboard.press("Enter");
  await visitor.page.waitForURL("**/gear/rope");
  await visitor.go("/gear/rope/-/hooks");

  // The first stop of each page leads past the navigation.
  await keyboard.press("Tab");
  assert.equal(await visitor.page.evaluate(() => document.activeElement.className), "skip");
  await keyboard.press("Enter");
  await tabTo(visitor, "main a[href$='/hooks/new']");
  await keyboard.press("Enter");
  await visitor.page.waitForURL("**/hooks/new");
  await tabTo(visitor, "#url");
  await keyboard.type(`${world.sink.url}/ok`);
  await tabTo(visitor, "#name");
  await keyboard.type("typed with keys");
  await keyboard.press("Enter");
  await visitor.page.waitForURL((url) => !url.pathname.endsWith("/new"));
  assert.ok(await hookOf(world, "typed with keys"));
  assert.deepEqual(visitor.takeFaults(), []);
  await visitor.close();
}
