// The table of all pages. Every route of the web interface is in it; `every_route_is_in_the_table` compares them.
//
// A row has
//   route   the route as `ui.rs` writes it
//   at      addresses of the page by level, or one address; `{hook}` and others are names of `world.mjs`
//   seen    the roles that see the page; all other roles get 403 or 404, and strangers are asked to sign in
//   title   the beginning of the title, and of the heading unless `heading` is given
//   shows   the words of hostile texts that the page must show as text
//   open    true if strangers see the page; people who are signed in are led away, unless they are in `seen`

const PROJECT = ["admin", "owner", "maintainer"];
const GROUP = ["admin", "owner"];
const ADMIN = ["admin"];
const EVERYBODY = ["admin", "owner", "maintainer", "developer", "reporter", "guest", "outsider"];

/** The rows of a page that projects, groups and the instance have. */
const places = (route, page, title, more = {}) => {
  const { shows = [], levels = ["project", "group", "instance"], only, ...rest } = more;
  const rows = {
    project: { at: `/gear/rope/-/${page}`, seen: PROJECT, shows },
    group: { at: `/groups/gear/-/${page}`, seen: GROUP, shows: [] },
    instance: { at: `/admin/${page}`, seen: ADMIN, shows: [] },
  };
  const hooks = { project: "{hook}", group: "{groupHook}", instance: "{systemHook}" };
  return levels.map((level) => {
    const row = rows[level];
    return { route: `/{level}/{path}/${route}`, title, ...row, at: row.at.replace("{hook}", hooks[level]), ...rest, ...only?.[level] };
  });
};

export const PAGES = [
  { route: "/", at: "/", seen: EVERYBODY, title: "", shows: [] },
  { route: "/-/components", at: "/-/components", seen: EVERYBODY, open: true, title: "Components", shows: [] },
  { route: "/-/sign_in", at: "/-/sign_in", seen: [], open: true, title: "Sign in", shows: [] },
  ...places("hooks", "hooks", "Webhooks", { shows: ["hook", "description", "failing", "filtered", "url"] }),
  ...places("hooks/new", "hooks/new", "Add webhook"),
  ...places("hooks/{hook_id}/edit", "hooks/{hook}/edit", "Edit webhook", { shows: [] }),
];

/** Routes without a page of their own, and the reason. */
export const NO_PAGES = {
  "/-/sign_out": "a form that every page has",
  "/-/assets/{name}": "the style sheet and the script",
};

/** Roles in the order of their rights. */
export const ROLES = EVERYBODY;

/** The address of a row in a world. */
export const address = (row, names) => row.at.replace(/\{(\w+)\}/g, (_, name) => {
  if (!(name in names)) throw new Error(`${row.at}: the world has no ${name}`);
  return encodeURIComponent(names[name]);
});
