"""Step Functions: histories as AWS writes them, with the states inside of Parallel and Map, and the event before each."""

import contextvars
import threading


def correct(sfn):
    add_event, run_branches, run_items = sfn._add_event, sfn._run_parallel_branches, sfn._run_map_items
    run_inside = sfn._run_sub_machine
    # Branches and iterations run in copies of the context, so each continues from where its own events began.
    previous = contextvars.ContextVar("previous", default=(None, 0))  # an execution and its event
    iterated = contextvars.ContextVar("iterated", default=None)  # the Map whose iteration begins next
    counting = threading.Lock()

    def add_linked(execution, kind, details=None):
        """Adds an event that names the one before it on its branch."""
        arn = execution["executionArn"]
        with counting:
            event = add_event(execution, kind, details)
            execution["events"][0].setdefault("previousEventId", 0)  # it is there from the start
        before, number = previous.get()
        event["previousEventId"] = number if before == arn else event["id"] - 1
        previous.set((arn, event["id"]))
        return event

    def within(kind, details, run, execution):
        """Runs what is inside of a Parallel or Map state."""
        add_linked(execution, f"{kind}StateStarted", details)
        try:
            result = run()
        except sfn._ExecutionError as error:
            previous.set(getattr(error, "event", previous.get()))
            add_linked(execution, f"{kind}StateFailed")
            raise
        add_linked(execution, f"{kind}StateSucceeded")
        return result

    def run_parallel(state, raw_input, execution, context):
        return within("Parallel", None, lambda: run_branches(state, raw_input, execution, context), execution)

    def run_map(state, raw_input, execution, context):
        processor = state.get("Iterator") or state.get("ItemProcessor", {})
        if (processor.get("ProcessorConfig") or {}).get("Mode") == "DISTRIBUTED":
            return run_items(state, raw_input, execution, context)
        details = {"mapStateStartedEventDetails": {"length": length(state, raw_input, context)}}
        before = iterated.set(context["State"]["Name"])
        try:
            return within("Map", details, lambda: run_items(state, raw_input, execution, context), execution)
        finally:
            iterated.reset(before)

    def length(state, raw_input, context):
        if "Items" in state:
            items = sfn._jsonata_state_field(state, "Items", "array", raw_input, context)
        else:
            effective = sfn._apply_input_path(state, raw_input, context)
            items = sfn._resolve_path_or_ctx(state.get("ItemsPath", "$"), effective, context)
        return len(items) if isinstance(items, list) else 1

    def run_linked(states, start, data, execution, context):
        """Runs a branch, or an iteration with events of its own."""
        name = iterated.get()
        iterated.set(None)  # a Parallel inside of it has branches

        def iteration(end):
            if name is not None:
                details = {"name": name, "index": context["Map"]["Item"]["Index"]}
                add_linked(execution, f"MapIteration{end}", {f"mapIteration{end}EventDetails": details})

        iteration("Started")
        try:
            output = run_inside(states, start, data, execution, context)
        except sfn._ExecutionError as error:
            iteration("Failed")
            error.event = previous.get()
            raise
        iteration("Succeeded")
        return output

    sfn._add_event, sfn._run_sub_machine = add_linked, run_linked
    sfn._run_parallel_branches, sfn._run_map_items = run_parallel, run_map
