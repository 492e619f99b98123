// Attacks that need a browser: pages of other sites, frames, links that lead away, sessions, host names.

import assert from "node:assert/strict";
import http from "node:http";
import { Visitor } from "./browser.mjs";
import { canary } from "./texts.mjs";

/** A site of somebody else. `HOST` is its name; the browser of the tests leads names in `.example` to this machine. */
async function site(pages) {
  const server = http.createServer((request, response) => {
    const html = pages[request.url];
    response.writeHead(html ? 200 : 404, { "Content-Type": "text/html" });
    response.end(html ?? "");
  });
  await new Promise((ready) => { server.listen(0, "127.0.0.1", ready); });
  server.unref();
  return { url: `http://evil.example:${server.address().port}`, close: () => server.close() };
}

/** A visitor who is signed in. Pages of other sites are part of these tests, so they are no faults. */
async function victim({ browser, world, base }) {
  const visitor = await Visitor.open(browser, base);
  await visitor.signIn(world.tokens.admin);
  return visitor;
}

const hooks = ({ world }) => world.admin.get(`/api/v4/projects/${world.project.id}/hooks?per_page=100`);

export async function no_page_can_be_framed(all) {
  const { base } = all;
  const evil = await site({ "/": `<iframe id=own src="${base}/gear/rope/-/hooks"></iframe>` });
  const visitor = await victim(all);
  await visitor.go(`${evil.url}/`);
  await visitor.page.waitForTimeout(500);
  const frames = visitor.page.frames().slice(1);
  for (const frame of frames) {
    assert.ok(!frame.url().startsWith(base), `the frame shows ${frame.url()}`);
  }
  assert.ok(visitor.takeFaults().some((line) => line.includes("frame-ancestors")), "the browser names the reason");
  await visitor.close();
  evil.close();
}

export async function a_form_of_another_site_changes_nothing(all) {
  const { base } = all;
  const form = (action, fields) => `<form method=post action="${base}${action}">${fields}</form><script>document.forms[0].submit()</script>`;
  const evil = await site({
    "/add": form("/gear/rope/-/hooks", "<input name=url value=https://evil.example/>"),
    "/out": form("/-/sign_out", ""),
    // Somebody else's session must not replace the session of the victim.
    "/in": form("/-/sign_in", `<input name=token value="${all.world.tokens.outsider}">`),
  });
  const visitor = await victim(all);
  const before = (await hooks(all)).length;
  for (const page of ["/add", "/out", "/in"]) {
    const answer = visitor.page.waitForResponse((response) => response.request().method() === "POST");
    await visitor.go(evil.url + page);
    assert.equal((await answer).status(), 403, page);
  }
  assert.equal((await hooks(all)).length, before);
  await visitor.go("/");
  await visitor.page.locator(".menu summary").click();
  assert.match(await visitor.text(), /Signed in as root/);
  await visitor.close();
  evil.close();
}

export async function a_script_of_another_site_reads_and_changes_nothing(all) {
  const { base } = all;
  const evil = await site({ "/": "<p>evil</p>" });
  const visitor = await victim(all);
  const before = (await hooks(all)).length;
  await visitor.go(`${evil.url}/`);
  const read = await visitor.page.evaluate(async (own) => {
    const attempts = [
      () => fetch(`${own}/gear/rope/-/hooks`, { credentials: "include" }).then((answer) => answer.text()),
      () => fetch(`${own}/api/v4/user`, { credentials: "include" }).then((answer) => answer.text()),
      () => fetch(`${own}/gear/rope/-/hooks`, {
        method: "POST", credentials: "include", mode: "no-cors", body: new URLSearchParams({ url: "https://evil.example/" }),
      }).then((answer) => answer.text()),
    ];
    return Promise.all(attempts.map((attempt) => attempt().catch(() => "")));
  }, base);
  assert.deepEqual(read, ["", "", ""]);
  assert.equal((await hooks(all)).length, before);
  await visitor.close();
  evil.close();
}

export async function the_cookie_is_no_credential_for_the_api(all) {
  const visitor = await victim(all);
  const status = await visitor.page.evaluate(async () => (await fetch("/api/v4/user")).status);
  assert.equal(status, 401);
  await visitor.close();
}

export async function no_link_leads_to_another_site_after_sign_in({ browser, world, base }) {
  const ways = ["//evil.example/", "/\\evil.example/", "https://evil.example/", "/%09/evil.example", "javascript:alert(1)",
    "/\t/evil.example/", "http:evil.example", "///evil.example", "/..//evil.example/", "/-/..//evil.example/"];
  for (const way of ways) {
    const visitor = await Visitor.open(browser, base);
    await visitor.go(`/-/sign_in?return_to=${encodeURIComponent(way)}`);
    await visitor.signInHere(world.tokens.maintainer);
    assert.equal(new URL(visitor.page.url()).origin, base, way);
    // A person who is signed in already is led away by the same parameter.
    await visitor.go(`/-/sign_in?return_to=${encodeURIComponent(way)}`);
    assert.equal(new URL(visitor.page.url()).origin, base, way);
    assert.deepEqual(visitor.takeFaults(), [], way);
    await visitor.close();
  }
}

