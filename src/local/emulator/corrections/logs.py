"""CloudWatch Logs: a regular expression as a filter pattern, and pages of what it finds."""

import heapq
import re

# Outside of these, AWS refuses a pattern.
PATTERN = re.compile(r"%([A-Za-z0-9:_#=@/;,\-^$?\[\]{}|\\*+.]+)%")
MOST_EVENTS = 10_000


def correct(logs):
    filter_of = logs._filter_log_events

    def filter_log_events(data):
        pattern = data.get("filterPattern") or ""
        name, refused = logs._resolve_log_group_name(data), logs.error_response_json
        if name not in logs._log_groups or not pattern.startswith("%"):
            return filter_of(data)
        found = PATTERN.fullmatch(pattern)
        if not found:
            return refused("InvalidParameterException", f"Invalid filter pattern: {pattern}", 400)
        expression = re.compile(found[1])
        since, until = data.get("startTime", 0), data.get("endTime", float("inf"))
        wanted, streams = data.get("logStreamNames"), logs._log_groups[name]["streams"]
        with logs._log_events_lock:
            histories = [
                [{**event, "logStreamName": stream} for event in streams[stream]["events"] if since <= event["timestamp"] <= until]
                for stream in wanted or list(streams)
                if stream in streams
            ]
        merged = heapq.merge(*histories, key=lambda event: event["timestamp"])
        matching = [event for event in merged if expression.search(event["message"])]
        start = logs._decode_token(data.get("nextToken"))
        end = start + min(data.get("limit", MOST_EVENTS), MOST_EVENTS)
        more = {"nextToken": logs._encode_token(end)} if end < len(matching) else {}
        return logs.json_response({"events": matching[start:end], "searchedLogStreams": [], **more})

    logs._filter_log_events = filter_log_events
