//! The parts of a pool's picture: phase, bar, numbers.

use anstyle::{AnsiColor, Style};

use super::super::output::{BAD, FAINT, GOOD, WARNING, number};
use super::amount::time;
use super::line::Line;
use crate::pool::{HealthReason, Percentiles, Phase, Snapshot, Statistics};

/// Connections at work, and how fast they are lent.
pub(super) const WORK: Style = AnsiColor::Cyan.on_default();
const COMING: Style = AnsiColor::Blue.on_default();
const GOING: Style = AnsiColor::Magenta.on_default();

/// A kind of connections: how many, in words, and as a piece of the bar.
pub(super) struct Kind {
    pub(super) count: u32,
    pub(super) word: &'static str,
    mark: char,
    style: Style,
}

/// The phase with its mark. The marks differ, for those who see no colors.
pub(super) fn phase(pool: &Snapshot) -> Line {
    let mark = match pool.phase {
        Phase::Healthy => '●',
        Phase::Degraded => '▲',
        Phase::Unhealthy => '✗',
        Phase::Initializing | Phase::Recovering => '◌',
        Phase::ShuttingDown | Phase::Terminated => '○',
    };
    let name = pool.phase.as_str().replace('_', " ");
    Line::new().styled(color(pool.phase), format_args!("{mark} {name}"))
}

pub(super) fn color(phase: Phase) -> Style {
    match phase {
        Phase::Healthy => GOOD,
        Phase::Degraded => WARNING,
        Phase::Unhealthy | Phase::Recovering => BAD,
        Phase::Initializing => COMING,
        Phase::ShuttingDown | Phase::Terminated => FAINT,
    }
}

/// The rule that decided the phase, unless none is broken.
pub(super) fn reason(pool: &Snapshot) -> Option<Line> {
    let reason = pool.reason.as_str().replace('_', " ");
    (pool.reason != HealthReason::Ok).then(|| Line::new().styled(color(pool.phase), reason))
}

/// The kinds of connections in the order in which they fill the bar.
pub(super) fn kinds(pool: &Snapshot) -> [Kind; 5] {
    [
        Kind { count: pool.in_use, word: "in use", mark: '█', style: WORK },
        Kind { count: pool.idle, word: "idle", mark: '▓', style: GOOD },
        Kind { count: pool.checking, word: "checking", mark: '▚', style: WARNING },
        Kind { count: pool.opening, word: "opening", mark: '▒', style: COMING },
        Kind { count: pool.closing, word: "closing", mark: '░', style: GOING },
    ]
}

/// The connections as parts of `max_size`, in `width` columns.
pub(super) fn bar(pool: &Snapshot, width: usize) -> Line {
    let kinds = kinds(pool);
    let columns = shares(kinds.each_ref().map(|kind| kind.count), pool.max_size, width);
    let pieces = kinds.iter().zip(columns).filter(|(_, columns)| *columns > 0);
    let bar = pieces.fold(Line::new(), |bar, (kind, columns)| {
        bar.styled(kind.style, kind.mark.to_string().repeat(columns))
    });
    let rest = width.saturating_sub(bar.width());
    bar.styled(FAINT, "·".repeat(rest))
}

/// The parts of the bar in numbers.
pub(super) fn legend(pool: &Snapshot) -> Line {
    let mut legend = Line::new();
    for Kind { count, word, mark, style } in kinds(pool) {
        if count > 0 || matches!(word, "in use" | "idle") {
            legend = legend.styled(style, mark).text(format_args!(" {count} {word}  "));
        }
    }
    legend.styled(FAINT, format_args!("of {}", pool.max_size))
}

/// How many of `width` columns each count gets when `whole` gets all. What is there gets one at least.
fn shares(counts: [u32; 5], whole: u32, width: usize) -> [usize; 5] {
    let whole = counts.iter().sum::<u32>().max(whole).max(1) as usize;
    let mut before = 0;
    let mut columns = counts.map(|count| {
        // Rounded where each part ends, so that rounding does not add up.
        let end_of = |connections: usize| (connections * width + whole / 2) / whole;
        let start = end_of(before);
        before += count as usize;
        let columns = end_of(before) - start;
        if count > 0 { columns.max(1) } else { 0 }
    });
    while columns.iter().sum::<usize>() > width {
        // What was raised to one is taken from the largest.
        let Some(largest) = columns.iter_mut().max() else { break };
        *largest -= 1;
    }
    columns
}

/// A name and a number, in columns.
pub(super) fn count(name: &str, number: &str) -> Line {
    Line::new().styled(FAINT, format_args!("{name:<10}")).text(format_args!("{number:>9}  "))
}

pub(super) fn percentiles(name: &str, times: &Percentiles) -> Line {
    let Percentiles { p50_ms, p95_ms, p99_ms, max_ms: _ } = times;
    let ranks = [("p50", p50_ms), ("p95", p95_ms), ("p99", p99_ms)];
    ranks.into_iter().fold(Line::new().text(format_args!("{name:<4}")), |line, (rank, ms)| {
        line.styled(FAINT, format_args!(" {rank} ")).text(format_args!("{:>7}", time(*ms)))
    })
}

/// Opened connections, and what went wrong in numbers.
pub(super) fn opened(pool: &Statistics) -> Line {
    let wrong = [
        ("failed to open", pool.open_failed),
        ("timed out", pool.timed_out),
        ("leaking now", pool.live_leaks.into()),
    ];
    let wrong = wrong.map(|(word, count)| {
        let style = if count > 0 { WARNING } else { FAINT };
        Line::new().styled(style, format_args!("{} {word}", number(count)))
    });
    count("opened", &number(pool.opened)).then(Line::joined(wrong).unwrap_or_default())
}

/// Closed connections by reason, the most frequent first.
pub(super) fn closed(pool: &Statistics) -> Line {
    let mut reasons: Vec<_> = pool.closed.iter().collect();
    reasons.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let reasons: Vec<String> = reasons
        .iter()
        .map(|(reason, count)| format!("{} {}", number(**count), reason.replace('_', " ")))
        .collect();
    let total = pool.closed.values().sum();
    count("closed", &number(total)).styled(FAINT, reasons.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_seen_and_the_bar_keeps_its_width() {
        let cases = [
            ([0, 0, 0, 0, 0], 10, [0, 0, 0, 0, 0]),
            ([10, 0, 0, 0, 0], 10, [30, 0, 0, 0, 0]),
            ([5, 5, 0, 0, 0], 10, [15, 15, 0, 0, 0]),
            ([1, 1, 1, 0, 0], 3, [10, 10, 10, 0, 0]),
            // One of 500 is less than a column.
            ([496, 1, 1, 1, 1], 500, [26, 1, 1, 1, 1]),
            ([1, 0, 0, 0, 0], 500, [1, 0, 0, 0, 0]),
            // A pool that was made smaller has more than its maximum for a while.
            ([20, 0, 0, 0, 10], 10, [20, 0, 0, 0, 10]),
        ];
        for (counts, whole, expected) in cases {
            assert_eq!(shares(counts, whole, 30), expected, "{counts:?} of {whole}");
        }
        for width in 5..100 {
            for whole in [1, 2, 3, 7, 10, 499, 500] {
                let counts = [whole / 2, whole / 3, 1, 0, 1];
                let columns = shares(counts, whole, width);
                assert!(columns.iter().sum::<usize>() <= width);
                let seen = |(count, columns): (&u32, &usize)| (*count > 0) == (*columns > 0);
                assert!(counts.iter().zip(&columns).all(seen), "{counts:?} {columns:?}");
            }
        }
    }
}
