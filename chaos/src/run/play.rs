//! Playing a scenario in its world: the timeline, the loads beside it, and the looks at the pools.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::facts::{self, Drained};
use super::faults::{self, Active};
use super::live::{Live, Stage};
use super::timeline::{Due, Step, timeline};
use super::world::World;
use super::{Options, RunError};
use crate::load::mcp::Server;
use crate::load::{self, Course, Sampled, Tally, Target};
use crate::record::{
    Epoch, Event, FaultRecord, Gauges, LoadRecord, Lost, Phase, Record, Source, Span,
};
use crate::schema::{self, FaultKind, Scenario};
use crate::seed;

/// Plays the scenario from beginning to end. Whatever ends it, the faults are undone and the loads have ended when
/// it returns, and what was measured by then is in the record.
pub(super) async fn play(
    scenario: &Scenario,
    world: &mut World,
    options: &Options,
    live: &Live,
    stop: &CancellationToken,
) -> (Record, Result<(), RunError>) {
    let mut player = Player::new(scenario, live);
    options.log.begin(player.epoch);
    let played = player.steps(world, options, stop).await;
    let undone = player.undo_all(world).await;
    (player.finish(world, options).await, played.and(undone))
}

struct Player<'a> {
    scenario: &'a Scenario,
    live: &'a Live,
    epoch: Epoch,
    /// How much later than planned everything is, because a step took its time.
    late: Duration,
    phases: watch::Sender<Phase>,
    spans: Vec<(Phase, Span)>,
    /// The faults in force, by number, since when.
    active: Vec<(usize, Duration, Active)>,
    faults: Vec<FaultRecord>,
    events: Vec<Event>,
    loads: JoinSet<LoadRecord>,
    /// The handshake with a server that starts into the faults. Whatever it waits for, the timeline goes on.
    greeting: JoinSet<()>,
    /// Whether the loads' requests can be made.
    ready: watch::Sender<bool>,
    sampler: JoinSet<Sampled>,
    /// Ends the loads and the sampler.
    over: CancellationToken,
    /// When the server was asked to stop.
    asked: Option<Duration>,
    drained: Option<Drained>,
}

impl<'a> Player<'a> {
    fn new(scenario: &'a Scenario, live: &'a Live) -> Self {
        Self {
            scenario,
            live,
            epoch: Epoch::now(),
            late: Duration::ZERO,
            phases: watch::Sender::new(Phase::Warmup),
            spans: Vec::new(),
            active: Vec::new(),
            faults: Vec::new(),
            events: Vec::new(),
            loads: JoinSet::new(),
            greeting: JoinSet::new(),
            ready: watch::Sender::new(false),
            sampler: JoinSet::new(),
            over: CancellationToken::new(),
            asked: None,
            drained: None,
        }
    }

    async fn steps(
        &mut self,
        world: &mut World,
        options: &Options,
        stop: &CancellationToken,
    ) -> Result<(), RunError> {
        let mut steps = timeline(self.scenario).into_iter().peekable();
        while let Some(due) = steps.next() {
            self.wait(world, due.at, stop).await?;
            self.step(world, due).await?;
            // What a step took is added to the plan, so that no phase is cut short by it.
            self.late = self.late.max(self.epoch.elapsed().saturating_sub(due.at));
            let all_done = steps.peek().is_none_or(|next| next.at > due.at);
            if all_done && self.sampler.is_empty() {
                // A server that starts into the faults does so with all of the beginning in force.
                match &self.scenario.target {
                    schema::Target::Server { config, .. } if world.target.is_none() => {
                        let server = world.start_server(config, options)?;
                        self.greet(server);
                    }
                    schema::Target::Server { .. } | schema::Target::Pool { .. } => {
                        self.ready.send_replace(true);
                    }
                }
                self.start_loads(world);
            }
        }
        Ok(())
    }

    /// Waits until a step is due; in the drain phase also until everything has come back.
    async fn wait(
        &mut self,
        world: &World,
        at: Duration,
        stop: &CancellationToken,
    ) -> Result<(), RunError> {
        let until = self.epoch.instant(at + self.late);
        if *self.phases.borrow() == Phase::Drain && !self.spans.is_empty() {
            self.drained = facts::drain(world, until, stop).await;
        } else {
            tokio::select! {
                () = sleep_until(until) => {}
                () = stop.cancelled() => {}
            }
        }
        if stop.is_cancelled() { Err(RunError::Interrupted) } else { Ok(()) }
    }

