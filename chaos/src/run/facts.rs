//! What is found once, at the end of a run: what has come back and what has not.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::sessions::{self, Sessions};
use super::world::World;
use crate::load::mcp::{Exit, Server};
use crate::load::{Subject, Target};
use crate::record::{Gauges, Phase, Span};

/// How often the drain phase looks whether everything has come back.
const LOOK: Duration = Duration::from_millis(200);
/// How long one look at PostgreSQL may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Waits until nothing is in use and pools and PostgreSQL count the same, but not beyond `end`. Gives the last look.
pub(super) async fn drain(
    world: &World,
    end: Instant,
    stop: &CancellationToken,
) -> Option<Drained> {
    let mut last = None;
    loop {
        // Also before the first look, so that the sampler sees this phase too.
        tokio::select! {
            () = stop.cancelled() => return last,
            () = sleep(LOOK) => {}
        }
        let looked = tokio::select! {
            () = stop.cancelled() => return last,
            () = sleep_until(end) => return last,
            looked = look(world) => looked,
        };
        let empty = looked.as_ref().is_some_and(Drained::is_empty);
        last = looked.or(last);
        if empty {
            return last;
        }
    }
}

/// What is still there when the load has ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Drained {
    /// Connections that are not idle, whatever is done to them, and requests that wait for one.
    busy: f64,
    /// Connections of the pools, wherever they are.
    size: f64,
    sessions: Sessions,
}

impl Drained {
    fn is_empty(&self) -> bool {
        let apart = self.orphans() + self.lost();
        self.busy == 0.0 && apart == 0.0 && self.sessions.idle_in_transaction == 0
    }

    /// Sessions of PostgreSQL that no pool knows of.
    fn orphans(&self) -> f64 {
        (f64::from(self.sessions.all) - self.size).max(0.0)
    }

    /// Connections of the pools that PostgreSQL has no session for.
    fn lost(&self) -> f64 {
        (self.size - f64::from(self.sessions.all)).max(0.0)
    }

    pub(super) fn facts(&self, facts: &mut BTreeMap<String, f64>) {
        let Sessions { all, idle_in_transaction } = self.sessions;
        facts.extend([
            ("pool.leaked".to_owned(), self.busy),
            ("pool.lost".to_owned(), self.lost()),
            ("postgres.orphans".to_owned(), self.orphans()),
            ("postgres.sessions".to_owned(), all.into()),
            ("postgres.idle_in_transaction".to_owned(), idle_in_transaction.into()),
        ]);
    }
}

/// The pools and PostgreSQL side by side; `None` while one of them does not answer.
async fn look(world: &World) -> Option<Drained> {
    let target = world.target.as_ref()?;
    let pools = match target {
        // A server that has ended has no pools.
        Target::Server(server) if server.exit().is_some() => BTreeMap::new(),
        Target::Server(_) | Target::Pool(_) => crate::load::look(target).await?,
    };
    let asked = async {
        let mut connection = sessions::connect(&world.postgres.options()).await?;
        sessions::count(&mut connection, &world.whose).await
    };
    let sessions = tokio::time::timeout(PATIENCE, asked).await.ok()?.ok()?;
    let value = |name: &str| pools.get(name).copied().unwrap_or(0.0);
    let busy = ["in_use", "waiting", "checking", "opening", "closing"].map(value).iter().sum();
    Some(Drained { busy, size: value("size"), sessions })
}

/// What the pool in this process can lend at once, now that nobody wants anything of it.
pub(super) async fn of_pool(subject: &Subject, facts: &mut BTreeMap<String, f64>) {
    let capacity = subject.capacity(PATIENCE).await;
    facts.insert("pool.capacity".to_owned(), capacity as f64);
}

/// What is known of the server's process. `asked` is when it was asked to stop, if it was; `offset` is when the run
/// began by the server's clock.
pub(super) fn of_server(
    server: &Server,
    asked: Option<Duration>,
    offset: Duration,
    facts: &mut BTreeMap<String, f64>,
) {
    facts.insert("server.panics".to_owned(), server.panics() as f64);
    facts.insert("server.violations".to_owned(), server.violations().count as f64);
    let started = server.start_time().map(|time| time.as_secs_f64());
    facts.extend(started.map(|time| ("server.start_time".to_owned(), time)));
    // From before the run began, if need be: it was then not asked either.
    let exit = server.exit().map(|exit| Exit { at: exit.at.saturating_sub(offset), ..exit });
    of_exit(exit, asked, facts);
}

