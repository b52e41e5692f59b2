use super::limits::{MAX_BYTES, Stuck};

/// A piece of an answer. Spacing, dollar signs and `\left`/`\right` have no token, so texts that
/// differ only in those have equal tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// Digits with at most one point; thousands separators removed.
    Number(String),
    /// A single letter, a Greek letter or a lettered symbol: a variable or a constant.
    Name(String),
    /// Two or more Latin letters in a row.
    Word(String),
    /// The content of `\text{..}` and its kin.
    Text(String),
    /// A command that takes arguments, e.g. `frac`.
    Command(&'static str),
    /// `\begin{name}`.
    Begin(String),
    /// `\end{name}`.
    End(String),
    /// `\\`.
    RowBreak,
    /// `\{`.
    SetOpen,
    /// `\}`.
    SetClose,
    /// Anything else, LaTeX operators translated to one character.
    Symbol(char),
}

impl Token {
    pub(super) fn is(&self, symbol: char) -> bool {
        *self == Self::Symbol(symbol)
    }

    /// +1 for an opening bracket of any kind, -1 for a closing one.
    pub(super) fn nesting(&self) -> i32 {
        match self {
            Self::Symbol('(' | '[' | '{' | '⟨') | Self::SetOpen | Self::Begin(_) => 1,
            Self::Symbol(')' | ']' | '}' | '⟩') | Self::SetClose | Self::End(_) => -1,
            _ => 0,
        }
    }
}

/// Splits an answer into tokens.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, Stuck> {
    if text.len() > MAX_BYTES {
        return Err(Stuck::TooLarge);
    }
    let mut lexer = Lexer { rest: text, depth: 0, tokens: Vec::new() };
    while let Some(first) = lexer.rest.chars().next() {
        lexer.token(first)?;
    }
    Ok(lexer.tokens)
}

struct Lexer<'a> {
    rest: &'a str,
    /// Open brackets other than LaTeX groups: within them a comma separates items.
    depth: i32,
    tokens: Vec<Token>,
}

impl<'a> Lexer<'a> {
    fn token(&mut self, first: char) -> Result<(), Stuck> {
        let second = self.rest[first.len_utf8()..].chars().next();
        let digit_follows = second.is_some_and(|c| c.is_ascii_digit());
        let token = match first {
            '\\' => return self.backslash(),
            '0'..='9' => return self.number(),
            '.' if digit_follows => return self.number(),
            // A full stop ends a sentence, not an expression.
            '.' if self.rest[1..].trim().is_empty() => None,
            'a'..='z' | 'A'..='Z' => return self.letters(),
            '$' | '~' => None,
            c if c.is_whitespace() => None,
            '×' | '·' | '∗' => Some(Token::Symbol('*')),
            '÷' => Some(Token::Symbol('/')),
            '−' | '–' => Some(Token::Symbol('-')),
            'π' => Some(Token::Name("pi".to_owned())),
            '∞' => Some(Token::Name("infty".to_owned())),
            '√' => Some(Token::Command("sqrt")),
            '^' | '_' | '+' | '-' | '*' | '/' | '(' | ')' | '[' | ']' | '{' | '}' | ',' | ';'
            | '=' | '<' | '>' | '|' | '!' | '&' | '%' | '≤' | '≥' | '≠' | '±' | '∓' | '∪' | '∈'
            | '°' => Some(Token::Symbol(first)),
            c if c.is_alphabetic() => Some(Token::Name(c.to_string())),
            _ => return Err(Stuck::Syntax),
        };
        self.rest = &self.rest[first.len_utf8()..];
        self.push(token);
        Ok(())
    }

    fn push(&mut self, token: Option<Token>) {
        let Some(token) = token else { return };
        if !matches!(token, Token::Symbol('{' | '}')) {
            self.depth += token.nesting();
        }
        self.tokens.push(token);
    }

