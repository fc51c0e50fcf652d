//! One toxic on one direction of one connection: what goes in, what comes out, and when. No clock.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use tokio_util::bytes::Bytes;

use super::super::pg::Event;

/// The longest time that `bandwidth` sends in one piece.
const SLICE: Duration = Duration::from_millis(100);

/// What moves through a direction, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    Bytes(Bytes),
    /// Everything before it is forwarded once it comes out.
    Mark(Event),
    /// The source has ended.
    End,
    /// A toxic, or an injected error, closes the connection.
    Close(Arc<str>),
    /// A toxic resets the connection.
    Reset(Arc<str>),
}

impl Item {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Mark(_) | Self::End | Self::Close(_) | Self::Reset(_) => 0,
        }
    }
}

/// What a stage does to what passes it.
#[derive(Debug, Clone)]
pub(super) enum Flow {
    Pass,
    Delay {
        latency: Duration,
        jitter: Duration,
    },
    Rate {
        kilobytes: u32,
    },
    DelayEnd {
        delay: Duration,
    },
    Slice {
        average: u32,
        variation: u32,
        delay: Duration,
    },
    /// Closes after so many bytes; `None` once it has.
    Limit {
        left: Option<u64>,
    },
    /// Drops bytes; closes after this time without any.
    Silence {
        limit: Option<Duration>,
    },
    /// Drops bytes; resets this long after the first.
    ResetAfter {
        after: Duration,
    },
    /// Keeps everything.
    Hold,
    /// Drops everything.
    Swallow,
}

/// A toxic in a direction.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) toxic: u64,
    name: Arc<str>,
    flow: Flow,
    rng: ChaCha8Rng,
    /// What waits, with the time at which it may go on.
    inbox: VecDeque<(Duration, Item)>,
    /// Bytes in `inbox`.
    bytes: usize,
    /// When the last one went, or may go, on: the order never changes.
    last: Duration,
    /// When the stage ends the connection.
    deadline: Option<Duration>,
}

impl Stage {
    pub(super) fn new(
        now: Duration,
        toxic: u64,
        name: Arc<str>,
        flow: Flow,
        rng: ChaCha8Rng,
    ) -> Self {
        let deadline =
            if let Flow::Silence { limit } = flow { limit.map(|limit| now + limit) } else { None };
        let inbox = VecDeque::new();
        Self { toxic, name, flow, rng, inbox, bytes: 0, last: Duration::ZERO, deadline }
    }

    /// Bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Items that wait.
    pub(super) fn len(&self) -> usize {
        self.inbox.len()
    }

    /// Whether nothing passes, not even an end.
    pub(super) fn blocks(&self) -> bool {
        matches!(self.flow, Flow::Hold | Flow::Swallow)
    }

    /// Takes what arrives at `at`. Returns how many bytes of it were dropped.
    pub(super) fn push(&mut self, at: Duration, item: Item) -> usize {
        let length = item.len();
        match (&mut self.flow, item) {
            (Flow::Swallow, _) => return length,
            (Flow::Silence { limit }, Item::Bytes(_)) => {
                self.deadline = limit.map(|limit| at + limit);
                return length;
            }
            (Flow::ResetAfter { after }, Item::Bytes(_)) => {
                self.deadline.get_or_insert(at + *after);
                return length;
            }
            // It never arrives, so nothing happens because of it.
            (Flow::Silence { .. } | Flow::ResetAfter { .. }, Item::Mark(_)) => {}
            (&mut Flow::Limit { left }, Item::Bytes(bytes)) => return self.limit(at, left, bytes),
            (Flow::Delay { latency, jitter }, Item::Bytes(bytes)) => {
                let due = at + delay(*latency, *jitter, &mut self.rng);
                self.queue(due, Item::Bytes(bytes));
            }
            (Flow::DelayEnd { delay }, end @ (Item::End | Item::Close(_))) => {
                let due = at + *delay;
                self.queue(due, end);
            }
            (_, item) => self.queue(at, item),
        }
        0
    }

