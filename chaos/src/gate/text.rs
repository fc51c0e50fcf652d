//! What people and workflows read: the terminal, Markdown, and annotations of GitHub.

use anstyle::{AnsiColor, Style};

use super::accept::Accepted;
use super::baseline::{Baseline, Kind};
use super::model::{Against, GateReport, Presence, Row, Slowdown, Verdict, percent, range};
use super::proof::Proof;
use super::run::short;
use super::screen::{Finding, Screening};
use crate::report::github;

const STRONG: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();

/// The columns of a row but its verdict.
const COLUMNS: [&str; 4] = ["", "screen", "proof", "instructions"];

/// The report for a terminal: a headline, one line for each comparison, the reason of each that did not pass,
/// and as the last line `N passed, N regressions, N inconclusive, N skipped`.
pub fn terminal(report: &GateReport) -> String {
    let mut lines = vec![headline(report)];
    lines.extend(report.slowdown.map(|slowdown| format!("     {}", injected(slowdown))));
    let cells: Vec<[String; 4]> = report.rows.iter().map(cells).collect();
    let width = |column: usize| {
        let widest = cells.iter().filter_map(|row| row.get(column));
        let widest = widest.map(|cell| cell.chars().count()).max().unwrap_or_default();
        widest.max(COLUMNS.get(column).map_or(0, |title| title.len()))
    };
    let widths = [0, 1, 2, 3].map(width);
    let laid_out = |cells: [&str; 4]| {
        let cells = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    if !cells.is_empty() {
        lines.push(styled(FAINT, &format!("     {:12}  {}", "", laid_out(COLUMNS))));
    }
    for (row, cells) in report.rows.iter().zip(&cells) {
        let word = styled(style(row.verdict), &format!("{:12}", word(row.verdict)));
        lines.push(format!("     {word}  {}", laid_out(cells.each_ref().map(String::as_str))));
        if row.verdict != Verdict::Pass || row.has_remark() {
            lines.push(format!("          {}", row.because));
        }
    }
    for skipped in &report.skipped {
        let word = styled(AnsiColor::Cyan.on_default(), &format!("{:12}", "SKIPPED"));
        lines.push(format!("     {word}  {}: {}", skipped.what, skipped.reason));
    }
    lines.push(conclusion(report));
    lines.join("\n")
}

/// The report as a table, for the summary of a workflow.
pub fn markdown(report: &GateReport) -> String {
    let mut text = format!("### Performance gate: {}\n\n", word(report.verdict).to_lowercase());
    text.push_str(&format_against(report));
    if let Some(slowdown) = report.slowdown {
        text.push_str(&injected(slowdown));
        text.push('\n');
    }
    text.push_str("\n| | screen | proof | instructions | verdict |\n|---|---|---|---|---|\n");
    for row in &report.rows {
        let [name, screen, proof, instructions] = cells(row).map(|cell| escaped(&cell));
        let verdict = match row.verdict {
            Verdict::Pass if row.has_remark() => format!("pass: {}", escaped(&row.because)),
            Verdict::Pass => "pass".to_owned(),
            verdict @ (Verdict::Inconclusive | Verdict::Regression) => {
                format!("**{}**: {}", word(verdict).to_lowercase(), escaped(&row.because))
            }
        };
        text.extend(
            [&name, &screen, &proof, &instructions, &verdict].map(|cell| format!("| {cell} ")),
        );
        text.push_str("|\n");
    }
    for skipped in &report.skipped {
        let line = format!("- skipped {}: {}\n", skipped.what, skipped.reason);
        text.push_str(&line);
    }
    text
}

/// One annotation for everything that did not pass.
pub fn annotations(report: &GateReport) -> String {
    let annotation = |row: &Row| {
        let level = match row.verdict {
            Verdict::Pass if !row.has_remark() => return None,
            Verdict::Pass => "notice",
            Verdict::Inconclusive => "warning",
            Verdict::Regression => "error",
        };
        let title = format!("{}: {}", row.name, word(row.verdict).to_lowercase());
        Some(github::command(level, &title, &row.because))
    };
    let skipped = |skipped: &super::model::Skipped| {
        github::command("notice", &format!("{} was skipped", skipped.what), &skipped.reason)
    };
    let rows = report.rows.iter().filter_map(annotation);
    rows.chain(report.skipped.iter().map(skipped)).collect()
}

/// What was accepted, and how it differs from what was stored before.
pub fn accepted(accepted: &Accepted) -> String {
    let Accepted { baseline, before, path } = accepted;
    let mut lines = Vec::new();
    for (name, stored) in &baseline.benchmarks {
        let old = before.as_ref().and_then(|before| before.benchmarks.get(name));
        let change = old.map_or_else(
            || "new".to_owned(),
            |old| percent(stored.mean / old.mean * (old.calibration / stored.calibration)),
        );
        lines.push(format!(
            "     {name:24} {:>10}  ± {:4.1} %  {change}",
            time(stored.mean),
            stored.tau * 100.0
        ));
    }
    for (name, stored) in baseline.objectives.values().flatten() {
        let (time, tau) = (time(stored.seconds * 1e9), stored.tau * 100.0);
        lines.push(format!("     {name:48} {time:>10}  ± {tau:4.1} %"));
    }
    let revision = short(&baseline.revision);
    lines.push(format!("accepted {revision} for {}: {}", baseline.class, path.display()));
    lines.join("\n")
}

/// A stored baseline.
pub fn baseline(baseline: &Baseline, kind: Kind) -> String {
    let Baseline { class, revision, accepted_at, benchmarks, objectives, .. } = baseline;
    let title = styled(STRONG, &class.to_string());
    let mut lines = vec![format!("{title}  {kind} {}  accepted {accepted_at}", short(revision))];
    for (name, stored) in benchmarks {
        let counted = stored.instructions.map_or_else(none, |it| format!("{it:.0}"));
        let tau = stored.tau * 100.0;
        lines.push(format!(
            "     {name:24} {:>10}  ± {tau:4.1} %  {counted:>12} instructions",
            time(stored.mean)
        ));
    }
    for (provider, objectives) in objectives {
        for (name, stored) in objectives {
            let (time, tau) = (time(stored.seconds * 1e9), stored.tau * 100.0);
            lines.push(format!("     {name:48} {time:>10}  ± {tau:4.1} %  by {provider}"));
        }
    }
    lines.join("\n")
}

/// A time of so many nanoseconds in three digits.
fn time(nanoseconds: f64) -> String {
    let (value, unit) = match nanoseconds {
        ns if ns < 999.5 => (ns, "ns"),
        ns if ns < 999.5e3 => (ns / 1e3, "µs"),
        ns if ns < 999.5e6 => (ns / 1e6, "ms"),
        ns => (ns / 1e9, "s"),
    };
    let decimals = usize::from(value < 9.995) + usize::from(value < 99.95);
    format!("{value:.decimals$} {unit}")
}

fn headline(report: &GateReport) -> String {
    let word = styled(style(report.verdict), word(report.verdict));
    let facts = format!("{:.0} s  {}", report.wall_s, format_against(report).trim_end());
    format!("{word} {}  {}", styled(STRONG, "gate"), styled(FAINT, &facts))
}

/// What was compared with what, and where.
fn format_against(report: &GateReport) -> String {
    let changes = if report.changed { " with changes" } else { "" };
    let against: Vec<_> = report.against.iter().map(named).collect();
    let class = &report.class;
    let head = short(&report.revision);
    format!("{head}{changes} against {}, on {class}\n", against.join(" and "))
}

fn named(against: &Against) -> String {
    let revision = short(&against.revision);
    match (against.kind, against.stored) {
        (None, _) => revision.to_owned(),
        (Some(kind), true) => format!("the {kind} baseline {revision}"),
        (Some(kind), false) => {
            format!(
                "{revision} of another machine's {kind} baseline (no stored times for this one)"
            )
        }
    }
}

fn injected(slowdown: Slowdown) -> String {
    let Slowdown { wanted, measured, steps } = slowdown;
    let (wanted, measured) = (percent(wanted), percent(measured));
    format!(
        "a slowdown of {wanted} was asked for; injected were {steps} steps, measured as {measured}"
    )
}

fn cells(row: &Row) -> [String; 4] {
    let kind = row.against.filter(|kind| *kind != Kind::Rolling);
    let name = match kind {
        Some(kind) => format!("{} ({kind})", row.name),
        None => row.name.clone(),
    };
    let screen = match row.presence {
        Presence::Both => row.screening.map_or_else(none, screened),
        Presence::New => "new".to_owned(),
        Presence::Gone => "gone".to_owned(),
    };
    let instructions = row.instructions.map_or_else(none, |counts| percent(counts.ratio()));
    [name, screen, row.proof.map_or_else(none, proven), instructions]
}

fn none() -> String {
    "–".to_owned()
}

fn screened(screening: Screening) -> String {
    let ratio = screening.ratio.map(percent).unwrap_or_default();
    let error = screening.sigma.map(|sigma| format!(" ± {:.1}", sigma * 100.0));
    let ratio = ratio + &error.unwrap_or_default();
    match screening.finding {
        Finding::Fine => ratio,
        Finding::Slower => format!("{ratio}, slower?"),
        Finding::UnsteadyBaseline => format!("{ratio}, unsteady baseline"),
        Finding::UnsteadyMachine => format!("{ratio}, unsteady machine"),
        Finding::NoBaseline => "no baseline".to_owned(),
    }
}

fn proven(proof: Proof) -> String {
    let Proof { rounds, p10, .. } = proof;
    format!("{} ({}), {rounds} rounds", percent(p10.ratio), range(p10.low, p10.high))
}

fn conclusion(report: &GateReport) -> String {
    let count = |verdict| report.rows.iter().filter(|row| row.verdict == verdict).count();
    let counted = [
        (Verdict::Pass, "passed"),
        (Verdict::Regression, "regressions"),
        (Verdict::Inconclusive, "inconclusive"),
    ];
    let mut parts: Vec<_> = counted
        .into_iter()
        .map(|(verdict, word)| {
            let (count, style) = (count(verdict), style(verdict));
            let word = if count == 1 { word.trim_end_matches('s') } else { word };
            let text = format!("{count} {word}");
            if count > 0 { styled(style, &text) } else { text }
        })
        .collect();
    parts.push(format!("{} skipped", report.skipped.len()));
    parts.join(", ")
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "PASS",
        Verdict::Inconclusive => "INCONCLUSIVE",
        Verdict::Regression => "REGRESSION",
    }
}

