//! Payment cards' numbers (ISO/IEC 7812): by the issuer's first digits, the length and the check digit.

use std::ops::{Range, RangeInclusive};

/// A network's first digits, as a range of numbers with as many digits, and how long its numbers are.
type Issuer = (RangeInclusive<u32>, RangeInclusive<usize>);

const ISSUERS: [Issuer; 17] = [
    // Visa
    (4..=4, 13..=19),
    // Mastercard
    (51..=55, 16..=16),
    (2221..=2720, 16..=16),
    // American Express
    (34..=34, 15..=15),
    (37..=37, 15..=15),
    // Diners Club
    (300..=305, 14..=19),
    (3095..=3095, 14..=19),
    (36..=36, 14..=19),
    (38..=39, 14..=19),
    // JCB
    (3528..=3589, 16..=19),
    // Mir
    (2200..=2204, 16..=19),
    // Maestro
    (50..=50, 13..=19),
    (56..=58, 13..=19),
    // Discover, UnionPay, RuPay, Maestro
    (60..=60, 13..=19),
    (62..=65, 13..=19),
    (66..=69, 13..=19),
    // UnionPay, RuPay
    (81..=82, 16..=19),
];

/// How many digits a number has.
const DIGITS: RangeInclusive<usize> = 13..=19;

/// The numbers in a text. One begins and ends with a group of digits: what is within a longer run of digits is no card's. Between groups there
/// is one space, dash, or the plus that stands for a space in a form.
pub(super) fn find(text: &[u8]) -> Vec<Range<usize>> {
    let (mut found, mut groups) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < text.len() {
        if !text[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let length = text[at..].iter().take_while(|b| b.is_ascii_digit()).count();
        let joined = groups
            .last()
            .is_some_and(|last: &Range<usize>| last.end + 1 == at && matches!(text[last.end], b' ' | b'-' | b'+'));
        if !joined {
            numbers(text, &groups, &mut found);
            groups.clear();
        }
        groups.push(at..at + length);
        at += length;
    }
    numbers(text, &groups, &mut found);
    found
}

/// The numbers among groups that are joined, the longest from each.
fn numbers(text: &[u8], groups: &[Range<usize>], found: &mut Vec<Range<usize>>) {
    let mut first = 0;
    while first < groups.len() {
        match longest(text, &groups[first..]) {
            Some(taken) => {
                found.push(groups[first].start..groups[first + taken - 1].end);
                first += taken;
            }
            None => first += 1,
        }
    }
}

/// How many of the groups, from the first on, are a number together.
fn longest(text: &[u8], groups: &[Range<usize>]) -> Option<usize> {
    let start = groups[0].start;
    // Behind a point it is a fraction.
    if start >= 2 && text[start - 1] == b'.' && text[start - 2].is_ascii_digit() {
        return None;
    }
    let (mut digits, mut longest) = (Vec::with_capacity(*DIGITS.end()), None);
    for (i, group) in groups.iter().enumerate() {
        if digits.len() + group.len() > *DIGITS.end() {
            break;
        }
        digits.extend(text[group.clone()].iter().map(|digit| u32::from(digit - b'0')));
        if DIGITS.contains(&digits.len()) && is_issued(&digits) && is_checked(&digits) {
            longest = Some(i + 1);
        }
    }
    longest
}

fn is_issued(digits: &[u32]) -> bool {
    ISSUERS.iter().any(|(prefixes, lengths)| {
        let length = prefixes.end().ilog10() as usize + 1;
        let prefix = digits[..length].iter().fold(0, |number, digit| number * 10 + digit);
        prefixes.contains(&prefix) && lengths.contains(&digits.len())
    })
}

/// Luhn's check (ISO/IEC 7812-1, annex B): every second digit from the right counts double, and the digits of that.
fn is_checked(digits: &[u32]) -> bool {
    let counted = digits.iter().rev().enumerate().map(|(i, digit)| match i % 2 {
        0 => *digit,
        _ => digit * 2 / 10 + digit * 2 % 10,
    });
    counted.sum::<u32>().is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<&str> {
        find(text.as_bytes()).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn numbers_of_known_issuers() {
        // The networks' own test numbers.
        for number in [
            "4111111111111111",
            "4222222222222",
            "5555555555554444",
            "2223003122003222",
            "378282246310005",
            "6011111111111117",
            "30569309025904",
            "38520000023237",
            "3530111333300000",
            "6200000000000005",
            "6759649826438453",
        ] {
            assert_eq!(found(&format!("pay {number}!")), [number]);
        }
    }

    #[test]
    fn groups_and_what_is_around_them() {
        for (text, cards) in [
            ("4111 1111 1111 1111", &["4111 1111 1111 1111"][..]),
            ("4111-1111-1111-1111.", &["4111-1111-1111-1111"]),
            ("4111+1111+1111+1111", &["4111+1111+1111+1111"]),
            ("3782 822463 10005", &["3782 822463 10005"]),
            ("12 4111 1111 1111 1111 12/27", &["4111 1111 1111 1111"]),
            ("4111111111111111 5555555555554444", &["4111111111111111", "5555555555554444"]),
            ("id4111111111111111x", &["4111111111111111"]),
            ("4111  1111 1111 1111", &[]),
            ("04111111111111111", &[]),
            ("41111111111111110000", &[]),
            ("4111111111111112", &[]),
            ("1111111111111117", &[]),
            ("0.4111111111111111", &[]),
            ("1700000000000", &[]),
            ("", &[]),
        ] {
            assert_eq!(found(text), cards, "{text}");
        }
    }
}
