// The rows of the pages of sources and inspectors.

const ADMIN = ["admin"];
const at = (page, title, shows = []) => ({ at: `/admin/${page}`, seen: ADMIN, title, shows });

/** The rows of a page of inspectors. Every user has inspectors; the one of the world belongs to the maintainer. */
const inspectors = (route, page, title, { seen, group = ["admin", "owner"], shows = [] }) => [
  { route: `/{level}/{path}/${route}`, at: `/gear/rope/-/${page}`, seen, title, shows },
  { route: `/{level}/{path}/${route}`, at: `/groups/gear/-/${page}`, seen: group, title, shows },
  { route: `/{level}/{path}/${route}`, ...at(page, title, shows) },
];
const MEMBERS = ["admin", "owner", "maintainer", "developer", "reporter", "guest"];
const own = (page, title, shows = []) => inspectors(
  `inspectors/{inspector_id}${page.replace("{inspected}", "{request_id}")}`, `inspectors/{inspector}${page}`, title,
  { seen: ["admin", "maintainer"], group: ADMIN, shows },
);

export const ROWS = [
  ...inspectors("inspectors", "inspectors", "Inspectors", { seen: MEMBERS }),
  ...inspectors("inspectors/new", "inspectors/new", "New inspector", { seen: MEMBERS }),
  ...own("", "hostile-inspector", ["inspector", "header"]),
  ...own("/edit", "Edit inspector", ["inspector"]),
  ...own("/delete", "Delete inspector", ["inspector"]),
  ...own("/requests/{inspected}", "", ["inspector", "query", "header", "inspected-body"]),
  { route: "/{level}/{path}/connect", ...at("connect", "Connect GitLab") },
  {
    route: "/{level}/{path}/connect",
    ...at("connect?url=https%3A%2F%2Fgitlab.example.com&places=group&path=gear", "Connect GitLab", ["source"]),
  },
  { route: "/{level}/{path}/sources", ...at("sources", "Sources", ["source"]) },
  { route: "/{level}/{path}/sources/new", ...at("sources/new", "Add source") },
  { route: "/{level}/{path}/sources/{source_id}", ...at("sources/{source}", "hostile-source", ["source"]) },
  { route: "/{level}/{path}/sources/{source_id}", ...at("sources/default?show=refused", "Default source") },
  { route: "/{level}/{path}/sources/{source_id}/edit", ...at("sources/{source}/edit", "Edit source", ["source"]) },
  { route: "/{level}/{path}/sources/{source_id}/secret", ...at("sources/{source}/secret", "Rotate secret", ["source"]) },
  { route: "/{level}/{path}/sources/{source_id}/delete", ...at("sources/{source}/delete", "Delete source", ["source"]) },
];

export const NO_PAGES = {
  "/{level}/{path}/inspectors/{inspector_id}/live": "the live part of the page above it",
  "/{level}/{path}/inspectors/{inspector_id}/clear": "a form of the page above it",
  "/{level}/{path}/connect/live": "the live part of the page above it",
  "/{level}/{path}/sources/{source_id}/live": "the live part of the page above it",
};
