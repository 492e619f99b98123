// The rows of the pages of the administration. `pages.mjs` explains the fields of a row.

const page = (route, at, title, shows = []) => ({
  route: `/instance/{path}/${route}`, at: `/admin/${at}`, seen: ["admin"], title, shows,
});

export const ADMIN_ROWS = [
  page("users", "users", "Users", ["user-maintainer"]),
  page("users/new", "users/new", "New user"),
  page("users/{user_id}", "users/{member}", "hostile-user-maintainer", ["user-maintainer", "token-name"]),
  page("users/{user_id}/delete", "users/{member}/delete", "Delete user?", ["user-maintainer"]),
  page("access_tokens", "access_tokens", "Access tokens", ["token-name"]),
  page("access_tokens/{token_id}", "access_tokens/{token}", "Revoke access token?", ["token-name"]),
  page("audit", "audit", "Audit log"),
  page("health", "health", "Health"),
  page("settings", "settings", "Settings"),
  page("guard", "guard", "Guard"),
  page("support_bundle", "support_bundle", "Support bundle"),
];

const FORM = "a form of the page above it";

/** Routes of the administration without a page of their own. */
export const ADMIN_NO_PAGES = {
  "/instance/{path}/users/{user_id}/block": FORM,
  "/instance/{path}/users/{user_id}/unblock": FORM,
  "/instance/{path}/users/{user_id}/tokens": FORM,
  "/instance/{path}/health/live": "the live part of the page above it",
};
