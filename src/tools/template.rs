//! The deployment template as data: read from YAML, with the changes of `sam package`.

mod places;
mod replies;
mod resolve;
mod routes;
mod stacks;
mod yaml;

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Map, Value, json};

pub use places::{Place, Places, Problem, Repeated, Written, below, parse_json};
pub use replies::{check_replies, reply_of_express};
pub use resolve::{ACCOUNT, PIECE, REGION, Resolver, STACK, UNRESOLVED, WORKFLOW_STACK, text};
pub use routes::routes_document;
pub use stacks::{ROUTES_ROOT, bridge_of, is_of_workflow};
pub use yaml::{parse, parse_with_places};

/// Reads `template.yaml` (or any CloudFormation file, JSON included) into its long form: `!Ref X` becomes
/// `{"Ref": "X"}`, `!Sub s` becomes `{"Fn::Sub": "s"}`, and so on.
pub fn read(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read `{}`", path.display()))?;
    parse(&text).map_err(|problem| anyhow!("`{}` {problem}", path.display()))
}

/// The functions built from a binary of this crate: logical id and binary name.
pub fn functions(template: &Value) -> Result<Vec<(String, String)>> {
    let functions = of_type(template, "AWS::Serverless::Function")?.map(|(id, resource)| {
        let binary = resource
            .pointer("/Metadata/BuildProperties/Binary")
            .and_then(Value::as_str)
            .with_context(|| format!("function `{id}`: expected the name of a binary in `Metadata.BuildProperties.Binary`, found none"))?;
        Ok((id.clone(), binary.to_owned()))
    });
    functions.collect()
}

/// Replaces each state machine's `DefinitionUri`, relative to `folder`, by its definition.
pub fn inline_definitions(template: &mut Value, folder: &Path) -> Result<()> {
    for (id, resource) in resources_mut(template)? {
        if resource["Type"] != "AWS::Serverless::StateMachine" {
            continue;
        }
        let Some(uri) = resource.pointer("/Properties/DefinitionUri").cloned() else {
            continue;
        };
        let Some(file) = uri.as_str() else {
            bail!("state machine `{id}`: expected a file name in `DefinitionUri`, found `{uri}`");
        };
        let file = folder.join(file);
        let definition = definition(&file).with_context(|| format!("state machine `{id}`"))?;
        if let Some(properties) = resource["Properties"].as_object_mut() {
            properties.remove("DefinitionUri");
            properties.insert("Definition".to_owned(), definition);
        }
    }
    Ok(())
}

/// Reads a state machine. A `.json` file has to be JSON, since YAML accepts much more.
fn definition(file: &Path) -> Result<Value> {
    if file.extension().is_none_or(|extension| extension != "json") {
        return read(file);
    }
    let name = file.display();
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read `{name}`"))?;
    serde_json::from_str(&text).with_context(|| format!("expected JSON in `{name}`"))
}

/// Sets the location of a function's code.
pub fn set_code(template: &mut Value, function: &str, bucket: &str, key: &str) {
    template["Resources"][function]["Properties"]["CodeUri"] =
        json!({ "Bucket": bucket, "Key": key });
}

/// Adds routes to the routes document: each a parameter of its own, which the resource `Routes` names.
pub fn add_routes(template: &mut Value, routes: &[Value]) -> Result<()> {
    for route in routes {
        let name = route["name"].as_str();
        let name = name.context("expected a route with a name, found none")?;
        let words = name.split(|c: char| !c.is_ascii_alphanumeric());
        let id = words.fold("Added".to_owned(), |id, word| {
            let mut chars = word.chars();
            let first = chars.next().map(|c| c.to_ascii_uppercase());
            id + &first.into_iter().chain(chars).collect::<String>()
        });
        let properties = json!({ "Type": "String", "Value": { "Fn::ToJsonString": route } });
        let parameter = json!({ "Type": "AWS::SSM::Parameter", "Properties": properties });
        add_resource(template, &format!("{id}Route"), parameter)?;
        // The document alone, or with the variables in it.
        let sub = template.pointer_mut("/Resources/Routes/Properties/Value/Fn::Sub");
        let document = match sub {
            Some(Value::Array(parts)) => parts.first_mut(),
            text => text,
        };
        let text = document.as_ref().and_then(|document| document.as_str());
        let (routes, end) = text.and_then(|text| text.rsplit_once(']')).context(
            "expected `Routes` with a `!Sub` of the document in the template, found none to add to",
        )?;
        let more = format!("{routes},${{{id}Route.Value}}]{end}");
        if let Some(document) = document {
            *document = more.into();
        }
    }
    Ok(())
}

/// Adds a state machine with a name that the bridge's statements and its rule for ends cover. `kind` is `STANDARD` or
/// `EXPRESS`.
pub fn add_state_machine(
    template: &mut Value,
    id: &str,
    kind: &str,
    definition: Value,
) -> Result<()> {
    let name = json!({ "Fn::Sub": format!("${{AWS::StackName}}_{id}") });
    let properties = json!({ "Name": name, "Type": kind, "Definition": definition });
    let machine = json!({ "Type": "AWS::Serverless::StateMachine", "Properties": properties });
    add_resource(template, id, machine)
}

