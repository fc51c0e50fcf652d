//! Phases and faults behind a drawing over time: a line of phases, a bar for each fault, and a shade below it.

use std::ops::Range;

use plotters::element::{PathElement, Rectangle, Text};
use plotters::style::Color;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{Area, DrawError, Ink, LINE, TEXT, UNIT, label, unsigned};
use crate::report::model::{FaultSpan, PhaseSpan, Report};

/// The most bars of faults; further faults share the last one.
const MAX_LANES: usize = 4;

/// When which phase was and which fault was in force.
pub(in crate::report::html) struct Backdrop {
    phases: Vec<PhaseSpan>,
    lanes: Vec<Lane>,
}

/// Faults on one height.
struct Lane {
    /// The fault that it was made for.
    id: String,
    /// What is written where there is little room.
    short: String,
    /// What is written where there is enough.
    name: String,
    spans: Vec<(f64, f64)>,
}

impl Backdrop {
    /// That of a run.
    pub(in crate::report::html) fn of(report: &Report) -> Self {
        let mut lanes: Vec<Lane> = Vec::new();
        let mut others: Vec<&str> = Vec::new();
        for FaultSpan { id, kind, from_s, to_s } in &report.faults {
            let span = (*from_s, *to_s);
            if let Some(lane) = lanes.iter_mut().find(|lane| lane.id == *id) {
                lane.spans.push(span);
                continue;
            }
            if lanes.len() < MAX_LANES {
                let name = format!("{id} ({kind})");
                lanes.push(Lane { id: id.clone(), short: id.clone(), name, spans: vec![span] });
            } else if let Some(last) = lanes.last_mut() {
                if !others.contains(&id.as_str()) {
                    others.push(id);
                }
                last.name = format!("{} and {} more", last.id, others.len());
                last.short = format!("{} +{}", last.id, others.len());
                last.spans.push(span);
            }
        }
        Self { phases: report.phases.clone(), lanes }
    }

    /// How many lines of text it needs above the drawing.
    pub(super) fn lanes(&self) -> i32 {
        let phases = usize::from(!self.phases.is_empty());
        i32::try_from(self.lanes.len() + phases).unwrap_or(i32::MAX)
    }

    /// When something was broken, every instant once, so that shades do not add up.
    pub(super) fn shades(&self) -> impl Iterator<Item = (f64, f64)> {
        let mut spans: Vec<_> =
            self.lanes.iter().flat_map(|lane| lane.spans.iter().copied()).collect();
        spans.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut merged: Vec<(f64, f64)> = Vec::new();
        for (from, to) in spans {
            match merged.last_mut() {
                Some(last) if from <= last.1 => last.1 = last.1.max(to),
                _ => merged.push((from, to)),
            }
        }
        merged.into_iter()
    }

    /// Draws the lines above the plot and the borders of the phases through it. `columns` and `rows`
    /// are where the plot is, `pixel` is where an instant is.
    pub(super) fn draw(
        &self,
        root: &Area<'_>,
        columns: &Range<i32>,
        rows: &Range<i32>,
        pixel: impl Fn(f64) -> i32,
    ) -> Result<(), DrawError> {
        let mut top = rows.start - self.lanes() * LINE * UNIT;
        if !self.phases.is_empty() {
            for phase in &self.phases {
                let span = (pixel(phase.from_s), pixel(phase.to_s));
                draw_phase(root, phase.phase.as_str(), span, (top, rows.end))?;
            }
            top += LINE * UNIT;
        }
        for lane in &self.lanes {
            let spans = lane.spans.iter().map(|&(from, to)| (pixel(from), pixel(to)));
            draw_lane(root, lane, &spans.collect::<Vec<_>>(), (top, columns))?;
            top += LINE * UNIT;
        }
        Ok(())
    }
}

fn draw_phase(
    root: &Area<'_>,
    name: &str,
    (from, to): (i32, i32),
    (top, bottom): (i32, i32),
) -> Result<(), DrawError> {
    let border = Ink::Border.color().stroke_width(unsigned(UNIT));
    root.draw(&PathElement::new([(from, top), (from, bottom)], border))?;
    if width(name) + 4 * UNIT > to - from {
        return Ok(());
    }
    let style = label(Ink::Faint).pos(Pos::new(HPos::Center, VPos::Center));
    root.draw(&Text::new(name.to_owned(), (i32::midpoint(from, to), top + LINE * UNIT / 2), style))
}

