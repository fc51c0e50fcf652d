//! What a borrower has done to a connection, and what that means for the next one.

use super::reason::CloseReason;
use super::state::Fitness;

/// What a connection has been used for since it was lent, as far as it matters to the next borrower.
#[derive(Debug)]
pub(super) struct Usage {
    /// A statement was sent and its answer has not been read to the end.
    in_flight: bool,
    transaction: InTransaction,
    /// What its use has done to the session, the worst of it.
    wear: Fitness,
}

/// Whether a transaction was begun and has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InTransaction {
    No,
    Yes,
    /// A statement failed in it.
    Failed,
}

impl Usage {
    pub(super) fn new() -> Self {
        Self { in_flight: false, transaction: InTransaction::No, wear: Fitness::Fit }
    }

    /// A statement is being sent.
    pub(super) fn sent(&mut self) {
        self.in_flight = true;
    }

    /// The answer was read to its end.
    pub(super) fn answered(&mut self) {
        self.in_flight = false;
    }

    /// The session was changed and needs a reset.
    pub(super) fn soiled(&mut self) {
        if self.wear != Fitness::Soiled && !matches!(self.wear, Fitness::Unfit(_)) {
            self.wear = Fitness::Soiled;
        }
    }

    /// The connection must not be used again. The first reason stands.
    pub(super) fn unfit(&mut self, reason: CloseReason) {
        if !matches!(self.wear, Fitness::Unfit(_)) {
            self.wear = Fitness::Unfit(reason);
        }
    }

    /// A check has begun whose outcome is not known.
    pub(super) fn unproven(&mut self) {
        self.wear = Fitness::Unproven;
    }

    /// A transaction is being begun.
    pub(super) fn begun(&mut self) {
        self.transaction = InTransaction::Yes;
    }

    /// The server reported an error.
    pub(super) fn failed(&mut self) {
        if self.transaction == InTransaction::Yes {
            self.transaction = InTransaction::Failed;
        }
    }

    /// Whether a statement failed inside the transaction.
    pub(super) fn has_failed(&self) -> bool {
        self.transaction == InTransaction::Failed
    }

    /// The transaction has ended.
    pub(super) fn ended(&mut self) {
        self.transaction = InTransaction::No;
    }

    /// What the use leaves behind.
    pub(super) fn fitness(&self) -> Fitness {
        match self.wear {
            Fitness::Unfit(CloseReason::Broken | CloseReason::Silent) => self.wear,
            _ if self.in_flight => Fitness::Unfit(CloseReason::Abandoned),
            Fitness::Unfit(_) => self.wear,
            _ if self.transaction != InTransaction::No => Fitness::Soiled,
            Fitness::Fit | Fitness::Unproven | Fitness::Soiled => self.wear,
        }
    }
}
