//! The codes with which requests fail, as far as they can be known before a run.

use codebase_mcp::mcp::Code;

/// Those of the drivers: of the pool, of a connection, and of a server that is gone.
const DRIVERS: [&str; 10] = [
    "io",
    "pool_closed",
    "pool_configuration",
    "pool_initialization",
    "pool_queue_full",
    "pool_timeout",
    "pool_unavailable",
    "pool_validation",
    "protocol",
    "server_gone",
];

/// Those with a name. PostgreSQL, JSON-RPC and the system have others.
pub(super) fn named() -> impl Iterator<Item = &'static str> {
    Code::ALL.iter().map(|code| code.as_str()).chain(DRIVERS)
}

/// Whether a request can fail with `code`: one that has a name, `rpc_` and a number, `spawn_` and a kind of error, or
/// five digits and capitals, as PostgreSQL's are.
pub(super) fn is_code(code: &str) -> bool {
    let of_rpc = |number: &str| number.parse::<i64>().is_ok();
    let of_system = |kind: &str| kind.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let of_postgres = code.len() == 5
        && code.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
    named().any(|named| named == code)
        || of_postgres
        || code.strip_prefix("rpc_").is_some_and(of_rpc)
        || code.strip_prefix("spawn_").is_some_and(of_system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_told_from_what_is_none() {
        for code in ["DATABASE_ERROR", "pool_timeout", "57P01", "rpc_-32601", "spawn_not_found"] {
            assert!(is_code(code), "{code}");
        }
        for none in ["DATABASE_ERRORS", "pool_timeouts", "57p01", "57P011", "rpc_x", "spawn_No", ""]
        {
            assert!(!is_code(none), "{none}");
        }
    }
}
