//! What lines and areas are drawn with: classes of the page's style sheet instead of colours.

use plotters::style::RGBColor;

use crate::report::html::escape::Escaped;

/// What something is drawn with. Its colour and dashes are in the style sheet, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ink {
    /// Text.
    Text,
    /// Text that matters less.
    Faint,
    /// Lines at the ticks.
    Grid,
    /// Lines between them.
    Light,
    /// The axes.
    Frame,
    /// The time in which a fault was in force.
    Shade,
    /// The bar of a fault.
    Fault,
    /// Text on that bar.
    OnFault,
    /// The border between two phases.
    Border,
    /// The first kind of a drawing: the median, successes, all connections, the steady phase.
    One,
    /// The second kind.
    Two,
    /// The third kind.
    Three,
    /// The fourth kind.
    Four,
    /// The fifth kind.
    Five,
    /// A change for the worse.
    Worse,
    /// A change for the better.
    Better,
}

impl Ink {
    const ALL: [Self; 16] = [
        Self::Text,
        Self::Faint,
        Self::Grid,
        Self::Light,
        Self::Frame,
        Self::Shade,
        Self::Fault,
        Self::OnFault,
        Self::Border,
        Self::One,
        Self::Two,
        Self::Three,
        Self::Four,
        Self::Five,
        Self::Worse,
        Self::Better,
    ];

    /// The name in the style sheet, where `s-` makes it a stroke and `f-` a filling.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Faint => "faint",
            Self::Grid => "grid",
            Self::Light => "light",
            Self::Frame => "frame",
            Self::Shade => "shade",
            Self::Fault => "fault",
            Self::OnFault => "on-fault",
            Self::Border => "border",
            Self::One => "one",
            Self::Two => "two",
            Self::Three => "three",
            Self::Four => "four",
            Self::Five => "five",
            Self::Worse => "worse",
            Self::Better => "better",
        }
    }

    /// The colour that stands for it until [`styled`] puts the class in its place.
    pub(crate) fn color(self) -> RGBColor {
        RGBColor(0xF0, 0x0D, self as u8)
    }
}

/// The drawing with classes for colours, a label, and without what the style sheet says anyway.
pub(crate) fn styled(svg: &str, class: &str, label: &str) -> String {
    let mut text = svg.to_owned();
    for ink in Ink::ALL {
        let RGBColor(r, g, b) = ink.color();
        let name = ink.name();
        for (attribute, prefix) in [("stroke", "s"), ("fill", "f")] {
            let literal = format!("{attribute}=\"#{r:02X}{g:02X}{b:02X}\"");
            text = text.replace(&literal, &format!("class=\"{prefix}-{name}\""));
        }
    }
    // Text cannot be hit: it has no quotation marks once it is escaped.
    for superfluous in [" opacity=\"1\"", " font-family=\"sans-serif\"", " stroke=\"none\""] {
        text = text.replace(superfluous, "");
    }
    let Some((head, body)) = text.split_once('>') else { return text };
    let view = head.split_once(" viewBox=").map_or("\"0 0 0 0\"", |(_, rest)| rest);
    let view = view.split_once(" xmlns").map_or(view, |(view, _)| view);
    let label = Escaped(label);
    format!("<svg class=\"{class}\" role=\"img\" aria-label=\"{label}\" viewBox={view}>{body}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ink_has_a_colour_of_its_own() {
        for (position, ink) in Ink::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(ink.color().2), position, "{ink:?}");
        }
    }

    #[test]
    fn colours_become_classes() {
        let svg = "<svg width=\"10\" height=\"5\" viewBox=\"0 0 10 5\" xmlns=\"x\">\n\
            <rect fill=\"#F00D06\" stroke=\"none\" opacity=\"1\"/></svg>\n";
        let expected = "<svg class=\"wide\" role=\"img\" aria-label=\"a &lt; b\" viewBox=\"0 0 10 5\">\n\
            <rect class=\"f-fault\"/></svg>\n";
        assert_eq!(styled(svg, "wide", "a < b"), expected);
    }
}
