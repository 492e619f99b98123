//! Filters of other lists that cannot apply to a list of `/api/v1`, with the reason. They are refused like unknown
//! parameters, but a list of the known parameters would not say why.

/// A list, and filters that cannot apply to it.
struct Inapplicable {
    list: &'static str,
    names: &'static [&'static str],
    reason: &'static str,
}

const ALL: [Inapplicable; 9] = [
    Inapplicable {
        list: "/api/v1/events",
        names: &["event"],
        reason: "GET /api/v1/events/{event_id} shows one event",
    },
    Inapplicable {
        list: "/api/v1/events",
        names: &["delivery"],
        reason: "GET /api/v1/deliveries/{delivery_id} names the event of a delivery",
    },
    Inapplicable {
        list: "/api/v1/deliveries",
        names: &["delivery"],
        reason: "GET /api/v1/deliveries/{delivery_id} shows one delivery",
    },
    Inapplicable {
        list: "/api/v1/skips",
        names: &["delivery", "state", "status", "class"],
        reason: "a skipped event has no delivery and no attempt",
    },
    Inapplicable {
        list: "/api/v1/replays",
        names: &[
            "source", "hook", "event", "delivery", "trigger", "path", "status", "class", "text", "object",
        ],
        reason: "replays are listed by their project or group, state and time of creation; each one shows its filter",
    },
    Inapplicable {
        list: "/api/v1/audit",
        names: &[
            "project", "group", "path", "source", "hook", "event", "delivery", "trigger", "state", "status", "class",
            "text", "object",
        ],
        reason: "an entry is about a request, and requests are listed by user and time",
    },
    Inapplicable {
        list: "/api/v1/sources/{source_id}/requests",
        names: &[
            "project", "group", "path", "source", "hook", "event", "delivery", "state", "class", "text", "object",
        ],
        reason: "a request is recorded before its project and receivers are known, and without its body",
    },
    Inapplicable {
        list: "/api/v1/insights/gaps",
        names: &[
            "group", "path", "source", "hook", "event", "delivery", "trigger", "state", "status", "class", "text",
            "object",
        ],
        reason: "events that never arrived are known by project and kind only: project=…, kind=…",
    },
    Inapplicable {
        list: "/api/v1/insights/completeness",
        names: &[
            "path", "source", "hook", "event", "delivery", "trigger", "state", "status", "class", "since", "until",
            "text", "object",
        ],
        reason: "all events since the first one are counted together, by project",
    },
];

/// Returns the reason why a filter cannot apply to a list. `None` if it is no filter of another list.
pub(super) fn reason(pattern: &str, name: &str) -> Option<&'static str> {
    let found = ALL
        .iter()
        .find(|inapplicable| inapplicable.list == pattern && inapplicable.names.contains(&name));
    found.map(|inapplicable| inapplicable.reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_filters_of_other_lists_have_a_reason() {
        assert!(reason("/api/v1/skips", "state").is_some());
        assert_eq!(reason("/api/v1/skips", "color"), None);
        assert_eq!(reason("/api/v1/deliveries", "state"), None);
    }
}
