//! Entries of the audit log as sentences. An entry has the method and the path of a request; the sentence says what the
//! request does, and to which object.

use percent_encoding::percent_decode_str;

use super::names::{Kind, Names, Wanted};

/// A verb: as in "tried to delete", and as in "deleted".
type Verb = (&'static str, &'static str);

/// Paths whose requests have a sentence of their own: method, path after the version, verb, and object.
const WHOLE: [(&str, &str, Verb, &str); 26] = [
    ("POST", "/-/sign_in", ("sign in", "signed in"), ""),
    (
        "POST",
        "/-/sign_in/oidc",
        ("sign in", "signed in"),
        "at the OpenID Connect provider",
    ),
    ("POST", "/-/sign_out", ("sign out", "signed out"), ""),
    ("POST", "/-/setup", ("use", "used"), "the set-up link"),
    ("PUT", "user/password", ("change", "changed"), "their own password"),
    ("DELETE", "user/sessions", ("sign out", "signed out"), "everywhere else"),
    (
        "PUT",
        "application/settings",
        ("change", "changed"),
        "the application settings",
    ),
    ("POST", "guard/test", ("test", "tested"), "the guard with a URL"),
    ("POST", "event_filters/dry_run", ("try", "tried"), "an event filter"),
    ("POST", "insights/rebuild", ("rebuild", "rebuilt"), "insights"),
    ("POST", "insights/backfill", ("add", "added"), "history to insights"),
    (
        "POST",
        "insights/set_aside/retry",
        ("count", "counted"),
        "set-aside events again",
    ),
    ("POST", "insights/identities/csv", ("import", "imported"), "a roster"),
    (
        "POST",
        "insights/identities/mailmap",
        ("import", "imported"),
        "a mailmap",
    ),
    (
        "POST",
        "insights/identities/erase",
        ("erase", "erased"),
        "a person from insights",
    ),
    (
        "POST",
        "insights/identities/undo",
        ("undo", "undid"),
        "a change of identities",
    ),
    ("PUT", "insights/identities/marks", ("mark", "marked"), "identities"),
    (
        "PUT",
        "insights/privacy",
        ("change", "changed"),
        "the privacy settings of insights",
    ),
    (
        "PUT",
        "insights/privacy/kept",
        ("change", "changed"),
        "how long insights are kept",
    ),
    ("POST", "insights/alerts/try", ("try", "tried"), "an alert rule"),
    (
        "POST",
        "insights/alerts/look",
        ("evaluate", "evaluated"),
        "the alert rules",
    ),
    ("GET", "events", ("read", "read"), "bodies of events"),
    ("GET", "deliveries", ("read", "read"), "deliveries"),
    ("GET", "audit", ("read", "read"), "the audit log"),
    ("GET", "status", ("read", "read"), "the state of the server"),
    (
        "GET",
        "support_bundle",
        ("download", "downloaded"),
        "the support bundle",
    ),
];

/// Collections in paths, with the words for one object of them.
const NOUNS: [(&str, &str); 25] = [
    ("projects", "project"),
    ("groups", "group"),
    ("hooks", "webhook"),
    ("users", "user"),
    ("members", "member"),
    ("personal_access_tokens", "access token"),
    ("access_tokens", "access token"),
    ("keys", "SSH key"),
    ("sessions", "session"),
    ("sources", "source"),
    ("secret", "secret"),
    ("notifications", "notification rule"),
    ("replays", "replay"),
    ("portal_sessions", "portal link"),
    ("setup_links", "set-up link"),
    ("inspectors", "inspector"),
    ("requests", "request"),
    ("alerts", "alert rule"),
    ("teams", "team"),
    ("events", "event"),
    ("deliveries", "delivery"),
    ("attempts", "attempt"),
    ("custom_headers", "custom header"),
    ("url_variables", "URL variable"),
    ("audit", "audit entry"),
];

/// Last parts of paths that are actions.
const ACTIONS: [(&str, Verb); 14] = [
    ("test", ("test", "tested")),
    ("resend", ("resend", "resent")),
    ("pause", ("pause", "paused")),
    ("resume", ("resume", "resumed")),
    ("cancel", ("cancel", "cancelled")),
    ("block", ("block", "blocked")),
    ("unblock", ("unblock", "unblocked")),
    ("rotate", ("rotate", "rotated")),
    ("archive", ("archive", "archived")),
    ("unarchive", ("unarchive", "unarchived")),
    ("transfer", ("transfer", "transferred")),
    ("merge", ("merge", "merged")),
    ("show", ("see", "saw")),
    ("retry", ("retry", "retried")),
];

