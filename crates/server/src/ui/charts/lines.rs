//! Lines, one for each series. A line has a gap where a value is missing.

use plotters::element::{Circle, PathElement};
use plotters::style::Color;

use super::Data;
use super::columns::{self, Columns, Drawing, Drawn, number};

/// Radius of the dot at a value between two gaps.
const DOT: u32 = 9;

/// Draws a line for each series.
pub(super) fn draw(data: &Data) -> Option<Drawing> {
    let values = data.series.iter().flat_map(|series| series.values.iter().flatten());
    let most = values.copied().fold(0.0, f64::max);
    columns::draw(data, most, |chart| paint(data, chart)).ok()
}

fn paint(data: &Data, chart: &mut Columns<'_>) -> Drawn {
    for series in &data.series {
        let color = series.ink.color();
        for part in parts(&series.values) {
            match part.as_slice() {
                [alone] => chart.draw_series([Circle::new(*alone, DOT, color.filled())])?,
                points => chart.draw_series([PathElement::new(points, color)])?,
            };
        }
    }

    Ok(())
}

/// The points of a line, cut at missing values. A point is in the middle of its column.
fn parts(values: &[Option<f64>]) -> Vec<Vec<(f64, f64)>> {
    let mut parts = vec![Vec::new()];
    for (column, value) in values.iter().enumerate() {
        match (value, parts.last_mut()) {
            (Some(value), Some(part)) => part.push((number(column) + 0.5, *value)),
            _ => parts.push(Vec::new()),
        }
    }

    parts.retain(|part| !part.is_empty());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_value_cuts_a_line() {
        let values = [None, Some(1.0), Some(2.0), None, None, Some(3.0)];
        assert_eq!(parts(&values), [vec![(1.5, 1.0), (2.5, 2.0)], vec![(5.5, 3.0)]]);
        assert!(parts(&[None]).is_empty());
    }
}
