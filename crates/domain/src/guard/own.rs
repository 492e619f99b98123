//! The addresses of this process itself. Another crate finds them and sets them; here they are only compared.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use parking_lot::RwLock;

/// Addresses and ports of this process. All copies share one list, because interfaces come and go while a server runs.
#[derive(Clone, Default, Debug)]
pub struct OwnAddresses(Arc<RwLock<Vec<SocketAddr>>>);

impl OwnAddresses {
    /// Replaces the list.
    pub fn set(&self, addresses: impl IntoIterator<Item = SocketAddr>) {
        let canonical = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
        let addresses = addresses.into_iter().map(canonical).collect();
        *self.0.write() = addresses;
    }

    /// Whether a call to this address and port reaches this process.
    #[must_use]
    pub fn contains(&self, address: IpAddr, port: u16) -> bool {
        let own = self.0.read();
        own.contains(&SocketAddr::new(address.to_canonical(), port))
    }
}

#[cfg(test)]
mod tests {
    use crate::guard::{Rule, Settings, judge_url};
    use crate::hook::HookUrl;

    #[test]
    fn a_hook_cannot_call_this_process() {
        let settings = Settings::default();
        let copy = settings.clone();

        let own = |texts: &[&str]| {
            settings
                .own
                .set(texts.iter().map(|text| text.parse().expect("an address")))
        };

        let judged = |url: &str| judge_url(&HookUrl::parse(url).expect("a URL"), &copy);
        own(&["44.1.2.3:8000", "[::ffff:44.1.2.4]:8000", "[2001:4860::1]:8000"]);

        for url in [
            "http://44.1.2.3:8000/",
            "http://44.1.2.4:8000/",
            "http://[2001:4860::1]:8000/",
        ] {
            assert_eq!(judged(url), Err(Rule::OwnAddress), "{url}");
        }

        assert_eq!(
            judged("http://44.1.2.3:8080/"),
            Ok(()),
            "another port belongs to another program"
        );

        own(&["44.1.2.5:8000"]);
        assert_eq!(
            judged("http://44.1.2.5:8000/"),
            Err(Rule::OwnAddress),
            "an address that was added later"
        );

        assert_eq!(judged("http://44.1.2.3:8000/"), Ok(()), "an address that was removed");
    }

    #[test]
    fn a_hook_can_call_an_inspector_of_this_process_and_nothing_else() {
        let settings = Settings::default();
        settings
            .own
            .set(["127.0.0.1:8000", "44.1.2.3:8000"].map(|text| text.parse().expect("an address")));
        let judged = |url: &str| judge_url(&HookUrl::parse(url).expect("a URL"), &settings);
        let key = "0123456789abcdef0123456789abcdef";

        assert_eq!(judged(&format!("http://127.0.0.1:8000/i/{key}")), Ok(()));
        assert_eq!(judged(&format!("http://44.1.2.3:8000/i/{key}")), Ok(()));

        for path in [
            "i/",
            "i/0123",
            "i/0123456789abcdef0123456789abcdef/..",
            "i/0123456789abcdef0123456789abcdef/%2e%2e/x",
            "i/0123456789abcdef0123456789abcdef?x=1",
            "api/v1/events",
        ] {
            let url = format!("http://44.1.2.3:8000/{path}");
            assert_eq!(judged(&url), Err(Rule::OwnAddress), "{path}");
        }

        assert_eq!(
            judged(&format!("http://127.0.0.1:9000/i/{key}")),
            Err(Rule::Loopback),
            "another port belongs to another program"
        );
    }
}
