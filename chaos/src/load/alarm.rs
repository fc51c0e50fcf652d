//! Waking at an instant, to some ten microseconds.

use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::net::unix::pipe::Receiver;
use tokio::time::{Instant, sleep_until};

/// A timer of the kernel. The runtime's own timers are late by up to two milliseconds, which would be taken for
/// latency.
#[derive(Debug)]
pub(super) struct Alarm {
    /// `None` on a machine that has none left: then the runtime's timer is all there is, and the lag shows it.
    timer: Option<Receiver>,
}

impl Alarm {
    pub(super) fn new() -> Self {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags).ok();
        // Like a pipe, a timer is something to wait for and then to read from, and that is all that is done with it.
        Self { timer: timer.and_then(|timer| Receiver::from_owned_fd_unchecked(timer).ok()) }
    }

    /// Waits until `due`. Dropping the future changes nothing.
    pub(super) async fn until(&self, due: Instant) {
        loop {
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            // The runtime's timer follows a clock that is paused, as the kernel's does not.
            tokio::select! {
                () = sleep_until(due) => {}
                () = self.after(left) => {}
            }
        }
    }

    async fn after(&self, left: Duration) {
        let set = self.timer.as_ref().and_then(|timer| {
            let left = Itimerspec {
                it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
                it_value: Timespec {
                    tv_sec: i64::try_from(left.as_secs()).ok()?,
                    tv_nsec: left.subsec_nanos().into(),
                },
            };
            timerfd_settime(timer, TimerfdTimerFlags::empty(), &left).ok().map(|_before| timer)
        });
        let Some(timer) = set else { return std::future::pending().await };
        let mut expirations = [0; 8];
        while timer.readable().await.is_ok() {
            if timer.try_read(&mut expirations).is_ok() {
                return;
            }
        }
    }
}
