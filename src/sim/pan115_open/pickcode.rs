//! Pick codes: the id of an entry in another spelling (115_open.md section 4.13).

const ALPHABET: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// Prefixes and their permutations; those of two letters mean folders.
const TABLES: [(&str, &[u8; 36]); 10] = [
    ("a", b"fuln1ytpj3smg8d5a094qh7cxkbi62zvewro"),
    ("b", b"sk721n9a0emlfpcrzbqdw3gjh6ty5xui48vo"),
    ("c", b"ywcz3hite6f1j0guoakvdb2ns7p8qr9ml5x4"),
    ("d", b"rq2vl5o7wsken9u8tp4jg3zbyc6xmhifd01a"),
    ("e", b"ljm9eqbcfhw7ktv3x1dgp5ua8y6s4znr2io0"),
    ("fa", b"fumk0ytpj3sng8d5a194qh7cxlbi62zvewro"),
    ("fb", b"sk732o9a1enmfpcrzbqdw4gjh6ty5xui08vl"),
    ("fc", b"ywcz6hite9f4j3gup2kvdb5osal0qr1nm8x7"),
    ("fd", b"on6vl0r2wpkeq9u3ts8jg7zbyc1xmhifd45a"),
    ("fe", b"ljm0es2cfhwakqv6x4dgp8r1by9u7znt5io3"),
];

fn through(from: &[u8; 36], to: &[u8; 36], text: &str) -> Option<String> {
    let one = |byte| from.iter().position(|known| *known == byte);
    text.bytes()
        .map(|byte| one(byte).map(|at| char::from(to[at])))
        .collect()
}

fn base36(mut number: u64) -> String {
    let mut digits = Vec::new();
    loop {
        digits.push(char::from(ALPHABET[(number % 36) as usize]));
        number /= 36;
        if number == 0 {
            return digits.iter().rev().collect();
        }
    }
}

/// The four characters that stand for a user, by account number.
pub(super) fn user_constant(account: usize) -> String {
    format!("0ab{}", char::from(ALPHABET[(account + 11) % 36]))
}

/// The pick code of an id with a given prefix; `None` for an id that is no number or an
/// unknown prefix.
fn encode_with(prefix: &str, id: &str, constant: &str) -> Option<String> {
    let (_, table) = TABLES.iter().find(|(known, _)| *known == prefix)?;
    let middle = through(table, ALPHABET, &base36(id.parse().ok()?))?;
    let suffix = through(table, ALPHABET, constant)?;
    Some(format!("{prefix}{middle}{suffix}"))
}

/// The pick code of an entry; the root's is empty.
pub(super) fn encode(id: &str, dir: bool, account: usize) -> String {
    let number: u64 = id.parse().unwrap_or(0);
    if number == 0 {
        return String::new();
    }
    // Which of the five prefixes means nothing to a client, so they all occur.
    let at = (number % 5) as usize + if dir { 5 } else { 0 };
    encode_with(TABLES[at].0, id, &user_constant(account)).unwrap_or_default()
}

/// Id behind a pick code of this account, and whether it means a folder.
pub(super) fn decode(code: &str, account: usize) -> Option<(String, bool)> {
    let dir = code.starts_with('f');
    let (prefix, rest) = code.split_at_checked(if dir { 2 } else { 1 })?;
    let (_, table) = TABLES.iter().find(|(known, _)| *known == prefix)?;
    let (middle, suffix) = rest.split_at_checked(rest.len().checked_sub(4)?)?;
    let constant = through(ALPHABET, table, suffix)?;
    let digits = through(ALPHABET, table, middle)?;
    let id = u64::from_str_radix(&digits, 36).ok()?;
    (constant == user_constant(account)).then(|| (id.to_string(), dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_vectors() {
        for (id, constant, prefix, code) in [
            ("1", "0000", "a", "a4hhhh"),
            ("1", "0000", "fa", "fah4444"),
            ("2999000111222333444", "0abc", "a", "abain6q0lraoxhgqn"),
            ("2999000111222333444", "0abc", "e", "e2r37d689xrgazn67"),
            ("2999000111222330000", "0abc", "fa", "fa2ain6q0lrkgd4gqn"),
        ] {
            assert_eq!(encode_with(prefix, id, constant).as_deref(), Some(code));
        }
        assert_eq!(
            decode("e2r37d689xrgazn67", 1),
            Some(("2999000111222333444".to_owned(), false))
        );
        assert_eq!(
            decode("fa2ain6q0lrkgd4gqn", 1),
            Some(("2999000111222330000".to_owned(), true))
        );
        assert_eq!(decode("e2r37d689xrgazn67", 2), None, "another user's");
    }

    #[test]
    fn every_prefix_goes_there_and_back() {
        for id in 3_000_000_000_000_000_000_u64..3_000_000_000_000_000_010 {
            for dir in [false, true] {
                let code = encode(&id.to_string(), dir, 2);
                assert_eq!(decode(&code, 2), Some((id.to_string(), dir)), "{code}");
            }
        }
        for junk in ["", "f", "a", "abc", "zzzzzz", "e2r37d689xrgazn6é", "äöü"] {
            assert_eq!(decode(junk, 1), None, "{junk}");
        }
    }
}
