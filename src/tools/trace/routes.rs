//! The routes of a deployed stack.

use super::model::Unanswered;
use crate::adapters::aws::routes_table::RoutesTable;
use crate::adapters::aws::ssm::load_routes;
use crate::config::RoutesSource;
use crate::domain::inbound::routes::Routes;
use crate::domain::ports::CompiledRoutes as _;
use crate::tools::place::Place;

impl Place {
    /// The functions' routes, and the source that failed, if any.
    pub async fn routes(&self) -> (Routes, Option<Unanswered>) {
        let own = match self.outputs.get("RoutesParameter") {
            Some(name) => load_routes(&RoutesSource::Parameter(name.clone()), &self.config)
                .await
                .map_err(|error| error.to_string()),
            None => Err(
                "expected an output `RoutesParameter`, found none: deploy this version's template.yaml"
                    .to_owned(),
            ),
        };
        let unread = |source, error| Some(Unanswered::new(source, error));
        match own {
            Err(error) => (Routes::default(), unread("the routes", error)),
            Ok(own) => match self.collected().await {
                Ok(collected) => (own.and(&collected), None),
                Err(error) => (own, unread("the routes of other stacks", error)),
            },
        }
    }

    /// The routes of other stacks.
    async fn collected(&self) -> Result<Routes, String> {
        let table = self.outputs.get("LedgerTableName").cloned();
        let table = RoutesTable::new(&self.config, table.unwrap_or_default());
        let compiled = table.load(true).await.map_err(|fault| fault.to_string())?;
        let document = compiled.unwrap_or_default().document;
        Routes::parse(&document).map_err(|problems| problems.to_string())
    }
}
