//! The request to a route's target: a function of the message and its route alone, like the input of an execution.

use serde::Serialize;

use crate::domain::fault::Fault;
use crate::domain::inbound::arn::execution_arn;
use crate::domain::inbound::envelope::ExecutionInput;
use crate::domain::inbound::execution_name::{execution_name, keyed_execution_name};
use crate::domain::inbound::message::TopicMessage;
use crate::domain::inbound::routes::{FieldPath, Input, Route, Stop, Target};
use crate::domain::inbound::{key, resume};
use crate::domain::ports::{NewEvent, NewExecution, StopRequest, TaskAnswer};

/// Most bytes of an execution's input, by StartExecution's model (`SensitiveData`, UTF-8).
pub const INPUT_MAX: usize = 262_144;
/// Most characters of an event's detail-type, by PutEvents's model.
const DETAIL_TYPE_MAX: usize = 128;
/// Most characters of an error and of a cause, by StopExecution's model.
const ERROR_MAX: usize = 256;
const CAUSE_MAX: usize = 32_768;
/// The fault code of an input over [`INPUT_MAX`].
pub const INPUT_TOO_LARGE: &str = "InputTooLarge";

/// One call of a target, not yet made.
#[derive(Clone, Debug)]
pub enum Request<'a> {
    Start(NewExecution<'a>),
    Put(NewEvent<'a>),
    Answer(TaskAnswer),
    Stop(StopRequest),
}

/// The request of `route` for `message`.
///
/// # Errors
///
/// A permanent fault, if the target could only refuse it: an input over 256 KiB, an answer without a task token, or a message
/// without its key.
pub fn request<'a>(message: &'a TopicMessage, route: &'a Route) -> Result<Request<'a>, Fault> {
    match &route.to {
        Target::StateMachine { arn, input, key } => {
            let key = key
                .as_ref()
                .map(|path| key::of(message, path))
                .transpose()?;
            let key = key.as_deref();
            Ok(Request::Start(NewExecution {
                state_machine: arn,
                name: match key {
                    Some(key) => keyed_execution_name(&route.name, key),
                    None => execution_name(&route.name, message),
                },
                input: execution_input(message, route, *input, key)?,
            }))
        }
        Target::EventBus {
            name,
            source,
            detail_type,
        } => Ok(Request::Put(NewEvent {
            bus: name,
            source,
            detail_type: detail_type
                .render(message)
                .chars()
                .take(DETAIL_TYPE_MAX)
                .collect(),
            detail: detail(message),
        })),
        Target::Resume(resume) => resume::answer(message, resume).map(Request::Answer),
        Target::Stop(stop) => stop_request(message, stop).map(Request::Stop),
    }
}

/// The name of the keyed execution, of a keyed route or a stop.
pub fn keyed_execution(message: &TopicMessage, route: &Route) -> Option<String> {
    let (name, path) = match &route.to {
        Target::StateMachine { key, .. } => (&route.name, key.as_ref()?),
        Target::Stop(stop) => (&stop.route, &stop.key),
        Target::EventBus { .. } | Target::Resume(_) => return None,
    };
    Some(keyed_execution_name(name, &key::of(message, path).ok()?))
}

/// The execution that the route started for the key of this message, and the reason for its end.
fn stop_request(message: &TopicMessage, stop: &Stop) -> Result<StopRequest, Fault> {
    let key = key::of(message, &stop.key)?;
    let name = keyed_execution_name(&stop.route, &key);
    let text = |path: &Option<FieldPath>, most: usize| {
        let text = path.as_ref()?.find(message)?;
        // A value that is no text is given as JSON.
        let text = serde_json::from_str::<String>(&text).unwrap_or_else(|_| text.into_owned());
        Some(text.chars().take(most).collect())
    };
    Ok(StopRequest {
        execution: execution_arn(&stop.state_machine, &name),
        error: text(&stop.error, ERROR_MAX),
        cause: text(&stop.cause, CAUSE_MAX),
    })
}

fn execution_input(
    message: &TopicMessage,
    route: &Route,
    shape: Input,
    key: Option<&str>,
) -> Result<String, Fault> {
    let input = match shape {
        Input::Envelope => ExecutionInput::envelope(message, route, key),
        Input::Payload => ExecutionInput::payload(message),
    };
    match input.over(INPUT_MAX) {
        None => Ok(input.to_json()),
        Some(found) => {
            let text = format!("expected an input of at most {INPUT_MAX} bytes, found {found}");
            Err(Fault::permanent(INPUT_TOO_LARGE, text))
        }
    }
}

/// Momento's body plus `id`, so that rules for Momento's own handler match.
fn detail(message: &TopicMessage) -> String {
    #[derive(Serialize)]
    struct Detail<'a> {
        id: &'a str,
        cache: &'a str,
        topic: &'a str,
        event_timestamp: i64,
        publish_timestamp: i64,
        topic_sequence_number: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        sequence_page: Option<u64>,
        /// Empty without a token id, as Momento sends it.
        token_id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        binary: Option<&'a str>,
    }
    let detail = Detail {
        id: message.id.as_str(),
        cache: &message.cache,
        topic: &message.topic,
        event_timestamp: message.event_timestamp,
        publish_timestamp: message.publish_timestamp,
        topic_sequence_number: message.topic_sequence_number,
        sequence_page: message.sequence_page,
        token_id: message.token_id.as_deref().unwrap_or_default(),
        text: message.text(),
        binary: message.binary(),
    };
    serde_json::to_string(&detail).expect("strings and numbers always serialize")
}
