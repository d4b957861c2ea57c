//! The calls of a function for its routes: to their targets, and about the executions of their state machines.

use super::{Need, Needs};
use crate::tools::check::another;
use crate::tools::check::machines::Machine;
use crate::tools::check::routes::Route;
use crate::tools::check::template::is_unresolved;
use crate::tools::template::{ACCOUNT, REGION, below};

impl Needs<'_, '_> {
    /// A call on the state machines of other stacks, if the function has their routes.
    pub(super) fn of_others(&mut self, action: &'static str, resource: String, why: &str) {
        if !self.function.has_collected() {
            return;
        }
        let shown = match resource.contains(":execution:") {
            true => format!("executions of {}", another::MACHINES),
            false => another::MACHINES.to_owned(),
        };
        self.all.push(Need {
            action,
            resource: Some(resource),
            shown,
            why: why.to_owned(),
            pointer: String::new(),
        });
    }

    /// The calls to targets of routes in other stacks: their workflows, the default bus, and the buses that a parameter of the
    /// template lists.
    pub(super) fn targets_of_others(&mut self) {
        let machine = another::machine;
        let starts = "it starts workflows of other stacks";
        self.of_others("states:StartExecution", machine(), starts);
        let stops = "it stops executions for routes of other stacks";
        self.of_others("states:StopExecution", another::execution(), stops);
        let answers = "it answers tasks for routes of other stacks";
        self.of_others("states:SendTaskSuccess", machine(), answers);
        self.of_others("states:SendTaskFailure", machine(), answers);
        if !self.function.has_collected() {
            return;
        }
        let puts = "it puts events there for routes of other stacks";
        let default = bus_arn("default");
        self.add("events:PutEvents", Some(default), puts, "");
        for parameter in ["EventBusArns", "EventBusNames"] {
            let value = &self.template.value()["Parameters"][parameter];
            if value.is_null() {
                continue;
            }
            let listed = serde_json::json!({ "Ref": parameter });
            let listed = self.template.resolver.value(&listed);
            let buses = listed.as_array().into_iter().flatten();
            let buses = buses.filter_map(|bus| bus.as_str());
            for bus in buses.filter(|bus| !bus.is_empty() && !is_unresolved(bus)) {
                let at = below("/Parameters", parameter);
                self.add("events:PutEvents", Some(bus_arn(bus)), puts, &at);
            }
        }
    }

    /// The calls to targets of enabled routes.
    pub(super) fn targets(&mut self, routes: &[Route]) {
        for route in routes.iter().filter(|route| route.is_enabled()) {
            let at = route.target();
            if let Some(machine) = route.machine().filter(|machine| !is_unresolved(machine)) {
                let why = format!("route `{}` starts it", route.name());
                self.add("states:StartExecution", Some(machine.to_owned()), why, &at);
            }
            let to = &route.value["to"];
            if let Some(bus) = to["eventBus"].as_str().filter(|bus| !is_unresolved(bus)) {
                let why = format!("route `{}` puts events there", route.name());
                self.add("events:PutEvents", Some(bus_arn(bus)), why, &at);
            }
            let stopped = to["stop"]["route"].as_str();
            let stopped = stopped.and_then(|name| routes.iter().find(|other| other.name() == name));
            let machine = stopped.and_then(Route::machine);
            if let Some(machine) = machine.filter(|machine| !is_unresolved(machine)) {
                let why = format!("route `{}` stops them", route.name());
                let execution = execution(machine);
                self.add("states:StopExecution", Some(execution), why, &at);
            }
            if to["resume"].is_object() {
                // Only the message knows the waiting state machine.
                self.add(
                    "states:SendTaskSuccess",
                    None,
                    format!("route `{}` answers tasks", route.name()),
                    &at,
                );
                if !to["resume"]["error"].is_null() {
                    self.add(
                        "states:SendTaskFailure",
                        None,
                        format!(
                            "route `{}` answers tasks, with errors as well",
                            route.name()
                        ),
                        &at,
                    );
                }
            }
        }
    }

    /// Look-ups of executions. EXPRESS executions have none.
    pub(super) fn executions(
        &mut self,
        routes: &[Route],
        machines: &[Machine],
        why: impl Fn(&str) -> String,
    ) {
        for route in routes {
            let Some(arn) = route.machine().filter(|arn| !is_unresolved(arn)) else {
                continue;
            };
            if machines
                .iter()
                .any(|machine| machine.arn == arn && machine.express)
            {
                continue;
            }
            let why = why(route.name());
            self.add(
                "states:DescribeExecution",
                Some(execution(arn)),
                why,
                &route.target(),
            );
        }
    }

    /// Lists of every routed state machine's executions, EXPRESS ones included, which answer with an error.
    pub(super) fn lists(&mut self, routes: &[Route]) {
        for route in routes {
            if let Some(arn) = route.machine().filter(|arn| !is_unresolved(arn)) {
                let why = format!("it looks for lost ends of route `{}`", route.name());
                self.add(
                    "states:ListExecutions",
                    Some(arn.to_owned()),
                    why,
                    &route.target(),
                );
            }
        }
    }
}

fn bus_arn(bus: &str) -> String {
    match bus.starts_with("arn:") {
        true => bus.to_owned(),
        false => format!("arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{bus}"),
    }
}

/// The ARN of one execution of a state machine.
fn execution(machine: &str) -> String {
    let executions = machine.replacen(":stateMachine:", ":execution:", 1);
    format!("{executions}:execution")
}
