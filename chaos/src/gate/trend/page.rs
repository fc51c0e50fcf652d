//! The trend as a page that needs nothing but itself: no scripts, no requests.

use std::cmp::Reverse;

use super::detect::{MAX_P, MIN_CHANGE, MIN_RUNS};
use super::drawing::{sized, svg};
use super::series::{Benchmark, Change, Class, Run, Series, Statistic, Trend};
use super::terminal::{conclusion, span};
use crate::report::html::escape::{Escaped, put};
use crate::report::html::table::Table;
use crate::report::html::{document, pairs};
use crate::report::number;

/// What this page has beside the style of all pages.
const STYLE: &str = include_str!("style.css");
/// How many changes are shown at once.
const SHOWN: usize = 12;
/// What the inks mean.
const LEGEND: &str = "<ul class=\"legend\">\
    <li><svg class=\"swatch\" viewBox=\"0 0 280 120\" aria-hidden=\"true\">\
    <circle class=\"f-four\" cx=\"140\" cy=\"60\" r=\"30\"/></svg>a run</li>\
    <li><svg class=\"swatch\" viewBox=\"0 0 280 120\" aria-hidden=\"true\">\
    <path class=\"s-one\" d=\"M0 60H280\" stroke-width=\"24\"/></svg>the mean of a level</li>\
    <li><svg class=\"swatch\" viewBox=\"0 0 280 120\" aria-hidden=\"true\">\
    <path class=\"s-worse\" d=\"M140 0V120\" stroke-width=\"16\"/></svg>▲ a change for the worse</li>\
    <li><svg class=\"swatch\" viewBox=\"0 0 280 120\" aria-hidden=\"true\">\
    <path class=\"s-better\" d=\"M140 0V120\" stroke-width=\"16\"/></svg>▼ one for the better</li></ul>\n";

/// The page: what changed, in a sentence and as a table, and a drawing for each benchmark, the one that
/// changed last first.
pub fn page(trend: &Trend) -> String {
    let mut text =
        "<header>\n<div>\n<h1>Trend of the benchmarks</h1>\n</div>\n</header>\n".to_owned();
    for (position, class) in trend.classes.iter().enumerate() {
        if trend.classes.len() > 1 {
            put(
                &mut text,
                format_args!("<h2 class=\"class\"><code>{}</code></h2>\n", Escaped(&class.name)),
            );
        }
        text.push_str(&class_section(class, position));
    }
    if trend.classes.is_empty() {
        text.push_str("<p class=\"story\">No run was measured yet.</p>\n");
    }
    document("Trend of the benchmarks", STYLE, &text)
}

fn class_section(class: &Class, position: usize) -> String {
    let mut text = format!("<p class=\"story\">{}</p>\n", Escaped(story(class)));
    let mut rows = vec![("Measured", span(class))];
    if let Some(Run { at, revision }) = class.runs.last() {
        rows.push(("Last run", format!("{} UTC", at.format("%F %R"))));
        rows.push(("Its revision", format!("<code>{}</code>", Escaped(revision))));
    }
    rows.push(("Machine and build", format!("<code>{}</code>", Escaped(&class.name))));
    text.push_str(&pairs("run", &rows));
    text.push_str(&changes(class, position));
    text.push_str("<section>\n<h2>From run to run</h2>\n");
    text.push_str(LEGEND);
    put(
        &mut text,
        format_args!(
            "<p class=\"faint\">Below each drawing: days and revisions. p10 is what a tenth of the samples stays \
             below; instructions are drawn where they have changed. A change is of {} at least, lasts \
             {MIN_RUNS} runs at least, and has p &lt; {MAX_P} in Student's and in Welch's t-test.</p>\n",
            number::share(number::whole(MIN_CHANGE * 100.0), 100),
        ),
    );
    text.push_str("<div class=\"benchmarks\">\n");
    for (number, benchmark) in class.benchmarks.iter().enumerate() {
        text.push_str(&figure(benchmark, &class.runs, &anchor(position, number)));
    }
    text.push_str("</div>\n</section>\n");
    text
}

/// A change, with the benchmark by its position, and the series.
type Changed<'a> = (usize, &'a Benchmark, &'a Series, &'a Change);

/// What changed, the newest change first, and what is old folded away.
fn changes(class: &Class, position: usize) -> String {
    let mut all: Vec<Changed<'_>> = Vec::new();
    for (number, benchmark) in class.benchmarks.iter().enumerate() {
        for series in benchmark.series() {
            all.extend(series.changes.iter().map(|change| (number, benchmark, series, change)));
        }
    }
    all.sort_by_key(|(.., change)| Reverse(change.position));
    let (new, old) = all.split_at(all.len().min(SHOWN));
    if new.is_empty() {
        return String::new();
    }
    let mut text = format!("<section>\n<h2>Changes</h2>\n{}", change_table(new, position));
    if !old.is_empty() {
        let title = number::counted(old.len() as u64, "earlier change");
        let table = change_table(old, position);
        put(&mut text, format_args!("<details>\n<summary>{title}</summary>\n{table}</details>\n"));
    }
    text.push_str("</section>\n");
    text
}

