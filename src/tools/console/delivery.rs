//! A message as it was delivered, from memory, an execution's input or a dead letter.

use super::app::App;
use super::model::Delivery;
use crate::domain::fault::Fault;
use crate::domain::inbound::envelope::own_envelope;
use crate::domain::inbound::letter::Letter;
use crate::tools::letters::DeadQueue;
use crate::tools::replay::choice::Choice;
use crate::tools::trace::model::{Event, Report, What};

/// The delivery of a message; none where its value is not known any more.
///
/// # Errors
///
/// When a source does not answer.
pub async fn delivery(app: &App, id: &str) -> Result<Option<Delivery>, Fault> {
    if let Some(found) = app.messages.delivery(id) {
        return Ok(Some(found));
    }
    let (routes, _) = app.messages.routes().await?;
    let report = app.services.report(id, &routes, false).await?;
    kept(app, &report).await
}

/// The delivery of a report's newest message, where an execution or a dead letter has it.
///
/// # Errors
///
/// When a source does not answer.
pub async fn kept(app: &App, report: &Report) -> Result<Option<Delivery>, Fault> {
    let Some(trace) = report.messages.first() else {
        return Ok(None);
    };
    let id = trace.message.id.clone().unwrap_or_default();
    if let Some(found) = app.messages.delivery(&id) {
        return Ok(Some(found));
    }
    let is_same = |found: &Delivery| !id.is_empty() && found.0.id.as_str().starts_with(&id);
    for run in trace.events.iter().filter_map(Event::run) {
        let input = app.services.input(&run.arn).await?;
        let envelope = input.and_then(|input| own_envelope(&run.name, &input));
        // Read again from a body, as the webhook will: the id must come out the same.
        let found = envelope.map(|envelope| Delivery(envelope.message).body(0));
        let found = found.and_then(|body| Delivery::read(std::str::from_utf8(&body).ok()?));
        if let Some(found) = found.filter(is_same) {
            return Ok(Some(found));
        }
    }
    let dead = |what: &What| matches!(what, What::DeadLettered { .. });
    if !trace.events.iter().any(|event| dead(&event.what)) {
        return Ok(None);
    }
    let choice = Choice {
        ids: vec![id.clone()],
        ..Choice::default()
    };
    let (letters, _) = app
        .services
        .letters(DeadQueue::Messages, &choice, 1)
        .await?;
    let found = letters.into_iter().find_map(|dead| {
        let letter: Letter = serde_json::from_str(&dead.send?.0).ok()?;
        Delivery::read(letter.message?.get())
    });
    Ok(found.filter(is_same))
}
