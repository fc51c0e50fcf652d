//! The resource `health://connection-pool`: read from memory, never from the database.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::readiness::Readiness;
use crate::pool::{Health, Statistics};

/// The resource's address.
pub(super) const CONNECTION_POOL: &str = "health://connection-pool";

/// The health of all pools together, the worst one deciding.
#[derive(Debug, Serialize)]
pub(super) struct PoolHealth {
    status: Health,
    timestamp: DateTime<Utc>,
    uptime_seconds: f64,
    database: Database,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    pools: BTreeMap<String, Statistics>,
}

#[derive(Debug, Serialize)]
struct Database {
    status: &'static str,
    pool: Sums,
}

/// Connections of all pools together.
#[derive(Debug, Default, Serialize)]
struct Sums {
    total: u32,
    idle: u32,
    active: u32,
    waiting: u32,
}

pub(super) fn connection_pool(readiness: &Readiness) -> PoolHealth {
    match readiness {
        Readiness::Starting => without_database("connecting", None),
        Readiness::Failed { error, .. } => without_database("disconnected", Some(error)),
        Readiness::Ready(services) => of_pools(services.projects.statistics()),
    }
}

fn without_database(status: &'static str, error: Option<&str>) -> PoolHealth {
    PoolHealth {
        status: Health::Unhealthy,
        timestamp: Utc::now(),
        uptime_seconds: 0.0,
        database: Database { status, pool: Sums::default() },
        error: error.map(str::to_owned),
        pools: BTreeMap::new(),
    }
}

fn of_pools(statistics: Vec<Statistics>) -> PoolHealth {
    let uptime = statistics.iter().map(|pool| pool.uptime_seconds).fold(0.0, f64::max);
    let mut sums = Sums::default();
    for pool in &statistics {
        sums.total += pool.total_connections;
        sums.idle += pool.idle_connections;
        sums.active += pool.active_connections;
        sums.waiting += pool.waiting_requests;
    }
    let status = statistics.iter().map(|pool| pool.health).max().unwrap_or(Health::Unhealthy);
    let connected = sums.idle + sums.active > 0;
    PoolHealth {
        status,
        timestamp: Utc::now(),
        uptime_seconds: uptime,
        database: Database {
            status: if connected { "connected" } else { "disconnected" },
            pool: sums,
        },
        error: None,
        pools: statistics.into_iter().map(|pool| (pool.name.clone(), pool)).collect(),
    }
}
