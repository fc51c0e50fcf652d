//! Servers and their pools as lines of text, without any terminal.

use anstyle::Style;
use chrono::{DateTime, Utc};

use super::super::output::{BAD, FAINT, STRONG, WARNING, counted, number};
use super::Server;
use super::amount::{age, rate, time};
use super::line::Line;
use super::parts::{
    WORK, bar, closed, color, count, kinds, legend, opened, percentiles, phase, reason,
};
use super::trend::{Trend, Trends};
use crate::control::{State, Status};
use crate::pool::{Percentiles, Phase, Statistics};

/// Where the second column of a pool begins.
const SECOND: usize = 38;
/// How many rates are shown as bars.
const BARS: usize = 12;
/// How wide the bar of a row is.
const ROW_BAR: usize = 12;
/// Where the columns of the table of pools are: the first two by their left ends, the others by their right.
const TABLE: Table = Table { phase: 22, bar: 39, used: 59, waiting: 64, rate: 71, wait: 80 };

struct Table {
    phase: usize,
    bar: usize,
    used: usize,
    waiting: usize,
    rate: usize,
    wait: usize,
}

/// What is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scene<'a> {
    /// The servers in the order in which they are shown.
    pub(super) servers: &'a [Server],
    /// What came before.
    pub(super) trends: &'a Trends,
    /// The time that ages are counted from.
    pub(super) now: DateTime<Utc>,
}

/// How much of each pool is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// Everything.
    Full,
    /// One line, and another one when it is in trouble.
    Row,
}

