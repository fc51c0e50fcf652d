//! Random runs against a naive model: plain lists, searched from end to end, that say who is served, which
//! connection is taken, and where each connection is.

use std::collections::VecDeque;

use chrono::DateTime;
use proptest::prelude::*;

use super::*;

/// One step of a random run. Steps that do not apply are passed over.
#[derive(Debug, Clone, Copy)]
enum Step {
    Take,
    Wait,
    Leave(usize),
    Return(usize, Fitness),
    Cared(usize, bool),
    Closed,
    Dial,
    Opened,
    Adopted,
    Failed,
    Abandoned,
    Pass(u64),
    Resize(u32, u32),
    Force,
    Shutdown,
}

fn step() -> impl Strategy<Value = Step> {
    let fitness = prop_oneof![
        6 => Just(Fitness::Fit),
        1 => Just(Fitness::Soiled),
        1 => Just(Fitness::Unproven),
        1 => Just(Fitness::Unfit(CloseReason::Abandoned)),
        1 => Just(Fitness::Unfit(CloseReason::Broken)),
    ];
    prop_oneof![
        20 => Just(Step::Take),
        20 => Just(Step::Wait),
        5 => (0..8_usize).prop_map(Step::Leave),
        25 => ((0..8_usize), fitness).prop_map(|(which, fitness)| Step::Return(which, fitness)),
        10 => ((0..8_usize), any::<bool>()).prop_map(|(which, well)| Step::Cared(which, well)),
        10 => Just(Step::Closed),
        20 => Just(Step::Dial),
        20 => Just(Step::Opened),
        4 => Just(Step::Adopted),
        4 => Just(Step::Failed),
        2 => Just(Step::Abandoned),
        10 => (0..90_000_u64).prop_map(Step::Pass),
        3 => (1..6_u32, 0..6_u32).prop_map(|(min, more)| Step::Resize(min, min + more)),
        1 => Just(Step::Force),
        1 => Just(Step::Shutdown),
    ]
}

/// What a reader would write down with pencil and paper.
struct Model {
    state: State<u32, u32, u64>,
    now: Instant,
    max_size: u32,
    /// What a shrink found above the new bound and has not been closed yet.
    over: u32,
    /// Waiters in order of arrival.
    waiting: VecDeque<(Ticket, u64)>,
    /// Connections, by where they are. `idle` has the one that came back last at its end.
    idle: Vec<u32>,
    leased: Vec<Lent>,
    caring: Vec<Lent>,
    opening: Vec<Attempt>,
    closing: u32,
    /// Leases that the pool took back while their holders still have them.
    lost: Vec<Lent>,
    names: u32,
    arrivals: u64,
    over_and_out: bool,
}

impl Model {
    fn new() -> Self {
        let leaks = Leaks { reclaim: true, ..Leaks::default() };
        let config =
            Config { min_size: 2, max_size: 5, max_waiting: 4, leaks, ..Config::default() };
        let now = Instant::now();
        Self {
            state: State::new(config, Arc::new(Counters::new()), now),
            now,
            max_size: 5,
            over: 0,
            waiting: VecDeque::new(),
            idle: Vec::new(),
            leased: Vec::new(),
            caring: Vec::new(),
            opening: Vec::new(),
            closing: 0,
            lost: Vec::new(),
            names: 0,
            arrivals: 0,
            over_and_out: false,
        }
    }

    fn run(&mut self, step: Step) -> Result<(), TestCaseError> {
        let before = self.state.phase();
        let served = self.act(step)?;
        self.obey(served)?;
        self.check(before)
    }

