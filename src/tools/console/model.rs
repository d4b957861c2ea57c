//! The messages of a list, and the filters of the list.

use serde::{Deserialize, Serialize};

use crate::domain::inbound::message::delivery::DeliveryBody;
use crate::domain::inbound::message::{Body, TopicMessage, Value};
use crate::tools::replay::choice::since;
use crate::tools::terminal::preview;
use crate::tools::trace::model::Unanswered;

/// Rows of a page.
pub const PAGE: usize = 100;

/// Characters shown of a value in a list.
const PREVIEW: usize = 160;

/// A message in the list.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// Its place in the list; a newer message has a greater one.
    pub number: u64,
    /// 32 hex digits.
    pub id: String,
    pub cache: String,
    pub topic: String,
    pub sequence: u64,
    /// When it was published; on AWS, when it came in. In ms since the epoch.
    pub at: i64,
    /// The beginning of its text; none for a binary value, and where only logs are known.
    pub text: Option<String>,
    pub bytes: Option<usize>,
    pub kind: Kind,
    pub key: Option<String>,
    /// The webhook's answer.
    pub answer: Option<Answered>,
    pub legs: Vec<Leg>,
}

/// The role of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A route listens to its topic.
    #[default]
    In,
    /// Results go to its topic.
    Result,
    /// No route names its topic.
    Other,
}

/// The webhook's answer to a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answered {
    /// None where no answer came.
    pub status: Option<u16>,
    /// The answer's code, or the reason why none came.
    pub code: String,
    pub took_ms: i64,
}

/// A message on one route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leg {
    pub route: String,
    pub outcome: String,
    pub run: Option<Ran>,
}

/// The execution of a leg.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ran {
    pub arn: String,
    /// Empty while unknown.
    pub status: String,
    pub started_at: i64,
    pub stopped_at: Option<i64>,
    pub error: Option<String>,
}

impl Ran {
    pub fn name(&self) -> &str {
        self.arn.rsplit(':').next().unwrap_or(&self.arn)
    }

    /// From its start to its end, in ms.
    pub fn took_ms(&self) -> Option<i64> {
        self.stopped_at.map(|end| end - self.started_at)
    }
}

/// The state of a message over all its routes, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Failed,
    DeadLetter,
    NotStored,
    Refused,
    Parked,
    Running,
    /// Not answered yet.
    OnItsWay,
    /// Started, without known outcome.
    Started,
    Succeeded,
    /// Handed over: an event on a bus, an answer to a workflow, a stop.
    Done,
    Duplicate,
    /// Published by a workflow or the bridge.
    Result,
    /// No route listens.
    NoRoute,
}

impl Status {
    pub const ALL: [Self; 13] = [
        Self::Failed,
        Self::DeadLetter,
        Self::NotStored,
        Self::Refused,
        Self::Parked,
        Self::Running,
        Self::OnItsWay,
        Self::Started,
        Self::Succeeded,
        Self::Done,
        Self::Duplicate,
        Self::Result,
        Self::NoRoute,
    ];

    /// As in filters and CSS classes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::DeadLetter => "dead_letter",
            Self::NotStored => "not_stored",
            Self::Refused => "refused",
            Self::Parked => "parked",
            Self::Running => "running",
            Self::OnItsWay => "on_its_way",
            Self::Started => "started",
            Self::Succeeded => "succeeded",
            Self::Done => "done",
            Self::Duplicate => "duplicate",
            Self::Result => "result",
            Self::NoRoute => "no_route",
        }
    }

    pub fn word(self) -> String {
        self.name().replace('_', " ")
    }

    fn of_leg(leg: &Leg) -> Self {
        match (leg.outcome.as_str(), &leg.run) {
            ("started" | "duplicate", Some(run)) => match run.status.as_str() {
                "" => Self::Started,
                "RUNNING" => Self::Running,
                "SUCCEEDED" => Self::Succeeded,
                _ => Self::Failed,
            },
            ("started", None) => Self::Started,
            ("duplicate", None) => Self::Duplicate,
            ("parked", _) => Self::Parked,
            ("dead_lettered", _) => Self::DeadLetter,
            ("not_stored", _) => Self::NotStored,
            _ => Self::Done,
        }
    }
}

impl Row {
    /// The row of a message.
    pub fn of(message: &TopicMessage, kind: Kind) -> Self {
        Self {
            id: message.id.to_string(),
            cache: message.cache.clone(),
            topic: message.topic.clone(),
            sequence: message.topic_sequence_number,
            at: message.event_timestamp,
            text: message.text().map(|text| preview(text, PREVIEW)),
            bytes: Some(bytes(&message.value)),
            kind,
            ..Self::default()
        }
    }

    pub fn status(&self) -> Status {
        if let Some(worst) = self.legs.iter().map(Status::of_leg).min() {
            return worst;
        }
        match (&self.answer, self.kind) {
            (None, Kind::In) => Status::OnItsWay,
            (None, Kind::Result) => Status::Result,
            (None, Kind::Other) => Status::NoRoute,
            (Some(answer), _) => match answer.status {
                None | Some(500..) => Status::NotStored,
                Some(200) if answer.code == "unrouted" => Status::DeadLetter,
                Some(200) => Status::Done,
                Some(_) => Status::Refused,
            },
        }
    }

