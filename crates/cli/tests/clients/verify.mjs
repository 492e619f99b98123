// A receiver that accepts only valid signatures, checked with the libraries that receivers use.
//
// Usage: node verify.mjs, in a folder where standardwebhooks and @octokit/webhooks-methods are installed. It prints its
// port. SECRETS is a JSON list of signing tokens; number N is checked under /standard/N. TOKEN is checked under /hub.

import http from "node:http";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

const require = createRequire(path.join(process.cwd(), "here.js"));
const load = (name) => import(pathToFileURL(path.join(process.cwd(), "node_modules", name)));
const { Webhook } = require("standardwebhooks");
const { verify } = await load("@octokit/webhooks-methods/dist-node/index.js");
const known = JSON.parse(process.env.SECRETS).map((secret) => new Webhook(secret));

const check = async (url, headers, body) => {
  const standard = url.match(/^\/standard\/(\d)$/);
  if (standard) {
    known[Number(standard[1])].verify(body, headers);
    return true;
  }
  return verify(process.env.TOKEN, body, headers["x-hub-signature-256"]);
};

const server = http.createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", async () => {
    const body = Buffer.concat(parts).toString();
    const valid = await check(request.url, request.headers, body).catch(() => false);
    response.statusCode = valid ? 200 : 401;
    response.end(valid ? "signed" : "wrong signature");
  });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
