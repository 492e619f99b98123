// Journeys about sources: add one, watch its requests, understand refusals, rotate the secret, change and delete it.

import assert from "node:assert/strict";
import { field, follow, journey, press, shows } from "./steps.mjs";
import { hostile, word } from "./texts.mjs";
import { Api, soon } from "./world.mjs";

/** Posts an event to the source whose page is open. */
async function post({ page }, headers, body = '{"object_kind":"push"}') {
  const id = new URL(page.url()).pathname.split("/").at(-1);
  const { origin } = new URL(page.url());
  const answer = await fetch(`${origin}/api/v1/webhooks/gitlab/${id}`, {
    method: "POST", body, headers: { "Content-Type": "application/json", "X-Gitlab-Event": "Push Hook", ...headers },
  });
  return answer.status;
}

/** Adds a source on the page of sources, and returns its secret. */
async function add(visitor, name, secret = "token") {
  await visitor.go("/admin/sources");
  await follow(visitor, "Add source");
  await field(visitor, "Name").fill(name);
  await field(visitor, "Secret").selectOption(secret);
  await press(visitor, "Add source");
  const made = await visitor.page.locator("#secret").innerText();
  // Without a script, the address is that of the form, so the page of the source is opened.
  if (!visitor.scripts) await follow(visitor, "Load again");
  return made;
}

/** Waits for a text, which appears by itself with scripts, and after loading the page again without. */
async function appears(visitor, text) {
  if (visitor.scripts) return shows(visitor, text);
  return soon(`the text ${text}`, async () => {
    await visitor.page.reload();
    return (await visitor.text()).includes(text);
  });
}

export async function a_source_waits_for_its_first_request_and_turns_green(all) {
  await journey(all, "admin", async (visitor, name) => {
    const secret = await add(visitor, hostile(name));
    assert.match(secret, /^[0-9a-f]{64}$/);
    await shows(visitor, "Waiting for the first request…");
    // The server of this test has no TLS.
    await shows(visitor, "It does not matter, because the URL begins with http");
    const url = await visitor.page.locator("#url").innerText();
    assert.match(url, /\/api\/v1\/webhooks\/gitlab\/[0-9a-f]{32}$/);

    assert.equal(await post(visitor, { "X-Gitlab-Token": secret }), 200);
    await appears(visitor, "The newest request was accepted.");
    await visitor.page.getByRole("link", { name: "Push Hook" }).first().waitFor();

    await visitor.page.reload();
    assert.ok(!(await visitor.page.content()).includes(secret), "the secret is shown again");
    await visitor.go("/admin/sources");
    const row = visitor.page.getByRole("row").filter({ hasText: word(name) });
    assert.match(await row.innerText(), /Receiving/);
  });
}

export async function a_refused_request_shows_its_reason_and_the_way_to_mend_it(all) {
  await journey(all, "admin", async (visitor, name) => {
    const secret = await add(visitor, `refusing ${name}`);
    assert.equal(await post(visitor, { "X-Gitlab-Token": "another-secret" }), 401);
    await appears(visitor, "Refusing all requests");
    await shows(visitor, "GitLab's webhook has another secret token than this source.");
    await visitor.page.locator("tbody").getByRole("link", { name: "The secret token is wrong" }).first().waitFor();

    assert.equal(await post(visitor, { "X-Gitlab-Token": secret }), 200);
    await appears(visitor, "The newest request was accepted.");
    await follow(visitor, "Refused");
    const rows = visitor.page.locator("tbody tr");
    assert.equal(await rows.count(), 1);
    assert.match(await rows.first().innerText(), /Refused \(401\)/);
  });
}

export async function the_requests_of_a_source_can_be_paused(all) {
  await journey(all, "admin", async (visitor, name) => {
    if (!visitor.scripts) return;
    await add(visitor, `paused ${name}`);
    await press(visitor, "Pause updates");
    await shows(visitor, "Updates are paused");
    assert.equal(await post(visitor, {}), 401);
    await visitor.page.waitForTimeout(2500);
    await shows(visitor, "Waiting for the first request…");
    await press(visitor, "Resume updates");
    await shows(visitor, "Refusing all requests");
  });
}

