//! What issue 7 of this project asked for, and what was found.

use serde::Serialize;

use super::figures::Figures;
use super::place::Place;
use super::subject::{LARGE, MIDDLE, Name, SMALL, Subject};

/// One figure of a shipped function over the same of an alternative.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Target {
    pub what: &'static str,
    pub beside: Name,
    pub at_most: f64,
    pub found: f64,
}

/// Those whose figures were all measured.
pub fn all(subjects: &[Subject], figures: &Figures) -> Vec<Target> {
    let bytes = |name| {
        let subject = subjects.iter().find(|subject| subject.name == name)?;
        Some(subject.bytes as f64)
    };
    let first = |name, place| Some(figures.start(name, place, |start| start.first_us)?.median);
    let p50 = |name, place| {
        let spread = figures.messages(name, place, SMALL, |run| run.p50_us.into())?;
        Some(spread.median)
    };
    let peak = |name, place| {
        let spread = figures.messages(name, place, MIDDLE, |run| run.peak_kib as f64)?;
        Some(spread.median)
    };
    let instructions = |name, _| figures.instructions(name, MIDDLE);
    let (http, tls) = (Place::HTTP, Place::TLS);
    let mut targets = Vec::new();
    let mut compare =
        |what, at_most, own, beside, place, figure: &dyn Fn(Name, Place) -> Option<f64>| {
            if let (Some(own), Some(other)) = (figure(own, place), figure(beside, place)) {
                targets.push(Target {
                    what,
                    beside,
                    at_most,
                    found: own / other,
                });
            }
        };
    let (own, plain, node) = (Name::Webhook, Name::Afternoon, Name::Node);
    compare("webhook, binary", 0.30, own, plain, http, &|name, _| {
        bytes(name)
    });
    compare(
        "webhook, start to first answer, HTTP",
        0.55,
        own,
        plain,
        http,
        &first,
    );
    compare(
        "webhook, start to first answer, TLS",
        0.12,
        own,
        plain,
        tls,
        &first,
    );
    compare(
        "webhook, start to first answer, HTTP",
        0.03,
        own,
        node,
        http,
        &first,
    );
    compare(
        "webhook, start to first answer, TLS",
        0.03,
        own,
        node,
        tls,
        &first,
    );
    compare("webhook, p50, 200 B, HTTP", 0.75, own, plain, http, &p50);
    compare("webhook, p50, 200 B, TLS", 0.75, own, plain, tls, &p50);
    compare(
        "webhook, instructions, 4 KB",
        0.60,
        own,
        plain,
        http,
        &instructions,
    );
    compare(
        "webhook, peak memory, 4 KB, HTTP",
        0.60,
        own,
        plain,
        http,
        &peak,
    );
    compare(
        "webhook, peak memory, 4 KB, TLS",
        0.60,
        own,
        plain,
        tls,
        &peak,
    );
    let (own, plain) = (Name::Completion, Name::AfternoonCompletion);
    compare(
        "completion, start to first publication, TLS",
        0.25,
        own,
        plain,
        tls,
        &first,
    );
    targets
}

/// Instructions that one more byte of text costs.
pub fn per_byte(figures: &Figures, name: Name) -> Option<f64> {
    let (small, large) = (
        figures.instructions(name, SMALL)?,
        figures.instructions(name, LARGE)?,
    );
    Some((large - small) / (LARGE - SMALL) as f64)
}
