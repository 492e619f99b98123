//! Sign-in at an OpenID Connect provider: the authorization code flow with PKCE, state and nonce.
//!
//! The crate `openidconnect` builds the requests and checks the answers. Its requests go through `egress`, which
//! follows no redirects and refuses metadata addresses. The operator chose the provider, so local networks are allowed.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use openidconnect::core::{
    CoreAuthenticationFlow, CoreClient, CoreGenderClaim, CoreIdToken, CoreProviderMetadata, CoreTokenResponse,
};
use openidconnect::{
    AccessTokenHash, AdditionalClaims, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointMaybeSet,
    EndpointNotSet, EndpointSet, HttpRequest, HttpResponse, IssuerUrl, Nonce, OAuth2TokenResponse, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, Scope, SubjectIdentifier, TokenResponse, UserInfoClaims,
};
use quickdraw_domain::Secret;
use quickdraw_domain::guard::{self, judge_resolved, judge_url};
use quickdraw_domain::hook::HookUrl;
use quickdraw_egress::{Call, Client, Limits};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, Semaphore};

use crate::settings::OidcSection;

/// Time for which the description and the keys of the provider are kept.
const KEPT: Duration = Duration::from_secs(600);
/// Time after which the keys are read again if a signature does not fit, because the provider may have new ones.
const FRESH: Duration = Duration::from_secs(10);
/// Number of sign-ins that call the provider at once.
const AT_ONCE: usize = 8;
/// Largest answer of the provider, in bytes.
const MAX_ANSWER: usize = 256 << 10;
/// Largest number of groups of a user that are read.
const MAX_GROUPS: usize = 1000;

/// The limits of the client that calls the provider.
#[must_use]
pub fn limits() -> Limits {
    Limits {
        body_read: MAX_ANSWER,
        body_kept: MAX_ANSWER,
        ..Limits::default()
    }
}

/// A provider.
pub struct Oidc {
    caller: Arc<Caller>,
    permits: Semaphore,
    known: Mutex<Option<Known>>,
}

/// Calls the provider.
struct Caller {
    settings: OidcSection,
    redirect_uri: String,
    client: Client,
    guard: guard::Settings,
}

/// The description of the provider, with its keys.
#[derive(Clone)]
struct Known {
    metadata: Arc<CoreProviderMetadata>,
    since: Instant,
}

/// A sign-in that began. The browser keeps these values until it comes back.
pub struct Begun {
    /// The address of the provider to which the browser goes.
    pub url: String,

    /// The value with which the browser comes back.
    pub state: String,

    /// The value that the ID token must contain.
    pub nonce: String,

    /// The secret without which the code is worthless.
    pub verifier: String,
}

/// An account at the provider.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Account {
    /// URL of the provider.
    pub issuer: String,

    /// The provider's identifier of the account, which never belongs to another account.
    pub subject: String,

    /// Name with which the user signs in at the provider.
    pub username: Option<String>,

    /// Displayed name.
    pub name: Option<String>,

    /// E-mail address, if the provider has verified it.
    pub verified_email: Option<String>,

    /// Groups of the user.
    pub groups: Vec<String>,
}

/// The reason for which a sign-in failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OidcError {
    /// Too many people sign in at once.
    #[error("too many people sign in at the same time")]
    Busy,

    /// The provider did not answer as it should.
    #[error("the provider did not answer as expected: {0}")]
    Provider(String),

    /// The code or the token was refused.
    #[error("the answer of the provider cannot be trusted: {0}")]
    Refused(String),
}

/// A failed call of the provider.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct CallError(String);

type Answered = Result<HttpResponse, CallError>;
type Ready =
    CoreClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointMaybeSet, EndpointMaybeSet>;

/// All claims beside the standard ones.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Others {
    #[serde(flatten)]
    all: HashMap<String, Value>,
}

impl AdditionalClaims for Others {}

