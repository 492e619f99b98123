// Journeys about inspectors: make one, watch requests arrive, look at one, change the answer, delete it.

import assert from "node:assert/strict";
import { field, follow, journey, press, shows } from "./steps.mjs";
import { CANARY, canary, hostile, hostileAll, word } from "./texts.mjs";
import { soon } from "./world.mjs";

/** Makes an inspector at a place, and returns its address. */
async function make(visitor, place, name, more = {}) {
  await visitor.go(`${place}/inspectors`);
  await follow(visitor, "New inspector");
  await field(visitor, "Name (optional)").fill(name);
  for (const [label, value] of Object.entries(more)) await field(visitor, label).fill(value);
  await press(visitor, "Make inspector");
  await shows(visitor, "The inspector is ready.");
  return visitor.page.locator("#url").innerText();
}

const send = (url, headers = {}, body = '{"hello":"inspector"}', method = "POST") =>
  fetch(url, { method, headers: { "Content-Type": "application/json", ...headers }, body });

/** Waits for a text, which appears by itself with scripts, and after loading the page again without. */
async function appears(visitor, text) {
  if (visitor.scripts) return shows(visitor, text);
  return soon(`the text ${text}`, async () => {
    await visitor.page.reload();
    return (await visitor.text()).includes(text);
  });
}

export async function an_inspector_shows_requests_as_they_arrive(all) {
  await journey(all, "guest", async (visitor, name) => {
    const url = await make(visitor, "/gear/rope/-", hostile(name));
    await shows(visitor, "Waiting for the first request…");
    const answer = await send(url, { "X-Gitlab-Event": "Push Hook", "X-Webhook-Note": hostile("sent", 1) });
    assert.deepEqual([answer.status, await answer.text()], [200, "ok"]);
    await appears(visitor, "Push Hook");

    await follow(visitor, "Push Hook");
    for (const text of ["x-webhook-note", word("sent"), "hello", '"inspector"', "Not checked"]) await shows(visitor, text);
    await follow(visitor, "Raw");
    assert.equal(await visitor.page.locator("#raw").innerText(), '{"hello":"inspector"}');
  });
}

export async function an_inspector_checks_secrets_and_never_shows_them(all) {
  await journey(all, "maintainer", async (visitor, name) => {
    const secret = canary(`inspector-${name}`);
    const url = await make(visitor, "/gear/rope/-", `checked ${name}`, { "Secret token (optional)": secret });
    await send(url, { "X-Gitlab-Token": "another" });
    await appears(visitor, "Wrong secret token");
    await send(url, { "X-Gitlab-Token": secret });
    await appears(visitor, "Right secret token");
    assert.ok(!(await visitor.page.content()).includes(CANARY), "a secret is shown");
    await follow(visitor, "Edit");
    assert.ok(!(await visitor.page.content()).includes(CANARY), "a secret is shown in the form");
    assert.equal(await field(visitor, "Secret token (optional)").inputValue(), "");

    await visitor.page.getByLabel("Remove the secret token").check();
    await press(visitor, "Save changes");
    await shows(visitor, "Add a secret");
  });
}

export async function the_answer_of_an_inspector_is_chosen_and_refusals_stand_beside_their_fields(all) {
  await journey(all, "developer", async (visitor, name) => {
    const url = await make(visitor, "/gear/rope/-", `answering ${name}`);
    await follow(visitor, "Edit");
    await field(visitor, "Status").fill("199");
    await field(visitor, "Body").fill(hostileAll("answer"));
    await press(visitor, "Save changes");
    await visitor.page.locator("#status-error").getByText("status must be a whole number from 200 to 599").waitFor();
    assert.equal(await field(visitor, "Body").inputValue(), hostileAll("answer"));

    await field(visitor, "Status").fill("503");
    await field(visitor, "Headers (optional)").fill("Retry-After: 7\nSet-Cookie: a=b");
    await press(visitor, "Save changes");
    await visitor.page.locator("#headers-error").getByText("headers cannot contain").waitFor();
    await field(visitor, "Headers (optional)").fill("Retry-After: 7");
    await press(visitor, "Save changes");
    await shows(visitor, "The changes are saved.");

    const answer = await send(url);
    assert.deepEqual([answer.status, answer.headers.get("retry-after"), await answer.text()], [503, "7", hostileAll("answer")]);
  });
}

export async function an_inspector_is_found_at_every_place_and_deleted_with_its_requests(all) {
  await journey(all, "owner", async (visitor, name) => {
    const url = await make(visitor, "/groups/gear/-", `deleted ${name}`);
    await send(url, {}, "just text");
    await visitor.go("/gear/rope/-/inspectors");
    await follow(visitor, `deleted ${name}`);
    await follow(visitor, "POST");
    assert.equal(await visitor.page.locator("#raw").innerText(), "just text");

    await visitor.page.goBack();
    await visitor.page.reload();
    await press(visitor, "Delete all requests");
    await visitor.confirm();
    await shows(visitor, "All requests are deleted.");
    await press(visitor, "Delete");
    await visitor.confirm();
    await shows(visitor, "The inspector is deleted with its requests.");
    assert.equal((await send(url)).status, 404);
  });
}

export async function a_webhook_is_added_with_the_address_of_an_inspector(all) {
  await journey(all, "maintainer", async (visitor, name) => {
    const url = await make(visitor, "/gear/rope/-", `webhook ${name}`);
    await follow(visitor, "Add a webhook with this address");
    assert.equal(await field(visitor, "URL").inputValue(), url);
  });
  await journey(all, "developer", async (visitor, name) => {
    await make(visitor, "/gear/rope/-", `no webhook ${name}`);
    assert.equal(await visitor.page.getByRole("link", { name: "Add a webhook with this address" }).count(), 0);
  });
}
