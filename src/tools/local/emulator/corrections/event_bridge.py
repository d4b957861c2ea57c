"""EventBridge: PutEvents validates each entry by itself."""

import json

from . import is_json


def correct(eventbridge):
    put = eventbridge._put_events

    def put_events(data, allow_aws_source=False):
        """Refuses malformed entries one by one, in their places, and passes the others on."""
        entries = data.get("Entries") or []
        if not 1 <= len(entries) <= 10:
            return eventbridge.error_response_json(
                "ValidationException",
                f"1 validation error detected: Value at 'entries' of length {len(entries)} failed to satisfy constraint: "
                "Member must have length between 1 and 10",
                400,
            )
        results = [refusal(entry) for entry in entries]
        good = [entry for entry, refused in zip(entries, results) if not refused]
        answer = json.loads(put({**data, "Entries": good}, allow_aws_source)[2]) if good else {"Entries": []}
        passed = iter(answer["Entries"])
        results = [refused or next(passed) for refused in results]
        failed = sum("ErrorCode" in result for result in results)
        return eventbridge.json_response({"FailedEntryCount": failed, "Entries": results})

    def refusal(entry):
        for name in ("Source", "DetailType", "Detail"):
            if not entry.get(name):
                return invalid(name, f"{name} is a required argument.")
        if len(entry["DetailType"]) > 128:
            return invalid("DetailType", "DetailType is longer than 128 characters.")
        if not is_json(entry["Detail"], kind=dict):
            return {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}
        return None

    def invalid(name, reason):
        return {"ErrorCode": "InvalidArgument", "ErrorMessage": f"Parameter {name} is not valid. Reason: {reason}"}

    eventbridge._put_events = put_events
