//! What the pool is to reach, and whether it did.

use codebase_mcp::pool::Config;

use crate::peers::{DEADPOOL_LIMITED, OURS, SQLX};
use crate::report::{Row, Unit, grid, median};

/// Which side of its bound a value must be on.
#[derive(Debug, Clone, Copy)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
    Below(f64),
    Above(f64),
}

impl Bound {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtMost(bound) => value <= bound,
            Self::AtLeast(bound) => value >= bound,
            Self::Below(bound) => value < bound,
            Self::Above(bound) => value > bound,
        }
    }
}

/// What of a row is compared with the bound.
#[derive(Debug, Clone, Copy)]
enum Value {
    /// Our median.
    Ours,
    /// Ours over another pool's, in the same instant.
    Over(&'static str),
    /// Another pool's over ours.
    Under(&'static str),
    /// Our rate, a second.
    Rate,
}

#[derive(Debug, Clone, Copy)]
struct Target {
    row: &'static str,
    text: &'static str,
    value: Value,
    bound: Bound,
}

fn targets() -> Vec<Target> {
    let target = |row, text, value, bound| Target { row, text, value, bound };
    let connects = 5 + Config::default().max_parallel_connects;
    vec![
        target("U1", "at most 150 ns", Value::Ours, Bound::AtMost(150.0)),
        target(
            "U1",
            "at most 0.5 of deadpool with limits",
            Value::Over(DEADPOOL_LIMITED),
            Bound::AtMost(0.5),
        ),
        target("A1", "no allocation", Value::Ours, Bound::AtMost(0.0)),
        target(
            "C1-1000",
            "at most 0.7 of deadpool with limits",
            Value::Over(DEADPOOL_LIMITED),
            Bound::AtMost(0.7),
        ),
        target("C2-lost", "none lost", Value::Ours, Bound::AtMost(0.0)),
        target("P2-100", "at least 97 % of held connections", Value::Ours, Bound::AtLeast(0.97)),
        target(
            "P1-alone",
            "sqlx takes at least 40 times as long",
            Value::Under(SQLX),
            Bound::AtLeast(40.0),
        ),
        target("F1", "at least 0.9", Value::Ours, Bound::AtLeast(0.9)),
        target("S1-counts", "below 50 ns", Value::Ours, Bound::Below(50.0)),
        target("S1-health", "more than 1 000 000 a second", Value::Rate, Bound::Above(1e6)),
        target("spike", "below 35 ms", Value::Ours, Bound::Below(35e6)),
        target(
            "spike-opened",
            "at most 5 + max_parallel_connects",
            Value::Ours,
            Bound::AtMost(connects.into()),
        ),
    ]
}

impl Target {
    /// What was measured, and its text.
    fn measured(&self, row: &Row) -> Option<(f64, String)> {
        let ours = median(row.samples.of(OURS)?);
        Some(match self.value {
            Value::Ours => (ours, format!("{} {}", row.unit.show(ours), row.unit.name())),
            Value::Over(peer) => {
                let ratio = row.samples.ratio(OURS, peer)?;
                (ratio, Unit::Ratio.show(ratio))
            }
            Value::Under(peer) => {
                let ratio = row.samples.ratio(peer, OURS)?;
                (ratio, Unit::Ratio.show(ratio))
            }
            Value::Rate => (1e9 / ours, format!("{:.0} a second", 1e9 / ours)),
        })
    }
}

/// The targets of the rows that were measured, as a table.
pub(crate) fn table(rows: &[&Row]) -> String {
    let mut lines = vec![["", "target", "measured", ""].map(str::to_owned).to_vec()];
    for target in targets() {
        let row = rows.iter().find(|row| row.id == target.row);
        let Some((value, measured)) = row.and_then(|row| target.measured(row)) else { continue };
        let verdict = if target.bound.holds(value) { "met" } else { "not met" };
        let cells = [target.row, target.text, measured.trim(), verdict];
        lines.push(cells.map(str::to_owned).to_vec());
    }
    let mut text = String::new();
    grid(&mut text, &lines, 2).expect("a string takes all that is written");
    text
}
