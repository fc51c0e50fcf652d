//! What a terminal shows while a scenario runs: phase, time left, rates, errors, the pools.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::output::{BAD, FAINT, STRONG, styled};
use crate::record::Phase;
use crate::run::{Live, Stage, State};
use crate::schema::Scenario;

/// How often the line is drawn.
const REDRAW: Duration = Duration::from_millis(200);

/// A line on the terminal that follows a run. Without a terminal nothing is shown.
pub(super) struct Progress {
    live: Live,
    bar: ProgressBar,
    stop: CancellationToken,
}

impl Progress {
    /// Shows the run with this number, from 0, of `scenario`.
    pub(super) fn start(scenario: &Scenario, number: u32) -> Self {
        let live = Live::default();
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{spinner} {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        let name = match scenario.runs {
            1 => scenario.name.clone(),
            runs => format!("{} {}/{runs}", scenario.name, number + 1),
        };
        let stop = CancellationToken::new();
        TaskTracker::new().spawn(draw(live.clone(), bar.clone(), name, stop.clone()));
        Self { live, bar, stop }
    }

    /// Where the run says how it is going.
    pub(super) fn live(&self) -> Live {
        self.live.clone()
    }

    /// Takes the line away.
    pub(super) fn finish(self) {
        self.stop.cancel();
        self.bar.finish_and_clear();
    }
}

async fn draw(live: Live, bar: ProgressBar, name: String, stop: CancellationToken) {
    let mut ticks = interval(REDRAW);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut before: Option<(Instant, State)> = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let (now, state) = (Instant::now(), live.look());
        bar.set_message(line(&name, &state, before.as_ref(), now));
        bar.tick();
        // Rates over a second are calmer than over one drawing.
        if before.as_ref().is_none_or(|(at, _)| now.duration_since(*at) >= Duration::from_secs(1)) {
            before = Some((now, state));
        }
    }
}

/// The line for a state, with rates since an earlier one.
fn line(name: &str, state: &State, before: Option<&(Instant, State)>, now: Instant) -> String {
    let name = styled(STRONG, name);
    let stage = match state.stage {
        Stage::SettingUp => "setting up".to_owned(),
        Stage::TearingDown => "tearing down".to_owned(),
        Stage::Phase { phase, .. } => {
            let (left, all) = state.stage.left(now).unwrap_or_default();
            let (left, all) = (left.as_secs_f64().ceil(), all.as_secs_f64().ceil());
            let style = if phase == Phase::Fault { BAD } else { STRONG };
            let all = styled(FAINT, format_args!("{all} s to the end"));
            format!("{} {left} s, {all}", styled(style, phase.as_str()))
        }
    };
    let mut parts = vec![format!("{name}  {stage}")];
    parts.extend((!state.faults.is_empty()).then(|| styled(BAD, state.faults.join(", "))));
    parts.extend(state.loads.iter().filter_map(|(id, tally)| {
        let (at, earlier) = before?;
        let (_, earlier) = earlier.loads.iter().find(|(other, _)| other == id)?;
        let seconds = now.duration_since(*at).as_secs_f64().max(0.1);
        let ok = tally.ok.saturating_sub(earlier.ok) as f64 / seconds;
        let failed = tally.failed.saturating_sub(earlier.failed) as f64 / seconds;
        let bad = if failed > 0.0 {
            styled(BAD, format_args!(" {failed:.0} failed"))
        } else {
            String::new()
        };
        Some(format!("{id} {ok:.0}/s{bad}"))
    }));
    parts.extend(state.gauges.as_ref().and_then(|gauges| {
        let value = |name: &str| gauges.values.get(name).copied();
        let (size, idle, waiting) = (value("size")?, value("idle")?, value("waiting")?);
        Some(format!("pool {size:.0}, {idle:.0} idle, {waiting:.0} waiting"))
    }));
    parts.join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Counts;
    use crate::record::Gauges;

    #[tokio::test(start_paused = true)]
    async fn the_line_says_phase_time_rates_and_pools() {
        let now = Instant::now();
        let tally = |ok, failed| vec![("reads".to_owned(), Counts { ok, failed })];
        let values = [("size", 10.0), ("idle", 4.0), ("waiting", 2.0)];
        let values = values.map(|(name, value)| (name.to_owned(), value)).into();
        let second = Duration::from_secs(1);
        let stage =
            Stage::Phase { phase: Phase::Fault, until: now + second * 4, end: now + second * 44 };
        let gauges = Some(Gauges { at: Duration::ZERO, values });
        let before = State { loads: tally(100, 0), ..State::default() };
        let faults = vec!["cut".to_owned()];
        let state = State { stage, faults, loads: tally(150, 30), gauges };
        let line = line("outage", &state, Some(&(now - second, before)), now);
        assert_eq!(
            anstream::adapter::strip_str(&line).to_string(),
            "outage  fault 4 s, 44 s to the end  cut  reads 50/s 30 failed  pool 10, 4 idle, 2 waiting"
        );
    }
}