fn change_table(changes: &[Changed<'_>], position: usize) -> String {
    let head = ["Since", "Benchmark", "Change", "Before", "After", "Statistic", "Revision", "p"];
    let mut text =
        "<div class=\"scroll\"><table class=\"figures changes\">\n<thead><tr>".to_owned();
    for name in head {
        put(&mut text, format_args!("<th scope=\"col\">{name}</th>"));
    }
    text.push_str("</tr></thead>\n<tbody>\n");
    for (number, benchmark, series, change) in changes {
        let statistic = &series.statistic;
        put(
            &mut text,
            format_args!(
                "<tr class=\"{}\"><th scope=\"row\">{}</th><td><a href=\"#{}\"><code>{}</code></a></td>\
                 <td class=\"is\">{}</td><td>{}</td><td>{}</td><td>{}</td><td><code>{}</code></td>\
                 <td>{}</td></tr>\n",
                kind(Some(change)),
                change.run.date(),
                anchor(position, *number),
                Escaped(&benchmark.name),
                sized(change),
                Escaped(statistic.show(change.point.before)),
                Escaped(statistic.show(change.point.after)),
                statistic.name(),
                Escaped(change.run.short()),
                Escaped(change.p()),
            ),
        );
    }
    text.push_str("</tbody>\n</table></div>\n");
    text
}

/// One benchmark: how it is, how it went, and all that was measured.
fn figure(benchmark: &Benchmark, runs: &[Run], anchor: &str) -> String {
    let last = benchmark.last_change();
    let state = match last {
        Some((_, change)) => {
            format!("<span class=\"is\">{}</span>", sized(change))
        }
        None if benchmark.time.is_short() => "<span class=\"faint\">too few runs</span>".to_owned(),
        None => "<span class=\"faint\">steady</span>".to_owned(),
    };
    let now = benchmark.time.ends().map(|(_, last)| benchmark.time.statistic.show(last));
    let mut text = format!(
        "<figure id=\"{anchor}\" class=\"{}\">\n<figcaption><h3><code>{}</code></h3>\n\
         <p><strong>{}</strong> {state}</p></figcaption>\n",
        kind(last.map(|(_, change)| change)),
        Escaped(&benchmark.name),
        Escaped(now.unwrap_or_default()),
    );
    for series in benchmark.series() {
        let is_time = *series == benchmark.time;
        if is_time || series.last_change().is_some() {
            text.push_str(&svg(series, &benchmark.name, runs));
        }
    }
    text.push_str(&measured(benchmark).folded("The same in figures"));
    text.push_str("</figure>\n");
    text
}

/// All that was measured, the last run first.
fn measured(benchmark: &Benchmark) -> Table {
    let mut table = Table::new(["run", "revision", "p10", "median", "mean", "instructions"]);
    let time = |value| benchmark.time.statistic.show(value);
    table.rows.extend(benchmark.rows.iter().rev().map(|(_, row)| {
        let run = Run { at: row.started_at, revision: row.revision.clone() };
        let count = row.instructions.map_or_else(|| "–".to_owned(), number::count);
        let times = [time(row.p10), time(row.median), time(row.mean)];
        [run.date(), run.short().to_owned()].into_iter().chain(times).chain([count]).collect()
    }));
    table
}

/// The class of the style sheet for something that changed last like this.
fn kind(change: Option<&Change>) -> &'static str {
    match change {
        Some(change) if change.is_worse() => "worse",
        Some(_) => "better",
        None => "steady",
    }
}

/// The name of a figure within the page, by the positions of class and benchmark.
fn anchor(class: usize, benchmark: usize) -> String {
    format!("benchmark-{class}-{benchmark}")
}

