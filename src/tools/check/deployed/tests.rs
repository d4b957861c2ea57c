use serde_json::{Value, json};

use super::*;
use crate::domain::fault::Fault;
use crate::domain::ports::{ParameterState, Refusal};
use crate::tools::terminal::Style;

/// The collected routes, or a fault.
struct Table(Result<Option<Compiled>, Fault>);

impl CompiledRoutes for Table {
    fn load(&self, consistent: bool) -> Answer<'_, Option<Compiled>> {
        assert!(consistent);
        Box::pin(async move { self.0.clone() })
    }

    fn save<'a>(&'a self, _: &'a Compiled, _: Option<u64>) -> Answer<'a, bool> {
        unreachable!("a check writes nothing")
    }
}

/// State machines by name, each with its open executions; `None` for an EXPRESS one. `Denied` has no permission.
#[derive(Default)]
struct Account(BTreeMap<String, Option<usize>>);

fn arn(name: &str) -> String {
    format!("arn:aws:states:us-east-1:123456789012:stateMachine:{name}")
}

impl Account {
    fn of(machines: &[(&str, Option<usize>)]) -> Self {
        let machines = machines.iter();
        Self(
            machines
                .map(|(name, open)| ((*name).to_owned(), *open))
                .collect(),
        )
    }

    fn machine(&self, name: &str) -> Option<Machine> {
        let open = self.0.get(name)?;
        Some(Machine {
            arn: arn(name),
            express: open.is_none(),
        })
    }
}

impl Machines for Account {
    fn named<'a>(&'a self, prefix: &'a str) -> Answer<'a, Vec<Machine>> {
        let names = self.0.keys().filter(|name| name.starts_with(prefix));
        let machines = names.filter_map(|name| self.machine(name)).collect();
        Box::pin(async { Ok(machines) })
    }

    fn describe<'a>(&'a self, arn: &'a str) -> Answer<'a, Option<Machine>> {
        let name = unqualified(arn).rsplit(':').next().unwrap();
        let found = match name {
            "Denied" => Err(Fault::later("AccessDenied", "not allowed")),
            name => Ok(self.machine(name)),
        };
        Box::pin(async { found })
    }

    fn open<'a>(&'a self, arn: &'a str) -> Answer<'a, Open> {
        let executions = self.0[arn.rsplit(':').next().unwrap()].unwrap();
        let more = executions == 1000;
        Box::pin(async move { Ok(Open { executions, more }) })
    }
}

fn route(name: &str, machine: &str, enabled: bool) -> Value {
    json!({
        "name": name, "enabled": enabled, "from": {"cache": "c", "topic": name}, "to": {"stateMachine": arn(machine)},
    })
}

fn compiled(routes: &[Value], parameters: &[(&str, ParameterState)]) -> Compiled {
    let parameters = parameters.iter();
    Compiled {
        version: 7,
        document: json!({ "routes": routes }).to_string(),
        parameters: parameters
            .map(|(name, state)| ((*name).to_owned(), state.clone()))
            .collect(),
        ..Compiled::default()
    }
}

fn in_use(version: i64, route: &str) -> ParameterState {
    ParameterState {
        version,
        routes: vec![route.to_owned()],
        refused: None,
    }
}

fn refused(version: i64, routes: &[&str]) -> ParameterState {
    ParameterState {
        version,
        routes: routes.iter().map(|&name| name.to_owned()).collect(),
        refused: Some(Refusal {
            version: version + 1,
            problem: "expected a name, found none".to_owned(),
        }),
    }
}

async fn checked(
    base: &[Value],
    compiled: Result<Option<Compiled>, Fault>,
    account: &Account,
) -> StackReport {
    let question = Question {
        place: "stack `x` in us-east-1",
        stack: "x",
        base: Routes::parse(&json!({ "routes": base }).to_string()).map_err(|e| e.to_string()),
    };
    let table = Table(compiled);
    let sources = Sources {
        table: &table,
        machines: account,
    };
    check(question, sources).await
}

/// Subject, code and severity of each finding.
fn findings(report: &StackReport) -> Vec<(&str, &str, &str)> {
    let findings = report.findings.iter();
    findings
        .map(|one| {
            let (code, severity) = (one.code.name(), one.severity.name());
            (one.subject.as_str(), code, severity)
        })
        .collect()
}

#[tokio::test]
async fn a_sound_stack_lists_its_parameters() {
    let account = Account::of(&[("x_up", Some(0)), ("x_count", Some(2)), ("x_quick", None)]);
    let collected = compiled(
        &[route("count", "x_count", true)],
        &[("/workflow-bridge/x/routes/count", in_use(3, "count"))],
    );
    let report = checked(&[route("up", "x_up", true)], Ok(Some(collected)), &account).await;
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    assert_eq!(
        report.shown(Style::plain()),
        "parameter  /workflow-bridge/x/routes/count  version 3: `count`\nopen       x_count  2 open executions\n\n✓ stack `x` in us-east-1: nothing to mend in 1 parameter with routes\n"
    );
    let json = report.to_json();
    assert_eq!(json["errors"], 0);
    assert_eq!(
        json["parameters"][0],
        json!({"name": "/workflow-bridge/x/routes/count", "version": 3, "routes": ["count"], "refused": null})
    );
    assert_eq!(
        json["open"],
        json!([{"state_machine": "x_count", "executions": 2, "more": false}])
    );
}

