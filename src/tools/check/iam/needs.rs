//! The calls of a function, by its binary, variables and routes. Every call in src/bin and src/adapters belongs here.

mod of_routes;

use crate::config::RoutesSource;
use crate::tools::check::another;
use crate::tools::check::functions::{Function, Part, property};
use crate::tools::check::machines::Machine;
use crate::tools::check::routes::Route;
use crate::tools::check::secrets::looks_secret;
use crate::tools::check::template::{Template, is_unresolved};
use crate::tools::template::{ACCOUNT, REGION};

pub struct Need {
    pub action: &'static str,
    /// `None` for any resource.
    pub resource: Option<String>,
    /// The resource as findings show it.
    pub shown: String,
    pub why: String,
    /// The cause of the need; empty for the role itself.
    pub pointer: String,
}

/// Lambda's calls to a queue, with the role of the function that reads it.
const POLLS: [&str; 3] = [
    "sqs:ReceiveMessage",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
];

impl Need {
    /// SAM's own roles allow logs, traces and the reading of queues.
    pub fn given_by_sam(&self) -> bool {
        POLLS.contains(&self.action)
            || self.action.starts_with("logs:")
            || self.action.starts_with("xray:")
    }
}

/// All known needs of a function.
pub fn of(
    template: &Template,
    function: &Function,
    routes: &[Route],
    machines: &[Machine],
) -> Vec<Need> {
    let mut needs = Needs {
        template,
        function,
        all: Vec::new(),
    };
    match function.part {
        Part::Webhook => {
            needs.secret("SIGNING_SECRET_ID", "it verifies messages with this secret");
            needs.queue(
                "PARKING_QUEUE_URL",
                "sqs:SendMessage",
                "it parks messages that a target did not take",
            );
            needs.queue(
                "DEAD_LETTER_QUEUE_URL",
                "sqs:SendMessage",
                "it writes dead letters of messages without a target",
            );
            needs.targets(routes);
            needs.targets_of_others();
        }
        Part::Redrive => {
            needs.queue(
                "PARKING_QUEUE_URL",
                "sqs:SendMessage",
                "it parks a replayed message once for each of its routes",
            );
            needs.queue(
                "PARKING_QUEUE_URL",
                "sqs:ChangeMessageVisibility",
                "it lengthens the waits between tries",
            );
            needs.queue(
                "DEAD_LETTER_QUEUE_URL",
                "sqs:SendMessage",
                "it writes dead letters of messages that no target took",
            );
            needs.targets(routes);
            needs.targets_of_others();
        }
        Part::Completion => {
            needs.secret("MOMENTO_SECRET_ID", "it publishes with this key");
            needs.table(
                "LEDGER_TABLE",
                "dynamodb:UpdateItem",
                "it records publications",
            );
            needs.queue(
                "DEAD_LETTER_QUEUE_URL",
                "sqs:SendMessage",
                "it writes dead letters of results",
            );
            needs.queue(
                "COMPLETIONS_QUEUE_URL",
                "sqs:ChangeMessageVisibility",
                "it lengthens the waits between tries",
            );
            needs.bucket();
            needs.executions(routes, machines, |route| {
                format!("it looks up the executions of route `{route}` whose events came without their input")
            });
            needs.of_others(
                "states:DescribeExecution",
                another::execution(),
                "it looks up executions of other stacks' workflows whose events came without their input",
            );
        }
        Part::Sweep => {
            for action in [
                "dynamodb:GetItem",
                "dynamodb:BatchGetItem",
                "dynamodb:PutItem",
            ] {
                needs.table("LEDGER_TABLE", action, "it finds lost ends by the ledger");
            }
            needs.queue(
                "COMPLETIONS_QUEUE_URL",
                "sqs:SendMessage",
                "it queues the ends whose event was lost",
            );
            needs.queue(
                "COMPLETIONS_QUEUE_URL",
                "sqs:GetQueueAttributes",
                "it reads the queue depth",
            );
            needs.lists(routes);
            let why = "it looks at watched executions that have ended";
            needs.executions(routes, machines, |route| {
                format!("{why}, of route `{route}`")
            });
            needs.of_others("states:DescribeExecution", another::execution(), why);
            needs.of_others(
                "states:ListExecutions",
                another::machine(),
                "it looks for lost ends of other stacks' workflows",
            );
        }
        Part::Routes => {
            needs.path();
            needs.table(
                "ROUTES_TABLE",
                "dynamodb:PutItem",
                "it writes the collected routes there",
            );
        }
        Part::Canary => {
            needs.secret("MOMENTO_SECRET_ID", "it publishes with this key");
            let machine = function.variable("CANARY_STATE_MACHINE");
            if let Some(machine) = machine.filter(|machine| !is_unresolved(machine)) {
                let why = "it finds out how far a lost message came";
                needs.add("states:ListExecutions", Some(machine.to_owned()), why, "");
            }
        }
    }
    needs.everywhere();
    needs.all
}

struct Needs<'a, 's> {
    template: &'a Template<'s>,
    function: &'a Function<'s>,
    all: Vec<Need>,
}

