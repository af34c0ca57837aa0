//! Where in the manifests a problem of the injector stands: it speaks of subjects, and people look for lines.

use super::{At, Object};
use crate::{
    codes::{Code, annotations as said, pod as pods},
    inject::subject::{Source, Subject},
    manifest::locate::{self, Home, Part, Place},
};

/// Where a problem stands: at the pod, or at the namespace that said it.
pub fn place(
    object: &Object<'_>,
    subject: &Subject,
    code: Code,
    home: &Home<'_, '_>,
    namespace: Option<(&Home<'_, '_>, &Object<'_>)>,
) -> At {
    match locate::subject(subject, part(subject, code), home, namespace.map(|(home, _)| home)) {
        Place::Pod(span) => (object.file, object.document, span),
        Place::Namespace(span) => {
            let object = namespace.map_or(object, |(_, object)| object);
            (object.file, object.document, span)
        }
    }
}

/// Whether it is an annotation's key that is wrong, or its value.
fn part(subject: &Subject, code: Code) -> Part {
    let is_of_key = [
        said::UNKNOWN_ANNOTATION,
        said::VARIABLE_NAME,
        said::FILE_NAME,
        said::ORPHAN,
        said::SAID_TWICE,
        said::CONTRADICTION,
        said::NO_MEANING,
    ]
    .contains(&code);
    let names_container = matches!(subject, Subject::Annotation { key, .. } if key.starts_with("command."));
    if is_of_key || (names_container && code == pods::UNKNOWN_CONTAINER) { Part::Key } else { Part::Value }
}

/// At the namespace itself nobody needs to be told that it is the namespace's.
pub fn own_words(subject: &Subject) -> Subject {
    match subject.clone() {
        Subject::Annotation { key, .. } => Subject::own(key),
        Subject::Config { at, focus, .. } => Subject::Config { source: Source::Pod, at, focus },
        other => other,
    }
}

/// Whether the pod's namespace said it.
pub fn is_of_namespace(subject: &Subject) -> bool {
    matches!(
        subject,
        Subject::Annotation { source: Source::Namespace, .. }
            | Subject::Config { source: Source::Namespace, .. }
    )
}
