"""CloudFormation: properties that the emulator would silently ignore, and rules that EventBridge refuses."""

import json
from xml.sax.saxutils import escape

LONGEST_RULE_NAME = 64


def correct(provisioners, dynamodb, s3, eventbridge):
    def time_to_live(name, properties):
        setting = properties.get("TimeToLiveSpecification")
        if setting:
            # A boolean from a parameter arrives as text.
            enabled = str(setting.get("Enabled")).lower() == "true"
            specification = {"Enabled": enabled, "AttributeName": setting.get("AttributeName")}
            accept(dynamodb._update_ttl({"TableName": name, "TimeToLiveSpecification": specification}))

    def bucket_settings(name, properties):
        lifecycle, encryption = properties.get("LifecycleConfiguration"), properties.get("BucketEncryption")
        if lifecycle:
            accept(s3._put_bucket_lifecycle(name, lifecycle_xml(lifecycle).encode()))
        if encryption:
            accept(s3._put_bucket_encryption(name, encryption_xml(encryption).encode()))

    extend(provisioners, "AWS::DynamoDB::Table", time_to_live)
    extend(provisioners, "AWS::S3::Bucket", bucket_settings)
    check_new_rules(provisioners, eventbridge)


def check_new_rules(provisioners, eventbridge):
    """Refuses new rules as PutRule does."""
    handlers = provisioners._RESOURCE_HANDLERS["AWS::Events::Rule"]
    create = handlers["create"]

    def creating(logical_id, properties, *rest, **named):
        name, pattern = properties.get("Name") or "", properties.get("EventPattern")
        if len(name) > LONGEST_RULE_NAME:
            raise ValueError(
                f"1 validation error detected: Value '{name}' at 'name' failed to satisfy constraint: "
                f"Member must have length less than or equal to {LONGEST_RULE_NAME}"
            )
        if pattern:
            _, reason = eventbridge._parse_pattern_text(pattern if isinstance(pattern, str) else json.dumps(pattern))
            if reason:
                raise ValueError(f"Event pattern is not valid. Reason: {reason}")
        return create(logical_id, properties, *rest, **named)

    handlers["create"] = creating


def extend(provisioners, kind, more):
    """Adds a step to the creation and the update of a resource."""
    handlers = provisioners._RESOURCE_HANDLERS[kind]
    create, update = handlers["create"], handlers["update"]

    def creating(logical_id, properties, *rest, **named):
        answer = create(logical_id, properties, *rest, **named)
        more(answer[0], properties)
        return answer

    def updating(physical_id, old, properties, *rest, **named):
        answer = update(physical_id, old, properties, *rest, **named)
        changed = {key: value for key, value in properties.items() if value != old.get(key)}
        more(answer[0], changed if answer[0] == physical_id else properties)
        return answer

    handlers.update(create=creating, update=updating)


def accept(response):
    if response[0] >= 400:
        raise ValueError(f"expected the property to be accepted, found {response[2]!r}")


def lifecycle_xml(lifecycle):
    rules = ""
    for rule in lifecycle.get("Rules", []):
        parts = element("ID", rule.get("Id")) + element("Filter", element("Prefix", rule.get("Prefix") or ""), raw=True)
        parts += element("Status", rule["Status"])
        if rule.get("ExpirationInDays"):
            parts += element("Expiration", element("Days", rule["ExpirationInDays"]), raw=True)
        abort = rule.get("AbortIncompleteMultipartUpload")
        if abort:
            days = element("DaysAfterInitiation", abort["DaysAfterInitiation"])
            parts += element("AbortIncompleteMultipartUpload", days, raw=True)
        rules += element("Rule", parts, raw=True)
    return element("LifecycleConfiguration", rules, raw=True)


def encryption_xml(encryption):
    rules = ""
    for rule in encryption.get("ServerSideEncryptionConfiguration", []):
        default = rule.get("ServerSideEncryptionByDefault") or {}
        parts = "".join(element(name, default.get(name)) for name in ("SSEAlgorithm", "KMSMasterKeyID"))
        rules += element("Rule", element("ApplyServerSideEncryptionByDefault", parts, raw=True), raw=True)
    return element("ServerSideEncryptionConfiguration", rules, raw=True)


def element(name, content, raw=False):
    if content is None:
        return ""
    return f"<{name}>{content if raw else escape(str(content))}</{name}>"
