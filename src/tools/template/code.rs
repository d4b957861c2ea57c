//! The code of a template's functions and layers, where it is in a folder beside the template.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{Resolver, UNRESOLVED, binary, resources_mut};

/// The kinds of resources with code: type, property, and the names of bucket and key in it.
const KINDS: [(&str, &str, [&str; 2]); 4] = [
    ("AWS::Serverless::Function", "CodeUri", ["Bucket", "Key"]),
    (
        "AWS::Serverless::LayerVersion",
        "ContentUri",
        ["Bucket", "Key"],
    ),
    ("AWS::Lambda::Function", "Code", ["S3Bucket", "S3Key"]),
    (
        "AWS::Lambda::LayerVersion",
        "Content",
        ["S3Bucket", "S3Key"],
    ),
];

/// The code of a function or a layer in a folder or an archive.
#[derive(Clone, Debug, PartialEq)]
pub struct LocalCode {
    /// The logical id.
    pub id: String,
    /// As written, relative to the template.
    pub path: String,
    pub is_layer: bool,
    /// `Metadata.BuildMethod`, for `sam build`.
    pub method: Option<String>,
    /// `Metadata.BuildProperties.Binary`.
    pub binary: Option<String>,
    /// Empty for a layer.
    pub runtime: String,
    /// Empty for a layer.
    pub handler: String,
}

/// The functions and layers with code in a folder or an archive. Inline code and code in a bucket stay as they are.
///
/// # Errors
///
/// When a function is an image: the local stack runs no containers.
pub fn local_code(template: &Value) -> Result<Vec<LocalCode>> {
    let resources = template["Resources"].as_object();
    let resources = resources.context("expected `Resources` in the template, found none")?;
    let mut found = Vec::new();
    for (id, resource) in resources {
        let Some((kind, key, _)) = kind_of(resource) else {
            continue;
        };
        let own = &resource["Properties"];
        let is_serverless = *kind == "AWS::Serverless::Function";
        let property = |name: &str| {
            let global = &template["Globals"]["Function"][name];
            let value = match own.get(name) {
                None if is_serverless => global,
                own => own.unwrap_or(&Value::Null),
            };
            let text = Resolver::new(template).text(value);
            text.filter(|text| !text.contains(UNRESOLVED))
        };
        if property("PackageType").is_some_and(|kind| kind == "Image") {
            bail!(
                "function `{id}`: expected a package of the kind `Zip`, found `Image`: the local stack runs no containers; give it a `CodeUri` and a `Runtime`"
            );
        }
        let path = property(key).filter(|path| !path.contains("://"));
        let Some(path) = path.filter(|_| own.get("InlineCode").is_none()) else {
            continue;
        };
        let method = resource["Metadata"]["BuildMethod"].as_str();
        found.push(LocalCode {
            id: id.clone(),
            path,
            is_layer: kind.ends_with("LayerVersion"),
            method: method.map(str::to_owned),
            binary: binary(resource).map(str::to_owned),
            runtime: property("Runtime").unwrap_or_default(),
            handler: property("Handler").unwrap_or_default(),
        });
    }
    Ok(found)
}

/// Makes the places of code absolute; they are relative to `folder`.
pub fn place_code(template: &mut Value, folder: &Path) -> Result<()> {
    for LocalCode { id, path, .. } in local_code(template)? {
        let full = std::path::absolute(folder.join(path));
        let full = full.with_context(|| format!("cannot find `{}`", folder.display()))?;
        let resource = &mut resources_mut(template)?[&id];
        if let Some((_, key, _)) = kind_of(resource) {
            resource["Properties"][key] = full.to_string_lossy().into();
        }
    }
    Ok(())
}

/// Sets the place of the code of a function or a layer: an object in a bucket.
pub fn set_code(template: &mut Value, id: &str, bucket: &str, key: &str) {
    let resource = &mut template["Resources"][id];
    if let Some((_, property, [bucket_key, key_key])) = kind_of(resource) {
        resource["Properties"][property] = json!({ *bucket_key: bucket, *key_key: key });
    }
}

fn kind_of(resource: &Value) -> Option<&'static (&'static str, &'static str, [&'static str; 2])> {
    KINDS.iter().find(|(kind, ..)| resource["Type"] == *kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::template::parse;

    #[test]
    fn code_is_found_with_its_runtime_and_its_handler() {
        let mut template = parse(
            "Parameters: {Version: {Type: String, Default: python3.13}}
Globals: {Function: {Runtime: !Ref Version, CodeUri: code}}
Resources:
  Own: {Type: AWS::Serverless::Function, Properties: {Handler: app.handler, CodeUri: own/}}
  Shared: {Type: AWS::Serverless::Function, Properties: {Handler: src/a.b, Runtime: nodejs22.x}}
  Rust:
    Type: AWS::Serverless::Function
    Metadata: {BuildMethod: rust-cargolambda, BuildProperties: {Binary: mine}}
    Properties: {Runtime: provided.al2023}
  Inline: {Type: AWS::Serverless::Function, Properties: {InlineCode: 'x = 1'}}
  Stored: {Type: AWS::Serverless::Function, Properties: {CodeUri: 's3://bucket/key'}}
  Bucket: {Type: AWS::Serverless::Function, Properties: {CodeUri: {Bucket: a, Key: b}}}
  Plain: {Type: AWS::Lambda::Function, Properties: {Code: plain, Handler: a.b, Runtime: python3.9}}
  Layer: {Type: AWS::Serverless::LayerVersion, Properties: {ContentUri: layer}}
  Queue: {Type: AWS::SQS::Queue}
",
        )
        .unwrap();
        let code = local_code(&template).unwrap();
        let short = code.iter().map(|one| {
            let LocalCode {
                id,
                path,
                runtime,
                handler,
                ..
            } = one;
            format!("{id} {path} {runtime} {handler}")
        });
        assert_eq!(
            short.collect::<Vec<_>>(),
            [
                "Layer layer  ",
                "Own own/ python3.13 app.handler",
                "Plain plain python3.9 a.b",
                "Rust code provided.al2023 ",
                "Shared code nodejs22.x src/a.b",
            ]
        );
        assert!(code[0].is_layer && !code[1].is_layer);
        assert_eq!(code[3].binary.as_deref(), Some("mine"));
        assert_eq!(code[3].method.as_deref(), Some("rust-cargolambda"));

        place_code(&mut template, Path::new("/project")).unwrap();
        let resources = &template["Resources"];
        assert_eq!(
            resources["Shared"]["Properties"]["CodeUri"],
            "/project/code"
        );
        assert_eq!(resources["Plain"]["Properties"]["Code"], "/project/plain");
        assert_eq!(resources["Inline"]["Properties"].get("CodeUri"), None);
        set_code(&mut template, "Plain", "b", "k");
        set_code(&mut template, "Layer", "b", "k");
        let resources = &template["Resources"];
        assert_eq!(
            resources["Plain"]["Properties"]["Code"],
            json!({"S3Bucket": "b", "S3Key": "k"})
        );
        assert_eq!(
            resources["Layer"]["Properties"]["ContentUri"],
            json!({"Bucket": "b", "Key": "k"})
        );
    }

    #[test]
    fn an_image_is_refused() {
        let template = parse(
            "Resources: {F: {Type: AWS::Serverless::Function, Properties: {PackageType: Image, ImageUri: x}}}",
        );
        let error = local_code(&template.unwrap()).unwrap_err().to_string();
        assert!(
            error.contains("`F`") && error.contains("containers"),
            "{error}"
        );
    }
}
