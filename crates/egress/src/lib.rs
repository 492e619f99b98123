//! The HTTP client that calls other people's servers, and the mail client. No other code opens outbound sockets.
//!
//! An attempt resolves the name, asks the judge about every address, connects to an approved address, checks the peer,
//! sends the request and reads a bounded answer. One deadline covers all of these steps. The judge is an argument: this
//! crate enforces its verdict and contains no rules of its own.
//!
//! Features of other clients are absent on purpose: redirects, proxies from the environment, decompression and retries.
//! The only repeated request is the one for a kept-alive connection that the peer closed before the head of an answer.

mod call;
mod certificate;
mod client;
mod connect;
mod error;
mod limits;
mod link;
mod mail;
mod own;
mod pool;
mod proxy;
mod resolve;
mod stream;
mod timing;
mod tls;
mod trust;

pub use call::{Answer, Call, Report};
pub use certificate::CertificateDates;
pub use client::Client;
pub use error::{Failure, Stage};
pub use http::Method;
pub use limits::Limits;
pub use mail::{Mail, MailFailure, MailServer, MailTls, Mailer, RefusedRecipient, Sender};
pub use own::own_addresses;
pub use proxy::{Proxy, ProxyError};
pub use resolve::{Hickory, Resolve, ResolveError};
pub use stream::{Broken, Streamed};
pub use timing::Timing;
pub use trust::{Identity, PemError, Presented, Trust, authorities, opened};
