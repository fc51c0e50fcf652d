//! A connection's whole state: both directions, the toxics on it, and what is to become of it. No clock and no
//! socket: it is told the time and what arrived, and says what to do.

mod applied;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::bytes::Bytes;

use crate::proxy::link::lane::Lane;
use crate::proxy::link::plan::{Plan, Verdict, Work};
use crate::proxy::link::stage::{Item, Stage};
use crate::proxy::pg::{Back, Event, Front, Piece, Talk};
use crate::proxy::recorder::{Counts, DecisionKind, Note};
use crate::proxy::seed::generator;
use crate::proxy::toxic::{Fault, Toxic};
use crate::proxy::wire::{Heal, Severity, Stream, Trigger};
use applied::{Applied, Progress, flow};

/// A connection.
#[derive(Debug)]
pub(in crate::proxy) struct Core {
    seed: u64,
    proxy: Arc<str>,
    number: u64,
    opened: Duration,
    up: Way,
    down: Way,
    front: Front,
    back: Back,
    talk: Talk,
    toxics: Vec<Applied>,
    /// Toxics that forbid to dial, and until when.
    bars: Vec<(u64, Option<Duration>)>,
    /// Toxics that close, and when.
    cuts: Vec<(u64, Arc<str>, Duration)>,
    /// The server was reached.
    connected: bool,
    /// Nothing passes any more, for ever.
    dead: bool,
    /// An error was injected that ends the connection: what the client still sends is dropped.
    closing: bool,
    verdict: Option<Verdict>,
    notes: Vec<Note>,
    tally: Counts,
}

/// A direction and where its ends are.
#[derive(Debug, Default)]
struct Way {
    lane: Lane,
    /// The source has ended.
    eof: bool,
    /// The end came out and is to be forwarded.
    end: bool,
    /// It was forwarded.
    ended: bool,
}

impl Core {
    /// A connection that was accepted at `now`.
    pub(in crate::proxy) fn new(seed: u64, proxy: Arc<str>, number: u64, now: Duration) -> Self {
        Self {
            seed,
            proxy,
            number,
            opened: now,
            up: Way::default(),
            down: Way::default(),
            front: Front::default(),
            back: Back::default(),
            talk: Talk::default(),
            toxics: Vec::new(),
            bars: Vec::new(),
            cuts: Vec::new(),
            connected: false,
            dead: false,
            closing: false,
            verdict: None,
            notes: vec![Note::new(DecisionKind::ConnectionAccepted)],
            tally: Counts::default(),
        }
    }

    /// Puts a toxic on the connection, `fresh` if the connection was accepted just now.
    pub(in crate::proxy) fn attach(&mut self, now: Duration, toxic: &Arc<Toxic>, fresh: bool) {
        let name: Arc<str> = toxic.view.name.as_str().into();
        let mut rng = generator(self.seed, &self.proxy, self.number, &name);
        let too_late =
            !fresh && matches!(toxic.fault, Fault::AcceptDelay { .. } | Fault::AcceptSilence);
        // What is dead stays as it is: no later toxic may tell its sides anything.
        let struck = toxic.strikes(self.number, &mut rng) && !too_late && !self.dead;
        let state = if struck { Progress::Waiting { queries: 0 } } else { Progress::Spared };
        self.toxics.push(Applied { toxic: toxic.clone(), name, rng, state });
        if struck && self.is_due(toxic) {
            self.activate(now, toxic.id, None);
        } else if struck && self.talk.opaque() {
            self.notes.push(Note::new(DecisionKind::ProtocolOpaque).by(&toxic.view.name));
        }
    }

    /// Takes a toxic off the connection and heals what it did.
    pub(in crate::proxy) fn detach(&mut self, now: Duration, id: u64) {
        let Some(applied) = self.take(id) else { return };
        if applied.state != Progress::Active {
            return;
        }
        match applied.toxic.heal {
            Heal::Resume => {
                self.lift(now, id);
                if applied.is_felt() {
                    self.notes.push(Note::new(DecisionKind::ConnectionHealed).by(&applied.name));
                }
            }
            Heal::Close => {
                self.end(false, DecisionKind::ConnectionCut, &applied.name, "healed by closing");
            }
            Heal::Reset => {
                self.end(true, DecisionKind::ConnectionReset, &applied.name, "healed by a reset");
            }
            Heal::KeepDead => {
                if !self.blackholed() {
                    self.notes
                        .push(Note::new(DecisionKind::ConnectionBlackholed).by(&applied.name));
                }
                self.dead = true;
                self.up.lane.clear();
                self.down.lane.clear();
                self.bars.clear();
                self.cuts.clear();
            }
        }
    }

