// Journeys through gaps, streams, alerts, selected deliveries, and the contribution of an event to insights.

import assert from "node:assert/strict";
import { Visitor } from "./browser.mjs";
import { field, follow, journey, press, shows } from "./steps.mjs";
import { hostile, word } from "./texts.mjs";
import { soon } from "./world.mjs";

export async function gaps_are_listed_explained_and_lead_to_the_command(all) {
  await journey(all, "admin", async (visitor) => {
    await visitor.go("/admin/overview");
    await visitor.page.getByRole("link", { name: "Look at all gaps" }).click();
    await visitor.page.getByRole("link", { name: "gear/rope" }).first().click();
    await shows(visitor, "The last known push ended at");
    await shows(visitor, word("branch"));
    await field(visitor, "Events about").selectOption("issue");
    await press(visitor, "Filter");
    await shows(visitor, "No event named these numbers");
    const command = await visitor.page.locator("#repair").innerText();
    assert.ok(command.startsWith("quickdraw gaps --project gear/rope --gitlab"), command);

    await field(visitor, "Events about").selectOption("push");
    await field(visitor, "Pushes since").fill("yesterday");
    await press(visitor, "Filter");
    await visitor.page.locator("[role=alert]").waitFor();
  });
}

export async function a_maintainer_reads_the_gaps_of_the_project(all) {
  await journey(all, "maintainer", async (visitor) => {
    await visitor.go("/gear/rope/-/hooks");
    await follow(visitor, "Gaps");
    await shows(visitor, "Missing events");
    await shows(visitor, word("branch"));
  });
}

export async function an_open_stream_is_shown_and_ended(all) {
  const { base, world } = all;
  await journey(all, "maintainer", async (visitor) => {
    const open = new AbortController();
    const headers = { "PRIVATE-TOKEN": world.tokens.maintainer, Accept: "text/event-stream" };
    const stream = await fetch(`${base}/api/v1/stream?project=gear%2Frope&trigger=push_hooks`, { headers, signal: open.signal });
    assert.equal(stream.status, 200);
    const ended = (async () => { for await (const part of stream.body) assert.ok(part); })();

    await visitor.go("/gear/rope/-/streams");
    const row = visitor.page.getByRole("row").filter({ hasText: "maintainer" });
    await row.getByText("Push").waitFor();
    await row.getByText("Up to date").waitFor();
    await row.getByRole("button").click();
    await visitor.confirm();
    await shows(visitor, "The stream is ended");
    await ended;
    open.abort();
  });
}

