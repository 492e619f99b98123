//! Charts: pure functions from numbers to markup.
//!
//! The crate `plotters` computes scales, ticks and positions (`docs/decisions/0037-charts.md`). A kind of chart is a
//! file of this folder that draws with it. `Chart` adds the parts that all kinds have: title, description, keys, values
//! on hover and focus, and the numbers as a table.

mod bars;
mod columns;
mod lines;
mod strip;
mod svg;

use askama::Template;
use askama::filters::HtmlSafe;

use self::columns::Drawing;
pub(super) use self::strip::Strip;
pub(super) use self::svg::Ink;
use super::parts::duration;

/// The numbers of a chart: a value of each series for each column.
pub(super) struct Data {
    pub(super) title: &'static str,

    /// A sentence that says which numbers these are.
    pub(super) description: String,

    /// Shown if there are no values.
    pub(super) nothing: &'static str,

    /// Name of a column, such as "Hour".
    pub(super) column: &'static str,
    pub(super) columns: Vec<Column>,
    pub(super) series: Vec<Series>,
    pub(super) unit: Unit,
}

/// A column, such as an hour.
pub(super) struct Column {
    /// Short text at the axis.
    pub(super) label: String,

    /// Text in the table.
    pub(super) name: String,
}

/// Values that belong together.
pub(super) struct Series {
    pub(super) name: &'static str,
    pub(super) ink: Ink,

    /// A value for each column. None if it is not known.
    pub(super) values: Vec<Option<f64>>,
}

/// The unit of values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unit {
    Count,
    Seconds,
}

impl Unit {
    /// A value with its unit.
    fn words(self, value: f64) -> String {
        match self {
            Self::Count => format!("{value:.0}"),
            Self::Seconds if value == 0.0 => "0".to_owned(),
            Self::Seconds => duration(value),
        }
    }
}

impl Column {
    /// A time of the API, such as `2026-12-01T10:00:00.000Z`: hour and minute at the axis, and the exact time in the
    /// table.
    pub(super) fn time(at: &str) -> Self {
        let label = at.get(11..16).unwrap_or(at).to_owned();
        let name = at.get(..16).unwrap_or(at).replace('T', " ");
        Self { label, name }
    }
}

impl Series {
    /// Counts, which are known for each column.
    pub(super) fn counts(name: &'static str, ink: Ink, counts: impl Iterator<Item = Option<u64>>) -> Self {
        Self {
            name,
            ink,
            values: counts.map(|count| count.map(number)).collect(),
        }
    }
}

impl Data {
    /// The values of a column.
    fn values(&self, column: usize) -> impl Iterator<Item = Option<f64>> {
        let value = move |series: &Series| series.values.get(column).copied().flatten();
        self.series.iter().map(value)
    }

    /// True if a column has a value.
    fn is_busy(&self, column: usize) -> bool {
        self.values(column).flatten().any(|value| value > 0.0)
    }

    /// Stacked bars.
    pub(super) fn bars(self) -> Chart {
        Chart::new(self, Shape::Bars)
    }

