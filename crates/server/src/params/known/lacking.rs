//! GitLab's list filters that are not supported, with the values with which they exclude nothing.

/// Values with which a boolean filter excludes nothing.
const OFF: &[&str] = &["false", "f", "0", "off", "no"];
const NONE: &[&str] = &[];

/// Filters of the lists at some paths.
struct Filters {
    lists: &'static [&'static str],
    names: &'static [(&'static str, &'static [&'static str])],
}

const ALL: &[Filters] = &[
    Filters {
        lists: &["/api/v4/projects", "/api/v4/groups/{id}/projects"],
        names: &[
            ("starred", OFF),
            ("imported", OFF),
            ("topic", NONE),
            ("topic_id", NONE),
            ("last_activity_after", NONE),
            ("last_activity_before", NONE),
            ("updated_after", NONE),
            ("updated_before", NONE),
            ("marked_for_deletion_on", NONE),
            ("repository_storage", NONE),
            ("repository_checksum_failed", OFF),
            ("wiki_checksum_failed", OFF),
            ("with_issues_enabled", OFF),
            ("with_merge_requests_enabled", OFF),
            ("with_programming_language", NONE),
            ("with_security_reports", OFF),
            ("custom_attributes", NONE),
            ("cursor", NONE),
            ("page_token", NONE),
        ],
    },
    Filters {
        lists: &[
            "/api/v4/groups",
            "/api/v4/groups/{id}/subgroups",
            "/api/v4/groups/{id}/descendant_groups",
        ],
        names: &[
            ("repository_storage", NONE),
            ("marked_for_deletion_on", NONE),
            ("custom_attributes", NONE),
            ("cursor", NONE),
            ("page_token", NONE),
        ],
    },
    Filters {
        lists: &["/api/v4/users"],
        names: &[
            ("external", OFF),
            ("auditors", OFF),
            ("without_projects", OFF),
            ("two_factor", NONE),
            ("public_email", NONE),
            ("extern_uid", NONE),
            ("provider", NONE),
            ("saml_provider_id", NONE),
            ("custom_attributes", NONE),
            ("cursor", NONE),
            ("page_token", NONE),
        ],
    },
    Filters {
        lists: &[
            "/api/v4/projects/{id}/members",
            "/api/v4/projects/{id}/members/all",
            "/api/v4/groups/{id}/members",
            "/api/v4/groups/{id}/members/all",
        ],
        names: &[
            // Members never wait for a licence, so all of them are active.
            ("state", &["active"]),
            ("with_saml_identity", OFF),
            ("order_by", &["id"]),
            ("sort", &["asc"]),
        ],
    },
    Filters {
        lists: &[
            "/api/v4/namespaces",
            "/api/v4/projects/{id}/users",
            "/api/v4/projects/{id}/hooks",
            "/api/v4/groups/{id}/hooks",
            "/api/v4/hooks",
        ],
        names: &[
            ("requested_hosted_plan", NONE),
            ("order_by", &["id"]),
            ("sort", &["asc"]),
        ],
    },
    Filters {
        lists: &[
            "/api/v4/personal_access_tokens",
            "/api/v4/projects/{id}/access_tokens",
            "/api/v4/groups/{id}/access_tokens",
        ],
        names: &[("order_by", &["id"])],
    },
];

/// GitLab's parameters that change the fields of an entry, or whose filter matches everything here.
pub(super) const CHANGES_NOTHING: [&str; 14] = [
    "simple",
    "statistics",
    "license",
    "with_custom_attributes",
    "with_projects",
    "with_shared",
    "search_namespaces",
    "full_path_search",
    "include_hidden",
    "include_pending_delete",
    "skip_ldap",
    "exclude_internal",
    "exclude_external",
    "show_seat_info",
];

/// Returns the values with which an unsupported GitLab filter excludes nothing; `None` if there is no such filter.
pub(super) fn filter(pattern: &str, name: &str) -> Option<&'static [&'static str]> {
    for filters in ALL {
        if !filters.lists.contains(&pattern) {
            continue;
        }

        if let Some((_, neutral)) = filters.names.iter().find(|(known, _)| *known == name) {
            return Some(neutral);
        }
    }

    None
}
