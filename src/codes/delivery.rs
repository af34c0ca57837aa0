//! `ESC4xx`: the environment's values can't be delivered as asked.

super::codes! {
    PLAN = "ESC401" {
        title: "The agent's plan is missing or unreadable",
        cause: "The variable `ESC_INJECTOR_PLAN` of the container `esc-agent` is absent, changed by somebody else, or contradicts itself.",
        fix: "Let the webhook inject the pod again (delete the pod, so that its controller makes a new one), and keep other tools from changing the container `esc-agent`.",
        example: "",
    }
    PLAN_VERSION = "ESC402" {
        title: "The plan is of another version",
        cause: "The webhook that wrote the plan and the agent that reads it are of different releases.",
        fix: "Use the same image for both (`--agent-image`), and restart pods that were injected before the upgrade.",
        example: "",
    }
    MISSING_PATH = "ESC404" {
        title: "The environment has no such property",
        cause: "A property path leads nowhere in the opened environment.",
        fix: "Correct the path in the annotation, or define the property; the agent's log lists the names that exist where the path ends.",
        example: "esc.pulumi.com/env.DATABASE_URL: db.url",
    }
    UNKNOWN_VALUE = "ESC405" {
        title: "ESC could not compute the value",
        cause: "The environment opened, but ESC marks this value as unknown.",
        fix: "Open the environment yourself (`esc env open NAME`), and correct the expression or the provider behind the value.",
        example: "",
    }
    UNWRITABLE_VALUE = "ESC406" {
        title: "The value can't be written as asked",
        cause: "The value's shape does not fit the format, one of its keys is no legal name there, or it is not the base64 that `decode` expects.",
        fix: "Choose another `format` or a path that fits it; drop `decode` if the value is plain text.",
        example: "esc.pulumi.com/file.settings.json: settings\nesc.pulumi.com/format.settings.json: json",
    }
    NUL = "ESC407" {
        title: "The variable holds a NUL byte",
        cause: "No process can receive a variable with a NUL byte in it.",
        fix: "Deliver the value as a file.",
        example: "esc.pulumi.com/file.key.bin: keys.binary",
    }
    PROJECTED_NAMES = "ESC408" {
        title: "A name in the environment's projections is not legal",
        cause: "ESC does not check the keys of `environmentVariables` and `files`; some of them are no legal name for a variable or a file.",
        fix: "Rename the keys in the environment, deliver only one of the projections (`esc.pulumi.com/projections: files`) or none of them, or name what you need in `env.X` annotations.",
        example: "esc.pulumi.com/projections: none\nesc.pulumi.com/env.DATABASE_URL: db.url",
    }
    NAME_CLASH = "ESC409" {
        title: "A file and a directory have the same name",
        cause: "One file's name is a directory in the name of another, such as `tls` and `tls/ca.crt`.",
        fix: "Rename one of them; if it comes from the environment's `files`, set `esc.pulumi.com/projections` to `env` or `none`.",
        example: "",
    }
    VOLUME_FULL = "ESC410" {
        title: "The volume is full",
        cause: "The values do not fit into the volume that holds them.",
        fix: "Raise `esc.pulumi.com/volume-size`; if it is the volume `esc-bin`, the node's disk or the pod's ephemeral-storage limit is exhausted.",
        example: "esc.pulumi.com/volume-size: 64Mi",
    }
    VOLUME_READ_ONLY = "ESC411" {
        title: "The volume is read-only",
        cause: "The agent may not write where its plan says: the mount is read-only, or the directory belongs to another user.",
        fix: "Keep other tools from changing the mounts and the user of the container `esc-agent`.",
        example: "",
    }
    VOLUME_FAILED = "ESC412" {
        title: "The volume can't be written",
        cause: "The operating system refused an operation on the volume, or something that is not ours lies in it.",
        fix: "See the message for what was refused; check the node, and that nothing else writes to the `esc-…` volumes.",
        example: "",
    }
    INTERRUPTED = "ESC413" {
        title: "The agent was asked to stop",
        cause: "The pod was terminated while the agent was still fetching.",
        fix: "Nothing to do: nothing was published.",
        example: "",
    }
    DEFECT = "ESC414" {
        title: "The agent met a defect of its own",
        cause: "A defect of esc-injector: something happened that was taken for impossible.",
        fix: "Report it with the message and the agent's log.",
        example: "",
    }
    KUBELET_QUOTE = "ESC415" {
        title: "The variable holds a single quote, which kubelet can't read",
        cause: "The container gets its variables from kubelet (`env-mode: kubelet`), whose file format has no way to write a single quote.",
        fix: "Let the wrapper deliver the variables: give the container a `command`, or `esc.pulumi.com/command.CONTAINER`; or deliver the value as a file.",
        example: "esc.pulumi.com/command.app: '[\"/app\", \"--serve\"]'",
    }
    KUBELET_EMPTY = "ESC416" {
        title: "The variable is empty, which kubelet takes for missing",
        cause: "The container gets its variables from kubelet (`env-mode: kubelet`), which never starts a container whose variable is empty.",
        fix: "Declare the variable `optional` (it is then unset), give it a `default` that is not empty, or correct the value.",
        example: "esc.pulumi.com/config: |\n  env:\n    DEBUG: {path: debug, optional: true}",
    }
    KUBELET_CARRIAGE_RETURN = "ESC417" {
        title: "The variable holds Windows line ends, which kubelet changes",
        cause: "The container gets its variables from kubelet (`env-mode: kubelet`), which silently drops a carriage return before a newline.",
        fix: "Store the value with plain newlines, deliver it as a file, or let the wrapper deliver the variables: give the container a `command`.",
        example: "esc.pulumi.com/file.ca.crt: tls.ca",
    }
    KUBELET_LONG_LINE = "ESC418" {
        title: "The variable has a line that is too long for kubelet",
        cause: "The container gets its variables from kubelet (`env-mode: kubelet`), which reads no line of 64 KiB or more, the variable's name included.",
        fix: "Deliver the value as a file.",
        example: "esc.pulumi.com/file.settings.json: settings",
    }
    TEMPLATE = "ESC420" {
        title: "The template can't be rendered",
        cause: "A file's template has a mistake in its syntax, uses a name, filter or function that does not exist, or does something with a value that its kind does not allow.",
        fix: "Correct the template at the line that the message names. The environment is the variable `values`; what may be absent needs `is defined` or `default`.",
        example: "esc.pulumi.com/template.app.toml: |\n  url = {{ values.db.url | default('none') | tojson }}",
    }
    TEMPLATE_LIMIT = "ESC421" {
        title: "The template does too much",
        cause: "A file's template loops too long, or makes more than 4 MiB of text. The limit keeps a mistake in a template from keeping the pod for ever.",
        fix: "Loop over less, or deliver the values in several files.",
        example: "",
    }
}
