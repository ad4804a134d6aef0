//! Checks on results: `elastic.slo_attainment > baseline.slo_attainment * 1.2`.
//!
//! Two sides of `+ - * /`, numbers, parentheses and `system.metric` (or `system.class.metric`),
//! compared by one of `< <= > >= ==`. Names with other characters than letters, digits, `-` and `_`
//! are written in double quotes.

use std::fmt;

/// A parsed check.
///
/// ```
/// use flexdit::experiment::Expectation;
/// let check: Expectation = "a.completed >= b.completed * 2".parse().unwrap();
/// let verdict = check.evaluate(|r| Some(if r.system == "a" { 8.0 } else { 4.0 }));
/// assert!(verdict.unwrap().holds);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Expectation {
    left: Expr,
    order: Order,
    right: Expr,
}

/// A system's metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The system's name in the experiment.
    pub system: String,
    /// The class, if the metric is of one class.
    pub class: Option<String>,
    /// The column of summary.csv or classes.csv.
    pub metric: String,
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.class {
            Some(class) => write!(f, "{}.{class}.{}", self.system, self.metric),
            None => write!(f, "{}.{}", self.system, self.metric),
        }
    }
}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// Value of the left side.
    pub left: f64,
    /// Value of the right side.
    pub right: f64,
    /// Whether the check holds.
    pub holds: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Expr {
    Number(f64),
    Metric(Reference),
    Binary(Box<Self>, char, Box<Self>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Less,
    AtMost,
    More,
    AtLeast,
    Equal,
}

impl Expectation {
    /// Every metric that the check names, left to right.
    pub fn references(&self) -> Vec<&Reference> {
        let mut found = Vec::new();
        self.left.collect(&mut found);
        self.right.collect(&mut found);
        found
    }

    /// Evaluates the check; `lookup` gives a metric's value, `None` when it is not known.
    ///
    /// # Errors
    /// The first metric that is not known.
    pub fn evaluate(
        &self,
        mut lookup: impl FnMut(&Reference) -> Option<f64>,
    ) -> Result<Verdict, Reference> {
        let left = self.left.value(&mut lookup)?;
        let right = self.right.value(&mut lookup)?;
        let holds = match self.order {
            Order::Less => left < right,
            Order::AtMost => left <= right,
            Order::More => left > right,
            Order::AtLeast => left >= right,
            Order::Equal => left == right,
        };
        Ok(Verdict { left, right, holds })
    }
}

impl Expr {
    fn collect<'a>(&'a self, found: &mut Vec<&'a Reference>) {
        match self {
            Self::Number(_) => {}
            Self::Metric(reference) => found.push(reference),
            Self::Binary(left, _, right) => {
                left.collect(found);
                right.collect(found);
            }
        }
    }

    fn value(&self, lookup: &mut impl FnMut(&Reference) -> Option<f64>) -> Result<f64, Reference> {
        Ok(match self {
            Self::Number(number) => *number,
            Self::Metric(reference) => lookup(reference).ok_or_else(|| reference.clone())?,
            Self::Binary(left, operator, right) => {
                let (left, right) = (left.value(lookup)?, right.value(lookup)?);
                match operator {
                    '+' => left + right,
                    '-' => left - right,
                    '*' => left * right,
                    _ => left / right,
                }
            }
        })
    }
}

impl std::str::FromStr for Expectation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let tokens = tokens(text)?;
        let mut parser = Parser { tokens: &tokens, depth: 0 };
        let left = parser.sum()?;
        let order = match parser.next() {
            Some(Token::Order(order)) => *order,
            other => return Err(expected("one of <, <=, >, >=, ==", other)),
        };
        let right = parser.sum()?;
        match parser.next() {
            None => Ok(Self { left, order, right }),
            other => Err(expected("the end", other)),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Number(f64),
    Name(String),
    Symbol(char),
    Order(Order),
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Name(name) => write!(f, "`{name}`"),
            Self::Symbol(symbol) => write!(f, "`{symbol}`"),
            Self::Order(_) => f.write_str("a comparison"),
        }
    }
}

fn expected(what: &str, got: Option<&Token>) -> String {
    let got = got.map_or("the end".to_owned(), Token::to_string);
    format!("expected {what}, got {got}")
}

/// Longest check; it also bounds how deep an expression is.
const MAX_TOKENS: usize = 500;

/// Names take `-` inside, so a subtraction needs a space before its sign.
fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '0'..='9' => {
                let mut end =
                    rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
                if let Some(exponent) = rest[end..].strip_prefix(['e', 'E']) {
                    let digits = exponent.trim_start_matches(['-', '+']);
                    let count = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
                    end = rest.len() - digits.len() + count;
                }
                let number = rest[..end].parse::<f64>();
                let number = number.map_err(|_| format!("`{}` is not a number", &rest[..end]))?;
                tokens.push(Token::Number(number));
                end
            }
            '"' => {
                let end = rest[1..].find('"').ok_or("a name's closing quote is missing")? + 2;
                tokens.push(Token::Name(rest[1..end - 1].to_owned()));
                end
            }
            '<' | '>' | '=' => {
                let wide = rest[1..].starts_with('=');
                tokens.push(Token::Order(match (first, wide) {
                    ('<', false) => Order::Less,
                    ('<', true) => Order::AtMost,
                    ('>', false) => Order::More,
                    ('>', true) => Order::AtLeast,
                    ('=', true) => Order::Equal,
                    _ => return Err("expected `==`, got `=`".to_owned()),
                }));
                if wide { 2 } else { 1 }
            }
            '+' | '-' | '*' | '/' | '(' | ')' | '.' => {
                tokens.push(Token::Symbol(first));
                1
            }
            _ if first.is_alphabetic() => {
                let inside = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
                let end = rest.find(|c: char| !inside(c)).unwrap_or(rest.len());
                tokens.push(Token::Name(rest[..end].to_owned()));
                end
            }
            other => return Err(format!("unexpected character `{other}`")),
        };
        rest = rest[end..].trim_start();
        if tokens.len() > MAX_TOKENS {
            return Err(format!("longer than {MAX_TOKENS} names, numbers and signs"));
        }
    }
    Ok(tokens)
}

