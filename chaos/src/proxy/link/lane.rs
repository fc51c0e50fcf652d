//! One direction of a connection: the toxics in their order, and what has passed them. No clock, no socket.

use std::collections::VecDeque;
use std::time::Duration;

use tokio_util::bytes::{Buf, Bytes};

use super::stage::{Item, Stage};

/// Bytes that may wait in a direction before no more are read: enough for a second of latency at 4 MB/s.
/// What is read by then, at most one chunk more, still fits.
const WAITING_LIMIT: usize = 4 * 1024 * 1024;

/// Items that may wait in a direction before no more are read: each costs some hundred bytes, however few it
/// carries.
const ITEMS_LIMIT: usize = 16_384;

/// Items that move at once, and that may wait to be written before nothing moves: a slicer makes thousands of
/// one chunk.
const BATCH: usize = 1_024;

/// A direction.
#[derive(Debug, Default)]
pub(super) struct Lane {
    stages: Vec<Stage>,
    /// What may be written now.
    out: VecDeque<Item>,
    /// Bytes in `out`.
    out_bytes: usize,
    /// Bytes that were dropped since somebody asked.
    dropped: usize,
}

impl Lane {
    /// Takes what arrives at `now`.
    pub(super) fn push(&mut self, now: Duration, item: Item) {
        match self.stages.first_mut() {
            Some(stage) => self.dropped += stage.push(now, item),
            None => self.emit(item),
        }
    }

    /// Moves everything as far as it may go at `now`.
    pub(super) fn advance(&mut self, now: Duration) {
        if self.out.len() >= BATCH {
            return;
        }
        let mut moving = Vec::new();
        for stage in &mut self.stages {
            for (at, item) in moving.drain(..) {
                self.dropped += stage.push(at, item);
            }
            // What is left over is due already, so `wake` says to go on at once.
            moving.extend(std::iter::from_fn(|| stage.release(now)).take(BATCH));
        }
        for (_, item) in moving {
            self.emit(item);
        }
    }

    /// Adds a toxic behind the others.
    pub(super) fn add(&mut self, stage: Stage) {
        self.stages.push(stage);
    }

    /// Removes a toxic; what waited in it goes on at once.
    pub(super) fn remove(&mut self, toxic: u64, now: Duration) {
        while let Some(place) = self.stages.iter().position(|stage| stage.toxic == toxic) {
            let items: Vec<_> = self.stages.remove(place).into_items().collect();
            for item in items {
                match self.stages.get_mut(place) {
                    Some(next) => self.dropped += next.push(now, item),
                    None => self.emit(item),
                }
            }
        }
    }

    /// Drops everything that waits.
    pub(super) fn clear(&mut self) {
        self.dropped += self.waiting();
        *self = Self { dropped: self.dropped, ..Self::default() };
    }

    /// When something moves next by itself. Writing makes room for more.
    pub(super) fn wake(&self) -> Option<Duration> {
        if self.out.len() >= BATCH {
            return None;
        }
        self.stages.iter().filter_map(Stage::wake).min()
    }

    /// Whether there is room for another chunk.
    pub(super) fn has_room(&self) -> bool {
        let items = self.out.len() + self.stages.iter().map(Stage::len).sum::<usize>();
        self.waiting() < WAITING_LIMIT && items < ITEMS_LIMIT
    }

    /// Whether nothing passes, not even an end.
    pub(super) fn blocked(&self) -> bool {
        self.stages.iter().any(Stage::blocks)
    }

    /// The bytes to write next. A direction that is blocked keeps what had passed its toxics already.
    pub(super) fn front(&self) -> Option<&Bytes> {
        match self.out.front() {
            Some(Item::Bytes(bytes)) if !self.blocked() => Some(bytes),
            _ => None,
        }
    }

    /// Notes that so many of the bytes were written.
    pub(super) fn wrote(&mut self, count: usize) {
        self.out_bytes -= count;
        if let Some(Item::Bytes(bytes)) = self.out.front_mut() {
            bytes.advance(count);
            if bytes.is_empty() {
                self.out.pop_front();
            }
        }
    }