/// The bars, and the name with the kind of the fault where there is room for it: on the bar, behind it or
/// before it; a short bar on a narrow screen bears the name alone.
fn draw_lane(
    root: &Area<'_>,
    lane: &Lane,
    spans: &[(i32, i32)],
    (top, columns): (i32, &Range<i32>),
) -> Result<(), DrawError> {
    for &(from, to) in spans {
        // What is too short to be seen is still there.
        let to = to.max(from + 2 * UNIT);
        let corners = [(from, top + 2 * UNIT), (to, top + (LINE - 2) * UNIT)];
        root.draw(&Rectangle::new(corners, Ink::Fault.color().filled()))?;
    }
    let (Some(&first), Some(&last)) = (spans.first(), spans.last()) else { return Ok(()) };
    let (air, room) = (6 * UNIT, if spans.len() == 1 { first.1 - first.0 } else { 0 });
    let fits = |text: &str, room: i32| width(text) + air < room;
    let on_bar = i32::midpoint(first.0, first.1);
    let after = last.1.max(last.0 + 2 * UNIT) + air;
    let (text, ink, x, anchor) = if fits(&lane.name, room) {
        (&lane.name, Ink::OnFault, on_bar, HPos::Center)
    } else if fits(&lane.short, room) {
        (&lane.short, Ink::OnFault, on_bar, HPos::Center)
    } else if fits(&lane.name, columns.end - last.1) {
        (&lane.name, Ink::Text, after, HPos::Left)
    } else if fits(&lane.name, first.0) {
        (&lane.name, Ink::Text, first.0 - air, HPos::Right)
    } else {
        (&lane.short, Ink::Text, after, HPos::Left)
    };
    let style = label(ink).pos(Pos::new(anchor, VPos::Center));
    // The middle of small letters is above that of all of them.
    let middle = top + LINE * UNIT / 2 + UNIT;
    root.draw(&Text::new(text.clone(), (x, middle), style))
}

/// About how wide a text will be, in units of a drawing.
pub(crate) fn width(text: &str) -> i32 {
    let letters = i32::try_from(text.chars().count()).unwrap_or(i32::MAX / 1_000);
    // Letters of a sans-serif font are about 0.55 of its size, in tenths of a pixel here.
    #[expect(clippy::cast_possible_truncation, reason = "66 fits")]
    let letter = (TEXT * 0.55 * f64::from(UNIT)) as i32;
    letters.saturating_mul(letter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn fault(id: &str, from_s: f64, to_s: f64) -> FaultSpan {
        FaultSpan { id: id.to_owned(), kind: "proxy.cut".to_owned(), from_s, to_s }
    }

    #[test]
    fn faults_beyond_the_last_bar_share_it() {
        let mut report = sample::report();
        report.faults =
            ["a", "b", "a", "c", "d", "e", "f", "e"].map(|id| fault(id, 1.0, 2.0)).into();
        let backdrop = Backdrop::of(&report);
        let lanes: Vec<_> =
            backdrop.lanes.iter().map(|lane| (lane.name.as_str(), lane.spans.len())).collect();
        assert_eq!(
            lanes,
            [("a (proxy.cut)", 2), ("b (proxy.cut)", 1), ("c (proxy.cut)", 1), ("d and 2 more", 4)]
        );
        assert_eq!(backdrop.lanes(), 5);
    }

    #[test]
    fn shades_do_not_overlap() {
        let mut report = sample::report();
        report.faults = vec![
            fault("a", 5.0, 6.0),
            fault("b", 1.0, 3.0),
            fault("c", 2.0, 2.5),
            fault("d", 3.0, 4.0),
        ];
        let shades: Vec<_> = Backdrop::of(&report).shades().collect();
        assert_eq!(shades, [(1.0, 4.0), (5.0, 6.0)]);
    }
}
