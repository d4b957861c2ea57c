//! The filters of a replay, as options.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use workflow_bridge::clock::now_ms;
use workflow_bridge::domain::inbound::letter::Reason;
use workflow_bridge::tools::replay::choice::{self, since};

/// Filters of a replay: a letter has to match one value of each given option.
#[derive(Args, Debug, Default)]
pub struct Choice {
    /// Only those of this route; may be given several times
    #[arg(long = "route", value_name = "ROUTE")]
    routes: Vec<String>,

    /// Only those with this reason; may be given several times
    #[arg(long = "reason", value_name = "REASON", value_parser = reason())]
    reasons: Vec<Reason>,

    /// Only those last tried at or after this time: `2026-01-31`, `2026-01-31T09:30:00Z`, or an age: `90s`, `30m`, `2h`, `7d`
    #[arg(long, value_name = "TIME", value_parser = |text: &str| since(text, now_ms()))]
    since: Option<i64>,

    /// Only those of the message or event with this id; may be given several times
    #[arg(long = "id", value_name = "ID")]
    ids: Vec<String>,
}

impl Choice {
    pub fn chosen(&self) -> choice::Choice {
        choice::Choice {
            routes: self.routes.clone(),
            reasons: self.reasons.clone(),
            since: self.since,
            ids: self.ids.clone(),
        }
    }
}

fn reason() -> impl TypedValueParser<Value = Reason> {
    PossibleValuesParser::new(Reason::ALL.map(Reason::name)).try_map(|name| {
        let known = Reason::ALL.into_iter().find(|reason| reason.name() == name);
        known.ok_or("expected a reason")
    })
}