/// An end that nobody has asked for by then is a crash, and nothing else is said of it.
fn of_exit(exit: Option<Exit>, asked: Option<Duration>, facts: &mut BTreeMap<String, f64>) {
    let asked_for = asked.zip(exit).filter(|(asked, exit)| exit.at >= *asked);
    let crashed = exit.is_some() && asked_for.is_none();
    facts.insert("server.crashes".to_owned(), f64::from(u8::from(crashed)));
    let Some((asked, exit)) = asked_for else { return };
    facts.insert("server.exit_time".to_owned(), exit.at.saturating_sub(asked).as_secs_f64());
    // A signal's end is no success, whatever code stands for it.
    let code = exit.code.or(exit.signal.map(|signal| 128 + signal)).unwrap_or(255);
    facts.insert("server.exit_code".to_owned(), code.into());
}

/// How much more memory the server has in the last quarter of the measured time than in the first, in the median.
pub(super) fn growth(gauges: &[Gauges], phases: &[(Phase, Span)]) -> Option<f64> {
    let measured = |phase: &Phase| !matches!(phase, Phase::Warmup | Phase::Drain);
    let from = phases.iter().find(|(phase, _)| measured(phase))?.1.from;
    let to = phases.iter().rfind(|(phase, _)| measured(phase))?.1.to;
    let quarter = to.saturating_sub(from) / 4;
    let median = |span: Span| {
        let inside = gauges.iter().filter(|look| span.contains(look.at));
        let mut sizes: Vec<f64> =
            inside.filter_map(|look| look.values.get("server.rss_mib").copied()).collect();
        sizes.sort_by(f64::total_cmp);
        sizes.get(sizes.len() / 2).copied()
    };
    let first = median(Span { from, to: from + quarter })?;
    let last = median(Span { from: to.saturating_sub(quarter), to })?;
    Some((last - first).max(0.0) * 1024.0 * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map<const N: usize>(facts: [(&str, f64); N]) -> BTreeMap<String, f64> {
        facts.map(|(name, value)| (name.to_owned(), value)).into()
    }

    fn facts(exit: Option<u64>, asked: Option<u64>) -> BTreeMap<String, f64> {
        let mut facts = BTreeMap::new();
        let exit = exit.map(|at| Exit { code: Some(0), signal: None, at: Duration::from_secs(at) });
        of_exit(exit, asked.map(Duration::from_secs), &mut facts);
        facts
    }

    #[test]
    fn sessions_that_no_pool_knows_are_orphans() {
        let sessions = Sessions { all: 5, idle_in_transaction: 1 };
        let drained = Drained { busy: 2.0, size: 3.0, sessions };
        let mut facts = BTreeMap::new();
        drained.facts(&mut facts);
        let expected = [
            ("pool.leaked", 2.0),
            ("pool.lost", 0.0),
            ("postgres.orphans", 2.0),
            ("postgres.sessions", 5.0),
            ("postgres.idle_in_transaction", 1.0),
        ];
        assert_eq!(facts, map(expected));
        assert!(!drained.is_empty());
    }

    #[test]
    fn connections_without_a_session_are_lost() {
        let sessions = Sessions { all: 1, idle_in_transaction: 0 };
        let drained = Drained { busy: 0.0, size: 3.0, sessions };
        assert!(!drained.is_empty());
        let mut facts = BTreeMap::new();
        drained.facts(&mut facts);
        assert_eq!((facts["pool.lost"], facts["postgres.orphans"]), (2.0, 0.0));
    }

    #[test]
    fn a_server_that_is_gone_before_it_is_asked_has_crashed() {
        let crashed = map([("server.crashes", 1.0)]);
        assert_eq!(facts(Some(10), Some(17)), crashed);
        assert_eq!(facts(Some(10), None), crashed);
        assert_eq!(facts(None, Some(17)), map([("server.crashes", 0.0)]));
    }

    #[test]
    fn an_end_that_was_asked_for_has_a_time_and_a_code() {
        let expected =
            [("server.crashes", 0.0), ("server.exit_code", 0.0), ("server.exit_time", 2.0)];
        assert_eq!(facts(Some(19), Some(17)), map(expected));
    }
}
