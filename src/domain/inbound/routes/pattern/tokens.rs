//! JSON as a sequence of tokens, since patterns and events depend on details that serde_json's tree loses: duplicates and
//! the order of names, the digits of a number.

use std::borrow::Cow;

/// One part of a JSON text.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token<'a> {
    Object,
    ObjectEnd,
    List,
    ListEnd,
    /// The name of a field; its value is next.
    Name(Cow<'a, str>),
    Text(Cow<'a, str>),
    /// A number, `true`, `false` or `null`, as written.
    Literal(&'a str),
}

/// The tokens of valid JSON. Of other text the tokens are meaningless, but finite.
pub(super) struct Tokens<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(json: &'a str) -> Self {
        Self { text: json, at: 0 }
    }

    fn skip(&mut self, skipped: impl Fn(u8) -> bool) {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().take_while(|byte| skipped(**byte)).count();
    }

    /// The string that begins here, without its quotes.
    fn string(&mut self) -> Cow<'a, str> {
        let start = self.at;
        let rest = &self.text.as_bytes()[start + 1..];
        let special = |byte: &u8| *byte == b'"' || *byte == b'\\';
        let mut length = rest.iter().position(special).unwrap_or(rest.len());
        let plain = rest.get(length) != Some(&b'\\');
        while rest.get(length) == Some(&b'\\') {
            let after = rest.get(length + 2..).unwrap_or_default();
            length = match after.iter().position(special) {
                Some(more) => length + 2 + more,
                None => rest.len(),
            };
        }
        let end = start + 1 + length;
        self.at = self.text.len().min(end + 1);
        let inner = &self.text[start + 1..end];
        if plain {
            return Cow::Borrowed(inner);
        }
        let decoded = serde_json::from_str(&self.text[start..self.at]);
        decoded.map_or(Cow::Borrowed(inner), Cow::Owned)
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let between = |byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b',' | b':');
        self.skip(between);
        let token = match self.text.as_bytes().get(self.at)? {
            b'{' => Token::Object,
            b'}' => Token::ObjectEnd,
            b'[' => Token::List,
            b']' => Token::ListEnd,
            b'"' => {
                let string = self.string();
                self.skip(|byte| byte.is_ascii_whitespace());
                let named = self.text.as_bytes().get(self.at) == Some(&b':');
                return Some(match named {
                    true => Token::Name(string),
                    false => Token::Text(string),
                });
            }
            _ => {
                let start = self.at;
                self.skip(|byte| {
                    !between(byte) && !matches!(byte, b'{' | b'}' | b'[' | b']' | b'"')
                });
                return Some(Token::Literal(&self.text[start..self.at]));
            }
        };
        self.at += 1;
        Some(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn written(json: &str) -> String {
        let mut all = String::new();
        for token in Tokens::new(json) {
            match token {
                Token::Object => all.push('{'),
                Token::ObjectEnd => all.push('}'),
                Token::List => all.push('['),
                Token::ListEnd => all.push(']'),
                Token::Name(name) => all.push_str(&format!("{name:?}=")),
                Token::Text(text) => all.push_str(&format!("{text:?} ")),
                Token::Literal(literal) => all.push_str(&format!("{literal} ")),
            }
        }
        all
    }

    #[test]
    fn order_names_and_digits_stay() {
        let json = " {\"b\" : [1.0, 2e5,\"x\\\"\\u00e9\"],\"a\":{},\n\"a\":null , \"\\\\\":-0 } ";
        assert_eq!(
            written(json),
            r#"{"b"=[1.0 2e5 "x\"é" ]"a"={}"a"=null "\\"=-0 }"#
        );
    }

    proptest! {
        #[test]
        fn any_text_ends_without_a_panic(text in ".{0,40}", json in r#"[\[\]{}:," \\ué1-]{0,40}"#) {
            for text in [text, json] {
                prop_assert!(Tokens::new(&text).count() <= text.len());
            }
        }

        #[test]
        fn strings_are_read_as_serde_json_reads_them(text in any::<String>(), after in "[ \n]{0,2}") {
            let json = Value::from(text.as_str()).to_string();
            let tokens: Vec<_> = Tokens::new(&json).collect();
            prop_assert_eq!(tokens, [Token::Text(text.as_str().into())]);
            let object = format!("{{{json}{after}:{json}}}");
            let tokens: Vec<_> = Tokens::new(&object).collect();
            let (name, text) = (Token::Name(text.as_str().into()), Token::Text(text.as_str().into()));
            prop_assert_eq!(tokens, [Token::Object, name, text, Token::ObjectEnd]);
        }
    }
}
