//! Stacked bars.

use plotters::element::Rectangle;
use plotters::style::Color;

use super::Data;
use super::columns::{self, Columns, Drawing, Drawn, number};

/// The part of a column at each side of its bar.
const SPACE: f64 = 0.1;
/// Smallest height of a part of a bar, as a share of the highest bar, so that a single failure can be seen.
const LOWEST: f64 = 0.015;

/// Stacks the values of each column, the first series at the bottom.
pub(super) fn draw(data: &Data) -> Option<Drawing> {
    let sums = (0..data.columns.len()).map(|column| data.values(column).flatten().sum::<f64>());
    let most = sums.fold(0.0, f64::max);
    columns::draw(data, most, |chart| paint(data, most, chart)).ok()
}

fn paint(data: &Data, most: f64, chart: &mut Columns<'_>) -> Drawn {
    let mut tops = vec![0.0; data.columns.len()];
    for series in &data.series {
        let mut bars = Vec::new();
        for (column, value) in series.values.iter().enumerate() {
            let Some(value) = value.filter(|value| *value > 0.0) else {
                continue;
            };

            let (left, bottom) = (number(column), tops[column]);
            let top = bottom + value.max(most * LOWEST);
            tops[column] = top;
            let corners = [(left + SPACE, top), (left + 1.0 - SPACE, bottom)];
            bars.push(Rectangle::new(corners, series.ink.color().filled()));
        }

        chart.draw_series(bars)?;
    }

    Ok(())
}
