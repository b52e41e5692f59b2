use super::answer::{Answer, plain_text, read};
use super::atom::decimal;
use super::canonical::{Fraction, canonical};
use super::expression::Expression;
use super::limits::{FUEL, Fuel, Stuck};
use super::numeric::{approximate, clearly_different};
use super::token::tokens;

/// Whether two answers mean the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Equality {
    /// They do; proved exactly.
    Equal,
    /// They do not.
    Different,
    /// This comparison cannot tell.
    Undecided,
}

/// Compares an answer in LaTeX with the gold answer.
///
/// Order matters in tuples, vectors and intervals, not in sets and lists of solutions. Units of
/// measure, degree, currency and per-cent signs are passed over. `x = 5` may answer 5, and the digits
/// alone may answer a numeral with a base. Words are compared without regard to case and punctuation.
///
/// Never takes long and never overflows: see the limits of this module. Text too long, too deep or
/// in unknown notation is [`Equality::Undecided`] unless it is the gold to the letter; an answer
/// without a value, such as 1/0, is [`Equality::Different`] from one that has a value.
pub fn compare(answer: &str, gold: &str) -> Equality {
    if answer.trim() == gold.trim() {
        return Equality::Equal;
    }
    let (Ok(answer), Ok(gold)) = (tokens(answer), tokens(gold)) else {
        return Equality::Undecided;
    };
    if answer == gold {
        return Equality::Equal;
    }
    let mut fuel = Fuel::new(FUEL);
    match (read(&answer), read(&gold)) {
        (Ok(Answer::Text), _) | (_, Ok(Answer::Text)) => {
            decided(plain_text(&answer) == plain_text(&gold))
        }
        (Ok(answer), Ok(gold)) => structures(&answer, &gold, &mut fuel),
        _ => Equality::Undecided,
    }
}

fn decided(equal: bool) -> Equality {
    if equal { Equality::Equal } else { Equality::Different }
}

fn structures(answer: &Answer, gold: &Answer, fuel: &mut Fuel) -> Equality {
    match (answer, gold) {
        (Answer::Value(a), Answer::Value(b)) => values(a, b, fuel),
        (
            Answer::Tuple { open, close, items },
            Answer::Tuple { open: gold_open, close: gold_close, items: gold_items },
        ) => {
            if (open, close, items.len()) != (gold_open, gold_close, gold_items.len()) {
                return Equality::Different;
            }
            all(items.iter().zip(gold_items), fuel)
        }
        (Answer::List(a), Answer::List(b)) | (Answer::Union(a), Answer::Union(b)) => {
            unordered(a, b, fuel)
        }
        (Answer::Matrix(a), Answer::Matrix(b)) => {
            if !a.iter().map(Vec::len).eq(b.iter().map(Vec::len)) {
                return Equality::Different;
            }
            all(a.iter().flatten().zip(b.iter().flatten()), fuel)
        }
        (
            Answer::Relation { relation: a, left, right },
            Answer::Relation { relation: b, left: gold_left, right: gold_right },
        ) if a == b => match relations(*a, (left, right), (gold_left, gold_right), fuel) {
            Ok(equality) => equality,
            Err(_) => Equality::Undecided,
        },
        (relation @ Answer::Relation { .. }, Answer::Value(value)) => match assigned(relation) {
            Some(assigned) => values(assigned, value, fuel),
            None => Equality::Undecided,
        },
        (Answer::Value(value), relation @ Answer::Relation { .. }) => match assigned(relation) {
            Some(assigned) => values(value, assigned, fuel),
            None => Equality::Undecided,
        },
        (Answer::Numeral { digits, base }, Answer::Numeral { digits: gold, base: gold_base }) => {
            decided(digits == gold && base == gold_base)
        }
        (Answer::Numeral { digits, .. }, Answer::Value(Expression::Number(value)))
        | (Answer::Value(Expression::Number(value)), Answer::Numeral { digits, .. }) => {
            decided(decimal(digits).as_ref() == Ok(value))
        }
        // A set may be written as a condition, a vector as a row or a list in brackets.
        (
            Answer::Relation { .. },
            Answer::Relation { .. } | Answer::Tuple { .. } | Answer::Union(_),
        )
        | (Answer::Tuple { .. } | Answer::Union(_), Answer::Relation { .. })
        | (Answer::Tuple { .. }, Answer::Matrix(_) | Answer::List(_))
        | (Answer::Matrix(_) | Answer::List(_), Answer::Tuple { .. }) => Equality::Undecided,
        _ => Equality::Different,
    }
}

