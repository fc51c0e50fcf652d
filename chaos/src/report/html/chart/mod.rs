//! A drawing as inline SVG. Its colours and dashes are classes of the page's style sheet, so that it follows
//! the page from light to dark; and it is drawn once for wide and once for narrow screens, since text
//! in a drawing that is merely scaled cannot be read on a phone.

mod axis;
mod backdrop;
mod coordinate;
mod ink;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

pub(super) use axis::Scale;
pub(crate) use axis::{multiples, nice};
pub(super) use backdrop::Backdrop;
pub(crate) use backdrop::width;
pub(crate) use ink::{Ink, styled};

use coordinate::Coordinate;

use super::escape::Escaped;

/// Units of a drawing for each pixel of the page: plotters draws at whole numbers only, and lines that are
/// rounded to a pixel look torn.
pub(crate) const UNIT: i32 = 10;
/// What plotters divides a font's size by before it writes it.
const FONT: f64 = 1.24;
/// The size of all text, in pixels.
const TEXT: f64 = 12.0;
/// The height of a line of text, in pixels.
pub(crate) const LINE: i32 = 18;
/// Space on the right, in pixels; half of a label may stand there.
const RIGHT: i32 = 24;

pub(crate) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub(crate) type DrawError = DrawingAreaErrorKind<std::io::Error>;

/// What is drawn over time or over quantiles.
pub(super) struct Chart<'a> {
    /// What a person who cannot see it is told.
    pub(super) label: String,
    /// The horizontal axis.
    pub(super) x: Scale,
    /// The vertical axis.
    pub(super) y: Scale,
    /// What stands at the axes, with units.
    pub(super) titles: (&'a str, &'a str),
    /// Phases and faults behind it.
    pub(super) backdrop: Option<&'a Backdrop>,
    /// What is drawn, the lowest first.
    pub(super) layers: Vec<Layer>,
}

/// One thing in one ink.
pub(super) struct Layer {
    /// The ink.
    pub(super) ink: Ink,
    /// The thing.
    pub(super) shape: Shape,
}

/// Points in the values of the axes.
pub(super) type Points = Vec<(f64, f64)>;

/// A thing that is drawn, in the values of the axes.
pub(super) enum Shape {
    /// A line through points; a single point is a dot.
    Line(Points),
    /// What an outline encloses.
    Area(Points),
}

/// The size of a drawing.
#[derive(Clone, Copy)]
struct Frame {
    class: &'static str,
    width: i32,
    height: i32,
    left: i32,
    x_ticks: usize,
    y_ticks: usize,
}

const WIDE: Frame =
    Frame { class: "wide", width: 920, height: 280, left: 62, x_ticks: 12, y_ticks: 6 };
const NARROW: Frame =
    Frame { class: "narrow", width: 380, height: 260, left: 54, x_ticks: 5, y_ticks: 6 };

