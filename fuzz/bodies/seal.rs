//! Sealing the secrets of any definition takes them out of the text, opening gives the same bytes, and sealing
//! what is sealed changes nothing.
use esc_injector::lang::{
    envelope,
    seal::{Found, Plaintext, seal, unseal},
};

/// Stands where a secret was found.
const MARK: &[u8] = b"escx-fuzz";

/// The definition, as text. What begins with a NUL is taken for one that is sealed already.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(sealed) = text.strip_prefix('\0') {
        // Envelopes that nobody has sealed are refused or open to something; neither panics.
        let opened = unseal(sealed, &mut |text| decode(text).ok_or_else(|| "not ours".to_owned()));
        drop(opened);
        return;
    }
    let mut close = |found: Found| match found {
        Found::Plain(plain) => {
            let content = [MARK, &plain.encode()].concat();
            Ok(Some(envelope::close(&content)))
        }
        // An envelope that stood there may be anybody's.
        Found::Sealed(_) => Err("sealed".to_owned()),
    };
    let Ok(sealed) = seal(text, &mut close) else { return };
    let opened = unseal(&sealed, &mut |text| decode(text).ok_or_else(|| "not ours".to_owned()));
    let opened = opened.expect("what was sealed opens");
    assert_eq!(opened.expose_str(), Some(text), "opening gives back what was there: {sealed:?}");
    let again = seal(&sealed, &mut |found| match found {
        Found::Plain(_) => panic!("a secret that was left: {sealed:?}"),
        Found::Sealed(_) => Ok(None),
    });
    assert_eq!(again.as_deref(), Ok(&*sealed), "sealing again changes nothing");
}

fn decode(text: &str) -> Option<Plaintext> {
    let content = envelope::open(text.as_bytes()).ok()?;
    Plaintext::decode(content.strip_prefix(MARK)?)
}
