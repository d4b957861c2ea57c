//! What a number of messages needs: which quotas it meets, in which order, and what a month of it costs.
//!
//! A [`Question`] becomes a [`Load`] (rates, things at once, bytes), by the factors of [`model`], which a test counts in the
//! deployed stack. The load is held against the limits of [`quotas`] and multiplied with the prices of [`prices`]. All of it is
//! arithmetic: nothing is asked of AWS or of Momento. docs/scaling.md has the formulas in words.

pub mod model;
pub mod prices;
pub mod quotas;
mod text;

use serde::Serialize;

pub use model::{Architecture, Load, Question, RegionClass, Unplannable};
pub use prices::Cost;
pub use quotas::{Limit, Owner};

/// How well a number is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// Read at its owner's: a service model, a price list, an official page of the last twelve months, or this code.
    High,
    /// Read at its owner's in part, or longer ago.
    Medium,
    /// At second hand, or from general knowledge.
    Low,
}

/// Where a number comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Source {
    pub confidence: Confidence,
    /// Who says so, and when it was read.
    #[serde(rename = "source")]
    pub text: &'static str,
}

impl Source {
    pub(crate) const fn high(text: &'static str) -> Self {
        Self {
            confidence: Confidence::High,
            text,
        }
    }

    pub(crate) const fn medium(text: &'static str) -> Self {
        Self {
            confidence: Confidence::Medium,
            text,
        }
    }

    pub(crate) const fn low(text: &'static str) -> Self {
        Self {
            confidence: Confidence::Low,
            text,
        }
    }
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    pub question: Question,
    pub load: Load,
    /// The one that is hit first stands first.
    pub limits: Vec<Limit>,
    /// By part, in the order of a message's way; US dollars a month.
    pub costs: Vec<Cost>,
    /// The sum of [`Plan::costs`].
    pub dollars_a_month: f64,
    /// Whether it fits, and what comes first.
    pub verdict: String,
}

/// Plans for a question.
///
/// # Errors
///
/// Where the question asks for what cannot be; says what, and what could be.
pub fn plan(question: Question) -> Result<Plan, Unplannable> {
    let load = Load::of(&question)?;
    let limits = quotas::limits(&question, &load);
    let costs = prices::costs(&question, &load);
    Ok(Plan {
        verdict: verdict(&limits),
        dollars_a_month: costs.iter().map(|cost| cost.dollars_a_month).sum(),
        question,
        load,
        limits,
        costs,
    })
}

/// The answer in a sentence or three.
fn verdict(limits: &[Limit]) -> String {
    let Some(first) = limits.first() else {
        return "Nothing limits it.".to_owned();
    };
    let share = |limit: &Limit| text::percent(limit.used_percent);
    let is_over = |limit: &&Limit| limit.used_percent > 100.0;
    if !is_over(&first) {
        return format!(
            "It fits: nearest to its limit is `{}` ({}).",
            first.name,
            share(first)
        );
    }
    let others: Vec<&Limit> = limits.iter().skip(1).filter(is_over).collect();
    let then = match others.as_slice() {
        [] => "; nothing else is over its limit".to_owned(),
        [one] => format!(", then `{}`", one.name),
        [two, rest @ ..] => format!(", then `{}` and {} more", two.name, rest.len()),
    };
    let aws = limits.iter().find(|limit| limit.owner == Owner::Aws);
    let aws = match aws.filter(|_| first.owner != Owner::Aws) {
        None => String::new(),
        Some(aws) if is_over(&aws) => {
            format!(
                " Of AWS's limits, `{}` is the first ({}).",
                aws.name,
                share(aws)
            )
        }
        Some(aws) => format!(
            " None of AWS's limits is in the way: the nearest is `{}` ({}).",
            aws.name,
            share(aws)
        ),
    };
    format!(
        "It does not fit as it is: `{}` is hit first ({}){then}.{aws}\nFirst: {}.",
        first.name,
        share(first),
        first.what_to_do
    )
}

#[cfg(test)]
mod tests;
