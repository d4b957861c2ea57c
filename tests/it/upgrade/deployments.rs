//! The deployments of the page, as templates.

use serde_json::{Value, json};
use workflow_bridge::tools::local::Options;
use workflow_bridge::tools::template::{add_resource, add_routes, inline_definitions, parse, read};

use crate::deployed::binaries;
use crate::messages::{QUICK, quicken};

/// The deployments of the page, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deployment {
    /// The template of an earlier version.
    Old,
    /// The same; its queues also take the events of rules with new names.
    Queues,
    /// The new template with the old pieces: `uppercase` has moved.
    Both,
    /// All routes have moved to the stacks of workflows.
    Moved,
    /// The new template alone.
    New,
}

/// The workflows: one that answers at once, one that waits, and one that waits and takes the payload.
pub const WORKFLOWS: [&str; 3] = ["Uppercase", "Hold", "Bare"];

/// A workflow in a template of an earlier version, without its route.
const PIECE: &str = r#"Resources:
  XStateMachine:
    Type: AWS::Serverless::StateMachine
    Properties:
      Type: STANDARD
      Role: !GetAtt XRole.Arn
      Definition: {}
  XRole:
    Type: AWS::IAM::Role
    Properties:
      ManagedPolicyArns: [!Ref WorkflowLogs]
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement:
          - Effect: Allow
            Principal: {Service: states.amazonaws.com}
            Action: sts:AssumeRole
            Condition: {StringEquals: {aws:SourceAccount: !Ref AWS::AccountId}}
  XStart:
    Type: AWS::IAM::Policy
    Properties:
      PolicyName: x-start
      Roles: [!Ref WebhookRole, !Ref RedriveRole]
      PolicyDocument:
        Version: "2012-10-17"
        Statement:
          - {Effect: Allow, Action: states:StartExecution, Resource: !Ref XStateMachine}
  XDescribe:
    Type: AWS::IAM::Policy
    Properties:
      PolicyName: x-describe
      Roles: [!Ref CompletionRole]
      PolicyDocument:
        Version: "2012-10-17"
        Statement:
          - Effect: Allow
            Action: states:DescribeExecution
            Resource: !Sub arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:execution:${XStateMachine.Name}:*
  XList:
    Type: AWS::IAM::Policy
    Properties:
      PolicyName: x-list
      Roles: [!Ref SweepRole]
      PolicyDocument:
        Version: "2012-10-17"
        Statement:
          - {Effect: Allow, Action: states:ListExecutions, Resource: !Ref XStateMachine}
  XEnds:
    Type: AWS::Events::Rule
    Properties:
      Name: !Sub ${AWS::StackName}-x-ends
      EventPattern:
        source: [aws.states]
        detail-type: [Step Functions Execution Status Change]
        detail:
          status: [SUCCEEDED, FAILED, TIMED_OUT, ABORTED]
          stateMachineArn: [!Ref XStateMachine]
      Targets:
        - Id: completions
          Arn: !GetAtt CompletionsQueue.Arn
          RetryPolicy: {MaximumEventAgeInSeconds: 86400, MaximumRetryAttempts: 185}
          DeadLetterConfig: {Arn: !GetAtt CompletionsDeadLetterQueue.Arn}
"#;

