//! Statistics and their output.

use std::io::Write;
use std::time::Duration;

pub(crate) fn say(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

pub(crate) fn heading(text: &str) {
    say(format!("\n{text}"));
}

/// Prints a row: the figure's name, its value, and its goal.
pub(crate) fn row(what: &str, value: &str, goal: &str) {
    say(format!("  {what:<58} {value:>24}   {goal}"));
}

pub(crate) fn conditions() {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name\t: "))
        .unwrap_or("unknown processor");

    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    say(format!(
        "{cores} cores, {model}; load generator and receivers on the same cores; every flush on"
    ));
}

pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The value at this quantile.
pub(crate) fn quantile(values: &mut [Duration], share: f64) -> Duration {
    values.sort_unstable();

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index"
    )]
    let at = ((values.len() as f64 - 1.0).max(0.0) * share) as usize;
    values.get(at).copied().unwrap_or_default()
}

#[expect(clippy::cast_precision_loss, reason = "counts")]
pub(crate) fn rate(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

pub(crate) fn milliseconds(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1000.0)
}
