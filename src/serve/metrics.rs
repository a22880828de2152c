//! `/metrics`: the text that Prometheus reads.

use std::fmt::Write as _;

use super::keeper::Measured;
use crate::store::{Observed, RequestTotals, TIME_CLASSES};

/// A family of numbers: its name, its kind and what it says.
struct Family {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
}

const EXPORTS: Family = gauge("lakesync_exports", "Exports by what they are doing.");
const LAST_SUCCESS: Family = gauge(
    "lakesync_last_success_timestamp_seconds",
    "When the head of the branch was last found to be out.",
);
const LAG: Family = gauge(
    "lakesync_head_lag_seconds",
    "How long the head of the branch has differed from what is out.",
);
const RUNS: Family = counter("lakesync_runs_total", "Runs by how they ended.");
const OBJECTS: Family = counter("lakesync_objects_total", "Objects by what was done with them.");
const BYTES: Family = counter(
    "lakesync_bytes_total",
    "Bytes of bodies by their direction, repeated ones included.",
);
const EXPORTED_BYTES: Family = counter("lakesync_exported_bytes_total", "Bytes of objects sent and copied.");
const REQUESTS: Family = counter(
    "lakesync_s3_requests_total",
    "Attempts of requests to stores, by operation and by how they ended.",
);
const REQUEST_SECONDS: Family = Family {
    name: "lakesync_s3_request_seconds",
    kind: "histogram",
    help: "How long attempts of requests to stores took until their reply began.",
};
const RETRIES: Family = counter(
    "lakesync_s3_retries_total",
    "Attempts that repeat a failed one, and those after which a store asked to go slower.",
);
const RATE: Family = gauge(
    "lakesync_throttle_rate",
    "Requests that may be under way at once, as stores bear it.",
);
const WATCHES: Family = gauge(
    "lakesync_watches",
    "Sources that are watched, each for all exports of it.",
);
const LISTENERS: Family = gauge("lakesync_event_listeners", "Clients that listen to events.");
const REGISTRY: Family = gauge(
    "lakesync_registry_ok",
    "Whether the registry's folder could be read the last time.",
);

const fn gauge(name: &'static str, help: &'static str) -> Family {
    Family {
        name,
        kind: "gauge",
        help,
    }
}

const fn counter(name: &'static str, help: &'static str) -> Family {
    Family {
        name,
        kind: "counter",
        help,
    }
}

struct Text(String);

impl Text {
    fn family(&mut self, family: &Family) {
        let Family { name, kind, help } = family;
        writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}").expect("a string takes all");
    }

    fn value(&mut self, family: &Family, labels: &[(&str, &str)], value: f64) {
        self.part(family, "", labels, value);
    }

    /// One of the numbers that a histogram is made of.
    fn part(&mut self, family: &Family, part: &str, labels: &[(&str, &str)], value: f64) {
        let labels: Vec<String> = labels
            .iter()
            .map(|(name, value)| format!("{name}=\"{}\"", escape(value)))
            .collect();
        let labels = if labels.is_empty() {
            String::new()
        } else {
            format!("{{{}}}", labels.join(","))
        };
        writeln!(self.0, "{}{part}{labels} {value}", family.name).expect("a string takes all");
    }
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// How requests ended, and how long they took; a histogram counts in each class all that were no slower.
fn write_requests(text: &mut Text, observed: &Observed) {
    text.family(&REQUESTS);
    for (kind, seen) in observed {
        for (status, count) in &seen.statuses {
            text.value(&REQUESTS, &[("op", kind.s3_name()), ("status", status)], *count as f64);
        }
    }
    text.family(&REQUEST_SECONDS);
    for (kind, seen) in observed {
        let op = ("op", kind.s3_name());
        let mut sum = 0;
        for (end, count) in TIME_CLASSES.iter().zip(seen.times) {
            sum += count;
            text.part(&REQUEST_SECONDS, "_bucket", &[op, ("le", &end.to_string())], sum as f64);
        }
        let count = seen.count() as f64;
        text.part(&REQUEST_SECONDS, "_bucket", &[op, ("le", "+Inf")], count);
        text.part(&REQUEST_SECONDS, "_sum", &[op], seen.seconds);
        text.part(&REQUEST_SECONDS, "_count", &[op], count);
    }
}

