//! Text for people: lists that stay short, lines that fit, and articles.

/// The first of many names, and how many more there are.
pub fn some<T: AsRef<str>>(names: &[T], most: usize) -> String {
    let shown: Vec<&str> = names.iter().take(most).map(AsRef::as_ref).collect();
    let shown = shown.join(", ");
    match names.len().saturating_sub(most) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// A noun with its article.
pub fn a(noun: &str) -> String {
    let vowels = ['A', 'E', 'I', 'O', 'U', 'a', 'e', 'i', 'o', 'u'];
    let article = if noun.starts_with(vowels) { "an" } else { "a" };
    format!("{article} {noun}")
}

/// A text in lines of at most so many characters, all but the first indented. A word that is too long has a line of its
/// own, whole: it is a name that somebody wants to copy.
pub fn wrapped(text: &str, width: usize, indent: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(word.to_owned()),
            Some(_) => lines.push(format!("{}{word}", " ".repeat(indent))),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::{a, some, wrapped};

    #[test]
    fn long_lists_end_with_how_many_more_there_are() {
        assert_eq!(some(&["a", "b"], 2), "a, b");
        assert_eq!(some(&["a", "b", "c", "d"], 2), "a, b and 2 more");
        assert_eq!(some::<&str>(&[], 2), "");
    }

    #[test]
    fn nouns_have_the_article_of_their_sound() {
        let nouns = ["Pod", "Ingress", "object without a kind"].map(a);
        assert_eq!(nouns, ["a Pod", "an Ingress", "an object without a kind"]);
    }

    #[test]
    fn text_is_wrapped_between_words_and_long_words_stay_whole() {
        let text = "one two esc_injector_certificate_sync three ä ö";
        assert_eq!(wrapped(text, 10, 0), ["one two", "esc_injector_certificate_sync", "three ä ö"]);
        assert_eq!(wrapped("one two three", 8, 2), ["one two", "  three"]);
        assert_eq!(wrapped(text, 80, 2), [text]);
        assert_eq!(wrapped("two  columns", 80, 2), ["two  columns"]);
        assert_eq!(wrapped("a b", 0, 0), ["a", "b"]);
    }
}
