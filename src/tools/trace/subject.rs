//! A query, and its message.

use super::model::Head;
use crate::domain::inbound::arn::execution_arn;
use crate::domain::inbound::execution_name::{
    NAME_ID_DIGITS, execution_name_of, id_in_name, is_named_after, keyed_execution_name,
};
use crate::domain::inbound::routes::{Route, Routes};
use crate::tools::place::Place;

/// Hex digits of a whole message id.
const ID_DIGITS: usize = 32;

/// A query about a message, and its stack.
pub struct Question<'a> {
    pub asked: &'a str,
    pub subject: Subject,
    /// Start of the logs' range, in ms since the epoch; none for the message's own time, or 24 hours.
    pub since: Option<i64>,
    pub now_ms: i64,
    /// Whether to include inputs, outputs and causes.
    pub payloads: bool,
    pub place: &'a Place,
    pub routes: &'a Routes,
}

/// A message, as the command line names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Its id, or at least the first 16 digits of it.
    Id(String),
    /// Its place; several messages may have one number, since numbers start again.
    Number {
        cache: String,
        topic: String,
        number: u64,
    },
    /// An execution that it started.
    Execution {
        /// None where only the name is given.
        arn: Option<String>,
        name: String,
    },
    /// The business key of keyed routes.
    Key(String),
}

impl Subject {
    /// Reads an id (16 to 32 hex digits), `cache/topic/number` or `cache/topic#number`, or an execution's ARN or name. Any
    /// other text is a key.
    ///
    /// # Errors
    ///
    /// Expected, found, and where to find an id.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.starts_with("arn:") {
            return of_arn(text);
        }
        if text.contains('/') {
            return of_place(text);
        }
        let hex = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if hex && (NAME_ID_DIGITS..=ID_DIGITS).contains(&text.len()) {
            return Ok(Self::Id(text.to_ascii_lowercase()));
        }
        let name = text.to_owned();
        if id_in_name(&name).is_some() {
            return Ok(Self::Execution { arn: None, name });
        }
        match text {
            "" => Err(Self::unknown("nothing")),
            key => Ok(Self::Key(key.to_owned())),
        }
    }

    /// The error for a text that is a key at most, where no route has one.
    pub fn unknown(found: &str) -> String {
        format!(
            "expected {EXPECTED}, found {found}: ids are in the webhook's answer and in its log, numbers and names in the Step Functions console"
        )
    }
}

/// The ARNs and names of the executions of a key, one for each route with `to.key`.
pub fn executions_of_key<'a>(
    routes: &'a Routes,
    key: &'a str,
) -> impl Iterator<Item = (String, String)> + 'a {
    routes.iter().filter_map(move |route| {
        let machine = route.key().and(route.to.state_machine())?;
        let name = keyed_execution_name(&route.name, key);
        Some((execution_arn(machine, &name), name))
    })
}

/// The ARN of the execution that a route starts for a message. A keyed route's name is among the `keyed` ones.
pub fn execution_on(route: &Route, head: &Head, keyed: &[&str]) -> Option<String> {
    let machine = route.to.state_machine()?;
    if route.key().is_some() {
        let name = keyed
            .iter()
            .find(|name| is_named_after(name, &route.name))?;
        return Some(execution_arn(machine, name));
    }
    let (topic, id) = (head.topic.as_deref()?, head.id.as_deref()?);
    let name = execution_name_of(&route.name, topic, head.number?, id);
    Some(execution_arn(machine, &name))
}

const EXPECTED: &str = "a message id (16 to 32 hex digits), `cache/topic/number`, the ARN or name of an execution (`route-topic-number-16 hex digits`), or the key of a route with `to.key`";

fn of_arn(arn: &str) -> Result<Subject, String> {
    let parts: Vec<&str> = arn.split(':').collect();
    match parts.as_slice() {
        ["arn", _, "states", _, _, "execution", _, name]
        | ["arn", _, "states", _, _, "express", _, name, _] => Ok(Subject::Execution {
            arn: Some(arn.to_owned()),
            name: (*name).to_owned(),
        }),
        ["arn", _, "states", _, _, kind, ..] => Err(format!(
            "expected the ARN of an execution, found that of a `{kind}`: take the execution's from the list of executions"
        )),
        _ => Err(format!(
            "expected the ARN of an execution of Step Functions (`arn:aws:states:region:account:execution:machine:name`), found `{arn}`"
        )),
    }
}

fn of_place(text: &str) -> Result<Subject, String> {
    let place = text.split_once('/').and_then(|(cache, rest)| {
        // As `bridge replay` writes it, or as a path.
        let (topic, number) = rest.rsplit_once('#').or_else(|| rest.rsplit_once('/'))?;
        let number = number.parse().ok()?;
        (!cache.is_empty() && !topic.is_empty()).then_some((cache, topic, number))
    });
    let (cache, topic, number) = place.ok_or_else(|| {
        format!("expected `cache/topic/number`, with all three and a number at its end, such as `demo/uppercase-in/42`, found `{text}`")
    })?;
    Ok(Subject::Number {
        cache: cache.to_owned(),
        topic: topic.to_owned(),
        number,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn ids_places_and_executions_are_distinguished() {
        let number = |cache: &str, topic: &str, number| Subject::Number {
            cache: cache.to_owned(),
            topic: topic.to_owned(),
            number,
        };
        let name = "r-t-1-0123456789abcdef";
        let execution = |arn: Option<&str>| Subject::Execution {
            arn: arn.map(ToOwned::to_owned),
            name: name.to_owned(),
        };
        let arn = &format!("arn:aws:states:eu-west-1:123456789012:execution:Upper:{name}");
        let express = &format!("arn:aws:states:eu-west-1:123456789012:express:Upper:{name}:1b2c");
        for (text, subject) in [
            (ID, Subject::Id(ID.into())),
            (&ID[..16], Subject::Id(ID[..16].into())),
            (" 0123456789ABCDEF ", Subject::Id(ID[..16].into())),
            ("demo/in/7", number("demo", "in", 7)),
            ("demo/a/b/7", number("demo", "a/b", 7)),
            ("demo/a/7/0", number("demo", "a/7", 0)),
            ("demo/a/b#7", number("demo", "a/b", 7)),
            (name, execution(None)),
            (arn, execution(Some(arn))),
            (express, execution(Some(express))),
            ("4711", Subject::Key("4711".into())),
            ("hello", Subject::Key("hello".into())),
            (&format!("{ID}0"), Subject::Key(format!("{ID}0"))),
        ] {
            assert_eq!(Subject::parse(text), Ok(subject), "{text}");
        }
    }

    #[test]
    fn any_other_text_is_refused() {
        let (place, account) = ("and a number at its end", "eu-west-1:123456789012");
        for (text, part) in [
            ("", "found nothing"),
            ("demo/in", place),
            ("in/7", place),
            ("demo/in/x", place),
            ("demo//7", place),
            ("/in/7", place),
            ("demo/in/-7", place),
            (&format!("arn:aws:sqs:{account}:queue"), "Step Functions"),
            (
                &format!("arn:aws:states:{account}:stateMachine:Upper"),
                "`stateMachine`",
            ),
        ] {
            let error = Subject::parse(text).unwrap_err();
            let fits = error.starts_with("expected") && error.contains(part);
            assert!(fits, "{text}: {error}");
        }
    }
}
