//! Where the result of an execution goes: the one place that decides whether an address in an input is believed.
//!
//! 1. An address in the input counts where the execution's name is the one that the bridge gives for the message in that
//!    input ([`Envelope::is_of`]), and where its route, if it still exists, gives or allows that address.
//! 2. Otherwise the address is the one that the route in the execution's name gives today, if that route leads to the
//!    execution's state machine.
//! 3. Otherwise there is none, and an input that asks for a reply is refused rather than ignored.

use serde::{Deserialize, Serialize};

use super::{Execution, Unreadable};
use crate::input::{self, Envelope, ReplyAddress, own_envelope};
use crate::message::TopicMessage;
use crate::routes::{Glob, Reply, Route, Routes, Template};

/// Where a result goes and what it answers.
#[derive(Debug)]
pub(super) struct Address {
    pub route: String,
    pub id: Option<String>,
    pub in_reply_to: InReplyTo,
    pub reply: ReplyAddress,
    /// The input asks for another address, which is not believed.
    pub refused: bool,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct InReplyTo {
    pub cache: Option<String>,
    pub topic: Option<String>,
    pub topic_sequence_number: Option<u64>,
}

/// Why a result goes nowhere.
#[derive(Debug)]
pub(super) enum NoAddress {
    /// Nobody waits for it.
    Ignored(&'static str),
    /// The input asks for an address that is not believed, and there is no other.
    Refused(Refused),
    /// The input looks like an envelope and cannot be read.
    Unreadable(Unreadable),
}

/// Why an address in an input is not believed, where there is no other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error(
        "expected the name that the bridge gives to an execution with the message in its input, found another; a workflow that starts this one should leave `bridge` out of its input, and a person should start it with a message"
    )]
    Name,
    #[error(
        "expected an address in the input that route `{0}` gives or allows, found another, and the route has none to use instead for this execution; add it to `reply`, or to `reply.allow`, and replay"
    )]
    Route(String),
    #[error(
        "expected a message in the input to fill in the topics of route `{0}`, found none that fits the execution's name; give the route fixed topics and replay"
    )]
    Placeholders(String),
}

impl Execution {
    pub(super) fn address(&self, routes: &Routes) -> Result<Address, NoAddress> {
        if !self.has_ended() {
            return Err(NoAddress::Ignored("it has not ended"));
        }
        let input = self.input.as_deref().unwrap_or("null");
        if let Some(envelope) = own_envelope(&self.name, input) {
            return self.address_of_message(envelope, routes);
        }
        match routes.of_execution(&self.state_machine_arn, &self.name) {
            // The input is the publisher's own text, whatever it looks like.
            Some(route) if route.takes_payload() => self.address_of_route(route, false),
            Some(route) => {
                let envelope = Envelope::read(input).map_err(unreadable)?;
                let asks = envelope.is_some_and(|envelope| envelope.reply.is_some());
                self.address_of_route(route, asks)
            }
            None => Err(no_address(input)),
        }
    }

    /// Of an execution whose input the bridge wrote.
    fn address_of_message(
        &self,
        envelope: Envelope,
        routes: &Routes,
    ) -> Result<Address, NoAddress> {
        let Envelope { message, route, .. } = envelope;
        let Some(stated) = envelope.reply else {
            return Err(NoAddress::Ignored("its route has no reply"));
        };
        let today = routes.iter().find(|one| one.name == route);
        let refused = today.is_some_and(|route| !gives(route, &message, &stated));
        let reply = if refused {
            let own = today
                .filter(|route| route.to.state_machine() == Some(self.state_machine_arn.as_str()));
            let reply = own.and_then(|route| route.reply.as_ref());
            let refusal = || NoAddress::Refused(Refused::Route(route.clone()));
            of_message(reply.ok_or_else(refusal)?, &message)
        } else {
            stated
        };
        Ok(Address {
            route,
            id: Some(message.id.to_string()),
            in_reply_to: InReplyTo {
                cache: Some(message.cache),
                topic: Some(message.topic),
                topic_sequence_number: Some(message.topic_sequence_number),
            },
            reply,
            refused,
        })
    }

    /// Of an execution whose message is not known; `asks` where its input asks for an address all the same.
    fn address_of_route(&self, route: &Route, asks: bool) -> Result<Address, NoAddress> {
        let name = || route.name.clone();
        let Some(reply) = &route.reply else {
            return Err(if asks {
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
            in_reply_to: InReplyTo {
                cache: exact(&route.from.cache),
                topic: exact(&route.from.topic),
                topic_sequence_number: input::sequence_in_name(&self.name, &route.name),
            },
            reply: reply.ok_or_else(|| NoAddress::Refused(Refused::Placeholders(name())))?,
            refused: asks,
        })
    }
}

/// Whether a route gives or allows every topic of an address.
fn gives(route: &Route, message: &TopicMessage, address: &ReplyAddress) -> bool {
    let ReplyAddress {
        cache,
        topics,
        failures,
        ..
    } = address;
    let mut all = topics.iter().chain(failures);
    let reply = route.reply.as_ref();
    reply.is_some_and(|reply| all.all(|topic| reply.may_use(message, cache, topic)))
}

/// The address that a route gives to the result of a message.
fn of_message(reply: &Reply, message: &TopicMessage) -> ReplyAddress {
    let address = reply.address(message);
    ReplyAddress {
        cache: reply.cache.render(message),
        topics: address.topics,
        failures: address.failures,
        format: reply.format,
    }
}

/// The address that a route gives to every result, where that is one.
fn without_message(route: &Route, reply: &Reply) -> Option<ReplyAddress> {
    let fixed = |template: &Template| template.render_without_message(&route.from);
    let all = |templates: &[Template]| templates.iter().map(fixed).collect::<Option<Vec<_>>>();
    Some(ReplyAddress {
        cache: fixed(&reply.cache)?,
        topics: all(&reply.topics)?,
        failures: all(&reply.failures)?,
        format: reply.format,
    })
}

/// Of an execution that no route named.
fn no_address(input: &str) -> NoAddress {
    let envelope = match Envelope::read(input) {
        _ if is_nested(input) => return NoAddress::Ignored("another execution started it"),
        Ok(envelope) => envelope,
        Err(e) => return unreadable(e),
    };
    match envelope {
        None => NoAddress::Ignored("no route asked for it"),
        Some(Envelope { reply: None, .. }) => NoAddress::Ignored("its input asks for no reply"),
        Some(_) => NoAddress::Refused(Refused::Name),
    }
}

/// Whether the input names the execution that started this one, by the key that Step Functions' documentation uses for it.
fn is_nested(input: &str) -> bool {
    #[derive(Deserialize)]
    struct Nested {
        #[serde(rename = "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID")]
        started_by: String,
    }
    let nested = serde_json::from_str::<Nested>(input);
    nested.is_ok_and(|nested| nested.started_by.contains(":execution:"))
}

fn unreadable(e: input::Unreadable) -> NoAddress {
    NoAddress::Unreadable(Unreadable {
        expected: "an envelope of version 1 in the execution's input",
        found: e.to_string(),
    })
}

#[cfg(test)]
mod tests;
