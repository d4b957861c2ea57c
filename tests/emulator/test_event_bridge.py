"""EventBridge."""

from running import Running


class PutEvents(Running):
    GOOD = {"Source": "here", "DetailType": "Thing", "Detail": "{}"}

    def put(self, *entries):
        return self.events.put_events(Entries=list(entries))

    def test_malformed_entries_fail_individually(self):
        following = self.events_of({"source": ["here"]})
        bad = [
            ({"DetailType": "Thing", "Detail": "{}"}, "InvalidArgument"),
            ({"Source": "here", "Detail": "{}"}, "InvalidArgument"),
            ({"Source": "here", "DetailType": "Thing"}, "InvalidArgument"),
            ({**self.GOOD, "DetailType": "x" * 129}, "InvalidArgument"),
            ({**self.GOOD, "Detail": "hello"}, "MalformedDetail"),
            ({**self.GOOD, "Detail": "[]"}, "MalformedDetail"),
            ({**self.GOOD, "Detail": '"text"'}, "MalformedDetail"),
            ({**self.GOOD, "Source": "aws.states"}, "NotAuthorizedForSourceException"),
        ]
        answer = self.put(*(entry for entry, _ in bad), self.GOOD)
        self.assertEqual(answer["FailedEntryCount"], len(bad))
        self.assertEqual([entry.get("ErrorCode") for entry in answer["Entries"]], [code for _, code in bad] + [None])
        self.assertEqual(following()["id"], answer["Entries"][-1]["EventId"])

    def test_a_request_has_one_to_ten_entries(self):
        for count in (0, 11):
            with self.subTest(count):
                self.assertEqual(self.refused(self.events.put_events, Entries=[self.GOOD] * count), "ValidationException")
