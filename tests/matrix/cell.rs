//! One cell of the matrix: a fault, a message, and its outcome.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::lane::{Answer, Lane, until};
use crate::scene::{Kind, Lasts, Scene};
use crate::shared::proxy::Tally;
use crate::template::message;

/// Momento's timeout.
const IN_TIME: Duration = Duration::from_secs(5);

/// A schedule of a minute collects within this time.
const COLLECTED_WITHIN: Duration = Duration::from_secs(90);

/// The outcome of a cell.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The answer to the sender.
    pub answer: String,
    pub took: Duration,
    /// The place of the message at that time.
    pub place: String,
    pub end: String,
}

impl Finding {
    /// The columns that the page has to match.
    pub fn row(&self) -> [String; 3] {
        [&self.answer, &self.place, &self.end].map(Clone::clone)
    }
}

/// The answer came after Momento's timeout.
#[derive(Debug, thiserror::Error)]
#[error("expected an answer within 5 s, found {answer} after {took:.1?}")]
pub struct Late {
    answer: String,
    took: Duration,
}

/// Plays one cell, for the first time or again.
///
/// # Errors
///
/// When a guarantee is broken; [`Late`] for a late answer.
pub async fn play(lane: &Lane, kind: Kind, lasts: Lasts, attempt: u32) -> Result<Finding> {
    let topic = lane.topic(&format!("{}-{attempt}", crate::slug(kind, lasts)));
    lane.prepare(&topic).await?;
    let cell = Cell {
        lane,
        lasts,
        body: message(&topic),
        topic,
        calls: lane.calls(),
        given_back: lane.given_back(),
        delivered: lane.delivered(),
    };
    lane.fail(kind, lasts);
    let added = added_route(&cell.topic);
    if lane.scene == Scene::Parameters {
        lane.add_route(&added).await?;
        // The proxy does not count calls to a closed port.
        if kind != Kind::Refuse || lasts == Lasts::Once {
            lane.faulted(cell.calls).await?;
        }
    }
    let answer = lane.post(&cell.body).await?;
    let Answer {
        status, outcome, ..
    } = &answer;
    // An unstored message is retried until shortly before the function's timeout.
    if answer.took >= IN_TIME && *status != 503 {
        let late = Late {
            answer: format!("{status} `{outcome}`"),
            took: answer.took,
        };
        return Err(late.into());
    }
    if kind == Kind::Delay && !lane.scene.is_outbound() {
        lane.late_calls(cell.calls).await;
    }
    let (place, end) = match (*status, outcome.as_str()) {
        (503, _) => cell.not_accepted().await?,
        (200, "parked") => cell.parked().await?,
        // Parked whole.
        (200, "accepted") if matches!(lane.scene, Scene::Routes | Scene::NewRoute) => {
            cell.parked().await?
        }
        (200, "unrouted") if lane.scene == Scene::Change => cell.unrouted().await?,
        (200, "started" | "duplicate" | "event_put") if lane.scene.is_outbound() => {
            cell.result().await?
        }
        (200, "started" | "duplicate" | "event_put") => {
            let place = cell.target();
            lane.heal()?;
            let mut end = cell.arrives().await?;
            if lane.scene == Scene::Parameters {
                lane.collect().await?;
                lane.collected(&added, COLLECTED_WITHIN).await?;
                end.push_str("; the new route is collected after the fault");
            }
            (place.to_owned(), end)
        }
        _ => anyhow::bail!(
            "expected the message to be accepted or refused with 503, found {status} `{outcome}`"
        ),
    };
    // The proxy does not count calls to a closed port, and a lost event is no call.
    ensure!(
        kind == Kind::NoEvent
            || lane.calls().faulted > cell.calls.faulted
            || (kind == Kind::Refuse && lasts != Lasts::Once),
        "expected a call that meets the fault, found none"
    );
    let outcome = match outcome.as_str() {
        // Depends on whether the first execution had ended when the call was repeated.
        "started" | "duplicate" if kind.leaves_it_open() && lane.scene == Scene::Target => {
            "`started` or `duplicate`".to_owned()
        }
        outcome => format!("`{outcome}`"),
    };
    Ok(Finding {
        answer: format!("{status} {outcome}"),
        took: answer.took,
        place,
        end,
    })
}

/// The topic of the route that a cell adds beside that of its message.
fn added_route(topic: &str) -> String {
    format!("a-{topic}")
}

struct Cell<'a> {
    lane: &'a Lane,
    lasts: Lasts,
    topic: String,
    body: String,
    /// Counts before the message.
    calls: Tally,
    given_back: usize,
    delivered: usize,
}

