//! The form of a user, for new users and for changes.

use serde_json::{Value, json};

use super::users::User;
use crate::ui::client::Refusal;
use crate::ui::form::{Fields, Form};

/// Fields of the form that are never sent back to the browser.
pub(super) const SECRETS: [&str; 1] = ["password"];

/// The form of a user.
pub(super) fn filled(user: &User) -> Form {
    let mut form = Form::default();
    form.set("name", &user.name);
    form.set("username", &user.username);
    form.set("email", user.email.as_deref().unwrap_or_default());
    form.set("admin", user.is_admin.to_string());
    form
}

/// The attributes that the API takes. None if a field that every user needs is empty.
pub(super) fn body(fields: &Fields, form: &mut Form) -> Option<Value> {
    for (name, text) in [
        ("name", "Enter the name that pages show"),
        ("username", "Enter the name with which the user signs in"),
    ] {
        if fields.filled(name).is_none() {
            form.wrong(name, text);
        }
    }

    // A box without a tick is not sent.
    if !fields.has("admin") {
        form.set("admin", "false");
    }

    if form.is_refused() {
        return None;
    }

    let mut body = json!({
        "name": fields.text("name").trim(),
        "username": fields.text("username").trim(),
    });
    if let Some(email) = fields.filled("email") {
        body["email"] = json!(email);
    }

    // A password can begin and end with blanks.
    let password = fields.text("password");
    if !password.is_empty() {
        body["password"] = json!(password);
    }

    if fields.has("admin") {
        body["admin"] = json!(true);
    }

    Some(body)
}

/// Shows a refusal in the form. GitLab's refusals are sentences that begin with the field: "Username has already been
/// taken".
pub(super) fn refuse(form: &mut Form, refusal: &Refusal) {
    let first = refusal.text.split(' ').next().unwrap_or_default().to_lowercase();
    let field = ["name", "username", "email", "password"]
        .into_iter()
        .find(|name| *name == first);
    match field {
        Some(name) if refusal.fields.is_empty() => form.wrong(name, refusal.text.as_str()),
        _ => form.refuse(refusal),
    }
}

/// The attributes that change a user. `may_lose_admin` is false if the form has no box for the role.
pub(super) fn changes(fields: &Fields, form: &mut Form, may_lose_admin: bool) -> Option<Value> {
    let mut body = body(fields, form)?;
    body["email"] = json!(fields.text("email").trim());
    if may_lose_admin {
        body["admin"] = json!(fields.has("admin"));
    }

    Some(body)
}
