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
}

impl Kind {
    pub const ALL: [Self; 10] = [
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
    ];

    pub fn fault(self, scene: Scene) -> Fault {
        match self {
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
        }
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
    ApiKey,
    Ledger,
    Topic,
}

impl Scene {
    pub const ALL: [Self; 8] = [
        Self::Target,
        Self::Bus,
        Self::Queue,
        Self::SigningSecret,
        Self::Routes,
        Self::ApiKey,
        Self::Ledger,
        Self::Topic,
    ];

    pub fn cells(self) -> impl Iterator<Item = (Kind, Lasts)> {
        let kinds = Kind::ALL.into_iter();
        let kinds = kinds.filter(move |kind| match kind {
            Kind::Partial => self == Self::Bus,
            Kind::StreamReset => self == Self::Topic,
            _ => true,
        });
        kinds.flat_map(|kind| Lasts::ALL.map(|lasts| (kind, lasts)))
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Target => "target",
            Self::Bus => "bus",
            Self::Queue => "queue",
            Self::SigningSecret => "signing-secret",
            Self::Routes => "routes",
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
            Self::Routes | Self::Ledger => Dependency::DynamoDb,
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
            Self::Routes => "GetItem",
            Self::Ledger => "UpdateItem",
            Self::Topic => "/cache_client.pubsub.Pubsub/Publish",
        }
    }

    /// Whether the fault meets the outbound result instead of the inbound message.
    pub fn is_outbound(self) -> bool {
        matches!(self, Self::ApiKey | Self::Ledger | Self::Topic)
    }
}