    /// Puts the new version of a toxic in the place of the old one; nothing heals in between.
    pub(in crate::proxy) fn replace(&mut self, now: Duration, toxic: &Arc<Toxic>) {
        if self.take(toxic.id).is_some() {
            self.lift(now, toxic.id);
            self.attach(now, toxic, !self.connected);
        }
    }

    /// Ends the connection because its proxy ends or is disabled.
    pub(in crate::proxy) fn stop(&mut self) {
        self.conclude(false, DecisionKind::ConnectionClosed, "the proxy closed it");
    }

    /// Takes the notes and counts since the last call.
    pub(in crate::proxy::link) fn take_news(&mut self) -> (Vec<Note>, Counts) {
        self.tally.swallowed_up += self.up.lane.take_dropped() as u64;
        self.tally.swallowed_down += self.down.lane.take_dropped() as u64;
        (std::mem::take(&mut self.notes), std::mem::take(&mut self.tally))
    }

    /// The server was reached.
    pub(in crate::proxy::link) fn on_connected(&mut self) {
        self.connected = true;
    }

    /// The server was not reached.
    pub(in crate::proxy::link) fn on_unreachable(&mut self, cause: String) {
        if self.verdict.is_none() {
            self.notes.push(Note::new(DecisionKind::UpstreamFailed).detail(cause));
        }
        self.conclude(true, DecisionKind::ConnectionClosed, "the server could not be reached");
    }

    /// Bytes arrived.
    pub(in crate::proxy::link) fn on_bytes(&mut self, now: Duration, stream: Stream, bytes: Bytes) {
        if self.dead || self.verdict.is_some() {
            self.swallowed(stream, bytes.len());
            return;
        }
        let spoke = self.talk.opaque();
        match stream {
            Stream::Upstream => self.front.feed(bytes),
            Stream::Downstream => self.back.feed(bytes),
        }
        self.pump(now, stream);
        if self.talk.opaque() && !spoke {
            self.on_opaque();
        }
    }

    /// The source of a direction has ended, with an RST if `lost`.
    pub(in crate::proxy::link) fn on_end(&mut self, now: Duration, stream: Stream, lost: bool) {
        let held = match stream {
            Stream::Upstream => self.front.finish(),
            Stream::Downstream => self.back.finish(),
        };
        let unreached = !self.connected && stream == Stream::Upstream;
        let blackholed = self.blackholed();
        let (dead, way) = (self.dead, self.way(stream));
        way.eof = true;
        if !dead {
            if let Some(bytes) = held {
                way.lane.push(now, Item::Bytes(bytes));
            }
            way.lane.push(now, Item::End);
        }
        let nobody = (self.up.eof && self.down.eof) || (unreached && blackholed);
        if blackholed && nobody {
            self.conclude(false, DecisionKind::ConnectionClosed, "both sides gave up");
        } else if lost && !blackholed {
            self.conclude(true, DecisionKind::ConnectionClosed, "a side was reset");
        }
    }

    /// So many of the bytes at the front of a direction were written.
    pub(in crate::proxy::link) fn on_written(&mut self, stream: Stream, count: usize) {
        self.way(stream).lane.wrote(count);
        match stream {
            Stream::Upstream => self.tally.bytes_up += count as u64,
            Stream::Downstream => self.tally.bytes_down += count as u64,
        }
    }

    /// The end of a direction was forwarded.
    pub(in crate::proxy::link) fn on_ended(&mut self, stream: Stream) {
        let way = self.way(stream);
        way.end = false;
        way.ended = true;
        if self.up.ended && self.down.ended {
            self.conclude(false, DecisionKind::ConnectionClosed, "both sides ended");
        }
    }

    /// Whether a direction's source is to be read.
    pub(in crate::proxy::link) fn reads(&self, stream: Stream) -> bool {
        match stream {
            Stream::Upstream => self.up.work().read,
            Stream::Downstream => self.down.work().read,
        }
    }

    /// The bytes to write next in a direction.
    pub(in crate::proxy::link) fn front(&self, stream: Stream) -> Option<&Bytes> {
        match stream {
            Stream::Upstream => self.up.lane.front(),
            Stream::Downstream => self.down.lane.front(),
        }
    }

    /// Lets everything happen that is due at `now`.
    pub(in crate::proxy::link) fn settle(&mut self, now: Duration) {
        self.bars.retain(|(_, until)| until.is_none_or(|until| until > now));
        if let Some(place) = self.cuts.iter().position(|(_, _, at)| *at <= now) {
            let (_, name, _) = self.cuts.remove(place);
            self.end(false, DecisionKind::ConnectionCut, &name, "its time was up");
        }
        let mut moved = true;
        while moved && self.verdict.is_none() {
            // An error may wait for the border between two messages, which may be now.
            self.pump(now, Stream::Downstream);
            moved = false;
            for stream in [Stream::Upstream, Stream::Downstream] {
                self.way(stream).lane.advance(now);
                while let Some(signal) = self.way(stream).lane.pop_signal() {
                    moved = true;
                    self.on_signal(now, stream, signal);
                }
            }
        }
    }

