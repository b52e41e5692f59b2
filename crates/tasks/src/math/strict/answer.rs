use super::expression::Expression;
use super::limits::{MAX_DEPTH, Stuck};
use super::parse::{Branch, expression};
use super::token::Token;

/// The shape of an answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer {
    /// One value.
    Value(Expression),
    /// Items in order between brackets: a point, a vector or an interval.
    Tuple { open: char, close: char, items: Vec<Answer> },
    /// Items in any order: a set, or several solutions.
    List(Vec<Answer>),
    /// A union of sets.
    Union(Vec<Answer>),
    /// Rows of entries.
    Matrix(Vec<Vec<Answer>>),
    /// `left relation right`; `>` and `≥` are turned round.
    Relation { relation: char, left: Expression, right: Expression },
    /// A numeral with its base as subscript.
    Numeral { digits: String, base: String },
    /// Words.
    Text,
}

/// Reads the structure of an answer.
pub(super) fn read(tokens: &[Token]) -> Result<Answer, Stuck> {
    read_nested(tokens, 0)
}

/// The letters and digits of an answer in lower case: what is compared where one side is words.
pub(super) fn plain_text(tokens: &[Token]) -> String {
    let parts = tokens.iter().filter_map(|token| match token {
        Token::Number(text) | Token::Name(text) | Token::Word(text) | Token::Text(text) => {
            Some(text.as_str())
        }
        Token::Command(name) => Some(name),
        _ => None,
    });
    parts
        .flat_map(str::chars)
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

fn read_nested(tokens: &[Token], depth: usize) -> Result<Answer, Stuck> {
    if depth > MAX_DEPTH {
        return Err(Stuck::TooDeep);
    }
    if tokens.is_empty() {
        return Err(Stuck::Syntax);
    }
    if is_text(tokens) {
        return Ok(Answer::Text);
    }
    let each = |parts: Vec<&[Token]>| -> Result<Vec<Answer>, Stuck> {
        parts.into_iter().map(|part| read_nested(part, depth + 1)).collect()
    };
    if let [_, set] = split(tokens, |token| token.is('∈'))?[..] {
        return read_nested(set, depth + 1);
    }
    let parts = split(tokens, |token| token.is('∪'))?;
    if parts.len() > 1 {
        return Ok(Answer::Union(each(parts)?));
    }
    let parts = split(tokens, separates)?;
    if parts.len() > 1 {
        return Ok(list(each(parts)?));
    }
    if let Some(inside) = enclosed(tokens, &Token::SetOpen, &Token::SetClose) {
        let items = if inside.is_empty() { Vec::new() } else { each(split(inside, separates)?)? };
        return Ok(list(items));
    }
    if let Some(tuple) = tuple(tokens, each)? {
        return Ok(tuple);
    }
    if let Some(rows) = matrix(tokens)? {
        let rows = rows.into_iter().map(|row| split(row, |token| token.is('&')).and_then(each));
        return Ok(Answer::Matrix(rows.collect::<Result<_, _>>()?));
    }
    if let Some(relation) = relation(tokens, depth)? {
        return Ok(relation);
    }
    if let Some((digits, base)) = numeral(tokens) {
        return Ok(Answer::Numeral { digits, base });
    }
    let upper = Answer::Value(expression(tokens, Branch::Upper)?);
    if !is_two_valued(tokens) {
        return Ok(upper);
    }
    Ok(Answer::List(vec![upper, Answer::Value(expression(tokens, Branch::Lower)?)]))
}

fn is_text(tokens: &[Token]) -> bool {
    let word = |token: &Token| match token {
        Token::Text(_) => true,
        Token::Word(word) => word.len() > 3,
        _ => false,
    };
    tokens.iter().all(word)
}

fn separates(token: &Token) -> bool {
    match token {
        Token::Symbol(',' | ';') => true,
        Token::Text(word) | Token::Word(word) => matches!(word.trim(), "and" | "or"),
        _ => false,
    }
}

/// Splits at the tokens that `separator` names, outside all brackets.
fn split(tokens: &[Token], separator: impl Fn(&Token) -> bool) -> Result<Vec<&[Token]>, Stuck> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (at, token) in tokens.iter().enumerate() {
        depth += token.nesting();
        if depth < 0 {
            return Err(Stuck::Syntax);
        }
        if depth == 0 && separator(token) {
            parts.push(&tokens[start..at]);
            start = at + 1;
        }
    }
    parts.push(&tokens[start..]);
    Ok(parts)
}

/// A list with lists among its items spliced in; a list of one is its item.
fn list(items: Vec<Answer>) -> Answer {
    let mut flat = Vec::new();
    for item in items {
        match item {
            Answer::List(inner) => flat.extend(inner),
            other => flat.push(other),
        }
    }
    match flat.pop() {
        Some(only) if flat.is_empty() => only,
        last => {
            flat.extend(last);
            Answer::List(flat)
        }
    }
}

