//! One X-Ray trace for each message, from the webhook through the workflow to the publication.
//!
//! Nothing carries a trace from an execution's end to the completion: the event has no trace, and the input must be the same
//! for every delivery of a message. So the trace's id is derived from the message, and every part with the message has its
//! trace, even days later. The message's id also decides on sampling, so all parts agree.
//!
//! Lambda also traces its own invocations; a segment's annotation `lambda_trace_id` leads to that trace.

use std::fmt::Write;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::environment::Lookup;

/// The variable with the share of traced messages, 0 to 1.
pub const RATE_VARIABLE: &str = "TRACE_SAMPLE_RATE";

/// The default share: X-Ray's own rule of one in twenty.
const RATE: f64 = 0.05;

/// The variable with the address of Lambda's X-Ray daemon (UDP).
const DAEMON_VARIABLE: &str = "AWS_XRAY_DAEMON_ADDRESS";

/// The variable with Lambda's own trace of the current invocation.
const LAMBDA_TRACE_VARIABLE: &str = "_X_AMZN_TRACE_ID";

/// Hex digits of a segment's id, and of the random part of a trace's.
const SEGMENT_DIGITS: usize = 16;
const TRACE_DIGITS: usize = 24;

const ROOT: &str = "Root=";
const PARENT: &str = ";Parent=";
const SAMPLED: &str = ";Sampled=";

/// The trace of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    header: String,
    /// Where these end in the header.
    id_end: usize,
    parent_end: usize,
    pub sampled: bool,
}

impl Trace {
    /// The header `X-Amzn-Trace-Id` for adding a call to the trace.
    pub fn header(&self) -> &str {
        &self.header
    }

    /// `1-<event_timestamp in s, 8 hex digits>-<first 24 digits of the message's id>`.
    pub fn id(&self) -> &str {
        &self.header[ROOT.len()..self.id_end]
    }

    /// The webhook's segment, the parent of all others: the last 16 digits of the message's id.
    fn parent(&self) -> &str {
        &self.header[self.id_end + PARENT.len()..self.parent_end]
    }

    /// The id of a trace in such a header.
    pub fn id_in(header: &str) -> Option<&str> {
        let mut parts = header.split(';');
        parts.find_map(|part| part.trim().strip_prefix(ROOT))
    }
}

/// A part's work on a message.
#[derive(Clone, Debug)]
pub struct Segment<'a> {
    /// The part: `webhook`, `redrive`, `completion`.
    pub name: &'static str,
    /// In ms since the epoch.
    pub started_at: i64,
    pub ended_at: i64,
    pub outcome: &'a str,
    /// The bridge, or a service behind it, failed.
    pub fault: bool,
    pub message_id: &'a str,
    pub route: Option<&'a str>,
}

/// Derives traces, and sends their segments to the daemon, if there is one.
#[derive(Clone, Debug, Default)]
pub struct Tracer {
    /// 0 to 1.
    rate: f64,
    daemon: Option<Arc<UdpSocket>>,
}

impl Tracer {
    /// Traces the share in [`RATE_VARIABLE`]; an invalid value is logged, and the default applies. Segments go to
    /// `AWS_XRAY_DAEMON_ADDRESS`, set by Lambda; a container may set its own daemon there.
    pub fn new(lookup: Lookup<'_>) -> Self {
        let rate = lookup(RATE_VARIABLE).filter(|rate| !rate.is_empty());
        let rate = rate.map_or(RATE, |found| {
            let rate = found.parse().ok().filter(|rate| (0.0..=1.0).contains(rate));
            rate.unwrap_or_else(|| {
                let text = format!(
                    "`{RATE_VARIABLE}`: expected a share from 0 to 1, such as 0.05, found `{found}`"
                );
                tracing::warn!(error.text = text, "an invalid trace setting is ignored");
                RATE
            })
        });
        let daemon = lookup(DAEMON_VARIABLE).filter(|_| rate > 0.0);
        Self {
            rate,
            daemon: daemon.and_then(|address| connect(&address)).map(Arc::new),
        }
    }

