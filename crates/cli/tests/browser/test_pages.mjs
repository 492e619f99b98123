// The rules for every page: roles, accessibility, width, weight, hostile texts, secrets.

import assert from "node:assert/strict";
import { NARROW, Visitor, WIDE } from "./browser.mjs";
import { NO_PAGES, PAGES, ROLES, ROUTES, ROWS, address } from "./pages.mjs";
import { CANARY, word } from "./texts.mjs";

const MAX_HTML = 60 << 10;
const MAX_ASSETS = 40 << 10;
const MAX_CALLS = 12;

/** Fails with all lines, if there are any. */
const none = (lines, what) => assert.equal(lines.length, 0, `${what}:\n  ${lines.join("\n  ")}`);

export async function every_route_is_in_the_table() {
  assert.ok(ROUTES.length > 5, "routes were found");
  const known = new Set([...ROWS.map(({ route }) => route), ...Object.keys(NO_PAGES)]);
  none(ROUTES.filter((route) => !known.has(route)), "routes without a row");
}

export async function each_role_sees_its_pages_and_no_secret({ world, base }) {
  const wrong = [];
  const cookies = {};
  for (const role of ROLES) cookies[role] = await cookie(base, world, role);

  for (const row of PAGES) {
    const at = address(row, world.names);
    for (const role of [...ROLES, "stranger"]) {
      const answer = await fetch(base + at, { redirect: "manual", headers: { Cookie: cookies[role] ?? "" } });
      const html = await answer.text();
      const leads = answer.headers.get("location") ?? "";
      const fits = {
        seen: answer.status === 200,
        refused: answer.status === 403 || answer.status === 404,
        signIn: answer.status === 303 && leads.startsWith("/-/sign_in"),
        away: answer.status === 303 && leads.startsWith("/"),
      };
      const expected = expectation(row, role);
      if (!fits[expected]) wrong.push(`${at} for ${role}: ${answer.status} ${leads}, expected ${expected}`);
      const secret = html.indexOf(CANARY);
      if (secret >= 0) wrong.push(`${at} for ${role} shows ${html.slice(secret, secret + 40)}`);
      if (html.length > MAX_HTML) wrong.push(`${at} for ${role}: ${html.length} bytes`);
      const calls = Number(/desc="(\d+) calls"/.exec(answer.headers.get("server-timing") ?? "")?.[1] ?? 0);
      if (calls > MAX_CALLS) wrong.push(`${at} for ${role}: ${calls} calls of the API`);
    }
  }
  none(wrong, "pages");
}

/** What a role gets from the page of a row. */
const expectation = (row, role) => {
  if (role === "stranger") return row.open ? "seen" : "signIn";
  if (row.seen.includes(role)) return "seen";
  // People who are signed in need no sign-in page, and a portal begins with its webhooks.
  const leadsAway = row.open || (role === "portal" && row.at === "/");
  return leadsAway ? "away" : "refused";
};

/** Signs in without a browser, or opens a portal link, and returns the cookie. */
async function cookie(base, world, role) {
  const answer = role === "portal"
    ? await fetch(`${base}/-/portal/${world.names.portal}`, { redirect: "manual" })
    : await fetch(`${base}/-/sign_in`, { method: "POST", body: new URLSearchParams({ token: world.tokens[role] }), redirect: "manual" });
  assert.equal(answer.status, 303, `${role} is signed in`);
  return answer.headers.getSetCookie()[0].split(";")[0];
}

