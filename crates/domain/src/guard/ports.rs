//! Ports that an HTTP client must not use.

use super::{Rule, Settings};
use crate::hook::HookUrl;

/// The "bad ports" of the WHATWG Fetch standard: ports of other protocols, whose servers might act on a request body.
const BAD: [u16; 82] = [
    1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109, 110,
    111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532,
    540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061,
    6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
];

pub(super) fn judge(url: &HookUrl, settings: &Settings, listed_name: bool) -> Result<(), Rule> {
    let port = url.port();
    // The operator allowed the port with an entry that names it.
    let listed =
        listed_name && matches!(url.host(), url::Host::Domain(name) if settings.allowlist.has_port(name, port));

    let allowed = match &settings.allowed_ports {
        Some(ports) => ports.contains(&port),
        None => !BAD.contains(&port),
    };
    if allowed || listed { Ok(()) } else { Err(Rule::Port) }
}
