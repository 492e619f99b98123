//! Users, tokens and members in PostgreSQL. The rows that several of them read are here.

mod identities;
mod members;
mod passwords;
mod portals;
mod tokens;
mod users;

use quickdraw_domain::Timestamp;
use quickdraw_domain::scope::Scope;
use tokio_postgres::Row;

use crate::access::User;
use crate::columns;

const USER: &str = "u.id, u.username, u.name, u.email, u.is_admin, u.created_at, u.project_id, u.group_id,
    u.blocked";

pub(super) fn bot_of(project: Option<i64>, group: Option<i64>) -> Option<Scope> {
    Some(columns::scope(project, group)).filter(|scope| *scope != Scope::Instance)
}

fn user(row: &Row) -> User {
    User {
        id: row.get("id"),
        username: row.get("username"),
        name: row.get("name"),
        email: row.get("email"),
        is_admin: row.get("is_admin"),
        created_at: Timestamp::from_micros(row.get("created_at")),
        bot_of: bot_of(row.get("project_id"), row.get("group_id")),
        blocked: row.get("blocked"),
    }
}
