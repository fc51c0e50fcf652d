//! The requests of a session that have no answer yet.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;
use tokio::sync::oneshot;

use super::violation::Breach;
use super::wire::Reply;

/// How many requests that were given up are remembered, so that their late answers are no violation. A server
/// that is behind by more than this many has other troubles.
const GIVEN_UP: usize = 65_536;

/// Which ids are waited for. Ids count up from 1.
#[derive(Debug, Default)]
pub(super) struct Calls {
    last: u64,
    waiting: HashMap<u64, oneshot::Sender<Reply>>,
    given_up: BTreeSet<u64>,
    over: bool,
}

impl Calls {
    /// The id of a new request and where its answer comes; `None` when nothing can come any more.
    pub(super) fn begin(&mut self) -> Option<(u64, oneshot::Receiver<Reply>)> {
        if self.over {
            return None;
        }
        self.last += 1;
        let (sender, receiver) = oneshot::channel();
        self.waiting.insert(self.last, sender);
        Some((self.last, receiver))
    }

    /// Nobody waits for this answer any more. False when it has come, or cannot.
    pub(super) fn give_up(&mut self, id: u64) -> bool {
        let waited = self.waiting.remove(&id).is_some();
        if waited {
            self.given_up.insert(id);
            if self.given_up.len() > GIVEN_UP {
                self.given_up.pop_first();
            }
        }
        waited
    }

    /// An answer came.
    pub(super) fn answer(&mut self, id: &Value, reply: Reply) -> Result<(), Breach> {
        let Some(id) = id.as_u64().filter(|id| (1..=self.last).contains(id)) else {
            return Err(Breach::UnknownId);
        };
        if let Some(caller) = self.waiting.remove(&id) {
            // A caller that goes at this instant has its answer all the same.
            drop(caller.send(reply));
            return Ok(());
        }
        if self.given_up.remove(&id) { Ok(()) } else { Err(Breach::AnsweredAgain) }
    }

    /// No answer will come any more; those who wait are told.
    pub(super) fn close(&mut self) {
        self.over = true;
        self.waiting.clear();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_request_is_answered_once() {
        let mut calls = Calls::default();
        let (one, mut first) = calls.begin().unwrap();
        let (two, mut second) = calls.begin().unwrap();
        assert_eq!(calls.answer(&json!(two), Ok(json!("b"))), Ok(()));
        assert_eq!(second.try_recv().unwrap(), Ok(json!("b")));
        assert!(first.try_recv().is_err());
        assert_eq!(calls.answer(&json!(two), Ok(json!("b"))), Err(Breach::AnsweredAgain));
        for unknown in [json!(3), json!(0), json!(-1), json!("1"), json!(1.0), json!(null)] {
            assert_eq!(calls.answer(&unknown, Ok(json!(0))), Err(Breach::UnknownId), "{unknown}");
        }
        assert_eq!(calls.answer(&json!(one), Ok(json!("a"))), Ok(()));
    }

    #[test]
    fn a_request_that_was_given_up_may_be_answered_once() {
        let mut calls = Calls::default();
        let (one, _receiver) = calls.begin().unwrap();
        assert!(calls.give_up(one));
        assert!(!calls.give_up(one));
        assert_eq!(calls.answer(&json!(one), Ok(json!(0))), Ok(()));
        assert_eq!(calls.answer(&json!(one), Ok(json!(0))), Err(Breach::AnsweredAgain));
    }

    #[test]
    fn at_the_end_everybody_is_told() {
        let mut calls = Calls::default();
        let (_id, mut receiver) = calls.begin().unwrap();
        calls.close();
        assert_eq!(receiver.try_recv(), Err(oneshot::error::TryRecvError::Closed));
        assert!(calls.begin().is_none());
    }
}