/// Writes all numbers.
pub fn text(measured: &Measured, requests: &RequestTotals, observed: &Observed, listeners: usize) -> String {
    let mut text = Text(String::new());
    text.family(&EXPORTS);
    for (state, count) in &measured.states {
        text.value(&EXPORTS, &[("state", state)], *count as f64);
    }
    text.family(&LAST_SUCCESS);
    for export in &measured.exports {
        if let Some(at) = export.tally.last_success {
            let seconds = at.as_millisecond() as f64 / 1_000.0;
            text.value(&LAST_SUCCESS, &[("export", export.name.as_str())], seconds);
        }
    }
    text.family(&LAG);
    for export in &measured.exports {
        text.value(&LAG, &[("export", export.name.as_str())], export.lag_seconds);
    }
    text.family(&RUNS);
    for export in &measured.exports {
        for (result, count) in &export.tally.runs {
            let labels = [("export", export.name.as_str()), ("result", result)];
            text.value(&RUNS, &labels, *count as f64);
        }
    }
    let mut objects = std::collections::BTreeMap::<&str, u64>::new();
    let mut bytes = 0;
    for export in &measured.exports {
        bytes += export.tally.bytes;
        for (action, count) in &export.tally.objects {
            *objects.entry(action).or_default() += count;
        }
    }
    text.family(&OBJECTS);
    for (action, count) in objects {
        text.value(&OBJECTS, &[("action", action)], count as f64);
    }
    text.family(&EXPORTED_BYTES);
    text.value(&EXPORTED_BYTES, &[], bytes as f64);
    text.family(&BYTES);
    text.value(&BYTES, &[("direction", "out")], requests.bytes_out as f64);
    text.value(&BYTES, &[("direction", "in")], requests.bytes_in as f64);
    write_requests(&mut text, observed);
    text.family(&RETRIES);
    let failed = requests.retries.saturating_sub(requests.throttles);
    text.value(&RETRIES, &[("reason", "throttled")], requests.throttles as f64);
    text.value(&RETRIES, &[("reason", "failed")], failed as f64);
    for (family, value) in [
        (&RATE, measured.throttle_rate as f64),
        (&WATCHES, measured.watches as f64),
        (&LISTENERS, listeners as f64),
        (&REGISTRY, if measured.is_registry_readable { 1.0 } else { 0.0 }),
    ] {
        text.family(family);
        text.value(family, &[], value);
    }
    text.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::RequestKind;

    #[test]
    fn each_line_is_a_comment_or_a_number_and_odd_labels_are_escaped() {
        assert_eq!(escape("a\\b\"c\nd"), "a\\\\b\\\"c\\nd");
        let measured = Measured {
            states: [("idle", 2)].into(),
            ..Measured::default()
        };
        let mut observed = Observed::new();
        let gets = observed.entry(RequestKind::Get).or_default();
        gets.statuses = [("ok".into(), 3), ("not-found".into(), 1)].into();
        (gets.times[0], gets.times[2], gets.seconds) = (2, 1, 99.5);
        let text = text(&measured, &RequestTotals::default(), &observed, 1);
        for line in [
            "lakesync_s3_requests_total{op=\"GetObject\",status=\"not-found\"} 1",
            "lakesync_s3_request_seconds_bucket{op=\"GetObject\",le=\"0.005\"} 2",
            "lakesync_s3_request_seconds_bucket{op=\"GetObject\",le=\"0.025\"} 3",
            "lakesync_s3_request_seconds_bucket{op=\"GetObject\",le=\"30\"} 3",
            "lakesync_s3_request_seconds_bucket{op=\"GetObject\",le=\"+Inf\"} 4",
            "lakesync_s3_request_seconds_sum{op=\"GetObject\"} 99.5",
            "lakesync_s3_request_seconds_count{op=\"GetObject\"} 4",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(text.contains("lakesync_exports{state=\"idle\"} 2\n"), "{text}");
        for line in text.lines().filter(|line| !line.starts_with("# ")) {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(name.starts_with("lakesync_") && value.parse::<f64>().is_ok(), "{line}");
        }
    }
}
