//! The grammar of JSONata: operators by how tightly they bind.

use super::Calls;
use super::tokens::{Token, Tokens};

/// Nesting of expressions; deeper ones are not read to their end.
const MAX_DEPTH: usize = 100;

enum Stop {
    /// The problem, worded to follow "an expression that".
    Wrong(String),
    TooDeep,
}

impl From<String> for Stop {
    fn from(problem: String) -> Self {
        Self::Wrong(problem)
    }
}

/// The kinds of operand that the grammar distinguishes.
enum Operand {
    Variable(String),
    Name(String),
    Value,
    Other,
}

/// Parses an expression into its calls, or its first problem.
pub fn read(expression: &str) -> Result<Calls, String> {
    let mut reader = Reader {
        tokens: Tokens::new(expression),
        token: Token::End,
        calls: Calls::default(),
        depth: 0,
    };
    match reader.whole() {
        Ok(()) | Err(Stop::TooDeep) => Ok(reader.calls),
        Err(Stop::Wrong(problem)) => Err(problem),
    }
}

/// The binding power of an infix operator on its left operand; 0 for any other token.
fn binding(token: &Token) -> u8 {
    let Token::Operator(operator) = token else {
        return 0;
    };
    match *operator {
        "[" | "(" | "@" | "#" => 80,
        "." => 75,
        "{" => 70,
        "*" | "/" | "%" => 60,
        "+" | "-" | "&" => 50,
        "=" | "<" | ">" | "^" | "!=" | "<=" | ">=" | "~>" | "in" => 40,
        "and" => 30,
        "or" => 25,
        "?" => 20,
        ":=" => 10,
        _ => 0,
    }
}

struct Reader<'t> {
    tokens: Tokens<'t>,
    token: Token,
    calls: Calls,
    depth: usize,
}

