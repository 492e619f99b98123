// Tests the pages in a real browser. launch.py starts the server.
//
// Usage: node run.mjs [NAME…], in a folder where playwright-core and axe-core are installed. Each name is a part of the
// names of tests; without names, all tests run.

import { launch } from "./browser.mjs";
import { fill } from "./world.mjs";
import * as charts from "./test_charts.mjs";
import * as inspectors from "./test_inspectors.mjs";
import * as admin from "./test_admin.mjs";
import * as journeys from "./test_journeys.mjs";
import * as pages from "./test_pages.mjs";
import * as relay from "./test_relay.mjs";
import * as requests from "./test_requests.mjs";
import * as security from "./test_security.mjs";
import * as sources from "./test_sources.mjs";

const TESTS = Object.entries({
  ...admin, ...charts, ...journeys, ...relay, ...requests, ...security, ...sources, ...inspectors, ...pages,
});
const { QUICKDRAW_URL: base, QUICKDRAW_TOKEN: token } = process.env;

const wanted = process.argv.slice(2);
const world = await fill(base, token);
const browser = await launch();
let failed = 0;
for (const [name, test] of TESTS) {
  if (wanted.length > 0 && !wanted.some((part) => name.includes(part))) continue;
  const started = Date.now();
  try {
    await test({ browser, world, base });
    console.log(`ok      ${name} (${((Date.now() - started) / 1000).toFixed(1)} s)`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}\n${error.stack ?? error}`);
  }
}
await browser.close();
world.sink.close();
if (failed > 0) process.exit(1);
console.log("pages in a browser: all checks passed");
process.exit(0);
