//! `report.html`: one page about a run that needs nothing but itself: no scripts, no requests.

pub(crate) mod chart;
pub(crate) mod escape;
mod figure;
mod load;
mod pool;
mod promises;
pub(crate) mod table;

use std::fmt::Display;

use chart::{Backdrop, Scale};
use escape::{Escaped, put};
use table::Table;

use super::model::{Environment, LoadReport, Member, Report, Verdict, draws};
use super::{number, story};

/// The style sheet, which is put into the page.
const STYLE: &str = include_str!("style.css");

/// The page about a run.
pub fn page(report: &Report) -> String {
    let mut text = head(report);
    text.push_str(&promises::section(&report.assertions));
    text.push_str(&members(&report.runs));
    let backdrop = Backdrop::of(report);
    let time = time(report);
    for load in &report.loads {
        text.push_str(&load_section(load, &backdrop, time));
    }
    if !report.pool.is_empty() {
        text.push_str("<section>\n<h2>Pool</h2>\n");
        text.push_str(&pool::over_time(&report.pool, &backdrop, time).html());
        text.push_str("</section>\n");
    }
    text.push_str(&details(report));
    document(&format!("{}: {}", word(report.verdict), report.scenario), "", &text)
}

/// A page with this title and these sections, which may have more style than all pages.
pub(crate) fn document(title: &str, style: &str, sections: &str) -> String {
    let title = Escaped(title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n\
         <link rel=\"icon\" href=\"data:,\">\n\
         <title>{title}</title>\n<style>\n{STYLE}{style}</style>\n</head>\n<body>\n<main>\n\
         {sections}</main>\n</body>\n</html>\n"
    )
}

/// What must be seen first: how it ended, what it was, what happened, how to see it again.
fn head(report: &Report) -> String {
    let Report { scenario, summary, verdict, .. } = report;
    let mut text = format!(
        "<header class=\"{}\">\n<p class=\"verdict\"><span aria-hidden=\"true\">{}</span> {}</p>\n\
         <div>\n<h1>{}</h1>\n<p>{}</p>\n",
        verdict.as_str(),
        mark(*verdict),
        word(*verdict),
        Escaped(scenario),
        Escaped(summary)
    );
    if !report.criteria.is_empty() {
        text.push_str("<ul class=\"criteria\" aria-label=\"Criteria\">");
        for criterion in &report.criteria {
            put(&mut text, format_args!("<li>{}</li>", Escaped(criterion)));
        }
        text.push_str("</ul>\n");
    }
    text.push_str("</div>\n</header>\n");
    put(&mut text, format_args!("<p class=\"story\">{}</p>\n", Escaped(story::tell(report))));
    if let Some(reason) = report.reason.as_ref().filter(|_| !story::is_reason(report)) {
        put(
            &mut text,
            format_args!("<p class=\"reason\"><strong>Why:</strong> {}</p>\n", Escaped(reason)),
        );
    }
    let again = format!("<code>{}</code>", Escaped(&report.rerun));
    let mut rows = vec![
        ("Run", Escaped(&report.run).to_string()),
        ("Began", Escaped(&report.started_at).to_string()),
        match report.runs.len() {
            0 => ("Took", number::seconds(report.wall_s)),
            runs => ("Runs", runs.to_string()),
        },
        ("Seed", format!("<code>{}</code>", report.seed)),
    ];
    if !report.drawn.is_empty() {
        rows.push(("Drawn by it", Escaped(&report.draws()).to_string()));
    }
    rows.push(("Again with", again));
    text.push_str(&pairs("run", &rows));
    text.push_str(&environment(&report.environment));
    text
}

fn environment(environment: &Environment) -> String {
    let Environment {
        server,
        build,
        postgres,
        provider,
        proxy,
        os,
        cpu,
        cpus,
        memory_mib,
        load_average,
    } = environment;
    let processors = match (cpus, cpu.as_str()) {
        (0, cpu) => cpu.to_owned(),
        (cpus, cpu) => format!("{cpus} x {cpu}"),
    };
    let memory = if *memory_mib == 0 { String::new() } else { format!("{memory_mib} MiB") };
    let rows = [
        ("Server", server),
        ("Build", build),
        ("PostgreSQL", postgres),
        ("Provided by", provider),
        ("Fault proxy", proxy),
        ("System", os),
        ("Processor", &processors),
        ("Memory", &memory),
        ("Load average", load_average),
    ];
    let known = rows.iter().filter(|(_, value)| !value.is_empty());
    let rows: Vec<_> = known.map(|(name, value)| (*name, Escaped(value).to_string())).collect();
    if rows.is_empty() {
        return String::new();
    }
    format!("<section>\n<h2>Environment</h2>\n{}</section>\n", pairs("environment", &rows))
}