export async function a_secret_is_rotated_with_an_overlap_and_without(all) {
  await journey(all, "admin", async (visitor, name) => {
    const first = await add(visitor, `rotated ${name}`);
    const { pathname } = new URL(visitor.page.url());
    const rotate = async (overlap) => {
      await visitor.go(pathname);
      await follow(visitor, "Rotate secret");
      await field(visitor, "Earlier secrets remain valid").selectOption({ label: overlap });
      await press(visitor, "Rotate secret");
      const secret = await visitor.page.locator("#secret").innerText();
      await visitor.go(pathname);
      return secret;
    };
    const second = await rotate("One hour");
    assert.equal(await post(visitor, { "X-Gitlab-Token": first }), 200);
    assert.equal(await post(visitor, { "X-Gitlab-Token": second }), 200);

    const third = await rotate("Not at all, because the secret has leaked");
    assert.equal(await post(visitor, { "X-Gitlab-Token": second }), 401);
    assert.equal(await post(visitor, { "X-Gitlab-Token": third }), 200);
  });
}

export async function a_source_is_changed_and_deleted(all) {
  await journey(all, "admin", async (visitor, name) => {
    const token = await add(visitor, `changed ${name}`, "signature");
    assert.match(token, /^whsec_/);
    const { pathname } = new URL(visitor.page.url());
    await follow(visitor, "Edit");
    await field(visitor, "Allowed addresses (optional)").fill("10.0.0.0/8\nnonsense");
    await field(visitor, "Requests per minute with a valid credential").fill("");
    await press(visitor, "Save changes");
    await visitor.page.locator("#addresses-error").getByText("neither an address nor a block").waitFor();
    assert.equal(await field(visitor, "Allowed addresses (optional)").inputValue(), "10.0.0.0/8\nnonsense");

    await field(visitor, "Allowed addresses (optional)").fill("10.0.0.0/8, 192.0.2.7");
    await press(visitor, "Save changes");
    await shows(visitor, "The changes are saved.");
    const api = new Api(all.base, all.world.tokens.admin);
    const source = await api.get(`/api/v1/sources/${pathname.split("/").at(-1)}`);
    assert.deepEqual([source.addresses, source.sender_rate_limit, source.mode], [["10.0.0.0/8", "192.0.2.7"], null, "signature"]);

    await press(visitor, "Delete");
    await visitor.confirm();
    await shows(visitor, "The source is deleted.");
    const gone = await fetch(all.base + pathname, { redirect: "manual" });
    assert.notEqual(gone.status, 200);
  });
}

export async function a_gitlab_is_connected_with_the_commands_of_the_page(all) {
  await journey(all, "admin", async (visitor, name) => {
    const api = new Api(all.base, all.world.tokens.admin);
    const gitlab = `https://${name}.example.com/it's`;
    await visitor.go("/-/start");
    await follow(visitor, "Connect GitLab");
    await field(visitor, "Address of GitLab").fill("gitlab.example.com");
    await field(visitor, "Connect").selectOption("group");
    await press(visitor, "Show the commands");
    await visitor.page.locator("#url-error").getByText("Type the address of a GitLab").waitFor();
    await visitor.page.locator("#path-error").getByText("Type the full path").waitFor();
    assert.equal(await visitor.page.locator("#connect").count(), 0);

    await field(visitor, "Address of GitLab").fill(`${gitlab}/`);
    await field(visitor, "Path of the group or project").fill("gear");
    await press(visitor, "Show the commands");
    assert.equal(
      await visitor.page.locator("#plan").innerText(),
      `quickdraw connect gitlab --url='https://${name}.example.com/it'\\''s' --gitlab-token-file=gitlab-token --group=gear --dry-run`,
    );
    await shows(visitor, "No source belongs to this GitLab yet.");

    const source = await api.post("/api/v1/sources", { name: `connected ${name}`, instance: gitlab });
    await appears(visitor, "The source of this GitLab is ready.");
    const answer = await fetch(`${all.base}/api/v1/webhooks/gitlab/${source.id}`, {
      method: "POST", body: '{"object_kind":"push"}',
      headers: {
        "Content-Type": "application/json", "X-Gitlab-Event": "Push Hook", "X-Gitlab-Instance": gitlab,
        "X-Gitlab-Token": source.secret,
      },
    });
    assert.equal(answer.status, 200);
    await appears(visitor, "Requests of this GitLab arrive.");
    await follow(visitor, `connected ${name}`);
    await shows(visitor, "The newest request was accepted.");
  });
}

export async function the_default_source_has_no_form(all) {
  await journey(all, "admin", async (visitor) => {
    await visitor.go("/admin/sources/default");
    await shows(visitor, "The default source belongs to the server");
    assert.equal(await visitor.page.getByRole("link", { name: "Edit", exact: true }).count(), 0);
    for (const page of ["edit", "secret", "delete"]) {
      assert.equal((await visitor.go(`/admin/sources/default/${page}`)).status(), 404);
    }
    assert.equal((await visitor.go("/gear/rope/-/sources")).status(), 404);
  });
}
