//! How Quickdraw calls other people's servers: one client, and the only code that opens outbound sockets.
//!
//! An attempt goes resolve → judge every address → connect to a judged one → check the peer → send → read a bounded
//! answer, all under one deadline. The judge is an argument: this crate carries the verdict out and knows no rules.
//! What a friendlier client would do by itself is absent on purpose: no redirects, no proxies from the environment, no
//! decompression, no retries but the one for a kept-alive connection that was closed before the head of an answer.

mod call;
mod connect;
mod error;
mod own;
mod pool;
mod proxy;
mod resolve;
mod stream;
mod timing;
mod tls;
mod trust;

pub use call::{Answer, Call, Client, Limits, Report};
pub use error::{Failure, Stage};
pub use http::Method;
pub use own::own_addresses;
pub use proxy::{Proxy, ProxyError};
pub use resolve::{Hickory, Resolve, ResolveError};
pub use stream::{Broken, Streamed};
pub use timing::Timing;
pub use trust::{Identity, PemError, Presented, Trust, authorities, opened};