    async fn step(&mut self, world: &mut World, due: Due) -> Result<(), RunError> {
        match due.step {
            Step::Phase(phase) => self.begin_phase(world, phase).await,
            Step::Begin(number) | Step::Strike(number) => self.begin(world, number).await,
            Step::Undo(number) => {
                let found = self.active.iter().position(|(other, ..)| *other == number);
                match found {
                    Some(index) => self.undo(world, index).await,
                    None => Ok(()),
                }
            }
            Step::End => {
                self.end_phase();
                Ok(())
            }
        }
    }

    async fn begin_phase(&mut self, world: &World, phase: Phase) -> Result<(), RunError> {
        self.end_phase();
        let now = self.epoch.elapsed();
        self.spans.push((phase, Span { from: now, to: Duration::MAX }));
        self.phases.send_replace(phase);
        let length = |wanted: &Phase| {
            let of = self.scenario.phases.iter().filter(|(other, _)| wanted <= other);
            of.map(|(_, length)| *length).sum::<Duration>()
        };
        let own = self.scenario.phases.iter().find(|(other, _)| *other == phase);
        let until = Instant::now() + own.map_or(Duration::ZERO, |(_, length)| *length);
        let end = Instant::now() + length(&phase);
        self.live.change(|state| state.stage = Stage::Phase { phase, until, end });
        let counted = world.front.control.begin_phase(phase.as_str()).await;
        counted.map_err(|error| RunError::Failed(error.to_string()))
    }

    fn end_phase(&mut self) {
        if let Some((_, span)) = self.spans.last_mut() {
            span.to = span.to.min(self.epoch.elapsed());
        }
    }

    async fn begin(&mut self, world: &mut World, number: usize) -> Result<(), RunError> {
        let Some(fault) = self.scenario.faults.get(number) else { return Ok(()) };
        let from = self.epoch.elapsed();
        if matches!(fault.kind, FaultKind::ServerTerminate {} | FaultKind::ServerLeave {}) {
            self.asked = Some(from);
        }
        let drawn =
            seed::stream(self.scenario.seed, &format!("{} {}", fault.id, self.faults.len()));
        let begun = faults::begin(world, fault, drawn, from).await;
        let begun = begun.map_err(|error| RunError::Failed(format!("{}: {error}", fault.id)))?;
        self.events.extend(begun.events);
        self.tell(from, "runner.fault_begun", &fault.id);
        match begun.active {
            Some(active) => {
                self.active.push((number, from, active));
                self.live.change(|state| state.faults.push(fault.id.clone()));
            }
            None => self.faults.push(FaultRecord {
                id: fault.id.clone(),
                kind: fault.kind_name.clone(),
                span: Span { from, to: self.epoch.elapsed() },
            }),
        }
        Ok(())
    }

    async fn undo(&mut self, world: &mut World, index: usize) -> Result<(), RunError> {
        let (number, from, active) = self.active.remove(index);
        let Some(fault) = self.scenario.faults.get(number) else { return Ok(()) };
        let undone = faults::undo(world, active).await;
        let to = self.epoch.elapsed();
        self.faults.push(FaultRecord {
            id: fault.id.clone(),
            kind: fault.kind_name.clone(),
            span: Span { from, to },
        });
        self.tell(to, "runner.fault_undone", &fault.id);
        self.live.change(|state| state.faults.retain(|id| *id != fault.id));
        undone.map_err(|error| RunError::Failed(format!("undoing {}: {error}", fault.id)))
    }

    /// Undoes all that is in force, the latest first, and goes on where one cannot be undone.
    async fn undo_all(&mut self, world: &mut World) -> Result<(), RunError> {
        let mut outcome = Ok(());
        while let Some(last) = self.active.len().checked_sub(1) {
            let undone = self.undo(world, last).await;
            outcome = outcome.and(undone);
        }
        outcome
    }

    fn tell(&mut self, at: Duration, name: &str, fault: &str) {
        self.events.push(Event {
            at_s: at.as_secs_f64(),
            source: Source::Runner,
            name: name.to_owned(),
            fields: [("fault".to_owned(), fault.into())].into_iter().collect(),
        });
    }

    /// Makes the handshake beside the timeline; the loads' requests wait for its end.
    fn greet(&mut self, server: Server) {
        let ready = self.ready.clone();
        self.greeting.spawn(async move {
            // How it failed shows in each request that follows, and in the missing time of the start.
            let greeted = server.initialize().await;
            tracing::debug!(?greeted, "the handshake with the server");
            ready.send_replace(true);
        });
    }

