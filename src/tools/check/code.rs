//! The codes of findings; docs/check.md has the meaning and the remedy of each.

/// Names each finding once, with its code.
macro_rules! codes {
    ($($variant:ident $name:literal,)*) => {
        /// A kind of finding. Its name is stable, for scripts.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code { $($variant,)* }

        impl Code {
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

codes! {
    FileUnreadable "file-unreadable",
    Syntax "syntax",
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
    ReplyOfExpress "reply-of-express",
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
    IamMissing "iam-missing",
    IamTooWide "iam-too-wide",
    IamUnneeded "iam-unneeded",
    RuleMissing "rule-missing",
    RuleStatuses "rule-statuses",
    RuleTarget "rule-target",
    RuleDeadLetter "rule-dead-letter",
    RuleNotAllowed "rule-not-allowed",
    QueueMismatch "queue-mismatch",
    QueueDeadLetter "queue-dead-letter",
    VisibilityTooShort "visibility-too-short",
    BudgetTooLong "budget-too-long",
    RetentionTooShort "retention-too-short",
    ReceivesContradict "receives-contradict",
    SecretInPlain "secret-in-plain",
    SecretShown "secret-shown",
}
