//! An answer in the format of its trigger.

use http::{HeaderMap, Response};
use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::Trigger;

/// A text answer to a trigger.
pub struct Answer {
    pub trigger: Trigger,
    pub response: Response<String>,
}

impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { trigger, response } = self;
        let headers = response.headers();
        let mut answer = serializer.serialize_struct("Answer", 6)?;
        answer.serialize_field("statusCode", &response.status().as_u16())?;
        if *trigger == Trigger::Alb {
            answer.serialize_field("statusDescription", &format_args!("{}", response.status()))?;
        }
        // A REST API would merge the two, and an ALB takes the one that its target group is set to.
        if *trigger != Trigger::Rest {
            answer.serialize_field("headers", &Headers(headers, |value| value))?;
        }
        if *trigger != Trigger::Http {
            answer.serialize_field("multiValueHeaders", &Headers(headers, |value| [value]))?;
        }
        answer.serialize_field("body", response.body())?;
        answer.serialize_field("isBase64Encoded", &false)?;
        answer.end()
    }
}

/// The headers, none of them repeated, and the format of their values.
struct Headers<'a, V>(&'a HeaderMap, fn(&'a str) -> V);

impl<V: Serialize> Serialize for Headers<'_, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| {
            let value = value.to_str().unwrap_or_default();
            (name.as_str(), (self.1)(value))
        }))
    }
}
