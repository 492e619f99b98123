//! The requests that an inspector keeps, as its page shows them, and the checks of their credentials in words.

use askama::Template;
use askama::filters::HtmlSafe;
use serde::Deserialize;

use crate::ui::client::{Api, Items, Refusal};
use crate::ui::parts::{Badge, Time};

/// Number of requests on a page.
const ROWS: usize = 25;
/// Number of characters of a header that a row shows.
const MAX_CHARACTERS: usize = 60;

/// A request, as the API shows it.
#[derive(Deserialize)]
pub(super) struct Request {
    id: String,
    pub(super) at: String,
    pub(super) address: String,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) event: Option<String>,
    pub(super) bytes: u64,
    pub(super) note: Option<String>,
    token: String,
    signature: String,
    hub_signature: String,
    pub(super) status: u16,
}

impl Request {
    /// The kind of event, or the method of a request that names none.
    pub(super) fn title(&self) -> String {
        let title = self.event.as_ref().map_or(&self.method, |event| event);
        title.chars().take(MAX_CHARACTERS).collect()
    }

    /// The three checks with the name of the credential.
    pub(super) fn checks(&self) -> [(&'static str, Badge); 3] {
        [
            ("Secret token", check(&self.token)),
            ("Signature (webhook-signature)", check(&self.signature)),
            (
                "Signature of the body (X-Hub-Signature-256)",
                check(&self.hub_signature),
            ),
        ]
    }

    /// The three checks in one badge: the worst that was found.
    fn credentials(&self) -> Badge {
        let checks = [
            ("secret token", &self.token),
            ("signature", &self.signature),
            ("signature of the body", &self.hub_signature),
        ];
        for (name, found) in checks {
            match found.as_str() {
                "wrong" => return Badge::bad(format!("Wrong {name}")),
                "wrong_time" => return Badge::bad("Wrong time of the signature"),
                _ => {}
            }
        }

        let right: Vec<&str> = checks
            .iter()
            .filter(|(_, found)| *found == "ok")
            .map(|(name, _)| *name)
            .collect();
        if !right.is_empty() {
            return Badge::good(format!("Right {}", right.join(", ")));
        }

        match self.token == "not_checked" && self.signature == "not_checked" {
            true => Badge::plain("Not checked").because("The inspector has no secret to compare with."),
            false => {
                Badge::warning("No credential").because("The request has no credential that the inspector checks.")
            }
        }
    }
}

/// The result of a check in words.
fn check(found: &str) -> Badge {
    match found {
        "ok" => Badge::good("Right"),
        "wrong" => Badge::bad("Wrong").because("It does not fit the secret of the inspector."),
        "wrong_time" => Badge::bad("Wrong time").because(
            "The time of the signature is missing or more than five minutes from the time of this server, or \
             webhook-id is missing.",
        ),
        "missing" => Badge::warning("Missing").because("The request does not have it."),
        _ => Badge::plain("Not checked").because("The inspector has no secret to compare with."),
    }
}

/// A row of the table.
struct Row {
    href: String,
    title: String,
    method: String,
    credentials: Badge,
    address: String,
    bytes: u64,
    status: u16,
    at: Time,
}

/// The part of the page that changes while requests arrive.
#[derive(Template)]
#[template(path = "ui/inspectors/requests.html")]
pub(super) struct Kept {
    rows: Vec<Row>,
}

impl HtmlSafe for Kept {}

/// The requests that a page asks for.
#[derive(Clone)]
pub(super) struct Asked {
    pub(super) api: Api,

    /// The address of the inspector in the API, and of its page.
    pub(super) address: String,
    pub(super) page: String,
    pub(super) before: Option<String>,
}

impl Asked {
    /// The address of the requests in the API.
    pub(super) fn requests(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(format!("limit={ROWS}"));
        query.extend_pairs(self.before.as_ref().map(|before| ("before", before)));
        format!("{}/requests?{}", self.address, query.finish())
    }

    /// Reads a page of requests, and the position of the next one.
    pub(super) async fn read(&self) -> Result<(Kept, Option<String>), Refusal> {
        let found: Items<Request> = self.api.get(&self.requests()).await?;
        let row = |request: &Request| Row {
            href: format!("{}/requests/{}", self.page, request.id),
            title: request.title(),
            method: request.method.clone(),
            credentials: request.credentials(),
            address: request.address.clone(),
            bytes: request.bytes,
            status: request.status,
            at: Time::new(&request.at),
        };
        let rows = found.items.iter().map(row).collect();
        Ok((Kept { rows }, found.next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_credentials(token: &str, signature: &str, hub_signature: &str, expected: &str) {
        let request = Request {
            id: String::new(),
            at: String::new(),
            address: String::new(),
            method: "POST".to_owned(),
            path: String::new(),
            event: None,
            bytes: 0,
            note: None,
            token: token.to_owned(),
            signature: signature.to_owned(),
            hub_signature: hub_signature.to_owned(),
            status: 200,
        };
        let badge = request.credentials().to_string();
        assert!(badge.contains(expected), "{badge}");
    }

    #[test]
    fn the_worst_check_of_a_request_is_shown() {
        check_credentials("not_checked", "not_checked", "not_checked", "Not checked");
        check_credentials("missing", "not_checked", "missing", "No credential");
        check_credentials("ok", "not_checked", "missing", "Right secret token");
        check_credentials("ok", "ok", "ok", "Right secret token, signature, signature of the body");
        check_credentials("ok", "wrong", "ok", "Wrong signature");
        check_credentials("ok", "wrong_time", "ok", "Wrong time of the signature");
    }
}
