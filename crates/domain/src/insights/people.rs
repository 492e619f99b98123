//! Who events name, and who of them is a bot. Everybody else is a person, whatever team they are in.

use serde_json::Value;

use super::commits::clean;
use crate::Timestamp;

/// An account, as the latest event that named it has it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct User {
    /// GitLab's number: usernames change.
    pub id: i64,
    /// When it was received.
    pub seen_at: Timestamp,
    /// Login.
    pub username: String,
    /// Shown name.
    pub name: String,
}

/// Who an event says did it.
pub(super) fn of(received_at: Timestamp, body: &Value) -> Option<User> {
    let text = |name: &str, of_push: &str| {
        let text = body["user"][name].as_str().or_else(|| body[of_push].as_str()).unwrap_or_default();
        clean(text, 512)
    };
    let id = body["user"]["id"].as_i64().or_else(|| body["user_id"].as_i64()).filter(|id| *id > 0)?;
    let (username, name) = (text("username", "user_username"), text("name", "user_name"));
    (!username.is_empty()).then_some(User { id, seen_at: received_at, username, name })
}

/// Accounts that GitLab and the usual services make.
const KNOWN: [&str; 7] =
    ["ghost", "support-bot", "alert-bot", "gitlab-security-bot", "renovate", "renovate-bot", "dependabot"];

/// Whether a username is that of a bot: GitLab's own for access tokens (`project_7_bot_3f…`, `group_7_bot`, and `project7_bot`
/// of before), what ends in `[bot]`, and the usual ones.
#[must_use]
pub fn is_bot(username: &str) -> bool {
    let name = username.to_ascii_lowercase();
    KNOWN.contains(&name.as_str()) || name.ends_with("[bot]") || is_token_bot(&name)
}

fn is_token_bot(name: &str) -> bool {
    let rest = name.strip_prefix("project").or_else(|| name.strip_prefix("group"));
    let rest = rest.map(|rest| rest.strip_prefix('_').unwrap_or(rest));
    let Some((number, rest)) = rest.and_then(|rest| rest.split_once("_bot")) else { return false };
    let is_number = !number.is_empty() && number.bytes().all(|c| c.is_ascii_digit());
    let is_suffix =
        rest.is_empty() || rest.strip_prefix('_').is_some_and(|hex| hex.bytes().all(|c| c.is_ascii_hexdigit()));
    is_number && is_suffix
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bots_are_known_by_their_names() {
        for bot in [
            "project_12_bot",
            "project_12_bot_4ffca233d8298ea1",
            "group_7_bot_0a",
            "project12_bot",
            "renovate[bot]",
            "Dependabot",
            "ghost",
            "alert-bot",
        ] {
            assert!(is_bot(bot), "{bot}");
        }
        for person in ["ida", "project_manager", "abbott", "project_12_bottle", "project__bot", "robot", "group_bot"] {
            assert!(!is_bot(person), "{person}");
        }
    }
}
