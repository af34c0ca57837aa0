//! `ESC5xx`: the wrapper can't start the application.

super::codes! {
    ARGUMENTS = "ESC501" {
        title: "The wrapper's arguments are malformed",
        cause: "The container's command begins with our wrapper, but what follows is not what the webhook writes, or no command follows at all.",
        fix: "Don't write `esc-injector exec` by hand and keep other tools from changing the command; let the webhook inject the pod again.",
        example: "",
    }
    NOT_DELIVERED = "ESC502" {
        title: "The variables were not delivered",
        cause: "The agent left no variables for this container, and no mark that it is to start without.",
        fix: "Look at the log of the container `esc-agent`; check that it is there, and that it comes before this one.",
        example: "kubectl logs POD -c esc-agent",
    }
    UNREADABLE = "ESC503" {
        title: "The variables can't be read",
        cause: "The file with the container's variables can't be opened, or is not what the agent writes.",
        fix: "Check the container's mounts of the `esc-env-…` volume; a container with an unusual user needs no more than read access to it.",
        example: "",
    }
    NOT_FOUND = "ESC504" {
        title: "The command does not exist",
        cause: "The container's command is in none of the directories of PATH, or the file (or the interpreter in its first line) does not exist.",
        fix: "Correct the container's `command`; a relative name is looked up in the PATH that the application gets, which may come from the environment.",
        example: "command: [/usr/local/bin/app]",
    }
    NOT_EXECUTABLE = "ESC505" {
        title: "The command can't be executed",
        cause: "The file exists, but it is a directory, has no execute permission for the container's user, or is built for another machine.",
        fix: "Make it executable in the image (`chmod +x`), or correct the container's `command` or `runAsUser`.",
        example: "",
    }
    TOO_BIG = "ESC506" {
        title: "The variables are too big for the operating system",
        cause: "Linux limits one variable to 128 KiB, and all variables and arguments together to a quarter of the stack limit (2 MiB by default).",
        fix: "Deliver large values as files.",
        example: "esc.pulumi.com/file.settings.json: settings",
    }
    DEGRADED = "ESC507" {
        title: "The application starts without its variables",
        cause: "ESC was out of reach when the pod started, and the pod has `on-failure: start`.",
        fix: "Restart the pod when ESC is back.",
        example: "kubectl rollout restart deployment/NAME",
    }
}
