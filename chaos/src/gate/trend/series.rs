//! The history as a series for each benchmark, with the changes of its level.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::detect::{self, ChangePoint};
use super::history::Row;
use super::{WINDOW, detect::MIN_RUNS};
use crate::report::number;

/// How many characters of a commit's name are shown, as git does.
const SHORT_REVISION: usize = 7;

/// No probability below this is told.
const LEAST_P: f64 = 1e-99;

/// All that a history says.
#[derive(Debug, Clone, PartialEq)]
pub struct Trend {
    /// The kinds of machine and build, the one of the last run first.
    pub classes: Vec<Class>,
}

/// What was measured on one kind of machine and build.
#[derive(Debug, Clone, PartialEq)]
pub struct Class {
    /// Its name.
    pub name: String,
    /// The runs, the oldest first.
    pub runs: Vec<Run>,
    /// The benchmarks, the one that changed last first, those without a change by name at the end.
    pub benchmarks: Vec<Benchmark>,
}

/// A run of the gate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Run {
    /// When it began.
    pub at: DateTime<Utc>,
    /// The commit that was measured.
    pub revision: String,
}

impl Run {
    /// The day, such as `2026-11-22`, in UTC.
    pub fn date(&self) -> String {
        self.at.format("%F").to_string()
    }

    /// The beginning of the commit's name.
    pub fn short(&self) -> &str {
        let end = self.revision.char_indices().nth(SHORT_REVISION);
        end.and_then(|(end, _)| self.revision.get(..end)).unwrap_or(&self.revision)
    }
}

/// One benchmark.
#[derive(Debug, Clone, PartialEq)]
pub struct Benchmark {
    /// Its name.
    pub name: String,
    /// All that was measured, with the run by its position.
    pub rows: Vec<(usize, Row)>,
    /// How long an iteration takes.
    pub time: Series,
    /// How many instructions it needs, if they were ever counted.
    pub instructions: Option<Series>,
}

impl Benchmark {
    /// The series, that of the time first.
    pub fn series(&self) -> impl Iterator<Item = &Series> {
        [&self.time].into_iter().chain(&self.instructions)
    }

    /// The change that came last; of several in the same run, that of the time.
    pub fn last_change(&self) -> Option<(&Series, &Change)> {
        let last = |series| Some((series, Series::last_change(series)?));
        let (time, instructions) = (last(&self.time), self.instructions.as_ref().and_then(last));
        // Of equal ones the later is taken.
        instructions.into_iter().chain(time).max_by_key(|(_, change)| change.position)
    }
}

/// What is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statistic {
    /// What a tenth of the samples stays below: other load on the machine hardly moves it.
    P10 {
        /// Its unit, such as `ns`.
        unit: String,
    },
    /// The instructions of an iteration.
    Instructions,
}

impl Statistic {
    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::P10 { .. } => "p10",
            Self::Instructions => "instructions",
        }
    }

    /// A value with its unit.
    pub fn show(&self, value: f64) -> String {
        match self {
            Self::P10 { unit } if unit == "ns" => number::nanoseconds(value),
            Self::P10 { unit } => format!("{} {unit}", number::plain(value)),
            Self::Instructions => number::count(number::whole(value)),
        }
    }

    /// What more or less of it is called.
    fn compared(&self, more: bool) -> &'static str {
        match (self, more) {
            (Self::P10 { .. }, true) => "slower",
            (Self::P10 { .. }, false) => "faster",
            (Self::Instructions, true) => "more instructions",
            (Self::Instructions, false) => "fewer instructions",
        }
    }
}

/// One statistic from run to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Which one.
    pub statistic: Statistic,
    /// Its values, each with its run by its position in those of the class.
    pub points: Vec<(usize, f64)>,
    /// Where its level changes, the oldest first.
    pub changes: Vec<Change>,
}

