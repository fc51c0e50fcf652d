//! Measuring with criterion, which keeps what it finds for a comparison with later builds.

use std::error::Error;
use std::io::{self, Write};
use std::time::Duration;

use criterion::Criterion;

use crate::benchmark::Benchmark;
use crate::slices::{depths, timed_below};

const SAMPLES: usize = 50;
const WARM_UP: Duration = Duration::from_millis(300);
const MEASUREMENT: Duration = Duration::from_secs(1);

/// Measures `benchmarks` one after the other.
pub(crate) fn measure(benchmarks: &[&Benchmark]) -> Result<(), Box<dyn Error>> {
    let mut criterion = Criterion::default()
        .without_plots()
        .sample_size(SAMPLES)
        .warm_up_time(WARM_UP)
        .measurement_time(MEASUREMENT);
    for benchmark in benchmarks {
        let mut kernel = (benchmark.prepare)()?;
        let mut depths = depths();
        criterion.bench_function(benchmark.name, |bencher| {
            let depth = depths.next().unwrap_or_default();
            bencher.iter_custom(|iterations| timed_below(&mut kernel, iterations, depth));
        });
    }
    Ok(())
}

/// Sees that `benchmarks` run.
pub(crate) fn test(benchmarks: &[&Benchmark]) -> Result<(), Box<dyn Error>> {
    for benchmark in benchmarks {
        (benchmark.prepare)()?.run(1);
        writeln!(io::stdout(), "{}: ok", benchmark.name)?;
    }
    Ok(())
}