    /// What to do now. Call it after [`settle`](Self::settle).
    pub(in crate::proxy::link) fn plan(&self) -> Plan {
        let times = self.cuts.iter().map(|(_, _, at)| *at);
        let bars = self.bars.iter().filter_map(|(_, until)| *until);
        let lanes = self.up.lane.wake().into_iter().chain(self.down.lane.wake());
        Plan {
            verdict: self.verdict.clone(),
            dial: self.bars.is_empty() && !self.dead,
            wake: times.chain(bars).chain(lanes).min(),
            up: self.up.work(),
            down: self.down.work(),
        }
    }

    /// The decision that a verdict is.
    pub(in crate::proxy::link) fn note_verdict(&mut self, verdict: &Verdict) {
        let note = Note::new(verdict.what).detail(verdict.detail.to_owned());
        self.notes.push(Note { toxic: verdict.toxic.as_deref().map(str::to_owned), ..note });
    }
}

impl Core {
    fn way(&mut self, stream: Stream) -> &mut Way {
        match stream {
            Stream::Upstream => &mut self.up,
            Stream::Downstream => &mut self.down,
        }
    }

    fn blackholed(&self) -> bool {
        let silent = self.bars.iter().any(|(_, until)| until.is_none());
        self.dead || silent || self.up.lane.blocked() || self.down.lane.blocked()
    }

    fn swallowed(&mut self, stream: Stream, count: usize) {
        match stream {
            Stream::Upstream => self.tally.swallowed_up += count as u64,
            Stream::Downstream => self.tally.swallowed_down += count as u64,
        }
    }

    /// Lets the gate of a direction act on what it was given.
    fn pump(&mut self, now: Duration, stream: Stream) {
        loop {
            let piece = match stream {
                Stream::Upstream => self.front.next(&mut self.talk),
                Stream::Downstream => self.back.next(&mut self.talk),
            };
            let dropping = self.dead || (self.closing && stream == Stream::Upstream);
            match piece {
                None => return,
                Some(Piece::Pass(bytes)) if dropping => self.swallowed(stream, bytes.len()),
                Some(Piece::Pass(bytes)) => self.way(stream).lane.push(now, Item::Bytes(bytes)),
                Some(Piece::Dropped(count)) => self.swallowed(stream, count),
                Some(Piece::Before(event)) => self.fire(now, event),
                Some(Piece::After(event)) => self.way(stream).lane.push(now, Item::Mark(event)),
                Some(Piece::Finish) => {
                    let name = self.injector();
                    self.way(stream).lane.push(now, Item::Close(name));
                }
            }
        }
    }

    /// The toxic whose error ends the connection.
    fn injector(&self) -> Arc<str> {
        let injects = |applied: &&Applied| {
            applied.state == Progress::Active
                && matches!(applied.toxic.fault, Fault::PgError { severity: Severity::Fatal, .. })
        };
        self.toxics
            .iter()
            .find(injects)
            .map_or_else(|| "removed".into(), |applied| applied.name.clone())
    }

    fn on_signal(&mut self, now: Duration, stream: Stream, signal: Item) {
        match signal {
            Item::Mark(event) => self.fire(now, event),
            Item::End => self.way(stream).end = true,
            Item::Close(name) => self.end(false, DecisionKind::ConnectionCut, &name, "closed"),
            Item::Reset(name) => self.end(true, DecisionKind::ConnectionReset, &name, "reset"),
            Item::Bytes(_) => {}
        }
    }

    fn on_opaque(&mut self) {
        let waiting =
            self.toxics.iter().filter(|applied| matches!(applied.state, Progress::Waiting { .. }));
        for applied in waiting {
            self.notes.push(Note::new(DecisionKind::ProtocolOpaque).by(&applied.name));
        }
    }

    /// Whether a toxic that was added just now begins at once.
    fn is_due(&self, toxic: &Toxic) -> bool {
        match toxic.view.on {
            // An error can only be sent once the client waits for the server.
            None => !matches!(toxic.fault, Fault::PgError { .. }) || self.talk.started(),
            Some(Trigger::Startup) => self.talk.started(),
            Some(Trigger::Ready) => self.talk.idle(),
            Some(Trigger::InTransaction) => self.talk.in_transaction(),
            Some(Trigger::Commit | Trigger::CancelRequest | Trigger::Query(_)) => false,
        }
    }

