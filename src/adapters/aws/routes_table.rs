//! The collected routes, in one item of a DynamoDB table.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_types::error::metadata::ProvideErrorMetadata as _;

use super::fault::fault;
use crate::domain::fault::Fault;
use crate::domain::ports::{Answer, Compiled, CompiledRoutes, ParameterState};

/// The item's id, beside those of the ledger.
const ID: &str = "routes";

/// The table, with the partition key `id`. The item has `version`, `document` and `parameters` and `taken`; earlier versions of the bridge wrote no `taken`.
pub struct RoutesTable {
    client: Client,
    table: String,
}

impl RoutesTable {
    pub fn new(aws: &SdkConfig, table: String) -> Self {
        let client = Client::new(aws);
        Self { client, table }
    }
}

impl CompiledRoutes for RoutesTable {
    fn load(&self, consistent: bool) -> Answer<'_, Option<Compiled>> {
        Box::pin(async move {
            let call = self
                .client
                .get_item()
                .table_name(&self.table)
                .key("id", AttributeValue::S(ID.to_owned()))
                .consistent_read(consistent);
            let output = call.send().await.map_err(|e| fault(&e))?;
            let Some(item) = output.item else {
                return Ok(None);
            };
            let text = |name: &str| item.get(name)?.as_s().ok();
            let version = item
                .get("version")
                .and_then(|version| version.as_n().ok()?.parse().ok());
            let parameters = text("parameters");
            let parameters = parameters.and_then(|json| {
                serde_json::from_str::<BTreeMap<String, ParameterState>>(json).ok()
            });
            let taken = text("taken").and_then(|json| serde_json::from_str(json).ok());
            let (Some(version), Some(document), Some(parameters)) =
                (version, text("document"), parameters)
            else {
                return Err(Fault::permanent(
                    "BadItem",
                    format!(
                        "expected `version`, `document` and `parameters` in the item `{ID}`, found another shape; delete it, and the next collection writes it again"
                    ),
                ));
            };
            Ok(Some(Compiled {
                version,
                document: document.clone(),
                parameters,
                taken: taken.unwrap_or_default(),
            }))
        })
    }

    fn save<'a>(&'a self, compiled: &'a Compiled, previous: Option<u64>) -> Answer<'a, bool> {
        Box::pin(async move {
            let bad = |e: serde_json::Error| Fault::permanent("BadParameters", e.to_string());
            let parameters = serde_json::to_string(&compiled.parameters).map_err(bad)?;
            let taken = serde_json::to_string(&compiled.taken).map_err(bad)?;
            let call = self
                .client
                .put_item()
                .table_name(&self.table)
                .item("id", AttributeValue::S(ID.to_owned()))
                .item("version", AttributeValue::N(compiled.version.to_string()))
                .item("document", AttributeValue::S(compiled.document.clone()))
                .item("parameters", AttributeValue::S(parameters))
                .item("taken", AttributeValue::S(taken));
            let call = match previous {
                None => call.condition_expression("attribute_not_exists(id)"),
                Some(previous) => call
                    .condition_expression("#version = :previous")
                    .expression_attribute_names("#version", "version")
                    .expression_attribute_values(
                        ":previous",
                        AttributeValue::N(previous.to_string()),
                    ),
            };
            match call.send().await {
                Ok(_) => Ok(true),
                Err(e) if e.code() == Some("ConditionalCheckFailedException") => Ok(false),
                Err(e) => Err(fault(&e)),
            }
        })
    }
}
