//! The sections of a PEM text, and what is wrong with a text that has none to use.
//!
//! It decodes no base64. No message quotes the text, which may be a key.

use thiserror::Error;

/// An item that a PEM text is to contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PemItem {
    /// One certificate or more.
    Certificate,
    /// A private key.
    PrivateKey,
}

/// Why a PEM text cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PemProblem {
    /// The text has no section.
    #[error("contains no {}", .0.name())]
    NoSection(PemItem),
    /// The text has only sections of another kind.
    #[error("contains no {}, but a section {found}", .wanted.name())]
    OtherSection {
        /// The item that was expected.
        wanted: PemItem,
        /// The label of the first section.
        found: &'static str,
    },
    /// The file is binary.
    #[error("is a binary file, such as DER or PKCS#12, and not PEM")]
    Binary,
    /// The file is text in UTF-16.
    #[error("is text in UTF-16, and not in UTF-8")]
    Utf16,
    /// The file is too long.
    #[error("is longer than {} MiB", .0 >> 20)]
    TooLong(u64),
    /// More than a label is on a BEGIN line.
    #[error("has more than a label on the BEGIN line {0}: its line breaks may be lost")]
    LostLineBreaks(usize),
    /// A section has no END line.
    #[error("has no END line for the section that begins on line {0}")]
    NoEnd(usize),
    /// The contents of a section cannot be decoded.
    #[error("has a damaged section that begins on line {0}: its contents are not base64")]
    NotBase64(usize),
    /// The private key needs a passphrase.
    #[error("has an encrypted private key on line {0}")]
    Encrypted(usize),
    /// The certificate has the additions of OpenSSL.
    #[error("has a certificate in the TRUSTED format of OpenSSL on line {0}")]
    Trusted(usize),
}

impl PemItem {
    const fn name(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::PrivateKey => "private key",
        }
    }
}

/// Labels of sections that are named in a message. A label of any other text is not quoted.
const OTHER_LABELS: [&str; 12] = [
    "CERTIFICATE",
    "CERTIFICATE REQUEST",
    "NEW CERTIFICATE REQUEST",
    "X509 CRL",
    "PUBLIC KEY",
    "RSA PUBLIC KEY",
    "PRIVATE KEY",
    "RSA PRIVATE KEY",
    "EC PRIVATE KEY",
    "DSA PRIVATE KEY",
    "OPENSSH PRIVATE KEY",
    "DH PARAMETERS",
];

/// A section of a PEM text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Section<'a> {
    pub(super) label: &'a str,
    /// The number of its BEGIN line, counted from 1.
    pub(super) line: usize,
    /// The contents, without headers.
    body: String,
    is_encrypted: bool,
}

impl Section<'_> {
    /// The section as PEM with this label.
    pub(super) fn as_pem(&self, label: &str) -> String {
        format!("-----BEGIN {label}-----\n{}-----END {label}-----\n", self.body)
    }
}

/// The sections of a text. Indentation and byte order marks are ignored.
pub(super) fn sections(text: &str) -> Result<Vec<Section<'_>>, PemProblem> {
    let mut sections = Vec::new();
    let mut open: Option<Section<'_>> = None;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim_matches(|char: char| char.is_whitespace() || char == '\u{feff}');
        if let Some(rest) = line.strip_prefix("-----BEGIN ") {
            let label = rest.strip_suffix("-----").filter(|label| !label.contains('-'));
            let label = label.ok_or(PemProblem::LostLineBreaks(number))?;
            if let Some(unfinished) = open.replace(Section {
                label,
                line: number,
                body: String::new(),
                is_encrypted: label == "ENCRYPTED PRIVATE KEY",
            }) {
                return Err(PemProblem::NoEnd(unfinished.line));
            }
        } else if let Some(rest) = line.strip_prefix("-----END ") {
            match open.take() {
                Some(section) if rest.strip_suffix("-----") == Some(section.label) => sections.push(section),
                Some(section) => return Err(PemProblem::NoEnd(section.line)),
                None => {}
            }
        } else if let Some(section) = &mut open {
            // A header of the traditional format (RFC 1421).
            if line.contains(':') {
                section.is_encrypted |= line.starts_with("Proc-Type:") && line.ends_with("ENCRYPTED");
            } else {
                section.body.push_str(line);
                section.body.push('\n');
            }
        }
    }
    match open {
        Some(unfinished) => Err(PemProblem::NoEnd(unfinished.line)),
        None => Ok(sections),
    }
}

