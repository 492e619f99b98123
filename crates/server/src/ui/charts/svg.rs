//! The drawings of `plotters` as SVG. A part has a class instead of a colour, so that the style sheet chooses colours
//! for light and dark pages, and for paper.

use std::convert::Infallible;
use std::fmt::{Display, Write as _};

use askama::filters::{Html, escape};
use plotters::style::RGBColor;
use plotters::style::text_anchor::{HPos, VPos};
use plotters_backend::{BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind};

/// Width and height of a drawing, a quarter of which are the pixels of a narrow page.
pub(super) const WIDTH: u32 = 1280;
pub(super) const HEIGHT: u32 = 664;
/// Size of texts, as in the style sheet.
pub(super) const TEXT: u32 = 46;

type Done = Result<(), DrawingErrorKind<Infallible>>;

/// The meaning of a part. The style sheet has a colour for each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::ui) enum Ink {
    Axis,
    Grid,
    Label,
    Good,
    Bad,
    First,
    Second,
    Third,
}

impl Ink {
    const ALL: [Self; 8] = [
        Self::Axis,
        Self::Grid,
        Self::Label,
        Self::Good,
        Self::Bad,
        Self::First,
        Self::Second,
        Self::Third,
    ];

    /// The class in the style sheet.
    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Axis => "axis",
            Self::Grid => "grid",
            Self::Label => "words",
            Self::Good => "good",
            Self::Bad => "bad",
            Self::First => "first",
            Self::Second => "second",
            Self::Third => "third",
        }
    }

    /// The colour that stands for this ink in `plotters`. `Svg` turns the colour into the class.
    pub(super) const fn color(self) -> RGBColor {
        RGBColor(self as u8, 0, 0)
    }

    fn of(color: BackendColor) -> Self {
        let number = usize::from(color.rgb.0);
        Self::ALL.get(number).copied().unwrap_or(Self::Axis)
    }
}

/// Lines have a stroke, and areas are filled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Line,
    Area,
}

/// A drawing that `plotters` makes. Neighbours of the same ink and kind share a path.
pub(super) struct Svg<'a> {
    markup: &'a mut String,
    open: Option<(Ink, Kind)>,
}

impl<'a> Svg<'a> {
    pub(super) const fn new(markup: &'a mut String) -> Self {
        Self { markup, open: None }
    }

    /// Adds commands to the path of an ink.
    fn path(&mut self, ink: Ink, kind: Kind, commands: impl Display) {
        if self.open != Some((ink, kind)) {
            self.close();
            let word = if kind == Kind::Line { "line" } else { "area" };
            self.add(format_args!(r#"<path class="{word} {}" d=""#, ink.class()));
            self.open = Some((ink, kind));
        }

        self.add(commands);
    }

    fn close(&mut self) {
        if self.open.take().is_some() {
            self.markup.push_str("\"/>");
        }
    }

    fn add(&mut self, text: impl Display) {
        write!(self.markup, "{text}").expect("a string can be written");
    }
}

/// The commands that connect points.
fn commands(points: impl IntoIterator<Item = BackendCoord>) -> String {
    let mut commands = String::new();
    for (number, (x, y)) in points.into_iter().enumerate() {
        let letter = if number == 0 { 'M' } else { 'L' };
        write!(commands, "{letter}{x} {y}").expect("a string can be written");
    }

    commands
}

impl DrawingBackend for Svg<'_> {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        (WIDTH, HEIGHT)
    }

    fn ensure_prepared(&mut self) -> Done {
        Ok(())
    }

    fn present(&mut self) -> Done {
        self.close();
        Ok(())
    }

    fn draw_pixel(&mut self, (x, y): BackendCoord, color: BackendColor) -> Done {
        self.path(Ink::of(color), Kind::Area, format_args!("M{x} {y}h1v1h-1z"));
        Ok(())
    }

