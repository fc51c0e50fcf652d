//! Many who want few connections.

use std::sync::Arc;

use futures_util::poll;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::*;

#[tokio::test(start_paused = true)]
async fn a_hundred_greedy_tasks_get_the_same_share() {
    let pool = warm(config(10, 10), &Scripted::default()).await;
    let total = Arc::new(Mutex::new(vec![0_u32; 100]));
    let tasks: Vec<_> = (0..100)
        .map(|number| {
            let (pool, total) = (pool.clone(), Arc::clone(&total));
            spawn(async move {
                while total.lock().iter().sum::<u32>() < 20_000 {
                    let lease = pool.acquire().await.unwrap();
                    tokio::task::yield_now().await;
                    total.lock()[number] += 1;
                    drop(lease);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let shares = total.lock();
    let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
    assert!(f64::from(*least) >= 0.9 * f64::from(*most), "{least} to {most}");
}

#[tokio::test(start_paused = true)]
async fn one_who_holds_for_long_again_and_again_lets_the_others_through_in_order() {
    let pool = warm(config(1, 1), &Scripted::default()).await;
    let order = Arc::new(Mutex::new(Vec::new()));
    let hog = spawn({
        let pool = pool.clone();
        async move {
            for _ in 0..3 {
                let lease = pool.acquire().await.unwrap();
                sleep(secs(5)).await;
                drop(lease);
            }
        }
    });
    settled().await;
    let others: Vec<_> = (0..20)
        .map(|number| {
            let (pool, order) = (pool.clone(), Arc::clone(&order));
            spawn(async move {
                sleep(ms(number)).await;
                let lease = pool.acquire().await.unwrap();
                order.lock().push(number);
                sleep(ms(1)).await;
                drop(lease);
            })
        })
        .collect();
    hog.await.unwrap();
    for other in others {
        other.await.unwrap();
    }
    assert_eq!(*order.lock(), (0..20).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn leaving_from_the_middle_of_ten_thousand_keeps_count_and_order() {
    let pool = warm(config(1, 1), &Scripted::default()).await;
    let held = pool.acquire().await.unwrap();
    let mut waiting: Vec<_> = (0..10_000).map(|_| Box::pin(pool.acquire())).collect();
    for waiter in &mut waiting {
        assert!(poll!(waiter.as_mut()).is_pending());
    }
    let full = pool.acquire().await.unwrap_err();
    assert!(matches!(full, AcquireError::QueueFull { limit: 10_000, .. }), "{full}");
    let mut index = 0;
    waiting.retain(|_| {
        index += 1;
        index % 3 == 0
    });
    assert_eq!(pool.snapshot().waiting, 3333);
    drop(held);
    for (served, waiter) in waiting.into_iter().enumerate() {
        assert_eq!(pool.snapshot().waiting as usize, 3332 - served);
        drop(waiter.await.unwrap());
    }
    assert_eq!(counts(&pool), [1, 0, 0, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn waiters_are_served_although_every_returned_connection_is_broken() {
    let connector = Scripted::default();
    let pool = warm(config(2, 2), &connector).await;
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let pool = pool.clone();
            spawn(async move {
                let mut lease = pool.acquire().await.unwrap();
                lease.parts().1.broke();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    settled().await;
    assert!(connector.look(|script| script.opened) >= 50);
    assert_eq!(counts(&pool), [2, 0, 0, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn tasks_that_acquire_twice_time_out_with_the_holders_named() {
    let config = Config { acquire_timeout: secs(1), ..config(3, 3) };
    let pool = warm(config, &Scripted::default()).await;
    let together = Arc::new(tokio::sync::Barrier::new(3));
    let started = Instant::now();
    let tasks: Vec<_> = (0..3)
        .map(|_| {
            let (pool, together) = (pool.clone(), Arc::clone(&together));
            spawn(async move {
                let first = pool.acquire().await.unwrap();
                together.wait().await;
                (pool.acquire().await.unwrap_err(), first)
            })
        })
        .collect();
    let mut outcomes = Vec::new();
    for task in tasks {
        // Held until all have failed, because what one gives up serves another.
        outcomes.push(task.await.unwrap());
    }
    for (error, _held) in &outcomes {
        let AcquireError::TimedOut { holders, .. } = error else { panic!("{error}") };
        assert_eq!(holders.0.len(), 3);
        assert!(error.to_string().contains("queueing.rs"), "{error}");
    }
    assert_eq!(started.elapsed(), secs(1));
}

/// Waiting is waiting: a thousand waiters cost no computing.
#[tokio::test]
async fn a_thousand_waiters_cost_no_time_of_the_processor() {
    let pool = warm(config(1, 1), &Scripted::default()).await;
    let held = pool.acquire().await.unwrap();
    let waiting: Vec<_> = (0..1000).map(|_| acquiring(&pool)).collect();
    settled().await;
    assert_eq!(pool.snapshot().waiting, 1000);
    let before = processor_ticks();
    let started = Instant::now();
    sleep(ms(1000)).await;
    // A tick is a hundredth of a second, so this is a tenth of the time that passed.
    let (used, passed) = (processor_ticks() - before, started.elapsed().as_millis() / 10);
    assert!(u128::from(used) * 10 <= passed, "{used} ticks of {passed}");
    drop(held);
    for waiter in waiting {
        drop(waiter.await.unwrap().unwrap());
    }
}

/// The time that this process has spent computing, in hundredths of a second.
fn processor_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_burst_is_served_by_what_is_there_and_opens_hardly_anything() {
    let connector = Scripted::default();
    let pool = warm(config(5, 50), &connector).await;
    connector.0.lock().otherwise = Some(Act::After(ms(150)));
    let started = Instant::now();
    let requests: Vec<_> = (0..50)
        .map(|_| {
            let pool = pool.clone();
            spawn(async move {
                let lease = pool.acquire().await.unwrap();
                sleep(ms(2)).await;
                drop(lease);
            })
        })
        .collect();
    for request in requests {
        request.await.unwrap();
    }
    assert!(started.elapsed() < ms(35), "{:?}", started.elapsed());
    sleep(secs(1)).await;
    assert!(connector.look(|script| script.opened) <= 5 + 2, "five and the dialer's two");
}