/// The sections with certificates.
pub(super) fn certificates<'s, 't>(all: &'s [Section<'t>]) -> Result<Vec<&'s Section<'t>>, PemProblem> {
    if let Some(trusted) = all.iter().find(|section| section.label == "TRUSTED CERTIFICATE") {
        return Err(PemProblem::Trusted(trusted.line));
    }
    let found: Vec<_> =
        all.iter().filter(|section| ["CERTIFICATE", "X509 CERTIFICATE"].contains(&section.label)).collect();
    if found.is_empty() { Err(missing(PemItem::Certificate, all)) } else { Ok(found) }
}

/// The first section with a private key.
pub(super) fn private_key<'s, 't>(all: &'s [Section<'t>]) -> Result<&'s Section<'t>, PemProblem> {
    const LABELS: [&str; 4] = ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY"];
    match all.iter().find(|section| LABELS.contains(&section.label)) {
        Some(section) if section.is_encrypted => Err(PemProblem::Encrypted(section.line)),
        Some(section) => Ok(section),
        None => Err(missing(PemItem::PrivateKey, all)),
    }
}

fn missing(wanted: PemItem, all: &[Section<'_>]) -> PemProblem {
    let label = |section: &Section<'_>| OTHER_LABELS.into_iter().find(|label| *label == section.label);
    match all.iter().find_map(label) {
        Some(found) => PemProblem::OtherSection { wanted, found },
        None => PemProblem::NoSection(wanted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(label: &str) -> String {
        format!("-----BEGIN {label}-----\nTUlJ\n-----END {label}-----\n")
    }

    #[track_caller]
    fn check_certificate(text: &str, expected: Result<usize, &str>) {
        let sections = sections(text);
        let found = sections.as_ref().map_err(|problem| *problem).and_then(|all| certificates(all));
        assert_eq!(
            found.map(|found| found.len()).map_err(|problem| problem.to_string()),
            expected.map_err(str::to_owned)
        );
    }

    #[track_caller]
    fn check_key(text: &str, expected: Result<&str, &str>) {
        let sections = sections(text);
        let found = sections.as_ref().map_err(|problem| *problem).and_then(|all| private_key(all));
        assert_eq!(
            found.map(|found| found.label).map_err(|problem| problem.to_string()),
            expected.map_err(str::to_owned)
        );
    }

    #[test]
    fn marks_indentation_line_ends_and_comments_are_ignored() {
        let cert = section("CERTIFICATE");
        check_certificate(&format!("\u{feff}{cert}\u{feff}{cert}"), Ok(2));
        check_certificate(&cert.replace('\n', "\r\n"), Ok(1));
        check_certificate(&format!("# Root\nIssuer: one\n{}", cert.replace('\n', "\n    ")), Ok(1));
        check_certificate(&section("X509 CERTIFICATE"), Ok(1));
        check_key(&format!("{}{}", section("EC PARAMETERS"), section("EC PRIVATE KEY")), Ok("EC PRIVATE KEY"));
    }

    #[test]
    fn each_fault_has_its_own_sentence() {
        check_certificate("", Err("contains no certificate"));
        check_certificate(&section("SECRET"), Err("contains no certificate"));
        check_certificate(&section("PUBLIC KEY"), Err("contains no certificate, but a section PUBLIC KEY"));
        let trusted = "has a certificate in the TRUSTED format of OpenSSL on line 4";
        check_certificate(&(section("CERTIFICATE") + &section("TRUSTED CERTIFICATE")), Err(trusted));
        let damaged = "has no END line for the section that begins on line 2";
        check_certificate("\n-----BEGIN CERTIFICATE-----\nTUlJ\n", Err(damaged));
        check_certificate(&format!("\n-----BEGIN CERTIFICATE-----\n{}", section("CERTIFICATE")), Err(damaged));

        let in_one_line = section("PRIVATE KEY").replace('\n', "");
        check_key(&in_one_line, Err("has more than a label on the BEGIN line 1: its line breaks may be lost"));
        check_key(&section("CERTIFICATE"), Err("contains no private key, but a section CERTIFICATE"));
        check_key(&section("PUBLIC KEY"), Err("contains no private key, but a section PUBLIC KEY"));
        check_key(&section("ENCRYPTED PRIVATE KEY"), Err("has an encrypted private key on line 1"));
        let traditional = section("RSA PRIVATE KEY").replace("TUlJ", "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES\n\nTUlJ");
        check_key(&traditional, Err("has an encrypted private key on line 1"));
    }
}