export async function the_commands_of_a_stream_follow_the_form(all) {
  await journey(all, "owner", async (visitor) => {
    await visitor.go("/groups/gear/-/streams");
    await field(visitor, "Kind of event").selectOption("push_hooks");
    await field(visitor, "Event filter (optional)").fill(`{"branch":"it's"}`);
    await press(visitor, "Show the commands");
    const listen = await visitor.page.locator("#listen").innerText();
    assert.match(listen, /--group gear --trigger push_hooks --filter '\{"branch":"it'\\''s"\}'$/);
    assert.match(await visitor.page.locator("#curl").innerText(), /stream\?group=gear&trigger=push_hooks&filter=/);

    await field(visitor, "Event filter (optional)").fill("{");
    await press(visitor, "Show the commands");
    await visitor.page.locator("[role=alert]").waitFor();
    assert.equal(await visitor.page.locator("#listen").count(), 0);
  });
}

export async function an_alert_is_tried_added_edited_and_deleted(all) {
  await journey(all, "admin", async (visitor, name) => {
    await visitor.go("/admin/alerts");
    await follow(visitor, "Add alert");
    await field(visitor, "Name").fill(hostile(name));
    await field(visitor, "Number").selectOption("missing_pushes");
    await field(visitor, "Limit").fill("many");
    await press(visitor, "Try");
    await shows(visitor, "The limit is a number such as");
    await field(visitor, "Limit").fill("0");
    await field(visitor, "Projects").selectOption("each");
    await press(visitor, "Try");
    await shows(visitor, "The condition is met now");
    await press(visitor, "Add alert");
    await shows(visitor, "The alert is added");

    const card = visitor.page.locator(".card").filter({ hasText: word(name) });
    await card.getByText("Missing pushes above 0, over 1 day").waitFor();
    await card.getByRole("link", { name: "Edit" }).click();
    await field(visitor, "Statistic").selectOption("p75");
    await press(visitor, "Save changes");
    await visitor.page.locator("#statistic-error").getByText("does not apply").waitFor();
    await field(visitor, "Statistic").selectOption("value");
    await field(visitor, "Window").fill("7d");
    await press(visitor, "Save changes");
    await card.getByText("over 7 days").waitFor();

    await card.getByRole("button", { name: "Delete" }).click();
    await visitor.confirm();
    await shows(visitor, "The alert is deleted");
    assert.equal(await card.count(), 0);
  });
}

export async function selected_deliveries_are_counted_and_replayed(all) {
  const { world } = all;
  await journey(all, "maintainer", async (visitor) => {
    await visitor.go(`/gear/rope/-/deliveries?state=delivered&hook=${world.names.hook}`);
    const boxes = visitor.page.getByRole("checkbox", { name: /^Select the/ });
    await boxes.first().check();
    await boxes.nth(1).check();
    await press(visitor, "Replay selected deliveries");
    await shows(visitor, "2 selected deliveries");
    await press(visitor, "Count deliveries");
    await shows(visitor, "2 deliveries would be sent again");
    await press(visitor, "Start replay");
    await shows(visitor, "of 2 deliveries sent again");
    const { pathname } = new URL(visitor.page.url());
    const id = pathname.split("/").at(-1);
    await soon("the end of the replay", async () => (await world.admin.get(`/api/v1/replays/${id}`)).state === "finished");
    await visitor.go("/gear/rope/-/replays");
    await shows(visitor, "2 selected deliveries");

    await visitor.go("/gear/rope/-/deliveries");
    await press(visitor, "Replay selected deliveries");
    await shows(visitor, "No delivery was selected");
  });
}

export async function an_administrator_finds_replays_at_the_project(all) {
  await journey(all, "admin", async (visitor) => {
    await visitor.go("/gear/rope/-/replays");
    await visitor.page.getByRole("link", { name: `Replay ${all.world.names.replay}`, exact: true }).waitFor();
  });
}

export async function an_event_shows_the_items_that_it_counts_for(all) {
  await journey(all, "maintainer", async (visitor) => {
    await visitor.go(`/gear/rope/-/events/${all.world.events[1]}`);
    await shows(visitor, "Counted");
    await visitor.page.getByRole("link", { name: "Issue #23", exact: true }).click();
    await visitor.page.waitForURL((url) => url.searchParams.get("object") === "#23");
  });
}

export async function an_update_does_not_take_away_the_form_that_a_dialog_asks_about({ browser, world, base }) {
  const visitor = await Visitor.open(browser, base);
  await visitor.signIn(world.tokens.maintainer);
  const open = new AbortController();
  const headers = { "PRIVATE-TOKEN": world.tokens.maintainer, Accept: "text/event-stream" };
  const stream = await fetch(`${base}/api/v1/stream?project=gear%2Frope&trigger=push_hooks`, { headers, signal: open.signal });
  const ended = (async () => { for await (const part of stream.body) assert.ok(part); })();

  await visitor.go("/gear/rope/-/streams");
  await visitor.page.getByRole("row").filter({ hasText: "maintainer" }).getByRole("button").click();
  // Another stream changes the list while the dialog is open. The server looks every two seconds.
  const other = await fetch(`${base}/api/v1/stream?project=gear%2Frope&trigger=issue_hooks`, { headers, signal: open.signal });
  assert.equal(other.status, 200);
  await visitor.page.waitForTimeout(4_500);
  await visitor.confirm();
  await shows(visitor, "The stream is ended");
  await ended;
  open.abort();
  assert.deepEqual(visitor.takeFaults(), []);
  await visitor.close();
}