/// What is between the first and the last token, if those are `open` and `close` and belong together.
fn enclosed<'a>(tokens: &'a [Token], open: &Token, close: &Token) -> Option<&'a [Token]> {
    let [first, inside @ .., last] = tokens else {
        return None;
    };
    if first != open || last != close {
        return None;
    }
    let mut depth = 0;
    for token in inside {
        depth += token.nesting();
        if depth < 0 {
            return None;
        }
    }
    Some(inside)
}

fn tuple(
    tokens: &[Token],
    each: impl Fn(Vec<&[Token]>) -> Result<Vec<Answer>, Stuck>,
) -> Result<Option<Answer>, Stuck> {
    let (Some(Token::Symbol(open)), Some(Token::Symbol(close))) = (tokens.first(), tokens.last())
    else {
        return Ok(None);
    };
    if !matches!((open, close), ('(' | '[', ')' | ']') | ('⟨', '⟩')) {
        return Ok(None);
    }
    let Some(inside) = enclosed(tokens, &Token::Symbol(*open), &Token::Symbol(*close)) else {
        return Ok(None);
    };
    let parts = split(inside, |token| token.is(',') || token.is(';'))?;
    if parts.len() < 2 {
        return Ok(None);
    }
    let (open, close) = if *open == '⟨' { ('(', ')') } else { (*open, *close) };
    Ok(Some(Answer::Tuple { open, close, items: each(parts)? }))
}

fn matrix(tokens: &[Token]) -> Result<Option<Vec<&[Token]>>, Stuck> {
    let (Some(open @ Token::Begin(name)), Some(close @ Token::End(end))) =
        (tokens.first(), tokens.last())
    else {
        return Ok(None);
    };
    if name != end || !name.ends_with("matrix") {
        return Err(Stuck::Unsupported);
    }
    let inside = enclosed(tokens, open, close).ok_or(Stuck::Syntax)?;
    let mut rows = split(inside, |token| *token == Token::RowBreak)?;
    // A break after the last row is only layout.
    rows.pop_if(|row| row.is_empty());
    Ok(Some(rows))
}

/// A relation; or what `x = ..`, `f(x) = ..` or `2 + 3 = ..` says after its last equals sign.
fn relation(tokens: &[Token], depth: usize) -> Result<Option<Answer>, Stuck> {
    let is_relation =
        |token: &Token| matches!(token, Token::Symbol('=' | '<' | '>' | '≤' | '≥' | '≠'));
    let parts = split(tokens, is_relation)?;
    let ([left, .., right], 2..) = (&parts[..], parts.len()) else {
        return Ok(None);
    };
    let only_equations = parts.len() == tokens.iter().filter(|token| token.is('=')).count() + 1;
    if parts.len() > 2 && !only_equations {
        return Err(Stuck::Unsupported);
    }
    let sides = (expression(left, Branch::Upper), expression(right, Branch::Upper));
    let names =
        |side: &[Token]| side.iter().any(|token| matches!(token, Token::Name(_) | Token::Word(_)));
    let equation = parts.len() == 2 && !is_two_valued(right);
    let of_variable = equation && matches!(sides, (Ok(Expression::Variable(_)), Ok(_)));
    let arithmetic = !names(left) && !names(right) && sides.0.is_ok();
    if only_equations && (arithmetic || (is_name(left) && !of_variable)) {
        return read_nested(right, depth + 1).map(Some);
    }
    if parts.len() > 2 || is_two_valued(tokens) {
        return Err(Stuck::Unsupported);
    }
    let (left_side, right_side) = (sides.0?, sides.1?);
    let (relation, swap) = match tokens[left.len()] {
        Token::Symbol('>') => ('<', true),
        Token::Symbol('≥') => ('≤', true),
        Token::Symbol(relation) => (relation, false),
        _ => return Err(Stuck::Syntax),
    };
    let (left, right) = if swap { (right_side, left_side) } else { (left_side, right_side) };
    Ok(Some(Answer::Relation { relation, left, right }))
}

/// Whether a left side only names something: `x`, `AB`, `f(x)`, `(x, y)`.
fn is_name(tokens: &[Token]) -> bool {
    let allowed = |token: &Token| match token {
        Token::Name(_) | Token::Symbol('(' | ')' | ',') => true,
        Token::Word(word) => word.len() <= 3,
        _ => false,
    };
    tokens.iter().all(allowed) && tokens.iter().any(|token| !matches!(token, Token::Symbol(_)))
}

fn is_two_valued(tokens: &[Token]) -> bool {
    tokens.iter().any(|token| token.is('±') || token.is('∓'))
}

fn numeral(tokens: &[Token]) -> Option<(String, String)> {
    match tokens {
        [Token::Number(digits), Token::Symbol('_'), Token::Number(base)]
        | [
            Token::Number(digits),
            Token::Symbol('_'),
            Token::Symbol('{'),
            Token::Number(base),
            Token::Symbol('}'),
        ] => Some((digits.clone(), base.clone())),
        _ => None,
    }
}
