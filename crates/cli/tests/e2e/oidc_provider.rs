//! An OpenID Connect provider that signs its tokens, and can be told to do something wrong.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{KeyPair, PublicKeyData, SigningKey};
use serde_json::{Value, json};

use crate::http::{Got, read_request};

/// The code that the provider exchanges.
pub(crate) const CODE: &str = "the-code";

/// The behaviour of the provider.
#[derive(Clone)]
pub(crate) struct Script {
    /// Claims of the ID token, beside those that every token has.
    pub(crate) claims: Value,

    /// Claims of the user info.
    pub(crate) user_info: Value,

    /// The nonce of the sign-in, which the ID token must contain.
    pub(crate) nonce: String,

    /// Signs with a key that the provider does not publish.
    pub(crate) is_forged: bool,
}

pub(crate) struct Provider {
    pub(crate) issuer: String,
    script: Arc<Mutex<Script>>,
    requests: Arc<Mutex<Vec<Got>>>,
}

struct Keys {
    published: KeyPair,
    other: KeyPair,
}

impl Provider {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let issuer = format!("http://127.0.0.1:{port}");

        let script = Arc::new(Mutex::new(Script {
            claims: json!({}),
            user_info: json!({}),
            nonce: String::new(),
            is_forged: false,
        }));

        let new_key = || KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
        let keys = Keys {
            published: new_key(),
            other: new_key(),
        };

        let requests = Arc::new(Mutex::new(Vec::new()));
        let (answers, base, kept) = (script.clone(), issuer.clone(), requests.clone());

        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                while let Some(got) = read_request(&mut stream) {
                    kept.lock().expect("no panic").push(got.clone());

                    let script = answers.lock().expect("no panic").clone();
                    let (status, body) = answer(&got, &base, &script, &keys);

                    if write(&mut stream, status, &body.to_string()).is_err() {
                        break;
                    }
                }
            }
        });

        Self {
            issuer,
            script,
            requests,
        }
    }

    /// Changes the behaviour.
    pub(crate) fn set(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.script.lock().expect("no panic"));
    }

    /// The bodies of the requests to the token endpoint.
    pub(crate) fn token_requests(&self) -> Vec<String> {
        let requests = self.requests.lock().expect("no panic");
        let of_tokens = requests
            .iter()
            .filter(|got| got.headers["line"].starts_with("POST /token"));
        of_tokens
            .map(|got| String::from_utf8_lossy(&got.body).into_owned())
            .collect()
    }
}

fn write(stream: &mut TcpStream, status: u16, body: &str) -> std::io::Result<()> {
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

fn answer(got: &Got, issuer: &str, script: &Script, keys: &Keys) -> (u16, Value) {
    let line = &got.headers["line"];
    if line.starts_with("GET /.well-known/openid-configuration") {
        return (200, description(issuer));
    }

    if line.starts_with("GET /jwks") {
        let x = URL_SAFE_NO_PAD.encode(keys.published.der_bytes());
        let key = json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": "k1", "x": x });
        return (200, json!({ "keys": [key] }));
    }

    if line.starts_with("GET /userinfo") {
        return (200, merged(json!({ "sub": "s1" }), &script.user_info));
    }

    let body = String::from_utf8_lossy(&got.body);
    if !body.contains(&format!("code={CODE}")) || !body.contains("code_verifier=") {
        return (400, json!({ "error": "invalid_grant" }));
    }

    let key = if script.is_forged { &keys.other } else { &keys.published };
    let token = id_token(issuer, script, key);
    (
        200,
        json!({ "access_token": "a1", "token_type": "Bearer", "expires_in": 60, "id_token": token }),
    )
}

fn description(issuer: &str) -> Value {
    json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/userinfo"),
        "jwks_uri": format!("{issuer}/jwks"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["EdDSA"],
    })
}

fn merged(mut first: Value, second: &Value) -> Value {
    for (name, value) in second.as_object().into_iter().flatten() {
        first[name] = value.clone();
    }

    first
}

fn id_token(issuer: &str, script: &Script, key: &KeyPair) -> String {
    let now = jiff::Timestamp::now().as_second();
    let usual = json!({
        "iss": issuer, "aud": "quickdraw", "sub": "s1", "iat": now, "exp": now + 60, "nonce": script.nonce,
    });
    let header = json!({ "alg": "EdDSA", "kid": "k1", "typ": "JWT" });

    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&header), part(&merged(usual, &script.claims)));
    let signature = key.sign(signed.as_bytes()).expect("a signature");
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}