/// All pairs must be equal; one different pair decides.
fn all<'a>(pairs: impl Iterator<Item = (&'a Answer, &'a Answer)>, fuel: &mut Fuel) -> Equality {
    let mut verdict = Equality::Equal;
    for (answer, gold) in pairs {
        match structures(answer, gold, fuel) {
            Equality::Equal => {}
            Equality::Different => return Equality::Different,
            Equality::Undecided => verdict = Equality::Undecided,
        }
    }
    verdict
}

/// Equal up to order. Equality is transitive, so taking the first equal partner is enough.
fn unordered(answers: &[Answer], golds: &[Answer], fuel: &mut Fuel) -> Equality {
    if answers.len() != golds.len() {
        return Equality::Different;
    }
    let mut left: Vec<&Answer> = golds.iter().collect();
    for answer in answers {
        let verdicts: Vec<Equality> =
            left.iter().map(|gold| structures(answer, gold, fuel)).collect();
        match verdicts.iter().position(|verdict| *verdict == Equality::Equal) {
            Some(found) => {
                left.swap_remove(found);
            }
            None if verdicts.contains(&Equality::Undecided) => return Equality::Undecided,
            None => return Equality::Different,
        }
    }
    Equality::Equal
}

fn values(answer: &Expression, gold: &Expression, fuel: &mut Fuel) -> Equality {
    let undefined = |form: &Result<Fraction, Stuck>| form.as_ref().err() == Some(&Stuck::Undefined);
    let forms = (canonical(answer, fuel), canonical(gold, fuel));
    match &forms {
        (Ok(answer), Ok(gold)) => match answer.equals(gold, fuel) {
            Ok(true) => return Equality::Equal,
            Ok(false) if !answer.is_opaque() && !gold.is_opaque() => return Equality::Different,
            _ => {}
        },
        (Ok(_), undefined_form) | (undefined_form, Ok(_)) if undefined(undefined_form) => {
            return Equality::Different;
        }
        _ => {}
    }
    match (approximate(answer), approximate(gold)) {
        (Some(a), Some(b)) if clearly_different(&a, &b) => Equality::Different,
        _ => Equality::Undecided,
    }
}

/// The right side of `x = ..`, if the variable does not occur in it.
fn assigned(relation: &Answer) -> Option<&Expression> {
    match relation {
        Answer::Relation { relation: '=', left: Expression::Variable(name), right }
            if !right.mentions(name) =>
        {
            Some(right)
        }
        _ => None,
    }
}

