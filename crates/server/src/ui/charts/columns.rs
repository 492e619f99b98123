//! The frame of charts with columns: scales, axes, and the places of the columns.

use std::convert::Infallible;
use std::ops::Range;

use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::cartesian::Cartesian2d;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::coord::types::RangedCoordf64;
use plotters::drawing::{DrawingAreaErrorKind, IntoDrawingArea};
use plotters::style::IntoFont;

use super::svg::{HEIGHT, Ink, Svg, TEXT, WIDTH, width};
use super::{Data, Unit};

/// Space above the drawing, in which the values of a column appear.
const TOP: u32 = 72;
/// Space of the labels below the drawing.
const BOTTOM: u32 = 96;
/// Length of the marks at the axes. They keep the first labels of both axes apart.
const MARK: u32 = 20;
/// Space between labels and drawing, and at the right edge.
const GAP: u32 = 20;
/// Numbers at the axis of values.
const VALUES: usize = 4;

pub(super) type Drawn = Result<(), DrawingAreaErrorKind<Infallible>>;

/// A chart with columns from left to right. Column 2 reaches from 2.0 to 3.0.
pub(super) type Columns<'a> = ChartContext<'a, Svg<'a>, Cartesian2d<Places, RangedCoordf64>>;

/// The places of columns, some of which have a label.
pub(super) struct Places {
    all: RangedCoordf64,
    labelled: Vec<f64>,
}

impl Ranged for Places {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, place: &f64, limit: (i32, i32)) -> i32 {
        self.all.map(place, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() {
            Vec::new()
        } else {
            self.labelled.clone()
        }
    }

    fn range(&self) -> Range<f64> {
        self.all.range()
    }
}

/// A drawing, and the areas of its columns.
#[derive(Default)]
pub(super) struct Drawing {
    pub(super) markup: String,
    pub(super) areas: Vec<String>,
}

/// Draws the frame of a chart whose greatest value is `most`, and its content.
pub(super) fn draw(
    data: &Data,
    most: f64,
    paint: impl FnOnce(&mut Columns<'_>) -> Drawn,
) -> Result<Drawing, DrawingAreaErrorKind<Infallible>> {
    let mut markup = String::new();
    let mut areas = Vec::new();
    let count = data.columns.len();
    let left = width(&data.unit.words(most)) + width(" ") + MARK;

    let root = Svg::new(&mut markup).into_drawing_area();
    let mut chart = ChartBuilder::on(&root)
        .margin_top(TOP)
        .margin_right(GAP)
        .x_label_area_size(BOTTOM)
        .y_label_area_size(left)
        .build_cartesian_2d(
            Places {
                all: (0.0..number(count)).into(),
                labelled: labelled(data, WIDTH - left - GAP),
            },
            0.0..most * 1.05,
        )?;

    let label = ("sans", TEXT).into_font().color(&Ink::Label.color());
    chart
        .configure_mesh()
        .disable_x_mesh()
        .axis_style(Ink::Axis.color())
        .bold_line_style(Ink::Grid.color())
        .light_line_style(Ink::Grid.color())
        .max_light_lines(0)
        .y_labels(values(data.unit, most))
        .label_style(label)
        .set_all_tick_mark_size(MARK)
        .x_label_formatter(&|at| label_at(data, *at))
        .y_label_formatter(&|value| data.unit.words(*value))
        .draw()?;
    paint(&mut chart)?;

    let edge = |column: usize| chart.backend_coord(&(number(column), 0.0)).0;
    for column in 0..count {
        let (from, to) = (edge(column), edge(column + 1));
        let wide = to - from;
        areas.push(format!("M{from} {TOP}h{wide}v{}h-{wide}z", HEIGHT - TOP - BOTTOM));
    }

    root.present()?;
    drop(chart);
    drop(root);
    Ok(Drawing { markup, areas })
}

/// The middle of the columns that have a label, as many as there is space for.
fn labelled(data: &Data, space: u32) -> Vec<f64> {
    let widest = data.columns.iter().map(|column| width(&column.label)).max();
    let widest = widest.unwrap_or(0);
    let fitting = space / (widest + TEXT / 2).max(1);
    let fitting = usize::try_from(fitting).unwrap_or(1).max(1);
    let count = data.columns.len();

    // These steps divide hours and minutes.
    let step = [1, 2, 3, 4, 6, 8, 12, 15, 20, 30]
        .into_iter()
        .find(|step| count.div_ceil(*step) <= fitting);
    let step = step.unwrap_or_else(|| count.div_ceil(fitting));

    // A label that would reach beyond the right edge is left out.
    let end = number(count) - f64::from(widest.saturating_sub(2 * GAP)) / 2.0 / f64::from(space) * number(count);
    let middles = (0..count).step_by(step).map(|column| number(column) + 0.5);
    middles.filter(|middle| *middle <= end).collect()
}

fn label_at(data: &Data, at: f64) -> String {
    let column = data
        .columns
        .iter()
        .enumerate()
        .find(|(place, _)| number(*place) + 1.0 > at);
    column.map(|(_, column)| column.label.clone()).unwrap_or_default()
}

/// The number of horizontal lines. Those of small counts are at whole numbers.
fn values(unit: Unit, most: f64) -> usize {
    let whole = (1..VALUES).find(|count| number(*count) > most);
    match unit {
        Unit::Count => whole.unwrap_or(VALUES),
        Unit::Seconds => VALUES,
    }
}

/// A number of columns, as a place.
#[expect(clippy::cast_precision_loss, reason = "a chart has some hundred columns")]
pub(super) const fn number(columns: usize) -> f64 {
    columns as f64
}

#[cfg(test)]
mod tests {
    use super::super::Column;
    use super::*;

    fn check(columns: usize, space: u32, expected: &[f64]) {
        let column = |_| Column::time("2026-12-01T10:00:00.000Z");
        let data = Data {
            title: "",
            description: String::new(),
            nothing: "",
            column: "",
            columns: (0..columns).map(column).collect(),
            series: Vec::new(),
            unit: Unit::Count,
        };
        assert_eq!(labelled(&data, space), expected);
    }

    #[test]
    fn as_many_columns_have_a_label_as_there_is_space_for() {
        check(3, 1100, &[0.5, 1.5, 2.5]);
        check(24, 1100, &[0.5, 4.5, 8.5, 12.5, 16.5, 20.5]);
        check(60, 1100, &[0.5, 12.5, 24.5, 36.5, 48.5]);
        check(24, 400, &[0.5, 12.5]);
    }

    #[test]
    fn a_label_does_not_reach_beyond_the_edge() {
        check(25, 1100, &[0.5, 6.5, 12.5, 18.5]);
    }
}
