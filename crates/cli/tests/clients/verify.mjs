// A receiver that believes nothing but signatures, checked by the libraries that receivers use.
//
// Usage: node verify.mjs, in a folder where standardwebhooks and @octokit/webhooks-methods are installed. Prints its port.
// SECRETS, a JSON list, are the signing tokens it knows, each answering under /standard/<number>; /hub checks TOKEN.

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
    response.end(valid ? "signed" : "not signed by whom it should");
  });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
