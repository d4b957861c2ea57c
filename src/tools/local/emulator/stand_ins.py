"""Stand-ins for two services missing in the emulator: Amazon Translate's TranslateText and Amazon Comprehend's
DetectToxicContent.

They translate and judge nothing, and every answer shows it: a translation is the text with its language before it,
`[fr] hello`, and English is toxic when it has the word `toxic` in it. A text with such a prefix counts as a text in that
language, any other text with a letter as English. They refuse the same as the services: languages outside Amazon
Translate's list, and texts over the limit.
"""

import json
import re

# https://docs.aws.amazon.com/translate/latest/dg/what-is-languages.html, read 2026-11-26
LANGUAGES = set(
    "af sq am ar hy az bn bs bg ca zh zh-TW hr cs da fa-AF nl en et fa tl fi fr fr-CA ka de el gu ht ha he hi hu is id "
    "ga it ja kn kk ko lv lt mk ms ml mt mr mn no ps pl pt pt-PT pa ro ru sr si sk sl so es es-MX sw sv ta te th tr uk "
    "ur uz vi cy".split()
)
TAGGED = re.compile(r"\[([a-z]{2}(?:-[A-Z]{2})?)\] ")
TRANSLATE_MAX_BYTES = 10_000
SEGMENTS_MAX, SEGMENT_MAX_BYTES = 10, 1024
TOXIC_KINDS = ("PROFANITY", "HATE_SPEECH", "INSULT", "GRAPHIC", "HARASSMENT_OR_ABUSE", "SEXUAL", "VIOLENCE_OR_THREAT")


def put(app, router, responses, sfn, translate):
    """Makes them answer at the emulator's endpoint and in the tasks of state machines."""
    refused = responses.error_response_json

    def translate_text(data):
        text, source, target = data.get("Text") or "", data.get("SourceLanguageCode"), data.get("TargetLanguageCode")
        if not text:
            return refused("ValidationException", "Text: Member must have length greater than or equal to 1", 400)
        if len(text.encode()) > TRANSLATE_MAX_BYTES:
            return refused("TextSizeLimitExceededException", f"Input text size exceeds limit: {TRANSLATE_MAX_BYTES}", 400)
        tag = TAGGED.match(text)
        if source == "auto":
            if not any(character.isalpha() for character in text):
                reason = "The confidence that the language was detected accurately is low"
                return refused("DetectedLanguageLowConfidenceException", reason, 400, {"DetectedLanguageCode": "en"})
            source = tag[1] if tag else "en"
        if not {source, target} <= LANGUAGES:
            return refused("UnsupportedLanguagePairException", f"Unsupported language pair: {source} to {target}", 400)
        if source != target:
            text = f"[{target}] {text[tag.end():] if tag else text}"
        answer = {"TranslatedText": text, "SourceLanguageCode": source, "TargetLanguageCode": target}
        return responses.json_response(answer)

    def detect_toxic_content(data):
        texts = [segment.get("Text") or "" for segment in data.get("TextSegments") or []]
        if data.get("LanguageCode") != "en":
            return refused("UnsupportedLanguageException", "expected the language en", 400)
        if not 1 <= len(texts) <= SEGMENTS_MAX or not all(texts):
            return refused("InvalidRequestException", f"expected 1 to {SEGMENTS_MAX} segments with text", 400)
        if any(len(text.encode()) > SEGMENT_MAX_BYTES for text in texts):
            return refused("TextSizeLimitExceededException", f"Input text size exceeds limit: {SEGMENT_MAX_BYTES}", 400)

        def judged(text):
            foreign = (tag := TAGGED.match(text)) and tag[1] != "en"
            score = 0.99 if "toxic" in text.lower() and not foreign else 0.01
            labels = [{"Name": kind, "Score": score if kind == "INSULT" else 0.01} for kind in TOXIC_KINDS]
            return {"Labels": labels, "Toxicity": score}

        return responses.json_response({"ResultList": [judged(text) for text in texts]})

    async def comprehend(method, path, headers, body, query):
        operation = (headers.get("x-amz-target") or headers.get("X-Amz-Target") or "").rpartition(".")[2]
        if operation != "DetectToxicContent":
            return refused("InvalidAction", f"the stand-in only knows DetectToxicContent, found `{operation}`", 400)
        return detect_toxic_content(json.loads(body or "{}"))

    translate._DISPATCH["TranslateText"] = translate_text
    app.SERVICE_HANDLERS["comprehend"] = comprehend
    router.SERVICE_PATTERNS["comprehend"] = {"target_prefixes": ["Comprehend_"], "host_patterns": [r"comprehend\."]}
    for service, prefix in ("translate", "AWSShineFrontendService_20170701"), ("comprehend", "Comprehend_20171127"):
        sfn._AWS_SDK_SERVICE_MAP[service] = {"target_prefix": prefix, "protocol": "json"}
