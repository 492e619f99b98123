// The charts: values on hover and with the keyboard, numbers as a table, and the same numbers in the API.

import assert from "node:assert/strict";
import { NARROW, Visitor } from "./browser.mjs";
import { Api } from "./world.mjs";

const chartOf = ({ page }, title) => page.locator("figure.chart").filter({ has: page.getByRole("heading", { name: title, exact: true }) });

export async function the_values_of_a_chart_are_read_with_the_arrow_keys({ browser, base }) {
  const visitor = await Visitor.open(browser, base);
  await visitor.go("/-/components");
  const chart = chartOf(visitor, "Two series");
  const spots = chart.locator(".spots g");
  const shown = () => chart.locator(".spots g:focus text");

  assert.equal(await chart.locator(".spots g[tabindex='0']").count(), 1, "one stop of the tab key");
  await chart.locator(".spots g[tabindex='0']").focus();
  assert.match(await shown().innerHTML(), /^23:00: Delivered \d+, Failed \d+$/);
  assert.equal(await shown().evaluate((text) => getComputedStyle(text).opacity), "1");
  await visitor.page.keyboard.press("ArrowLeft");
  assert.match(await shown().innerHTML(), /^22:00: /);
  await visitor.page.keyboard.press("Home");
  assert.equal(await shown().innerHTML(), await spots.first().locator("text").innerHTML());
  assert.equal(await chart.locator(".spots g[tabindex='0']").count(), 1, "the stop moves");

  await spots.nth(3).hover();
  assert.equal(await spots.nth(3).locator("text").evaluate((text) => getComputedStyle(text).opacity), "1");
  assert.deepEqual(visitor.takeFaults(), []);
  await visitor.close();
}

export async function charts_are_legible_at_320_pixels({ browser, base }) {
  const visitor = await Visitor.open(browser, base, { viewport: NARROW });
  await visitor.go("/-/components");
  const heights = await visitor.page.locator(".drawing text.words").evaluateAll((texts) =>
    texts.map((text) => text.getBoundingClientRect().height));
  assert.ok(heights.length > 20 && Math.min(...heights) >= 10, `labels are ${Math.min(...heights)} pixels high`);

  const overlaps = await visitor.page.locator(".drawing svg[role=img]").evaluateAll((pictures) => pictures.flatMap((picture) => {
    const boxes = [...picture.querySelectorAll("text")].map((text) => ({ box: text.getBoundingClientRect(), text: text.textContent }));
    const area = picture.getBoundingClientRect();
    const meet = (one, two) => one.left < two.right && two.left < one.right && one.top < two.bottom && two.top < one.bottom;
    const pairs = boxes.flatMap(({ box, text }, at) => boxes.slice(at + 1).filter((two) => meet(box, two.box)).map((two) => `${text} ${two.text}`));
    const cut = boxes.filter(({ box }) => box.left < area.left - 1 || box.right > area.right + 1).map(({ text }) => `${text} is cut`);
    return [...pairs, ...cut];
  }));
  assert.deepEqual(overlaps, []);
  await visitor.close();
}

export async function the_charts_of_a_webhook_show_the_numbers_of_the_api({ browser, base, world }) {
  const { hook } = world.names;
  const api = new Api(base, world.tokens.admin);
  const attempts = async () => (await api.get(`/api/v1/hooks/${hook}/status`)).attempts;
  for (const scripts of [true, false]) {
    const visitor = await Visitor.open(browser, base, { scripts });
    await visitor.signIn(world.tokens.maintainer);
    const before = await attempts();
    await visitor.go(`/gear/rope/-/hooks/${hook}`);
    const after = await attempts();
    assert.equal(await visitor.page.locator("figure.chart").count(), 3);

    const chart = chartOf(visitor, "Attempts");
    await chart.locator("summary").click();
    const cells = await chart.locator("tbody td").allInnerTexts();
    const shown = cells.reduce((sum, cell) => sum + Number(cell), 0);
    assert.ok(before <= shown && shown <= after, `the table has ${cells}, the API had ${before} and ${after}`);
    assert.deepEqual(visitor.takeFaults(), []);
    await visitor.close();
  }
}