    fn start_loads(&mut self, world: &World) {
        let Some(target) = &world.target else { return };
        let tallies: Vec<(String, Tally)> =
            self.scenario.loads.iter().map(|load| (load.id.clone(), Tally::default())).collect();
        self.live.follow(tallies.clone());
        for (load, (_, tally)) in self.scenario.loads.iter().zip(tallies) {
            let (load, target) = (load.clone(), target.clone());
            let course = Course {
                epoch: self.epoch,
                seed: seed::stream(self.scenario.seed, &load.id),
                phases: self.phases.subscribe(),
                ready: self.ready.subscribe(),
                tally,
                stop: self.over.clone(),
            };
            self.loads.spawn(async move { load::run(&load, &target, course).await });
        }
        let (target, epoch, over, live) =
            (target.clone(), self.epoch, self.over.clone(), self.live.clone());
        let show = move |gauges: &Gauges| {
            live.change(|state| state.gauges = Some(gauges.clone()));
        };
        self.sampler.spawn(async move { load::follow(&target, epoch, show, over).await });
    }

    /// Ends the loads and puts together what was measured.
    async fn finish(mut self, world: &World, options: &Options) -> Record {
        self.end_phase();
        self.over.cancel();
        let mut loads = self.loads.join_all().await;
        let order = |id: &str| self.scenario.loads.iter().position(|load| load.id == id);
        loads.sort_by_key(|load| order(&load.id));
        self.greeting.shutdown().await;
        let sampled = self.sampler.join_all().await.pop().unwrap_or_default();
        let offset = world.epoch.at(self.epoch.instant(Duration::ZERO));
        let mut facts = BTreeMap::new();
        let (mut events, mut lost) = (self.events, Lost { events: 0, looks: sampled.unseen });
        if let Some(Target::Server(server)) = &world.target {
            facts::of_server(server, self.asked, offset, &mut facts);
            events.extend(shifted(server.events(), offset));
            lost.events += server.events_left_out();
            events.extend(exited(server, offset));
            let growth = facts::growth(&sampled.gauges, &self.spans);
            facts.extend(growth.map(|growth| ("server.rss_growth".to_owned(), growth)));
        }
        let (told, left_out) = options.log.end();
        events.extend(told);
        lost.events += left_out;
        if let Some(drained) = self.drained {
            drained.facts(&mut facts);
            if let Some(Target::Pool(subject)) = &world.target {
                facts::of_pool(subject, &mut facts).await;
            }
        }
        events.extend(sampled.events);
        if let Ok(decisions) = world.front.control.decisions(0).await {
            events.extend(decided(&decisions, self.epoch));
            lost.events += decisions.lost;
        }
        events.retain(|event| event.at_s >= 0.0);
        events.sort_by(|a, b| a.at_s.total_cmp(&b.at_s));
        let (phases, faults) = (self.spans, self.faults);
        Record { phases, faults, loads, gauges: sampled.gauges, events, facts, lost }
    }
}

/// Events whose times count from another beginning.
fn shifted(events: Vec<Event>, offset: Duration) -> impl Iterator<Item = Event> {
    events.into_iter().map(move |event| Event { at_s: event.at_s - offset.as_secs_f64(), ..event })
}

fn exited(server: &Server, offset: Duration) -> Option<Event> {
    let exit = server.exit()?;
    let at_s = exit.at.saturating_sub(offset).as_secs_f64();
    let fields = [("how".to_owned(), exit.to_string().into())].into_iter().collect();
    Some(Event { at_s, source: Source::Runner, name: "server.exited".to_owned(), fields })
}

fn decided(decisions: &crate::proxy::Decisions, epoch: Epoch) -> impl Iterator<Item = Event> {
    decisions.decisions.iter().map(move |decision| {
        let mut fields = serde_json::Map::new();
        fields.extend(decision.connection.map(|number| ("connection".to_owned(), number.into())));
        fields.extend(decision.toxic.clone().map(|toxic| ("toxic".to_owned(), toxic.into())));
        fields.extend(decision.detail.clone().map(|detail| ("detail".to_owned(), detail.into())));
        let micros = decision.unix_us - epoch.wall().timestamp_micros();
        let name = format!("proxy.{}", decision.what.as_str());
        Event { at_s: micros as f64 / 1e6, source: Source::Proxy, name, fields }
    })
}