export async function each_page_is_accessible_quiet_narrow_and_without_foreign_markup({ browser, world, base }) {
  const wrong = [];
  const visitor = await Visitor.open(browser, base);
  await visitor.signIn(world.tokens.admin);
  const stranger = await Visitor.open(browser, base);

  for (const row of PAGES) {
    const at = address(row, world.names);
    const { page } = row.open ? stranger : visitor;
    const who = row.open ? stranger : visitor;
    await page.emulateMedia({ colorScheme: "light" });
    await page.setViewportSize(WIDE);
    await who.go(at);
    const title = await page.title();
    if (!title.startsWith(row.title)) wrong.push(`${at}: the title is ${title}`);
    const headings = await page.locator("h1").count();
    if (headings !== 1) wrong.push(`${at}: ${headings} headings of the first level`);

    for (const line of await who.axe()) wrong.push(`${at} in light: ${line}`);
    // The dark look differs by its colours only.
    await page.emulateMedia({ colorScheme: "dark" });
    for (const line of await who.axe({ only: ["color-contrast", "link-in-text-block"] })) wrong.push(`${at} in dark: ${line}`);

    await page.setViewportSize(NARROW);
    const sideways = await who.sideways();
    if (sideways > 0) wrong.push(`${at}: ${sideways} pixels too wide at 320`);

    const text = await page.locator("body").textContent() + (await values(page));
    for (const name of row.shows) {
      if (!text.includes(word(name))) wrong.push(`${at} does not show ${word(name)}`);
    }
    for (const html of await foreignMarkup(page)) wrong.push(`${at} has ${html}`);
    for (const line of who.takeFaults()) wrong.push(line);
  }
  await visitor.close();
  await stranger.close();
  none(wrong, "pages");
}

/** The values of all fields. */
const values = (page) => page.evaluate(() =>
  [...document.querySelectorAll("input, textarea")].map((field) => field.value).join("\n"));

/** Elements and attributes that no page of ours has, and that hostile texts would add. */
const foreignMarkup = (page) => page.evaluate(() => {
  const strange = document.querySelectorAll("iframe, object, embed, base, img[src=x], svg[onload], script:not([src])");
  const links = [...document.querySelectorAll("[href], [action], [src], [formaction]")].filter((element) =>
    ["href", "action", "src", "formaction"].some((name) => /^\s*(javascript|vbscript):/i.test(element.getAttribute(name) ?? "")));
  const handlers = [...document.querySelectorAll("*")].filter((element) =>
    [...element.attributes].some(({ name }) => name.startsWith("on") || name === "style"));
  return [...strange, ...links, ...handlers].map((element) => element.outerHTML.slice(0, 200));
});

export async function style_and_script_are_light({ base }) {
  const html = await (await fetch(`${base}/-/sign_in`)).text();
  const assets = [...html.matchAll(/(?:href|src)="(\/-\/assets\/[^"]+)"/g)].map(([, asset]) => asset);
  assert.equal(assets.length, 2);
  let bytes = 0;
  for (const asset of assets) bytes += (await (await fetch(base + asset)).arrayBuffer()).byteLength;
  assert.ok(bytes <= MAX_ASSETS, `${bytes} bytes of style and script`);
}

export async function the_checks_find_what_they_look_for({ browser, base }) {
  const visitor = await Visitor.open(browser, base);
  await visitor.go("/-/sign_in");
  await visitor.page.evaluate(() => {
    const main = document.querySelector("main");
    main.insertAdjacentHTML("beforeend", "<img src=x onerror=alert(1)><a href='javascript:alert(2)'>link</a>");
    main.insertAdjacentHTML("beforeend", "<p class=pale>pale</p><div class=wide>wide</div>");
    main.querySelector(".pale").style.color = "#eee";
    main.querySelector(".wide").style.width = "5000px";
  });
  await visitor.page.waitForTimeout(200);
  const found = (await visitor.axe()).map((line) => line.split(":")[0]);
  assert.ok(found.includes("image-alt") && found.includes("color-contrast"), found.join());
  assert.ok(await visitor.sideways() > 0);
  assert.equal((await foreignMarkup(visitor.page)).length >= 3, true);
  assert.ok(visitor.takeFaults().some((line) => line.includes("script-src")), "the policy stopped the handler");
  await visitor.close();
}
