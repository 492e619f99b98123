//! Small bars without axes, for lines of lists.

use askama::Template;
use askama::filters::HtmlSafe;

/// Height of the strip.
const HEIGHT: u64 = 24;

/// The attempts of each hour as bars: delivered ones below, failed ones above.
#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<svg class="strip" viewBox="0 0 96 24" role="img"><title>{{ title }}</title><path class="none" d="{{ none }}"/><path class="good" d="{{ good }}"/><path class="bad" d="{{ bad }}"/></svg>"#
)]
pub(in crate::ui) struct Strip {
    title: String,
    good: String,
    bad: String,
    none: String,
}

impl HtmlSafe for Strip {}

impl Strip {
    /// Draws at most 24 hours, each with its delivered and failed attempts.
    pub(in crate::ui) fn new(title: String, hours: impl Iterator<Item = (u64, u64)> + Clone) -> Self {
        let most = hours.clone().map(|(delivered, failed)| delivered + failed).max();
        let most = most.unwrap_or(0).max(1);
        let (mut good, mut bad, mut none) = (String::new(), String::new(), String::new());

        for ((delivered, failed), x) in hours.zip((0..).step_by(4)) {
            if delivered + failed == 0 {
                none.push_str(&format!("M{x} {}h3v2h-3z", HEIGHT - 2));
                continue;
            }

            let failed = height(failed, most);
            let delivered = height(delivered, most).min(HEIGHT - failed);
            if delivered > 0 {
                good.push_str(&format!("M{x} {}h3v{delivered}h-3z", HEIGHT - delivered));
            }

            if failed > 0 {
                bad.push_str(&format!("M{x} {}h3v{failed}h-3z", HEIGHT - delivered - failed));
            }
        }

        Self { title, good, bad, none }
    }
}

/// The height of a bar. A small number is seen too.
fn height(count: u64, most: u64) -> u64 {
    (count * (HEIGHT - 2)).div_ceil(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_numbers_are_seen_in_the_strip() {
        assert_eq!((height(0, 500), height(1, 500), height(500, 500)), (0, 1, 22));
    }

    #[test]
    fn failed_attempts_stand_on_delivered_ones() {
        let strip = Strip::new("Attempts".to_owned(), [(3, 1), (0, 0)].into_iter());
        assert_eq!(strip.good, "M0 7h3v17h-3z");
        assert_eq!(strip.bad, "M0 1h3v6h-3z");
        assert_eq!(strip.none, "M4 22h3v2h-3z");
    }
}
