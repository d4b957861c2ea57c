//! The tokens of JSONata.

/// Longest first, so that `**` is not two `*`.
const OPERATORS: [&str; 33] = [
    "..", ":=", "!=", ">=", "<=", "**", "~>", ".", "[", "]", "{", "}", "(", ")", ",", "@", "#",
    ";", ":", "?", "+", "-", "*", "/", "%", "|", "=", "<", ">", "^", "&", "!", "~",
];

const SPACE: [char; 5] = [' ', '\t', '\n', '\r', '\u{b}'];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    End,
    Name(String),
    /// Without its `$`.
    Variable(String),
    Text,
    /// A number, true, false or null: invalid as a step of a path.
    Value,
    Regex,
    /// An operator, `and`, `or` and `in` included.
    Operator(&'static str),
}

pub(super) struct Tokens<'t> {
    rest: &'t str,
}

impl<'t> Tokens<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { rest: text }
    }

    /// The next token. Where an operand is expected a `/` begins a regular expression, elsewhere it divides.
    pub(super) fn next(&mut self, operand: bool) -> Result<Token, String> {
        self.skip()?;
        let Some(first) = self.rest.chars().next() else {
            return Ok(Token::End);
        };
        match first {
            '/' if operand => return self.regex(),
            '"' | '\'' => return self.text(first),
            '0'..='9' => return self.number(),
            '`' => {
                let (name, rest) = self.rest[1..]
                    .split_once('`')
                    .ok_or("has a name without its closing backtick")?;
                self.rest = rest;
                return Ok(Token::Name(name.to_owned()));
            }
            _ => {}
        }
        let known = OPERATORS
            .iter()
            .find(|known| self.rest.starts_with(**known));
        if let Some(operator) = known {
            self.rest = &self.rest[operator.len()..];
            return Ok(Token::Operator(operator));
        }
        let stops = |c: char| {
            SPACE.contains(&c)
                || OPERATORS
                    .iter()
                    .any(|known| known.len() == 1 && known.starts_with(c))
        };
        let end = self.rest.find(stops).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        Ok(match word {
            "and" => Token::Operator("and"),
            "or" => Token::Operator("or"),
            "in" => Token::Operator("in"),
            "true" | "false" | "null" => Token::Value,
            _ => match word.strip_prefix('$') {
                Some(name) => Token::Variable(name.to_owned()),
                None => Token::Name(word.to_owned()),
            },
        })
    }

    /// Space and comments.
    fn skip(&mut self) -> Result<(), String> {
        loop {
            self.rest = self.rest.trim_start_matches(SPACE);
            let Some(comment) = self.rest.strip_prefix("/*") else {
                return Ok(());
            };
            let (_, rest) = comment
                .split_once("*/")
                .ok_or("has a comment without its end")?;
            self.rest = rest;
        }
    }

    fn text(&mut self, quote: char) -> Result<Token, String> {
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            if c == quote {
                self.rest = &self.rest[at + 1..];
                return Ok(Token::Text);
            }
            if c != '\\' {
                continue;
            }
            match chars.next() {
                Some((_, '"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't')) | None => {}
                Some((at, 'u')) => {
                    let digits = self.rest.get(at + 1..at + 5).unwrap_or_default();
                    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
                        return Err(
                            "has `\\u` in a text without four hexadecimal digits".to_owned()
                        );
                    }
                }
                Some((_, other)) => {
                    return Err(format!("has `\\{other}` in a text, an unknown escape"));
                }
            }
        }
        Err("has a text without its closing quote".to_owned())
    }

    fn number(&mut self) -> Result<Token, String> {
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let mut end = match self.rest.starts_with('0') {
            true => 1,
            false => digits(self.rest),
        };
        let part = self.rest[end..].strip_prefix('.').map_or(0, digits);
        end += if part > 0 { part + 1 } else { 0 };
        if let Some(exponent) = self.rest[end..].strip_prefix(['e', 'E']) {
            let bare = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
            let count = digits(bare);
            end += if count > 0 {
                1 + exponent.len() - bare.len() + count
            } else {
                0
            };
        }
        let (number, rest) = self.rest.split_at(end);
        self.rest = rest;
        match number.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(Token::Value),
            _ => Err(format!("has the number `{number}`, which is out of range")),
        }
    }

    /// A slash in brackets, or behind an odd number of backslashes, is a part of the expression.
    fn regex(&mut self) -> Result<Token, String> {
        let (mut depth, mut backslashes, mut previous) = (0_i32, 0, ' ');
        for (at, c) in self.rest.char_indices().skip(1) {
            match c {
                '/' if depth == 0 && backslashes % 2 == 0 => {
                    if at == 1 {
                        return Err("has an empty regular expression".to_owned());
                    }
                    self.rest = self.rest[at + 1..].trim_start_matches(['i', 'm']);
                    return Ok(Token::Regex);
                }
                '(' | '[' | '{' if previous != '\\' => depth += 1,
                ')' | ']' | '}' if previous != '\\' => depth -= 1,
                _ => {}
            }
            backslashes = if c == '\\' { backslashes + 1 } else { 0 };
            previous = c;
        }
        Err("has a regular expression without its closing `/`".to_owned())
    }
}
