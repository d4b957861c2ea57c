"""The stand-ins for Amazon Translate and Amazon Comprehend."""

from running import Running, until


class Language(Running):
    def setUp(self):
        super().setUp()
        self.translating, self.comprehending = self.client("translate"), self.client("comprehend")

    def translated(self, text, target, source="auto"):
        answer = self.translating.translate_text(Text=text, SourceLanguageCode=source, TargetLanguageCode=target)
        return answer["SourceLanguageCode"], answer["TranslatedText"]

    def test_a_translation_only_marks_the_text(self):
        self.assertEqual(self.translated("hello", "fr"), ("en", "[fr] hello"))
        self.assertEqual(self.translated("[fr] bonjour", "en"), ("fr", "[en] bonjour"))
        self.assertEqual(self.translated("[fr] bonjour", "zh-TW", "fr"), ("fr", "[zh-TW] bonjour"))
        self.assertEqual(self.translated("hello", "en"), ("en", "hello"))

    def test_errors_of_translate(self):
        for text, target, code in [
            ("hello", "xx", "UnsupportedLanguagePairException"),
            ("[xx] hello", "en", "UnsupportedLanguagePairException"),
            (":-)", "fr", "DetectedLanguageLowConfidenceException"),
            ("ä" * 5001, "fr", "TextSizeLimitExceededException"),
            ("", "fr", "ValidationException"),
        ]:
            with self.subTest(text[:9] + target):
                self.assertEqual(self.refused(self.translated, text=text, target=target), code)

    def judged(self, *texts, language="en"):
        segments = [{"Text": text} for text in texts]
        results = self.comprehending.detect_toxic_content(TextSegments=segments, LanguageCode=language)["ResultList"]
        return [result["Toxicity"] for result in results]

    def test_one_word_is_toxic_and_only_in_english(self):
        self.assertEqual(self.judged("hello", "how Toxic!", "x" * 1024), [0.01, 0.99, 0.01])
        self.assertEqual(self.judged("[fr] toxic", "[en] toxic"), [0.01, 0.99])

    def test_errors_of_comprehend(self):
        for texts, language, code in [
            (["x" * 1025], "en", "TextSizeLimitExceededException"),
            (["x"] * 11, "en", "InvalidRequestException"),
            ([], "en", "InvalidRequestException"),
            (["x"], "fr", "UnsupportedLanguageException"),
        ]:
            with self.subTest(code):
                call = lambda: self.judged(*texts, language=language)
                self.assertEqual(self.refused(call), code)
        self.assertEqual(self.refused(self.comprehending.detect_sentiment, Text="x", LanguageCode="en"), "InvalidAction")

    def test_tasks_can_call_them(self):
        task = {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:translate:translateText"}
        arguments = {"Text": "hello", "SourceLanguageCode": "en", "TargetLanguageCode": "{% $states.input %}"}
        task["Arguments"] = arguments
        catch = {"ErrorEquals": ["Translate.UnsupportedLanguagePairException"], "Output": "refused", "Next": "Refused"}
        states = {
            "Translate": task | {"Output": "{% $states.result.TranslatedText %}", "Catch": [catch], "Next": "Judge"},
            "Judge": {
                "Type": "Task",
                "Resource": "arn:aws:states:::aws-sdk:comprehend:detectToxicContent",
                "Arguments": {"TextSegments": [{"Text": "{% $states.input %}"}], "LanguageCode": "en"},
                "Output": {"text": "{% $states.input %}", "toxicity": "{% $states.result.ResultList[0].Toxicity %}"},
                "End": True,
            },
            "Refused": {"Type": "Pass", "End": True},
        }
        machine = self.machine(states, QueryLanguage="JSONata")
        for target, output in [("fr", '{"text": "[fr] hello", "toxicity": 0.01}'), ("xx", '"refused"')]:
            arn = self.start(machine, input=f'"{target}"')["executionArn"]
            describe = lambda: self.states.describe_execution(executionArn=arn).get("output")
            self.assertEqual(until(describe), output)
