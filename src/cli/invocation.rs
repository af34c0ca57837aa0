//! By which name we were started: kubectl takes a program `kubectl-esc` on the PATH for its own `kubectl esc`, and asks
//! another what may come next there.

use std::{env, ffi::OsString, path::Path};

/// The name by which kubectl finds us.
const PLUGIN: &str = "kubectl-esc";

/// The name by which kubectl finds what completes its `kubectl esc`.
const COMPLETER: &str = "kubectl_complete-esc";

/// The name of the file that was started.
pub fn program() -> &'static str {
    if is(PLUGIN, env::args_os().next()) { PLUGIN } else { "esc-injector" }
}

/// What people type to start us.
pub fn typed() -> &'static str {
    if is(PLUGIN, env::args_os().next()) { "kubectl esc" } else { "esc-injector" }
}

/// Whether it is kubectl that asks what may come next.
pub fn completes() -> bool {
    is(COMPLETER, env::args_os().next())
}

fn is(wanted: &str, argument: Option<OsString>) -> bool {
    argument.is_some_and(|path| Path::new(&path).file_stem().is_some_and(|name| name == wanted))
}

#[cfg(test)]
mod tests {
    use super::{COMPLETER, PLUGIN, is};

    #[test]
    fn only_kubectls_own_name_makes_a_plugin() {
        for (name, expected) in [
            ("kubectl-esc", true),
            ("/usr/local/bin/kubectl-esc", true),
            ("kubectl-esc.exe", true),
            ("esc-injector", false),
            ("kubectl-esc/esc-injector", false),
            ("", false),
        ] {
            assert_eq!(is(PLUGIN, Some(name.into())), expected, "{name}");
            assert!(!is(COMPLETER, Some(name.into())), "{name}");
        }
        assert!(!is(PLUGIN, None) && is(COMPLETER, Some("/bin/kubectl_complete-esc".into())));
    }
}