    /// From the publication to the last end, in ms, none while one is open; without an execution, the answer's time.
    pub fn took_ms(&self) -> Option<i64> {
        let runs = || self.legs.iter().filter_map(|leg| leg.run.as_ref());
        if runs().next().is_none() {
            return self.answer.as_ref().map(|answer| answer.took_ms);
        }
        let ends: Option<Vec<i64>> = runs().map(|run| run.stopped_at).collect();
        ends?.into_iter().max().map(|end| end - self.at)
    }

    /// The errors of its failed executions.
    pub fn errors(&self) -> impl Iterator<Item = &str> {
        let runs = self.legs.iter().filter_map(|leg| leg.run.as_ref());
        runs.filter_map(|run| run.error.as_deref())
    }
}

/// Size of a value.
fn bytes(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.len(),
        // Base64 without its padding.
        Value::Binary(base64) => base64.trim_end_matches('=').len() * 3 / 4,
    }
}

/// A delivery of a message, from which the webhook derives the same id again.
#[derive(Clone, Debug)]
pub struct Delivery(pub TopicMessage);

impl Delivery {
    /// Reads a delivery's body, whatever its age.
    pub fn read(body: &str) -> Option<Self> {
        let body: Body = serde_json::from_str(body).ok()?;
        TopicMessage::of(body).ok().map(Self)
    }

    /// The body to send at `now_ms`.
    pub fn body(&self, now_ms: i64) -> Vec<u8> {
        DeliveryBody {
            cache: &self.0.cache,
            topic: &self.0.topic,
            event_timestamp: self.0.event_timestamp,
            publish_timestamp: now_ms,
            topic_sequence_number: self.0.topic_sequence_number,
            sequence_page: self.0.sequence_page,
            token_id: self.0.token_id.as_deref().unwrap_or_default(),
            value: &self.0.value,
        }
        .to_json()
    }
}

/// The filters of a list, as the address has them. An empty text filters nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Filter {
    /// In the id, topic, text, key or error.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub q: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub topic: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub route: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub status: String,
    /// A time or an age, as of `bridge replay --since`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub since: String,
    /// `all`: results, too.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub show: String,
    /// Rows before this place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
}

impl Filter {
    /// The filters as a query, without a leading `?`.
    pub fn query(&self) -> String {
        let pairs = serde_json::to_value(self).unwrap_or_default();
        let pairs = pairs.as_object().into_iter().flatten();
        let pairs = pairs.map(|(name, value)| {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), ToOwned::to_owned);
            (name.clone(), text)
        });
        let mut url = reqwest::Url::parse("http://x").expect("a constant URL is valid");
        url.query_pairs_mut().extend_pairs(pairs);
        url.query().unwrap_or_default().to_owned()
    }

    /// Start of the range, in ms since the epoch.
    ///
    /// # Errors
    ///
    /// Expected and found, for a text that is no time.
    pub fn since(&self, now_ms: i64) -> Result<Option<i64>, String> {
        match self.since.trim() {
            "" => Ok(None),
            text => since(text, now_ms).map(Some),
        }
    }

    /// Whether a row passes all filters but the time and the place. `value` is the message's whole text.
    pub fn takes(&self, row: &Row, value: Option<&str>) -> bool {
        let topic = self.topic.trim();
        let topics = topic.is_empty()
            || crate::domain::inbound::routes::Glob::new(topic).matches(&row.topic)
            || format!("{}/{}", row.cache, row.topic) == topic;
        let routes = self.route.is_empty() || row.legs.iter().any(|leg| leg.route == self.route);
        let statuses = self.status.is_empty() || row.status().name() == self.status;
        let shown = row.kind != Kind::Result || self.show == "all" || self.status == "result";
        shown && topics && routes && statuses && self.finds(row, value)
    }

    fn finds(&self, row: &Row, value: Option<&str>) -> bool {
        let wanted = self.q.trim().to_lowercase();
        if wanted.is_empty() {
            return true;
        }
        let has = |text: &str| text.to_lowercase().contains(&wanted);
        row.id.starts_with(&wanted)
            || has(&format!("{}/{}/{}", row.cache, row.topic, row.sequence))
            || has(&format!("{}#{}", row.topic, row.sequence))
            || row.key.as_deref().is_some_and(has)
            || value.or(row.text.as_deref()).is_some_and(has)
            || row.errors().any(has)
            || row.legs.iter().any(|leg| {
                let run = leg.run.as_ref();
                run.is_some_and(|run| run.arn.to_lowercase().ends_with(&wanted))
            })
    }
}

/// A page of the list.
#[derive(Clone, Debug, Default)]
pub struct Listed {
    /// Newest first.
    pub rows: Vec<Row>,
    /// The place to go on before, if there may be more.
    pub more: Option<u64>,
    /// What was searched, in a sentence.
    pub note: String,
    /// The sources that failed.
    pub unanswered: Vec<Unanswered>,
}