    fn act(&mut self, step: Step) -> Result<Served<u32, u64>, TestCaseError> {
        match step {
            Step::Take => self.take()?,
            Step::Wait => self.wait()?,
            Step::Leave(which) => {
                if let Some((ticket, _)) = self.waiting.remove(which) {
                    prop_assert!(self.state.leave(ticket));
                    prop_assert!(!self.state.leave(ticket));
                }
            }
            Step::Return(which, fitness) => return self.give_back(which, fitness),
            Step::Cared(which, well) if which < self.caring.len() => {
                let slot = self.caring.swap_remove(which);
                let outcome = if well { Ok(()) } else { Err(CloseReason::CheckFailed) };
                return Ok(self.state.cared(slot, outcome, self.now, self.now));
            }
            Step::Closed if self.closing > 0 => {
                self.closing -= 1;
                self.state.closed();
            }
            Step::Dial | Step::Opened | Step::Failed | Step::Abandoned => return self.dial(step),
            Step::Adopted if self.closing > 0 => {
                self.closing -= 1;
                self.names += 1;
                return Ok(self.state.adopted(self.names, self.names, 0.5, self.now));
            }
            Step::Pass(millis) => {
                self.now += Duration::from_millis(millis);
                self.state.tick(self.now, DateTime::UNIX_EPOCH);
                let next = self.state.expire(self.now);
                prop_assert!(next.is_none_or(|next| next > self.now));
            }
            Step::Resize(min_size, max_size) => {
                self.max_size = max_size;
                self.over = self.total();
                self.state.resize(min_size, max_size, self.now);
            }
            Step::Force if self.over_and_out => {
                let forced = self.state.force(self.now);
                prop_assert_eq!(forced.len(), self.leased.len());
            }
            Step::Shutdown => {
                self.over_and_out = true;
                self.state.begin_shutdown();
            }
            Step::Cared(..) | Step::Closed | Step::Adopted | Step::Force => {}
        }
        Ok(None)
    }

    fn dial(&mut self, step: Step) -> Result<Served<u32, u64>, TestCaseError> {
        if let Step::Dial = step {
            if let Dial::Open(attempt) = self.state.dial(self.now) {
                prop_assert!(self.total() < self.max_size, "opened beyond max_size");
                self.opening.push(attempt);
            }
            return Ok(None);
        }
        let Some(attempt) = self.opening.pop() else { return Ok(None) };
        if let Step::Opened = step {
            self.names += 1;
            return Ok(self.state.opened(attempt, self.names, self.names, 0.5, self.now));
        }
        if let Step::Failed = step {
            drop(self.state.open_failed(attempt, broken(), 0.5, self.now));
        } else {
            self.state.open_abandoned(attempt);
        }
        Ok(None)
    }

    fn give_back(
        &mut self,
        which: usize,
        fitness: Fitness,
    ) -> Result<Served<u32, u64>, TestCaseError> {
        if which < self.leased.len() {
            let mut slot = self.leased.swap_remove(which);
            slot.proven_at = self.now;
            return Ok(self.state.returned(slot, fitness, self.now));
        }
        if let Some(slot) = self.lost.pop() {
            // Whatever its holder has done with it, nobody else gets it.
            prop_assert!(self.state.returned(slot, Fitness::Fit, self.now).is_none());
        }
        Ok(None)
    }

    fn take(&mut self) -> Result<(), TestCaseError> {
        match self.state.take(borrower(), self.now) {
            Ok(Some(slot)) => {
                prop_assert_eq!(Some(slot.connection), self.idle.pop(), "not the last in");
                self.leased.push(slot);
            }
            Ok(None) => prop_assert!(self.idle.is_empty(), "an idle connection was passed over"),
            Err(refusal) => {
                prop_assert!(matches!(refusal, Refusal::Closed));
                prop_assert!(self.over_and_out);
            }
        }
        Ok(())
    }

    fn wait(&mut self) -> Result<(), TestCaseError> {
        self.arrivals += 1;
        let patience = Patience { started: self.now, limit: None };
        match self.state.wait(self.arrivals, borrower(), patience, self.now) {
            Ok(Wait::Idle(slot)) => {
                prop_assert_eq!(Some(slot.connection), self.idle.pop());
                self.leased.push(slot);
            }
            Ok(Wait::InLine { ticket, .. }) => {
                prop_assert!(self.idle.is_empty(), "waiting beside an idle connection");
                self.waiting.push_back((ticket, self.arrivals));
            }
            Err(Refusal::QueueFull { limit }) => {
                prop_assert_eq!(limit as usize, self.waiting.len());
            }
            Err(Refusal::Closed) => prop_assert!(self.over_and_out),
            Err(Refusal::Outage(_)) => prop_assert!(self.state.outage().is_some()),
            Err(Refusal::TimedOut { .. }) => prop_assert!(false, "at the door"),
        }
        Ok(())
    }