impl Chart<'_> {
    /// The drawings for wide and narrow screens, or a sentence about why there is none; the table below
    /// them says the same in any case.
    pub(super) fn svg(&self) -> String {
        let drawings = [WIDE, NARROW].map(|frame| match self.drawn(frame) {
            Ok(svg) => svg,
            Err(error) => {
                format!("<p class=\"{}\">No drawing: {}.</p>\n", frame.class, Escaped(error))
            }
        });
        drawings.concat()
    }

    fn drawn(&self, frame: Frame) -> Result<String, DrawError> {
        let lanes = self.backdrop.map_or(0, Backdrop::lanes);
        // Without lanes the highest label comes near the title.
        let head = LINE * (1 + lanes) + LINE / 2;
        let size = (frame.width * UNIT, (frame.height + head) * UNIT);
        let mut svg = String::new();
        {
            let unsigned = (size.0.unsigned_abs(), size.1.unsigned_abs());
            let root = SVGBackend::with_string(&mut svg, unsigned).into_drawing_area();
            self.draw(&root, frame, head)?;
            root.present()?;
        }
        Ok(styled(&svg, frame.class, &self.label))
    }

    fn draw(&self, root: &Area<'_>, frame: Frame, head: i32) -> Result<(), DrawError> {
        let (bottom, top) = self.y.range();
        let x = Coordinate::new(self.x, frame.x_ticks);
        let y = Coordinate::new(self.y, frame.y_ticks);
        let mut chart = ChartBuilder::on(root)
            .margin_top(head * UNIT)
            .margin_right(RIGHT * UNIT)
            .margin_bottom(LINE * UNIT)
            .x_label_area_size(LINE * UNIT)
            .y_label_area_size(frame.left * UNIT)
            .build_cartesian_2d(x, y)?;
        if let Some(backdrop) = self.backdrop {
            let shades = backdrop.shades().map(|(from, to)| {
                Rectangle::new([(from, bottom), (to, top)], Ink::Shade.color().filled())
            });
            chart.draw_series(shades)?;
        }
        chart
            .configure_mesh()
            .disable_x_mesh()
            .bold_line_style(Ink::Grid.color().stroke_width(unsigned(UNIT)))
            .light_line_style(Ink::Light.color().stroke_width(unsigned(UNIT)))
            .axis_style(Ink::Frame.color().stroke_width(unsigned(UNIT)))
            .set_all_tick_mark_size(4 * UNIT)
            .label_style(label(Ink::Text))
            .x_label_formatter(&|at| self.x.label(*at))
            .y_label_formatter(&|at| self.y.label(*at))
            .draw()?;
        for layer in &self.layers {
            let (color, place) =
                (layer.ink.color(), |&(x, y): &(f64, f64)| (self.x.place(x), self.y.place(y)));
            match &layer.shape {
                Shape::Line(points) if points.len() == 1 => {
                    let dot = |at| Circle::new(at, 2 * UNIT, color.filled());
                    chart.draw_series(points.iter().map(place).map(dot))?;
                }
                Shape::Line(points) => {
                    let line = points.iter().map(place);
                    chart.draw_series(LineSeries::new(
                        line,
                        color.stroke_width(unsigned(2 * UNIT)),
                    ))?;
                }
                Shape::Area(outline) => {
                    let outline: Vec<_> = outline.iter().map(place).collect();
                    chart.draw_series([Polygon::new(outline, color.filled())])?;
                }
            }
        }
        let (columns, rows) = chart.plotting_area().get_pixel_range();
        if let Some(backdrop) = self.backdrop {
            let pixel = |at: f64| chart.backend_coord(&(self.x.place(at), bottom)).0;
            backdrop.draw(root, &columns, &rows, pixel)?;
        }
        self.draw_titles(root, (columns.end, rows.end))
    }

    /// The vertical axis's title above it, the horizontal one's at its end: both lie flat, so that they
    /// can be read.
    fn draw_titles(&self, root: &Area<'_>, (right, bottom): (i32, i32)) -> Result<(), DrawError> {
        let (x, y) = self.titles;
        let y_style = label(Ink::Faint).pos(Pos::new(HPos::Left, VPos::Center));
        root.draw(&Text::new(y.to_owned(), (0, LINE * UNIT / 2), y_style))?;
        let x_style = label(Ink::Faint).pos(Pos::new(HPos::Right, VPos::Center));
        let below = bottom + (2 * LINE - LINE / 2) * UNIT;
        root.draw(&Text::new(x.to_owned(), (right, below), x_style))
    }
}

pub(crate) fn label(ink: Ink) -> TextStyle<'static> {
    let size = TEXT * f64::from(UNIT) * FONT;
    let mut style = TextStyle::from(("sans-serif", size).into_font());
    style.color = ink.color().to_backend_color();
    style
}

pub(crate) fn unsigned(units: i32) -> u32 {
    units.unsigned_abs()
}
