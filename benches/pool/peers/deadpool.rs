//! `deadpool::managed`.

use std::hint::black_box;
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{Manager, Metrics, Object, Pool, RecycleResult, Timeouts};

use super::{Peer, Source, Work};

/// Which limits the pool keeps.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Limits {
    /// The default.
    None,
    /// Those that our pool has: for waiting, for opening and for recycling.
    All,
}

#[derive(Debug)]
pub(crate) struct Opener<S>(S);

impl<S: Source> Manager for Opener<S> {
    type Type = S::Connection;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<S::Connection, sqlx::Error> {
        self.0.open().await
    }

    /// Checks nothing.
    async fn recycle(&self, _: &mut S::Connection, _: &Metrics) -> RecycleResult<sqlx::Error> {
        Ok(())
    }
}

#[derive(Clone)]
pub(crate) struct Deadpool<S: Source>(Pool<Opener<S>>);

impl<S: Source> Deadpool<S> {
    pub(crate) fn new(max_size: u32, limits: Limits, source: S) -> Self {
        let pool = Pool::builder(Opener(source)).max_size(max_size as usize);
        let pool = match limits {
            Limits::None => pool,
            Limits::All => pool.runtime(Runtime::Tokio1).timeouts(Timeouts {
                wait: Some(Duration::from_secs(30)),
                create: Some(Duration::from_secs(10)),
                recycle: Some(Duration::from_secs(1)),
            }),
        };
        Self(pool.build().expect("limits come with a runtime"))
    }
}

impl<S: Source> Peer for Deadpool<S> {
    type Lease<'a> = Object<Opener<S>>;

    async fn acquire(&self) -> Object<Opener<S>> {
        self.0.get().await.expect("a connection within the limit")
    }

    fn observe(&self) {
        black_box(black_box(&self.0).status());
    }
}

impl<S: Source> Work for Object<Opener<S>> {
    async fn work(&mut self) {
        (**self).work().await;
    }
}
