//! The services that a Task state calls by `arn:aws:states:::…`.
//!
//! <https://docs.aws.amazon.com/step-functions/latest/dg/integrate-services.html>

use crate::tools::check::template::did_you_mean;

/// The optimized integrations with their actions. `aws-sdk` has every action of a service.
const SERVICES: [(&str, &[&str]); 20] = [
    ("apigateway", &["invoke"]),
    (
        "athena",
        &[
            "startQueryExecution",
            "stopQueryExecution",
            "getQueryExecution",
            "getQueryResults",
        ],
    ),
    ("batch", &["submitJob"]),
    ("bedrock", &["invokeModel", "createModelCustomizationJob"]),
    (
        "codebuild",
        &[
            "startBuild",
            "stopBuild",
            "batchDeleteBuilds",
            "batchGetReports",
            "startBuildBatch",
            "stopBuildBatch",
            "retryBuildBatch",
            "deleteBuildBatch",
        ],
    ),
    ("databrew", &["startJobRun"]),
    (
        "dynamodb",
        &["getItem", "putItem", "deleteItem", "updateItem"],
    ),
    ("ecs", &["runTask"]),
    (
        "eks",
        &[
            "call",
            "createCluster",
            "createFargateProfile",
            "createNodegroup",
            "deleteCluster",
            "deleteFargateProfile",
            "deleteNodegroup",
            "runJob",
        ],
    ),
    (
        "elasticmapreduce",
        &[
            "addStep",
            "cancelStep",
            "createCluster",
            "modifyInstanceFleetByName",
            "modifyInstanceGroupByName",
            "setClusterTerminationProtection",
            "terminateCluster",
        ],
    ),
    (
        "emr-containers",
        &[
            "createVirtualCluster",
            "deleteVirtualCluster",
            "startJobRun",
        ],
    ),
    (
        "emr-serverless",
        &[
            "cancelJobRun",
            "createApplication",
            "deleteApplication",
            "startApplication",
            "startJobRun",
            "stopApplication",
        ],
    ),
    ("events", &["putEvents"]),
    ("glue", &["startJobRun"]),
    ("http", &["invoke"]),
    ("lambda", &["invoke"]),
    ("mediaconvert", &["createJob"]),
    ("sns", &["publish"]),
    ("sqs", &["sendMessage"]),
    ("states", &["startExecution"]),
];

/// The actions of `sagemaker`.
const SAGEMAKER: [&str; 9] = [
    "createEndpoint",
    "createEndpointConfig",
    "createHyperParameterTuningJob",
    "createLabelingJob",
    "createModel",
    "createProcessingJob",
    "createTrainingJob",
    "createTransformJob",
    "updateEndpoint",
];

/// A call, `arn:aws:states:::<service>:<action>`, and how the task waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call<'t> {
    pub service: &'t str,
    pub action: &'t str,
    /// `.sync`, `.sync:2`, `.waitForTaskToken` or nothing.
    pub waits: &'t str,
}

impl<'t> Call<'t> {
    /// The call of a `Resource`; `None` where it is not an integration.
    pub fn of(resource: &'t str) -> Option<Self> {
        let mut parts = resource.splitn(6, ':');
        let (arn, _, states) = (parts.next()?, parts.next()?, parts.next()?);
        if arn != "arn"
            || states != "states"
            || parts.next() != Some("")
            || parts.next() != Some("")
        {
            return None;
        }
        let called = parts.next()?;
        let (called, waits) = match called.find('.') {
            Some(at) => called.split_at(at),
            None => (called, ""),
        };
        let (service, action) = match called.strip_prefix("aws-sdk:") {
            Some(_) => called.rsplit_once(':').unwrap_or((called, "")),
            None => called.split_once(':').unwrap_or((called, "")),
        };
        Some(Self {
            service,
            action,
            waits,
        })
    }

    /// The problem with the call, and whether it is certain: AWS adds services.
    pub(super) fn problem(&self) -> Option<(String, bool)> {
        let Self {
            service,
            action,
            waits,
        } = self;
        if !["", ".sync", ".sync:2", ".waitForTaskToken"].contains(waits) {
            return Some((
                format!("with the end `{waits}`, which is neither `.sync` nor `.waitForTaskToken`"),
                true,
            ));
        }
        if let Some(name) = service.strip_prefix("aws-sdk") {
            let named = name.strip_prefix(':').is_some_and(|name| !name.is_empty());
            return match named && action.starts_with(|c: char| c.is_ascii_lowercase()) {
                true => None,
                false => Some((
                    "without a service and an action that begins with a small letter".to_owned(),
                    true,
                )),
            };
        }
        let actions = match *service {
            "sagemaker" => Some(&SAGEMAKER[..]),
            service => SERVICES
                .iter()
                .find(|(known, _)| *known == service)
                .map(|(_, actions)| *actions),
        };
        match actions {
            Some(actions) if actions.contains(action) => None,
            Some(actions) => {
                let meant = did_you_mean(action, actions.iter().copied());
                Some((
                    format!(
                        "an action that the integration lacks (it has {}){meant}; call it by `aws-sdk:{service}:{action}`",
                        actions.join(", ")
                    ),
                    true,
                ))
            }
            None => Some((
                "a service without an integration of its own".to_owned(),
                false,
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integrations_are_known_by_service_and_action() {
        for known in [
            "arn:aws:states:::lambda:invoke",
            "arn:aws-cn:states:::lambda:invoke.waitForTaskToken",
            "arn:aws:states:::states:startExecution.sync:2",
            "arn:aws:states:::aws-sdk:dynamodb:query",
            "arn:aws:states:::aws-sdk:sfn:startExecution.waitForTaskToken",
            "arn:aws:states:::sagemaker:createTrainingJob.sync",
        ] {
            assert_eq!(Call::of(known).unwrap().problem(), None, "{known}");
        }
        for (unknown, sure) in [
            ("arn:aws:states:::dynamodb:query", true),
            ("arn:aws:states:::lambda:Invoke", true),
            ("arn:aws:states:::lambda", true),
            ("arn:aws:states:::lambda:invoke.wait", true),
            ("arn:aws:states:::aws-sdk:dynamodb:Query", true),
            ("arn:aws:states:::aws-sdk:query", true),
            ("arn:aws:states:::newservice:call", false),
        ] {
            let problem = Call::of(unknown).unwrap().problem();
            assert_eq!(problem.map(|(_, sure)| sure), Some(sure), "{unknown}");
        }
        for other in [
            "arn:aws:lambda:us-east-1:123456789012:function:f",
            "arn:aws:states:us-east-1:123456789012:activity:a",
            "lambda",
            "",
        ] {
            assert_eq!(Call::of(other), None, "{other}");
        }
    }
}
