//! The dashboard and the alarms of the shipped template: valid, and about what is really measured.
//!
//! With all parameters that add something and without, by the template's text; and as the local stack has them deployed.

mod alarms;
mod body;
mod graphs;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use workflow_bridge::local::template::{self, Resolver};
use workflow_bridge::local::workspace::Workspace;
use workflow_bridge::metrics::{Dimension, Metric};

use crate::deployed::{RUNTIME, stack};
use graphs::Shown;

/// The namespace of the bridge's own metrics, in the stack that resolvers and tests deploy.
const OURS: &str = "workflow-bridge/workflow-bridge";

/// What the template adds by parameters.
const EVERYTHING: [(&str, i64); 2] = [("NoSuccessMinutes", 30), ("CanaryMinutes", 5)];

/// Metrics with routes whose sum over all routes is enough to look at.
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

/// The dashboard's body as CloudFormation would send it.
fn rendered(template: &Value, parameters: &[(&str, i64)]) -> Value {
    let body = &template["Resources"]["Dashboard"]["Properties"]["DashboardBody"];
    let text = resolver(template, parameters).text(body).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// The value of an outcome that the code can write.
fn is_outcome(metric: Metric, value: &str) -> bool {
    use workflow_bridge::entrypoints::http::Code;
    use workflow_bridge::letter::Reason;
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
fn the_body_is_what_cloudwatch_documents_with_and_without_everything() {
    let template = shipped();
    for parameters in [&[][..], &EVERYTHING[..1], &EVERYTHING[1..], &EVERYTHING] {
        let body = rendered(&template, parameters);
        assert_eq!(body::problems(&body), [] as [String; 0], "{parameters:?}");
        // CloudFormation counts what it sends; nobody should scroll through more.
        assert!(body["widgets"].as_array().unwrap().len() < 40);
    }
}

#[test]
fn everything_on_it_is_measured_and_everything_measured_is_on_it() {
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
fn the_alarms_widget_has_every_alarm_there_is() {
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
fn the_local_stack_has_it_as_the_template_says() {
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
        let widgets = body["widgets"].as_array().unwrap();
        let widget = widgets
            .iter()
            .find(|widget| widget["type"] == "alarm")
            .unwrap();
        let arns = |list: &[Value], of: &dyn Fn(&Value) -> String| -> BTreeSet<String> {
            list.iter().map(of).collect()
        };
        assert_eq!(
            arns(deployed, &|alarm| alarm["AlarmArn"]
                .as_str()
                .unwrap()
                .to_owned()),
            arns(widget["properties"]["alarms"].as_array().unwrap(), &|arn| {
                arn.as_str().unwrap().to_owned()
            })
        );
        for alarm in deployed {
            assert_eq!(alarms::problems(alarm), [] as [String; 0]);
            let quiet = alarm["AlarmActions"].as_array().is_none_or(Vec::is_empty);
            assert!(quiet, "{alarm}");
        }
    });
}
