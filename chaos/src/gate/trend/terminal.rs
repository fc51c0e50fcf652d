//! What the command line says about the trend. The text carries colour codes; a stream of `anstream` takes
//! them out where they are not wanted.

use std::fmt::Display;

use anstyle::{AnsiColor, Style};

use super::series::{Benchmark, Change, Class, Series, Trend};
use crate::report::number;

const STRONG: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();
const WORSE: Style = AnsiColor::Red.on_default().bold();
const BETTER: Style = AnsiColor::Green.on_default();

/// Each class with its benchmarks, the one that changed last first: its first and last value, and below it every
/// change. Instructions are told where they have changed.
pub fn text(trend: &Trend) -> String {
    let classes: Vec<String> = trend.classes.iter().map(class).collect();
    classes.join("\n")
}

fn class(class: &Class) -> String {
    let width = class.benchmarks.iter().map(|it| it.name.chars().count()).max().unwrap_or(0);
    let mut text = format!("{}  {}\n", styled(STRONG, &class.name), styled(FAINT, span(class)));
    for benchmark in &class.benchmarks {
        text.push_str(&lines(benchmark, width));
    }
    text.push_str(&conclusion(class));
    text.push('\n');
    text
}

/// `60 runs, 2026-09-24 to 2026-11-22`.
pub(super) fn span(class: &Class) -> String {
    let runs = number::counted(class.runs.len() as u64, "run");
    match (class.runs.first(), class.runs.last()) {
        (Some(first), Some(last)) => format!("{runs}, {} to {}", first.date(), last.date()),
        _ => runs,
    }
}

/// `2 of 14 benchmarks changed`.
pub(super) fn conclusion(class: &Class) -> String {
    let all = number::counted(class.benchmarks.len() as u64, "benchmark");
    match class.changed() {
        0 => format!("none of {all} changed"),
        changed => format!("{changed} of {all} changed"),
    }
}

fn lines(benchmark: &Benchmark, width: usize) -> String {
    let told = benchmark
        .series()
        .filter(|series| *series == &benchmark.time || series.last_change().is_some());
    let lines = told.flat_map(|series| {
        let changes = series.changes.iter().rev().map(|change| change_line(series, change));
        [series_line(&benchmark.name, width, series)].into_iter().chain(changes)
    });
    lines.collect()
}

/// `WORSE   pool/acquire/8  p10  501 ns -> 549 ns`: the first and the last value.
fn series_line(name: &str, width: usize, series: &Series) -> String {
    let (style, word) = match series.last_change() {
        Some(change) if change.is_worse() => (WORSE, "WORSE"),
        Some(_) => (BETTER, "BETTER"),
        None if series.is_short() => (FAINT, "too few"),
        None => (FAINT, "steady"),
    };
    let ends = series.ends().map_or_else(String::new, |(first, last)| {
        format!("{} -> {}", series.statistic.show(first), series.statistic.show(last))
    });
    let word = styled(style, format_args!("{word:7}"));
    let statistic = styled(FAINT, format_args!("{:12}", series.statistic.name()));
    format!("{word} {name:width$}  {statistic}  {ends}\n")
}

/// `2026-11-10  3f2a91c  504 ns -> 553 ns  +9.9 %  p 2e-12`.
fn change_line(series: &Series, change: &Change) -> String {
    let Change { run, point, .. } = change;
    let style = if change.is_worse() { WORSE } else { BETTER };
    format!(
        "          {}  {}  {} -> {}  {}  {}\n",
        run.date(),
        run.short(),
        series.statistic.show(point.before),
        series.statistic.show(point.after),
        styled(style, change.percent()),
        styled(FAINT, format_args!("p {}", change.p())),
    )
}

fn styled(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn check(name: &str, trend: &Trend) {
        let plain = anstream::adapter::strip_str(&text(trend)).to_string();
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(name, plain);
        });
    }

    #[test]
    fn it_reads_like_this() {
        check("terminal", &Trend::of(&sample::rows()));
    }

    #[test]
    fn few_runs_and_several_classes_read_like_this() {
        let mut rows = sample::rows();
        rows.retain(|row| row.benchmark.starts_with("pool/acquire") && row.instructions.is_some());
        rows.drain(..2 * 51);
        for row in rows.iter_mut().take(6) {
            row.class = "aarch64-elsewhere".to_owned();
        }
        check("terminal_few", &Trend::of(&rows));
    }
}
