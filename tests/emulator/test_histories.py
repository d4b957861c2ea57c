"""Step Functions: the events inside of Parallel and Map, and their order."""

from running import Running, until

END = {"End": True}


class Histories(Running):
    def run_to_end(self, states, **more):
        machine = self.machine(states, QueryLanguage="JSONata", **more)
        arn = self.start(machine, input='{"items": [1, 2]}')["executionArn"]
        until(lambda: self.states.describe_execution(executionArn=arn)["status"] != "RUNNING")
        return self.states.get_execution_history(executionArn=arn, maxResults=1000)["events"]

    def way(self, events, event):
        """The types of the events on the way to this one, with the names of states."""
        by_id, way = {one["id"]: one for one in events}, []
        while event:
            details = event.get("stateEnteredEventDetails") or event.get("stateExitedEventDetails") or {}
            way.append((event["type"] + " " + details.get("name", "")).strip())
            event = by_id.get(event["previousEventId"])
        return way[::-1]

    def test_events_in_a_row_name_the_one_before(self):
        events = self.run_to_end({"First": {"Type": "Pass", "Next": "Last"}, "Last": {"Type": "Succeed"}})
        self.assertEqual([event["previousEventId"] for event in events], list(range(len(events))))
        self.assertEqual([event["id"] for event in events], list(range(1, len(events) + 1)))

    def test_branches_go_on_from_the_start_of_their_parallel_state(self):
        one, two = ({"StartAt": name, "States": {name: {"Type": "Pass", **END}}} for name in ("One", "Two"))
        events = self.run_to_end({"Both": {"Type": "Parallel", "Branches": [one, two], **END}})
        start = ["ExecutionStarted", "ParallelStateEntered Both", "ParallelStateStarted"]
        for name in ("One", "Two"):
            exited = next(e for e in events if e.get("stateExitedEventDetails", {}).get("name") == name)
            self.assertEqual(self.way(events, exited), [*start, f"PassStateEntered {name}", f"PassStateExited {name}"])
        self.assertIn("ParallelStateSucceeded", [event["type"] for event in events])

    def test_iterations_have_their_number(self):
        each = {"StartAt": "Item", "States": {"Item": {"Type": "Pass", **END}}}
        each = {"Type": "Map", "Items": "{% $states.input.items %}", "ItemProcessor": each, **END}
        events = self.run_to_end({"Each": each})
        started = [event["mapStateStartedEventDetails"]["length"] for event in events if event["type"] == "MapStateStarted"]
        self.assertEqual(started, [2])
        for end in ("Started", "Succeeded"):
            found = [event for event in events if event["type"] == f"MapIteration{end}"]
            details = [event[f"mapIteration{end}EventDetails"] for event in found]
            self.assertEqual(sorted(one["index"] for one in details), [0, 1])
            self.assertEqual({one["name"] for one in details}, {"Each"})
        start = ["ExecutionStarted", "MapStateEntered Each", "MapStateStarted", "MapIterationStarted"]
        inside = ["PassStateEntered Item", "PassStateExited Item", "MapIterationSucceeded"]
        for event in found:
            self.assertEqual(self.way(events, event), start + inside)

    def test_a_failure_inside_leads_to_the_end(self):
        fails = {"StartAt": "Fails", "States": {"Fails": {"Type": "Fail", "Error": "Broken"}}}
        each = {"Type": "Map", "Items": "{% $states.input.items %}", "MaxConcurrency": 1, "ItemProcessor": fails, **END}
        both = {"Type": "Parallel", "Branches": [{"StartAt": "Each", "States": {"Each": each}}], **END}
        events = self.run_to_end({"Both": both})
        way = self.way(events, events[-1])
        expected = ["MapIterationStarted", "FailStateEntered Fails", "MapIterationFailed", "MapStateFailed"]
        self.assertEqual(way[-6:], [*expected, "ParallelStateFailed", "ExecutionFailed"])
