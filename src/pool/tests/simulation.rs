//! Ten minutes of everything at once, by chance: faults, cancels, panics, resizes. A failing run prints its
//! seed.

use proptest::prelude::*;
use tokio::time::{Instant, sleep, timeout};

use super::*;

const MAX: u32 = 12;
const DURATION: Duration = Duration::from_mins(10);

/// A small generator (xorshift64*), so that a seed is all there is to a run.
#[derive(Debug, Clone)]
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Another generator, for another task.
    fn fork(&mut self) -> Self {
        Self(self.next() | 1)
    }
}

async fn borrow(pool: Pool<Scripted>, mut chance: Chance, end: Instant) {
    while Instant::now() < end {
        let patience = ms(1 + chance.below(2000));
        let options = AcquireOptions { timeout: Some(patience), ..AcquireOptions::default() };
        // Some give up from outside, before the pool's own limit.
        let outside = ms(1 + chance.below(3000));
        if let Ok(Ok(mut lease)) = timeout(outside, pool.acquire_with(options)).await {
            sleep(ms(chance.below(400))).await;
            match chance.below(12) {
                0 => lease.usage().soiled(),
                1 => lease.parts().1.sent(),
                2 => lease.parts().1.broke(),
                3 => drop(lease.untracked().id),
                _ => {
                    lease.parts().1.sent();
                    lease.parts().1.answered();
                }
            }
        }
        sleep(ms(chance.below(300))).await;
    }
}

async fn trouble(pool: Pool<Scripted>, connector: Scripted, mut chance: Chance, end: Instant) {
    while Instant::now() < end {
        connector.0.lock().otherwise = match chance.below(8) {
            0 => Some(Act::Fail),
            1 => Some(Act::Never),
            2 => Some(Act::After(ms(chance.below(5000)))),
            3 => Some(Act::Refuse("53300")),
            _ => None,
        };
        if chance.below(6) == 0 {
            let max = 1 + u32::try_from(chance.below(u64::from(MAX))).unwrap();
            pool.resize(1 + max / 3, max).unwrap();
        }
        sleep(ms(chance.below(8000))).await;
    }
}

async fn live(seed: u64) {
    let connector = Scripted::default();
    let pool = pool(Config { cleanup_timeout: secs(1), ..config(3, MAX) }, &connector);
    let mut chance = Chance(seed | 1);
    let end = Instant::now() + DURATION;
    let mut tasks: Vec<_> =
        (0..25).map(|_| spawn(borrow(pool.clone(), chance.fork(), end))).collect();
    tasks.push(spawn(trouble(pool.clone(), connector.clone(), chance.fork(), end)));
    while Instant::now() < end {
        let Snapshot { idle, waiting, .. } = pool.snapshot();
        assert!(idle == 0 || waiting == 0, "idle while somebody waits");
        assert!(pool.snapshot().total() <= MAX);
        sleep(ms(37)).await;
    }
    for task in tasks {
        task.await.unwrap();
    }
    let most = connector.look(|script| script.most_alive);
    assert!(most <= MAX as usize + 1, "{most} alive, and one more may be ending sessions");
    connector.0.lock().otherwise = None;
    pool.resize(3, MAX).unwrap();
    // An attempt that hangs fails after ten seconds, and an error degrades for sixty.
    sleep(secs(90)).await;
    assert_eq!(pool.health().0, Health::Healthy, "{:?}", pool.snapshot());
    let [idle, others @ ..] = counts(&pool);
    let alive = connector.look(|script| script.alive.len());
    assert_eq!((idle as usize, others), (alive, [0; 5]));
    let Statistics { total_acquisitions, total_releases, .. } = pool.statistics();
    assert!(total_acquisitions > 1000);
    assert_eq!(total_acquisitions, total_releases);
    let report = pool.shutdown().await;
    assert_eq!((report.forced.len(), report.abandoned), (0, 0));
    settled().await;
    assert_eq!(connector.look(|script| script.alive.len()), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, max_shrink_iters: 0, ..ProptestConfig::default() })]

    #[test]
    fn ten_minutes_of_everything_at_once_end_with_exact_counts(seed in any::<u64>()) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().start_paused(true).build().unwrap().block_on(live(seed));
    }
}