    /// Lines with gaps where values are missing.
    pub(super) fn lines(self) -> Chart {
        Chart::new(self, Shape::Lines)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shape {
    Bars,
    Lines,
}

/// A chart with its title, keys and numbers.
#[derive(Template)]
#[template(path = "ui/charts/chart.html")]
pub(super) struct Chart {
    data: Data,
    shape: Shape,

    /// None if there are no values.
    picture: Option<String>,
    spots: Vec<Spot>,
    rows: Vec<Row>,
}

impl HtmlSafe for Chart {}

/// The area of a column, with its values as a text that appears on hover and on focus.
struct Spot {
    area: String,
    words: String,
}

/// A row of the table.
struct Row {
    name: String,
    values: Vec<String>,
}

impl Chart {
    fn new(data: Data, shape: Shape) -> Self {
        let busy: Vec<usize> = (0..data.columns.len()).filter(|column| data.is_busy(*column)).collect();
        let drawing = match shape {
            _ if busy.is_empty() => None,
            Shape::Bars => bars::draw(&data),
            Shape::Lines => lines::draw(&data),
        };

        let Drawing { markup, mut areas } = drawing.unwrap_or_default();
        let spot = |column: &usize| {
            let area = areas.get_mut(*column).map(std::mem::take)?;
            let words = words(&data, *column);
            Some(Spot { area, words })
        };

        Self {
            spots: busy.iter().filter_map(spot).collect(),
            rows: busy.iter().map(|column| row(&data, *column)).collect(),
            picture: (!markup.is_empty()).then_some(markup),
            shape,
            data,
        }
    }

    /// The view box of all charts.
    fn view(&self) -> String {
        format!("0 0 {} {}", svg::WIDTH, svg::HEIGHT)
    }

    /// The name of the picture for people who do not see it.
    fn name(&self) -> String {
        let kind = match self.shape {
            Shape::Bars => "Bar chart",
            Shape::Lines => "Line chart",
        };
        format!("{kind}: {}. {}", self.data.title, self.data.description)
    }

    /// Whether columns without values are left out of the table.
    fn is_partial(&self) -> bool {
        self.rows.len() < self.data.columns.len()
    }
}

/// The values of a column in words, such as "10:00: Delivered 3, Failed 1".
fn words(data: &Data, column: usize) -> String {
    let values = data.series.iter().zip(data.values(column));
    let known = values.filter_map(|(series, value)| Some(format!("{} {}", series.name, data.unit.words(value?))));
    let known: Vec<_> = known.collect();
    format!("{}: {}", data.columns[column].label, known.join(", "))
}

fn row(data: &Data, column: usize) -> Row {
    let values = data.values(column);
    let words = values.map(|value| value.map_or_else(|| "–".to_owned(), |value| data.unit.words(value)));
    Row {
        name: data.columns[column].name.clone(),
        values: words.collect(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a chart are far below 2^52")]
const fn number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(values: Vec<Option<f64>>, unit: Unit) -> Data {
        let column = |hour: usize| Column::time(&format!("2026-12-01T{hour:02}:00:00.000Z"));
        Data {
            title: "Attempts",
            description: "Attempts by hour".to_owned(),
            nothing: "No attempts",
            column: "Hour",
            columns: (0..values.len()).map(column).collect(),
            series: vec![Series {
                name: "Delivered",
                ink: Ink::Good,
                values,
            }],
            unit,
        }
    }

    #[test]
    fn only_columns_with_values_are_in_the_list_and_in_the_table() {
        let chart = data(vec![Some(3.0), Some(0.0), None, Some(1.0)], Unit::Count).bars();
        let words: Vec<_> = chart.spots.iter().map(|spot| spot.words.as_str()).collect();
        assert_eq!(words, ["00:00: Delivered 3", "03:00: Delivered 1"]);
        assert_eq!(chart.rows[1].name, "2026-12-01 03:00");
        assert!(chart.is_partial());
    }

    #[test]
    fn a_chart_without_values_says_so() {
        let shown = data(vec![None, Some(0.0)], Unit::Count).lines().to_string();
        assert!(shown.contains("No attempts") && !shown.contains("<svg"), "{shown}");
    }

    #[test]
    fn small_counts_have_whole_numbers_at_the_axis() {
        for most in [1.0, 2.0, 3.0, 7.0] {
            let picture = data(vec![Some(most)], Unit::Count).bars().picture.expect("drawn");
            let texts = picture
                .split("<text")
                .skip(1)
                .filter_map(|text| text.split(['>', '<']).nth(1));
            let texts: Vec<_> = texts.collect();
            let mut single = texts.clone();
            single.dedup();
            assert_eq!(texts, single, "each number once");
        }
    }

    #[test]
    fn markup_has_no_styles_and_texts_are_escaped() {
        let mut hostile = data(vec![Some(0.5), Some(0.25)], Unit::Seconds);
        hostile.columns[0] = Column {
            label: "<b>\"".to_owned(),
            name: "<i>".to_owned(),
        };
        let shown = hostile.lines().to_string();
        assert!(!shown.contains("style=") && !shown.contains("<style"), "{shown}");
        assert!(!shown.contains("<b>") && !shown.contains("<i>"), "{shown}");
    }
}
