//! Checks a deployed stack with the caller's credentials: refused routes, missing state machines, and open executions that
//! nothing would publish.

mod report;
mod step_functions;

use std::collections::{BTreeMap, BTreeSet};

use super::code::StackCode;
use super::finding::Severity;
use crate::domain::inbound::arn::unqualified;
use crate::domain::inbound::routes::{Route, Routes, Target};
use crate::domain::ports::{Answer, Compiled, CompiledRoutes};
pub use report::{StackFinding, StackReport};
pub use step_functions::StepFunctionsMachines;

/// Most characters of a bridge's stack: the name of a state machine has at most 80, with `_` and a workflow of 32.
const STACK_NAME_MAX: usize = 47;

/// Step Functions, for this check.
pub trait Machines: Send + Sync {
    /// All state machines whose names begin with `prefix`.
    fn named<'a>(&'a self, prefix: &'a str) -> Answer<'a, Vec<Machine>>;

    /// A state machine, a version or an alias; `None` for one that does not exist.
    fn describe<'a>(&'a self, arn: &'a str) -> Answer<'a, Option<Machine>>;

    /// The open executions of a STANDARD state machine.
    fn open<'a>(&'a self, arn: &'a str) -> Answer<'a, Open>;
}

/// An existing state machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Unqualified.
    pub arn: String,
    pub express: bool,
}

/// A number of open executions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Open {
    /// Those of the first page.
    pub executions: usize,
    /// Whether there are more.
    pub more: bool,
}

/// A stack to check.
pub struct Question<'a> {
    /// For people.
    pub place: &'a str,
    /// The bridge's stack, which begins the names of its state machines.
    pub stack: &'a str,
    /// The routes of the stack's own template.
    pub base: Result<Routes, String>,
}

/// The sources of the check.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    pub table: &'a dyn CompiledRoutes,
    pub machines: &'a dyn Machines,
}

/// Checks a stack. A source without an answer is a finding, too.
pub async fn check(question: Question<'_>, sources: Sources<'_>) -> StackReport {
    let mut check = Check {
        report: StackReport::new(question.place),
        // A stack's name has no `_`, so no other stack's state machines have this prefix.
        prefix: format!("{}_", question.stack),
        machines: sources.machines,
    };
    check.stack_name(question.stack);
    let base = question.base.map_err(|error| {
        check.unreadable("the routes of the stack's own template", &error);
    });
    let compiled = check.collected(sources.table).await;
    let collected = compiled.as_ref().and_then(|compiled| {
        let routes = Routes::parse(&compiled.document);
        let routes = routes.map_err(|e| check.unreadable("the collected routes", &e.to_string()));
        routes.ok()
    });
    let known = [base.ok(), collected];
    let all_known = known.iter().all(Option::is_some);
    let routes: Vec<_> = known.iter().flatten().flat_map(Routes::iter).collect();
    let existing = check.existing(&routes, compiled.as_ref()).await;
    check.open(existing, &routes, all_known).await;
    check.report
}

struct Check<'a> {
    report: StackReport,
    prefix: String,
    machines: &'a dyn Machines,
}