    /// The trace of a message with this id (32 hex digits) and `event_timestamp`.
    pub fn trace(&self, message_id: &str, event_timestamp: i64) -> Trace {
        let digits = |from: usize, to: usize| message_id.get(from..to).unwrap_or_default();
        let seconds = u32::try_from(event_timestamp / 1000).unwrap_or_default();
        let last = message_id.len().saturating_sub(SEGMENT_DIGITS);
        let chance = u32::from_str_radix(digits(0, 8), 16).unwrap_or(u32::MAX);
        let sampled = f64::from(chance) < self.rate * 2_f64.powi(32);
        let mut header = String::with_capacity(80);
        let _ = write!(header, "{ROOT}1-{seconds:08x}-");
        header.push_str(digits(0, TRACE_DIGITS));
        let id_end = header.len();
        header.push_str(PARENT);
        header.push_str(digits(last, message_id.len()));
        let parent_end = header.len();
        header.push_str(SAMPLED);
        header.push(if sampled { '1' } else { '0' });
        Trace {
            header,
            id_end,
            parent_end,
            sampled,
        }
    }

    /// Sends the webhook's segment, in which the trace begins.
    pub fn begin(&self, trace: &Trace, segment: &Segment<'_>) {
        self.send(trace, trace.parent(), None, segment);
    }

    /// Sends the segment of a later part.
    pub fn go_on(&self, trace: &Trace, segment: &Segment<'_>) {
        let id = format!("{:016x}", fastrand::u64(..));
        self.send(trace, &id, Some(trace.parent()), segment);
    }

    /// Best effort: nothing waits for a segment or depends on it.
    fn send(&self, trace: &Trace, id: &str, parent_id: Option<&str>, segment: &Segment<'_>) {
        let Some(daemon) = self.daemon.as_ref().filter(|_| trace.sampled) else {
            return;
        };
        let mut annotations = Map::new();
        let mut annotate = |key: &str, value: Option<&str>| {
            annotations.extend(value.map(|value| (key.to_owned(), Value::from(value))));
        };
        annotate("message_id", Some(segment.message_id));
        annotate("outcome", Some(segment.outcome));
        annotate("route", segment.route);
        let lambdas = std::env::var(LAMBDA_TRACE_VARIABLE).ok();
        annotate("lambda_trace_id", lambdas.as_deref().and_then(Trace::id_in));
        let document = Document {
            name: segment.name,
            id,
            trace_id: trace.id(),
            parent_id,
            start_time: segment.started_at as f64 / 1000.0,
            end_time: segment.ended_at.max(segment.started_at) as f64 / 1000.0,
            fault: segment.fault,
            annotations,
        };
        let document = serde_json::to_string(&document).expect("strings and numbers serialize");
        let _ =
            daemon.send(format!("{{\"format\":\"json\",\"version\":1}}\n{document}").as_bytes());
    }
}

/// A segment in X-Ray's format. Times are seconds since the epoch.
#[derive(Serialize)]
struct Document<'a> {
    name: &'a str,
    id: &'a str,
    trace_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_id: Option<&'a str>,
    start_time: f64,
    end_time: f64,
    fault: bool,
    annotations: Map<String, Value>,
}