/// A step of a path: a collection, and an object of it.
struct Step<'a> {
    noun: &'static str,
    kind: Option<Kind>,
    id: Option<&'a str>,
}

impl Step<'_> {
    fn number(&self) -> Option<(Kind, i64)> {
        Some((self.kind?, self.id?.parse().ok()?))
    }

    /// The object with its name, or with its id if no name is known.
    fn named(&self, names: &Names) -> String {
        let Some(id) = self.id else {
            return match self.noun.strip_suffix('y') {
                Some(stem) if self.noun != "SSH key" => format!("the {stem}ies"),
                _ => format!("the {}s", self.noun),
            };
        };

        let name = self.number().and_then(|(kind, id)| names.of(kind, id));
        let text = percent_decode_str(id).decode_utf8_lossy();
        match name {
            Some(name) if self.kind == Some(Kind::Hook) => format!("the webhook “{name}”"),
            Some(name) => format!("the {} {name}", self.noun),
            None => format!("the {} {text}", self.noun),
        }
    }
}

/// A request of the log, taken apart.
pub(super) struct Action<'a> {
    verb: Verb,
    steps: Vec<Step<'a>>,

    /// The object in words, if the path has a sentence of its own or cannot be taken apart.
    whole: Option<String>,
}

impl<'a> Action<'a> {
    /// Reads a method and a path.
    pub(super) fn read(method: &str, path: &'a str) -> Self {
        if method == "MOVE" {
            let whole = path.replace(" -> ", " to ").replacen(": ", " from ", 1);
            return Self::whole(("move", "moved"), format!("the {whole}"));
        }

        let inner = path.strip_prefix("/api/v4/").or_else(|| path.strip_prefix("/api/v1/"));
        let inner = inner.unwrap_or(path);
        for (known, whole, verb, object) in WHOLE {
            if (known, whole) == (method, inner) {
                return Self::whole(verb, object.to_owned());
            }
        }

        let unknown = || Self::whole(("send", "sent"), format!("a {method} request to {path}"));
        let mut steps: Vec<Step<'a>> = Vec::new();
        let mut action = None;
        for part in inner.split('/').filter(|part| !part.is_empty()) {
            if let Some((_, verb)) = ACTIONS.iter().find(|(known, _)| *known == part) {
                action = Some(*verb);
                break;
            }

            let is_new_id = steps
                .last()
                .is_some_and(|step| step.id.is_none() && step.noun != "secret");
            match NOUNS.iter().find(|(known, _)| *known == part) {
                Some((_, noun)) => steps.push(step(noun, steps.last())),
                // The own user, and insights, are no collections.
                None if matches!(part, "user" | "insights") && steps.is_empty() => {}
                None if is_new_id => {
                    if let Some(step) = steps.last_mut() {
                        step.id = Some(part);
                    }
                }
                None => return unknown(),
            }
        }

        let Some(last) = steps.last() else { return unknown() };
        let verb = action.unwrap_or(match (method, last.id, last.noun) {
            ("POST", None, "member") => ("add", "added"),
            ("POST", None, "secret") => ("replace", "replaced"),
            ("POST", None, "event") => ("report", "reported"),
            ("POST", None, _) => ("create", "created"),
            ("PUT" | "PATCH" | "POST", ..) => ("change", "changed"),
            ("DELETE", _, "access token") => ("revoke", "revoked"),
            ("DELETE", _, "member") => ("remove", "removed"),
            ("DELETE", _, "session") => ("end", "ended"),
            ("DELETE", ..) => ("delete", "deleted"),
            _ => ("read", "read"),
        });

        Self {
            verb,
            steps,
            whole: None,
        }
    }

    const fn whole(verb: Verb, whole: String) -> Self {
        Self {
            verb,
            steps: Vec::new(),
            whole: Some(whole),
        }
    }

    /// Notes the ids whose names the sentence needs.
    pub(super) fn wanted(&self, wanted: &mut Wanted) {
        for (kind, id) in self.steps.iter().filter_map(Step::number) {
            wanted.add(kind, id);
        }
    }

    /// The sentence without its subject: "deleted the webhook “CI” of the project gear/rope".
    pub(super) fn sentence(&self, names: &Names, is_done: bool) -> String {
        let (base, past) = self.verb;
        let verb = if is_done {
            past.to_owned()
        } else {
            format!("tried to {base}")
        };
        if let Some(whole) = &self.whole {
            return format!("{verb} {whole}").trim_end().to_owned();
        }

        let mut text = verb;
        for (index, step) in self.steps.iter().rev().enumerate() {
            let is_new = index == 0 && matches!(base, "create" | "add" | "report");
            text.push_str(if index == 0 { " " } else { " of " });
            match (is_new, step.id, step.noun) {
                (true, ..) => text.push_str(&with_article(step.noun)),
                (false, None, "secret") => text.push_str("the secret"),
                _ => text.push_str(&step.named(names)),
            }
        }

        text
    }
}