    fn draw_line<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S) -> Done {
        self.path(Ink::of(style.color()), Kind::Line, commands([from, to]));
        Ok(())
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        (left, top): BackendCoord,
        (right, bottom): BackendCoord,
        style: &S,
        fill: bool,
    ) -> Done {
        let kind = if fill { Kind::Area } else { Kind::Line };
        let (width, height) = (right - left, bottom - top);
        let commands = format_args!("M{left} {top}h{width}v{height}h-{width}z");
        self.path(Ink::of(style.color()), kind, commands);
        Ok(())
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(&mut self, path: I, style: &S) -> Done {
        self.path(Ink::of(style.color()), Kind::Line, commands(path));
        Ok(())
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(&mut self, corners: I, style: &S) -> Done {
        let commands = commands(corners);
        self.path(Ink::of(style.color()), Kind::Area, format_args!("{commands}z"));
        Ok(())
    }

    fn draw_circle<S: BackendStyle>(&mut self, (x, y): BackendCoord, radius: u32, style: &S, fill: bool) -> Done {
        let kind = if fill { Kind::Area } else { Kind::Line };
        let (left, across) = (x - radius.cast_signed(), 2 * radius);
        let half = format_args!("a{radius} {radius} 0 1 0 {across} 0a{radius} {radius} 0 1 0 -{across} 0");
        self.path(Ink::of(style.color()), kind, format_args!("M{left} {y}{half}"));
        Ok(())
    }

    fn draw_text<S: BackendTextStyle>(&mut self, text: &str, style: &S, (x, y): BackendCoord) -> Done {
        self.close();

        let anchor = style.anchor();
        let across = match anchor.h_pos {
            HPos::Left => "",
            HPos::Center => r#" text-anchor="middle""#,
            HPos::Right => r#" text-anchor="end""#,
        };
        let down = match anchor.v_pos {
            VPos::Top => r#" dy=".8em""#,
            VPos::Center => r#" dy=".35em""#,
            VPos::Bottom => "",
        };
        let text = match escape(text, Html) {
            Ok(text) => text,
            Err(never) => match never {},
        };
        self.add(format_args!(
            r#"<text class="{}" x="{x}" y="{y}"{across}{down}>{text}</text>"#,
            Ink::of(style.color()).class()
        ));
        Ok(())
    }

    fn estimate_text_size<S: BackendTextStyle>(
        &self,
        text: &str,
        _: &S,
    ) -> Result<(u32, u32), DrawingErrorKind<Infallible>> {
        Ok((width(text), TEXT))
    }
}

/// The width of a text, somewhat more than a browser needs.
pub(super) fn width(text: &str) -> u32 {
    let letters = u32::try_from(text.chars().count()).unwrap_or(0);
    letters * TEXT * 3 / 5
}

#[cfg(test)]
mod tests {
    use plotters::drawing::IntoDrawingArea;
    use plotters::element::{Circle, PathElement, Rectangle, Text};
    use plotters::style::{Color, IntoFont};

    use super::*;

    fn drawn(draw: impl FnOnce(&plotters::drawing::DrawingArea<Svg<'_>, plotters::coord::Shift>)) -> String {
        let mut markup = String::new();
        let area = Svg::new(&mut markup).into_drawing_area();
        draw(&area);
        area.present().expect("drawn");
        drop(area);
        markup
    }

    #[test]
    fn neighbours_of_an_ink_share_a_path() {
        let markup = drawn(|area| {
            let good = Ink::Good.color().filled();
            area.draw(&Rectangle::new([(0, 0), (10, 20)], good)).expect("drawn");
            area.draw(&Rectangle::new([(20, 0), (30, 20)], good)).expect("drawn");
            area.draw(&PathElement::new([(0, 0), (5, 6)], Ink::First.color()))
                .expect("drawn");
        });
        let expected = concat!(
            r#"<path class="area good" d="M0 0h10v20h-10zM20 0h10v20h-10z"/>"#,
            r#"<path class="line first" d="M0 0L5 6"/>"#
        );
        assert_eq!(markup, expected);
    }

    #[test]
    fn texts_are_escaped() {
        let markup = drawn(|area| {
            let style = ("sans", TEXT).into_font().color(&Ink::Label.color());
            area.draw(&Text::new("<b>&", (1, 2), style)).expect("drawn");
        });
        assert_eq!(
            markup,
            r##"<text class="words" x="1" y="2" dy=".8em">&#60;b&#62;&#38;</text>"##
        );
    }

    #[test]
    fn a_circle_is_a_part_of_a_path() {
        let markup = drawn(|area| {
            let style = Ink::Bad.color().filled();
            area.draw(&Circle::new((50, 60), 8, style)).expect("drawn");
        });
        assert_eq!(
            markup,
            r#"<path class="area bad" d="M42 60a8 8 0 1 0 16 0a8 8 0 1 0 -16 0"/>"#
        );
    }
}
