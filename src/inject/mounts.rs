//! What is mounted into receivers, and what of the user's stands in its way.

use super::{
    json::Json,
    names::{BINARY_DIR, BINARY_VOLUME, ENV_DIR, env_volume, files_volume},
    pod::Container,
    problem::Problem,
    subject::Subject,
};
use crate::codes::pod as codes;

/// A mount of ours in a receiver; always read-only.
#[derive(Debug)]
pub struct Planned {
    volume: String,
    path: String,
}

impl Planned {
    /// As the pod has it.
    pub fn into_json(self) -> Json<'static> {
        Json::object([
            ("name", self.volume.into()),
            ("mountPath", self.path.into()),
            ("readOnly", true.into()),
        ])
    }
}

/// What a receiver mounts.
pub fn of_receiver(mount_path: &str, has_files: bool, is_wrapped: bool, view: usize) -> Vec<Planned> {
    let planned = |volume: String, path: &str| Planned { volume, path: path.to_owned() };
    let mut mounts = Vec::new();
    if has_files {
        mounts.push(planned(files_volume(view), mount_path));
    }
    if is_wrapped {
        mounts.push(planned(BINARY_VOLUME.to_owned(), BINARY_DIR));
        mounts.push(planned(env_volume(view), ENV_DIR));
    }
    mounts
}

/// The user's mounts, and ours among themselves, that can't stand beside what is planned.
pub fn conflicts(container: &Container<'_>, planned: &[Planned]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut problem = |code, path: &str, message: String| {
        let subject = Subject::Mount { container: container.name.to_owned(), path: path.to_owned() };
        problems.push(Problem::invalid(code, subject, message));
    };
    for (index, ours) in planned.iter().enumerate() {
        for mount in &container.mounts {
            if is_at_or_below(mount.path, &ours.path) {
                let message =
                    format!("is the container's own, and {} is the injector's; move one of them", ours.path);
                problem(codes::MOUNT_TAKEN, mount.path, message);
            } else if mount.read_only && is_at_or_below(&ours.path, mount.path) {
                let message = format!(
                    "is read-only, so {} can't be created below it; choose another mount-path",
                    ours.path
                );
                problem(codes::MOUNT_BELOW_READ_ONLY, mount.path, message);
            }
        }
        for other in planned.iter().skip(index + 1) {
            if is_at_or_below(&ours.path, &other.path) || is_at_or_below(&other.path, &ours.path) {
                let message = format!("collides with {}; choose another mount-path", other.path);
                problem(codes::MOUNT_TAKEN, &ours.path, message);
            }
        }
    }
    problems
}

fn is_at_or_below(path: &str, directory: &str) -> bool {
    // Images link /var/run to /run.
    let canonical = |path: &str| {
        let path = path.trim_end_matches('/');
        match path.strip_prefix("/var/run") {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("/run{rest}"),
            _ => path.to_owned(),
        }
    };
    let (path, directory) = (canonical(path), canonical(directory));
    path.strip_prefix(&directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::is_at_or_below;

    #[test]
    fn knows_what_lies_below_what() {
        for (path, directory, below) in [
            ("/run/secrets/esc", "/run/secrets/esc", true),
            ("/run/secrets/esc/", "/run/secrets/esc", true),
            ("/run/secrets/esc/tls", "/run/secrets/esc", true),
            ("/run/secrets/escort", "/run/secrets/esc", false),
            ("/var/run/secrets", "/run", true),
            ("/run/secrets/esc", "/var/run", true),
            ("/var/runner", "/run", false),
            ("/anything", "/", true),
        ] {
            assert_eq!(is_at_or_below(path, directory), below, "{path} below {directory}");
        }
    }
}
