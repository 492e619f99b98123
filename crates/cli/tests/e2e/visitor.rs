//! A person with a browser that has no scripts: it keeps the cookie, and sends the forms of pages.

use crate::http::{Reply, send};
use crate::server::{Server, TOKEN};

pub(crate) struct Visitor<'a> {
    server: &'a Server,
    cookie: String,
}

impl<'a> Visitor<'a> {
    /// Somebody who is not signed in.
    pub(crate) const fn stranger(server: &'a Server) -> Self {
        Self {
            server,
            cookie: String::new(),
        }
    }

    /// The administrator.
    pub(crate) fn admin(server: &'a Server) -> Self {
        Self::signed_in(server, TOKEN)
    }

    /// Signs in with an access token.
    pub(crate) fn signed_in(server: &'a Server, token: &str) -> Self {
        let reply = Self::stranger(server)
            .send("/-/sign_in", &[("token", token)])
            .checked(303);
        Self::with_cookie_of(server, &reply)
    }

    /// Signs in with a username and a password.
    pub(crate) fn by_password(server: &'a Server, username: &str, password: &str) -> Self {
        let fields = [("username", username), ("password", password)];
        let reply = Self::stranger(server).send("/-/sign_in", &fields).checked(303);
        Self::with_cookie_of(server, &reply)
    }

    /// A browser with the cookie that an answer sets.
    pub(crate) fn with_cookie_of(server: &'a Server, reply: &Reply) -> Self {
        let cookie = reply.header("set-cookie").expect("a cookie");
        let cookie = cookie.split(';').next().expect("a pair").to_owned();
        Self { server, cookie }
    }

    /// Opens a page.
    pub(crate) fn open(&self, path: &str) -> Reply {
        send(self.server.port, "GET", path, &[("Cookie", &self.cookie)], b"").expect("an answer")
    }

    /// Opens a page that must exist.
    pub(crate) fn page(&self, path: &str) -> String {
        self.open(path).checked(200).body
    }

    /// Sends a form as it is, without the token of the session.
    pub(crate) fn send(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let headers = [
            ("Cookie", self.cookie.as_str()),
            ("Content-Type", "application/x-www-form-urlencoded"),
        ];
        send(self.server.port, "POST", path, &headers, body.as_bytes()).expect("an answer")
    }

    /// Sends a form with the token that the start page shows.
    pub(crate) fn submit(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let token = self.form_token();
        let fields: Vec<(&str, &str)> = fields.iter().copied().chain([("form_token", token.as_str())]).collect();
        self.send(path, &fields)
    }

    /// The token that forms of this session have.
    pub(crate) fn form_token(&self) -> String {
        let page = self.page("/");
        let field = page.split(r#"name="form_token" value=""#).nth(1).expect("a form");
        field.split('"').next().expect("a value").to_owned()
    }

    /// The cookie of the session.
    pub(crate) fn cookie(&self) -> &str {
        &self.cookie
    }
}