impl Series {
    fn of(statistic: Statistic, points: Vec<(usize, f64)>, runs: &[Run]) -> Self {
        let values: Vec<f64> = points.iter().map(|(_, value)| *value).collect();
        let changes = detect::change_points(&values).into_iter().filter_map(|point| {
            let position = points.get(point.at)?.0;
            Some(Change { run: runs.get(position)?.clone(), position, point })
        });
        let changes = changes.collect();
        Self { statistic, points, changes }
    }

    /// The change that came last.
    pub fn last_change(&self) -> Option<&Change> {
        self.changes.last()
    }

    /// The first and the last value; `None` without any.
    pub fn ends(&self) -> Option<(f64, f64)> {
        Some((self.points.first()?.1, self.points.last()?.1))
    }

    /// Whether there are so few runs that no change could be found.
    pub fn is_short(&self) -> bool {
        self.points.len() < 2 * MIN_RUNS
    }
}

/// A change of level.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The first run of the new level.
    pub run: Run,
    /// Its position in the runs of the class.
    pub position: usize,
    /// From what to what, and how sure that is.
    pub point: ChangePoint,
}

impl Change {
    /// Whether it is for the worse: more time, or more instructions.
    pub fn is_worse(&self) -> bool {
        self.point.after > self.point.before
    }

    /// `+10.4 %`.
    pub fn percent(&self) -> String {
        format!("{:+.1} %", self.point.relative() * 100.0)
    }

    /// `10.4 % slower`.
    pub fn phrase(&self, statistic: &Statistic) -> String {
        let percent = self.percent();
        let size = percent.trim_start_matches(['+', '-']);
        format!("{size} {}", statistic.compared(self.is_worse()))
    }

    /// How probable it is without a cause: `2e-12`. Zero, where nothing varies but the level, is `< 1e-99`.
    pub fn p(&self) -> String {
        let p = self.point.p;
        if p < LEAST_P { format!("< {LEAST_P:e}") } else { format!("{p:.0e}") }
    }
}

impl Trend {
    /// The trend in the rows of a history, in any order.
    pub fn of(rows: &[Row]) -> Self {
        let mut classes: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
        for row in rows {
            classes.entry(&row.class).or_default().push(row);
        }
        let mut classes: Vec<Class> =
            classes.into_iter().map(|(name, rows)| Class::of(name, rows)).collect();
        classes.sort_by_key(|class| Reverse(class.runs.last().cloned()));
        Self { classes }
    }
}

impl Class {
    fn of(name: &str, mut rows: Vec<&Row>) -> Self {
        rows.sort_by_key(|row| row.started_at);
        // What has another unit now is another benchmark.
        let mut benchmarks: BTreeMap<(&str, &str), Vec<&Row>> = BTreeMap::new();
        for row in rows {
            benchmarks.entry((&row.benchmark, &row.unit)).or_default().push(row);
        }
        for rows in benchmarks.values_mut() {
            rows.drain(..rows.len().saturating_sub(WINDOW));
        }
        let run = |row: &Row| Run { at: row.started_at, revision: row.revision.clone() };
        let runs: BTreeSet<Run> = benchmarks.values().flatten().map(|row| run(row)).collect();
        let runs: Vec<Run> = runs.into_iter().collect();
        let mut benchmarks: Vec<Benchmark> = benchmarks
            .into_iter()
            .map(|((name, unit), rows)| {
                let at = |row: &Row| runs.binary_search(&run(row)).unwrap_or_else(|near| near);
                let rows: Vec<(usize, Row)> =
                    rows.into_iter().map(|row| (at(row), row.clone())).collect();
                Benchmark::of(name, unit, rows, &runs)
            })
            .collect();
        let last = |benchmark: &Benchmark| benchmark.last_change().map(|(_, it)| it.position);
        benchmarks.sort_by_key(|benchmark| Reverse(last(benchmark)));
        Self { name: name.to_owned(), runs, benchmarks }
    }

    /// How many of its benchmarks have changed.
    pub fn changed(&self) -> usize {
        self.benchmarks.iter().filter(|benchmark| benchmark.last_change().is_some()).count()
    }
}

