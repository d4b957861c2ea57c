//! The dependency, kind and duration of a fault.

use std::time::Duration;

use crate::shared::faulty::Dependency;
use crate::shared::proxy::Fault;

/// Much shorter than one attempt.
const DELAY: Duration = Duration::from_millis(500);
/// Longer than one attempt to park, which has half of the remaining time.
const LONG_DELAY: Duration = Duration::from_secs(2);

/// A fault of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Refuse,
    Hang,
    Throttled,
    Broken,
    Unavailable,
    /// RST_STREAM of HTTP/2.
    StreamReset,
    LostReply,
    ResetMidBody,
    Partial,
    Delay,
    Denied,
    /// The change of a parameter causes no event.
    NoEvent,
}

impl Kind {
    pub const ALL: [Self; 12] = [
        Self::Refuse,
        Self::Hang,
        Self::Throttled,
        Self::Broken,
        Self::Unavailable,
        Self::StreamReset,
        Self::Partial,
        Self::LostReply,
        Self::ResetMidBody,
        Self::Delay,
        Self::Denied,
        Self::NoEvent,
    ];

    /// The fault of a call; [`Self::NoEvent`] has none.
    pub fn fault(self, scene: Scene) -> Option<Fault> {
        Some(match self {
            Self::Refuse => Fault::Refuse,
            Self::Hang => Fault::Hang,
            Self::Throttled => Fault::Status(429),
            Self::Broken => Fault::Status(500),
            Self::Unavailable => Fault::Status(503),
            Self::StreamReset => Fault::ResetStream,
            Self::LostReply => Fault::LoseReply,
            Self::ResetMidBody => Fault::ResetMidBody,
            Self::Partial => Fault::PartialFailure,
            Self::Delay => Fault::Delay(scene.delay()),
            Self::Denied => Fault::Refusal {
                status: 400,
                body: r#"{"__type": "AccessDeniedException", "message": "no"}"#.to_owned(),
            },
            Self::NoEvent => return None,
        })
    }

    /// The name in the table.
    pub fn title(self, scene: Scene) -> &'static str {
        match self {
            Self::Refuse => "refuses connections",
            Self::Hang => "hangs",
            Self::Throttled => "429",
            Self::Broken => "500",
            Self::Unavailable => "503",
            Self::StreamReset => "stream reset",
            Self::LostReply => "reply lost",
            Self::ResetMidBody => "reset mid-body",
            Self::Partial => "partial failure",
            Self::Delay if scene.delay() == LONG_DELAY => "2 s late",
            Self::Delay => "0.5 s late",
            Self::Denied => "denied",
            Self::NoEvent => "event lost",
        }
    }

    /// The name in topics and on the command line.
    pub fn slug(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Hang => "hang",
            Self::Throttled => "429",
            Self::Broken => "500",
            Self::Unavailable => "503",
            Self::StreamReset => "stream",
            Self::LostReply => "lost",
            Self::ResetMidBody => "reset",
            Self::Partial => "partial",
            Self::Delay => "delay",
            Self::Denied => "denied",
            Self::NoEvent => "no-event",
        }
    }

    /// Whether the failed call may have been executed.
    pub fn leaves_it_open(self) -> bool {
        matches!(self, Self::LostReply | Self::ResetMidBody)
    }
}

/// How long a fault lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lasts {
    /// One call.
    Once,
    /// Until the sender has its answer and the message is seen waiting.
    AWhile,
    /// Until the message is given up or not accepted.
    ForGood,
}

impl Lasts {
    pub const ALL: [Self; 3] = [Self::Once, Self::AWhile, Self::ForGood];

    pub fn title(self) -> &'static str {
        match self {
            Self::Once => "once",
            Self::AWhile => "a while",
            Self::ForGood => "for good",
        }
    }

    pub fn slug(self) -> &'static str {
        match self {
            Self::Once => "once",
            Self::AWhile => "while",
            Self::ForGood => "good",
        }
    }
}

/// A dependency and the bridge's use of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scene {
    Target,
    Bus,
    Queue,
    SigningSecret,
    Routes,
    /// The routes of a running webhook are older than the TTL.
    OldRoutes,
    /// A running webhook does not know the message's route yet.
    NewRoute,
    /// Parameter Store, while a route is collected.
    Parameters,
    /// The event that a route changed.
    Change,
    ApiKey,
    Ledger,
    Topic,
}

