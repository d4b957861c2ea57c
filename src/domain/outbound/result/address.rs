//! The address of an execution's result: the only place that trusts or refuses an address in an input.
//!
//! 1. An address in the input is trusted if the execution's name is the bridge's own for the message in that input
//!    ([`Envelope::is_of`]), and if its route, where it still exists, gives or allows that address.
//! 2. Otherwise the current route in the execution's name gives the address, if it leads to the execution's state machine.
//! 3. Otherwise there is no address, and an input that asks for a reply is refused rather than ignored.

use serde::{Deserialize, Serialize};

use super::{Execution, Unreadable};
use crate::domain::inbound::envelope::{Envelope, ReplyAddress};
use crate::domain::inbound::message::TopicMessage;
use crate::domain::inbound::routes::{Glob, Reply, Route, Routes, Template};
use crate::domain::inbound::{envelope, execution_name};

/// The topics of a result and the message that it answers.
#[derive(Debug)]
pub struct Address {
    pub route: String,
    pub id: Option<String>,
    /// The business key of a keyed route's message.
    pub key: Option<String>,
    pub in_reply_to: InReplyTo,
    pub reply: ReplyAddress,
    /// The input has another address, which was refused.
    pub refused: bool,
}

#[derive(Debug, Default, Serialize)]
pub struct InReplyTo {
    pub cache: Option<String>,
    pub topic: Option<String>,
    pub topic_sequence_number: Option<u64>,
}

/// The input names no reply. Today's route does not matter then.
pub const ASKS_FOR_NO_REPLY: &str = "its route had no reply";

/// Why a result has no address.
#[derive(Debug)]
pub enum NoAddress {
    /// No reply is expected.
    Ignored(&'static str),
    /// The address in the input is refused, and there is no other.
    Refused(Refused),
    /// The input resembles an envelope but is unreadable.
    Unreadable(Unreadable),
}

/// Why an address in an input is refused, without another in its place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error(
        "expected an execution name derived from the message in the input, found another; leave `bridge` out of the input, or start the execution by a message"
    )]
    Name,
    #[error(
        "expected an address in the input that route `{0}` gives or allows, found another, and no other address for this execution; add it to `reply` or `reply.allow`, and replay"
    )]
    Route(String),
    #[error(
        "expected the route `{0}` with a `key` and this state machine, which confirms the address of a keyed execution, found none; put it back and replay"
    )]
    Keyed(String),
    #[error(
        "expected a message in the input to fill in the topics of route `{0}`, found none that fits the execution's name; give the route fixed topics and replay"
    )]
    Placeholders(String),
}

/// The input of an execution, read once.
#[derive(Debug)]
pub enum Origin {
    /// The bridge wrote it.
    Ours(Box<Envelope>),
    /// It resembles an envelope, but does not belong to the execution's name.
    Foreign(Box<Envelope>),
    /// It resembles an envelope, but is unreadable.
    Unreadable(envelope::Unreadable),
    /// Any other input, or none.
    Other,
}

impl Origin {
    /// The message that started the execution.
    pub fn message(&self) -> Option<&TopicMessage> {
        match self {
            Self::Ours(envelope) => Some(&envelope.message),
            _ => None,
        }
    }
}

impl Execution {
    pub fn origin(&self) -> Origin {
        match Envelope::read(self.input.as_deref().unwrap_or("null")) {
            Ok(Some(envelope)) if envelope.is_of(&self.name) => Origin::Ours(Box::new(envelope)),
            Ok(Some(envelope)) => Origin::Foreign(Box::new(envelope)),
            Ok(None) => Origin::Other,
            Err(e) => Origin::Unreadable(e),
        }
    }

    /// # Errors
    ///
    /// When the result has no address.
    pub fn address(&self, origin: Origin, routes: &Routes) -> Result<Address, NoAddress> {
        let origin = match origin {
            Origin::Ours(envelope)
                if envelope.key.is_none() || self.confirms(&envelope, routes) =>
            {
                return self.address_of_message(*envelope, routes);
            }
            // Its publisher knows the key, and so the execution's name.
            Origin::Ours(envelope) => Origin::Foreign(envelope),
            origin => origin,
        };
        let route = routes.of_execution(&self.state_machine_arn, &self.name);
        match (route, origin) {
            // The input is the publisher's own text, whatever it looks like.
            (Some(route), _) if route.takes_payload() => self.address_of_route(route, false),
            (None, _) if is_nested(self.input.as_deref().unwrap_or("null")) => {
                Err(NoAddress::Ignored("another execution started it"))
            }
            (_, Origin::Unreadable(e)) => Err(unreadable(&e)),
            (Some(route), Origin::Foreign(envelope)) => {
                self.address_of_route(route, envelope.reply.is_some())
            }
            (Some(route), _) => self.address_of_route(route, false),
            (None, Origin::Foreign(envelope))
                if envelope.key.is_some() && envelope.reply.is_some() =>
            {
                Err(NoAddress::Refused(Refused::Keyed(envelope.route)))
            }
            (None, Origin::Foreign(envelope)) if envelope.reply.is_some() => {
                Err(NoAddress::Refused(Refused::Name))
            }
            (None, Origin::Foreign(_)) => Err(NoAddress::Ignored("its input asks for no reply")),
            (None, _) => Err(NoAddress::Ignored("no route asked for it")),
        }
    }