impl Cell<'_> {
    fn executed(&self) -> bool {
        self.lane.calls().reached > self.calls.reached
    }

    fn target(&self) -> &'static str {
        match self.lane.scene {
            Scene::Bus => "event bus",
            _ => "execution",
        }
    }

    /// A message that was not accepted; the sender may retry.
    async fn not_accepted(&self) -> Result<(String, String)> {
        let place = match (self.lane.scene, self.executed()) {
            (Scene::Queue, true) => "Parked and dead letters, unknown to the webhook",
            _ => "nowhere: not accepted",
        };
        if place.starts_with("nowhere") {
            let executions = self.lane.executions(&self.topic).await?;
            ensure!(
                executions == 0 && self.lane.is_empty().await?,
                "expected nothing of a message that was not accepted, found {executions} executions and letters"
            );
        }
        self.lane.heal()?;
        let again = self.lane.post(&self.body).await?;
        ensure!(
            again.status == 200,
            "expected the message to be accepted when sent again, found {} `{}`",
            again.status,
            again.outcome
        );
        // Letters with lost replies are copies of the message that was sent again.
        let end = self.arrives_beside(true).await?;
        Ok((place.to_owned(), format!("sent again: {end}")))
    }

    async fn parked(&self) -> Result<(String, String)> {
        let sure = match self.lane.scene {
            Scene::Queue | Scene::Routes | Scene::NewRoute => false,
            _ => self.executed(),
        };
        let place = if sure {
            format!("{} and Parked", self.target())
        } else {
            "Parked".to_owned()
        };
        let parked = async || Ok((self.lane.depth("ParkedQueue").await? > 0).then_some(()));
        match self.lasts {
            // A redrive that has read the routes before delivers the message while the table fails.
            Lasts::ForGood if self.lane.scene == Scene::Routes => {
                let started = async || {
                    let executions = self.lane.executions(&self.topic).await?;
                    Ok((executions > 0).then_some(()))
                };
                until("the execution that the redrive starts", started).await?;
                self.lane.heal()?;
                Ok((format!("{place}, then execution"), self.arrives().await?))
            }
            Lasts::Once | Lasts::AWhile => {
                until("the letter in the parking queue", parked).await?;
                self.lane.heal()?;
                Ok((place, self.arrives().await?))
            }
            Lasts::ForGood => self.given_up("DeadLetterQueue", place).await,
        }
    }

    /// A message before its route is collected.
    async fn unrouted(&self) -> Result<(String, String)> {
        let letters = self.lane.reasons("DeadLetterQueue").await?;
        ensure!(
            letters == ["unrouted"],
            "expected a dead letter of the reason `unrouted`, found {letters:?}"
        );
        self.lane.collected(&self.topic, COLLECTED_WITHIN).await?;
        self.lane.hear_changes(true).await?;
        self.lane.replay("DeadLetterQueue").await?;
        let end = self.arrives().await?;
        Ok((
            "dead letters; the schedule collects the route".to_owned(),
            format!("replayed: {end}"),
        ))
    }

    /// The fault meets the result, after the start of the execution.
    async fn result(&self) -> Result<(String, String)> {
        let given_back = || self.lane.given_back() > self.given_back;
        let done = async || {
            let came = self.lane.arrivals(&self.topic) > 0;
            anyhow::Ok(came && self.lane.depth("CompletionsQueue").await? == 0)
        };
        let waits = "execution; the result in the Completions queue";
        match self.lasts {
            Lasts::Once => {}
            Lasts::AWhile => {
                let seen = async || Ok((given_back() || done().await?).then_some(()));
                until("the result waiting in its queue, or published", seen).await?;
            }
            Lasts::ForGood => {
                let seen = async || {
                    let done = done().await?;
                    let letters = self.lane.depth("CompletionsDeadLetterQueue").await?;
                    Ok((done || letters > 0).then_some(letters > 0))
                };
                if until("the result given up, or published", seen).await? {
                    let place = waits.to_owned();
                    return self.given_up("CompletionsDeadLetterQueue", place).await;
                }
            }
        }
        if self.lasts != Lasts::Once {
            self.lane.heal()?;
        }
        let end = self.arrives().await?;
        let place = if given_back() { waits } else { "execution" };
        Ok((place.to_owned(), end))
    }

    /// Waits for the dead letters, heals and replays them.
    async fn given_up(&self, queue: &str, place: String) -> Result<(String, String)> {
        let (waiting, name) = match queue {
            "DeadLetterQueue" => ("ParkedQueue", "dead letters"),
            _ => ("CompletionsQueue", "Completions dead letters"),
        };
        let dead_lettered = async || {
            let none_waits = self.lane.depth(waiting).await? == 0;
            Ok((none_waits && self.lane.depth(queue).await? > 0).then_some(()))
        };
        until("dead letters", dead_lettered).await?;
        let reasons = self.lane.reasons(queue).await?;
        ensure!(
            reasons == ["gave_up"],
            "expected dead letters of the reason `gave_up`, found {reasons:?}"
        );
        self.lane.heal()?;
        self.lane.pause().await;
        self.lane.replay(queue).await?;
        let end = self.arrives().await?;
        Ok((format!("{place}, then {name}"), format!("replayed: {end}")))
    }

    /// Exactly one execution and at least one result; or at least one event.
    async fn arrives(&self) -> Result<String> {
        self.arrives_beside(false).await
    }

    /// The same, with or without copies of the message among the dead letters.
    async fn arrives_beside(&self, copies: bool) -> Result<String> {
        let lane = self.lane;
        let came = lane.arrival(&self.topic, self.delivered, copies).await?;
        let often = if came == 1 { "once" } else { "more than once" };
        if self.lane.scene == Scene::Bus {
            return Ok(format!("event {often}"));
        }
        let executions = self.lane.executions(&self.topic).await?;
        ensure!(
            executions == 1,
            "expected one execution, found {executions}, and {came} results"
        );
        Ok(format!("one execution, result {often}"))
    }
}