/// What is to be known first, in a sentence.
fn story(class: &Class) -> String {
    let conclusion = conclusion(class);
    if class.runs.len() < 2 * MIN_RUNS {
        return format!(
            "There are too few runs to tell: a change shows when there are {MIN_RUNS} runs before it and as many after it."
        );
    }
    let Some((name, (series, change))) =
        class.benchmarks.first().and_then(|it| Some((&it.name, it.last_change()?)))
    else {
        return format!("Over all runs, {conclusion}.");
    };
    let Series { statistic, .. } = series;
    let verb = match statistic {
        Statistic::P10 { .. } => "is",
        Statistic::Instructions => "needs",
    };
    format!(
        "Over all runs, {conclusion}. The last change: since {} ({}), {name} {verb} {}, {} → {}.",
        change.run.date(),
        change.run.short(),
        change.phrase(statistic),
        statistic.show(change.point.before),
        statistic.show(change.point.after),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::history::Row;
    use super::super::sample;
    use super::*;

    /// The page without what is the same on all pages, and without drawings and figures.
    fn skeleton(page: &str) -> String {
        let body = page.split_once("</style>\n").unwrap().1;
        let body = without(body, "viewBox=\"0 0 4240", "</svg>");
        without(&body, "<summary>The same in figures</summary>", "</details>")
    }

    /// Puts a mark in the place of everything between two texts, as often as they occur.
    fn without(text: &str, start: &str, end: &str) -> String {
        let mut parts = text.split(start);
        let mut rest = parts.next().unwrap().to_owned();
        for part in parts {
            let (gone, after) = part.split_once(end).unwrap();
            assert!(gone.len() > 100, "there is something: {gone}");
            put(&mut rest, format_args!("{start} … {end}{after}"));
        }
        rest
    }

    fn check(name: &str, page: &str) {
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(name, skeleton(page));
        });
    }

    #[test]
    fn the_page_reads_like_this() {
        check("trend.html", &page(&Trend::of(&sample::rows())));
    }

    #[test]
    fn few_runs_read_like_this() {
        let few = &sample::rows()[..2];
        check("few.html", &page(&Trend::of(few)));
        let empty = page(&Trend::of(&[]));
        assert!(empty.contains("No run was measured yet."), "{empty}");
    }

    #[test]
    fn old_changes_are_folded_away() {
        let mut rows = sample::rows();
        // Every ten nights all gets slower or faster.
        for (number, row) in rows.iter_mut().enumerate() {
            row.p10 *= if number / (14 * 10) % 2 == 0 { 1.0 } else { 1.5 };
        }
        let page = page(&Trend::of(&rows));
        let shown = page.split_once("<h2>Changes</h2>").unwrap().1;
        let (new, rest) = shown.split_once("<details>").unwrap();
        assert_eq!(new.matches("<tr class=").count(), SHOWN);
        let (summary, old) = rest.split_once("</summary>").unwrap();
        let count = old.split_once("</details>").unwrap().0.matches("<tr class=").count();
        assert_eq!(summary.trim(), format!("<summary>{count} earlier changes"));
        assert!(count > 40, "{count}");
    }

    #[test]
    fn it_needs_nothing_but_itself() {
        let page = page(&Trend::of(&sample::rows()));
        for outside in ["http:", "https:", "//", "src=", "url(", "@import", "<script"] {
            assert!(!page.contains(outside), "{outside}");
        }
        let body = page.split_once("</style>").unwrap().1;
        assert_eq!(body.matches("<svg class=\"plot\"").count(), 16);
        assert!(!body.contains("=\"#F"), "a colour that dark mode cannot change");
        for class in ["s-worse", "s-better", "f-worse", "f-better", "s-one", "f-four"] {
            assert!(body.contains(&format!("class=\"{class}\"")), "{class} is used");
            assert!(page.contains(&format!(".{class} {{")), "{class} is in the style sheet");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn any_numbers_have_a_page(
            values in prop::collection::vec(
                prop::num::f64::POSITIVE | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO, 1..16),
            instructions in prop::collection::vec(any::<Option<u64>>(), 16),
        ) {
            let nights = sample::rows().into_iter().filter(|row| row.benchmark == "embed/long");
            let measured = nights.zip(values).zip(instructions);
            let rows: Vec<Row> = measured
                .map(|((row, value), instructions)| Row { p10: value.abs(), instructions, ..row })
                .collect();
            let trend = Trend::of(&rows);
            prop_assert!(page(&trend).contains("<svg class=\"plot\""));
            prop_assert!(super::super::terminal::text(&trend).contains("embed/long"));
        }

        #[test]
        fn no_text_becomes_markup(text in "(\\PC|[<>&'\"]|</title>|<b>){0,20}") {
            let hostile = format!("<img src=x>{text}");
            let rows = sample::rows().into_iter().filter(|row| row.benchmark == "pool/acquire/8");
            let rows: Vec<Row> = rows
                .map(|row| Row {
                    revision: hostile.clone(),
                    class: hostile.clone(),
                    benchmark: hostile.clone(),
                    unit: hostile.clone(),
                    ..row
                })
                .collect();
            let page = page(&Trend::of(&rows));
            prop_assert!(!page.contains("<img"));
            for tag in ["section", "table", "details", "figure", "svg", "dl", "tr", "text", "a"] {
                let opened = page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
                prop_assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{}", tag);
            }
        }
    }
}