export async function a_session_that_somebody_chose_is_not_taken_over({ browser, world, base }) {
  const visitor = await Visitor.open(browser, base);
  const name = "quickdraw-session";
  await visitor.context.addCookies([{ name, value: "a".repeat(64), url: base }]);
  await visitor.signIn(world.tokens.maintainer);
  const [first] = (await visitor.context.cookies()).filter((cookie) => cookie.name.endsWith(name));
  assert.notEqual(first.value, "a".repeat(64));
  assert.ok(first.httpOnly, "scripts cannot read the cookie");
  assert.equal(first.sameSite, "Lax");

  // Another sign-in begins another session, and the end of a session is final.
  const again = await Visitor.open(browser, base);
  await again.signIn(world.tokens.maintainer);
  const [second] = (await again.context.cookies()).filter((cookie) => cookie.name.endsWith(name));
  assert.notEqual(first.value, second.value);
  await again.go("/");
  await again.page.locator(".menu summary").click();
  await again.page.getByRole("button", { name: "Sign out" }).click();
  await again.page.waitForURL("**/-/sign_in*");
  await again.context.addCookies([second]);
  await again.go("/");
  assert.equal(new URL(again.page.url()).pathname, "/-/sign_in");
  await visitor.close();
  await again.close();
}

export async function a_page_is_not_shown_under_the_name_of_another_site({ browser, base }) {
  const visitor = await Visitor.open(browser, base);
  const { port } = new URL(base);
  // The name leads to this server, as in an attack by DNS rebinding.
  for (const page of ["/-/sign_in", "/", "/gear/rope/-/hooks"]) {
    const answer = await visitor.go(`http://rebound.example:${port}${page}`);
    assert.equal(answer.status(), 421, page);
  }
  await visitor.close();
}

export async function every_answer_has_the_headers_that_protect_a_page({ base }) {
  const policy = {
    "default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "img-src": "'self' data:", "connect-src": "'self'",
    "form-action": "'self'", "base-uri": "'none'", "frame-ancestors": "'none'",
  };
  for (const page of ["/-/sign_in", "/", "/gear/rope/-/hooks", "/admin/nothing"]) {
    const { headers } = await fetch(base + page, { redirect: "manual" });
    const sent = Object.fromEntries(headers.get("content-security-policy").split(";").map((part) => {
      const [name, ...values] = part.trim().split(" ");
      return [name, values.join(" ")];
    }));
    for (const [name, value] of Object.entries(policy)) assert.equal(sent[name], value, `${name} of ${page}`);
    assert.equal(headers.get("x-content-type-options"), "nosniff", page);
    assert.equal(headers.get("referrer-policy"), "same-origin", page);
    assert.equal(headers.get("cache-control"), "no-store", page);
    assert.equal(headers.get("cross-origin-opener-policy"), "same-origin", page);
  }
}

export async function guesses_of_a_password_are_slowed_down({ browser, base }) {
  const visitor = await Visitor.open(browser, base);
  const attempt = async (password) => {
    await visitor.go("/-/sign_in");
    await visitor.page.getByLabel("Username", { exact: true }).fill("guest");
    await visitor.page.getByLabel("Password", { exact: true }).fill(password);
    await visitor.page.locator("main").getByRole("button", { name: "Sign in", exact: true }).click();
    return visitor.page.locator("[role=alert]").innerText();
  };
  for (let guess = 0; guess < 5; guess += 1) {
    assert.match(await attempt(`guess number ${guess}`), /username or the password/i);
  }
  // The right password has to wait too, so a guess is not told from another.
  assert.match(await attempt(canary("guest")), /too many failed attempts. Try again in/);
  assert.equal(new URL(visitor.page.url()).pathname, "/-/sign_in");
  await visitor.close();
}

export async function a_portal_link_ends_with_its_time_and_opens_no_other_scope({ browser, world, base }) {
  const made = await world.admin.post("/api/v1/portal_sessions", { project: "gear/sea", access: "read", expires_in: 4 });
  const link = new URL(made.url).pathname;
  const visitor = await Visitor.open(browser, base);
  await visitor.go(link);
  assert.equal(new URL(visitor.page.url()).pathname, "/gear/sea/-/hooks");

  // The link of one project shows no other, whatever its visitor asks for.
  for (const page of ["/gear/rope/-/hooks", "/groups/gear/-/hooks", "/admin/hooks", "/-/profile/tokens"]) {
    assert.ok((await visitor.go(page)).status() >= 400, page);
  }
  await visitor.page.waitForTimeout(4_500);
  for (const page of [link, "/gear/sea/-/hooks"]) {
    assert.ok((await visitor.go(page)).status() >= 400, `${page} after the end of the link`);
  }
  await visitor.close();
}

export async function a_live_part_ends_when_its_reader_is_no_administrator_any_more({ browser, world, base }) {
  const deputy = await world.admin.post("/api/v4/users", {
    username: "deputy", name: "Deputy", email: "deputy@example.com", password: canary("deputy"), admin: true,
  });
  const made = await world.admin.post(`/api/v4/users/${deputy.id}/personal_access_tokens`, { name: "pages", scopes: ["api"] });
  const visitor = await Visitor.open(browser, base);
  await visitor.signIn(made.token);
  const cookie = (await visitor.context.cookies()).map(({ name, value }) => `${name}=${value}`).join("; ");

  const answer = await fetch(`${base}/admin/events/live`, { headers: { cookie }, signal: AbortSignal.timeout(20_000) });
  assert.equal(answer.status, 200);
  const reader = answer.body.getReader();
  assert.ok(!(await reader.read()).done, "the first part comes at once");

  await world.admin.call("PUT", `/api/v4/users/${deputy.id}`, { admin: false });
  // The signal ends the test if the stream does not.
  for (let part = await reader.read(); !part.done;) part = await reader.read();
  await visitor.close();
}