    /// Puts every connection where the state's answers say that it is.
    fn obey(&mut self, served: Served<u32, u64>) -> Result<(), TestCaseError> {
        if let Some((arrival, slot)) = served {
            let first = self.waiting.pop_front().map(|(_, arrival)| arrival);
            prop_assert_eq!(Some(arrival), first, "served out of turn");
            self.leased.push(slot);
        }
        for order in self.state.take_orders() {
            match order {
                Order::Close(slot, _) => {
                    self.idle.retain(|id| *id != slot.connection);
                    self.closing += 1;
                }
                Order::Care(slot, _) => {
                    self.idle.retain(|id| *id != slot.connection);
                    self.caring.push(slot);
                }
                Order::Terminate(session) => {
                    let taken = self.leased.iter().position(|slot| slot.connection == session);
                    prop_assert!(taken.is_some(), "ended a session that nobody held");
                    self.lost.extend(taken.map(|index| self.leased.swap_remove(index)));
                    self.closing += 1;
                }
                Order::Refuse(arrival, _) => {
                    prop_assert!(self.waiting.iter().any(|(_, waiting)| *waiting == arrival));
                    self.waiting.retain(|(_, waiting)| *waiting != arrival);
                }
                Order::Forget(_) | Order::Cut(..) | Order::Dial | Order::Arm | Order::Tell(_) => {}
            }
        }
        // What is in no other place has become idle; in which order is checked when it is taken.
        let state = self.state.idle.iter().map(|slot| slot.connection);
        let added: Vec<u32> = state.filter(|id| !self.idle.contains(id)).collect();
        for id in added {
            prop_assert!(self.leased.iter().all(|slot| slot.connection != id), "in two places");
            prop_assert!(self.caring.iter().all(|slot| slot.connection != id), "in two places");
            self.idle.push(id);
        }
        // Connections that were checked go back to their place by age.
        self.idle.sort_by_key(|id| self.state.idle.iter().position(|slot| slot.connection == *id));
        Ok(())
    }

    fn total(&self) -> u32 {
        let lists = [self.idle.len(), self.leased.len(), self.caring.len(), self.opening.len()];
        clamp(lists.iter().sum()) + self.closing
    }

    fn check(&mut self, before: Phase) -> Result<(), TestCaseError> {
        self.state.assert_invariants();
        let gauges = self.state.gauges();
        let lists = [self.idle.len(), self.leased.len(), self.caring.len(), self.opening.len()];
        let counted = [gauges.idle, gauges.in_use, gauges.checking, gauges.opening];
        prop_assert_eq!(lists.map(clamp), counted, "a connection is lost or counted twice");
        prop_assert_eq!(gauges.closing, self.closing);
        prop_assert_eq!(gauges.waiting as usize, self.waiting.len());
        prop_assert!(self.waiting.is_empty() || self.idle.is_empty());
        self.over = self.over.min(self.total());
        prop_assert!(self.total() <= self.max_size.max(self.over), "beyond max_size and debt");
        let ages: Vec<Instant> = self.state.idle.iter().map(|slot| slot.idle_since).collect();
        prop_assert!(ages.is_sorted(), "the last in is not at the end");
        let after = self.state.phase();
        // Unhealthy becomes better by way of recovering, within one step.
        let better = matches!(after, Phase::Healthy | Phase::Degraded);
        let through = before == Phase::Unhealthy && better;
        prop_assert!(before == after || through || after.may_follow(before), "{before} to {after}");
        Ok(())
    }
}

fn clamp(count: usize) -> u32 {
    u32::try_from(count).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// Whatever happens in whatever order: the state and the model agree after every step.
    #[test]
    fn random_runs_agree_with_a_naive_model(steps in prop::collection::vec(step(), 1..300)) {
        let mut model = Model::new();
        for step in steps {
            model.run(step)?;
        }
    }
}