impl Reader<'_> {
    fn whole(&mut self) -> Result<(), Stop> {
        self.step(true)?;
        self.expression(0)?;
        match self.token {
            Token::End => Ok(()),
            _ => Err(self.unexpected("an operator or the end")),
        }
    }

    fn step(&mut self, operand: bool) -> Result<Token, Stop> {
        let next = self.tokens.next(operand)?;
        Ok(std::mem::replace(&mut self.token, next))
    }

    fn is(&self, operator: &str) -> bool {
        matches!(self.token, Token::Operator(found) if found == operator)
    }

    /// Takes a required operator. `closes`: an operator follows, not an operand.
    fn expect(&mut self, operator: &str, closes: bool) -> Result<(), Stop> {
        if !self.is(operator) {
            return Err(self.unexpected(&format!("`{operator}`")));
        }
        self.step(!closes).map(drop)
    }

    fn unexpected(&self, expected: &str) -> Stop {
        let found = match &self.token {
            Token::End => "its end".to_owned(),
            Token::Name(name) => format!("`{name}`"),
            Token::Variable(name) => format!("`${name}`"),
            Token::Text => "a text".to_owned(),
            Token::Value => "a value".to_owned(),
            Token::Regex => "a regular expression".to_owned(),
            Token::Operator(operator) => format!("`{operator}`"),
        };
        Stop::Wrong(format!("has {found} where {expected} should be"))
    }

    fn expression(&mut self, right: u8) -> Result<Operand, Stop> {
        if self.depth >= MAX_DEPTH {
            return Err(Stop::TooDeep);
        }
        self.depth += 1;
        let mut left = self.operand()?;
        while binding(&self.token) > right {
            left = self.infix(left)?;
        }
        self.depth -= 1;
        Ok(left)
    }

    fn operand(&mut self) -> Result<Operand, Stop> {
        let operator = match &self.token {
            Token::Operator(operator) => *operator,
            Token::End => return Err(self.unexpected("a value")),
            _ => {
                return Ok(match self.step(false)? {
                    Token::Name(name) => Operand::Name(name),
                    Token::Variable(name) => Operand::Variable(name),
                    Token::Value => Operand::Value,
                    _ => Operand::Other,
                });
            }
        };
        match operator {
            "and" | "or" | "in" => {
                self.step(false)?;
                return Ok(Operand::Name(operator.to_owned()));
            }
            "*" | "**" | "%" => {
                self.step(false)?;
            }
            "-" => {
                self.step(true)?;
                self.expression(70)?;
            }
            "(" => {
                self.step(true)?;
                while !self.is(")") {
                    self.expression(0)?;
                    if !self.is(";") {
                        break;
                    }
                    self.step(true)?;
                }
                self.expect(")", true)?;
            }
            "[" => {
                self.step(true)?;
                self.list("]", |reader| {
                    reader.expression(0)?;
                    if reader.is("..") {
                        reader.step(true)?;
                        reader.expression(0)?;
                    }
                    Ok(())
                })?;
            }
            "{" => {
                self.step(true)?;
                self.object()?;
            }
            "|" => {
                self.step(true)?;
                self.expression(0)?;
                self.expect("|", false)?;
                self.expression(0)?;
                if self.is(",") {
                    self.step(true)?;
                    self.expression(0)?;
                }
                self.expect("|", true)?;
            }
            _ => return Err(self.unexpected("a value")),
        }
        Ok(Operand::Other)
    }

    /// Reads parts with commas between them, up to the end.
    fn list(
        &mut self,
        end: &str,
        mut part: impl FnMut(&mut Self) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        if !self.is(end) {
            part(self)?;
            while self.is(",") {
                self.step(true)?;
                part(self)?;
            }
        }
        self.expect(end, true)
    }

    fn object(&mut self) -> Result<(), Stop> {
        self.list("}", |reader| {
            reader.expression(0)?;
            reader.expect(":", false)?;
            reader.expression(0).map(drop)
        })
    }

    fn infix(&mut self, left: Operand) -> Result<Operand, Stop> {
        let binds = binding(&self.token);
        let Token::Operator(operator) = self.step(true)? else {
            return Ok(Operand::Other);
        };
        match operator {
            "(" => return self.call(left),
            "[" if self.is("]") => {
                self.step(false)?;
                return Ok(left);
            }
            "[" => {
                self.expression(0)?;
                self.expect("]", true)?;
            }
            "{" => self.object()?,
            "^" => {
                self.expect("(", false)?;
                self.list(")", |reader| {
                    if reader.is("<") || reader.is(">") {
                        reader.step(true)?;
                    }
                    reader.expression(0).map(drop)
                })?;
            }
            ":=" => {
                let Operand::Variable(name) = left else {
                    return Err(Stop::Wrong(
                        "has `:=` behind something else than a variable".to_owned(),
                    ));
                };
                self.calls.bound.insert(name);
                self.expression(binds - 1)?;
            }
            "@" | "#" => match self.expression(binds)? {
                Operand::Variable(name) => {
                    self.calls.bound.insert(name);
                }
                _ => {
                    return Err(Stop::Wrong(format!(
                        "has `{operator}` without a variable after it"
                    )));
                }
            },
            "?" => {
                self.expression(0)?;
                if self.is(":") {
                    self.step(true)?;
                    self.expression(0)?;
                }
            }
            "." => {
                let right = self.expression(binds)?;
                if matches!(left, Operand::Value) || matches!(right, Operand::Value) {
                    return Err(Stop::Wrong(
                        "has a number, true, false or null as a step of a path".to_owned(),
                    ));
                }
            }
            _ => {
                self.expression(binds)?;
            }
        }
        Ok(Operand::Other)
    }

    /// The arguments of a call, or the parameters and the body of a function.
    fn call(&mut self, left: Operand) -> Result<Operand, Stop> {
        let is_function = matches!(&left, Operand::Name(name) if name == "function" || name == "λ");
        let mut parameters = true;
        self.list(")", |reader| {
            if reader.is("?") {
                parameters = false;
                return reader.step(false).map(drop);
            }
            match reader.expression(0)? {
                Operand::Variable(name) if is_function => {
                    reader.calls.bound.insert(name);
                }
                _ => parameters = false,
            }
            Ok(())
        })?;
        if let Operand::Variable(name) = left {
            self.calls.called.insert(name);
        }
        if is_function {
            self.body(parameters)?;
        }
        Ok(Operand::Other)
    }

    fn body(&mut self, parameters: bool) -> Result<(), Stop> {
        if self.is("<") {
            let mut depth = 1;
            while depth > 0 && !self.is("{") && self.token != Token::End {
                self.step(true)?;
                depth += i32::from(self.is("<")) - i32::from(self.is(">"));
            }
            self.expect(">", false)?;
        }
        self.expect("{", false)?;
        if !parameters {
            return Err(Stop::Wrong(
                "has a function with a parameter that is not a variable".to_owned(),
            ));
        }
        self.expression(0)?;
        self.expect("}", true)
    }
}
