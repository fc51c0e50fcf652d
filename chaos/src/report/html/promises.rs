//! The promises of a run and what became of them.

use super::escape::{Escaped, put};
use super::{mark, word};
use crate::report::model::{Assertion, Verdict};
use crate::report::number;

/// The section with all promises, and in its first line how many of them hold.
pub(super) fn section(assertions: &[Assertion]) -> String {
    if assertions.is_empty() {
        return String::new();
    }
    let mut text = "<section>\n<h2>Promises</h2>\n<p>".to_owned();
    let counts: Vec<_> = Verdict::ALL
        .into_iter()
        .filter_map(|verdict| {
            let count = assertions.iter().filter(|it| it.verdict == verdict).count();
            (count > 0).then(|| format!("{count} {}", said(verdict, count)))
        })
        .collect();
    text.push_str(&counts.join(", "));
    text.push_str(".</p>\n<table class=\"promises\">\n<thead><tr>");
    for head in ["Verdict", "Group", "Promise", "Measured", "Samples", "Why"] {
        put(&mut text, format_args!("<th scope=\"col\">{head}</th>"));
    }
    text.push_str("</tr></thead>\n<tbody>\n");
    for assertion in assertions {
        text.push_str(&row(assertion));
    }
    text.push_str("</tbody>\n</table>\n</section>\n");
    text
}

fn row(assertion: &Assertion) -> String {
    let Assertion { group, text: promise, verdict, actual, samples, because, note } = assertion;
    let class = verdict.as_str();
    let mut row = format!(
        "<tr class=\"{class}\"><td class=\"is\"><span aria-hidden=\"true\">{}</span> {}</td>\
         <td class=\"group\">{}</td><th scope=\"row\">{}",
        mark(*verdict),
        word(*verdict),
        group.as_str().replace('_', " "),
        Escaped(promise)
    );
    if let Some(note) = note {
        put(&mut row, format_args!("<small>{}</small>", Escaped(note)));
    }
    row.push_str("</th>");
    let samples = samples.map(number::count);
    let cells = [("Measured", actual), ("Samples", &samples), ("Why", because)];
    for (name, value) in cells {
        let value = value.as_deref().unwrap_or_default();
        put(&mut row, format_args!("<td data-name=\"{name}\">{}</td>", Escaped(value)));
    }
    row.push_str("</tr>\n");
    row
}

fn said(verdict: Verdict, count: usize) -> &'static str {
    match verdict {
        Verdict::Pass if count == 1 => "holds",
        Verdict::Pass => "hold",
        Verdict::Skipped => "skipped",
        Verdict::Inconclusive => "inconclusive",
        Verdict::Fail => "broken",
        Verdict::Error => "could not be checked",
    }
}
