// Steps of journeys.

import assert from "node:assert/strict";
import { Visitor } from "./browser.mjs";
import { Api, soon } from "./world.mjs";

/** Runs a journey twice, as two people. Nothing may appear on the console, and no dialog may open. */
export async function journey({ browser, world, base }, role, steps) {
  for (const scripts of [true, false]) {
    const visitor = await Visitor.open(browser, base, { scripts });
    if (role) await visitor.signIn(world.tokens[role]);
    try {
      await steps(visitor, scripts ? "with-scripts" : "without-scripts");
    } catch (error) {
      const text = await visitor.text().catch(() => "");
      error.stack += `\nscripts: ${scripts}, page: ${visitor.page.url()}\n${text.slice(0, 1500)}`;
      throw error;
    }
    assert.deepEqual(visitor.takeFaults(), []);
    await visitor.close();
  }
}

export const field = ({ page }, label) => page.getByLabel(label, { exact: true });
export const press = ({ page }, name) => page.locator("main").getByRole("button", { name, exact: true }).click();
export const follow = ({ page }, name) => page.getByRole("link", { name, exact: true }).first().click();

/** Checks that the page shows a text, in this part of it. */
export async function shows({ page }, text, part = "main") {
  await page.locator(part).getByText(text).first().waitFor();
}

/** Presses Tab until an element has the focus, which must be visible. */
export async function tabTo({ page }, selector, { isFirst = false } = {}) {
  for (let presses = 0; presses < 200; presses += 1) {
    // The wanted element may have the focus already.
    if (!isFirst || presses > 0) await page.keyboard.press("Tab");
    const found = await page.evaluate((wanted) => {
      const element = document.activeElement;
      if (!element.matches(wanted)) return "other";
      const { outlineStyle, outlineWidth } = getComputedStyle(element);
      return outlineStyle !== "none" && outlineWidth !== "0px" ? "found" : "hidden";
    }, selector);
    assert.notEqual(found, "hidden", `the focus of ${selector} is not visible`);
    if (found === "found") return;
  }
  assert.fail(`no Tab leads to ${selector}`);
}

/** The hook whose name begins with a text, as the API shows it. */
export const hookOf = (world, name) => soon(`the webhook ${name}`, async () => {
  const hooks = await new Api(world.base, world.tokens.admin).get(`/api/v4/projects/${world.project.id}/hooks?per_page=100`);
  return hooks.find((hook) => (hook.name ?? "").startsWith(name));
});