    /// What comes after everything that was written, if it is not bytes.
    pub(super) fn pop_signal(&mut self) -> Option<Item> {
        let blocked = self.blocked();
        self.out.pop_front_if(|item| !blocked && !matches!(item, Item::Bytes(_)))
    }

    /// How many bytes were dropped since the last call.
    pub(super) fn take_dropped(&mut self) -> usize {
        std::mem::take(&mut self.dropped)
    }

    fn waiting(&self) -> usize {
        self.out_bytes + self.stages.iter().map(Stage::bytes).sum::<usize>()
    }

    fn emit(&mut self, item: Item) {
        self.out_bytes += item.len();
        self.out.push_back(item);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::super::seed::generator;
    use super::super::stage::Flow;
    use super::*;

    fn stage(number: u64, flow: Flow) -> Stage {
        Stage::new(Duration::ZERO, number, "t".into(), flow, generator(1, "p", 1, "t"))
    }

    fn lane(flow: Flow) -> Lane {
        let mut lane = Lane::default();
        lane.add(stage(1, flow));
        lane
    }

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Everything that may be written.
    fn written(lane: &mut Lane) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(bytes) = lane.front().cloned() {
            all.extend(&bytes);
            lane.wrote(bytes.len());
        }
        all
    }

    fn flow() -> impl Strategy<Value = Flow> {
        prop_oneof![
            Just(Flow::Pass),
            (0..50_u64, 0..50_u64)
                .prop_map(|(l, j)| Flow::Delay { latency: millis(l), jitter: millis(j) }),
            (1..10_u32).prop_map(|kilobytes| Flow::Rate { kilobytes }),
            (0..50_u64).prop_map(|delay| Flow::DelayEnd { delay: millis(delay) }),
            (1..50_u32, 0..60_u32, 0..2_000_u64).prop_map(|(average, variation, delay)| {
                Flow::Slice { average, variation, delay: Duration::from_micros(delay) }
            }),
        ]
    }

    proptest! {
        #[test]
        fn no_toxic_that_keeps_bytes_loses_or_reorders_any(
            flows in vec(flow(), 0..4),
            chunks in vec((vec(any::<u8>(), 1..300), 0..20_u64), 0..12),
            removed in prop::option::of((0..4_u64, 0..200_u64)),
        ) {
            let mut lane = Lane::default();
            for (number, flow) in flows.into_iter().enumerate() {
                lane.add(stage(number as u64, flow));
            }
            let (mut now, mut sent, mut got) = (Duration::ZERO, Vec::<u8>::new(), Vec::<u8>::new());
            for (chunk, pause) in chunks {
                now += millis(pause);
                sent.extend(&chunk);
                lane.push(now, Item::Bytes(chunk.into()));
                lane.advance(now);
                got.extend(written(&mut lane));
                if let Some((toxic, at)) = removed && now >= millis(at) {
                    lane.remove(toxic, now);
                }
            }
            lane.push(now, Item::End);
            lane.advance(now);
            while let Some(wake) = lane.wake() {
                prop_assert!(lane.front().is_none() || wake >= now);
                now = now.max(wake);
                lane.advance(now);
                got.extend(written(&mut lane));
            }
            got.extend(written(&mut lane));
            prop_assert_eq!(got, sent);
            prop_assert_eq!(lane.pop_signal(), Some(Item::End));
            prop_assert_eq!(lane.waiting() + lane.take_dropped(), 0);
        }

        #[test]
        fn a_limit_lets_exactly_so_many_bytes_pass(
            left in 0..500_u64,
            chunks in vec(vec(any::<u8>(), 1..100), 1..12),
        ) {
            let mut lane = lane(Flow::Limit { left: Some(left) });
            let sent = chunks.concat();
            for chunk in chunks {
                lane.push(Duration::ZERO, Item::Bytes(chunk.into()));
            }
            lane.advance(Duration::ZERO);
            let passed = sent.len().min(usize::try_from(left).unwrap());
            prop_assert_eq!(written(&mut lane), &sent[..passed]);
            prop_assert_eq!(lane.take_dropped(), sent.len() - passed);
            let closes = matches!(lane.pop_signal(), Some(Item::Close(_)));
            prop_assert_eq!(closes, sent.len() as u64 >= left);
        }

        #[test]
        fn latency_is_within_its_bounds(latency in 0..500_u64, jitter in 0..600_u64) {
            let mut lane = lane(Flow::Delay { latency: millis(latency), jitter: millis(jitter) });
            lane.push(millis(1_000), Item::Bytes(Bytes::from_static(b"x")));
            let due = lane.wake().unwrap().checked_sub(millis(1_000)).unwrap();
            prop_assert!(due >= millis(latency.saturating_sub(jitter)), "{due:?}");
            prop_assert!(due <= millis(latency + jitter), "{due:?}");
        }
    }