impl Oidc {
    /// A provider that the settings name. `client` must have [`limits`].
    #[must_use]
    pub fn new(settings: OidcSection, external_url: &str, client: Client) -> Self {
        let caller = Caller {
            settings,
            redirect_uri: format!("{external_url}/-/sign_in/oidc/callback"),
            client,
            guard: guard::Settings {
                allow_local_networks: true,
                ..guard::Settings::default()
            },
        };

        Self {
            caller: Arc::new(caller),
            permits: Semaphore::new(AT_ONCE),
            known: Mutex::new(None),
        }
    }

    /// The settings of the provider.
    #[must_use]
    pub fn settings(&self) -> &OidcSection {
        &self.caller.settings
    }

    /// Begins a sign-in.
    ///
    /// # Errors
    /// When the provider cannot be reached, or too many people sign in at once.
    pub async fn begin(&self) -> Result<Begun, OidcError> {
        let _permit = self.permits.try_acquire().map_err(|_| OidcError::Busy)?;
        let client = self.caller.ready(&self.known(KEPT).await?)?;

        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let mut request = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                CsrfToken::new_random,
                Nonce::new_random,
            )
            .set_pkce_challenge(challenge);
        for scope in &self.caller.settings.scopes {
            request = request.add_scope(Scope::new(scope.clone()));
        }

        let (url, state, nonce) = request.url();
        Ok(Begun {
            url: url.to_string(),
            state: state.secret().clone(),
            nonce: nonce.secret().clone(),
            verifier: verifier.secret().clone(),
        })
    }

    /// Ends a sign-in: exchanges the code of the browser for the account. The caller has checked the state.
    ///
    /// # Errors
    /// When the provider cannot be reached, refuses the code, or gives a token that cannot be trusted.
    pub async fn finish(&self, code: &Secret, nonce: &str, verifier: &Secret) -> Result<Account, OidcError> {
        let _permit = self.permits.try_acquire().map_err(|_| OidcError::Busy)?;
        let client = self.caller.ready(&self.known(KEPT).await?)?;

        let code = AuthorizationCode::new(code.expose().to_owned());
        let verifier = PkceCodeVerifier::new(verifier.expose().to_owned());
        let one = client.clone();

        let exchange = move |http: &dyn Fn(HttpRequest) -> Answered| {
            let request = one.exchange_code(code);
            let request = request.map_err(|error| OidcError::Provider(error.to_string()))?;
            let answered = request.set_pkce_verifier(verifier).request(&http);
            answered.map_err(|error| OidcError::Refused(causes(&error)))
        };
        let tokens = self.run(exchange).await?;

        let nonce = Nonce::new(nonce.to_owned());
        let (subject, claims) = match verify(&client, &tokens, &nonce) {
            Ok(verified) => verified,
            Err(error) => {
                let newer = self.caller.ready(&self.known(FRESH).await?)?;
                verify(&newer, &tokens, &nonce).map_err(|_| error)?
            }
        };

        let more = self.user_info(client, &tokens, &subject).await?;
        Ok(account(&self.caller.settings, &subject, &claims, &more))
    }

    /// Asks for more about the user. Some providers put names, addresses and groups there only.
    async fn user_info(
        &self,
        client: Ready,
        tokens: &CoreTokenResponse,
        subject: &SubjectIdentifier,
    ) -> Result<Value, OidcError> {
        let (token, subject) = (tokens.access_token().clone(), subject.clone());
        let ask = move |http: &dyn Fn(HttpRequest) -> Answered| {
            let Ok(request) = client.user_info(token, Some(subject)) else {
                return Ok(Value::Null);
            };

            let answered: Result<UserInfoClaims<Others, CoreGenderClaim>, _> = request.request(&http);
            let info = answered.map_err(|error| OidcError::Refused(causes(&error)))?;
            serde_json::to_value(&info).map_err(|error| OidcError::Provider(error.to_string()))
        };
        self.run(ask).await
    }

    /// The description of the provider, which is at most this old. Others wait while one request reads it.
    async fn known(&self, oldest: Duration) -> Result<Known, OidcError> {
        let mut known = self.known.lock().await;
        if let Some(known) = known.as_ref().filter(|known| known.since.elapsed() < oldest) {
            return Ok(known.clone());
        }

        let issuer = IssuerUrl::new(self.caller.settings.issuer.clone());
        let issuer = issuer.map_err(|error| OidcError::Provider(error.to_string()))?;
        let discover = move |http: &dyn Fn(HttpRequest) -> Answered| {
            let found = CoreProviderMetadata::discover(&issuer, &http);
            found.map_err(|error| OidcError::Provider(causes(&error)))
        };

        let fresh = Known {
            metadata: Arc::new(self.run(discover).await?),
            since: Instant::now(),
        };
        *known = Some(fresh.clone());
        Ok(fresh)
    }

    /// Runs work that calls the provider on a thread of its own, because the interface of the crate for tasks cannot be
    /// used in tasks that move between threads.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Fn(HttpRequest) -> Answered) -> Result<T, OidcError> + Send + 'static,
    ) -> Result<T, OidcError> {
        let caller = Arc::clone(&self.caller);
        let runtime = Handle::current();
        let done = tokio::task::spawn_blocking(move || work(&|request| runtime.block_on(caller.call(request))));
        done.await.map_err(|error| OidcError::Provider(error.to_string()))?
    }
}

