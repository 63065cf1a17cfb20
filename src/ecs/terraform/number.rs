//! Numbers. Terraform's have 512 binary digits, and all that they come to is written; ours have 53. What is not exact
//! in these is known for comparisons, but not as text.

/// How many decimal digits a number may have to be the one that was written.
const DIGITS: usize = 15;

/// The first whole number that not all its neighbours are.
const INEXACT: f64 = 9_007_199_254_740_992.0;

/// A number as Terraform writes it, where all its digits are known.
pub(super) fn digits(number: f64) -> Option<String> {
    let text = if number == 0.0 { "0".to_owned() } else { number.to_string() };
    let significant = text.trim_start_matches(['-', '0', '.']).bytes().filter(u8::is_ascii_digit).count();
    let zeros = if text.contains('.') { 0 } else { text.bytes().rev().take_while(|digit| *digit == b'0').count() };
    (number.is_finite() && significant.saturating_sub(zeros) <= DIGITS).then_some(text)
}

pub(super) fn sum(a: f64, b: f64) -> f64 {
    made(a + b, exact(a) && exact(b))
}

pub(super) fn product(a: f64, b: f64) -> f64 {
    let made_of = a * b;
    made(made_of, exact(a) && exact(b) && a.mul_add(b, -made_of) == 0.0)
}

pub(super) fn quotient(a: f64, b: f64) -> f64 {
    let made_of = a / b;
    made(made_of, exact(a) && exact(b) && made_of.mul_add(b, -a) == 0.0)
}

pub(super) fn remainder(a: f64, b: f64) -> f64 {
    made(a % b, exact(a) && exact(b))
}

/// Whether a number is what was written, in binary as well: whole, or with few binary places.
fn exact(number: f64) -> bool {
    let places = f64::from(1 << 20);
    number.abs() < INEXACT && number.fract() == 0.0
        || number.abs() < INEXACT / places && (number * places).fract() == 0.0
}

/// A result; one that is not exact has no few digits by chance.
fn made(number: f64, is_exact: bool) -> f64 {
    let is_exact = is_exact && number.abs() < INEXACT;
    if is_exact || digits(number).is_none() { number } else { number.next_up() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_exact_has_no_text() {
        for (result, wanted) in [
            (0.1, Some("0.1")),
            (123_456_789_012.0, Some("123456789012")),
            (1e20, Some("100000000000000000000")),
            (12_345_678_901_234_567_890.0, None),
            (-0.0, Some("0")),
            (sum(1.0, -3.0), Some("-2")),
            (sum(0.5, 0.25), Some("0.75")),
            // 0.3, and 3.00…03 with 150 digits between.
            (sum(0.1, 0.2), None),
            (sum(product(1.1, 3.0), -0.3), None),
            (sum(1e20, 1.0), None),
            (product(0.25, 4096.0), Some("1024")),
            (quotient(1024.0, 4.0), Some("256")),
            (quotient(7.0, 2.0), Some("3.5")),
            (quotient(1.0, 3.0), None),
            (quotient(1.0, 0.0), None),
        ] {
            assert_eq!(digits(result).as_deref(), wanted, "{result}");
        }
        for divisor in [3.0, 7.0, 9.0, 11.0, 13.0] {
            for number in (1..1000).map(f64::from).filter(|number| number % divisor != 0.0) {
                assert_eq!(digits(quotient(number, divisor)), None, "{number} / {divisor}");
            }
        }
    }
}
