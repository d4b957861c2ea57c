//! Routes that come during a cell, as from the stack of a workflow.

use std::time::Duration;

use anyhow::{Result, ensure};
use aws_sdk_ssm::types::ParameterType;
use serde_json::json;
use workflow_bridge::adapters::aws::routes_table::RoutesTable;
use workflow_bridge::domain::ports::CompiledRoutes as _;

use super::{Lane, until_within};
use crate::shared::invocation;

impl Lane {
    /// Adds a parameter with a route for a topic.
    pub async fn add_route(&self, topic: &str) -> Result<()> {
        let stack = &self.faulty.stack;
        let route = json!({
            "name": topic, "from": {"cache": "demo", "topic": topic},
            "to": {"stateMachine": stack.resource("UppercaseWorkflow")?},
            "reply": {"topics": ["out-{topic}"]},
        });
        let call = aws_sdk_ssm::Client::new(stack.account().config()).put_parameter();
        let call = call.name(format!("/workflow-bridge/{}/routes/{topic}", stack.name()));
        let call = call.r#type(ParameterType::String).value(route.to_string());
        call.send().await?;
        Ok(())
    }

    /// Waits until the route of a topic is collected.
    pub async fn collected(&self, topic: &str, within: Duration) -> Result<()> {
        let stack = &self.faulty.stack;
        let table = stack.resource("LedgerTable")?.to_owned();
        let table = RoutesTable::new(stack.account().config(), table);
        let end = format!("/{topic}");
        let collected = async || {
            let compiled = table.load(true).await?.unwrap_or_default();
            let mut parameters = compiled.parameters.iter();
            let is_in = parameters.any(|(name, state)| name.ends_with(&end) && state.version > 0);
            Ok(is_in.then_some(()))
        };
        until_within(within, "the collected route", collected).await
    }

    /// Has the bridge collect the routes, as its schedule does.
    pub async fn collect(&self) -> Result<()> {
        let response = invocation(&self.faulty.stack, "RoutesFunction").await?;
        ensure!(
            response.status().is_success(),
            "expected an invocation of `RoutesFunction`, found {}",
            response.status()
        );
        Ok(())
    }

    /// Whether changes of parameters cause a collection.
    pub async fn hear_changes(&self, heard: bool) -> Result<()> {
        let events = aws_sdk_eventbridge::Client::new(self.faulty.stack.account().config());
        // The physical id of a rule may be `bus|name`.
        let id = self.faulty.stack.resource("RoutesFunctionChange")?;
        let name = id.rsplit(['|', '/']).next().unwrap_or(id);
        if heard {
            events.enable_rule().name(name).send().await?;
        } else {
            events.disable_rule().name(name).send().await?;
        }
        Ok(())
    }
}
