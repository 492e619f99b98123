// An OpenID Connect provider with the certified library oidc-provider, for oidc.py. Its pages accept every login.
//
// Usage: node oidc_provider.mjs PORT REDIRECT_URI, in a folder where oidc-provider is installed.

import path from "node:path";
import { pathToFileURL } from "node:url";

const library = path.join(process.cwd(), "node_modules/oidc-provider/lib/index.js");
const { default: Provider } = await import(pathToFileURL(library));
const [port, redirect] = process.argv.slice(2);

const groups = { ida: ["climbers"], olga: ["climbers", "owners"] };
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{ client_id: "quickdraw", client_secret: "a-secret-of-the-client", redirect_uris: [redirect] }],
  claims: { openid: ["sub"], profile: ["name", "preferred_username", "groups"], email: ["email", "email_verified"] },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({
      sub: id,
      name: `${id} of the provider`,
      preferred_username: id,
      email: `${id}@climb.example`,
      email_verified: true,
      groups: groups[id] ?? [],
    }),
  }),
  pkce: { required: () => true },
  cookies: { keys: ["a key for tests"] },
});

provider.listen(Number(port), "127.0.0.1", () => console.log("ready"));
