//! By which name we were started: kubectl takes a program `kubectl-esc` on the PATH for its own `kubectl esc`.

use std::{env, ffi::OsString, path::Path};

/// The name by which kubectl finds us.
const PLUGIN: &str = "kubectl-esc";

/// The name of the file that was started.
pub fn program() -> &'static str {
    if is_plugin(env::args_os().next()) { PLUGIN } else { "esc-injector" }
}

/// What people type to start us.
pub fn typed() -> &'static str {
    if is_plugin(env::args_os().next()) { "kubectl esc" } else { "esc-injector" }
}

fn is_plugin(argument: Option<OsString>) -> bool {
    argument.is_some_and(|path| Path::new(&path).file_stem().is_some_and(|name| name == PLUGIN))
}

#[cfg(test)]
mod tests {
    use super::is_plugin;

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
            assert_eq!(is_plugin(Some(name.into())), expected, "{name}");
        }
        assert!(!is_plugin(None));
    }
}
