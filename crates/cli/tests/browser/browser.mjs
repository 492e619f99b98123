// Chromium, and people who use it.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

const require = createRequire(path.join(process.cwd(), "here.js"));
const { chromium } = (await import(pathToFileURL(require.resolve("playwright-core")))).default;
const AXE = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

export const WIDE = { width: 1280, height: 900 };
export const NARROW = { width: 320, height: 800 };

/** Starts the browser. `CHROMIUM` names another program than Debian's. */
export const launch = () => {
  const args = ["--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP *.example 127.0.0.1"];
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args });
};

/** Somebody with a browser of their own. Everything that should never happen is written down in `faults`. */
export class Visitor {
  static async open(browser, base, { scripts = true, dark = false, viewport = WIDE } = {}) {
    const visitor = new Visitor();
    visitor.base = base;
    visitor.scripts = scripts;
    visitor.faults = [];
    visitor.context = await browser.newContext({
      javaScriptEnabled: scripts,
      colorScheme: dark ? "dark" : "light",
      viewport,
      baseURL: base,
      reducedMotion: "reduce",
    });
    visitor.context.setDefaultTimeout(15_000);
    visitor.page = await visitor.context.newPage();
    visitor.page.on("dialog", (dialog) => {
      visitor.fault(`a dialog said ${dialog.message()}`);
      dialog.dismiss().catch(() => {});
    });
    visitor.page.on("pageerror", (error) => visitor.fault(`an error of a script: ${error}`));
    visitor.page.on("console", (message) => {
      // Chromium writes a line for every answer with an error. The status of each page is checked elsewhere.
      const isStatus = message.text().startsWith("Failed to load resource: the server responded with a status of 4");
      if (message.type() === "error" && !isStatus) visitor.fault(`the console said ${message.text()}`);
    });
    visitor.page.on("request", (request) => {
      if (!/^(data|blob|about):/.test(request.url()) && !request.url().startsWith(base)) {
        visitor.fault(`the page asked for ${request.url()}`);
      }
    });
    await visitor.page.addInitScript(() => {
      document.addEventListener("securitypolicyviolation", (event) => {
        console.error(`violation of ${event.violatedDirective} by ${event.blockedURI}`);
      });
    });
    return visitor;
  }

  fault(text) {
    this.faults.push(`${this.page.url().replace(this.base, "")}: ${text}`);
  }

  /** The faults since the last call. */
  takeFaults() {
    return this.faults.splice(0);
  }

  /** Opens an address, and returns the answer that the browser got at last. */
  async go(address) {
    return this.page.goto(address, { waitUntil: "load" });
  }

  /** Signs in with an access token. */
  async signIn(token) {
    await this.go("/-/sign_in");
    await this.signInHere(token);
  }

  /** Signs in on the page that is open. */
  async signInHere(token) {
    const field = this.page.locator("#token");
    // The field may be in a part that is closed.
    if (!(await field.isVisible())) await this.page.locator("summary", { hasText: /token/i }).first().click();
    await field.fill(token);
    await Promise.all([this.page.waitForURL((url) => url.pathname !== "/-/sign_in"), field.press("Enter")]);
  }

  /** Confirms what was just asked: in a dialog with scripts, and on a page of its own without. */
  async confirm() {
    if (this.scripts) await this.page.locator("dialog button.danger").click();
    else await this.page.locator("main form:has([name=confirmed]) button").first().click();
    await this.page.waitForLoadState("load");
  }

  /** The text that the page shows. */
  async text() {
    return this.page.locator("body").innerText();
  }

  /** Violations that axe finds, one line each: by all rules or by these `only`. */
  async axe({ only } = {}) {
    // The content security policy does not concern what a debugger runs.
    if (!(await this.page.evaluate(() => "axe" in globalThis))) await this.page.evaluate(AXE);
    return this.page.evaluate(async (rules) => {
      const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
      const found = await globalThis.axe.run(document, { runOnly: rules ?? tags, resultTypes: ["violations"] });
      return found.violations.flatMap(({ id, nodes }) =>
        nodes.map(({ html, failureSummary }) => `${id}: ${html.slice(0, 160)} ${failureSummary.replace(/\s+/g, " ")}`));
    }, only);
  }

  /** By how many pixels the page is wider than the window. */
  async sideways() {
    return this.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  }

  async close() {
    await this.context.close();
  }
}
