// Measures pages beside the same data through the API: the median and the largest of 20 answers, the size of the page, and
// its number of calls of the API.
//
// Usage: node times.mjs URL TOKEN_FILE ADDRESS…

import { readFileSync } from "node:fs";

const TIMES = 20;
const [base, tokenFile, ...addresses] = process.argv.slice(2);
const token = readFileSync(tokenFile, "utf8").trim();

const signedIn = await fetch(`${base}/-/sign_in`, { method: "POST", body: new URLSearchParams({ token }), redirect: "manual" });
const headers = { Cookie: signedIn.headers.getSetCookie()[0].split(";")[0] };

/** Fetches an address several times, and returns the last answer and the times in milliseconds. */
async function measure(address, sent) {
  const times = [];
  let answer;
  for (let number = 0; number < TIMES; number += 1) {
    const started = performance.now();
    const response = await fetch(base + address, { headers: sent, redirect: "manual" });
    const text = await response.text();
    times.push(performance.now() - started);
    if (response.status !== 200) throw new Error(`${address}: ${response.status} ${text.slice(0, 200)}`);
    answer = { text, calls: /(\d+) calls/.exec(response.headers.get("server-timing") ?? "")?.[1] ?? "?" };
  }
  times.sort((one, other) => one - other);
  return { ...answer, median: times[TIMES / 2].toFixed(1), largest: times[TIMES - 1].toFixed(1) };
}

console.log("| page | median, largest | its JSON alone | calls of the API | HTML |");
console.log("| --- | --- | --- | --- | --- |");
for (const address of addresses) {
  const page = await measure(address, headers);
  const twin = /<p class="twin"><a href="([^"]+)"/.exec(page.text)?.[1]?.replaceAll("&#38;", "&").replaceAll("&amp;", "&");
  const alone = twin ? await measure(twin, { "PRIVATE-TOKEN": token }) : null;
  const json = alone ? `${alone.median}, ${alone.largest} ms` : "none";
  console.log(`| \`${address}\` | ${page.median}, ${page.largest} ms | ${json} | ${page.calls} | ${(page.text.length / 1024).toFixed(1)} KB |`);
}
