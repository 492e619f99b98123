//! Recognises the names of bots: GitLab's internal accounts, access tokens, service accounts, and common services.

/// Usernames of GitLab's internal accounts and of common services that do not end in `bot`. `_` stands for every
/// separator.
const KNOWN: [&str; 13] = [
    "allcontributors",
    "codecov",
    "coderabbit",
    "coderabbitai",
    "dependabot",
    "gitguardian",
    "gitlabduo",
    "greenkeeper",
    "mergify",
    "renovate",
    "snyk",
    "sonarcloud",
    "sonarqube",
];

/// Beginnings of the usernames of GitLab's internal accounts. The name ends there, or continues after a separator.
const BEGINNINGS: [&str; 6] = [
    "duo_code_review",
    "duo_developer",
    "gitlab_duo",
    "gitlab_security_policy_project",
    "import_user",
    "service_account",
];

/// Display names of GitLab's accounts and of services, in addition to `GitLab … Bot` and `GitLab Duo …`.
const DISPLAY_NAMES: [&str; 5] = [
    "dependabot",
    "duo developer",
    "ghost user",
    "renovate bot",
    "service account user",
];

/// True for GitLab's account for alerts: `alert-bot`, or `alert-bot1` if another account had that name.
#[must_use]
pub fn is_alert_bot(username: &str) -> bool {
    let number = username.strip_prefix("alert-bot");
    number.is_some_and(|number| number.bytes().all(|digit| digit.is_ascii_digit()))
}

/// True for usernames of bots: GitLab's internal accounts, access tokens (`project_7_bot_3f…`, `group_7_bot`), service
/// accounts (`service_account_group_7_3f…`), common services, and every name that ends in `bot` after a separator.
#[must_use]
pub fn is_bot(username: &str) -> bool {
    let name = username.trim().to_ascii_lowercase();
    if name.ends_with("[bot]") {
        return true;
    }

    let name = name.replace(['-', '.'], "_");
    // GitLab appends a number if the name is taken, as in `support-bot1`.
    let unnumbered = name.trim_end_matches(|c: char| c.is_ascii_digit());
    if KNOWN.contains(&unnumbered) || matches!(name.as_str(), "ghost" | "ghost1") {
        return true;
    }

    if unnumbered.strip_suffix("_bot").is_some_and(|before| !before.is_empty()) {
        return true;
    }

    let goes_on = |rest: &str| rest.is_empty() || rest.starts_with('_');
    let begins = BEGINNINGS
        .iter()
        .any(|beginning| name.strip_prefix(beginning).is_some_and(goes_on));
    begins || is_token_bot(&name)
}

/// True for display names of GitLab's internal accounts and of common services. `Bot` alone can be a surname.
#[must_use]
pub fn is_bot_name(name: &str) -> bool {
    let name = name.trim().to_lowercase();
    let is_gitlabs = name.starts_with("gitlab duo") || (name.starts_with("gitlab ") && name.ends_with(" bot"));
    is_gitlabs || name.ends_with("[bot]") || DISPLAY_NAMES.contains(&name.as_str())
}

/// True for names of access tokens: `project_7_bot_3f…`, and `project7_bot` of older versions.
fn is_token_bot(name: &str) -> bool {
    let rest = name.strip_prefix("project").or_else(|| name.strip_prefix("group"));
    let rest = rest.map(|rest| rest.strip_prefix('_').unwrap_or(rest));
    let Some((number, rest)) = rest.and_then(|rest| rest.split_once("_bot")) else {
        return false;
    };
    let is_number = !number.is_empty() && number.bytes().all(|c| c.is_ascii_digit());

    let is_suffix = rest.is_empty()
        || rest
            .strip_prefix('_')
            .is_some_and(|hex| hex.bytes().all(|c| c.is_ascii_hexdigit()));
    is_number && is_suffix
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gitlabs_internal_accounts_and_common_services_are_bots() {
        for bot in [
            "GitLabDuo",
            "duo-developer-gitlab-org",
            "gitlab-duo-code-reviewer",
            "GitLab-Automation-Bot",
            "GitLab-Llm-Bot",
            "GitLab-Admin-Bot",
            "GitLab-Security-Bot",
            "migration-bot",
            "visual-review-bot",
            "suggested-reviewers-bot",
            "automation-bot",
            "gitlab-security-policy-project-15-bot",
            "gitlab_security_policy_project_15_bot_4f",
            "service_account_group_9_abcdef0123",
            "service_account_abcdef0123",
            "project_15_bot1",
            "project_12_bot",
            "project_12_bot_4ffca233d8298ea1",
            "group_7_bot_0a",
            "project12_bot",
            "gitlab-bot",
            "ci-bot",
            "my-bot",
            "coderabbitai",
            "sonarqube",
            "renovate[bot]",
            "renovate-bot",
            "Dependabot",
            "ghost",
            "support-bot1",
            "alert-bot",
        ] {
            assert!(is_bot(bot), "{bot}");
        }

        for person in [
            "ida",
            "project_manager",
            "abbott",
            "project_12_bottle",
            "robot",
            "alert-botanist",
            "service_accountant",
            "ghostwriter",
            "bot",
        ] {
            assert!(!is_bot(person), "{person}");
        }
    }

    #[test]
    fn display_names_of_gitlabs_own_accounts_are_known() {
        for bot in [
            "GitLab Duo",
            "GitLab Security Bot",
            "Gitlab Visual Review Bot",
            "Ghost User",
            "renovate[bot]",
        ] {
            assert!(is_bot_name(bot), "{bot}");
        }

        for person in ["Ida Bot", "GitLab Fan", "Duo", "Ghost"] {
            assert!(!is_bot_name(person), "{person}");
        }
    }
}