/// Names and values; the values are HTML.
pub(crate) fn pairs(class: &str, rows: &[(&str, impl Display)]) -> String {
    let mut text = format!("<dl class=\"{class}\">\n");
    for (name, value) in rows {
        put(&mut text, format_args!("<div><dt>{name}</dt><dd>{value}</dd></div>\n"));
    }
    text.push_str("</dl>\n");
    text
}

/// The runs of a repeat: what each drew, how it ended, and what it measured.
fn members(runs: &[Member]) -> String {
    let Some(first) = runs.first() else { return String::new() };
    let mut table = Table::new(["run", "seed", "drawn", "verdict"]);
    table.head.extend(first.measured.keys().cloned());
    table.rows.extend(runs.iter().map(|run| {
        let Member { run, seed, drawn, verdict, measured } = run;
        let mut row =
            vec![run.clone(), seed.to_string(), draws(drawn), verdict.as_str().to_owned()];
        let value = |metric| measured.get(metric).copied().flatten();
        row.extend(
            first
                .measured
                .keys()
                .map(|metric| value(metric).map_or_else(|| "no value".to_owned(), number::plain)),
        );
        row
    }));
    format!("<section>\n<h2>Runs</h2>\n{}</section>\n", table.html())
}

fn load_section(load: &LoadReport, backdrop: &Backdrop, time: Scale) -> String {
    let LoadReport { id, op, model, .. } = load;
    let mut text = format!(
        "<section>\n<h2>Load <code>{}</code></h2>\n<p class=\"faint\">{}; {}",
        Escaped(id),
        Escaped(op),
        Escaped(model)
    );
    if let Some(lag) = load.pacer_lag_p99_ms {
        let lag = number::latency(lag);
        put(&mut text, format_args!("; the runner sent them at most {lag} late (p99)"));
    }
    text.push_str("</p>\n");
    text.push_str(&load::phases(load).html());
    text.push_str("<p class=\"faint\">~ too few requests to rely on this quantile.</p>\n");
    if !load.errors.is_empty() {
        text.push_str("<p>What failed: ");
        let errors: Vec<_> = load
            .errors
            .iter()
            .map(|(code, count)| {
                format!("<code>{}</code> {}", Escaped(code), number::count(*count))
            })
            .collect();
        text.push_str(&errors.join(", "));
        text.push_str(".</p>\n");
    }
    text.push_str(&load::latency(load, backdrop, time).html());
    text.push_str(&load::throughput(load, backdrop, time).html());
    text.push_str(&load::spectrum(load).html());
    text.push_str("</section>\n");
    text
}

/// What is looked up: facts, events, and when phases and faults were.
fn details(report: &Report) -> String {
    let mut facts = Table::new(["fact", "value"]);
    facts.rows.extend(
        report.facts.iter().map(|(metric, value)| vec![metric.clone(), number::plain(*value)]),
    );
    let mut spans = Table::new(["", "from", "to", "length"]);
    let span = |name: String, from: f64, to: f64| {
        vec![name, format!("{from:.2} s"), format!("{to:.2} s"), number::seconds(to - from)]
    };
    let phases = report.phases.iter();
    spans.rows.extend(phases.map(|it| span(it.phase.as_str().to_owned(), it.from_s, it.to_s)));
    let faults = report.faults.iter();
    spans.rows.extend(
        faults.map(|it| span(format!("fault {} ({})", it.id, it.kind), it.from_s, it.to_s)),
    );
    let mut counts = Table::new(["event", "times"]);
    counts.rows.extend(
        report.event_counts.iter().map(|(name, count)| vec![name.clone(), number::count(*count)]),
    );
    let mut events = Table::new(["second", "event", "said"]);
    events.rows.extend(report.events.iter().map(|event| {
        let fields = event.fields.iter().map(|(name, value)| match value.as_str() {
            Some(text) => format!("{name}={text}"),
            None => format!("{name}={value}"),
        });
        let fields = fields.collect::<Vec<_>>().join(", ");
        vec![format!("{:.3}", event.at_s), event.name.clone(), fields]
    }));
    let tables = [
        ("Facts found at the end", facts),
        ("Phases and faults", spans),
        ("How often what happened", counts),
        ("Turning points", events),
    ];
    let folded: String = tables
        .iter()
        .filter(|(_, table)| !table.rows.is_empty())
        .map(|(title, table)| table.folded(title))
        .collect();
    if folded.is_empty() {
        return folded;
    }
    format!("<section>\n<h2>Details</h2>\n{folded}</section>\n")
}