    /// Whether the route of a keyed envelope still writes such envelopes for this state machine.
    fn confirms(&self, envelope: &Envelope, routes: &Routes) -> bool {
        let mut routes = routes.iter();
        routes.any(|route| {
            route.name == envelope.route
                && route.key().is_some()
                && !route.takes_payload()
                && route.to.state_machine() == Some(self.state_machine_arn.as_str())
        })
    }

    /// The address for an input written by the bridge.
    fn address_of_message(
        &self,
        envelope: Envelope,
        routes: &Routes,
    ) -> Result<Address, NoAddress> {
        let Envelope {
            message,
            route,
            key,
            ..
        } = envelope;
        let Some(stated) = envelope.reply else {
            return Err(NoAddress::Ignored(ASKS_FOR_NO_REPLY));
        };
        let today = routes.iter().find(|one| one.name == route);
        let refused = today.is_some_and(|route| !gives(route, &message, &stated));
        let reply = if refused {
            let own = today
                .filter(|route| route.to.state_machine() == Some(self.state_machine_arn.as_str()));
            let reply = own.and_then(|route| route.reply.as_ref());
            let refusal = || NoAddress::Refused(Refused::Route(route.clone()));
            ReplyAddress::of(reply.ok_or_else(refusal)?, &message)
        } else {
            stated
        };
        Ok(Address {
            route,
            id: Some(message.id.to_string()),
            key,
            in_reply_to: InReplyTo {
                cache: Some(message.cache),
                topic: Some(message.topic),
                topic_sequence_number: Some(message.topic_sequence_number),
            },
            reply,
            refused,
        })
    }

    /// The address for an unknown message; `asks_for_reply` if the input has an address.
    fn address_of_route(&self, route: &Route, asks_for_reply: bool) -> Result<Address, NoAddress> {
        let name = || route.name.clone();
        let Some(reply) = &route.reply else {
            return Err(if asks_for_reply {
                NoAddress::Refused(Refused::Route(name()))
            } else {
                NoAddress::Ignored("its route has no reply")
            });
        };
        let reply = without_message(route, reply);
        let exact = |glob: &Glob| glob.is_exact().then(|| glob.as_str().to_owned());
        Ok(Address {
            route: name(),
            id: None,
            key: None,
            in_reply_to: InReplyTo {
                cache: exact(&route.from.cache),
                topic: exact(&route.from.topic),
                topic_sequence_number: match route.key() {
                    None => execution_name::sequence_in_name(&self.name, &route.name),
                    Some(_) => None,
                },
            },
            reply: reply.ok_or_else(|| NoAddress::Refused(Refused::Placeholders(name())))?,
            refused: asks_for_reply,
        })
    }
}

/// Whether a route gives or allows every topic of an address.
fn gives(route: &Route, message: &TopicMessage, address: &ReplyAddress) -> bool {
    let ReplyAddress {
        cache,
        topics,
        failures,
        started,
        ..
    } = address;
    let mut all = topics.iter().chain(failures).chain(started);
    let reply = route.reply.as_ref();
    reply.is_some_and(|reply| all.all(|topic| reply.may_use(message, cache, topic)))
}

/// A route's address, if it needs no message.
fn without_message(route: &Route, reply: &Reply) -> Option<ReplyAddress> {
    let fixed = |template: &Template| template.render_without_message(&route.from);
    let all = |templates: &[Template]| templates.iter().map(fixed).collect::<Option<Vec<_>>>();
    Some(ReplyAddress {
        cache: fixed(&reply.cache)?,
        topics: all(&reply.topics)?,
        failures: all(&reply.failures)?,
        started: all(&reply.started)?,
        format: reply.format,
    })
}

/// Whether the input names a parent execution, by the key from Step Functions' documentation.
fn is_nested(input: &str) -> bool {
    #[derive(Deserialize)]
    struct Nested {
        #[serde(rename = "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID")]
        started_by: String,
    }
    let nested = serde_json::from_str::<Nested>(input);
    nested.is_ok_and(|nested| nested.started_by.contains(":execution:"))
}

fn unreadable(e: &envelope::Unreadable) -> NoAddress {
    NoAddress::Unreadable(Unreadable {
        expected: "an envelope of version 1 in the execution's input",
        found: e.to_string(),
    })
}

#[cfg(test)]
mod tests;
