//! Resolves host names: A and AAAA records, no search domains, a short cache.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, ResolverOpts};

/// Maximum number of addresses of a name. A name with more addresses is refused.
const MAX_ADDRESSES: usize = 32;
const LONGEST_TTL: Duration = Duration::from_secs(60);

/// The reason for which a look-up failed. It is a temporary failure of the attempt, never an error in the hook's
/// settings.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct ResolveError(pub String);

/// Resolves host names. The client takes it as an argument, so that tests can script the answers.
pub trait Resolve: Send + Sync {
    /// All IPv4 and IPv6 addresses of a name.
    fn resolve<'a>(
        &'a self,
        name: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Vec<IpAddr>, ResolveError>> + Send + 'a>>;
}

/// The resolver of a running server.
pub struct Hickory(TokioResolver);

impl Hickory {
    /// Makes a resolver with the system's configuration.
    ///
    /// # Errors
    /// When the system has no readable configuration.
    pub fn from_system() -> Result<Self, ResolveError> {
        let failed = |error: hickory_resolver::net::NetError| ResolveError(error.to_string());
        let mut builder = TokioResolver::builder_tokio().map_err(failed)?;
        *builder.options_mut() = options(builder.options_mut().clone());

        Ok(Self(builder.build().map_err(failed)?))
    }
}

fn options(mut options: ResolverOpts) -> ResolverOpts {
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.positive_max_ttl = Some(LONGEST_TTL);
    options.negative_max_ttl = Some(Duration::from_secs(5));
    options.timeout = Duration::from_secs(2);
    options.attempts = 1;

    options
}

impl Resolve for Hickory {
    fn resolve<'a>(
        &'a self,
        name: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Vec<IpAddr>, ResolveError>> + Send + 'a>> {
        Box::pin(async move {
            // The final dot disables search domains: `hooks.example.com` must not become an internal name.
            let absolute = if name.ends_with('.') {
                name.to_owned()
            } else {
                format!("{name}.")
            };

            let found = self
                .0
                .lookup_ip(absolute)
                .await
                .map_err(|error| ResolveError(error.to_string()))?;
            let addresses: Vec<IpAddr> = found.iter().take(MAX_ADDRESSES + 1).collect();

            if addresses.len() > MAX_ADDRESSES {
                return Err(ResolveError(format!("more than {MAX_ADDRESSES} addresses")));
            }

            Ok(addresses)
        })
    }
}