    fn backslash(&mut self) -> Result<(), Stuck> {
        let after = &self.rest[1..];
        let name = &after[..after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len())];
        if !name.is_empty() {
            self.rest = &after[name.len()..];
            return self.command(name);
        }
        let escaped = after.chars().next().ok_or(Stuck::Syntax)?;
        self.rest = &after[escaped.len_utf8()..];
        let token = match escaped {
            ',' | '!' | ';' | ':' | '$' => None,
            c if c.is_whitespace() => None,
            '\\' => Some(Token::RowBreak),
            '{' => Some(Token::SetOpen),
            '}' => Some(Token::SetClose),
            '%' | '|' => Some(Token::Symbol(escaped)),
            _ => return Err(Stuck::Syntax),
        };
        self.push(token);
        Ok(())
    }

    fn command(&mut self, name: &str) -> Result<(), Stuck> {
        let token = match name {
            "left" | "right" | "big" | "Big" | "bigg" | "Bigg" | "bigl" | "bigr" | "Bigl"
            | "Bigr" | "quad" | "qquad" | "displaystyle" | "textstyle" | "limits" | "angle" => None,
            "text" | "textbf" | "textit" | "textrm" | "textnormal" | "mbox" | "hbox" | "mathrm"
            | "operatorname" => Some(Token::Text(self.group()?.to_owned())),
            "mathbb" | "mathbf" | "mathcal" | "vec" | "hat" | "overline" => {
                Some(Token::Name(format!("{name} {}", self.group()?)))
            }
            "begin" => Some(Token::Begin(self.group()?.to_owned())),
            "end" => Some(Token::End(self.group()?.to_owned())),
            "emptyset" | "varnothing" => {
                self.push(Some(Token::SetOpen));
                Some(Token::SetClose)
            }
            "lbrace" => Some(Token::SetOpen),
            "rbrace" => Some(Token::SetClose),
            "frac" | "dfrac" | "tfrac" | "cfrac" => Some(Token::Command("frac")),
            "binom" | "dbinom" | "tbinom" => Some(Token::Command("binom")),
            _ => Some(match (symbol(name), function(name)) {
                (Some(symbol), _) => Token::Symbol(symbol),
                (_, Some(function)) => Token::Command(function),
                _ if is_lettered(name) => Token::Name(name.to_owned()),
                _ => return Err(Stuck::Syntax),
            }),
        };
        self.push(token);
        Ok(())
    }

    /// `{content}` without braces inside, as it stands.
    fn group(&mut self) -> Result<&'a str, Stuck> {
        let after = self.rest.trim_start().strip_prefix('{').ok_or(Stuck::Syntax)?;
        let (content, rest) = after.split_once('}').ok_or(Stuck::Syntax)?;
        if content.contains('{') {
            return Err(Stuck::Syntax);
        }
        self.rest = rest;
        Ok(content)
    }

    fn letters(&mut self) -> Result<(), Stuck> {
        let end = self.rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(self.rest.len());
        let (run, rest) = self.rest.split_at(end);
        self.rest = rest;
        let token = match function(run) {
            Some(function) => Token::Command(function),
            None if end == 1 || run == "pi" => Token::Name(run.to_owned()),
            None => Token::Word(run.to_owned()),
        };
        self.push(Some(token));
        Ok(())
    }

    fn number(&mut self) -> Result<(), Stuck> {
        let mut number = self.digits().to_owned();
        if (1..=3).contains(&number.len()) {
            while let Some(rest) = self.thousands() {
                self.rest = rest;
                number.push_str(self.digits());
            }
        }
        let mut decimals = self.rest.chars();
        if decimals.next() == Some('.') && decimals.next().is_some_and(|c| c.is_ascii_digit()) {
            self.rest = &self.rest[1..];
            number.push('.');
            number.push_str(self.digits());
        }
        self.push(Some(Token::Number(number)));
        Ok(())
    }

    fn digits(&mut self) -> &'a str {
        let end = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(end);
        self.rest = rest;
        digits
    }

    /// The text after a thousands separator, if exactly three digits follow: `{,}` and `,\!` always
    /// are one, a plain comma only outside brackets.
    fn thousands(&self) -> Option<&'a str> {
        let rest = if let Some(rest) = self.rest.strip_prefix("{,}") {
            rest
        } else {
            let after = self.rest.strip_prefix(',')?;
            match after.strip_prefix("\\!") {
                Some(after) => after.trim_start(),
                None if self.depth == 0 => after,
                None => return None,
            }
        };
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        (digits == 3).then_some(rest)
    }
}

fn symbol(command: &str) -> Option<char> {
    Some(match command {
        "cdot" | "times" | "ast" => '*',
        "div" => '/',
        "le" | "leq" | "leqslant" => '≤',
        "ge" | "geq" | "geqslant" => '≥',
        "lt" => '<',
        "gt" => '>',
        "ne" | "neq" => '≠',
        "pm" => '±',
        "mp" => '∓',
        "cup" => '∪',
        "in" => '∈',
        "circ" | "degree" => '°',
        "vert" | "lvert" | "rvert" | "mid" => '|',
        "langle" => '⟨',
        "rangle" => '⟩',
        _ => return None,
    })
}

/// Functions with one argument, and `sqrt` and `log` with an option.
fn function(name: &str) -> Option<&'static str> {
    const FUNCTIONS: [&str; 15] = [
        "sqrt", "sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "sinh",
        "cosh", "log", "ln", "exp",
    ];
    FUNCTIONS.into_iter().find(|function| *function == name)
}

fn is_lettered(name: &str) -> bool {
    const NAMES: [&str; 33] = [
        "alpha",
        "beta",
        "gamma",
        "delta",
        "epsilon",
        "varepsilon",
        "zeta",
        "eta",
        "theta",
        "iota",
        "kappa",
        "lambda",
        "mu",
        "nu",
        "xi",
        "pi",
        "rho",
        "sigma",
        "tau",
        "upsilon",
        "phi",
        "varphi",
        "chi",
        "psi",
        "omega",
        "Gamma",
        "Delta",
        "Theta",
        "Lambda",
        "Sigma",
        "Phi",
        "Omega",
        "infty",
    ];
    NAMES.contains(&name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn layout_leaves_no_tokens() {
        assert_eq!(
            tokens("\\left( 3, \\frac{\\pi}{2} \\right)."),
            tokens("$(3,\\dfrac{\\pi}{2})$")
        );
        assert_eq!(tokens("\\$18.90"), tokens("18.90"));
    }

    #[test]
    fn thousands_separators() {
        let number = |text: &str| vec![Token::Number(text.to_owned())];
        assert_eq!(tokens("10,\\!080").unwrap(), number("10080"));
        assert_eq!(tokens("11,\\! 111,\\! 111,\\! 100").unwrap(), number("11111111100"));
        assert_eq!(tokens("58,500").unwrap(), number("58500"));
        assert_eq!(tokens("1{,}000.5").unwrap(), number("1000.5"));
        assert_eq!(tokens("(1,234)").unwrap().len(), 5);
        assert_eq!(tokens("3, 500").unwrap().len(), 3);
        assert_eq!(tokens("1234,567").unwrap().len(), 3);
    }

    #[test]
    fn unknown_notation_is_an_error() {
        for text in ["\\foo", "\\", "#", "\\text", "\\text{a", "3.x"] {
            assert_eq!(tokens(text), Err(Stuck::Syntax), "{text}");
        }
        assert_eq!(tokens(&"{".repeat(100_000)), Err(Stuck::TooLarge));
    }
}
