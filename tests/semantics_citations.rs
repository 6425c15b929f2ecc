//! Every paragraph of docs/semantics.md has an anchor `S-nnn`. A test cites it in a comment
//! (`// S-017`) or in its name (`fn s017_...`). This file fails when a test cites an anchor that
//! does not exist, and when a paragraph is cited by nobody.

mod source;

use std::collections::BTreeSet;
use std::fs;

use source::Source;

/// The number of an anchor `S-nnn` at the start of `text`.
fn anchor(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("S-")?;
    let number = digits.get(..3)?;
    let longer = digits[3..].starts_with(|c: char| c.is_ascii_digit());
    let all = number.bytes().all(|b| b.is_ascii_digit());
    (all && !longer).then(|| number.parse().ok())?
}

/// The anchors of the document, in order.
fn paragraphs(document: &str) -> Vec<u16> {
    document
        .lines()
        .filter_map(|line| anchor(line.strip_prefix("**")?))
        .collect()
}

/// Citations in the tests of one file: anchor and place.
fn citations(source: &Source) -> Vec<(u16, String)> {
    let mut found = Vec::new();
    let place = |at: usize| format!("{}:{}", source.path, source.line(at));
    for (at, _) in source.text.match_indices("S-") {
        let alone = !source.text[..at].ends_with(|c: char| c.is_alphanumeric());
        let comment = source.text[..at]
            .rsplit('\n')
            .next()
            .is_some_and(|line| line.contains("//"));
        if alone
            && comment
            && source.is_test(at)
            && let Some(number) = anchor(&source.text[at..])
        {
            found.push((number, place(at)));
        }
    }
    for (at, _) in source.code.match_indices("fn s") {
        let name = source.code[at + "fn s".len()..].trim_start_matches('_');
        let number = name
            .get(..3)
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
        let ends = name.get(3..4) == Some("_");
        if let Some(number) = number.and_then(|digits| digits.parse().ok())
            && ends
            && source.is_test(at)
        {
            found.push((number, place(at)));
        }
    }
    found
}

#[test]
fn every_paragraph_is_tested() {
    let document =
        fs::read_to_string(source::project().join("docs/semantics.md")).expect("docs/semantics.md");
    let anchors = paragraphs(&document);
    assert!(anchors.len() > 50, "the anchors are not seen any more");
    let mut wrong = Vec::new();
    for pair in anchors.windows(2) {
        if pair[0] >= pair[1] {
            wrong.push(format!("S-{:03} stands before S-{:03}", pair[0], pair[1]));
        }
    }
    let mut cited: BTreeSet<u16> = BTreeSet::new();
    for source in source::library().iter().chain(&source::tests()) {
        if source.path == "tests/semantics_citations.rs" {
            continue;
        }
        for (number, place) in citations(source) {
            if !anchors.contains(&number) {
                wrong.push(format!(
                    "{place}: S-{number:03} is not in docs/semantics.md"
                ));
            }
            cited.insert(number);
        }
    }
    for number in &anchors {
        if !cited.contains(number) {
            wrong.push(format!("S-{number:03}: no test cites it"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_reader_of_citations_can_see() {
    let text = "
        // S-001: not in a test
        #[cfg(test)]
        mod tests {
            // S-002, S-003 and row S0-112, S1-044
            #[test]
            fn s004_a_name() { let s = \"S-005\"; }
        }
    ";
    let source = Source::from_text("src/net/example.rs", text);
    let seen: Vec<u16> = citations(&source).into_iter().map(|(n, _)| n).collect();
    assert_eq!(seen, [2, 3, 4]);
    let document = "# Title\n\n**S-001** One.\n\nsee S-009\n\n**S-010** Two.\n";
    assert_eq!(paragraphs(document), [1, 10]);
}