    #[test]
    fn bandwidth_takes_its_time_and_nothing_at_all_stalls() {
        let mut slow = lane(Flow::Rate { kilobytes: 10 });
        slow.push(Duration::ZERO, Item::Bytes(vec![0; 2_500].into()));
        slow.advance(millis(100));
        assert_eq!(written(&mut slow).len(), 1_000);
        slow.advance(millis(249));
        assert_eq!(written(&mut slow).len(), 1_000);
        slow.advance(millis(250));
        assert_eq!(written(&mut slow).len(), 500);

        let mut stalled = lane(Flow::Rate { kilobytes: 0 });
        stalled.push(Duration::ZERO, Item::Bytes(vec![0; 1].into()));
        assert_eq!(stalled.wake(), None);
        stalled.remove(1, millis(1));
        assert_eq!(written(&mut stalled), [0]);
    }

    #[test]
    fn a_timeout_counts_from_the_last_chunk_and_drops_all() {
        let mut lane = lane(Flow::Silence { limit: Some(millis(100)) });
        lane.push(millis(60), Item::Bytes(vec![0; 3].into()));
        lane.advance(millis(159));
        assert_eq!(lane.pop_signal(), None);
        lane.advance(millis(160));
        assert_eq!(lane.pop_signal(), Some(Item::Close(Arc::from("t"))));
        assert_eq!(lane.take_dropped(), 3);
    }

    #[test]
    fn a_reset_comes_after_the_first_chunk() {
        let mut lane = lane(Flow::ResetAfter { after: millis(10) });
        assert_eq!(lane.wake(), None);
        lane.push(millis(5), Item::Bytes(vec![0].into()));
        lane.push(millis(9), Item::Bytes(vec![0].into()));
        lane.advance(millis(15));
        assert_eq!(lane.pop_signal(), Some(Item::Reset(Arc::from("t"))));
    }

    #[test]
    fn a_blocked_lane_keeps_what_was_about_to_be_written() {
        let mut lane = Lane::default();
        lane.push(Duration::ZERO, Item::Bytes(vec![7].into()));
        lane.push(Duration::ZERO, Item::End);
        lane.add(stage(1, Flow::Hold));
        assert_eq!(lane.front(), None);
        assert_eq!(lane.pop_signal(), None);
        lane.remove(1, millis(1));
        assert_eq!(written(&mut lane), [7]);
        assert_eq!(lane.pop_signal(), Some(Item::End));
    }

    #[test]
    fn a_full_lane_takes_no_more() {
        let mut lane = lane(Flow::Hold);
        assert!(lane.has_room());
        lane.push(Duration::ZERO, Item::Bytes(vec![0; WAITING_LIMIT].into()));
        assert!(!lane.has_room());
        lane.clear();
        assert!(lane.has_room());

        let mut sliced =
            self::lane(Flow::Slice { average: 1, variation: 0, delay: Duration::ZERO });
        sliced.push(Duration::ZERO, Item::Bytes(vec![0; 2 * BATCH + 1].into()));
        for expected in [BATCH, BATCH, 1] {
            sliced.advance(Duration::ZERO);
            assert_eq!(sliced.wake(), None, "a full queue moves when it is written");
            assert_eq!(written(&mut sliced).len(), expected);
        }
    }
}
