"""Step Functions: failed JSONata expressions, in AWS's words, with the state, the field and the expression."""


def correct(sfn):
    evaluate = sfn._evaluate_jsonata

    def evaluate_jsonata(expression, *rest, **named):
        try:
            return evaluate(expression, *rest, **named)
        except sfn._ExecutionError as error:
            error.expression = expression
            raise

    sfn._evaluate_jsonata = evaluate_jsonata


def located(sfn, error, execution, state, name, entered):
    """The error of a state; for one of an expression, with AWS's cause, after AWS's event."""
    expression = getattr(error, "expression", None)
    if expression is None:
        return error
    inner, field = place(state, name, expression)
    cause = (
        f"An error occurred while executing the state '{inner}' (entered at the event id #{entered}). "
        f"The JSONata expression '{expression}' specified for the field '{field}' threw an error during evaluation. "
        f"{error.cause}"
    )
    details = {"error": error.error, "cause": cause, "location": field, "state": inner}
    sfn._add_event(execution, "EvaluationFailed", {"evaluationFailedEventDetails": details})
    return sfn._ExecutionError(error.error, cause)


def place(value, state, expression, path=""):
    """The state and the field of an expression: a state's own, or one in its branches."""
    found = search(value, state, expression, path)
    return found or (state, "unknown")


def search(value, state, expression, path):
    if isinstance(value, str):
        whole = value.startswith("{%") and value.endswith("%}") and value[2:-2].strip() == expression
        return (state, path) if whole else None
    if isinstance(value, dict):
        entries = value.items()
    elif isinstance(value, list):
        entries = enumerate(value)
    else:
        return None
    for key, item in entries:
        if key == "States" and isinstance(item, dict):
            found = next(filter(None, (search(inner, name, expression, "") for name, inner in item.items())), None)
        else:
            below = f"{path}[{key}]" if isinstance(value, list) else f"{path}/{key}" if path else key
            found = search(item, state, expression, below)
        if found:
            return found
    return None
