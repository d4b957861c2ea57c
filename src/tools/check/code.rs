//! The codes of findings; docs/check.md has the meaning and the remedy of each.

/// Names each finding once, with its code.
macro_rules! codes {
    ($(#[$doc:meta])* $codes:ident: $($variant:ident $name:literal,)*) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $codes { $($variant,)* }

        impl $codes {
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

impl Code {
    /// Whether it is a finding in the definition of a state machine.
    pub fn is_of_definition(self) -> bool {
        self == Self::DefinitionMissing || self.name().starts_with("asl-")
    }
}

codes! {
    /// A kind of finding in a file. Its name is stable, for scripts.
    Code:
    FileUnreadable "file-unreadable",
    Syntax "syntax",
    RepeatedName "repeated-name",
    UnknownReference "unknown-reference",
    ParameterDefault "parameter-default",
    YamlValue "yaml-value",
    RoutesMissing "routes-missing",
    RouteUnparsable "route-unparsable",
    RouteCannotMatch "route-cannot-match",
    RouteDuplicate "route-duplicate",
    RouteShadowed "route-shadowed",
    RouteLoop "route-loop",
    RouteNotNamed "route-not-named",
    RoutePath "route-path",
    RouteParameter "route-parameter",
    WorkflowName "workflow-name",
    ReplyOfExpress "reply-of-express",
    MachineTwice "machine-twice",
    BridgeDiffers "bridge-differs",
    DefinitionMissing "definition-missing",
    AslUnknownState "asl-unknown-state",
    AslUnreachable "asl-unreachable",
    AslNoEnd "asl-no-end",
    AslTransition "asl-transition",
    AslType "asl-type",
    AslField "asl-field",
    AslMissingField "asl-missing-field",
    AslValue "asl-value",
    AslPath "asl-path",
    AslPayload "asl-payload",
    AslQueryLanguage "asl-query-language",
    AslJsonata "asl-jsonata",
    AslIntegration "asl-integration",
    AslRetry "asl-retry",
    AslWait "asl-wait",
    AslTimeout "asl-timeout",
    AslPlaceholder "asl-placeholder",
    AslDuplicateName "asl-duplicate-name",
    AslExpress "asl-express",
    FunctionMissing "function-missing",
    FunctionVariable "function-variable",
    EnvironmentTooLarge "environment-too-large",
    ParameterRange "parameter-range",
    BatchFailures "batch-failures",
    RoutesTable "routes-table",
    TriggerMissing "trigger-missing",
    ConcurrencyTooHigh "concurrency-too-high",
    IamMissing "iam-missing",
    IamTooWide "iam-too-wide",
    IamUnneeded "iam-unneeded",
    RuleMissing "rule-missing",
    RuleStatuses "rule-statuses",
    RuleTarget "rule-target",
    RuleDeadLetter "rule-dead-letter",
    RuleNotAllowed "rule-not-allowed",
    RuleTooWide "rule-too-wide",
    QueueMismatch "queue-mismatch",
    QueueDeadLetter "queue-dead-letter",
    VisibilityTooShort "visibility-too-short",
    BudgetTooLong "budget-too-long",
    RetentionTooShort "retention-too-short",
    ReceivesContradict "receives-contradict",
    DeadLetterAlarm "dead-letter-alarm",
    SecretInPlain "secret-in-plain",
    SecretShown "secret-shown",
}

codes! {
    /// A kind of finding at a deployed stack. Its name is stable, for scripts.
    StackCode:
    StackUnreadable "stack-unreadable",
    StackNameTooLong "stack-name-too-long",
    RoutesNotCollected "routes-not-collected",
    RouteRefused "route-refused",
    MachineMissing "machine-missing",
    ExecutionsOpen "executions-open",
}