/// The kinds of faults while a webhook runs.
const OF_ROUTES: [Kind; 4] = [Kind::Refuse, Kind::Hang, Kind::Throttled, Kind::Denied];

impl Scene {
    pub const ALL: [Self; 12] = [
        Self::Target,
        Self::Bus,
        Self::Queue,
        Self::SigningSecret,
        Self::Routes,
        Self::OldRoutes,
        Self::NewRoute,
        Self::Parameters,
        Self::Change,
        Self::ApiKey,
        Self::Ledger,
        Self::Topic,
    ];

    pub fn cells(self) -> impl Iterator<Item = (Kind, Lasts)> {
        let kinds = Kind::ALL.into_iter();
        let kinds = kinds.filter(move |kind| match (self, kind) {
            (Self::OldRoutes | Self::NewRoute | Self::Parameters, kind) => OF_ROUTES.contains(kind),
            (Self::Change, kind) => *kind == Kind::NoEvent,
            (_, Kind::Denied | Kind::NoEvent) => false,
            (_, Kind::Partial) => self == Self::Bus,
            (_, Kind::StreamReset) => self == Self::Topic,
            _ => true,
        });
        let all = kinds.flat_map(|kind| Lasts::ALL.map(|lasts| (kind, lasts)));
        all.filter(|(kind, lasts)| *kind != Kind::NoEvent || *lasts == Lasts::Once)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Target => "target",
            Self::Bus => "bus",
            Self::Queue => "queue",
            Self::SigningSecret => "signing-secret",
            Self::Routes => "routes",
            Self::OldRoutes => "old-routes",
            Self::NewRoute => "new-route",
            Self::Parameters => "parameters",
            Self::Change => "change",
            Self::ApiKey => "api-key",
            Self::Ledger => "ledger",
            Self::Topic => "topic",
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Self::Target => "Step Functions: StartExecution",
            Self::Bus => "EventBridge: PutEvents",
            Self::Queue => "SQS: SendMessage, while Step Functions answers 503 all the time",
            Self::SigningSecret => "Secrets Manager: the signing secret, when a webhook starts",
            Self::Routes => "DynamoDB: the routes of other stacks, when a webhook starts",
            Self::OldRoutes => {
                "DynamoDB: the routes of other stacks, at a running webhook that has old ones"
            }
            Self::NewRoute => {
                "DynamoDB: the routes of other stacks, at a running webhook that lacks the message's"
            }
            Self::Parameters => {
                "Systems Manager: the parameters of routes, and a message of a known route meanwhile"
            }
            Self::Change => {
                "EventBridge: the change of a parameter, and a message of its route before the next collection"
            }
            Self::ApiKey => "Secrets Manager: Momento's API key, when a completion starts",
            Self::Ledger => "DynamoDB: the ledger",
            Self::Topic => "Momento: publishing the result",
        }
    }

    fn delay(self) -> Duration {
        match self {
            Self::Queue => LONG_DELAY,
            _ => DELAY,
        }
    }

    pub fn dependency(self) -> Dependency {
        match self {
            Self::Target => Dependency::StepFunctions,
            Self::Bus => Dependency::EventBridge,
            Self::Queue => Dependency::Sqs,
            Self::SigningSecret | Self::ApiKey => Dependency::SecretsManager,
            Self::Routes | Self::OldRoutes | Self::NewRoute | Self::Ledger => Dependency::DynamoDb,
            // The lost event has no call.
            Self::Parameters | Self::Change => Dependency::ParameterStore,
            Self::Topic => Dependency::Momento,
        }
    }

    /// The operation that a fault of one call meets.
    pub fn operation(self) -> &'static str {
        match self {
            Self::Target => "StartExecution",
            Self::Bus => "PutEvents",
            Self::Queue => "SendMessage",
            Self::SigningSecret | Self::ApiKey => "GetSecretValue",
            Self::Routes | Self::OldRoutes | Self::NewRoute => "GetItem",
            Self::Parameters | Self::Change => "GetParametersByPath",
            Self::Ledger => "UpdateItem",
            Self::Topic => "/cache_client.pubsub.Pubsub/Publish",
        }
    }

    /// Whether the fault meets the outbound result instead of the inbound message.
    pub fn is_outbound(self) -> bool {
        matches!(self, Self::ApiKey | Self::Ledger | Self::Topic)
    }
}