/// Two equations are the same if `left - right` is proportional; inequalities also need the factor to
/// be positive.
fn relations(
    relation: char,
    answer: (&Expression, &Expression),
    gold: (&Expression, &Expression),
    fuel: &mut Fuel,
) -> Result<Equality, Stuck> {
    let mut difference = |(left, right): (&Expression, &Expression)| -> Result<Fraction, Stuck> {
        let (left, right) = (canonical(left, fuel)?, canonical(right, fuel)?);
        left.subtract(&right, fuel)
    };
    let (a, b) = (difference(answer)?, difference(gold)?);
    if a.equals(&b, fuel)? {
        return Ok(Equality::Equal);
    }
    let (Some(p), Some(q)) = (a.polynomial(), b.polynomial()) else {
        return Ok(Equality::Undecided);
    };
    let (Some(x), Some(y)) = (p.leading(), q.leading()) else {
        return Ok(Equality::Different);
    };
    let directed = matches!(relation, '<' | '≤');
    let proportional = p.clone().scale(y)? == q.clone().scale(x)?;
    if proportional && (!directed || x.sign() == y.sign()) {
        return Ok(Equality::Equal);
    }
    Ok(if a.is_opaque() || b.is_opaque() { Equality::Undecided } else { Equality::Different })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(expected: Equality, pairs: &[(&str, &str)]) {
        for (a, b) in pairs {
            assert_eq!(compare(a, b), expected, "{a}  against  {b}");
            assert_eq!(compare(b, a), expected, "{b}  against  {a}");
        }
    }

    #[test]
    fn equal_numbers() {
        check(
            Equality::Equal,
            &[
                ("0.5", "\\frac12"),
                ("1/2", "\\dfrac{2}{4}"),
                ("1\\frac{4}{5}", "1.8"),
                ("137 \\frac{1}{2}", "275/2"),
                ("1 1/2", "\\frac32"),
                ("10,\\!080", "10080"),
                (".35625", "\\frac{57}{160}"),
                ("2^{10}", "1024"),
                ("5!", "120"),
                ("\\binom{5}{2}", "10"),
                ("\\$32,\\!348", "32348"),
                ("90^\\circ", "90"),
                ("15\\mbox{ cm}^2", "15"),
                ("5.4 \\text{ cents}", "5.4"),
                ("12 inches", "12"),
                ("50\\%", "50"),
                ("-\\frac{1}{3}", "\\frac{-1}{3}"),
                ("|-3|", "3"),
            ],
        );
    }

    #[test]
    fn equal_surds_and_constants() {
        check(
            Equality::Equal,
            &[
                ("\\sqrt{12}", "2\\sqrt3"),
                ("\\frac{1}{\\sqrt{3}}", "\\frac{\\sqrt{3}}{3}"),
                ("\\frac{1}{1+\\sqrt{2}}", "\\sqrt{2}-1"),
                ("\\sqrt[3]{16}", "2\\sqrt[3]{2}"),
                ("\\sqrt[3]{-8}", "-2"),
                ("\\sqrt{2}\\cdot\\sqrt[3]{2}", "2^{5/6}"),
                ("\\sqrt{-9}", "3i"),
                ("(1+2i)^2", "-3+4i"),
                ("\\frac{1}{i}", "-i"),
                ("18+2\\pi", "2(\\pi+9)"),
                ("\\frac{20000}{\\pi}", "20000\\pi^{-1}"),
                ("11\\sqrt5+11", "11(1+\\sqrt{5})"),
                ("e^{2}", "\\exp(2)"),
            ],
        );
    }

    #[test]
    fn equal_formulas_and_structures() {
        check(
            Equality::Equal,
            &[
                ("(a+5)(b+2)", "ab+2a+5b+10"),
                ("\\frac{x^2-1}{x-1}", "x+1"),
                ("x^3 + 3x - 6", "-6+3x+x^3"),
                ("1 \\pm \\sqrt{19}", "1-\\sqrt{19}, 1+\\sqrt{19}"),
                ("\\{1\\pm\\sqrt{5},-2\\}", "-2, 1+\\sqrt5, 1-\\sqrt5"),
                ("1,-2", "-2 \\text{ and } 1"),
                ("\\left( 3, \\frac{\\pi}{2} \\right)", "(3.0,\\pi/2)"),
                ("(-\\infty, 2) \\cup (3, \\infty)", "(3,\\infty)\\cup(-\\infty,2)"),
                ("x \\in [-2,7]", "[-2, 7]"),
                (
                    "\\begin{pmatrix} -1/3 \\\\ 2/3 \\end{pmatrix}",
                    "\\begin{bmatrix}-\\frac13\\\\\\frac23\\end{bmatrix}",
                ),
                ("x=5", "5"),
                ("x = 1 + 4 = 5", "5"),
                ("8 + 8 + 15 = 31 \\text{ units}", "31"),
                ("DE = 10", "10"),
                ("f(x) = 2x+3", "2x+3"),
                ("(x, y) = (1, 2)", "(1,2)"),
                ("x = 1 \\pm 2", "3, -1"),
                (
                    "\\mathbf{v} = \\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}",
                    "\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}",
                ),
                ("\\emptyset", "\\{\\}"),
                ("y = 2x + 3", "2x+3"),
                ("5x - 7y + 11z + 4 = 0", "7y = 5x+11z+4"),
                ("2x > 4", "2 < x"),
                ("2516_8", "2516_{8}"),
                ("2516_8", "2516"),
                ("\\text{Evelyn}", "evelyn"),
                ("\\text{(C)}", "C"),
                ("\\cot x", "\\cot(x)"),
                ("\\sin^2 x", "(\\sin x)^2"),
            ],
        );
    }

    #[test]
    fn different_answers() {
        check(
            Equality::Different,
            &[
                ("1", "2"),
                ("0.333333333333", "\\frac13"),
                ("\\sqrt{2}", "1.41421356"),
                ("\\pi", "3.14159265358979"),
                ("(1,2)", "(2,1)"),
                ("(1,2)", "[1,2)"),
                ("1,2", "1,2,3"),
                ("1,2", "1"),
                ("x+1", "x+2"),
                ("2x > 4", "x < 2"),
                ("x=5", "x=6"),
                ("2516_8", "2516_7"),
                ("2516_8", "1358"),
                ("\\text{even}", "\\text{odd}"),
                ("\\text{Evelyn}", "5"),
                ("\\sin 1", "\\cos 1"),
                ("1/0", "3"),
                ("\\frac{1}{\\sqrt{2}-\\sqrt{2}}", "3"),
                ("\\begin{pmatrix}1\\\\2\\end{pmatrix}", "\\begin{pmatrix}2\\\\1\\end{pmatrix}"),
            ],
        );
    }

    #[test]
    fn what_cannot_be_told_is_undecided() {
        check(
            Equality::Undecided,
            &[
                ("\\sqrt{4+2\\sqrt{3}}", "1+\\sqrt{3}"),
                ("\\sin^2 1+\\cos^2 1", "1"),
                ("5^{5^{5^{5}}}", "5"),
                ("9^{9^{9}}", "9^{9^{8}}"),
                ("200!!", "1"),
                ("\\foo", "5"),
                ("4{10}", "40"),
                ("1 < x < 2", "(1,2)"),
                ("\\sin 30^\\circ", "\\frac12"),
                ("(1,2)", "1,2"),
                ("x > 2", "(2,\\infty)"),
                ("1/0", "2/0"),
            ],
        );
    }

    #[test]
    fn hostile_texts_end_quickly() {
        let many = 100_000;
        for text in [
            "{".repeat(many),
            format!("{}1{}", "{".repeat(many), "}".repeat(many)),
            format!("{}1{}", "(".repeat(900), ")".repeat(900)),
            format!("{}1{}", "\\{".repeat(400), "\\}".repeat(400)),
            "-".repeat(1900) + "5",
            "1/".repeat(900) + "1",
            "x^".repeat(900) + "1",
            "\\frac".repeat(300),
            "\\sqrt".repeat(300) + "2",
            "\\sin".repeat(400) + "2",
            "(1+x)".repeat(200) + "(1+y)",
            "(a+b+c+d+e+f)^{60}".to_owned(),
            "((((((2^{60})^{60})^{60})^{60})^{60})^{60})".to_owned(),
            "1,".repeat(900) + "1",
            "1000000016000000063^{1/2}".to_owned(),
            "\\sqrt{".repeat(45) + "x+1" + &"}".repeat(45),
            "9".repeat(1900),
            "!".repeat(1000),
            "5".to_owned() + &"!".repeat(1000),
        ] {
            assert_ne!(compare(&text, "7"), Equality::Equal, "{}", &text[..20]);
            assert_eq!(compare(&text, &text), Equality::Equal);
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(
            text in ".{0,40}",
            latex in r"(\\frac|\\sqrt|\\pi|\\text\{a\}|\\pm|\\cup|\\begin\{pmatrix\}|\\end\{pmatrix\}|\\\\|[{}()\[\]0-9xyie+*/^_=<,!|% -]){0,25}"
        ) {
            let _ = (compare(&text, "x"), compare(&latex, "\\frac{1}{2}"), compare(&latex, &text));
        }

        #[test]
        fn fractions_are_equal_as_rationals(a in -50i64..50, b in 1i64..50, c in -50i64..50, d in 1i64..50) {
            let latex = format!("\\frac{{{a}}}{{{b}}}");
            let expected = decided(a * d == b * c);
            prop_assert_eq!(compare(&latex, &format!("{c}/{d}")), expected);
        }

        #[test]
        fn surds_square_back(n in 2u32..5000, m in 1u32..50) {
            let (root, product) = (format!("{m}\\sqrt{{{n}}}"), format!("\\sqrt{{{}}}", m * m * n));
            prop_assert_eq!(compare(&root, &product), Equality::Equal);
            prop_assert_eq!(compare(&format!("({root})^2"), &format!("{}", m * m * n)), Equality::Equal);
        }
    }
}