#[tokio::test]
async fn a_refused_parameter_is_an_error_with_the_version_in_use() {
    let collected = compiled(
        &[route("good", "x_good", true)],
        &[("/a", refused(2, &["good"])), ("/b", refused(0, &[]))],
    );
    let account = Account::of(&[("x_good", Some(0))]);
    let report = checked(&[], Ok(Some(collected)), &account).await;
    assert_eq!(
        findings(&report),
        [
            ("/a", "route-refused", "error"),
            ("/b", "route-refused", "error")
        ]
    );
    let shown = report.shown(Style::plain());
    for line in [
        "parameter  /a  version 2: `good`; version 3 is refused\n",
        "parameter  /b  no version in use; version 1 is refused\n",
        "/a: route-refused: version 3 is refused: expected a name, found none; version 2 goes on working until",
        "/b: route-refused: version 1 is refused: expected a name, found none; no version of it is in use until",
        "✗ 2 errors at stack `x` in us-east-1; docs/check.md explains each code\n",
    ] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
    assert_eq!(report.to_json()["parameters"][1]["refused"]["version"], 1);
}

#[tokio::test]
async fn a_missing_state_machine_is_an_error_where_a_route_is_enabled() {
    let collected = compiled(
        &[
            route("gone", "x_gone", true),
            route("off", "x_off", false),
            route("elsewhere", "Elsewhere", true),
            route("denied", "Denied", true),
        ],
        &[("/gone", in_use(1, "gone"))],
    );
    let account = Account::of(&[("Elsewhere", Some(1))]);
    let base = [route("own", "x_own", true)];
    let report = checked(&base, Ok(Some(collected)), &account).await;
    let denied = format!("`{}` (states:DescribeStateMachine)", arn("Denied"));
    assert_eq!(
        findings(&report),
        [
            ("route `own`", "machine-missing", "error"),
            ("/gone", "machine-missing", "error"),
            (denied.as_str(), "stack-unreadable", "error"),
        ]
    );
    // A state machine of another name is nobody's leftover.
    assert_eq!(
        report.open,
        [(
            "Elsewhere".to_owned(),
            Open {
                executions: 1,
                more: false
            }
        )]
    );
}

#[tokio::test]
async fn open_executions_without_an_enabled_route_are_a_warning() {
    let account = Account::of(&[
        ("x_off", Some(1)),
        ("x_removed", Some(1000)),
        ("x_idle", Some(0)),
        ("x_quick", None),
        ("x-2_other", Some(5)),
        ("xx_other", Some(5)),
    ]);
    let collected = || {
        compiled(
            &[route("off", "x_off", false)],
            &[("/off", in_use(1, "off"))],
        )
    };
    let report = checked(&[], Ok(Some(collected())), &account).await;
    assert_eq!(
        findings(&report),
        [
            ("`x_off`", "executions-open", "warning"),
            ("`x_removed`", "executions-open", "warning")
        ]
    );
    let shown = report.shown(Style::plain());
    assert!(
        shown.contains("open       x_removed  1000 open executions or more\n")
            && shown.contains("`x_off`: executions-open (warning): expected no open executions")
            && shown.contains("found 1 open execution:")
            && shown.contains("`enabled: false`"),
        "{shown}"
    );

    // Unread routes may lead to any of them.
    let fault = Fault::later("AccessDenied", "not allowed");
    let report = checked(&[], Err(fault), &account).await;
    assert_eq!(
        findings(&report),
        [(
            "the collected routes (dynamodb:GetItem)",
            "stack-unreadable",
            "error"
        )]
    );
    assert_eq!(report.open.len(), 2);
}

#[tokio::test]
async fn a_table_without_collected_routes_is_a_warning() {
    let report = checked(&[], Ok(None), &Account::default()).await;
    assert_eq!(
        findings(&report),
        [("the collected routes", "routes-not-collected", "warning")]
    );
    assert_eq!(report.version, None);
}

#[tokio::test]
async fn a_long_name_of_a_stack_is_a_warning() {
    let table = Table(Ok(Some(compiled(&[], &[]))));
    for (length, warned) in [(47, false), (48, true)] {
        let stack = "x".repeat(length);
        let question = Question {
            place: "there",
            stack: &stack,
            base: Err("no answer".to_owned()),
        };
        let sources = Sources {
            table: &table,
            machines: &Account::default(),
        };
        let report = check(question, sources).await;
        let codes: Vec<_> = report.findings.iter().map(|one| one.code).collect();
        let mut expected = vec![StackCode::StackUnreadable];
        if warned {
            expected.insert(0, StackCode::StackNameTooLong);
        }
        assert_eq!(codes, expected);
    }
}
