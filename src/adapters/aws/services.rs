//! The services that the bridge calls.

/// A service.
#[derive(Debug)]
pub struct Service {
    /// As the AWS tools name it in variables: `AWS_ENDPOINT_URL_<ID>`.
    pub id: &'static str,
    /// In the name of its host, and in signatures.
    pub name: &'static str,
    /// Before the operation, in the header `X-Amz-Target`.
    pub target: &'static str,
    /// Which version of the JSON protocol it speaks.
    pub content_type: &'static str,
}

const JSON_1_0: &str = "application/x-amz-json-1.0";
const JSON_1_1: &str = "application/x-amz-json-1.1";

pub const DYNAMODB: Service = Service {
    id: "DYNAMODB",
    name: "dynamodb",
    target: "DynamoDB_20120810",
    content_type: JSON_1_0,
};
pub const EVENTBRIDGE: Service = Service {
    id: "EVENTBRIDGE",
    name: "events",
    target: "AWSEvents",
    content_type: JSON_1_1,
};
pub const SECRETS_MANAGER: Service = Service {
    id: "SECRETS_MANAGER",
    name: "secretsmanager",
    target: "secretsmanager",
    content_type: JSON_1_1,
};
pub const SFN: Service = Service {
    id: "SFN",
    name: "states",
    target: "AWSStepFunctions",
    content_type: JSON_1_0,
};
pub const SQS: Service = Service {
    id: "SQS",
    name: "sqs",
    target: "AmazonSQS",
    content_type: JSON_1_0,
};
pub const SSM: Service = Service {
    id: "SSM",
    name: "ssm",
    target: "AmazonSSM",
    content_type: JSON_1_1,
};
/// The one that speaks no JSON: [`crate::adapters::objects`] knows how.
pub const S3: Service = Service {
    id: "S3",
    name: "s3",
    target: "",
    content_type: "",
};

/// All of them.
pub const ALL: [&Service; 7] = [
    &DYNAMODB,
    &EVENTBRIDGE,
    &SECRETS_MANAGER,
    &SFN,
    &SQS,
    &SSM,
    &S3,
];