impl Caller {
    fn ready(&self, known: &Known) -> Result<Ready, OidcError> {
        let settings = &self.settings;
        let secret = settings.client_secret.expose();
        let secret = (!secret.is_empty()).then(|| ClientSecret::new(secret.to_owned()));
        let redirect = RedirectUrl::new(self.redirect_uri.clone());
        let redirect = redirect.map_err(|error| OidcError::Provider(error.to_string()))?;

        let id = ClientId::new(settings.client_id.clone());
        let client = CoreClient::from_provider_metadata((*known.metadata).clone(), id, secret);
        Ok(client.set_redirect_uri(redirect))
    }

    /// Carries a request to the provider.
    async fn call(&self, request: HttpRequest) -> Answered {
        let (parts, body) = request.into_parts();
        let url = HookUrl::parse(&parts.uri.to_string()).map_err(|error| CallError(error.to_string()))?;
        judge_url(&url, &self.guard).map_err(|rule| CallError(rule.to_string()))?;

        let mut headers: Vec<(Cow<'static, str>, String)> = Vec::new();
        for (name, value) in &parts.headers {
            let value = value.to_str().map_err(|error| CallError(error.to_string()))?;
            headers.push((name.as_str().to_owned().into(), value.to_owned()));
        }

        let (host, authority, path) = (url.host().to_string(), url.authority(), url.path_and_query());
        let call = Call {
            method: parts.method,
            https: url.is_https(),
            host: &host,
            literal: host.trim_matches(['[', ']']).parse().ok(),
            port: url.port(),
            authority: &authority,
            path: &path,
            headers: &headers,
            body: Bytes::from(body),
            verify_tls: true,
            certificate: None,
        };

        let report = self
            .client
            .call(call, |found| judge_resolved(&url, found, &self.guard))
            .await;
        let answer = report.result.map_err(|failure| CallError(failure.to_string()))?;

        let mut response = HttpResponse::new(answer.body.to_vec());
        let status = answer.status.try_into();
        *response.status_mut() = status.map_err(|_| CallError("the status is invalid".to_owned()))?;
        *response.headers_mut() = answer.headers;

        Ok(response)
    }
}

/// Checks the ID token: signature, issuer, audience, time, nonce, and that it belongs to the access token. Returns the
/// subject and all claims.
fn verify(client: &Ready, tokens: &CoreTokenResponse, nonce: &Nonce) -> Result<(SubjectIdentifier, Value), OidcError> {
    let refused = |error: String| OidcError::Refused(error);
    let token = tokens
        .id_token()
        .ok_or_else(|| refused("it contains no ID token".to_owned()))?;
    let verifier = client.id_token_verifier();
    let claims = token
        .claims(&verifier, nonce)
        .map_err(|error| refused(causes(&error)))?;

    if let Some(expected) = claims.access_token_hash() {
        let algorithm = token.signing_alg().map_err(|error| refused(error.to_string()))?;
        let key = token
            .signing_key(&verifier)
            .map_err(|error| refused(error.to_string()))?;
        let found = AccessTokenHash::from_token(tokens.access_token(), algorithm, key);
        if found.map_err(|error| refused(error.to_string()))? != *expected {
            return Err(refused("the access token does not belong to the ID token".to_owned()));
        }
    }

    Ok((claims.subject().clone(), all_claims(token)))
}

/// Reads the account from the claims of the ID token and of the user info.
fn account(settings: &OidcSection, subject: &SubjectIdentifier, claims: &Value, more: &Value) -> Account {
    let text = |name: &str| {
        let found = [claims, more].into_iter().find_map(|claims| claims[name].as_str());
        found.map(str::to_owned).filter(|text| !text.is_empty())
    };

    // An address counts only if the same document says that it is verified.
    let verified_email = [claims, more].into_iter().find_map(|claims| {
        let is_verified = claims["email_verified"] == Value::Bool(true);
        claims["email"].as_str().filter(|_| is_verified).map(str::to_owned)
    });

    let claim = settings.groups_claim.as_str();
    let groups = [claims, more].into_iter().find_map(|claims| claims[claim].as_array());
    let groups = groups.into_iter().flatten().filter_map(Value::as_str);

    Account {
        issuer: settings.issuer.clone(),
        subject: subject.to_string(),
        username: text("preferred_username").or_else(|| text("nickname")),
        name: text("name"),
        verified_email,
        groups: groups.take(MAX_GROUPS).map(str::to_owned).collect(),
    }
}

/// All claims of an ID token that was checked.
fn all_claims(token: &CoreIdToken) -> Value {
    let text = token.to_string();
    let payload = text.split('.').nth(1).unwrap_or_default();
    let bytes = URL_SAFE_NO_PAD.decode(payload).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

/// An error with its causes, on one line.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();

    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }

    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(claims: &Value, more: &Value) -> Account {
        let settings = OidcSection {
            issuer: "https://id.example".to_owned(),
            ..OidcSection::default()
        };
        account(&settings, &SubjectIdentifier::new("s1".to_owned()), claims, more)
    }

