// The table of all pages. Every route of the web interface is in it; `every_route_is_in_the_table` compares them. Rows
// whose route is not in this version are left out.
//
// A row has
//   route   the route as `ui.rs` writes it
//   at      addresses of the page by level, or one address; `{hook}` and others are names of `world.mjs`
//   seen    the roles that see the page; all other roles get 403 or 404, and strangers are asked to sign in. The role
//           `portal` opened a portal link of the project
//   title   the beginning of the title, and of the heading unless `heading` is given
//   shows   the words of hostile texts that the page must show as text
//   open    true if strangers see the page; people who are signed in are led away, unless they are in `seen`

import { readFileSync, readdirSync, statSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { RELAY_NO_PAGES, relayRows } from "./pages_relay.mjs";
import * as ofSources from "./pages_sources.mjs";
import { ADMIN_NO_PAGES, ADMIN_ROWS } from "./pages_admin.mjs";

const UI = fileURLToPath(new URL("../../../server/src/ui", import.meta.url));

/** The sources below a folder. */
const sources = (folder) => readdirSync(folder).flatMap((name) => {
  const file = path.join(folder, name);
  return statSync(file).isDirectory() ? sources(file) : [file];
});

/** All routes of the web interface, as the sources write them. */
export const ROUTES = [`${UI}.rs`, ...sources(UI)]
  .flatMap((file) => [...readFileSync(file, "utf8").matchAll(/\.route\(\s*"([^"]+)"/g)])
  .map(([, route]) => route);

const PROJECT = ["admin", "owner", "maintainer"];
const MEMBERS = [...PROJECT, "developer", "reporter", "guest"];
const GROUP = ["admin", "owner"];
const ADMIN = ["admin"];
const EVERYBODY = ["admin", "owner", "maintainer", "developer", "reporter", "guest", "outsider"];

/** The rows of a page that projects, groups and the instance have. */
const places = (route, page, title, more = {}) => {
  const { shows = [], levels = ["project", "group", "instance"], portal = false, project = PROJECT, ...rest } = more;
  const rows = {
    project: { at: `/gear/rope/-/${page}`, seen: portal ? [...project, "portal"] : project, shows },
    group: { at: `/groups/gear/-/${page}`, seen: GROUP, shows: [] },
    instance: { at: `/admin/${page}`, seen: ADMIN, shows: [] },
  };
  const hooks = { project: "{hook}", group: "{groupHook}", instance: "{systemHook}" };
  return levels.map((level) => {
    const row = rows[level];
    return { route: `/{level}/{path}/${route}`, title, ...row, at: row.at.replace("{hook}", hooks[level]), ...rest };
  });
};

export const ROWS = [
  ...ofSources.ROWS,
  { route: "/", at: "/", seen: EVERYBODY, title: "", shows: [] },
  { route: "/-/components", at: "/-/components", seen: [...EVERYBODY, "portal"], open: true, title: "Components", shows: [] },
  { route: "/-/setup/{secret}", at: "/-/setup/{setup}", seen: [...EVERYBODY, "portal"], open: true, title: "Set up", shows: [] },
  { route: "/-/start", at: "/-/start", seen: EVERYBODY, title: "First steps", shows: [] },
  { route: "/-/profile", at: "/-/profile", seen: EVERYBODY, title: "Profile", shows: [] },
  { route: "/-/profile/password", at: "/-/profile/password", seen: EVERYBODY, title: "Password", shows: [] },
  { route: "/-/profile/sessions", at: "/-/profile/sessions", seen: EVERYBODY, title: "Sessions", shows: [] },
  { route: "/-/profile/tokens", at: "/-/profile/tokens", seen: EVERYBODY, title: "Access tokens", shows: ["token-name"] },
  { route: "/-/sign_in", at: "/-/sign_in", seen: ["portal"], open: true, title: "Sign in", shows: [] },
  ...places("hooks", "hooks", "Webhooks", { portal: true, shows: ["hook", "description", "failing", "filtered", "url"] }),
  ...places("hooks/new", "hooks/new", "Add webhook", { portal: true }),
  ...places("hooks/{hook_id}/edit", "hooks/{hook}/edit", "Edit webhook", { portal: true }),
  ...places("hooks/{hook_id}", "hooks/{hook}", "hostile-", { portal: true, shows: ["hook", "description"] }),
  ...places("hooks/{hook_id}/delete", "hooks/{hook}/delete", "Delete webhook", { levels: ["project"], portal: true, shows: ["hook"] }),
  ...places("hooks/{hook_id}/events/{event_id}", "hooks/{hook}/events/{attempt}", "", {
    levels: ["project"], portal: true, shows: ["response-body", "response-header"],
  }),
  ...places("events", "events", "Events", { portal: true }),
  ...places("events/{event_id}", "events/{event}", "", { levels: ["project"], portal: true, shows: ["branch", "person", "commit"] }),
  ...places("report", "report", "Report"),
  ...places("deliveries", "deliveries", "Deliveries", { portal: true }),
  ...places("deliveries/{delivery_id}", "deliveries/{delivery}", "", { levels: ["project"], portal: true }),
  ...places("replays", "replays", "Replays"),
  ...places("replays/new", "replays/new", "New replay"),
  ...places("replays/{replay_id}", "replays/{replay}", "Replay", { levels: ["project"], project: ADMIN }),
  ...places("notifications", "notifications", "Notifications"),
  ...places("notifications/new", "notifications/new", ""),
  ...places("notifications/{notification}", "notifications/{notification}", "", { levels: ["project"] }),
  ...places("notifications/{notification}/delete", "notifications/{notification}/delete", "Delete", { levels: ["project"] }),
  ...places("start", "start", "Overview", { levels: ["project"], project: MEMBERS }),
  ...places("projects", "projects", "Subgroups and projects", { levels: ["group"] }),
  ...places("overview", "overview", "Overview", { project: MEMBERS }),
  ...places("members", "members", "Members", { levels: ["project", "group"], project: MEMBERS, shows: ["user-maintainer"] }),
  ...places("members/{user_id}", "members/{member}", "Change member", { levels: ["project"] }),
  ...places("access_tokens", "access_tokens", "Access tokens", { levels: ["project", "group"], shows: ["project-token"] }),
  ...places("settings", "settings", "Settings", { levels: ["project", "group"], shows: ["project"] }),
  ...relayRows(places),
  ...ADMIN_ROWS,
  { route: "/-/search", at: "/-/search?q=hostile", seen: EVERYBODY, title: "Search", shows: [] },
  { route: "/-/groups/new", at: "/-/groups/new", seen: ADMIN, title: "New group", shows: [] },
  { route: "/-/projects/new", at: "/-/projects/new", seen: ADMIN, title: "New project", shows: [] },
  { route: "/-/catalog", at: "/-/catalog", seen: [...EVERYBODY, "portal"], title: "", shows: [] },
  { route: "/-/catalog/{name}", at: "/-/catalog/push_hooks", seen: [...EVERYBODY, "portal"], title: "", shows: [] },
];

/** The rows whose routes are in this version. */
export const PAGES = ROWS.filter(({ route }) => ROUTES.includes(route));

/** Routes without a page of their own, and the reason. */
export const NO_PAGES = {
  ...RELAY_NO_PAGES,
  ...ofSources.NO_PAGES,
  ...ADMIN_NO_PAGES,
  "/{level}/{path}/hooks/{hook_id}/live": "the live part of the page above it",
  "/{level}/{path}/hooks/{hook_id}/test": "a form of the page above it",
  "/{level}/{path}/hooks/{hook_id}/pause": "a form of the page above it",
  "/{level}/{path}/hooks/{hook_id}/resume": "a form of the page above it",
  "/{level}/{path}/hooks/{hook_id}/events/{event_id}/resend": "a form of the page above it",
  "/{level}/{path}/access_tokens/{token_id}": "a form of the page above it",
  "/{level}/{path}/settings/archive": "a form of the page above it",
  "/{level}/{path}/settings/transfer": "a form of the page above it",
  "/{level}/{path}/settings/delete": "a form of the page above it",
  "/{level}/{path}/notifications/{notification}/test": "a form of the page above it",
  "/{level}/{path}/events/live": "the live part of the page above it",
  "/{level}/{path}/deliveries/live": "the live part of the page above it",
  "/{level}/{path}/replays/{replay_id}/live": "the live part of the page above it",
  "/-/sign_out": "a form that every page has",
  "/-/sign_in/oidc": "leads to the provider",
  "/-/sign_in/oidc/callback": "leads from the provider to the page that was wanted",
  "/-/portal/{secret}": "leads to the webhooks of the project or group",
  "/-/assets/{name}": "the style sheet and the script",
};

/** Roles in the order of their rights. */
export const ROLES = [...EVERYBODY, "portal"];

/** The address of a row in a world. */
export const address = (row, names) => row.at.replace(/\{(\w+)\}/g, (_, name) => {
  if (!(name in names)) throw new Error(`${row.at}: the world has no ${name}`);
  return encodeURIComponent(names[name]);
});
