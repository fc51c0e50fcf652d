//! What the command line says about runs, for people. All texts carry colour codes; a stream of `anstream`
//! takes them out where they are not wanted.

use std::fmt::Display;
use std::path::Path;

use anstyle::{AnsiColor, Style};

use super::model::{Assertion, Report, Verdict};
use super::{number, outcome, text};

const STRONG: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();

/// One run: a headline, every assertion that is not a pass and why (all with `verbose` and of a repeat), where its page is,
/// and how to run it again unless it passed. `page` is the path of `report.html`, if it was written.
pub fn run(report: &Report, page: Option<&Path>, verbose: bool) -> String {
    let mut lines = vec![headline(report)];
    lines.extend(report.reason.as_deref().map(|reason| format!("     {}", text::one_line(reason))));
    // A run that passes although a promise does not hold is one that had to end so.
    let is_told = |it: &&Assertion| {
        verbose
            || report.is_of_runs()
            || (it.verdict != Verdict::Pass && report.verdict != Verdict::Pass)
    };
    let told = report.assertions.iter().filter(is_told);
    lines.extend(told.map(assertion));
    lines.extend(page.map(|page| said("report", &page.display().to_string())));
    if report.verdict != Verdict::Pass {
        lines.push(said("again", &report.rerun));
    }
    lines.join("\n") + "\n"
}

/// The end of a command: what repeated runs show, and as the last line
/// `N passed, N failed, N inconclusive, N skipped`, with errors if there were any.
pub fn conclusion(reports: &[Report]) -> String {
    let mut lines: Vec<_> = outcome::repeats(reports).iter().map(ToString::to_string).collect();
    let counted = [
        (Verdict::Pass, "passed"),
        (Verdict::Fail, "failed"),
        (Verdict::Inconclusive, "inconclusive"),
        (Verdict::Skipped, "skipped"),
        (Verdict::Error, "errors"),
    ];
    let counts = counted.into_iter().filter_map(|(verdict, word)| {
        let count = reports.iter().filter(|report| report.verdict == verdict).count();
        let told = count > 0 || verdict != Verdict::Error;
        let word = if verdict == Verdict::Error && count == 1 { "error" } else { word };
        let style = if count > 0 { style(verdict) } else { Style::new() };
        told.then(|| styled(style, format_args!("{count} {word}")))
    });
    lines.push(counts.collect::<Vec<_>>().join(", "));
    lines.join("\n") + "\n"
}

/// `PASS outage-recovery  41.2 s  seed 42  outage 23.4s  container`.
fn headline(report: &Report) -> String {
    // All runs together are judged in no time.
    let length = match report.runs.len() {
        0 => number::seconds(report.wall_s),
        runs => format!("{runs} runs"),
    };
    let mut facts = vec![length, format!("seed {}", report.seed)];
    if !report.drawn.is_empty() {
        facts.push(text::one_line(&report.draws()));
    }
    if !report.environment.provider.is_empty() {
        facts.push(text::one_line(&report.environment.provider));
    }
    let name = styled(STRONG, text::one_line(&report.scenario));
    let word = styled(style(report.verdict), word(report.verdict));
    format!("{word} {name}  {}", styled(FAINT, facts.join("  ")))
}

fn assertion(assertion: &Assertion) -> String {
    let Assertion { group, text: promise, verdict, actual, samples, because, note: _ } = assertion;
    let mut line = format!(
        "     {} {} {}",
        // As wide as the longest word.
        styled(style(*verdict), format_args!("{:12}", word(*verdict))),
        styled(FAINT, format_args!("{:13}", group.as_str().replace('_', " "))),
        text::one_line(promise)
    );
    let mut figures: Vec<_> = actual.iter().map(|it| text::one_line(it)).collect();
    figures.extend(samples.map(|samples| number::counted(samples, "sample")));
    if !figures.is_empty() {
        line.push_str(&styled(FAINT, format_args!("  [{}]", figures.join(", "))));
    }
    // How sure a pass is does not matter here; why something is none does.
    if let Some(because) = because.as_deref().filter(|_| *verdict != Verdict::Pass) {
        line.push_str("\n          ");
        line.push_str(&text::one_line(because));
    }
    line
}

fn said(what: &str, value: &str) -> String {
    format!("     {} {}", styled(FAINT, format_args!("{what:6}")), text::one_line(value))
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "PASS",
        Verdict::Skipped => "SKIPPED",
        Verdict::Inconclusive => "INCONCLUSIVE",
        Verdict::Fail => "FAIL",
        Verdict::Error => "ERROR",
    }
}

fn style(verdict: Verdict) -> Style {
    match verdict {
        Verdict::Pass => AnsiColor::Green.on_default(),
        Verdict::Skipped => AnsiColor::Cyan.on_default(),
        Verdict::Inconclusive => AnsiColor::Yellow.on_default(),
        Verdict::Fail | Verdict::Error => AnsiColor::Red.on_default().bold(),
    }
}

fn styled(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn check(name: &str, text: &str) {
        let plain = anstream::adapter::strip_str(text).to_string();
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(name, plain);
        });
    }

    #[test]
    fn runs_read_like_this() {
        let reports = sample::all();
        let page = Path::new("runs/1/report.html");
        let runs: String = reports.iter().map(|report| run(report, Some(page), false)).collect();
        check("terminal", &(runs + &conclusion(&reports)));
        check("terminal_verbose", &run(&sample::report(), None, true));
    }

    #[test]
    fn what_was_drawn_is_in_the_headline() {
        let drawn = [("outage", "23.4s"), ("size", "5")];
        let drawn = drawn.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let text = run(&Report { drawn, ..sample::report() }, None, false);
        let plain = anstream::adapter::strip_str(&text).to_string();
        assert!(plain.contains("  seed 42  outage 23.4s, size 5  container\n"), "{plain}");
    }

    #[test]
    fn repeats_are_summed_up() {
        check("terminal_repeats", &conclusion(&[sample::report(), sample::report()]));
    }

    #[test]
    fn all_runs_together_read_like_this() {
        let mut together = sample::together();
        let failed = run(&together, Some(Path::new("runs/1/report.html")), false);
        together.verdict = Verdict::Pass;
        together.assertions[0].verdict = Verdict::Pass;
        let reports = [sample::report(), sample::report(), together];
        check(
            "terminal_together",
            &(failed + &run(&reports[2], None, false) + &conclusion(&reports)),
        );
    }

    #[test]
    fn a_message_cannot_colour_the_terminal() {
        let report = Report {
            reason: Some("\u{1b}[31mred\nand a second line".to_owned()),
            verdict: Verdict::Error,
            ..sample::report()
        };
        let text = run(&report, None, false);
        assert!(text.contains("     [31mred and a second line\n"), "{text}");
    }
}