    /// Something happened that toxics may wait for.
    fn fire(&mut self, now: Duration, event: Event) {
        let mut due = Vec::new();
        for applied in &mut self.toxics {
            if applied.meets(event) {
                due.push(applied.toxic.id);
            }
        }
        for id in due {
            self.activate(now, id, Some(event));
        }
    }

    /// Lets a toxic strike.
    fn activate(&mut self, now: Duration, id: u64, event: Option<Event>) {
        let Some(applied) = self.toxics.iter_mut().find(|applied| applied.toxic.id == id) else {
            return;
        };
        applied.state = Progress::Active;
        if applied.is_felt() {
            self.notes.push(Note::new(DecisionKind::ToxicEngaged).by(&applied.name));
        }
        let (toxic, name, rng) = (applied.toxic.clone(), applied.name.clone(), applied.rng.clone());
        let streams: &[Stream] = if matches!(toxic.fault, Fault::Blackhole { .. }) {
            &[Stream::Upstream, Stream::Downstream]
        } else {
            std::slice::from_ref(&toxic.view.stream)
        };
        if let Some(flow) = flow(&toxic.fault) {
            for stream in streams {
                let stage = Stage::new(now, id, name.clone(), flow.clone(), rng.clone());
                self.way(*stream).lane.add(stage);
            }
        }
        self.strike(now, &toxic, &name, event);
    }

    /// What a toxic does beside working on the bytes of a direction.
    fn strike(&mut self, now: Duration, toxic: &Toxic, name: &Arc<str>, event: Option<Event>) {
        match &toxic.fault {
            Fault::Blackhole { .. } => {
                self.notes.push(Note::new(DecisionKind::ConnectionBlackholed).by(name));
            }
            Fault::AcceptSilence => {
                self.bars.push((toxic.id, None));
                self.notes.push(Note::new(DecisionKind::ConnectionBlackholed).by(name));
            }
            Fault::AcceptDelay { delay } => self.bars.push((toxic.id, Some(self.opened + *delay))),
            Fault::Reset => self.end(true, DecisionKind::ConnectionReset, name, "reset at once"),
            Fault::Refuse { reset: true } => {
                self.end(true, DecisionKind::ConnectionReset, name, "the listener was closed");
            }
            Fault::Refuse { reset: false } => {
                self.end(false, DecisionKind::ConnectionCut, name, "the listener was closed");
            }
            Fault::Cut { after: Some(after), .. } => {
                self.cuts.push((toxic.id, name.clone(), now + *after));
            }
            Fault::PgError { severity, frame } => self.inject(*severity, frame, name, event),
            Fault::Cut { after: None, .. }
            | Fault::Noop
            | Fault::Latency { .. }
            | Fault::Bandwidth { .. }
            | Fault::SlowClose { .. }
            | Fault::Timeout { .. }
            | Fault::ResetPeer { .. }
            | Fault::Slicer { .. }
            | Fault::LimitData { .. } => {}
        }
    }

    fn inject(&mut self, severity: Severity, frame: &Bytes, name: &Arc<str>, event: Option<Event>) {
        match (severity, event) {
            (Severity::Error, Some(event)) => self.talk.replace(event, frame.clone()),
            (Severity::Error, None) => return,
            (Severity::Fatal, _) => {
                self.talk.inject_fatal(frame.clone());
                self.closing = true;
            }
        }
        self.notes.push(Note::new(DecisionKind::ErrorInjected).by(name));
    }

    fn take(&mut self, id: u64) -> Option<Applied> {
        let place = self.toxics.iter().position(|applied| applied.toxic.id == id)?;
        Some(self.toxics.remove(place))
    }

    /// Undoes what a toxic does from now on.
    fn lift(&mut self, now: Duration, id: u64) {
        self.up.lane.remove(id, now);
        self.down.lane.remove(id, now);
        self.bars.retain(|(toxic, _)| *toxic != id);
        self.cuts.retain(|(toxic, _, _)| *toxic != id);
    }

    /// A toxic ends the connection.
    fn end(&mut self, reset: bool, what: DecisionKind, name: &Arc<str>, detail: &'static str) {
        let toxic = Some(name.clone());
        self.verdict.get_or_insert(Verdict { reset, what, toxic, detail });
    }

    /// The connection ends without a toxic.
    fn conclude(&mut self, reset: bool, what: DecisionKind, detail: &'static str) {
        self.verdict.get_or_insert(Verdict { reset, what, toxic: None, detail });
    }
}

impl Way {
    fn work(&self) -> Work {
        let write = self.lane.front().is_some();
        Work { read: !self.eof && self.lane.has_room(), write, end: self.end }
    }
}

#[cfg(test)]
mod tests;
