//! A TCP port that stays free while the server that has it is down.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::RangeInclusive;

use rand::RngExt;

use crate::stack::StackError;

/// The ports from which the system takes those of outgoing connections, as two numbers.
const EPHEMERAL: &str = "/proc/sys/net/ipv4/ip_local_port_range";
/// The lowest port to take: those below belong to well-known services.
const LOWEST: u16 = 10_000;
/// How many ports are tried. More than a few that are taken means that something is wrong.
const TRIES: u32 = 64;

/// A free port on 127.0.0.1, below those of outgoing connections if there is room.
///
/// While the server is down its clients go on connecting. Had it a port of an outgoing connection, one of
/// them would sooner or later be given that very port for its own end, be connected with itself, and
/// hold the port that the server has to come back to.
pub(super) fn free() -> Result<u16, StackError> {
    let range = fs::read_to_string(EPHEMERAL).ok().and_then(|text| below(&text));
    let mut generator = rand::rng();
    for _ in 0..TRIES {
        let wanted = range.clone().map_or(0, |range| generator.random_range(range));
        let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, wanted));
        if let Ok(address) = bound.and_then(|listener| listener.local_addr()) {
            return Ok(address.port());
        }
    }
    Err(StackError::NoPort { tries: TRIES })
}

/// The ports below the range that `text` tells; `None` if there are too few to look among.
fn below(text: &str) -> Option<RangeInclusive<u16>> {
    let first: u16 = text.split_whitespace().next()?.parse().ok()?;
    (first > LOWEST + 1000).then(|| LOWEST..=first - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_ports_below_those_of_outgoing_connections() {
        let cases = [
            ("32768\t60999\n", Some(10_000..=32_767)),
            ("1024 65535", None),
            ("11000 65535", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(below(text), expected, "{text:?}");
        }
    }

    #[test]
    fn the_port_can_be_bound() {
        TcpListener::bind((Ipv4Addr::LOCALHOST, free().unwrap())).unwrap();
    }
}