/// The variable holds `address:port`, or one for each protocol: `tcp:address:port udp:address:port`.
fn connect(address: &str) -> Option<UdpSocket> {
    let udp = address
        .split(' ')
        .find_map(|part| part.strip_prefix("udp:"));
    let daemon: SocketAddr = udp.unwrap_or(address).parse().ok()?;
    let any = if daemon.is_ipv4() {
        "0.0.0.0:0"
    } else {
        "[::]:0"
    };
    let socket = UdpSocket::bind(any).ok()?;
    socket.set_nonblocking(true).ok()?;
    socket.connect(daemon).ok()?;
    Some(socket)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef";

    fn tracer(variables: &[(&str, &str)]) -> Tracer {
        Tracer::new(&|name: &str| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_trace_is_derived_from_its_message() {
        let trace = tracer(&[(RATE_VARIABLE, "1")]).trace(ID, 1_704_296_470_564);
        let header = "Root=1-65958016-0123456789abcdef01234567;Parent=0123456789abcdef;Sampled=1";
        assert_eq!(trace.header(), header);
        assert_eq!(Trace::id_in(header), Some(trace.id()));
        assert_eq!(Trace::id_in("Self=1;Root=1-2-3"), Some("1-2-3"));
        assert_eq!(Trace::id_in("Sampled=1"), None);
    }

    #[test]
    fn a_share_of_the_messages_is_traced() {
        let sampled = |rate: &str, id: &str| tracer(&[(RATE_VARIABLE, rate)]).trace(id, 0).sampled;
        assert!(!sampled("0", "00000000") && sampled("1", "ffffffff"));
        assert!(sampled("0.5", "7fffffff") && !sampled("0.5", "80000000"));
        for wrong in ["", "2", "-1", "NaN", "all"] {
            assert_eq!(tracer(&[(RATE_VARIABLE, wrong)]).rate, RATE, "{wrong}");
        }
    }

    #[test]
    fn segments_go_to_the_daemon() {
        let daemon = UdpSocket::bind("127.0.0.1:0").unwrap();
        daemon
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let address = daemon.local_addr().unwrap().to_string();
        let both = format!("tcp:127.0.0.1:1 udp:{address}");
        let segment = Segment {
            name: "webhook",
            started_at: 1_500,
            ended_at: 1_750,
            outcome: "accepted",
            fault: false,
            message_id: ID,
            route: None,
        };
        let tracer = tracer(&[(RATE_VARIABLE, "0.5"), (DAEMON_VARIABLE, &both)]);
        tracer.begin(&tracer.trace("ff", 0), &segment);
        tracer.begin(&tracer.trace(ID, 0), &segment);
        let later = Segment {
            name: "redrive",
            ended_at: 0,
            fault: true,
            route: Some("r"),
            ..segment
        };
        tracer.go_on(&tracer.trace(ID, 0), &later);

        let mut received = [0; 2000];
        let mut document = || -> Value {
            let n = daemon.recv(&mut received).unwrap();
            let text = std::str::from_utf8(&received[..n]).unwrap();
            let (header, document) = text.split_once('\n').unwrap();
            assert_eq!(header, r#"{"format":"json","version":1}"#);
            serde_json::from_str(document).unwrap()
        };
        let first = document();
        assert_eq!(first["name"], "webhook");
        assert_eq!(first["id"], "0123456789abcdef");
        assert_eq!(first["trace_id"], "1-00000000-0123456789abcdef01234567");
        assert_eq!(
            (&first["start_time"], &first["end_time"]),
            (&1.5.into(), &1.75.into())
        );
        assert_eq!(first["annotations"]["outcome"], "accepted");
        assert_eq!(
            (first.get("parent_id"), &first["fault"]),
            (None, &false.into())
        );
        let second = document();
        assert_eq!(second["parent_id"], "0123456789abcdef");
        assert_eq!(second["id"].as_str().unwrap().len(), 16);
        assert_eq!(
            (&second["end_time"], &second["fault"]),
            (&1.5.into(), &true.into())
        );
        assert_eq!(second["annotations"]["route"], "r");
    }

    #[test]
    fn without_a_daemon_nothing_happens() {
        for address in ["", "nowhere", "127.0.0.1"] {
            let tracer = tracer(&[(RATE_VARIABLE, "1"), (DAEMON_VARIABLE, address)]);
            assert!(tracer.daemon.is_none(), "{address}");
        }
    }

    proptest! {
        #[test]
        fn any_message_has_a_trace(id in "\\PC{0,40}", event_timestamp: i64) {
            let trace = tracer(&[]).trace(&id, event_timestamp);
            prop_assert!(trace.header().starts_with("Root=1-"));
        }
    }
}