fn style(verdict: Verdict) -> Style {
    match verdict {
        Verdict::Pass => AnsiColor::Green.on_default(),
        Verdict::Inconclusive => AnsiColor::Yellow.on_default(),
        Verdict::Regression => AnsiColor::Red.on_default().bold(),
    }
}

fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// A cell of a Markdown table.
fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn check(name: &str, text: &str) {
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(name, anstream::adapter::strip_str(text).to_string());
        });
    }

    #[test]
    fn a_terminal_shows_what_happened() {
        check("gate_terminal", &terminal(&sample::report()));
        check("gate_terminal_pass", &terminal(&sample::passed()));
    }

    #[test]
    fn a_baseline_shows_what_is_stored() {
        check("gate_baseline", &baseline(&sample::baseline(), Kind::Anchor));
        let now = sample::baseline();
        let mut before = now.clone();
        for stored in before.benchmarks.values_mut() {
            stored.mean *= 0.8;
        }
        let path = "baselines/class/rolling.json".into();
        let done = Accepted { baseline: now, before: Some(before), path };
        check("gate_accepted", &accepted(&done));
        for (nanoseconds, text) in
            [(5.0, "5.00 ns"), (999.6, "1.00 µs"), (212_000.0, "212 µs"), (1.5e9, "1.50 s")]
        {
            assert_eq!(time(nanoseconds), text);
        }
    }

    #[test]
    fn a_table_for_a_summary() {
        check("gate_markdown", &markdown(&sample::report()));
    }

    #[test]
    fn what_did_not_pass_is_annotated() {
        check("gate_github", &annotations(&sample::report()));
        assert_eq!(annotations(&sample::passed()), "");
    }
}