impl Scene<'_> {
    /// All servers with all pools, laid out for `width` columns. Only an error may be longer.
    pub(super) fn lines(&self, detail: Detail, width: usize) -> Vec<Line> {
        let mut lines = Vec::new();
        for server in self.servers {
            if !lines.is_empty() {
                lines.push(Line::new());
            }
            match server {
                Server::Answered(status) => self.server(status, detail, width, &mut lines),
                Server::Silent { pid, error } => {
                    let name = Line::new().styled(BAD, format_args!("server {pid}"));
                    lines.push(heading(name, width));
                    lines.push(Line::new().text("  ").text(error));
                }
            }
        }
        lines
    }

    /// What is there in numbers: `2 servers, 3 pools`.
    pub(super) fn counts(&self) -> String {
        let pools = self.servers.iter().map(|server| match server {
            Server::Answered(status) => status.pools.len(),
            Server::Silent { .. } => 0,
        });
        let (servers, pools) = (self.servers.len() as u64, pools.sum::<usize>() as u64);
        format!("{}, {}", counted(servers, "server"), counted(pools, "pool"))
    }

    /// One line for each pool, for a log: when, which and how.
    pub(super) fn log(&self) -> Vec<Line> {
        let at = self.now.format("%Y-%m-%dT%H:%M:%SZ");
        if self.servers.is_empty() {
            return vec![Line::new().text(format_args!("{at} no server runs"))];
        }
        let mut lines = Vec::new();
        for server in self.servers {
            let start = Line::new().text(format_args!("{at} {} ", server.pid()));
            match server {
                Server::Silent { error, .. } => lines.push(start.text(error)),
                Server::Answered(status) if status.state != State::Ready => {
                    lines.push(start.then(unready(status)));
                }
                Server::Answered(status) => {
                    let pools = status.pools.iter();
                    lines.extend(pools.map(|pool| start.clone().then(self.log_line(status, pool))));
                }
            }
        }
        lines
    }

    fn server(&self, status: &Status, detail: Detail, width: usize, lines: &mut Vec<Line>) {
        let mut name = Line::new().styled(STRONG, format_args!("server {}", status.pid));
        if let Some(client) = &status.client {
            name = name.text(format_args!(" for {} {}", client.name, client.version));
        }
        let up = (self.now - status.started_at).to_std().unwrap_or_default();
        let end = format!(" up {}, version {}", age(up), status.version);
        let end = Line::new().styled(FAINT, end);
        let room = width.saturating_sub(end.width());
        lines.push(heading(name.clipped(room.saturating_sub(5)), room).then(end));
        if status.state != State::Ready {
            lines.push(Line::new().text("  ").then(unready(status)));
        }
        if detail == Detail::Row && !status.pools.is_empty() {
            lines.push(table_heading());
        }
        for (position, pool) in status.pools.iter().enumerate() {
            let trend = self.trends.of(status, pool);
            match detail {
                Detail::Full => {
                    if position > 0 {
                        lines.push(Line::new());
                    }
                    lines.extend(self.pool(pool, trend, width));
                }
                Detail::Row => self.row(pool, trend, lines),
            }
        }
    }

    /// Everything about a pool.
    fn pool(&self, pool: &Statistics, trend: Option<&Trend>, width: usize) -> Vec<Line> {
        let name = Line::new().styled(STRONG, &pool.name);
        let state = reason(&pool.snapshot).map_or_else(Line::new, |reason| reason.text("  "));
        let state = state.then(phase(&pool.snapshot));
        let room = width.saturating_sub(2);
        let acquires = match trend.and_then(Trend::rate) {
            Some(per_second) => {
                let bars = trend.map(|trend| trend.bars(BARS)).unwrap_or_default();
                count("acquires/s", &rate(per_second)).styled(WORK, bars)
            }
            None => count("acquires", &number(pool.total_acquisitions)),
        };
        let mut waiting = count("waiting", &number(pool.snapshot.waiting.into()));
        if pool.snapshot.waiting > 0 {
            waiting = waiting.styled(WARNING, format_args!("for {}", time(pool.head_waiting_ms)));
        }
        let lines = [
            name.clipped(room.saturating_sub(state.width() + 1)).right(room, state),
            bar(&pool.snapshot, room),
            legend(&pool.snapshot),
            acquires.column(SECOND - 2).then(percentiles("wait", &pool.wait)),
            waiting.column(SECOND - 2).then(percentiles("use", &pool.usage)),
            opened(pool),
            closed(pool),
        ];
        let indented = |line| Line::new().text("  ").then(line);
        lines.into_iter().chain(self.trouble(pool)).map(indented).collect()
    }

    /// A pool in one line of the table, and its trouble in another.
    fn row(&self, pool: &Statistics, trend: Option<&Trend>, lines: &mut Vec<Line>) {
        let snapshot = &pool.snapshot;
        let used = Line::new().text(format_args!("{}/{}", snapshot.in_use, snapshot.max_size));
        let style = if snapshot.waiting > 0 { WARNING } else { Style::new() };
        let waiting = Line::new().styled(style, number(snapshot.waiting.into()));
        let per_second = trend.and_then(Trend::rate).map_or_else(|| "-".to_owned(), rate);
        let name = Line::new().text("  ").text(&pool.name).clipped(TABLE.phase - 1);
        lines.push(
            name.column(TABLE.phase)
                .then(phase(snapshot))
                .column(TABLE.bar)
                .then(bar(snapshot, ROW_BAR))
                .right(TABLE.used, used)
                .right(TABLE.waiting, waiting)
                .right(TABLE.rate, Line::new().text(per_second))
                .right(TABLE.wait, Line::new().text(time(pool.wait.p99_ms))),
        );
        if snapshot.phase != Phase::Healthy {
            let parts = [reason(snapshot), self.trouble(pool)].into_iter().flatten();
            lines.extend(Line::joined(parts).map(|line| Line::new().text("    ").then(line)));
        }
    }

    fn log_line(&self, status: &Status, pool: &Statistics) -> Line {
        let Statistics { name, snapshot, opened, live_leaks, .. } = pool;
        let phase = Line::new().styled(color(snapshot.phase), snapshot.phase);
        let mut line = Line::new().text(format_args!("{name} ")).then(phase);
        if let Some(reason) = reason(snapshot) {
            line = line.text(" (").then(reason).text(")");
        }
        for kind in kinds(snapshot) {
            line = line.text(format_args!(" {}={}", kind.word.replace(' ', "_"), kind.count));
        }
        line = line.text(format_args!(" max={} waiting={}", snapshot.max_size, snapshot.waiting));
        if let Some(rate) = self.trends.of(status, pool).and_then(Trend::rate) {
            line = line.text(format_args!(" acquires_per_s={rate:.1}"));
        }
        for (name, times) in [("wait", pool.wait), ("use", pool.usage)] {
            let Percentiles { p50_ms, p95_ms, p99_ms, max_ms: _ } = times;
            line = line.text(format_args!(" {name}_ms={p50_ms:.2}/{p95_ms:.2}/{p99_ms:.2}"));
        }
        let closed: u64 = pool.closed.values().sum();
        line = line.text(format_args!(" opened={opened} closed={closed} leaks={live_leaks}"));
        match self.trouble(pool) {
            Some(trouble) => line.text(" ").then(trouble),
            None => line,
        }
    }

    /// When the pool tries again, and the last error.
    fn trouble(&self, pool: &Statistics) -> Option<Line> {
        let next = pool.retry_after_ms.map(|after| match after {
            // The attempt is under way.
            ..1.0 => Line::new().styled(WARNING, "trying now"),
            _ => Line::new().styled(WARNING, format_args!("next try in {}", time(after))),
        });
        let error = pool.last_error.as_ref().map(|error| {
            let at = pool.last_error_time.as_ref().and_then(|at| at.parse::<DateTime<Utc>>().ok());
            let ago = at.map(|at| (self.now - at).to_std().unwrap_or_default());
            let ago = ago.map(|ago| format!(" {} ago", age(ago))).unwrap_or_default();
            Line::new().styled(FAINT, format_args!("last error{ago}: ")).text(error)
        });
        Line::joined([next, error].into_iter().flatten())
    }
}

/// Why a server has no pools.
fn unready(status: &Status) -> Line {
    match &status.error {
        Some(error) => Line::new().styled(BAD, "not ready: ").text(error),
        None => Line::new().styled(FAINT, "the database is starting"),
    }
}

/// A name in a rule across the whole width.
fn heading(name: Line, width: usize) -> Line {
    let name = Line::new().styled(FAINT, "── ").then(name).text(" ");
    let rest = width.saturating_sub(name.width());
    name.styled(FAINT, "─".repeat(rest))
}

fn table_heading() -> Line {
    let Table { phase, bar, used: _, waiting, rate, wait } = TABLE;
    let word = |word| Line::new().styled(FAINT, word);
    word("  pool")
        .column(phase)
        .then(word("phase"))
        .column(bar)
        .then(word("in use"))
        .right(waiting, word("wait"))
        .right(rate, word("acq/s"))
        .right(wait, word("wait p99"))
}

#[cfg(test)]
mod tests;
