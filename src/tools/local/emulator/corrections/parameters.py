"""Parameter Store: events of changes, and refusals."""

import json

PAGE = 10
# The largest value by tier, in bytes.
LARGEST = {"Standard": 4096, "Advanced": 8192}


def correct(ssm, eventbridge):
    put, delete, delete_all, by_path = (
        ssm._put_parameter, ssm._delete_parameter, ssm._delete_parameters, ssm._get_parameters_by_path
    )  # fmt: skip

    def changed(operation, parameter):
        """Puts the event of a change on the default bus."""
        detail = {"operation": operation, "name": parameter["Name"], "type": parameter["Type"]}
        if parameter.get("Description"):
            detail["description"] = parameter["Description"]
        entry = {
            "Source": "aws.ssm",
            "DetailType": "Parameter Store Change",
            "Detail": json.dumps(detail),
            "Resources": [parameter["ARN"]],
        }
        eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True)

    def put_parameter(data):
        name, value = data.get("Name"), data.get("Value") or ""
        known = ssm._parameters.get(name)
        tier = data.get("Tier") or ssm._default_tier(data, value, known)
        if tier == "Intelligent-Tiering":
            tier = "Advanced" if len(value.encode()) > LARGEST["Standard"] else "Standard"
        if len(value.encode()) > LARGEST.get(tier, LARGEST["Advanced"]):
            reason = f"{tier} tier parameters support a maximum parameter value of {LARGEST[tier]} characters."
            return refused(reason)
        response = put(data)
        if response[0] == 200:
            changed("Update" if known else "Create", ssm._parameters[name])
        return response

    def delete_parameter(data):
        known = ssm._parameters.get(data.get("Name"))
        response = delete(data)
        if response[0] == 200:
            changed("Delete", known)
        return response

    def delete_parameters(data):
        known = {name: ssm._parameters.get(name) for name in data.get("Names") or []}
        response = delete_all(data)
        if response[0] == 200:
            for name in json.loads(response[2])["DeletedParameters"]:
                changed("Delete", known[name])
        return response

    def get_parameters_by_path(data):
        path, size, token = data.get("Path") or "", data.get("MaxResults", PAGE), data.get("NextToken")
        if not path.startswith("/"):
            return refused(
                "The parameter doesn't meet the parameter name requirements. The parameter name must begin with a forward "
                'slash "/".'
            )
        if not 1 <= size <= PAGE:
            bound = "less than or equal to 10" if size > PAGE else "greater than or equal to 1"
            return refused(
                f"1 validation error detected: Value '{size}' at 'maxResults' failed to satisfy constraint: "
                f"Member must have value {bound}"
            )
        if token and not ssm._decode_next_token(token):
            return ssm.error_response_json("InvalidNextToken", "The specified token isn't valid.", 400)
        return by_path(data)

    def refused(reason):
        return ssm.error_response_json("ValidationException", reason, 400)

    ssm._put_parameter, ssm._get_parameters_by_path = put_parameter, get_parameters_by_path
    ssm._delete_parameter, ssm._delete_parameters = delete_parameter, delete_parameters
