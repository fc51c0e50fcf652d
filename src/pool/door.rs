//! Noticing during an outage that the database answers again, long before the next attempt is due.
//!
//! Attempts to connect come at growing distances, because each of them costs a server that is in trouble a
//! session. Asking whether anybody is there costs next to nothing, so that is done every second.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::connect::Connect;
use super::shared::Shared;

/// How often the door is knocked at.
const KNOCK: Duration = Duration::from_secs(1);
/// How long an answer may take. A server that needs longer is not there for anybody.
const LIMIT: Duration = Duration::from_secs(1);

/// Brings the next attempt forward when a server that did not answer at all answers again. One that answered all
/// along fails for another reason, and is given the time that the schedule gives it. Never returns; it is of no
/// use while no attempt is waited for.
pub(super) async fn watch<C: Connect>(shared: &Arc<Shared<C>>) -> std::convert::Infallible {
    // The outage, by its beginning, in which nobody answered.
    let mut silent_in: Option<Instant> = None;
    loop {
        sleep(KNOCK).await;
        let Some(outage) = shared.with_state(|state| state.outage_since()) else { continue };
        let answers = timeout(LIMIT, shared.connector.answers()).await.unwrap_or(false);
        if !answers {
            silent_in = Some(outage);
        } else if silent_in.take() == Some(outage) {
            tracing::info!(
                event = "pool.database.answers",
                pool = %shared.name,
                "the database answers again; connecting"
            );
            shared.with_state(|state| state.retry_now(Instant::now()));
            shared.demand.notify_one();
        }
    }
}
