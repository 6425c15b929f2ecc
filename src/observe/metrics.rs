//! Counters and gauges, rendered as Prometheus text (format 0.0.4).

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// A number that only grows. Cheap to clone; keep it instead of looking it up per event.
#[derive(Clone, Debug, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    /// Adds one.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Adds `amount`.
    pub fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    /// The value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Gauge(Arc<AtomicI64>);

impl Gauge {
    /// Sets it.
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Adds `amount`, which may be negative.
    pub fn add(&self, amount: i64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    /// The value.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

enum Meter {
    Counter(Counter),
    Gauge(Gauge),
}

struct Family {
    help: &'static str,
    /// Rendered labels (`{profile="a"}` or nothing) to the meter.
    series: BTreeMap<String, Meter>,
    counter: bool,
}

/// A set of meters.
#[derive(Default)]
pub struct Metrics {
    families: Mutex<BTreeMap<&'static str, Family>>,
}

/// The meters of this process.
pub fn metrics() -> &'static Metrics {
    static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::default);
    &METRICS
}

impl Metrics {
    /// The counter `name` (ends in `_total`) with these labels; made on first use. Labels must
    /// have few values: a profile or an operation, never a path.
    ///
    /// A name that is a gauge already gives a counter that is shown nowhere.
    pub fn counter(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
    ) -> Counter {
        self.with(name, help, labels, true, |meter| match meter {
            Meter::Counter(counter) => counter.clone(),
            Meter::Gauge(_) => Counter::default(),
        })
    }

    /// The gauge `name` with these labels; made on first use.
    pub fn gauge(&self, name: &'static str, help: &'static str, labels: &[(&str, &str)]) -> Gauge {
        self.with(name, help, labels, false, |meter| match meter {
            Meter::Gauge(gauge) => gauge.clone(),
            Meter::Counter(_) => Gauge::default(),
        })
    }

    fn with<T>(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
        counter: bool,
        get: impl FnOnce(&Meter) -> T,
    ) -> T {
        let mut families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        let family = families.entry(name).or_insert_with(|| Family {
            help,
            series: BTreeMap::new(),
            counter,
        });
        if family.counter != counter {
            let stray = if counter {
                Meter::Counter(Counter::default())
            } else {
                Meter::Gauge(Gauge::default())
            };
            return get(&stray);
        }
        let meter = family
            .series
            .entry(render_labels(labels))
            .or_insert_with(|| {
                if counter {
                    Meter::Counter(Counter::default())
                } else {
                    Meter::Gauge(Gauge::default())
                }
            });
        get(meter)
    }

    /// Everything as Prometheus text.
    pub fn render(&self) -> String {
        let families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        for (name, family) in families.iter() {
            let kind = if family.counter { "counter" } else { "gauge" };
            let help = family.help.replace('\\', "\\\\").replace('\n', "\\n");
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for (labels, meter) in &family.series {
                let _ = match meter {
                    Meter::Counter(counter) => writeln!(text, "{name}{labels} {}", counter.get()),
                    Meter::Gauge(gauge) => writeln!(text, "{name}{labels} {}", gauge.get()),
                };
            }
        }
        text
    }
}

fn render_labels(labels: &[(&str, &str)]) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let mut sorted = labels.to_vec();
    sorted.sort_unstable();
    let pairs: Vec<String> = sorted
        .iter()
        .map(|(name, value)| {
            let value = value
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n");
            format!("{name}=\"{value}\"")
        })
        .collect();
    format!("{{{}}}", pairs.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let metrics = Metrics::default();
        let calls = |op| {
            metrics.counter(
                "panfuse_requests_total",
                "Requests sent.",
                &[("op", op), ("account", "a\"b\\c")],
            )
        };
        calls("list").inc();
        calls("list").add(2);
        calls("get").inc();
        metrics
            .gauge("panfuse_pending", "Uploads\nwaiting.", &[])
            .set(-1);
        assert_eq!(
            metrics.render(),
            "# HELP panfuse_pending Uploads\\nwaiting.\n\
             # TYPE panfuse_pending gauge\n\
             panfuse_pending -1\n\
             # HELP panfuse_requests_total Requests sent.\n\
             # TYPE panfuse_requests_total counter\n\
             panfuse_requests_total{account=\"a\\\"b\\\\c\",op=\"get\"} 1\n\
             panfuse_requests_total{account=\"a\\\"b\\\\c\",op=\"list\"} 3\n"
        );
    }

    #[test]
    fn the_order_of_labels_does_not_matter_and_kinds_do_not_mix() {
        let metrics = Metrics::default();
        metrics
            .counter("x_total", "X.", &[("a", "1"), ("b", "2")])
            .inc();
        let same = metrics.counter("x_total", "X.", &[("b", "2"), ("a", "1")]);
        assert_eq!(same.get(), 1);
        metrics
            .gauge("x_total", "X.", &[("a", "1"), ("b", "2")])
            .set(9);
        assert_eq!(same.get(), 1);
        assert!(!metrics.render().contains('9'));
    }
}