/// Adds a resource under an unused logical id.
pub fn add_resource(template: &mut Value, id: &str, resource: Value) -> Result<()> {
    let resources = template["Resources"]
        .as_object_mut()
        .context("expected `Resources` in the template, found none")?;
    if resources.insert(id.to_owned(), resource).is_some() {
        bail!("expected a new logical id, found `{id}` in the template already");
    }
    Ok(())
}

/// Adds an output, so that the deployed stack shows the value.
pub fn add_output(template: &mut Value, name: &str, value: Value) {
    template["Outputs"][name] = json!({ "Value": value });
}

fn of_type<'a>(
    template: &'a Value,
    kind: &'a str,
) -> Result<impl Iterator<Item = (&'a String, &'a Value)>> {
    let resources = template["Resources"]
        .as_object()
        .context("expected `Resources` in the template, found none")?;
    Ok(resources
        .iter()
        .filter(move |(_, resource)| resource["Type"] == kind))
}

fn resources_mut(template: &mut Value) -> Result<&mut Map<String, Value>> {
    template["Resources"]
        .as_object_mut()
        .context("expected `Resources` in the template, found none")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::scratch::Scratch;

    fn template() -> Value {
        parse(
            r#"Resources:
  Routes:
    Type: AWS::SSM::Parameter
    Properties: {Value: !Sub '{"routes":[${ARoute.Value}]}'}
  Webhook:
    Type: AWS::Serverless::Function
    Metadata: {BuildMethod: rust-cargolambda, BuildProperties: {Binary: webhook}}
    Properties: {CodeUri: .}
  Upper:
    Type: AWS::Serverless::StateMachine
    Properties: {DefinitionUri: machines/upper.asl.json, DefinitionSubstitutions: {Topic: x}}
"#,
        )
        .unwrap()
    }

    #[test]
    fn functions_name_their_binaries() {
        let mut template = template();
        assert_eq!(
            functions(&template).unwrap(),
            [("Webhook".to_owned(), "webhook".to_owned())]
        );
        set_code(&mut template, "Webhook", "code", "k.zip");
        assert_eq!(
            template["Resources"]["Webhook"]["Properties"]["CodeUri"],
            json!({"Bucket": "code", "Key": "k.zip"})
        );

        template["Resources"]["Webhook"]["Metadata"] = Value::Null;
        let error = functions(&template).unwrap_err().to_string();
        assert!(
            error.contains("`Webhook`") && error.contains("BuildProperties.Binary"),
            "{error}"
        );
    }

    #[test]
    fn definitions_are_put_in_place() {
        let scratch = Scratch::new();
        std::fs::create_dir(scratch.path().join("machines")).unwrap();
        let file = scratch.path().join("machines/upper.asl.json");
        std::fs::write(&file, r#"{"StartAt": "A", "States": {}}"#).unwrap();
        let mut template = template();
        inline_definitions(&mut template, scratch.path()).unwrap();
        assert_eq!(
            template["Resources"]["Upper"]["Properties"],
            json!({"Definition": {"StartAt": "A", "States": {}}, "DefinitionSubstitutions": {"Topic": "x"}})
        );

        std::fs::write(&file, "{\n\"StartAt\": \"A\",}").unwrap();
        let error = inline_definitions(&mut self::tests::template(), scratch.path()).unwrap_err();
        let error = format!("{error:#}");
        assert!(
            error.contains("`Upper`")
                && error.contains("upper.asl.json")
                && error.contains("line 2"),
            "{error}"
        );

        std::fs::remove_file(&file).unwrap();
        let error = format!(
            "{:#}",
            inline_definitions(&mut self::template(), scratch.path()).unwrap_err()
        );
        assert!(
            error.contains("`Upper`") && error.contains("upper.asl.json"),
            "{error}"
        );
    }

    #[test]
    fn routes_and_resources_are_added() {
        let mut template = template();
        add_routes(&mut template, &[json!({"name": "b"})]).unwrap();
        add_routes(&mut template, &[json!({"name": "big-one"})]).unwrap();
        assert_eq!(
            template["Resources"]["Routes"]["Properties"]["Value"]["Fn::Sub"],
            r#"{"routes":[${ARoute.Value},${AddedBRoute.Value},${AddedBigOneRoute.Value}]}"#
        );
        let route = &template["Resources"]["AddedBRoute"]["Properties"]["Value"];
        assert_eq!(*route, json!({"Fn::ToJsonString": {"name": "b"}}));
        add_resource(&mut template, "Queue", json!({"Type": "AWS::SQS::Queue"})).unwrap();
        assert!(add_resource(&mut template, "Queue", json!({})).is_err());
        add_state_machine(&mut template, "Lower", "STANDARD", json!({"StartAt": "A"})).unwrap();
        assert_eq!(
            template["Resources"]["Lower"]["Properties"]["Definition"],
            json!({"StartAt": "A"})
        );
        assert_eq!(
            template["Resources"]["Lower"]["Properties"]["Name"],
            json!({"Fn::Sub": "${AWS::StackName}_Lower"})
        );
        add_output(&mut template, "QueueUrl", json!({"Ref": "Queue"}));
        assert_eq!(
            template["Outputs"]["QueueUrl"]["Value"],
            json!({"Ref": "Queue"})
        );
        assert!(add_routes(&mut json!({"Resources": {}}), &[json!({"name": "a"})]).is_err());
    }
}