impl Needs<'_, '_> {
    fn add(
        &mut self,
        action: &'static str,
        resource: Option<String>,
        why: impl Into<String>,
        pointer: &str,
    ) {
        let shown = match &resource {
            None => "its resource".to_owned(),
            Some(arn) => shown(self.template, arn),
        };
        self.all.push(Need {
            action,
            resource,
            shown,
            why: why.into(),
            pointer: pointer.to_owned(),
        });
    }

    fn queue(&mut self, variable: &str, action: &'static str, why: &str) {
        let url = self.function.variable(variable);
        let queue = url.and_then(|url| self.template.named("AWS::SQS::Queue", url));
        if let Some(arn) = queue.and_then(|queue| self.template.arn(queue.id)) {
            self.add(action, Some(arn), why, "");
        }
    }

    fn secret(&mut self, variable: &str, why: &str) {
        // A plain secret has a finding of its own, and no finding repeats it.
        let id = self.function.variable(variable);
        let Some(id) = id.filter(|id| !looks_secret(id)) else {
            return;
        };
        let known = self
            .template
            .named("AWS::SecretsManager::Secret", id)
            .and_then(|secret| self.template.arn(secret.id));
        let arn = known.unwrap_or_else(|| match id.starts_with("arn:") {
            true => id.to_owned(),
            false => format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{id}-AbCdEf"),
        });
        self.add("secretsmanager:GetSecretValue", Some(arn), why, "");
    }

    fn table(&mut self, variable: &str, action: &'static str, why: &str) {
        let Some(name) = self.function.variable(variable) else {
            return;
        };
        let arn = format!("arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{name}");
        self.add(action, Some(arn), why, "");
    }

    /// The path of the parameters, and the parameters below it: the service asks for both.
    fn path(&mut self) {
        let Some(path) = self.function.variable("ROUTES_PATH") else {
            return;
        };
        let path = path.trim_matches('/');
        let arn = format!("arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/{path}");
        let why = "it collects the routes of other stacks there";
        for arn in [format!("{arn}/one"), arn] {
            self.add("ssm:GetParametersByPath", Some(arn), why, "");
        }
    }

    fn bucket(&mut self) {
        let bucket = self
            .function
            .variable("CLAIMS_BUCKET")
            .filter(|bucket| !bucket.trim().is_empty());
        let Some(bucket) = bucket else { return };
        let arn = format!("arn:aws:s3:::{bucket}/workflow-bridge/object");
        self.add(
            "s3:PutObject",
            Some(arn.clone()),
            "it stores large results there",
            "",
        );
        self.add(
            "s3:GetObject",
            Some(arn),
            "its presigned URLs have its permissions",
            "",
        );
    }

    /// The needs of every function.
    fn everywhere(&mut self) {
        let (template, function) = (self.template, self.function);
        for reads in &function.reads {
            if template.named("AWS::SQS::Queue", &reads.queue).is_some() {
                for action in POLLS {
                    self.add(
                        action,
                        Some(reads.queue.clone()),
                        "Lambda reads the queue in its name",
                        "",
                    );
                }
            }
        }
        if function.has_collected() {
            let why = "it reads the routes of other stacks there";
            self.table("ROUTES_TABLE", "dynamodb:GetItem", why);
        }
        if let Some(RoutesSource::Parameter(name)) =
            function.variable("ROUTES").map(RoutesSource::of)
        {
            let arn = format!(
                "arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/{}",
                name.trim_start_matches('/')
            );
            self.add(
                "ssm:GetParameter",
                Some(arn),
                "it reads its routes there",
                "",
            );
        }
        let group = property(template, function.resource, "LoggingConfig/LogGroup");
        let group = match group
            .and_then(|pointer| template.resolver.text(template.value().pointer(&pointer)?))
        {
            Some(group) => Some(group),
            None => template
                .reference(function.resource.id)
                .map(|name| format!("/aws/lambda/{name}")),
        };
        if let Some(group) = group.filter(|group| !is_unresolved(group)) {
            let arn = format!("arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}:log-stream:one");
            for action in ["logs:CreateLogStream", "logs:PutLogEvents"] {
                self.add(action, Some(arn.clone()), "it writes its log there", "");
            }
        }
        let tracing = property(template, function.resource, "Tracing");
        let tracing =
            tracing.and_then(|pointer| template.resolver.text(template.value().pointer(&pointer)?));
        if tracing.as_deref() == Some("Active") {
            for action in ["xray:PutTraceSegments", "xray:PutTelemetryRecords"] {
                self.add(action, None, "`Tracing` is active", "");
            }
        }
    }
}

/// A resource as findings show it: its logical id in the template, or else its ARN.
pub fn shown(template: &Template, arn: &str) -> String {
    let machine = arn.replacen(":execution:", ":stateMachine:", 1);
    let owner = template.resources().find(|resource| {
        let known = template
            .arn(resource.id)
            .filter(|known| !is_unresolved(known));
        known.is_some_and(|known| {
            let known = known.trim_end_matches(":*");
            known == arn
                || machine
                    .strip_prefix(known)
                    .is_some_and(|rest| rest.starts_with(':'))
        })
    });
    match owner {
        Some(owner) if arn.contains(":execution:") => format!("executions of `{}`", owner.id),
        Some(owner) => format!("`{}`", owner.id),
        None => format!("`{arn}`"),
    }
}
