//! Time that the thread was on a processor: others on the machine count less than on the wall.
//!
//! For the benches of this repository: `Criterion::default().with_measurement(ThreadCpu)`.

use std::time::Duration;

use cpu_time::ThreadTime;
use criterion::Throughput;
use criterion::measurement::{Measurement, ValueFormatter, WallTime};

/// Processor time of the thread; throughput is told in nanoseconds per element, which is a frame or an
/// address.
#[derive(Clone, Copy, Debug, Default)]
pub struct ThreadCpu;

impl Measurement for ThreadCpu {
    type Intermediate = ThreadTime;
    type Value = Duration;

    fn start(&self) -> ThreadTime {
        ThreadTime::now()
    }

    fn end(&self, start: ThreadTime) -> Duration {
        start.elapsed()
    }

    fn add(&self, a: &Duration, b: &Duration) -> Duration {
        *a + *b
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        value.as_nanos() as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        &NanosPerElement
    }
}

/// Criterion's own formatter, but for the throughput: nanoseconds for an element instead of elements for
/// a second.
struct NanosPerElement;

impl ValueFormatter for NanosPerElement {
    fn scale_values(&self, typical: f64, values: &mut [f64]) -> &'static str {
        WallTime.formatter().scale_values(typical, values)
    }

    fn scale_throughputs(&self, _: f64, throughput: &Throughput, values: &mut [f64]) -> &'static str {
        let Throughput::Elements(count) = throughput else { return "" };
        values.iter_mut().for_each(|value| *value /= *count as f64);
        "ns/elem"
    }

    fn scale_for_machines(&self, values: &mut [f64]) -> &'static str {
        WallTime.formatter().scale_for_machines(values)
    }
}
