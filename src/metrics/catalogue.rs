//! Every metric there is.

/// What a metric is counted in, by CloudWatch's name.
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

/// What a metric can be told apart by. Each has few values: the routes of a document, the outcomes of the code. A topic or an
/// id would make a metric of each, and a bill.
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
        /// A metric. It is written without any dimension, and once more by each of its [`Metric::dimensions`] that is known.
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

            /// What it tells, in words.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_ascii(),)+ }
            }
        }
    };
}

metrics! {
    /// Requests that the webhook answered, but for a GET of `/`.
    Received = "received", Count, [];
    /// Messages that every matching route's target, or a queue, took.
    Accepted = "accepted", Count, [];
    /// Messages that no route takes.
    Unrouted = "unrouted", Count, [];
    /// Requests that were answered with an error, by its code. `not_stored` is a message lost.
    Refused = "refused", Count, [Outcome];
    /// Times that the signing secret was read again, for a signature that did not fit.
    SecretReread = "secret_reread", Count, [];
    /// Executions started, at once or after parking.
    Started = "started", Count, [Route];
    /// Messages whose execution was there already.
    Duplicate = "duplicate", Count, [Route];
    /// Events that a bus took.
    EventPut = "event_put", Count, [Route];
    /// Tasks that a message let go on.
    Resumed = "resumed", Count, [Route];
    /// Messages for a task that waits no more.
    Closed = "closed", Count, [Route];
    /// Messages that the parking queue keeps, because their target did not take them.
    Parked = "parked", Count, [Route];
    /// Messages that were stored after their answer was due: Momento had a 503, or none.
    StoredLate = "stored_late", Count, [Route];
    /// Attempts that a target refused for a missing permission.
    Denied = "denied", Count, [Route];
    /// Parked messages that reached their target.
    Redriven = "redriven", Count, [Route];
    /// How long a parked message that was tried in vain has waited.
    ParkedAge = "parked_age", Milliseconds, [Route];
    /// Messages and results that became dead letters, by the letter's reason.
    DeadLettered = "dead_lettered", Count, [Route, Outcome];
    /// Ended executions that ask for no publication: somebody else's, or of a route without a reply.
    Ignored = "ignored", Count, [];
    /// Addresses in inputs of ended executions that were not believed. The result went to its route's own address, or to the dead letters.
    AddressRefused = "address_refused", Count, [];
    /// Ended executions, and events of workflows, whose publications are all done.
    Published = "published", Count, [Route];
    /// Of them, results of executions that had ended more than a minute before.
    PublishedLate = "published_late", Count, [Route];
    /// How long a result, or an event of a workflow, that could not be published has waited.
    ResultAge = "result_age", Milliseconds, [Route];
    /// Values that were stored for a claim, being too large for a topic.
    Claimed = "claimed", Count, [Route];
    /// Messages of a topic that Momento did not give to the relay.
    Gap = "gap", Count, [];
    /// Ends of executions that the sweep found, because no event told of them.
    SweepFound = "sweep_found", Count, [Route];
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