/// Turns the shipped template into that of a deployment.
pub fn turn(template: &mut Value, deployment: Deployment) {
    quicken(template).unwrap();
    let variables = &mut template["Globals"]["Function"]["Environment"]["Variables"];
    for (name, value) in QUICK {
        variables[name] = json!(value);
    }
    variables["ROUTES_TTL_SECONDS"] = json!("1");
    if deployment == Deployment::New {
        return;
    }
    let is_moved = |workflow: &str| match workflow {
        "Uppercase" => deployment >= Deployment::Both,
        _ => deployment >= Deployment::Moved,
    };
    let definition = template["Resources"]["UppercaseWorkflow"]["Properties"].take();
    for workflow in WORKFLOWS {
        let text = PIECE.replace('X', workflow);
        let text = text.replace("x-", &format!("{}-", workflow.to_lowercase()));
        let mut piece = parse(&text).unwrap();
        let machine = &mut piece["Resources"][format!("{workflow}StateMachine")]["Properties"];
        if workflow == "Uppercase" {
            machine["DefinitionUri"] = definition["DefinitionUri"].clone();
            machine.as_object_mut().unwrap().remove("Definition");
        } else {
            machine["Definition"] = asks(workflow);
        }
        for (id, resource) in piece["Resources"].as_object().unwrap() {
            add_resource(template, id, resource.clone()).unwrap();
        }
        let machine = json!({"Ref": format!("{workflow}StateMachine")});
        let mut route = route(workflow, machine);
        if is_moved(workflow) {
            // The sweep lists a disabled route's state machine, too, and the completion knows it.
            let name = format!("{}-old", workflow.to_lowercase());
            route["name"] = json!(name);
            route["enabled"] = json!(false);
            let parameter = parameter("${AWS::StackName}", &name, &route);
            add_resource(template, &format!("{workflow}Old"), parameter).unwrap();
        } else if workflow == "Uppercase" {
            template["Resources"]["UppercaseRoute"]["Properties"]["Value"] =
                json!({"Fn::ToJsonString": route});
        } else {
            add_routes(template, &[route]).unwrap();
        }
    }
    template["Resources"]["UppercaseWorkflow"]["Properties"] = definition;
    let resources = &mut template["Resources"];
    if deployment <= Deployment::Queues {
        let resources = resources.as_object_mut().unwrap();
        resources.remove("UppercaseWorkflow");
        resources.remove("WorkflowEnds");
        resources["TopicPublishRule"]["Properties"]["Name"] =
            json!({"Fn::Sub": "${AWS::StackName}-topic-publish"});
    }
    for policy in ["CompletionsQueuePolicy", "CompletionsDeadLetterQueuePolicy"] {
        let policy = &mut resources[policy]["Properties"]["PolicyDocument"]["Statement"][0];
        assert_eq!(policy["Sid"], "FromTheRules");
        let source = &mut policy["Condition"]["ArnLike"]["aws:SourceArn"];
        let new = source["Fn::Sub"].as_str().unwrap().to_owned();
        let old = new.replace("${AWS::StackName}_*", "${AWS::StackName}-*");
        assert_ne!(old, new);
        *source = match deployment {
            Deployment::Old => json!({"Fn::Sub": old}),
            _ => json!([{"Fn::Sub": new}, {"Fn::Sub": old}]),
        };
    }
}

/// The shipped template as that of a deployment, its definitions in place.
pub fn template(deployment: Deployment) -> Value {
    let file = Options::new(binaries()).unwrap().template;
    let mut template = read(&file).unwrap();
    turn(&mut template, deployment);
    inline_definitions(&mut template, file.parent().unwrap()).unwrap();
    template
}

/// A workflow that publishes its task's token, and returns the answer.
fn asks(workflow: &str) -> Value {
    let text = match workflow {
        "Bare" => "{% $states.input %}",
        _ => "{% $states.input.message.text %}",
    };
    let value = json!({"text": text, "token": "{% $states.context.Task.Token %}"});
    let entry = json!({
        "Source": "workflow-bridge", "DetailType": "Topic Publish",
        "Detail": {"cache": "demo", "topic": "asked", "value": value},
    });
    json!({"QueryLanguage": "JSONata", "StartAt": "Asks", "States": {"Asks": {
        "Type": "Task", "Resource": "arn:aws:states:::events:putEvents.waitForTaskToken",
        "Arguments": {"Entries": [entry]}, "TimeoutSeconds": 900, "End": true,
    }}})
}

fn route(workflow: &str, machine: Value) -> Value {
    let name = workflow.to_lowercase();
    let input = match workflow {
        "Bare" => "payload",
        _ => "envelope",
    };
    json!({
        "name": name, "from": {"cache": {"Ref": "CacheName"}, "topic": format!("{name}-in")},
        "to": {"stateMachine": machine, "input": input}, "reply": {"topics": [format!("{name}-out")]},
    })
}

/// A parameter with a route, collected by `bridge`.
fn parameter(bridge: &str, name: &str, route: &Value) -> Value {
    let name = json!({"Fn::Sub": format!("/workflow-bridge/{bridge}/routes/{name}")});
    let properties = json!({"Name": name, "Type": "String", "Value": {"Fn::ToJsonString": route}});
    json!({"Type": "AWS::SSM::Parameter", "Properties": properties})
}

/// The stack of a workflow.
pub fn own_stack(workflow: &str) -> Value {
    let name = workflow.to_lowercase();
    let mut template = parse(
        r#"Transform: [AWS::LanguageExtensions, AWS::Serverless-2016-10-31]
Parameters:
  Bridge: {Type: String}
  CacheName: {Type: String}
Resources: {}
"#,
    )
    .unwrap();
    let machine = json!({"Type": "AWS::Serverless::StateMachine", "Properties": {
        "Name": {"Fn::Sub": format!("${{Bridge}}_{name}")}, "Definition": asks(workflow),
    }});
    add_resource(&mut template, "Workflow", machine).unwrap();
    let route = route(workflow, json!({"Ref": "Workflow"}));
    let parameter = parameter("${Bridge}", &name, &route);
    add_resource(&mut template, "Route", parameter).unwrap();
    template
}
