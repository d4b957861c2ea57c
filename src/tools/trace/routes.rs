//! The routes of a deployed stack.

use std::collections::BTreeMap;

use aws_config::SdkConfig;

use super::model::Unanswered;
use crate::adapters::aws::routes_table::RoutesTable;
use crate::adapters::aws::ssm::load_routes;
use crate::config::RoutesSource;
use crate::domain::inbound::routes::Routes;
use crate::domain::ports::CompiledRoutes as _;

/// The functions' routes; without them, the report has the rest.
pub async fn routes(
    config: &SdkConfig,
    outputs: &BTreeMap<String, String>,
) -> (Option<Routes>, Option<Unanswered>) {
    let unread = |error: String| {
        let source = "the routes".to_owned();
        (None, Some(Unanswered { source, error }))
    };
    let Some(parameter) = outputs.get("RoutesParameter") else {
        return unread(
            "expected an output `RoutesParameter`, found none: deploy this version's template.yaml"
                .to_owned(),
        );
    };
    let own = match load_routes(&RoutesSource::Parameter(parameter.clone()), config).await {
        Ok(routes) => routes,
        Err(error) => return unread(error.to_string()),
    };
    match collected(config, outputs).await {
        Ok(collected) => (Some(own.and(&collected)), None),
        Err(error) => {
            let source = "the routes of other stacks".to_owned();
            (Some(own), Some(Unanswered { source, error }))
        }
    }
}

/// The routes of other stacks.
async fn collected(
    config: &SdkConfig,
    outputs: &BTreeMap<String, String>,
) -> Result<Routes, String> {
    let table = outputs.get("LedgerTableName").cloned();
    let table = RoutesTable::new(config, table.unwrap_or_default());
    let compiled = table.load(true).await.map_err(|fault| fault.to_string())?;
    let document = compiled.unwrap_or_default().document;
    Routes::parse(&document).map_err(|problems| problems.to_string())
}