    /// What may go on at `now`, and since when.
    pub(super) fn release(&mut self, now: Duration) -> Option<(Duration, Item)> {
        if let Some(deadline) = self.deadline.take_if(|deadline| *deadline <= now) {
            let name = self.name.clone();
            let resets = matches!(self.flow, Flow::ResetAfter { .. });
            return Some((deadline, if resets { Item::Reset(name) } else { Item::Close(name) }));
        }
        let due = self.due().filter(|due| *due <= now)?;
        let wanted = self.piece();
        let (_, item) = self.inbox.pop_front()?;
        self.last = due;
        let item = if let Item::Bytes(mut bytes) = item {
            let piece = bytes.split_to(wanted.min(bytes.len()));
            if !bytes.is_empty() {
                self.inbox.push_front((due, Item::Bytes(bytes)));
            }
            Item::Bytes(piece)
        } else {
            item
        };
        if let Flow::Slice { delay, .. } = self.flow
            && item.len() > 0
        {
            self.last += delay;
        }
        self.bytes -= item.len();
        Some((due, item))
    }

    /// When there is something to release next, if nothing else arrives.
    pub(super) fn wake(&self) -> Option<Duration> {
        self.deadline.into_iter().chain(self.due()).min()
    }

    /// Everything that waits, in order.
    pub(super) fn into_items(self) -> impl Iterator<Item = Item> {
        self.inbox.into_iter().map(|(_, item)| item)
    }

    fn queue(&mut self, due: Duration, item: Item) {
        self.bytes += item.len();
        let before = self.inbox.back().map_or(self.last, |(due, _)| *due);
        self.inbox.push_back((due.max(before), item));
    }

    fn limit(&mut self, at: Duration, left: Option<u64>, mut bytes: Bytes) -> usize {
        let Some(left) = left else { return bytes.len() };
        let room = usize::try_from(left).unwrap_or(usize::MAX);
        let dropped = bytes.split_off(room.min(bytes.len())).len();
        let left = left - bytes.len() as u64;
        self.flow = Flow::Limit { left: Some(left).filter(|left| *left > 0) };
        if !bytes.is_empty() {
            self.queue(at, Item::Bytes(bytes));
        }
        if left == 0 {
            self.queue(at, Item::Close(self.name.clone()));
        }
        dropped
    }

    /// When the first in line may go on.
    fn due(&self) -> Option<Duration> {
        let (due, item) = self.inbox.front()?;
        let due = (*due).max(self.last);
        match self.flow {
            Flow::Hold | Flow::Rate { kilobytes: 0 } => None,
            Flow::Rate { kilobytes } => {
                let length = item.len().min(slice(kilobytes)) as u64;
                // A kilobyte a second is a byte a millisecond.
                Some(due + Duration::from_micros(length * 1_000 / u64::from(kilobytes)))
            }
            Flow::Pass
            | Flow::Delay { .. }
            | Flow::DelayEnd { .. }
            | Flow::Slice { .. }
            | Flow::Limit { .. }
            | Flow::Silence { .. }
            | Flow::ResetAfter { .. }
            | Flow::Swallow => Some(due),
        }
    }

    /// How many bytes of the first in line go on at once.
    fn piece(&mut self) -> usize {
        match self.flow {
            Flow::Rate { kilobytes } => slice(kilobytes),
            Flow::Slice { average, variation, .. } => {
                let (low, high) =
                    (average.saturating_sub(variation), average.saturating_add(variation));
                self.rng.random_range(low.max(1)..=high.max(1)) as usize
            }
            Flow::Pass
            | Flow::Delay { .. }
            | Flow::DelayEnd { .. }
            | Flow::Limit { .. }
            | Flow::Silence { .. }
            | Flow::ResetAfter { .. }
            | Flow::Hold
            | Flow::Swallow => usize::MAX,
        }
    }
}

/// How many bytes `bandwidth` sends in one piece.
fn slice(kilobytes: u32) -> usize {
    kilobytes as usize * usize::try_from(SLICE.as_millis()).unwrap_or(1)
}

/// `latency` and up to `jitter` more or less, never negative.
fn delay(latency: Duration, jitter: Duration, rng: &mut ChaCha8Rng) -> Duration {
    let jitter = u64::try_from(jitter.as_micros()).unwrap_or(u64::MAX);
    let drawn = Duration::from_micros(rng.random_range(0..=jitter.saturating_mul(2)));
    (latency + drawn).saturating_sub(Duration::from_micros(jitter))
}
