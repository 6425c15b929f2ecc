//! What panfuse tells about itself: the log and the meters.
//!
//! | file | what is in it |
//! |---|---|
//! | `log` | [`init`]: the log on standard error |
//! | `metrics` | [`Metrics`]: counters and gauges, as Prometheus text |

mod log;
mod metrics;

pub use log::{LogFilter, init};
pub use metrics::{Counter, Gauge, Metrics, metrics};