struct Parser<'a> {
    tokens: &'a [Token],
    depth: u32,
}

impl<'a> Parser<'a> {
    fn next(&mut self) -> Option<&'a Token> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first)
    }

    fn symbol(&mut self, among: &[char]) -> Option<char> {
        match self.tokens.first() {
            Some(Token::Symbol(symbol)) if among.contains(symbol) => {
                self.next();
                Some(*symbol)
            }
            _ => None,
        }
    }

    fn sum(&mut self) -> Result<Expr, String> {
        let mut left = self.product()?;
        while let Some(operator) = self.symbol(&['+', '-']) {
            left = Expr::Binary(Box::new(left), operator, Box::new(self.product()?));
        }
        Ok(left)
    }

    fn product(&mut self) -> Result<Expr, String> {
        let mut left = self.factor()?;
        while let Some(operator) = self.symbol(&['*', '/']) {
            left = Expr::Binary(Box::new(left), operator, Box::new(self.factor()?));
        }
        Ok(left)
    }

    fn factor(&mut self) -> Result<Expr, String> {
        match self.next() {
            Some(Token::Number(number)) => Ok(Expr::Number(*number)),
            Some(Token::Symbol('(')) => {
                self.depth += 1;
                if self.depth > 32 {
                    return Err("nested deeper than 32 parentheses".to_owned());
                }
                let inner = self.sum()?;
                self.depth -= 1;
                match self.next() {
                    Some(Token::Symbol(')')) => Ok(inner),
                    other => Err(expected("`)`", other)),
                }
            }
            Some(Token::Name(system)) => self.reference(system),
            other => Err(expected("a number or system.metric", other)),
        }
    }

    fn reference(&mut self, system: &str) -> Result<Expr, String> {
        let mut names = Vec::new();
        while names.len() < 2 && self.symbol(&['.']).is_some() {
            match self.next() {
                Some(Token::Name(name)) => names.push(name.clone()),
                other => return Err(expected("a metric after `.`", other)),
            }
        }
        let metric = names.pop().ok_or(format!("expected `.` and a metric after `{system}`"))?;
        let system = system.to_owned();
        Ok(Expr::Metric(Reference { system, class: names.pop(), metric }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(text: &str) -> Verdict {
        let check: Expectation = text.parse().unwrap();
        check
            .evaluate(|reference| match reference.to_string().as_str() {
                "elastic.latency_ms_mean" => Some(10.0),
                "fixed-pipeline.latency_ms_mean" => Some(30.0),
                "elastic.L.completed" => Some(2.0),
                _ => None,
            })
            .unwrap()
    }

    #[test]
    fn arithmetic_binds_as_usual() {
        let cases = [
            ("elastic.latency_ms_mean * 3 <= fixed-pipeline.latency_ms_mean", true),
            ("elastic.latency_ms_mean < fixed-pipeline.latency_ms_mean / 3", false),
            ("fixed-pipeline.latency_ms_mean - elastic.latency_ms_mean == 2 * (4 + 6)", true),
            ("elastic.L.completed >= 2e0", true),
            ("1.5e-1 > 0.15", false),
        ];
        for (text, holds) in cases {
            assert_eq!(verdict(text).holds, holds, "{text}");
        }
    }

    #[test]
    fn unknown_metrics_are_an_error_not_zero() {
        let check: Expectation = "other.completed > 0".parse().unwrap();
        assert_eq!(check.evaluate(|_| None).unwrap_err().to_string(), "other.completed");
    }

    #[test]
    fn malformed_checks_say_what_was_expected() {
        let cases = [
            ("a.x", "expected one of <, <=, >, >=, ==, got the end"),
            ("a > 1", "expected `.` and a metric after `a`"),
            ("a.x > ", "expected a number or system.metric, got the end"),
            ("a.x = 1", "expected `==`, got `=`"),
            ("a.x > 1 2", "expected the end, got 2"),
            ("a.x > (1", "expected `)`, got the end"),
            ("a.x > 1.2.3", "`1.2.3` is not a number"),
            ("a.x & 1", "unexpected character `&`"),
        ];
        for (text, message) in cases {
            assert_eq!(text.parse::<Expectation>().unwrap_err(), message, "{text}");
        }
        let deep = format!("{}1 > 0", "(".repeat(10_000));
        assert!(deep.parse::<Expectation>().unwrap_err().contains("longer than 500"));
        let deep = format!("{}1 > 0", "(".repeat(100));
        assert!(deep.parse::<Expectation>().unwrap_err().contains("nested deeper"));
        let long = format!("1{} > 0", " + 1".repeat(100_000));
        assert!(long.parse::<Expectation>().unwrap_err().contains("longer than 500"));
    }
}
