//! The required and the measured ratios of the shipped functions.

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

/// The ratios of measured figures.
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
    let binary = |name, _| bytes(name);
    let (http, tls) = (Place::HTTP, Place::TLS);
    let (afternoon, node) = (Name::Afternoon, Name::Node);
    type Figure<'a> = &'a dyn Fn(Name, Place) -> Option<f64>;
    let webhook: [(_, _, _, _, Figure<'_>); 9] = [
        ("webhook, binary", 0.33, afternoon, http, &binary),
        (
            "webhook, start to first answer, HTTP",
            0.35,
            afternoon,
            http,
            &first,
        ),
        (
            "webhook, start to first answer, TLS",
            0.085,
            afternoon,
            tls,
            &first,
        ),
        (
            "webhook, start to first answer, HTTP",
            0.028,
            node,
            http,
            &first,
        ),
        (
            "webhook, start to first answer, TLS",
            0.028,
            node,
            tls,
            &first,
        ),
        ("webhook, p50, 200 B, HTTP", 0.45, afternoon, http, &p50),
        ("webhook, p50, 200 B, TLS", 0.45, afternoon, tls, &p50),
        (
            "webhook, peak memory, 4 KB, HTTP",
            0.58,
            afternoon,
            http,
            &peak,
        ),
        (
            "webhook, peak memory, 4 KB, TLS",
            0.58,
            afternoon,
            tls,
            &peak,
        ),
    ];
    let completion: [(_, _, _, _, Figure<'_>); 1] = [(
        "completion, start to first publication, TLS",
        0.13,
        Name::AfternoonCompletion,
        tls,
        &first,
    )];
    let of = |own, (what, at_most, beside, place, figure): (_, _, _, _, Figure<'_>)| {
        Some(Target {
            what,
            beside,
            at_most,
            found: figure(own, place)? / figure(beside, place)?,
        })
    };
    let webhook = webhook.into_iter().filter_map(|row| of(Name::Webhook, row));
    let completion = completion.into_iter();
    let completion = completion.filter_map(|row| of(Name::Completion, row));
    webhook.chain(completion).collect()
}

/// Instructions per additional byte of text.
pub fn per_byte(figures: &Figures, name: Name) -> Option<f64> {
    let (small, large) = (
        figures.instructions(name, SMALL)?,
        figures.instructions(name, LARGE)?,
    );
    Some((large - small) / (LARGE - SMALL) as f64)
}