    #[test]
    fn claims_of_the_token_come_before_those_of_the_user_info() {
        let claims = json!({ "preferred_username": "ida", "groups": ["a", 7, "b"] });
        let more = json!({ "preferred_username": "other", "name": "Ida", "groups": ["c"] });
        let found = read(&claims, &more);

        assert_eq!(
            (found.issuer.as_str(), found.subject.as_str()),
            ("https://id.example", "s1")
        );
        assert_eq!(
            (found.username.as_deref(), found.name.as_deref()),
            (Some("ida"), Some("Ida"))
        );
        assert_eq!(found.groups, ["a", "b"]);
    }

    #[test]
    fn an_address_counts_only_if_its_own_document_says_that_it_is_verified() {
        let email = |claims: Value, more: Value| read(&claims, &more).verified_email;
        let verified = json!({ "email": "a@example.com", "email_verified": true });
        assert_eq!(email(verified.clone(), json!({})).as_deref(), Some("a@example.com"));
        assert_eq!(email(json!({}), verified).as_deref(), Some("a@example.com"));

        assert_eq!(
            email(json!({ "email": "a@example.com" }), json!({ "email_verified": true })),
            None
        );
        assert_eq!(
            email(json!({ "email": "a@example.com", "email_verified": "true" }), json!({})),
            None
        );
    }
}
