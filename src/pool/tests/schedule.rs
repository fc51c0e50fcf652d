//! The lock, the line and the hand-over under many schedules.
//!
//! The pool's own code runs, on one thread for real, with its threads interleaved at every lock and before
//! every hand-over as the model checker chooses. Small programs are tried in every order there is, larger ones
//! at random.

use std::cell::Cell;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use shuttle::scheduler::{DfsScheduler, PctScheduler};
use shuttle::{Config as Model, Runner, future, thread};

use super::*;
use crate::pool::shared::Shared;
use crate::pool::slot::Borrower;
use crate::pool::state::State;

thread_local! {
    static MODELLED: Cell<bool> = const { Cell::new(false) };
}

/// Where another thread may run before this one goes on. Nothing, outside a model.
pub(in crate::pool) fn point() {
    if MODELLED.get() {
        thread::yield_now();
    }
}

/// Runs a program under a scheduler. The pool needs a runtime to spawn tasks on; nothing runs them, so every
/// connection is opened and closed by the program itself.
fn explore<S>(scheduler: S, program: impl Fn() + Send + Sync + 'static) -> usize
where
    S: shuttle::scheduler::Scheduler + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let _entered = runtime.enter();
    let _modelled = Modelled::new();
    Runner::new(scheduler, Model::new()).run(program)
}

/// Ends the model also when the program panics, so that what it leaves behind is dropped outside.
struct Modelled;

impl Modelled {
    fn new() -> Self {
        MODELLED.set(true);
        Self
    }
}

impl Drop for Modelled {
    fn drop(&mut self) {
        MODELLED.set(false);
    }
}

/// Every order of the program's steps.
fn every_order(program: impl Fn() + Send + Sync + 'static) {
    let runs = explore(DfsScheduler::new(Some(200_000), false), program);
    assert!((5..200_000).contains(&runs), "{runs} schedules: too few, or not all");
}

/// Many orders, chosen so that rare ones are likely to be among them.
fn many_orders(program: impl Fn() + Send + Sync + 'static) {
    assert_eq!(explore(PctScheduler::new(3, 3000), program), 3000);
}

/// A pool of `size` idle connections, without its tasks.
fn model_pool(size: u32) -> Arc<Shared<Scripted>> {
    let config = config(size, size);
    let shared = Arc::new(Shared::new("model", config, Scripted::default()));
    for _ in 0..size {
        open(&shared);
    }
    shared
}

fn open(shared: &Arc<Shared<Scripted>>) {
    let dial = shared.with_state(|state| state.dial(Instant::now()));
    let state::Dial::Open(attempt) = dial else { return };
    let link = future::block_on(shared.connector.open()).unwrap();
    let session = link.id;
    let served =
        shared.with_state(|state| state.opened(attempt, link, session, 0.0, Instant::now()));
    shared.serve(served);
}

fn borrower() -> Borrower {
    let location = std::panic::Location::caller();
    Borrower { location, particulars: None }
}

/// An acquire without a deadline; the model has no clock.
async fn lease(shared: &Arc<Shared<Scripted>>) -> Option<Lease<Scripted>> {
    let taken = shared.with_state(|state| state.take(borrower(), Instant::now())).ok()?;
    if let Some(taken) = taken {
        return Some(Lease::new(Arc::clone(shared), taken));
    }
    let now = Instant::now();
    let patience = state::Patience { started: now, limit: None };
    match acquire::queue(shared, borrower(), patience, now).ok()? {
        acquire::Queued::Idle(lease) => Some(lease),
        acquire::Queued::InLine(mut place) => place.served().await.ok(),
    }
}

fn rest(shared: &Arc<Shared<Scripted>>) -> (u32, u32, u32) {
    let Snapshot { idle, in_use, waiting, .. } = shared.snapshot();
    (idle, in_use, waiting)
}

#[test]
fn two_borrowers_of_one_connection_take_turns_in_every_order() {
    every_order(|| {
        let shared = model_pool(1);
        let threads = [(); 2].map(|()| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || future::block_on(lease(&shared)).map(|lease| lease.id()))
        });
        for thread in threads {
            assert_eq!(thread.join().unwrap(), Some(1));
        }
        assert_eq!(rest(&shared), (1, 0, 0));
    });
}

/// The waiter is dropped before, while and after its connection is handed over.
#[test]
fn a_waiter_that_goes_at_any_moment_loses_no_connection() {
    every_order(|| {
        let shared = model_pool(1);
        let held = future::block_on(lease(&shared)).unwrap();
        let waiter = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let mut waiting = Box::pin(async move { lease(&shared).await.map(drop) });
                let polled = future::block_on(std::future::poll_fn(|cx| {
                    Poll::Ready(waiting.as_mut().poll(cx).is_ready())
                }));
                point();
                drop(waiting);
                polled
            })
        };
        drop(held);
        waiter.join().unwrap();
        assert_eq!(rest(&shared), (1, 0, 0));
    });
}

#[test]
fn waiters_come_and_go_and_every_one_that_stays_is_served() {
    many_orders(|| {
        let shared = model_pool(2);
        let threads: Vec<_> = (0..5)
            .map(|number| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    if number % 2 == 0 {
                        return future::block_on(lease(&shared)).is_some();
                    }
                    // Looks once, and goes.
                    let mut looking = pin!(lease(&shared));
                    future::block_on(std::future::poll_fn(|cx| {
                        drop(looking.as_mut().poll(cx));
                        Poll::Ready(())
                    }));
                    true
                })
            })
            .collect();
        for thread in threads {
            assert!(thread.join().unwrap());
        }
        assert_eq!(rest(&shared), (2, 0, 0));
    });
}

#[test]
fn a_shrink_between_lending_and_returning_keeps_its_bound() {
    many_orders(|| {
        let shared = model_pool(3);
        let borrowers: Vec<_> = (0..3)
            .map(|_| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || drop(future::block_on(lease(&shared))))
            })
            .collect();
        shared.with_state(|state| state.resize(1, 1, Instant::now()));
        let second = future::block_on(lease(&shared)).unwrap();
        let snapshot = shared.snapshot();
        assert!(snapshot.in_use <= 3 && snapshot.idle == 0, "{snapshot}");
        drop(second);
        for borrower in borrowers {
            borrower.join().unwrap();
        }
        let snapshot = shared.snapshot();
        assert_eq!((snapshot.idle, snapshot.in_use, snapshot.waiting), (1, 0, 0));
    });
}

#[test]
fn the_numbers_never_contradict_each_other() {
    many_orders(|| {
        let shared = model_pool(2);
        let borrowers: Vec<_> = (0..3)
            .map(|_| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || drop(future::block_on(lease(&shared))))
            })
            .collect();
        for _ in 0..4 {
            let snapshot = shared.snapshot();
            assert_eq!(snapshot.total(), 2, "{snapshot}");
            assert!(snapshot.idle == 0 || snapshot.waiting == 0, "{snapshot}");
            thread::yield_now();
        }
        for borrower in borrowers {
            borrower.join().unwrap();
        }
        assert_eq!(rest(&shared), (2, 0, 0));
    });
}

#[test]
fn a_shutdown_at_any_moment_serves_or_refuses_everybody() {
    many_orders(|| {
        let shared = model_pool(1);
        let borrowers: Vec<_> = (0..3)
            .map(|_| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || drop(future::block_on(lease(&shared))))
            })
            .collect();
        shared.with_state(State::begin_shutdown);
        for borrower in borrowers {
            borrower.join().unwrap();
        }
        assert_eq!(rest(&shared), (0, 0, 0));
    });
}
