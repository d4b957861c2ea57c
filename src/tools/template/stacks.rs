//! The stacks of a bridge: its own, and those of workflows with their routes in parameters.

use serde_json::Value;

/// Begins the name of a parameter with routes: `/workflow-bridge/<bridge>/routes/<name>`.
pub const ROUTES_ROOT: &str = "/workflow-bridge/";

/// The bridge that collects the routes of a parameter with this name.
pub fn bridge_of(name: &str) -> Option<&str> {
    let (bridge, rest) = name.strip_prefix(ROUTES_ROOT)?.split_once('/')?;
    let name = rest.strip_prefix("routes/")?;
    (!bridge.is_empty() && !name.is_empty()).then_some(bridge)
}

/// Whether a template is that of a workflow's stack: it has parameters for a bridge, and none of the bridge's functions.
pub fn is_of_workflow(template: &Value) -> bool {
    let resources = || template["Resources"].as_object().into_iter().flatten();
    let is_named = |resource: &Value| {
        let name = &resource["Properties"]["Name"];
        resource["Type"] == "AWS::SSM::Parameter" && name.to_string().contains(ROUTES_ROOT)
    };
    let is_function = |resource: &Value| {
        super::binary(resource).is_some_and(|name| super::BINARIES.contains(&name))
    };
    resources().any(|(_, resource)| is_named(resource))
        && !resources().any(|(_, resource)| is_function(resource))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::template::{Resolver, parse};

    #[test]
    fn a_parameters_name_has_its_bridge() {
        for (name, bridge) in [
            ("/workflow-bridge/prod/routes/count", Some("prod")),
            ("/workflow-bridge/prod/routes/team/count", Some("prod")),
            ("/workflow-bridge/prod/routes/", None),
            ("/workflow-bridge/prod/route/count", None),
            ("/workflow-bridge//routes/count", None),
            ("workflow-bridge/prod/routes/count", None),
        ] {
            assert_eq!(bridge_of(name), bridge, "{name}");
        }
    }

    #[test]
    fn the_stack_of_a_workflow_has_another_name_than_its_bridge() {
        let workflow = parse(
            "Resources: {R: {Type: AWS::SSM::Parameter, Properties: {Name: !Sub '/workflow-bridge/${Bridge}/routes/a'}}}",
        )
        .unwrap();
        let mut both = workflow.clone();
        both["Resources"]["F"] = parse("Metadata: {BuildProperties: {Binary: webhook}}").unwrap();
        // A function of its own crate.
        let mut own = workflow.clone();
        own["Resources"]["F"] = parse("Metadata: {BuildProperties: {Binary: mine}}").unwrap();
        let other =
            parse("Resources: {R: {Type: AWS::SSM::Parameter, Properties: {Name: /a}}}").unwrap();
        for (template, stack) in [
            (workflow, "workflow"),
            (own, "workflow"),
            (both, "workflow-bridge"),
            (other, "workflow-bridge"),
            (Value::Null, "workflow-bridge"),
        ] {
            assert_eq!(Resolver::new(&template).stack(), stack);
            let name = Resolver::new(&template).text(&parse("!Ref AWS::StackName").unwrap());
            assert_eq!(name.as_deref(), Some(stack));
        }
    }
}
