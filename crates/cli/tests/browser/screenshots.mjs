// Makes the screenshots of the guide. Look at each before you commit it.
//
// Usage: node screenshots.mjs URL TOKEN_FILE FOLDER [NAME=ADDRESS…], in a folder where playwright-core and axe-core are
// installed. The server is a demo: quickdraw demo --still. Each page is shown in light and dark, wide and narrow.

import { readFileSync } from "node:fs";
import path from "node:path";
import { Visitor, launch } from "./browser.mjs";

const WIDTHS = { wide: { width: 1280, height: 800 }, narrow: { width: 375, height: 800 } };
const [base, tokenFile, folder, ...pages] = process.argv.slice(2);
const token = readFileSync(tokenFile, "utf8").trim();

const browser = await launch();
for (const look of ["light", "dark"]) {
  for (const [width, viewport] of Object.entries(WIDTHS)) {
    const visitor = await Visitor.open(browser, base, { dark: look === "dark", viewport });
    await visitor.signIn(token);
    for (const pair of pages) {
      const [name, address] = pair.split("=");
      await visitor.go(address);
      await visitor.page.screenshot({ path: path.join(folder, `${name}-${look}-${width}.png`) });
      const sideways = await visitor.sideways();
      if (sideways > 0) console.log(`${name}: ${sideways} pixels too wide`);
    }
    for (const line of visitor.takeFaults()) console.log(line);
    await visitor.close();
  }
}
await browser.close();