impl Check<'_> {
    fn add(&mut self, subject: &str, code: StackCode, severity: Severity, text: String) {
        self.report.findings.push(StackFinding {
            subject: subject.to_owned(),
            code,
            severity,
            text,
        });
    }

    fn unreadable(&mut self, what: &str, error: &str) {
        let text = format!(
            "expected an answer, found {error}; allow the call, or deploy this version's template, and check again"
        );
        self.add(what, StackCode::StackUnreadable, Severity::Error, text);
    }

    fn stack_name(&mut self, stack: &str) {
        let length = stack.chars().count();
        if length > STACK_NAME_MAX {
            let text = format!(
                "expected a name of at most {STACK_NAME_MAX} characters, found {length}: the names of rules and state machines, which begin with it, may become too long for AWS; deploy the bridge under a shorter name"
            );
            let code = StackCode::StackNameTooLong;
            self.add(&format!("stack `{stack}`"), code, Severity::Warning, text);
        }
    }

    /// The collected routes, with a finding for each refused parameter.
    async fn collected(&mut self, table: &dyn CompiledRoutes) -> Option<Compiled> {
        let compiled = match table.load(true).await {
            Ok(Some(compiled)) => compiled,
            Ok(None) => {
                let text = "expected routes of other stacks, or an empty document, in the table, found none: the function `routes` did not run yet; wait five minutes, or look at its log";
                let code = StackCode::RoutesNotCollected;
                let severity = Severity::Warning;
                self.add("the collected routes", code, severity, text.to_owned());
                return Some(Compiled::default());
            }
            Err(fault) => {
                self.unreadable(
                    "the collected routes (dynamodb:GetItem)",
                    &fault.to_string(),
                );
                return None;
            }
        };
        for (name, state) in &compiled.parameters {
            let Some(refusal) = &state.refused else {
                continue;
            };
            let used = match state.version {
                0 => "no version of it is in use".to_owned(),
                version => format!("version {version} goes on working"),
            };
            let text = format!(
                "version {} is refused: {}; {used} until the parameter is mended or removed",
                refusal.version, refusal.problem
            );
            self.add(name, StackCode::RouteRefused, Severity::Error, text);
        }
        self.report.version = Some(compiled.version);
        self.report.parameters = compiled.parameters.clone().into_iter().collect();
        Some(compiled)
    }

    /// The state machines of this bridge and of its routes. Finds missing ones of enabled routes.
    async fn existing(
        &mut self,
        routes: &[&Route],
        compiled: Option<&Compiled>,
    ) -> BTreeMap<String, Machine> {
        let mut existing = BTreeMap::new();
        let named = self.machines.named(&self.prefix).await;
        match named {
            Ok(machines) => {
                let machines = machines.into_iter();
                existing.extend(machines.map(|machine| (machine.arn.clone(), machine)));
            }
            Err(fault) => self.unreadable(
                "the state machines (states:ListStateMachines)",
                &fault.to_string(),
            ),
        }
        let mut described = BTreeSet::new();
        for route in routes {
            let Target::StateMachine { arn, .. } = &route.to else {
                continue;
            };
            if !route.enabled || existing.contains_key(arn) || !described.insert(arn) {
                continue;
            }
            let found = self.machines.describe(arn).await;
            match found {
                Ok(Some(machine)) => {
                    existing.insert(machine.arn.clone(), machine);
                }
                Ok(None) => {
                    let mut parameters = compiled.into_iter().flat_map(|one| &one.parameters);
                    let parameter =
                        parameters.find(|(_, state)| state.routes.contains(&route.name));
                    let subject = match parameter {
                        Some((name, _)) => name.clone(),
                        None => format!("route `{}`", route.name),
                    };
                    let text = format!(
                        "expected the state machine of route `{}`, found no `{arn}`: its messages become dead letters; deploy it, or switch the route off",
                        route.name
                    );
                    self.add(&subject, StackCode::MachineMissing, Severity::Error, text);
                }
                Err(fault) => self.unreadable(
                    &format!("`{arn}` (states:DescribeStateMachine)"),
                    &fault.to_string(),
                ),
            }
        }
        existing
    }

    /// Counts open executions, with a finding for each state machine of this bridge that no enabled route leads to.
    async fn open(
        &mut self,
        existing: BTreeMap<String, Machine>,
        routes: &[&Route],
        all_known: bool,
    ) {
        let enabled = routes.iter().filter(|route| route.enabled);
        let led: BTreeSet<_> = enabled
            .filter_map(|route| match &route.to {
                Target::StateMachine { arn, .. } => Some(unqualified(arn)),
                _ => None,
            })
            .collect();
        for (arn, _) in existing.iter().filter(|(_, machine)| !machine.express) {
            let name = arn.rsplit(':').next().unwrap_or(arn);
            let open = self.machines.open(arn).await;
            let open = match open {
                Ok(open) if open.executions == 0 => continue,
                Ok(open) => open,
                Err(fault) => {
                    let what = format!("`{arn}` (states:ListExecutions)");
                    self.unreadable(&what, &fault.to_string());
                    continue;
                }
            };
            self.report.open.push((name.to_owned(), open));
            let is_ours = name.starts_with(&self.prefix);
            if is_ours && all_known && !led.contains(arn.as_str()) {
                let text = format!(
                    "expected no open executions where no enabled route leads to a state machine, found {open}: removing or replacing this workflow leaves them failing and their results unpublished; keep its route with `enabled: false`, wait for their ends or stop them, then remove it"
                );
                let code = StackCode::ExecutionsOpen;
                self.add(&format!("`{name}`"), code, Severity::Warning, text);
            }
        }
    }
}

#[cfg(test)]
mod tests;
