"""Lambda: the environment of functions, their URLs, and how queues invoke them."""

import base64
import hashlib

# Functions on AWS always have a session token, of about this length, and so do their presigned URLs.
SESSION_TOKEN = base64.b64encode(hashlib.shake_256(b"session").digest(900)).decode()


def correct(functions, evaluator, responses, settings):
    invalidate_of = functions.invalidate_worker
    token_of = evaluator._validate_session_token
    environment_of, event_of = functions._provided_worker_env, functions._build_function_url_event
    concurrency_of, response_of = functions._sqs_esm_concurrency, functions.lambda_execute_result_to_api_proxy_response

    def worker_environment(config, *rest):
        """A function's environment: without the emulator's settings, with its logging configuration."""
        own = (config.get("Environment") or {}).get("Variables") or {}
        environment = {
            name: value for name, value in environment_of(config, *rest).items() if name in own or name not in settings
        }
        environment["AWS_SESSION_TOKEN"] = SESSION_TOKEN
        log = config.get("LoggingConfig") or {}
        environment["AWS_LAMBDA_LOG_FORMAT"] = log.get("LogFormat", "Text")
        environment["AWS_LAMBDA_LOG_GROUP_NAME"] = log.get("LogGroup") or f"/aws/lambda/{config['FunctionName']}"
        if "ApplicationLogLevel" in log:
            environment["AWS_LAMBDA_LOG_LEVEL"] = log["ApplicationLogLevel"]
        return environment

    def function_url_event(url_id, account_id, region, method, path, headers, body, *rest, **named):
        """Encodes a body of invalid UTF-8 in base64, whatever its content type, instead of losing bytes."""
        event = event_of(url_id, account_id, region, method, path, headers, body, *rest, **named)
        if body and not event["isBase64Encoded"] and event["body"].encode() != body:
            event.update(body=base64.b64encode(body).decode(), isBase64Encoded=True)
        return event

    def queue_concurrency(mapping, *rest):
        """Makes MaximumConcurrency a number, as CloudFormation does: from a parameter it arrives as text."""
        scaling = mapping.get("ScalingConfig") or {}
        scaling.update({key: int(value) for key, value in scaling.items()})
        return concurrency_of(mapping, *rest)

    def url_response(result):
        """The URL answers for a function that failed, timed out or died, without the reason."""
        if result.get("error") and not result.get("throttle"):
            body = '{"Message":"Internal Server Error"}'
            return {"statusCode": 502, "headers": {"Content-Type": "application/json"}, "body": body}, None
        return response_of(result)

    def session_token(expected, supplied):
        """Accepts the token of functions, whose credentials are the account's, without a token."""
        return None if expected is None and supplied == SESSION_TOKEN else token_of(expected, supplied)

    def invalidate(name, qualifier=None, account=None, region=None):
        """Ends the processes of one account's function, not those of the same name in every account."""
        return invalidate_of(name, qualifier, account or responses.get_account_id(), region or responses.get_region())

    functions.invalidate_worker = invalidate
    evaluator._validate_session_token = session_token
    functions.lambda_execute_result_to_api_proxy_response = url_response
    functions._provided_worker_env, functions._build_function_url_event = worker_environment, function_url_event
    functions._sqs_esm_concurrency = queue_concurrency


def join_repeated_headers(app):
    """Joins the values of a repeated header with a bare comma, as a Function URL does."""

    async def joined(scope, receive, send):
        if scope["type"] == "http":
            headers = {}
            for name, value in scope["headers"]:
                headers.setdefault(name.lower(), []).append(value)
            # The emulator itself separates cookies.
            headers = [(n, v) for n, vs in headers.items() for v in (vs if n == b"cookie" else [b",".join(vs)])]
            scope = {**scope, "headers": headers}
        await app(scope, receive, send)

    return joined
