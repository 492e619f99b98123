//! The phases of a request as a bar.

use askama::Template;
use askama::filters::HtmlSafe;
use serde::Deserialize;

use crate::ui::parts::duration;

/// Width of the bar.
const WIDTH: u64 = 1000;

/// The phases of an attempt in microseconds.
#[derive(Deserialize)]
pub(super) struct Phases {
    resolve_us: Option<u32>,
    connect_us: Option<u32>,
    tls_us: Option<u32>,
    wait_us: Option<u32>,
    read_us: Option<u32>,
}

/// A phase within the bar.
struct Phase {
    name: &'static str,
    number: usize,
    took: String,
    x: u64,
    width: u64,
}

/// The phases as a bar, with a key below.
#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<svg class="phases" viewBox="0 0 1000 16" preserveAspectRatio="none" role="img"><title>Phases of the request</title>{% for phase in phases %}<rect class="phase-{{ phase.number }}" x="{{ phase.x }}" width="{{ phase.width }}" height="16"/>{% endfor %}</svg>
<dl class="facts keys">{% for phase in phases %}<dt><svg viewBox="0 0 12 12" aria-hidden="true"><rect class="key-{{ phase.number }}" width="12" height="12"/></svg>{{ phase.name }}</dt><dd>{{ phase.took }}</dd>{% endfor %}</dl>"#
)]
pub(super) struct PhasesBar {
    phases: Vec<Phase>,
}

impl HtmlSafe for PhasesBar {}

impl Phases {
    /// The bar. None without any phase.
    pub(super) fn bar(&self) -> Option<PhasesBar> {
        let all = [
            ("Resolve", self.resolve_us),
            ("Connect", self.connect_us),
            ("TLS", self.tls_us),
            ("Wait", self.wait_us),
            ("Read body", self.read_us),
        ];
        let took = |(_, took): &(&str, Option<u32>)| u64::from(took.unwrap_or(0));
        let whole = all.iter().map(took).sum::<u64>().max(1);

        let (mut phases, mut x) = (Vec::new(), 0);
        for (number, (name, took)) in all.into_iter().enumerate() {
            let Some(took) = took else { continue };
            let width = u64::from(took) * WIDTH / whole;
            phases.push(Phase {
                name,
                number,
                took: duration(f64::from(took) / 1e6),
                x,
                width,
            });
            x += width;
        }

        (!phases.is_empty()).then_some(PhasesBar { phases })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_share_the_bar_by_their_durations() {
        let phases = Phases {
            resolve_us: None,
            connect_us: Some(250),
            tls_us: None,
            wait_us: Some(750),
            read_us: Some(0),
        };
        let bar = phases.bar().expect("a bar");
        let places: Vec<_> = bar.phases.iter().map(|phase| (phase.x, phase.width)).collect();
        assert_eq!(places, [(0, 250), (250, 750), (1000, 0)]);
    }
}