fn step<'a>(noun: &'static str, before: Option<&Step<'_>>) -> Step<'a> {
    // GitLab calls the requests of a webhook events.
    let is_of_hook = before.is_some_and(|step| step.noun == "webhook");
    let noun = if is_of_hook && noun == "event" { "request" } else { noun };
    let kind = match noun {
        "project" => Some(Kind::Project),
        "group" => Some(Kind::Group),
        "webhook" => Some(Kind::Hook),
        // The ids of members are those of their users, except in insights.
        "user" => Some(Kind::User),
        "member" if before.is_some_and(|step| matches!(step.noun, "project" | "group")) => Some(Kind::User),
        _ => None,
    };
    Step { noun, kind, id: None }
}

fn with_article(noun: &str) -> String {
    let article = if noun.starts_with(['a', 'e', 'i', 'o', 'S']) {
        "an"
    } else {
        "a"
    };
    format!("{article} {noun}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &str, path: &str, expected: &str) {
        let names = Names::with(&[
            (Kind::Project, 3, "gear/rope"),
            (Kind::Group, 2, "gear"),
            (Kind::Hook, 7, "CI"),
            (Kind::User, 5, "ida"),
        ]);
        assert_eq!(Action::read(method, path).sentence(&names, true), expected, "{path}");
    }

    #[test]
    fn requests_become_sentences() {
        check(
            "POST",
            "/api/v4/projects/3/hooks",
            "created a webhook of the project gear/rope",
        );
        check("DELETE", "/api/v4/hooks/7", "deleted the webhook “CI”");
        check(
            "POST",
            "/api/v4/projects/gear%2Frope/hooks/7/test/push_hooks",
            "tested the webhook “CI” of the project gear/rope",
        );
        check(
            "POST",
            "/api/v4/groups/2/hooks/7/events/9/resend",
            "resent the request 9 of the webhook “CI” of the group gear",
        );
        check(
            "PUT",
            "/api/v4/projects/3/hooks/7/custom_headers/X-Team",
            "changed the custom header X-Team of the webhook “CI” of the project gear/rope",
        );
        check("POST", "/api/v4/groups/2/members", "added a member of the group gear");
        check(
            "DELETE",
            "/api/v4/groups/2/members/5",
            "removed the member ida of the group gear",
        );
        check("POST", "/api/v4/users/5/block", "blocked the user ida");
        check("POST", "/api/v4/users/5/keys", "created an SSH key of the user ida");
        check(
            "DELETE",
            "/api/v4/personal_access_tokens/8",
            "revoked the access token 8",
        );
        check(
            "POST",
            "/api/v1/sources/4/secret",
            "replaced the secret of the source 4",
        );
        check(
            "POST",
            "/api/v1/sources/4/secret/show",
            "saw the secret of the source 4",
        );
        check(
            "PUT",
            "/api/v4/application/settings",
            "changed the application settings",
        );
        check("PUT", "/api/v1/insights/members/5", "changed the member 5");
        check("POST", "/-/sign_in", "signed in");
        check("GET", "/api/v1/events", "read bodies of events");
        check("GET", "/api/v4/users", "read the users");
        check(
            "GET",
            "/api/v1/deliveries/01a2/attempts",
            "read the attempts of the delivery 01a2",
        );
        check("GET", "/api/v4/users/5/keys", "read the SSH keys of the user ida");
        check("GET", "/api/v1/insights/alerts", "read the alert rules");
    }

    #[test]
    fn a_move_names_both_paths() {
        check(
            "MOVE",
            "project 1: gear/rope -> ropes/rope",
            "moved the project 1 from gear/rope to ropes/rope",
        );
    }

    #[test]
    fn unknown_requests_are_shown_as_they_are() {
        check("POST", "/api/v1/nothing/x", "sent a POST request to /api/v1/nothing/x");
        check("POST", "/", "sent a POST request to /");
    }

    #[test]
    fn a_refused_request_was_only_tried() {
        let action = Action::read("DELETE", "/api/v4/projects/3");
        let text = action.sentence(&Names::with(&[(Kind::Project, 3, "gear/rope")]), false);
        assert_eq!(text, "tried to delete the project gear/rope");
    }
}
