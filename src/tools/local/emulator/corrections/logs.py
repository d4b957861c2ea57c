"""CloudWatch Logs: a function's complete output, regular expressions as filter patterns, and pages of events."""

import array
import fcntl
import heapq
import re
import termios
import time

# AWS refuses a pattern with other characters.
PATTERN = re.compile(r"%([A-Za-z0-9:_#=@/;,\-^$?\[\]{}|\\*+.]+)%")
MOST_EVENTS = 10_000
READ_WITHIN_SECONDS = 2


def correct(logs, runtimes):
    logs_of_invocation(runtimes.ProvidedWorker)
    filter_patterns(logs)


def logs_of_invocation(worker):
    """Gives an invocation all lines that its function wrote before its answer, on a machine under load, too.

    The pipe has them by then, but the thread that reads it may not have run yet.
    """
    drain = worker._drain_stderr_bounded

    def unread(process):
        count = array.array("i", [0])
        try:
            fcntl.ioctl(process.stdout, termios.FIONREAD, count)
        except (AttributeError, OSError, ValueError):
            return 0  # it ended
        return count[0]

    def drain_all(self, *arguments, **named):
        deadline = time.monotonic() + READ_WITHIN_SECONDS
        while unread(self._proc) and time.monotonic() < deadline:
            time.sleep(0.001)
        return drain(self, *arguments, **named)

    worker._drain_stderr_bounded = drain_all


def filter_patterns(logs):
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
