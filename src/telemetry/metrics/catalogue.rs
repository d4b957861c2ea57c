//! All metrics.

/// The unit of a metric, with CloudWatch's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Count,
    Milliseconds,
}

impl Unit {
    pub fn name(self) -> &'static str {
        match self {
            Self::Count => "Count",
            Self::Milliseconds => "Milliseconds",
        }
    }
}

/// A dimension of metrics. Each has few values: the routes of a document, the outcomes of the code. A topic or an id would
/// make a metric for each value, and a bill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension {
    Route,
    Outcome,
}

impl Dimension {
    pub fn name(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::Outcome => "outcome",
        }
    }
}

macro_rules! metrics {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $unit:ident, [$($dimension:ident),*];)+) => {
        /// A metric. It is written without a dimension, and again by each known one of its [`Metric::dimensions`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Metric {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Metric {
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// As in CloudWatch.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            pub fn unit(self) -> Unit {
                match self { $(Self::$variant => Unit::$unit,)+ }
            }

            pub fn dimensions(self) -> &'static [Dimension] {
                match self { $(Self::$variant => &[$(Dimension::$dimension),*],)+ }
            }

            /// The metric in words.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_ascii(),)+ }
            }
        }
    };
}

metrics! {
    /// Requests answered by the webhook, except GET of `/`.
    Received = "received", Count, [];
    /// Messages taken, for every matching route, by its target or a queue.
    Accepted = "accepted", Count, [];
    /// Messages without a matching route.
    Unrouted = "unrouted", Count, [];
    /// Messages parked whole, and results returned to their queue, because the current routes of other stacks could not be read.
    RoutesUnavailable = "routes_unavailable", Count, [];
    /// Parameters refused at a collection of routes.
    RouteRefused = "route_refused", Count, [];
    /// Requests answered with an error, by its code. `not_stored` is a lost message.
    Refused = "refused", Count, [Outcome];
    /// Fetches of the signing secret after failed signatures.
    SecretReread = "secret_reread", Count, [];
    /// Executions started, at once or after parking.
    Started = "started", Count, [Route];
    /// Messages whose execution already existed.
    Duplicate = "duplicate", Count, [Route];
    /// Events taken by a bus.
    EventPut = "event_put", Count, [Route];
    /// Tasks resumed by a message.
    Resumed = "resumed", Count, [Route];
    /// Executions stopped by a message.
    Stopped = "stopped", Count, [Route];
    /// Messages for a task that no longer waits, or for an execution that no longer runs.
    Closed = "closed", Count, [Route];
    /// Messages stored in the parking queue, because their target did not take them.
    Parked = "parked", Count, [Route];
    /// Messages stored after their answer was due: Momento received a 503, or nothing.
    StoredLate = "stored_late", Count, [Route];
    /// Attempts refused by a target for a missing permission.
    Denied = "denied", Count, [Route];
    /// Parked messages delivered to their target.
    Redriven = "redriven", Count, [Route];
    /// Age of a parked message after a failed attempt.
    ParkedAge = "parked_age", Milliseconds, [Route];
    /// Messages and results stored as dead letters, by the letter's reason.
    DeadLettered = "dead_lettered", Count, [Route, Outcome];
    /// Ended executions without a publication: unrouted ones, and those of routes without a reply.
    Ignored = "ignored", Count, [];
    /// Addresses refused in inputs of ended executions. The result went to its route's own address, or to the dead letters.
    AddressRefused = "address_refused", Count, [];
    /// Ended executions, and events of workflows, published completely.
    Published = "published", Count, [Route];
    /// Executions announced to the topics of `reply.started`.
    Announced = "announced", Count, [Route];
    /// Of the published, results published more than a minute after their execution's end.
    PublishedLate = "published_late", Count, [Route];
    /// Age of a result, or of a workflow's event, after a failed attempt to publish it.
    ResultAge = "result_age", Milliseconds, [Route];
    /// Values stored for a claim, being too large for a topic.
    Claimed = "claimed", Count, [Route];
    /// Messages of a topic that the relay did not receive from Momento.
    Gap = "gap", Count, [];
    /// Ended executions found by the sweep, without an event.
    SweepFound = "sweep_found", Count, [Route];
    /// The age of the sweep's oldest incomplete list; 0 after a complete run.
    SweepLag = "sweep_lag", Milliseconds, [];
    /// From the message's `publish_timestamp` to the webhook's answer.
    PublishToAccepted = "publish_to_accepted", Milliseconds, [];
    /// From the request to the target that took the message; for a parked one, the time in the queue included.
    AcceptedToStarted = "accepted_to_started", Milliseconds, [Route];
    /// From the start to the end of an execution whose result was published.
    StartToEnd = "start_to_end", Milliseconds, [Route];
    /// From the end of an execution to the publication of its result.
    EndToPublished = "end_to_published", Milliseconds, [Route];
    /// Round trips of the canary, by `succeeded` and `failed`.
    Canary = "canary", Count, [Outcome];
    /// From the canary's publication to its reply.
    CanaryRoundTrip = "canary_round_trip", Milliseconds, [];
}