/// The axis of time, the same for all drawings, so that they can be compared.
fn time(report: &Report) -> Scale {
    let phases = report.phases.iter().map(|phase| phase.to_s);
    let faults = report.faults.iter().map(|fault| fault.to_s);
    let seconds = report.loads.iter().flat_map(|load| &load.seconds).map(|s| s.at_s + 1.0);
    let pool = report.pool.iter().map(|point| point.at_s);
    let ends = phases.chain(faults).chain(seconds).chain(pool);
    Scale::Time { from: 0.0, to: ends.max_by(f64::total_cmp).unwrap_or(1.0) }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "Pass",
        Verdict::Skipped => "Skipped",
        Verdict::Inconclusive => "Inconclusive",
        Verdict::Fail => "Fail",
        Verdict::Error => "Error",
    }
}

/// A sign for the verdict, so that it is not told by colour alone.
fn mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "✓",
        Verdict::Skipped => "–",
        Verdict::Inconclusive => "?",
        Verdict::Fail => "✗",
        Verdict::Error => "!",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::sample;
    use super::*;

    /// The page without style sheet, paths and the many rows of figures.
    fn skeleton(page: &str) -> String {
        let mut text = page.replace(STYLE, "…\n");
        for (start, end) in [("viewBox=\"0 0 9200", "</svg>"), ("viewBox=\"0 0 3800", "</svg>")] {
            text = without(&text, start, end, "drawing");
        }
        without(&text, "<summary>The same in figures</summary>", "</details>", "table")
    }

    /// Puts a mark in the place of everything between two texts, as often as they occur.
    fn without(text: &str, start: &str, end: &str, what: &str) -> String {
        let mut parts = text.split(start);
        let mut rest = parts.next().unwrap().to_owned();
        for part in parts {
            let (gone, after) = part.split_once(end).unwrap();
            assert!(gone.len() > 100, "there is a {what}: {gone}");
            put(&mut rest, format_args!("{start} … {what} … {end}{after}"));
        }
        rest
    }

    fn check(name: &str, text: &str) {
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(name, text);
        });
    }

    #[test]
    fn all_runs_together_are_a_table() {
        let page = page(&sample::together());
        for cell in ["<td>outage 59.25s</td>", "<td>1.25</td>", "<td>no value</td>", "<dd>2</dd>"] {
            assert!(page.contains(cell), "{cell}: {page}");
        }
        assert!(!page.contains("Took"), "nothing took time");
    }

    #[test]
    fn the_page_reads_like_this() {
        check("report.html", &skeleton(&page(&sample::failed())));
        check("skipped.html", &skeleton(&page(&sample::skipped())));
    }

    #[test]
    fn nothing_is_loaded_from_elsewhere() {
        for report in sample::all() {
            let page = page(&report);
            for outside in ["http:", "https:", "//", "src=", "url(", "@import", "<script"] {
                assert!(!page.contains(outside), "{outside} in {}", report.run);
            }
        }
    }

    #[test]
    fn no_literal_colour_is_left_in_the_drawings() {
        let page = page(&sample::report());
        let body = page.split_once("</style>").unwrap().1;
        assert_eq!(body.matches("<svg class=\"wide\"").count(), 8);
        assert_eq!(body.matches("<svg class=\"narrow\"").count(), 8);
        assert!(!body.contains("=\"#"), "a colour that dark mode cannot change");
        for kind in ["s-one", "s-three", "f-one", "f-shade", "f-fault", "f-text", "s-grid"] {
            assert!(body.contains(&format!("class=\"{kind}\"")), "{kind} is used");
            assert!(STYLE.contains(&format!(".{kind}")), "{kind} is in the style sheet");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn no_text_becomes_markup(text in "(\\PC|[<>&'\"]|</title>|<b>|\\x00){0,20}") {
            let hostile = format!("<img src=x>{text}");
            let mut report = sample::report();
            report.loads.truncate(1);
            report.scenario.clone_from(&hostile);
            report.summary.clone_from(&hostile);
            report.reason = Some(hostile.clone());
            report.criteria = vec![hostile.clone()];
            report.rerun.clone_from(&hostile);
            report.environment.cpu.clone_from(&hostile);
            report.faults[0].id.clone_from(&hostile);
            report.loads[0].id.clone_from(&hostile);
            report.loads[0].errors.insert(hostile.clone(), 1);
            report.assertions[0].text.clone_from(&hostile);
            report.assertions[0].because = Some(hostile.clone());
            report.events[0].name.clone_from(&hostile);
            report.facts.insert(hostile, 1.0);
            let page = page(&report);
            prop_assert!(!page.contains("<img"));
            // Every tag is one of ours, and each that is opened is closed.
            for tag in ["section", "table", "details", "figure", "svg", "dl", "ul", "tr", "title", "text"] {
                let opened = page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
                prop_assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{}", tag);
            }
        }
    }
}
