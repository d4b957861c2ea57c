//! The dashboard and the alarms of the shipped template: valid, and about existing metrics.
//!
//! Checked in the template's text, with and without the optional parts, and in the deployed local stack.

mod alarms;
mod body;
mod graphs;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use workflow_bridge::telemetry::metrics::{Dimension, Metric};
use workflow_bridge::tools::local::workspace::Workspace;
use workflow_bridge::tools::template::{self, Resolver};

use crate::deployed::{RUNTIME, stack};
use graphs::Shown;

/// The namespace of the bridge's own metrics in the stacks of these tests.
const OURS: &str = "workflow-bridge/workflow-bridge";

/// The parameters that add optional parts.
const EVERYTHING: [(&str, i64); 2] = [("NoSuccessMinutes", 30), ("CanaryMinutes", 5)];

/// Metrics by route of which the dashboard shows only the sum over all routes.
const NOT_BY_ROUTE: [Metric; 8] = [
    Metric::ParkedAge,
    Metric::ResultAge,
    Metric::PublishedLate,
    Metric::Claimed,
    Metric::SweepFound,
    Metric::AcceptedToStarted,
    Metric::StartToEnd,
    Metric::EndToPublished,
];

pub fn shipped() -> Value {
    let workspace = Workspace::find().unwrap();
    template::read(&workspace.root().join("template.yaml")).unwrap()
}

fn resolver<'t>(template: &'t Value, parameters: &[(&str, i64)]) -> Resolver<'t> {
    parameters
        .iter()
        .fold(Resolver::new(template), |resolver, (name, value)| {
            resolver.with(name, (*value).into())
        })
}

/// The dashboard's body as CloudFormation sends it.
fn rendered(template: &Value, parameters: &[(&str, i64)]) -> Value {
    let body = &template["Resources"]["Dashboard"]["Properties"]["DashboardBody"];
    let text = resolver(template, parameters).text(body).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Whether the code can write this outcome.
fn is_outcome(metric: Metric, value: &str) -> bool {
    use workflow_bridge::domain::inbound::letter::Reason;
    use workflow_bridge::entrypoints::http::Code;
    let refused = [
        Code::Malformed,
        Code::Unsigned,
        Code::BadSignature,
        Code::Stale,
        Code::FromTheFuture,
        Code::MethodNotAllowed,
        Code::TooLarge,
        Code::TooSlow,
        Code::NotStored,
    ];
    match metric {
        Metric::Refused => refused.iter().any(|code| code.name() == value),
        Metric::DeadLettered => Reason::ALL.iter().any(|reason| reason.name() == value),
        Metric::Canary => ["succeeded", "failed"].contains(&value),
        _ => false,
    }
}

#[test]
fn the_body_is_valid_with_and_without_the_optional_parts() {
    let template = shipped();
    for parameters in [&[][..], &EVERYTHING[..1], &EVERYTHING[1..], &EVERYTHING] {
        let body = rendered(&template, parameters);
        assert_eq!(body::problems(&body), [] as [String; 0], "{parameters:?}");
        // More widgets than this take too long to scroll through.
        assert!(body["widgets"].as_array().unwrap().len() < 40);
    }
}

#[test]
fn it_shows_exactly_the_metrics_that_exist() {
    let body = rendered(&shipped(), &EVERYTHING);
    let shown = graphs::shown(&body).unwrap();
    let problems: Vec<_> = shown.iter().filter_map(Shown::problem).collect();
    assert_eq!(problems, [] as [String; 0]);

    let ours = |by: &dyn Fn(&Shown) -> bool| -> BTreeSet<&str> {
        let mine = shown.iter().filter(|one| one.namespace == OURS && by(one));
        mine.map(|one| one.metric.as_str()).collect()
    };
    let all = ours(&|_| true);
    for metric in Metric::ALL {
        assert!(
            all.contains(metric.name()),
            "{} is not on it",
            metric.name()
        );
        let by_route = metric.dimensions().contains(&Dimension::Route);
        let shown = ours(&|one| one.dimension_names() == ["route"]).contains(metric.name());
        assert_eq!(
            shown,
            by_route && !NOT_BY_ROUTE.contains(metric),
            "{} by route",
            metric.name()
        );
    }
}

#[test]
fn the_alarms_widget_lists_every_alarm() {
    let template = shipped();
    for parameters in [&[][..], &EVERYTHING] {
        let body = rendered(&template, parameters);
        let resolver = resolver(&template, parameters);
        let expected: Vec<Value> = alarms::of(&template, &resolver)
            .iter()
            .map(|(id, _)| resolver.value(&json!({"Fn::GetAtt": [id, "Arn"]})))
            .collect();
        let widgets = body["widgets"].as_array().unwrap();
        let widget = widgets.iter().find(|widget| widget["type"] == "alarm");
        let mut listed = widget.unwrap()["properties"]["alarms"]
            .as_array()
            .unwrap()
            .clone();
        let mut sorted = expected.clone();
        for list in [&mut listed, &mut sorted] {
            list.sort_by_key(Value::to_string);
        }
        assert_eq!(listed, sorted);
    }
}

#[test]
fn the_local_stack_deploys_it_as_in_the_template() {
    RUNTIME.block_on(async {
        let stack = stack().await;
        let call = async |operation: &str, body: Value| {
            let target = format!("GraniteServiceVersion20100801.{operation}");
            stack
                .account()
                .call("monitoring", &target, &body)
                .await
                .unwrap()
        };
        let name = stack.resource("Dashboard").unwrap();
        let dashboard = call("GetDashboard", json!({"DashboardName": name})).await;
        let body = serde_json::from_str(dashboard["DashboardBody"].as_str().unwrap()).unwrap();
        assert_eq!(body::problems(&body), [] as [String; 0]);
        let shown = graphs::shown(&body).unwrap();
        assert!(shown.iter().any(|one| one.namespace == OURS));

        let described = call("DescribeAlarms", json!({})).await;
        let deployed = described["MetricAlarms"].as_array().unwrap();
        // That of a workflow's stack has no fixed name.
        let is_of_bridge =
            |alarm: &&Value| !alarm["AlarmName"].as_str().unwrap().contains("OnTheBus");
        let deployed: Vec<_> = deployed.iter().filter(is_of_bridge).cloned().collect();
        let widgets = body["widgets"].as_array().unwrap();
        let widget = widgets
            .iter()
            .find(|widget| widget["type"] == "alarm")
            .unwrap();
        let arns = |list: &[Value], of: &dyn Fn(&Value) -> String| -> BTreeSet<String> {
            list.iter().map(of).collect()
        };
        assert_eq!(
            arns(&deployed, &|alarm| alarm["AlarmArn"]
                .as_str()
                .unwrap()
                .to_owned()),
            arns(widget["properties"]["alarms"].as_array().unwrap(), &|arn| {
                arn.as_str().unwrap().to_owned()
            })
        );
        for alarm in deployed {
            assert_eq!(alarms::problems(&alarm), [] as [String; 0]);
            let quiet = alarm["AlarmActions"].as_array().is_none_or(Vec::is_empty);
            assert!(quiet, "{alarm}");
        }
    });
}