impl Benchmark {
    fn of(name: &str, unit: &str, rows: Vec<(usize, Row)>, runs: &[Run]) -> Self {
        let times = rows.iter().map(|(run, row)| (*run, row.p10)).collect();
        let counted = rows.iter().filter_map(|(run, row)| Some((*run, row.instructions?)));
        let counts: Vec<_> = counted.map(|(run, count)| (run, number::float(count))).collect();
        let instructions =
            (!counts.is_empty()).then(|| Series::of(Statistic::Instructions, counts, runs));
        let time = Series::of(Statistic::P10 { unit: unit.to_owned() }, times, runs);
        Self { name: name.to_owned(), rows, time, instructions }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn rows(benchmark: &str, values: &[f64]) -> Vec<Row> {
        let first: DateTime<Utc> = "2026-01-01T03:00:00Z".parse().unwrap();
        let nights = (0..).map(|night| first + chrono::Duration::days(night)).zip(values);
        let row = |(started_at, &p10): (DateTime<Utc>, &f64)| Row {
            started_at,
            revision: format!("{:040x}", started_at.timestamp()),
            class: "here".to_owned(),
            benchmark: benchmark.to_owned(),
            unit: "ns".to_owned(),
            mean: p10,
            median: p10,
            p10,
            instructions: None,
        };
        nights.map(row).collect()
    }

    #[test]
    fn what_changed_last_comes_first() {
        let trend = Trend::of(&sample::rows());
        let [class] = &trend.classes[..] else { panic!("one class: {trend:?}") };
        assert_eq!((class.benchmarks.len(), class.runs.len()), (14, 60));
        let changed: Vec<_> = class
            .benchmarks
            .iter()
            .filter_map(|it| Some((it.name.as_str(), it.last_change()?.1.position)))
            .collect();
        let nights = [sample::SLOWER, sample::FASTER].map(|night| usize::try_from(night).unwrap());
        assert_eq!(changed, [("pool/acquire/8", nights[0]), ("embed/long", nights[1])]);
        let steady: Vec<_> = class.benchmarks[2..].iter().map(|it| &it.name).collect();
        assert!(steady.is_sorted(), "{steady:?}");

        let (series, change) = class.benchmarks[1].last_change().unwrap();
        assert_eq!(series.statistic.name(), "p10", "of both the time is told");
        assert_eq!(change.phrase(&series.statistic), "17.4 % faster");
        assert_eq!((change.run.date().as_str(), change.run.short().len()), ("2026-10-15", 7));
    }

    #[test]
    fn the_order_of_the_file_does_not_matter() {
        let mut rows = sample::rows();
        let trend = Trend::of(&rows);
        rows.reverse();
        assert_eq!(Trend::of(&rows), trend);
    }

    #[test]
    fn classes_and_units_are_not_compared() {
        let mut rows = rows("a", &[100.0; 12]);
        rows[11].class = "elsewhere".to_owned();
        for row in &mut rows[6..11] {
            row.unit = "rows".to_owned();
        }
        let trend = Trend::of(&rows);
        let names: Vec<_> = trend.classes.iter().map(|class| class.name.as_str()).collect();
        assert_eq!(names, ["elsewhere", "here"], "the one of the last run first");
        let here = &trend.classes[1];
        let shown: Vec<_> = here
            .benchmarks
            .iter()
            .map(|it| (it.rows.len(), it.time.statistic.show(it.time.points[0].1)))
            .collect();
        assert_eq!(shown, [(6, "100 ns".to_owned()), (5, "100 rows".to_owned())]);
        // The positions are those of all runs of the class.
        assert_eq!(here.benchmarks[1].time.points[0].0, 6);
    }

    #[test]
    fn only_the_last_runs_are_looked_at() {
        let values: Vec<f64> =
            [200.0].repeat(10).into_iter().chain([100.0].repeat(WINDOW)).collect();
        let trend = Trend::of(&rows("a", &values));
        let class = &trend.classes[0];
        assert_eq!((class.runs.len(), class.changed()), (WINDOW, 0));
        assert_eq!(class.runs[0].date(), "2026-01-11");
    }
}
