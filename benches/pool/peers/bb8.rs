//! `bb8`.

use std::hint::black_box;

use bb8::{ManageConnection, Pool, PooledConnection};

use super::{Peer, Source, Work};

#[derive(Debug)]
pub(crate) struct Opener<S>(S);

impl<S: Source> ManageConnection for Opener<S> {
    type Connection = S::Connection;
    type Error = sqlx::Error;

    async fn connect(&self) -> Result<S::Connection, sqlx::Error> {
        self.0.open().await
    }

    async fn is_valid(&self, _: &mut S::Connection) -> Result<(), sqlx::Error> {
        Ok(())
    }

    fn has_broken(&self, _: &mut S::Connection) -> bool {
        false
    }
}

#[derive(Clone)]
pub(crate) struct Bb8<S: Source>(Pool<Opener<S>>);

impl<S: Source> Bb8<S> {
    /// Checks nothing, and has its default limit of 30 s.
    pub(crate) fn new(max_size: u32, source: S) -> Self {
        let pool = Pool::builder().max_size(max_size).test_on_check_out(false);
        Self(pool.build_unchecked(Opener(source)))
    }
}

impl<S: Source> Peer for Bb8<S> {
    type Lease<'a> = PooledConnection<'a, Opener<S>>;

    async fn acquire(&self) -> PooledConnection<'_, Opener<S>> {
        self.0.get().await.expect("a connection within the limit")
    }

    fn observe(&self) {
        black_box(black_box(&self.0).state());
    }
}

impl<S: Source> Work for PooledConnection<'_, Opener<S>> {
    async fn work(&mut self) {
        (**self).work().await;
    }
}
