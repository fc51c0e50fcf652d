//! The resource `health://connection-pool`: read from memory, never from the database.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::readiness::Readiness;
use crate::pool::{Health, HealthReason, Snapshot};

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
    pools: BTreeMap<String, OnePool>,
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

#[derive(Debug, Serialize)]
struct OnePool {
    status: Health,
    reason: HealthReason,
    #[serde(flatten)]
    numbers: Snapshot,
}

pub(super) async fn connection_pool(readiness: &Readiness) -> PoolHealth {
    match readiness {
        Readiness::Starting => without_database("connecting", None),
        Readiness::Failed { error, .. } => without_database("disconnected", Some(error)),
        Readiness::Ready(services) => of_pools(services.projects.snapshots().await),
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

fn of_pools(snapshots: Vec<(String, Snapshot)>) -> PoolHealth {
    let uptime = snapshots.iter().map(|(_, pool)| pool.age).max().unwrap_or_default();
    let mut sums = Sums::default();
    let pools: BTreeMap<String, OnePool> = snapshots
        .into_iter()
        .map(|(name, numbers)| {
            sums.total += numbers.total();
            sums.idle += numbers.idle;
            sums.active += numbers.in_use;
            sums.waiting += numbers.waiting;
            let (status, reason) = numbers.health();
            (name, OnePool { status, reason, numbers })
        })
        .collect();
    let status = pools.values().map(|pool| pool.status).max().unwrap_or(Health::Unhealthy);
    let connected = sums.idle + sums.active > 0;
    PoolHealth {
        status,
        timestamp: Utc::now(),
        uptime_seconds: uptime.as_secs_f64(),
        database: Database {
            status: if connected { "connected" } else { "disconnected" },
            pool: sums,
        },
        error: None,
        pools,
    }
}
