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
    let own = match outputs.get("RoutesParameter") {
        Some(name) => load_routes(&RoutesSource::Parameter(name.clone()), config)
            .await
            .map_err(|error| error.to_string()),
        None => Err(
            "expected an output `RoutesParameter`, found none: deploy this version's template.yaml"
                .to_owned(),
        ),
    };
    let own = match own {
        Ok(routes) => routes,
        Err(error) => return (None, Some(Unanswered::new("the routes", error))),
    };
    match collected(config, outputs).await {
        Ok(collected) => (Some(own.and(&collected)), None),
        Err(error) => {
            let unread = Unanswered::new("the routes of other stacks", error);
            (Some(own), Some(unread))
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
